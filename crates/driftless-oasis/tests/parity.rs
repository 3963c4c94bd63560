//! Against Oasis's own program (github.com/etched-ai/open-oasis at f59deef) on networks of reduced width with random
//! weights, in PyTorch 2.15 on one thread. The networks are as `safetensors.torch.save_model` wrote them, in half
//! precision; `small.safetensors` holds inputs and outputs in single precision, pictures and latents channels last. The
//! rollouts are those of its `generate.py`, run on the CPU, with a window of four frames.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use driftless_data::metrics::psnr;
use driftless_engine::testing::{assert_near, read_arrays};
use driftless_oasis::controls::CONTROLS;
use driftless_oasis::{DdimParams, Oasis};
use driftless_published::{Frame, WindowNetwork as _};

use common::data;

/// Bytes of a frame: 24×32 pixels.
const FRAME: usize = 24 * 32 * 3;
/// Numbers of a latent.
const LEN: usize = 6 * 8 * 16;
/// Frames of a window, the current one included.
const WINDOW: usize = 4;

fn oasis() -> Oasis {
    common::oasis().unwrap()
}

fn arrays() -> BTreeMap<String, Vec<f32>> {
    read_arrays(&data("small.safetensors"))
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().map(|value| *value as u8).collect()
}

fn frame(latent: &[f32], controls: &[f32]) -> Frame {
    Frame {
        latent: latent.to_vec(),
        controls: controls.to_vec(),
    }
}

#[test]
fn encoder_matches() {
    let arrays = arrays();
    let latents = oasis().encode_all(&[&bytes(&arrays["image"])]).unwrap();
    assert_near(&latents[0], &arrays["latent"], 1e-4);
}

#[test]
fn decoder_matches() {
    let arrays = arrays();
    let picture = oasis().decode(&arrays["decoder.latent"]).unwrap();
    assert_near(&picture, &arrays["decoder.picture"], 1e-4);
}

/// The velocity of frame `t` of the fixture after those before it, whose noise is stabilized by `stabilization`.
fn velocity(
    oasis: &mut Oasis,
    arrays: &BTreeMap<String, Vec<f32>>,
    t: usize,
    stabilization: usize,
) -> Vec<f32> {
    let frames = arrays["x"]
        .chunks(LEN)
        .zip(arrays["actions"].chunks(CONTROLS));
    let frames: Vec<Frame> = frames.map(|(x, action)| frame(x, action)).collect();
    let context: Vec<Arc<Frame>> = frames[..t].iter().cloned().map(Arc::new).collect();
    let params = DdimParams {
        stabilization,
        ..DdimParams::default()
    };
    let level = arrays["levels"][t] as usize;
    oasis
        .velocity(&context, &frames[t], level, &params)
        .unwrap()
}

#[test]
fn transformer_matches_in_every_frame() {
    let (mut oasis, arrays) = (oasis(), arrays());
    for (t, theirs) in arrays["velocity"].chunks(LEN).enumerate() {
        assert_near(&velocity(&mut oasis, &arrays, t, 15), theirs, 1e-4);
    }
    let theirs = &arrays["velocity.299"];
    assert_near(&velocity(&mut oasis, &arrays, 2, 300), theirs, 1e-4);
    let theirs = &arrays["velocity"][2 * LEN..];
    assert_near(&velocity(&mut oasis, &arrays, 2, 15), theirs, 1e-4);
}

/// Frames from recorded noise, each from those before: all frames, the prompt's included.
fn rollout(
    oasis: &mut Oasis,
    arrays: &BTreeMap<String, Vec<f32>>,
    name: &str,
    steps: usize,
) -> Vec<u8> {
    let array = |part: &str| &arrays[&format!("{name}.{part}")];
    let params = DdimParams {
        steps,
        ..DdimParams::default()
    };
    let mut actions = array("actions").chunks(CONTROLS);
    let mut frames = Vec::new();
    for image in array("prompt").chunks(FRAME) {
        let latents = oasis.encode_all(&[&bytes(image)]).unwrap();
        frames.push(Arc::new(frame(&latents[0], actions.next().unwrap())));
    }
    for (noise, action) in array("noise").chunks(LEN).zip(actions) {
        let context = &frames[(frames.len() + 1).saturating_sub(WINDOW)..];
        let latent = oasis.next_latent(context, action, &params, noise.to_vec());
        frames.push(Arc::new(frame(&latent.unwrap(), action)));
    }
    let picture = |frame: &Arc<Frame>| oasis.decode(&frame.latent).unwrap();
    let pictures: Vec<f32> = frames.iter().flat_map(picture).collect();
    let levels = pictures.into_iter().map(|x| x.clamp(0.0, 1.0) * 255.0);
    levels.map(|x| x as u8).collect()
}

#[track_caller]
fn assert_above_40_db(ours: &[u8], theirs: &[u8]) {
    assert_eq!(ours.len(), theirs.len());
    let psnr = psnr(ours, theirs).unwrap();
    assert!(psnr >= 40.0, "{psnr:.1} dB");
}

#[test]
fn rollouts_stay_above_40_db() {
    let arrays = arrays();
    for (name, steps) in [("one", 10), ("three", 3)] {
        let ours = rollout(&mut oasis(), &arrays, name, steps);
        let theirs = bytes(&arrays[&format!("{name}.frames")]);
        for (ours, theirs) in ours.chunks(FRAME).zip(theirs.chunks(FRAME)) {
            assert_above_40_db(ours, theirs);
        }
        assert_eq!(ours.len(), theirs.len());
    }
}

#[test]
fn threads_change_no_bit() {
    let arrays = arrays();
    let alone = rollout(&mut oasis(), &arrays, "one", 10);
    for threads in [2, 3] {
        let mut oasis = oasis();
        oasis.set_threads(threads).unwrap();
        assert!(rollout(&mut oasis, &arrays, "one", 10) == alone);
    }
}

#[test]
fn files_tell_their_shapes() {
    let info = oasis().info();
    assert_eq!((info.image, info.latent), ([24, 32], [6, 8, 16]));
    // What PyTorch counts.
    assert_eq!(info.parameters, [91_692, 318_032]);
}
