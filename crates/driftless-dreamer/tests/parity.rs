//! Against the program that the models are published with (github.com/nicklashansen/dreamer4 at bdeddfe) on networks of
//! reduced width with random weights, in PyTorch 2.15 on one thread. The files are what its `save_ckpt` writes, with the
//! state of an optimizer; they were read back by its own loaders. `small.safetensors` holds inputs and outputs in single
//! precision, pictures channels last. `dynamics_ckpt.pt` has attention over time in every second layer, an agent's token
//! that nobody sees, and scaled positions; `mixed.pt` has it in every layer, agents that all see, and positions as they
//! are. The rollouts are those of its `interactive.py`, run on the CPU, one with a window that moves.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use driftless_data::metrics::psnr;
use driftless_dreamer::{Dreamer, ShortcutParams};
use driftless_engine::testing::{assert_near, read_arrays};
use driftless_published::{Frame, WindowNetwork as _};

use common::{DYNAMICS, data, dreamer};

/// Bytes of a frame: 16×24 pixels.
const FRAME: usize = 16 * 24 * 3;
/// Numbers of a latent: 4 tokens of 6.
const LEN: usize = 24;
/// Actuators.
const ACTUATORS: usize = 16;
/// The step of each frame of the fixture, and the number of steps.
const STEPS: [(usize, usize); 5] = [(0, 1), (1, 2), (3, 4), (2, 4), (0, 2)];

type Arrays = BTreeMap<String, Vec<f32>>;

fn arrays() -> Arrays {
    read_arrays(&data("small.safetensors"))
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().map(|value| *value as u8).collect()
}

/// Actions of which some actuators are masked: those are at rest.
fn masked(actions: &[f32], mask: &[f32]) -> Vec<Vec<f32>> {
    let row = |action: &[f32]| action.iter().zip(mask).map(|(a, m)| a * m).collect();
    actions.chunks(ACTUATORS).map(row).collect()
}

#[test]
fn encoder_matches_in_every_frame_of_a_row() {
    let (mut dreamer, arrays) = (dreamer(DYNAMICS).unwrap(), arrays());
    let video = bytes(&arrays["video"]);
    let frames: Vec<&[u8]> = video.chunks(FRAME).collect();
    let latents = dreamer.encode_all(&frames).unwrap();
    assert_near(&latents.concat(), &arrays["latents"], 1e-4);
    // Alone, a frame is the first of its row.
    let latents = dreamer.encode_all(&frames[1..2]).unwrap();
    assert_near(&latents[0], &arrays["latent.alone"], 1e-4);
    assert!(latents[0] != arrays["latents"][LEN..2 * LEN]);
}

#[test]
fn decoder_matches() {
    let (mut dreamer, arrays) = (dreamer(DYNAMICS).unwrap(), arrays());
    for _ in 0..2 {
        let picture = dreamer.decode(&arrays["decoder.latent"]).unwrap();
        assert_near(&picture, &arrays["decoder.picture"], 1e-4);
    }
}

/// The prediction for frame `t` of the fixture after those before it.
fn prediction(
    dreamer: &mut Dreamer,
    arrays: &Arrays,
    (t, step): (usize, usize),
    params: ShortcutParams,
) -> Vec<f32> {
    let latents = arrays["x"].chunks(LEN);
    let frames = latents.zip(masked(&arrays["actions"], &arrays["mask"]));
    let frames: Vec<Arc<Frame>> = frames
        .map(|(latent, controls)| {
            let latent = latent.to_vec();
            Arc::new(Frame { latent, controls })
        })
        .collect();
    let predicted = dreamer.predict(&frames[..t], &frames[t], step, &params);
    predicted.unwrap()
}

