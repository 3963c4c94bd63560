//! Playing the small checkpoint of `parity.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

mod common;

use std::sync::Arc;

use driftless_data::{Action, Clip};
use driftless_dreamer::{Dreamer, ShortcutParams};
use driftless_published::{World, WorldParams};

/// Bytes of a frame: 16×24 pixels.
const FRAME: usize = 16 * 24 * 3;

type Params = WorldParams<ShortcutParams>;

fn world() -> World<Dreamer> {
    World::new(common::dreamer(common::DYNAMICS).unwrap())
}

/// So many frames, each of one grey level.
fn clip(frames: usize) -> Clip {
    let frame = |i: usize| vec![40 * i as u8; FRAME];
    Clip {
        images: (0..frames).flat_map(frame).collect(),
        actions: vec![Action::with_axes(0, &[0.5, -0.5]); frames],
    }
}

/// A short window, so that it moves.
fn params(seed: u64) -> Params {
    WorldParams::seeded(4, seed)
}

/// Frames under an actuator at so many tenths of its range.
fn play(world: &mut World<Dreamer>, tenths: &[i8], params: &Params) -> Vec<Vec<u8>> {
    let frame = |value: &i8| {
        let action = Action::with_axes(0, &[0.0, f32::from(*value) / 10.0]);
        world.step(&action, params).unwrap();
        world.image().to_vec()
    };
    tenths.iter().map(frame).collect()
}

#[test]
fn same_seed_gives_same_frames() {
    let (mut a, mut b) = (world(), world());
    let frames = play(&mut a, &[0, 1, 2, 3], &params(3));
    assert!(frames == play(&mut b, &[0, 1, 2, 3], &params(3)));
    a.reset(&clip(2)).unwrap();
    b.reset(&clip(2)).unwrap();
    assert!(a.image() == [40; FRAME]);
    let frames = play(&mut a, &[4, 4], &params(3));
    assert!(frames == play(&mut b, &[4, 4], &params(3)));
    b.reset(&clip(2)).unwrap();
    assert!(frames != play(&mut b, &[4, 4], &params(4)));
}

#[test]
fn restored_snapshot_continues_bit_for_bit() {
    let mut world = world();
    for hop in [1, 2] {
        let params = WorldParams { hop, ..params(1) };
        world.reset(&clip(5)).unwrap();
        play(&mut world, &[1, 2], &params);
        let saved = world.snapshot().clone();
        let first = play(&mut world, &[3, 0, 5, 1], &params);
        world.restore(&saved).unwrap();
        assert!(play(&mut world, &[3, 0, 5, 1], &params) == first);
    }
}

#[test]
fn kept_keys_give_what_new_ones_give() {
    let (mut kept, mut new) = (world(), world());
    let params = WorldParams {
        window: 6,
        ..params(2)
    };
    for action in [1, 2, 3, 4, 5, 6, 7, 8] {
        let frame = play(&mut kept, &[action], &params);
        // Frames that are equal, but not the same, are computed again, all at once.
        let mut copied = new.snapshot().clone();
        for frame in &mut copied.frames {
            *frame = Arc::new((**frame).clone());
        }
        new.restore(&copied).unwrap();
        assert!(play(&mut new, &[action], &params) == frame);
    }
}

#[test]
fn actuators_change_the_frame_once_there_is_one_before() {
    let frames = |action: Action| {
        let mut world = world();
        let mut frame = || {
            world.step(&action, &params(0)).unwrap();
            world.image().to_vec()
        };
        [frame(), frame()]
    };
    let idle = frames(Action::IDLE);
    let last = [0.0; 15].iter().chain(&[0.5]).copied().collect::<Vec<_>>();
    for axes in [&[0.5][..], &[0.0, -1.0], &last] {
        let moved = frames(Action::with_axes(0, axes));
        // Nothing led to the first frame of a window.
        assert!(moved[0] == idle[0] && moved[1] != idle[1]);
    }
}

#[test]
fn settings_change_from_one_frame_to_the_next() {
    let base = params(0);
    let with = |change: &dyn Fn(&mut Params)| {
        let mut world = world();
        play(&mut world, &[1, 1, 1], &base);
        let mut params = base;
        change(&mut params);
        play(&mut world, &[1], &params)
    };
    let frames = with(&|_| {});
    assert!(frames == with(&|_| {}));
    assert!(frames != with(&|params| params.sampler.steps = 8));
    assert!(frames != with(&|params| params.sampler.context_signal = 0.5));
    assert!(frames != with(&|params| params.window = 2));
    assert!(frames != with(&|params| params.temperature = 0.5));
}

#[test]
fn long_clips_leave_their_last_frames() {
    let mut world = world();
    let mut long = clip(3);
    long.images = [vec![9; 40 * FRAME], long.images].concat();
    long.actions = vec![Action::IDLE; 43];
    world.reset(&long).unwrap();
    assert_eq!(world.snapshot().frames.len(), 31);
    assert!(world.image() == [80; FRAME]);
}

#[test]
fn wrong_arguments_are_named() {
    let mut world = world();
    let before = world.snapshot().clone();
    let mut error = |action: Action, change: &dyn Fn(&mut Params)| {
        let mut params = params(0);
        change(&mut params);
        world.step(&action, &params).unwrap_err().to_string()
    };
    let nan = Action::with_axes(0, &[0.0, f32::NAN]);
    for (found, what) in [
        (error(1.into(), &|_| {}), "unknown action 1"),
        (error(nan, &|_| {}), "axis 1 is NaN, expected -1 to 1"),
        (
            error(Action::with_axes(0, &[1.5]), &|_| {}),
            "axis 0 is 1.5",
        ),
        (
            error(Action::IDLE, &|p| p.sampler.steps = 3),
            "steps 3: expected a power of two from 1 to 8",
        ),
        (error(Action::IDLE, &|p| p.sampler.steps = 16), "steps 16"),
        (
            error(Action::IDLE, &|p| p.sampler.context_signal = f32::NAN),
            "context signal NaN",
        ),
        (error(Action::IDLE, &|p| p.window = 33), "window 33"),
    ] {
        assert!(found.contains(what), "{found}");
    }
    assert_eq!(*world.snapshot(), before);
    let mut short = clip(2);
    short.images.pop();
    let message = world.reset(&short).unwrap_err().to_string();
    assert!(message.contains("expected frames of 16×24"), "{message}");
}
