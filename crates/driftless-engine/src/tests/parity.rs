//! The CPU and wgpu backends against the reference backend.

use super::*;
use crate::Sampler;
use crate::testing::{cpu_sampler, gpu_sampler, reference_sampler};

fn compare(name: &str, config: &WorldConfig, params: impl Fn(usize) -> SamplerParams) {
    let mut engine = cpu_sampler(&world(config));
    compare_engines(name, config, &mut engine, 64, 1e-4, params);
}

/// Asserts that an engine's frames stay within `tolerance` of the reference engine's.
pub(super) fn compare_engines(
    name: &str,
    config: &WorldConfig,
    engine: &mut Sampler,
    frames: usize,
    tolerance: f32,
    params: impl Fn(usize) -> SamplerParams,
) {
    let mut reference = reference_sampler(world(config));
    let start = clip(config, 3);
    engine.reset(&start, &params(0)).unwrap();
    reference.reset(&start, &params(0)).unwrap();
    let (mut movement, mut last) = (0.0f32, engine.latent().unwrap().to_vec());
    for (frame, &action) in actions(config, frames, 5).iter().enumerate() {
        engine.step(action, &params(frame)).unwrap();
        reference.step(action, &params(frame)).unwrap();
        let difference = largest_difference(engine.latent().unwrap(), reference.latent().unwrap());
        assert!(
            difference < tolerance,
            "{name}: frame {frame} differs by {difference}"
        );
        let images = engine
            .image()
            .unwrap()
            .iter()
            .zip(reference.image().unwrap());
        let difference = images.map(|(a, b)| a.abs_diff(*b)).max();
        assert!(
            difference <= Some(1),
            "{name}: image {frame} differs by {difference:?}"
        );
        match (engine.outcome(), reference.outcome()) {
            (Some(a), Some(b)) => {
                let mut off = (a.reward - b.reward).abs().max((a.end - b.end).abs());
                assert_eq!(a.motion.is_some(), config.dynamics.memory.is_some());
                if let (Some(a), Some(b)) = (a.motion, b.motion) {
                    let each = [(a.ahead, b.ahead), (a.aside, b.aside), (a.turn, b.turn)];
                    off = each
                        .into_iter()
                        .fold(off, |off, (a, b)| off.max((a - b).abs()));
                }
                assert!(
                    off < tolerance,
                    "{name}: outcome of frame {frame} off by {off}"
                );
            }
            (a, b) => assert!(
                a == b && config.dynamics.outcome == 0,
                "{name}: {a:?} {b:?}"
            ),
        }
        movement = movement.max(largest_difference(engine.latent().unwrap(), &last));
        last = engine.latent().unwrap().to_vec();
    }
    assert!(
        movement > 0.1,
        "{name}: the frames do not change, so the comparison is empty"
    );
    let states = [
        engine.snapshot().unwrap().state,
        reference.snapshot().unwrap().state,
    ];
    let difference = largest_difference(&states[0], &states[1]);
    assert!(
        difference < tolerance,
        "{name}: states differ by {difference}"
    );
}

#[test]
fn cpu_matches_reference() {
    for (name, config) in edge_case_configs() {
        for steps in [1, 2, 4] {
            compare(name, &config, |_| SamplerParams {
                steps,
                ..Default::default()
            });
        }
    }
}

#[test]
fn cpu_matches_with_changing_parameters() {
    for (name, config) in edge_case_configs() {
        compare(name, &config, varying_params);
    }
}

#[test]
fn cpu_tokenizer_matches_reference() {
    for (name, config) in edge_case_configs() {
        let world = world(&config);
        let mut engine = cpu_sampler(&world);
        let mut reference = reference_sampler(world);
        let images = clip(&config, 35).images;
        let latents = engine.encode(&images).unwrap();
        assert_eq!(latents.len(), 35 * config.latent_len());
        let difference = largest_difference(&latents, &reference.encode(&images).unwrap());
        assert!(difference < 1e-4, "{name}: latents differ by {difference}");
        let [a, b] =
            [engine.reconstruct(&images), reference.reconstruct(&images)].map(Result::unwrap);
        assert_eq!(a.len(), images.len());
        assert!(a.iter().zip(&b).all(|(a, b)| a.abs_diff(*b) <= 1), "{name}");
        assert!(
            a.iter().any(|&byte| byte != a[0]),
            "{name}: a uniform image"
        );
    }
}

#[test]
fn snapshots_work_across_backends() {
    let config = small_config();
    let world = world(&config);
    let mut engine = cpu_sampler(&world);
    let mut reference = reference_sampler(world);
    let params = SamplerParams::default();
    engine.reset(&clip(&config, 2), &params).unwrap();
    for &action in &actions(&config, 9, 6) {
        engine.step(action, &params).unwrap();
    }
    reference.restore(&engine.snapshot().unwrap()).unwrap();
    for &action in &actions(&config, 9, 7) {
        engine.step(action, &params).unwrap();
        reference.step(action, &params).unwrap();
    }
    assert!(largest_difference(engine.latent().unwrap(), reference.latent().unwrap()) < 1e-4);
}

#[test]
fn gpu_matches_reference() {
    let Some(gpu) = gpu() else { return };
    for (name, config) in edge_case_configs() {
        let mut engine = gpu_sampler(&world(&config), &gpu);
        compare_engines(name, &config, &mut engine, 24, 1e-3, varying_params);
    }
}

#[test]
fn gpu_tokenizer_matches_reference() {
    let Some(gpu) = gpu() else { return };
    for (name, config) in edge_case_configs() {
        let world = world(&config);
        let mut engine = gpu_sampler(&world, &gpu);
        let mut reference = reference_sampler(world);
        let images = clip(&config, 3).images;
        let latents = engine.encode(&images).unwrap();
        let difference = largest_difference(&latents, &reference.encode(&images).unwrap());
        assert!(difference < 1e-3, "{name}: latents differ by {difference}");
        let [a, b] =
            [engine.reconstruct(&images), reference.reconstruct(&images)].map(Result::unwrap);
        assert!(a.iter().zip(&b).all(|(a, b)| a.abs_diff(*b) <= 1), "{name}");
    }
}