#[test]
fn dynamics_match_in_every_frame() {
    let arrays = arrays();
    for (name, file) in [("clean", DYNAMICS), ("mixed", "mixed.pt")] {
        let mut dreamer = dreamer(file).unwrap();
        for (t, (step, steps)) in STEPS.into_iter().enumerate() {
            let params = ShortcutParams {
                steps,
                ..ShortcutParams::default()
            };
            let ours = prediction(&mut dreamer, &arrays, (t, step), params);
            assert_near(&ours, &arrays[name][t * LEN..][..LEN], 1e-4);
        }
    }
}

#[test]
fn dynamics_match_with_noisier_context() {
    let (mut dreamer, arrays) = (dreamer(DYNAMICS).unwrap(), arrays());
    let params = ShortcutParams {
        steps: 2,
        context_signal: 5.0 / 8.0,
    };
    let ours = prediction(&mut dreamer, &arrays, (3, 1), params);
    assert_near(&ours, &arrays["clean.5"], 1e-4);
}

/// Frames from recorded noise, each from those before, from one picture on.
fn rollout(
    dreamer: &mut Dreamer,
    arrays: &Arrays,
    name: &str,
    [steps, window]: [usize; 2],
) -> Vec<u8> {
    let array = |part: &str| &arrays[&format!("{name}.{part}")];
    let params = ShortcutParams {
        steps,
        ..ShortcutParams::default()
    };
    let first = bytes(&arrays["video"][..FRAME]);
    let latent = dreamer.encode_all(&[&first]).unwrap().remove(0);
    let controls = vec![0.0; ACTUATORS];
    let mut frames = vec![Arc::new(Frame { latent, controls })];
    let actions = masked(array("actions"), array("mask"));
    for (noise, controls) in array("noise").chunks(LEN).zip(actions) {
        let context = &frames[(frames.len() + 1).saturating_sub(window)..];
        let latent = dreamer.next_latent(context, &controls, &params, noise.to_vec());
        let latent = latent.unwrap();
        frames.push(Arc::new(Frame { latent, controls }));
    }
    let pictures = frames
        .iter()
        .flat_map(|frame| dreamer.decode(&frame.latent).unwrap());
    pictures
        .map(|x| (x.clamp(0.0, 1.0) * 255.0) as u8)
        .collect()
}

#[test]
fn rollouts_stay_above_40_db() {
    let arrays = arrays();
    // Of the published window, 6 and 24 are frames before the current one.
    for (name, file, steps, window) in [("moving", DYNAMICS, 2, 7), ("growing", "mixed.pt", 4, 25)]
    {
        let ours = rollout(&mut dreamer(file).unwrap(), &arrays, name, [steps, window]);
        let theirs = bytes(&arrays[&format!("{name}.frames")]);
        assert_eq!(ours.len(), 17 * FRAME);
        for (ours, theirs) in ours.chunks(FRAME).zip(theirs.chunks(FRAME)) {
            let psnr = psnr(ours, theirs).unwrap();
            assert!(psnr >= 40.0, "{name}: {psnr:.1} dB");
        }
        // Otherwise a frame would be as good as another.
        let moved = psnr(&theirs[FRAME..2 * FRAME], &theirs[16 * FRAME..]).unwrap();
        assert!(moved < 25.0, "{moved:.1} dB");
    }
}

#[test]
fn threads_change_no_bit() {
    let arrays = arrays();
    let alone = rollout(&mut dreamer(DYNAMICS).unwrap(), &arrays, "moving", [2, 7]);
    for threads in [2, 3] {
        let mut dreamer = dreamer(DYNAMICS).unwrap();
        dreamer.set_threads(threads).unwrap();
        assert!(rollout(&mut dreamer, &arrays, "moving", [2, 7]) == alone);
    }
}

#[test]
fn files_tell_their_shapes() {
    let info = dreamer(DYNAMICS).unwrap().info();
    assert_eq!((info.image, info.latent), ([16, 24], [4, 6]));
    assert_eq!((info.actuators, info.k_max, info.window), (16, 8, 32));
    // What PyTorch counts.
    assert_eq!(info.parameters, [40_556, 76_566]);
    assert_eq!(dreamer("mixed.pt").unwrap().info().k_max, 4);
}
