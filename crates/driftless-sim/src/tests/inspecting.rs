//! Frames with latent and attention.

use driftless_engine::testing::{clip, cpu_sampler, small_config, world};
use driftless_worlds::SimulatorKind;

use super::*;

/// A learned world on a small CPU engine, with one starting clip.
fn learned() -> SimOptions {
    SimOptions {
        player: Arc::new(|_| {
            let config = small_config();
            let engine = cpu_sampler(&world(&config));
            let clips = vec![clip(&config, 3)];
            Ok(Box::new(LearnedWorld::new(engine, clips.into())))
        }),
        ..options()
    }
}

#[test]
fn frames_carry_inspection_while_on() {
    let config = small_config();
    let mut engine = cpu_sampler(&world(&config));
    engine.record_attention(true);
    engine
        .reset(&clip(&config, 3), &SamplerParams::default())
        .unwrap();
    let sim = spawn(learned());
    assert_eq!(next(&sim).diagnostics.inspection, None);
    sim.send(CaptureCommand::Inspect(true));
    hold(&sim, 2);
    let frame = step(&sim);
    engine.step(2, &SamplerParams::default()).unwrap();
    let seen = frame.diagnostics.inspection.as_deref().unwrap();
    assert_eq!((seen.grid, seen.channels, seen.merge), ([4, 6], 3, 2));
    assert_eq!(seen.latent, engine.latent().unwrap());
    assert_eq!(seen.image, rgb(&frame));
    assert_eq!(seen.attention, engine.attention().unwrap());
    assert_eq!(seen.attention.as_ref().unwrap().frames, 4);
    sim.send(CaptureCommand::Inspect(false));
    assert_eq!(step(&sim).diagnostics.inspection, None);
}

#[test]
fn reset_frame_carries_attention() {
    let sim = spawn(learned());
    next(&sim);
    sim.send(CaptureCommand::Inspect(true));
    step(&sim);
    sim.send(EpisodeCommand::Reset);
    let frame = next(&sim);
    let seen = frame.diagnostics.inspection.as_deref().unwrap();
    assert_eq!((frame.number, &*seen.image), (0, rgb(&frame)));
    assert_eq!(seen.attention.as_ref().unwrap().frames, 3);
}

#[test]
fn attention_is_optional() {
    let sim = spawn(options());
    next(&sim);
    sim.send(CaptureCommand::Inspect(true));
    let frame = step(&sim);
    let seen = frame.diagnostics.inspection.as_deref().unwrap();
    assert_eq!((&seen.attention, &*seen.image), (&None, rgb(&frame)));
    let simulated = SimOptions {
        player: Arc::new(|_| Ok(Box::new(SimulatedWorld::new(SimulatorKind::Maze.open(0))))),
        ..options()
    };
    let sim = spawn(simulated);
    next(&sim);
    sim.send(CaptureCommand::Inspect(true));
    assert_eq!(step(&sim).diagnostics.inspection, None);
}
