//! Long-term memory: what is kept and recalled, on all backends.

use driftless_data::Pose;

use super::parity::compare_engines;
use super::*;
use crate::Sampler;
use crate::testing::{cpu_sampler, gpu_sampler, memory_config, reference_sampler};

fn params(recall: bool) -> SamplerParams {
    SamplerParams {
        recall,
        steps: 2,
        ..SamplerParams::default()
    }
}

/// A sampler after `given` frames of context and `frames` predicted ones.
fn played(config: &WorldConfig, given: usize, frames: usize) -> Sampler {
    let mut engine = cpu_sampler(&world(config));
    engine.reset(&clip(config, given), &params(true)).unwrap();
    for &action in &actions(config, frames, 5) {
        engine.step(action, &params(true)).unwrap();
    }
    engine
}

fn latents(engine: &mut Sampler, frames: usize, params: &SamplerParams) -> Vec<Vec<f32>> {
    let config = engine.world().clone();
    let actions = actions(&config, frames, 9);
    let each = actions.iter().map(|&action| {
        engine.step(action, params).unwrap();
        engine.latent().unwrap().to_vec()
    });
    each.collect()
}

#[test]
fn cpu_recalls_as_the_reference_does() {
    let config = memory_config();
    let mut engine = cpu_sampler(&world(&config));
    compare_engines("memory", &config, &mut engine, 64, 1e-4, varying_params);
    assert!(engine.memory().unwrap().recalled().len() > 0);
}

#[test]
fn gpu_recalls_as_the_reference_does() {
    let Some(gpu) = gpu() else { return };
    let config = memory_config();
    let mut engine = gpu_sampler(&world(&config), &gpu);
    compare_engines("memory", &config, &mut engine, 24, 1e-3, varying_params);
    assert!(engine.memory().unwrap().recalled().len() > 0);
}

#[test]
fn recalled_frames_change_what_is_predicted() {
    let config = memory_config();
    let mut engine = played(&config, 3, 20);
    let start = engine.snapshot().unwrap();
    let with = latents(&mut engine, 3, &params(true));
    assert!(engine.memory().unwrap().recalled().len() > 0);
    engine.restore(&start).unwrap();
    let without = latents(&mut engine, 3, &params(false));
    assert_eq!(engine.memory().unwrap().recalled().len(), 0);
    assert!(largest_difference(&with[0], &without[0]) > 1e-4);
}

#[test]
fn an_untrained_memory_changes_nothing() {
    // Its last product starts at zero.
    let (model, _) = WorldModel::random(&memory_config(), &Device::Cpu).unwrap();
    let mut engine = cpu_sampler(&model);
    let mut play = |recall: bool| {
        let params = params(recall);
        engine.reset(&clip(&memory_config(), 4), &params).unwrap();
        latents(&mut engine, 20, &params)
    };
    assert!(play(true) == play(false));
}

#[test]
fn snapshots_hold_the_memory() {
    let config = memory_config();
    let mut engine = played(&config, 3, 20);
    let start = engine.snapshot().unwrap();
    let first = latents(&mut engine, 12, &params(true));
    let end = engine.snapshot().unwrap();
    engine.restore(&start).unwrap();
    assert!(latents(&mut engine, 12, &params(true)) == first);
    assert!(engine.snapshot().unwrap() == end);
    let mut other = cpu_sampler(&world(&config));
    other.restore(&start).unwrap();
    assert!(latents(&mut other, 12, &params(true)) == first);
}

#[test]
fn another_worlds_memory_is_refused() {
    let config = memory_config();
    let mut snapshot = played(&config, 3, 9).snapshot().unwrap();
    let mut larger = config.clone();
    larger.dynamics.memory.as_mut().unwrap().capacity += 1;
    let error = cpu_sampler(&world(&larger)).restore(&snapshot).unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
    snapshot.memory = None;
    let error = cpu_sampler(&world(&config)).restore(&snapshot).unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
}

#[test]
fn given_frames_are_remembered() {
    let config = memory_config();
    let engine = played(&config, 30, 0);
    let memory = engine.memory().unwrap();
    assert!(memory.kept().len() > 0);
    assert!(
        memory
            .kept()
            .all(|frame| !frame.predicted && frame.frame < 30)
    );
}

#[test]
fn the_oldest_predicted_frame_gives_way() {
    let mut config = memory_config();
    let memory = config.dynamics.memory.as_mut().unwrap();
    (memory.capacity, memory.reach) = (6, 0.01);
    // Every frame is at another place.
    let engine = played(&config, 5, 40);
    let memory = engine.memory().unwrap();
    let mut kept: Vec<u64> = memory.kept().map(|frame| frame.frame).collect();
    kept.sort_unstable();
    // The given frames, and the last predicted one that left the context.
    assert_eq!(kept, [0, 1, 2, 3, 4, 40]);
}

#[test]
fn reference_keeps_the_same_frames() {
    let config = memory_config();
    let mut reference = reference_sampler(world(&config));
    reference.reset(&clip(&config, 3), &params(true)).unwrap();
    for &action in &actions(&config, 20, 5) {
        reference.step(action, &params(true)).unwrap();
    }
    let engine = played(&config, 3, 20);
    let kept = |engine: &Sampler| -> Vec<u64> {
        engine.memory().unwrap().kept().map(|f| f.frame).collect()
    };
    assert_eq!(kept(&engine), kept(&reference));
}

#[test]
fn poses_can_be_corrected() {
    let config = memory_config();
    let mut engine = played(&config, 12, 9);
    let memory = engine.memory_mut().unwrap();
    let line = |frame: u64| Pose {
        x: frame as f32,
        ..Pose::default()
    };
    memory.correct_poses(|frame| Some(line(frame)));
    assert_eq!(memory.pose(), line(20));
    assert!(memory.kept().len() > 0);
    assert!(memory.kept().all(|frame| frame.pose == line(frame.frame)));
}
