//! The fast engine against the reference engine.

use super::*;
use crate::{CandleEngine, CpuEngine, Engine, WgpuEngine};

fn compare(name: &str, config: &WorldConfig, params: impl Fn(usize) -> SamplerParams) {
    let mut fast = CpuEngine::new(&world(config)).unwrap();
    compare_engines(name, config, &mut fast, 64, 1e-4, params);
}

/// Whether an engine's frames stay within `bar` of the reference engine's.
fn compare_engines(
    name: &str,
    config: &WorldConfig,
    fast: &mut dyn Engine,
    frames: usize,
    bar: f32,
    params: impl Fn(usize) -> SamplerParams,
) {
    let mut reference = CandleEngine::new(world(config)).unwrap();
    let start = clip(config, 3);
    fast.reset(&start, &params(0)).unwrap();
    reference.reset(&start, &params(0)).unwrap();
    let (mut moved, mut last) = (0.0f32, fast.latent().unwrap().to_vec());
    for (frame, &action) in actions(config, frames, 5).iter().enumerate() {
        fast.step(action, &params(frame)).unwrap();
        reference.step(action, &params(frame)).unwrap();
        let difference = largest_difference(fast.latent().unwrap(), reference.latent().unwrap());
        assert!(
            difference < bar,
            "{name}: frame {frame} differs by {difference}"
        );
        let images = fast.image().unwrap().iter().zip(reference.image().unwrap());
        let difference = images.map(|(a, b)| a.abs_diff(*b)).max();
        assert!(
            difference <= Some(1),
            "{name}: image {frame} differs by {difference:?}"
        );
        match (fast.outcome(), reference.outcome()) {
            (Some(a), Some(b)) => {
                let off = (a.reward - b.reward).abs().max((a.end - b.end).abs());
                assert!(off < bar, "{name}: outcome of frame {frame} off by {off}");
            }
            (a, b) => assert!(
                a == b && config.dynamics.outcome == 0,
                "{name}: {a:?} {b:?}"
            ),
        }
        moved = moved.max(largest_difference(fast.latent().unwrap(), &last));
        last = fast.latent().unwrap().to_vec();
    }
    assert!(moved > 0.1, "{name}: nothing moves, so nothing is compared");
    let states = [
        fast.snapshot().unwrap().state,
        reference.snapshot().unwrap().state,
    ];
    let difference = largest_difference(&states[0], &states[1]);
    assert!(difference < bar, "{name}: states differ by {difference}");
}

#[test]
fn engines_agree_for_every_shape_past_the_rings_end() {
    for (name, config) in shapes() {
        for steps in [1, 2, 4] {
            compare(name, &config, |_| SamplerParams {
                steps,
                ..Default::default()
            });
        }
    }
}

#[test]
fn engines_agree_while_parameters_change() {
    for (name, config) in shapes() {
        compare(name, &config, changing);
    }
}

#[test]
fn engines_encode_and_reconstruct_alike() {
    for (name, config) in shapes() {
        let world = world(&config);
        let mut fast = CpuEngine::new(&world).unwrap();
        let mut reference = CandleEngine::new(world).unwrap();
        let images = clip(&config, 35).images;
        let latents = fast.encode(&images).unwrap();
        assert_eq!(latents.len(), 35 * config.latent_len());
        let difference = largest_difference(&latents, &reference.encode(&images).unwrap());
        assert!(difference < 1e-4, "{name}: latents differ by {difference}");
        let [a, b] =
            [fast.reconstruct(&images), reference.reconstruct(&images)].map(Result::unwrap);
        assert_eq!(a.len(), images.len());
        assert!(a.iter().zip(&b).all(|(a, b)| a.abs_diff(*b) <= 1), "{name}");
        assert!(
            a.iter().any(|&byte| byte != a[0]),
            "{name}: an empty picture"
        );
    }
}

#[test]
fn a_snapshot_of_one_engine_goes_on_in_the_other() {
    let config = plain();
    let world = world(&config);
    let mut fast = CpuEngine::new(&world).unwrap();
    let mut reference = CandleEngine::new(world).unwrap();
    let params = SamplerParams::default();
    fast.reset(&clip(&config, 2), &params).unwrap();
    for &action in &actions(&config, 9, 6) {
        fast.step(action, &params).unwrap();
    }
    reference.restore(&fast.snapshot().unwrap()).unwrap();
    for &action in &actions(&config, 9, 7) {
        fast.step(action, &params).unwrap();
        reference.step(action, &params).unwrap();
    }
    assert!(largest_difference(fast.latent().unwrap(), reference.latent().unwrap()) < 1e-4);
}

#[test]
fn a_gpu_makes_the_frames_of_the_processor() {
    let Some(gpu) = gpu() else { return };
    for (name, config) in shapes() {
        let mut fast = WgpuEngine::new(&world(&config), &gpu).unwrap();
        compare_engines(name, &config, &mut fast, 24, 1e-3, changing);
    }
}

#[test]
fn a_gpu_encodes_and_reconstructs_as_the_processor_does() {
    let Some(gpu) = gpu() else { return };
    for (name, config) in shapes() {
        let world = world(&config);
        let mut fast = WgpuEngine::new(&world, &gpu).unwrap();
        let mut reference = CandleEngine::new(world).unwrap();
        let images = clip(&config, 3).images;
        let latents = fast.encode(&images).unwrap();
        let difference = largest_difference(&latents, &reference.encode(&images).unwrap());
        assert!(difference < 1e-3, "{name}: latents differ by {difference}");
        let [a, b] =
            [fast.reconstruct(&images), reference.reconstruct(&images)].map(Result::unwrap);
        assert!(a.iter().zip(&b).all(|(a, b)| a.abs_diff(*b) <= 1), "{name}");
    }
}
