//! Delta states, on all backends.

use super::parity::compare_engines;
use super::*;
use crate::Sampler;
use crate::testing::{cpu_sampler, delta_configs, gpu_sampler, reference_sampler};

fn params(recall: bool) -> SamplerParams {
    SamplerParams {
        recall,
        steps: 2,
        ..SamplerParams::default()
    }
}

/// The latents of `frames` further frames.
fn latents(engine: &mut Sampler, frames: usize, recall: bool) -> Vec<Vec<f32>> {
    let config = engine.world().clone();
    let actions = actions(&config, frames, 9);
    let each = actions.iter().map(|&action| {
        engine.step(action, &params(recall)).unwrap();
        engine.latent().unwrap().to_vec()
    });
    each.collect()
}

fn started(mut engine: Sampler) -> Sampler {
    let start = clip(engine.world(), 3);
    engine.reset(&start, &params(true)).unwrap();
    engine
}

/// Some frames without reading, among others.
fn switching(frame: usize) -> SamplerParams {
    SamplerParams {
        recall: frame % 5 != 2,
        ..varying_params(frame)
    }
}

#[test]
fn cpu_states_match_reference() {
    for config in delta_configs() {
        let mut engine = cpu_sampler(&world(&config));
        compare_engines("delta state", &config, &mut engine, 64, 1e-4, switching);
    }
}

#[test]
fn gpu_states_match_reference() {
    let Some(gpu) = gpu() else { return };
    for config in delta_configs() {
        let mut engine = gpu_sampler(&world(&config), &gpu);
        compare_engines("delta state", &config, &mut engine, 24, 1e-3, switching);
    }
}

#[test]
fn what_left_the_window_is_still_known() {
    let [config, _] = delta_configs();
    // Histories that differ in their first frame only. No chain of time layers reaches that far.
    let (layers, context) = (config.dynamics.depth, config.dynamics.context);
    let start = clip(&config, (layers + 1) * context);
    let mut other = start.clone();
    for byte in &mut other.images[..config.image_len()] {
        *byte = 255 - *byte;
    }
    let play = |start: &Clip, recall: bool| {
        let mut engine = cpu_sampler(&world(&config));
        engine.reset(start, &params(recall)).unwrap();
        latents(&mut engine, 1, recall)
    };
    assert!(largest_difference(&play(&start, true)[0], &play(&other, true)[0]) > 1e-6);
    assert_eq!(play(&start, false), play(&other, false));
}

#[test]
fn an_untrained_state_changes_nothing() {
    let [config, _] = delta_configs();
    let (model, _) = WorldModel::random(&config, &Device::Cpu).unwrap();
    let mut engine = started(cpu_sampler(&model));
    let with = latents(&mut engine, 12, true);
    let mut engine = started(cpu_sampler(&model));
    assert!(latents(&mut engine, 12, false) == with);
}

#[test]
fn snapshots_hold_the_states() {
    let [config, _] = delta_configs();
    let world = world(&config);
    let mut engine = started(cpu_sampler(&world));
    latents(&mut engine, 9, true);
    let start = engine.snapshot().unwrap();
    let first = latents(&mut engine, 8, true);
    engine.restore(&start).unwrap();
    assert!(latents(&mut engine, 8, true) == first);
    let mut reference = reference_sampler(world);
    reference.restore(&start).unwrap();
    let again = latents(&mut reference, 8, true);
    let pairs = first.iter().zip(&again);
    assert!(
        pairs
            .map(|(a, b)| largest_difference(a, b))
            .all(|off| off < 1e-4)
    );
}

#[test]
fn given_frames_are_written_like_those_of_a_start() {
    let [config, _] = delta_configs();
    let world = world(&config);
    let whole = clip(&config, 9);
    let mut engine = cpu_sampler(&world);
    engine.reset(&whole, &params(true)).unwrap();
    let mut given = cpu_sampler(&world);
    let first = Clip {
        images: whole.images[..config.image_len()].to_vec(),
        actions: whole.actions[..1].to_vec(),
    };
    given.reset(&first, &params(true)).unwrap();
    let frames = whole.images.chunks_exact(config.image_len());
    for (image, &action) in frames.zip(&whole.actions).skip(1) {
        given.give(image, action, &params(true)).unwrap();
    }
    assert!(given.snapshot().unwrap() == engine.snapshot().unwrap());
    let error = given.give(&whole.images, 0, &params(true)).unwrap_err();
    assert!(error.to_string().contains("expected one"), "{error}");
}

#[test]
fn states_can_be_read_and_replaced() {
    let [config, _] = delta_configs();
    let mut engine = started(cpu_sampler(&world(&config)));
    let states = engine.delta_states().unwrap();
    let norms = engine.delta_state_norms().unwrap().unwrap();
    assert_eq!(norms.len(), 3, "one for each layer");
    let all: f32 = norms.iter().flatten().map(|norm| norm * norm).sum();
    let squares: f32 = states.iter().map(|x| x * x).sum();
    assert!((all * config.tokens() as f32 - squares).abs() < 1e-3 * squares);
    latents(&mut engine, 4, true);
    assert!(engine.delta_states().unwrap() != states);
    engine.set_delta_states(&states).unwrap();
    assert!(engine.delta_states().unwrap() == states);
    let error = engine.set_delta_states(&states[1..]).unwrap_err();
    assert!(error.to_string().contains("delta states"), "{error}");
    let plain = cpu_sampler(&world(&small_config()));
    assert_eq!(plain.delta_state_norms().unwrap(), None);
}
