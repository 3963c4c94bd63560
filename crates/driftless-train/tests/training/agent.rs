//! An agent learns in the dream of the block's world to go where the reward is, and goes there in the real one.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use driftless_agent::{Agent, AgentPlayer, AgentPolicy, PlanSettings};
use driftless_data::Clip;
use driftless_engine::Sampler;
use driftless_train::{AgentOptions, run_agent};

use super::*;

const AGENT: &str = r"
hidden = 32
distances = 2
discount = 0.9
save_minutes = 60.0
preview_minutes = 0.0
[cloning]
batch_size = 64
[cloning.optimizer]
steps = 200
learning_rate = 3e-3
warmup_steps = 10
ema_decay = 0.9
[imagination]
games = 16
horizon = 6
steps = 2
slow_decay = 0.9
[imagination.optimizer]
steps = 150
learning_rate = 3e-3
warmup_steps = 10
ema_decay = 0.9
";

fn image(x: usize) -> Vec<u8> {
    let inside =
        |at: usize| (x..x + BLOCK).contains(&(at % SIDE)) && (6..10).contains(&(at / SIDE));
    let pixels = (0..SIDE * SIDE).flat_map(|at| [if inside(at) { 230u8 } else { 20 }; 3]);
    pixels.collect()
}

/// Share of the frames with the block at the right wall, over episodes of the real game.
fn share_of_rewards(sampler: &mut Sampler, player: impl Fn(u64) -> AgentPlayer) -> f64 {
    const FRAMES: usize = 20;
    let params = SamplerParams::default();
    let starts = [2, 4, 6, 8];
    let mut rewarded = 0;
    for (seed, mut x) in starts.into_iter().enumerate() {
        let mut player = player(seed as u64);
        let first = Clip {
            images: image(x),
            actions: vec![Action::IDLE],
        };
        sampler.reset(&first, &params).unwrap();
        for _ in 0..FRAMES {
            let action = player.decide(sampler).unwrap().action;
            x = match action {
                1 => x.saturating_sub(2),
                2 => (x + 2).min(SIDE - BLOCK),
                _ => x,
            };
            sampler.give(&image(x), action, &params).unwrap();
            rewarded += usize::from(x == SIDE - BLOCK);
        }
    }
    rewarded as f64 / (FRAMES * starts.len()) as f64
}

fn trained_agent(folder: &Path) -> (Sampler, Arc<Agent>) {
    let data = folder.join("data");
    record(&data, 1, 12, 0);
    train(&options(folder, "world")).unwrap();
    let config = folder.join("agent.toml");
    std::fs::write(&config, AGENT).unwrap();
    let run = AgentOptions {
        data,
        world: Some(folder.join("world/checkpoint")),
        out: folder.join("agent"),
        config: Some(config),
        skip_bad: false,
        resume: false,
        max_steps: None,
        max_minutes: None,
        seed: None,
    };
    let outcome = run_agent(&run, &mut ()).unwrap();
    assert_eq!(outcome, TrainOutcome::Finished);
    let checkpoint = folder.join("agent/checkpoint");
    let mut sampler =
        driftless_engine::open(&checkpoint, DeviceChoice::Cpu, &GpuSource::Own).unwrap();
    Agent::attach(&mut sampler).unwrap();
    let agent = Agent::read(&checkpoint, sampler.world()).unwrap();
    (sampler, Arc::new(agent))
}

#[test]
fn agent_learns_in_the_dream_what_pays_in_reality() {
    let folder = tempfile::tempdir().unwrap();
    let (mut sampler, agent) = trained_agent(folder.path());
    let player = |policy, seed| AgentPlayer::new(Arc::clone(&agent), policy, seed);
    let [cloned, trained] = [AgentPolicy::Cloned, AgentPolicy::Trained]
        .map(|policy| share_of_rewards(&mut sampler, |seed| player(policy, seed)));
    assert!(
        trained > 0.5 && trained > cloned + 0.2,
        "rewarded: {trained:.2} of the frames, cloned {cloned:.2}"
    );
    // What it finds by thinking ahead, without the policy that it learned.
    let plan = PlanSettings {
        horizon: 6,
        policy_share: 0.0,
        budget: 96,
        ..PlanSettings::default()
    };
    let planned = share_of_rewards(&mut sampler, |seed| {
        player(AgentPolicy::Cloned, seed).with_planner(plan, NonZeroUsize::MIN, seed)
    });
    assert!(
        planned > cloned + 0.2,
        "rewarded: {planned:.2} of the frames, cloned {cloned:.2}"
    );
}
