//! Against DIAMOND's own program (github.com/eloialonso/diamond at 5bcd159) on an agent of reduced width with random
//! weights, in PyTorch 2.15 on one thread. `small.pt` is that agent as `torch.save` wrote its state dict;
//! `small.safetensors` holds inputs and outputs, frames channels last.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use driftless_diamond::{Agent, EdmParams, EdmSolver, Past};
use driftless_engine::testing::{assert_near, read_arrays};

/// A frame of the fixture.
const FRAME: usize = 32 * 32 * 3;

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn agent() -> Agent {
    Agent::read(&data("small.pt")).unwrap()
}

/// The agent on the CPU, and on a GPU if there is one.
fn agents() -> Vec<Agent> {
    [Some(agent()), gpu_agent()].into_iter().flatten().collect()
}

#[cfg(feature = "wgpu")]
fn gpu_agent() -> Option<Agent> {
    let gpu = driftless_engine::testing::gpu()?;
    let backend = driftless_engine::Backend::Wgpu(gpu);
    Some(Agent::read_on(&data("small.pt"), &backend).unwrap())
}

#[cfg(not(feature = "wgpu"))]
fn gpu_agent() -> Option<Agent> {
    None
}

fn arrays() -> BTreeMap<String, Vec<f32>> {
    read_arrays(&data("small.safetensors"))
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().map(|value| *value as u8).collect()
}

fn actions(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| *value as u32).collect()
}

#[test]
fn denoiser_matches_at_every_noise_level() {
    let arrays = arrays();
    let (images, actions) = (bytes(&arrays["frames"]), actions(&arrays["actions"]));
    let past = Past {
        images: &images[..4 * FRAME],
        actions: &actions[..4],
    };
    for mut agent in agents() {
        for (i, sigma) in arrays["sigmas"].iter().enumerate() {
            let clean = agent.denoise(past, &arrays["noisy"], f64::from(*sigma));
            let expected = &arrays["denoised"][i * FRAME..][..FRAME];
            assert_near(&clean.unwrap(), expected, 1e-4);
        }
    }
}

/// Every frame of the sampler is rounded down to 256 levels, where the last bit of a number can decide. So a few
/// values may be a level apart; all others agree to 1e-4.
#[track_caller]
fn assert_same_frame(ours: &[f32], theirs: &[f32]) {
    assert_near(ours, theirs, 2.0 / 255.0 + 1e-4);
    let apart = ours
        .iter()
        .zip(theirs)
        .filter(|(a, b)| (*a - *b).abs() > 1e-4);
    let apart = apart.count();
    assert!(apart * 200 < ours.len(), "{apart} values are a level apart");
}

#[test]
fn sampler_matches_with_each_solver() {
    let arrays = arrays();
    let (images, actions) = (bytes(&arrays["frames"]), actions(&arrays["actions"]));
    let past = Past {
        images: &images[..4 * FRAME],
        actions: &actions[..4],
    };
    let heun = EdmParams {
        steps: 4,
        solver: EdmSolver::Heun,
        ..EdmParams::default()
    };
    let churn = EdmParams {
        steps: 5,
        sigma_min: 0.01,
        sigma_max: 2.0,
        rho: 5.0,
        churn: 1.0,
        ..EdmParams::default()
    };
    let solvers = [
        ("euler", EdmParams::default()),
        ("heun", heun),
        ("churn", churn),
    ];
    for mut agent in agents() {
        for (name, params) in &solvers {
            let mut noise = arrays[&format!("{name}.noise")].chunks_exact(FRAME);
            let initial = noise.next().unwrap().to_vec();
            let frame = agent.next_frame(past, params, initial, |out| {
                out.copy_from_slice(noise.next().unwrap());
            });
            assert_eq!(noise.len(), 0, "{name}");
            assert_same_frame(&frame.unwrap(), &arrays[&format!("{name}.frame")]);
        }
    }
}

#[test]
fn rewards_and_ends_match() {
    let (mut agent, arrays) = (agent(), arrays());
    let (images, actions) = (bytes(&arrays["frames"]), actions(&arrays["actions"]));
    let frames: Vec<&[u8]> = images.chunks_exact(FRAME).collect();
    let mut state = agent.reward_end_start();
    for (i, pair) in frames.windows(2).enumerate() {
        let logits = agent
            .reward_end(pair[0], actions[i], pair[1], &mut state)
            .unwrap();
        assert_near(&logits.reward, &arrays["reward"][3 * i..][..3], 1e-4);
        assert_near(&logits.end, &arrays["end"][2 * i..][..2], 1e-4);
    }
}

#[test]
fn actor_and_critic_match() {
    let (mut agent, arrays) = (agent(), arrays());
    let images = bytes(&arrays["frames"]);
    let mut state = agent.policy_start();
    for (i, frame) in images.chunks_exact(FRAME).enumerate() {
        let policy = agent.policy(frame, &mut state).unwrap();
        assert_near(&policy.actions, &arrays["policy"][6 * i..][..6], 1e-4);
        assert_near(&[policy.value], &arrays["value"][i..=i], 1e-4);
    }
}

/// Sixteen frames from recorded noise, each from those before.
fn rollout(agent: &mut Agent, arrays: &BTreeMap<String, Vec<f32>>) -> Vec<u8> {
    let mut images = bytes(&arrays["frames"][..4 * FRAME]);
    let mut taken = actions(&arrays["actions"][..3]);
    let noise = arrays["rollout.noise"].chunks_exact(FRAME);
    for (noise, action) in noise.zip(actions(&arrays["rollout.actions"])) {
        taken.push(action);
        let past = Past {
            images: &images[images.len() - 4 * FRAME..],
            actions: &taken[taken.len() - 4..],
        };
        let frame = agent.next_frame(past, &EdmParams::default(), noise.to_vec(), |_| {});
        let levels = frame.unwrap().into_iter();
        images.extend(levels.map(|x| ((x + 1.0) / 2.0 * 255.0).round() as u8));
    }
    images.split_off(4 * FRAME)
}

#[test]
fn rollout_stays_above_40_db() {
    let arrays = arrays();
    let theirs = bytes(&arrays["rollout.frames"]);
    for mut agent in agents() {
        let ours = rollout(&mut agent, &arrays);
        let psnr = driftless_data::metrics::psnr(&ours, &theirs).unwrap();
        assert!(psnr >= 40.0, "{psnr:.1} dB on {:?}", agent.gpu_name());
    }
}

#[test]
fn threads_change_no_bit() {
    let arrays = arrays();
    let alone = rollout(&mut agent(), &arrays);
    for threads in [2, 3] {
        let mut agent = agent();
        agent.set_threads(threads).unwrap();
        assert!(rollout(&mut agent, &arrays) == alone);
    }
}

#[test]
fn file_tells_its_shapes() {
    let info = agent().info();
    assert_eq!((info.image, info.actions, info.past), ([32, 32], 6, 4));
    assert_eq!(info.parameters.iter().sum::<usize>(), PARAMETERS);
}

/// What PyTorch counts, the buffer of the Fourier features included.
const PARAMETERS: usize = 243_642;
