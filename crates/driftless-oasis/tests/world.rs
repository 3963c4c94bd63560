//! Playing the small checkpoint of `parity.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

mod common;

use driftless_data::{Action, Clip};
use driftless_oasis::{DdimParams, MAX_WINDOW, Oasis};
use driftless_published::{World, WorldParams};

/// Bytes of a frame: 24×32 pixels.
const FRAME: usize = 24 * 32 * 3;

fn world() -> World<Oasis> {
    World::new(common::oasis().unwrap())
}

/// So many frames, each of one grey level.
fn clip(frames: usize) -> Clip {
    let frame = |i: usize| vec![40 * i as u8; FRAME];
    Clip {
        images: (0..frames).flat_map(frame).collect(),
        actions: vec![Action::IDLE; frames],
    }
}

/// A short window, so that it moves, and few steps.
fn params(seed: u64) -> WorldParams<DdimParams> {
    WorldParams {
        sampler: DdimParams {
            steps: 2,
            ..DdimParams::default()
        },
        window: 3,
        ..WorldParams::seeded(MAX_WINDOW, seed)
    }
}

fn play(
    world: &mut World<Oasis>,
    actions: &[u32],
    params: &WorldParams<DdimParams>,
) -> Vec<Vec<u8>> {
    let frame = |action: &u32| {
        world.step(&(*action).into(), params).unwrap();
        world.image().to_vec()
    };
    actions.iter().map(frame).collect()
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
        let image = world.image().to_vec();
        let first = play(&mut world, &[3, 0, 5, 1], &params);
        world.restore(&saved).unwrap();
        assert!(world.image() == image);
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
    for action in [1, 2, 3, 4, 5, 6] {
        kept.step(&action.into(), &params).unwrap();
        // Frames that are equal, but not the same, are computed again.
        let mut copied = new.snapshot().clone();
        for frame in &mut copied.frames {
            *frame = std::sync::Arc::new((**frame).clone());
        }
        new.restore(&copied).unwrap();
        new.step(&action.into(), &params).unwrap();
        assert!(kept.image() == new.image());
    }
}

#[test]
fn actions_and_axes_change_the_frame() {
    let frame = |action: Action| {
        let mut world = world();
        world.step(&action, &params(0)).unwrap();
        world.image().to_vec()
    };
    let idle = frame(Action::IDLE);
    assert!(frame(1.into()) != idle);
    assert!(frame(Action::with_axes(0, &[0.0, 0.0, 0.5])) != idle);
}

#[test]
fn settings_change_from_one_frame_to_the_next() {
    let base = params(0);
    let with = |change: &dyn Fn(&mut WorldParams<DdimParams>)| {
        let mut world = world();
        play(&mut world, &[1, 1, 1], &base);
        let mut params = base;
        change(&mut params);
        play(&mut world, &[1], &params)
    };
    let frames = with(&|_| {});
    assert!(frames == with(&|_| {}));
    assert!(frames != with(&|params| params.sampler.steps = 3));
    assert!(frames != with(&|params| params.sampler.stabilization = 400));
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
    let mut error = |action: Action, change: &dyn Fn(&mut WorldParams<DdimParams>)| {
        let mut params = params(0);
        change(&mut params);
        world.step(&action, &params).unwrap_err().to_string()
    };
    for (found, what) in [
        (error(99.into(), &|_| {}), "unknown action 99"),
        (error(Action::IDLE, &|p| p.sampler.steps = 0), "steps 0"),
        (
            error(Action::IDLE, &|p| p.sampler.stabilization = 1001),
            "stabilization level 1001",
        ),
        (error(Action::IDLE, &|p| p.window = 33), "window 33"),
        (error(Action::IDLE, &|p| p.hop = 0), "hop 0"),
        (
            error(Action::IDLE, &|p| p.temperature = f32::NAN),
            "temperature NaN",
        ),
    ] {
        assert!(found.contains(what), "{found}");
    }
    assert_eq!(*world.snapshot(), before);
    let mut short = clip(2);
    short.images.pop();
    let message = world.reset(&short).unwrap_err().to_string();
    assert!(message.contains("expected frames of 24×32"), "{message}");
    let mut other = before;
    other.image = [0; 3].into();
    let message = world.restore(&other).unwrap_err().to_string();
    assert!(message.contains("another world"), "{message}");
}
