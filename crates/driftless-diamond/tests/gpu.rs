//! The denoiser on a GPU. What it computes is compared with the published program's in `parity.rs`.

#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

use std::path::{Path, PathBuf};

use driftless_diamond::{Agent, EdmParams, Past, World, WorldParams};
use driftless_engine::testing::{assert_near, gpu};
use driftless_engine::{Backend, Gpu};

const FRAME: usize = 32 * 32 * 3;

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/small.pt")
}

fn agent(gpu: &Gpu) -> Agent {
    Agent::read_on(&file(), &Backend::Wgpu(gpu.clone())).unwrap()
}

/// A frame of numbers without a pattern.
fn noisy(seed: usize) -> Vec<f32> {
    let mix = |i: usize| (i + 1 + seed * FRAME).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize);
    let number = |i: usize| (mix(i) >> 40) as f32 / (1 << 23) as f32 - 1.0;
    (0..FRAME).map(number).collect()
}

/// Four grey frames.
fn past(level: u8) -> Vec<u8> {
    (0..4 * FRAME).map(|i| level + (i / FRAME) as u8).collect()
}

#[test]
fn passes_match_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let (mut ours, mut cpu) = (agent(&gpu), Agent::read(&file()).unwrap());
    assert!(ours.gpu_name().unwrap().starts_with("wgpu "));
    assert_eq!(cpu.gpu_name(), None);
    for (seed, sigma) in [(0, 5.0), (1, 0.1), (2, 0.002)] {
        let images = past(40 * seed as u8);
        let past = Past {
            images: &images,
            actions: &[1, seed as u32, 5, 0],
        };
        let theirs = cpu.denoise(past, &noisy(seed), sigma).unwrap();
        let size = theirs.iter().fold(0f32, |most, x| most.max(x.abs()));
        let clean = ours.denoise(past, &noisy(seed), sigma).unwrap();
        assert_near(&clean, &theirs, 1e-4 * size);
    }
}

#[test]
fn tuned_tiles_compute_the_same() {
    let Some(gpu) = gpu() else { return };
    let (mut tuned, mut plain) = (agent(&gpu), agent(&gpu));
    tuned.set_fastest_tiles().unwrap();
    let images = past(90);
    let past = Past {
        images: &images,
        actions: &[0; 4],
    };
    let expected = plain.denoise(past, &noisy(3), 1.0).unwrap();
    assert_near(
        &tuned.denoise(past, &noisy(3), 1.0).unwrap(),
        &expected,
        1e-4,
    );
}

#[test]
fn half_weights_stay_near() {
    let Some(gpu) = gpu() else { return };
    let Ok(half) = gpu.clone().with_half() else {
        return;
    };
    let images = past(90);
    let past = Past {
        images: &images,
        actions: &[0; 4],
    };
    let expected = agent(&gpu).denoise(past, &noisy(3), 1.0).unwrap();
    let clean = agent(&half).denoise(past, &noisy(3), 1.0).unwrap();
    assert_near(&clean, &expected, 5e-3);
}

#[test]
fn restored_snapshot_continues_bit_for_bit() {
    let Some(gpu) = gpu() else { return };
    let mut world = World::new(agent(&gpu));
    let edm = EdmParams {
        steps: 1,
        ..EdmParams::default()
    };
    let params = WorldParams {
        edm,
        ..WorldParams::seeded(1)
    };
    let play = |world: &mut World| {
        let frame = |action| {
            world.step(action, &params).unwrap();
            world.image().to_vec()
        };
        [3, 0, 5].map(frame)
    };
    world.step(2, &params).unwrap();
    let saved = world.snapshot().clone();
    let first = play(&mut world);
    world.restore(&saved).unwrap();
    assert!(play(&mut world) == first);
}

#[test]
fn lost_device_is_named() {
    let Some(gpu) = gpu() else { return };
    let mut agent = agent(&gpu);
    let images = past(0);
    let past = Past {
        images: &images,
        actions: &[0; 4],
    };
    let initial = noisy(0);
    let next = |agent: &mut Agent| {
        let params = EdmParams::default();
        agent.next_frame(past, &params, initial.clone(), |_| {})
    };
    next(&mut agent).unwrap();
    gpu.device_and_queue().0.destroy();
    let error = next(&mut agent).unwrap_err();
    assert!(error.is_device(), "{error}");
    let text = error.to_string();
    assert!(text.contains(gpu.name()) && text.contains("lost"), "{text}");
    assert_eq!(text.lines().count(), 1);
}
