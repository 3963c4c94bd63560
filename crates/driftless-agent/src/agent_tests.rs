use std::sync::Arc;

use driftless_engine::SamplerParams;
use driftless_engine::testing::{clip, cpu_sampler, small_config, world};
use driftless_model::checkpoint::write_tensors;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::network::seeded;
use crate::testing::{agent, config, tensors};
use crate::{AgentPlayer, Dream, imagine};

#[test]
fn plain_heads_equal_those_of_tensors() {
    let config = config(&small_config());
    let ([policy, ..], _) = seeded(&config, HEADS, 5).unwrap();
    let agent = Agent::new(&config, &tensors(&config, 5)).unwrap();
    let mut features: Vec<f32> = (0..config.features.len())
        .map(|i| (i as f32 * 0.7).sin())
        .collect();
    let first = features[0];
    agent.standardize(&mut features);
    assert_eq!(features[0], (first - 0.25) / 2.0);
    let x = Tensor::from_slice(&features, (1, features.len()), &Device::Cpu).unwrap();
    let logits = policy.forward(&x).unwrap().flatten_all().unwrap();
    let logits = logits.to_vec1::<f32>().unwrap();
    let probabilities = agent.probabilities(&features, AgentPolicy::Trained);
    for (a, b) in probabilities.iter().zip(softmax(&logits[..3])) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
    assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    // The value's last layer is zero.
    assert_eq!(agent.value(&features), 0.0);
}

#[test]
fn agent_reads_its_files_of_its_world_only() {
    let world = small_config();
    let config = config(&world);
    let folder = tempfile::tempdir().unwrap();
    assert!(!Agent::is_in(folder.path()));
    driftless_data::fs::write_json(&folder.path().join(AGENT_CONFIG), &config).unwrap();
    write_tensors(&folder.path().join(AGENT_WEIGHTS), &tensors(&config, 5)).unwrap();
    assert!(Agent::is_in(folder.path()));
    let agent = Agent::read(folder.path(), &world).unwrap();
    assert_eq!(agent.config(), &config);
    let mut other = world.clone();
    other.actions.pop();
    let error = Agent::read(folder.path(), &other)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("agent.json") && error.contains("3 actions, expected 2"),
        "{error}"
    );
    let mut other = world;
    other.dynamics.width += 3;
    assert!(Agent::read(folder.path(), &other).is_err());
}

#[test]
fn agent_may_be_stored_in_half_precision() {
    let world = small_config();
    let config = config(&world);
    let folder = tempfile::tempdir().unwrap();
    driftless_data::fs::write_json(&folder.path().join(AGENT_CONFIG), &config).unwrap();
    let half = tensors(&config, 5).into_iter();
    let half = half.map(|(name, tensor)| (name, tensor.to_dtype(DType::F16).unwrap()));
    write_tensors(&folder.path().join(AGENT_WEIGHTS), &half.collect()).unwrap();
    let read = Agent::read(folder.path(), &world).unwrap();
    let features: Vec<f32> = (0..config.features.len())
        .map(|i| (i as f32).sin())
        .collect();
    let [a, b] = [&read, &agent(&world, 5)]
        .map(|agent| agent.probabilities(&features, AgentPolicy::Trained));
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
}

#[test]
fn agent_wants_a_frame_first() {
    let world_config = small_config();
    let mut sampler = cpu_sampler(&world(&world_config));
    let agent = agent(&world_config, 5);
    let error = agent.features(&mut sampler).unwrap_err().to_string();
    assert!(error.contains("attach"), "{error}");
}

/// The agent only reads: with it and without, the dream is the same, bit for bit.
#[test]
fn dreams_do_not_depend_on_the_agent() {
    let config = small_config();
    let world = world(&config);
    let params = SamplerParams::default();
    let mut watched = cpu_sampler(&world);
    Agent::attach(&mut watched).unwrap();
    watched.reset(&clip(&config, 3), &params).unwrap();
    let mut player = AgentPlayer::new(Arc::new(agent(&config, 5)), AgentPolicy::Trained, 4);
    let mut actions = Vec::new();
    for frame in 0..20 {
        let decision = player.decide(&mut watched).unwrap();
        // Someone takes over now and then.
        let action = if frame % 3 == 0 { 1 } else { decision.action };
        watched.step(action, &params).unwrap();
        actions.push(action);
    }
    let mut alone = cpu_sampler(&world);
    alone.reset(&clip(&config, 3), &params).unwrap();
    for action in actions {
        alone.step(action, &params).unwrap();
    }
    assert!(alone.snapshot().unwrap() == watched.snapshot().unwrap());
}

#[test]
fn imagination_tells_what_led_to_each_frame() {
    let config = small_config();
    let world = world(&config);
    let agent = agent(&config, 5);
    let params = SamplerParams::default();
    let dream = Dream {
        horizon: 6,
        policy: AgentPolicy::Cloned,
        params,
        penalty: 0.0,
        floor: 0.0,
    };
    let mut sampler = cpu_sampler(&world);
    Agent::attach(&mut sampler).unwrap();
    sampler.reset(&clip(&config, 3), &params).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let dreamt = imagine(&mut sampler, &agent, &dream, &mut rng).unwrap();
    let n = dreamt.actions.len();
    assert!(n > 0 && n <= 6);
    assert_eq!(
        dreamt.features.len(),
        (n + 1) * agent.config().features.len()
    );
    assert!(n == 6 || dreamt.continues[n - 1] == 0.0);
    // The same actions by hand: reward t + 1 is read from frame t + 1.
    sampler.reset(&clip(&config, 3), &params).unwrap();
    for (t, action) in dreamt.actions.iter().enumerate() {
        sampler.step(*action, &params).unwrap();
        let features = agent.features(&mut sampler).unwrap();
        let len = features.len();
        assert_eq!(features, dreamt.features[(t + 1) * len..(t + 2) * len]);
        assert_eq!(agent.reward(&features), dreamt.rewards[t]);
    }
}

#[test]
fn draws_follow_the_probabilities() {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut counts = [0; 3];
    for _ in 0..10_000 {
        counts[draw(&[0.2, 0.0, 0.8], &mut rng) as usize] += 1;
    }
    assert_eq!(counts[1], 0);
    assert!((1_850..2_150).contains(&counts[0]), "{counts:?}");
}
