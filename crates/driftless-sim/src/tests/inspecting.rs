//! Frames that show what a model holds.

use super::*;
use driftless_engine::testing::{clip, plain, world};
use driftless_engine::{CpuEngine, Engine};
use driftless_worlds::Kind;

/// A small engine on the processor, with one start.
fn dreaming() -> Options {
    Options {
        player: Arc::new(|_| {
            let config = plain();
            let engine = CpuEngine::new(&world(&config))?;
            let contexts = vec![clip(&config, 3)];
            Ok(Box::new(Dream::new(Box::new(engine), contexts.into())))
        }),
        ..options()
    }
}

#[test]
fn frames_show_what_the_model_holds_while_asked_to() {
    let config = plain();
    let mut engine = CpuEngine::new(&world(&config)).unwrap();
    engine.inspect(true);
    engine
        .reset(&clip(&config, 3), &SamplerParams::default())
        .unwrap();
    let sim = spawn(dreaming());
    assert_eq!(next(&sim).inspect, None);
    sim.send(Command::Inspect(true));
    hold(&sim, 2);
    let frame = step(&sim);
    engine.step(2, &SamplerParams::default()).unwrap();
    let seen = frame.inspect.as_deref().unwrap();
    assert_eq!((seen.grid, seen.channels, seen.merge), ([4, 6], 3, 2));
    assert_eq!(seen.latent, engine.latent().unwrap());
    assert_eq!(seen.image, rgb(&frame));
    assert_eq!(seen.attention, engine.attention().unwrap());
    assert_eq!(seen.attention.as_ref().unwrap().frames, 4);
    sim.send(Command::Inspect(false));
    assert_eq!(step(&sim).inspect, None);
}

#[test]
fn a_reset_shows_the_starting_frame_and_where_it_looked() {
    let sim = spawn(dreaming());
    next(&sim);
    sim.send(Command::Inspect(true));
    step(&sim);
    sim.send(Command::Reset);
    let frame = next(&sim);
    let seen = frame.inspect.as_deref().unwrap();
    assert_eq!((frame.number, &*seen.image), (0, rgb(&frame)));
    assert_eq!(seen.attention.as_ref().unwrap().frames, 3);
}

#[test]
fn an_engine_that_does_not_tell_shows_its_latent_and_a_simulator_nothing() {
    let sim = spawn(options());
    next(&sim);
    sim.send(Command::Inspect(true));
    let frame = step(&sim);
    let seen = frame.inspect.as_deref().unwrap();
    assert_eq!((&seen.attention, &*seen.image), (&None, rgb(&frame)));
    let real = Options {
        player: Arc::new(|_| Ok(Box::new(Real::new(Kind::Maze.open(0))))),
        ..options()
    };
    let sim = spawn(real);
    next(&sim);
    sim.send(Command::Inspect(true));
    assert_eq!(step(&sim).inspect, None);
}
