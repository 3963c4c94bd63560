//! Playing the small agent of `parity.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

use std::path::Path;

use driftless_data::Clip;
use driftless_diamond::{Agent, EdmParams, World, WorldParams};

const FRAME: usize = 32 * 32 * 3;

fn world() -> World {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/small.pt");
    World::new(Agent::read(&path).unwrap())
}

/// So many frames, each of one grey level.
fn clip(frames: usize) -> Clip {
    let frame = |i: usize| vec![30 * i as u8; FRAME];
    Clip {
        images: (0..frames).flat_map(frame).collect(),
        actions: (0..frames as u32).map(|i| (i % 6).into()).collect(),
    }
}

fn play(world: &mut World, actions: &[u32], params: &WorldParams) -> Vec<Vec<u8>> {
    let frame = |action: &u32| {
        world.step(*action, params).unwrap();
        world.image().to_vec()
    };
    actions.iter().map(frame).collect()
}

#[test]
fn same_seed_gives_same_frames() {
    let (mut a, mut b) = (world(), world());
    let params = WorldParams::seeded(3);
    let frames = play(&mut a, &[0, 1, 2], &params);
    assert!(frames == play(&mut b, &[0, 1, 2], &params));
    b.reset(&clip(4)).unwrap();
    a.reset(&clip(4)).unwrap();
    let frames = play(&mut a, &[4, 4], &params);
    assert!(frames == play(&mut b, &[4, 4], &params));
    assert!(frames != play(&mut b, &[4, 4], &WorldParams::seeded(4)));
}

#[test]
fn restored_snapshot_continues_bit_for_bit() {
    let mut world = world();
    let params = WorldParams {
        edm: EdmParams {
            churn: 1.0,
            ..EdmParams::default()
        },
        ..WorldParams::seeded(1)
    };
    world.reset(&clip(5)).unwrap();
    play(&mut world, &[1, 2], &params);
    let saved = world.snapshot().clone();
    let image = world.image().to_vec();
    let first = play(&mut world, &[3, 0, 5], &params);
    let (outcome, action) = (world.outcome(), world.policy_action(7).unwrap());
    world.restore(&saved).unwrap();
    assert!(world.image() == image && saved.image() == image);
    assert!(play(&mut world, &[3, 0, 5], &params) == first);
    assert_eq!(
        (world.outcome(), world.policy_action(7).unwrap()),
        (outcome, action)
    );
}

#[test]
fn actions_change_the_frame() {
    let params = WorldParams::seeded(0);
    let frames: Vec<_> = [0, 3]
        .map(|action| play(&mut world(), &[action], &params))
        .into();
    assert!(frames[0] != frames[1]);
}

#[test]
fn long_clips_leave_their_last_frames() {
    let (mut long, mut short) = (world(), world());
    long.reset(&clip(7)).unwrap();
    let whole = clip(7);
    short
        .reset(&Clip {
            images: whole.images[3 * FRAME..].to_vec(),
            actions: whole.actions[3..].to_vec(),
        })
        .unwrap();
    let (long, short) = (long.snapshot(), short.snapshot());
    assert!(long.images == short.images);
    assert_eq!(long.actions, [4, 5, 0]);
    assert_eq!(short.actions, long.actions);
    // The reward and end model has seen more.
    assert_ne!(long.reward_end, short.reward_end);
}

#[test]
fn short_clips_repeat_their_first_frame() {
    let mut world = world();
    world.reset(&clip(2)).unwrap();
    let frames: Vec<u8> = world
        .snapshot()
        .images
        .chunks(FRAME)
        .map(|frame| frame[0])
        .collect();
    assert_eq!(frames, [0, 0, 0, 30]);
    assert_eq!(world.snapshot().actions, [0, 0, 1]);
}

#[test]
fn wrong_arguments_are_named() {
    let mut world = world();
    let params = WorldParams::seeded(0);
    let error = world.step(6, &params).unwrap_err().to_string();
    assert!(error.contains("actions below 6"), "{error}");
    let mut unknown = clip(4);
    unknown.actions[2] = 9.into();
    assert!(world.reset(&unknown).is_err());
    let empty = Clip {
        images: Vec::new(),
        actions: Vec::new(),
    };
    assert!(world.reset(&empty).is_err());
    let mut other = world.snapshot().clone();
    other.images.pop();
    let error = world.restore(&other).unwrap_err().to_string();
    assert!(error.contains("another world"), "{error}");
    let edm = EdmParams {
        steps: 0,
        ..EdmParams::default()
    };
    assert!(world.step(0, &WorldParams { edm, ..params }).is_err());
}
