use driftless_engine::testing::{clip, cpu_sampler, small_config, world};

use super::*;
use crate::testing::agent;

fn candidate(actions: &[u32], value: f32) -> Candidate {
    Candidate {
        actions: actions.to_vec(),
        value,
    }
}

/// A game in mid-play and a planner for it.
fn game(settings: PlanSettings, threads: usize) -> (Sampler, Planner) {
    let config = small_config();
    let mut sampler = cpu_sampler(&world(&config));
    Agent::attach(&mut sampler).unwrap();
    let params = SamplerParams::default();
    sampler.reset(&clip(&config, 3), &params).unwrap();
    sampler.step(1, &params).unwrap();
    let threads = NonZeroUsize::new(threads).unwrap();
    let agent = Arc::new(agent(&config, 5));
    (sampler, Planner::new(agent, settings, threads, 4))
}

const SMALL: PlanSettings = PlanSettings {
    horizon: 3,
    rounds: 2,
    steps: 1,
    policy_share: 0.25,
    budget: 48,
};

#[test]
fn budget_is_shared_by_rounds_and_frames() {
    assert_eq!(SMALL.candidates(), 8);
    for budget in [0, 5, 11] {
        assert_eq!(PlanSettings { budget, ..SMALL }.candidates(), 0, "{budget}");
    }
    let (mut sampler, mut planner) = game(
        PlanSettings {
            budget: 11,
            ..SMALL
        },
        1,
    );
    assert_eq!(planner.plan(&mut sampler).unwrap(), None);
    planner.set_budget(12);
    assert!(planner.plan(&mut sampler).unwrap().is_some());
    assert_eq!(planner.batch.unwrap().games().len(), 2);
}

#[test]
fn planning_does_not_change_the_game() {
    let (mut sampler, mut planner) = game(SMALL, 1);
    let params = SamplerParams::default();
    let before = sampler.snapshot().unwrap();
    let tokens = sampler.tokens().unwrap().to_vec();
    planner.plan(&mut sampler).unwrap().unwrap();
    assert!(sampler.snapshot().unwrap() == before);
    assert_eq!(sampler.tokens().unwrap(), tokens);
    sampler.step(2, &params).unwrap();
    let (mut alone, _) = game(SMALL, 1);
    alone.step(2, &params).unwrap();
    assert!(alone.snapshot().unwrap() == sampler.snapshot().unwrap());
}

#[test]
fn plans_are_the_same_on_any_number_of_threads() {
    let plans = [1, 2].map(|threads| {
        let (mut sampler, mut planner) = game(SMALL, threads);
        let params = SamplerParams::default();
        let mut decisions = Vec::new();
        for _ in 0..3 {
            let decision = planner.plan(&mut sampler).unwrap().unwrap();
            sampler.step(decision.action, &params).unwrap();
            decisions.push(decision);
        }
        decisions
    });
    assert_eq!(plans[0], plans[1]);
    let sum: f32 = plans[0][0].probabilities.iter().sum();
    assert!((sum - 1.0).abs() < 1e-6);
}

/// What a candidate promises is Σ γ^k c_1…c_k r_{k+1} + γ^H c_1…c_H v_H of a dream under its actions.
#[test]
fn promise_is_the_discounted_sum_of_the_dream() {
    let (mut sampler, planner) = game(SMALL, 1);
    let agent = &planner.agent;
    let params = SamplerParams {
        seed: 9,
        steps: 1,
        ..SamplerParams::default()
    };
    let first = agent.features(&mut sampler).unwrap();
    let mut copy = sampler.fork().unwrap();
    Agent::attach(&mut copy).unwrap();
    let chosen = [2, 0, 1];
    let tried = follow(&mut copy, agent, (&first, 3), &params, |t, _| chosen[t]).unwrap();
    let gamma = agent.config().discount;
    let (mut expected, mut weight) = (0.0, 1.0);
    let mut frames = 0;
    for action in chosen {
        sampler.step(action, &params).unwrap();
        frames += 1;
        let features = agent.features(&mut sampler).unwrap();
        expected += weight * agent.reward(&features);
        let goes_on = agent.continues(&features);
        if goes_on < 0.5 {
            weight = 0.0;
            break;
        }
        weight *= gamma * goes_on;
    }
    let last = agent.features(&mut sampler).unwrap();
    expected += weight * agent.value(&last);
    assert_eq!(tried.actions, chosen[..frames]);
    assert!((tried.value - expected).abs() < 1e-6, "{}", tried.value);
}

#[test]
fn elites_shape_the_next_round() {
    let mut chances = Chances::uniform(3, 4);
    let elites = [
        candidate(&[1, 2, 3], 2.0),
        candidate(&[1, 3], 1.0),
        candidate(&[0], 0.5),
        candidate(&[1], 0.0),
    ];
    chances.learn(&elites);
    let even = UNIFORM / 4.0;
    let of = |share: f32| (1.0 - UNIFORM) * share + even;
    assert_eq!(chances.at(0), [of(0.25), of(0.75), even, even]);
    assert_eq!(chances.at(1), [even, even, of(0.5), of(0.5)]);
    assert_eq!(chances.at(2), [even, even, even, of(1.0)]);
    assert_eq!(chances.shares(&elites), [0.25, 0.75, 0.0, 0.0]);
    chances.learn(&[]);
    assert_eq!(chances.at(2), [even, even, even, of(1.0)]);
    // A frame on, less surely; the last frame is open again.
    let second = chances.at(1).to_vec();
    chances.shift();
    for (p, was) in chances.at(0).iter().zip(second) {
        assert!((p - (was + UNIFORM_AT_FIRST * (0.25 - was))).abs() < 1e-6);
    }
    assert!(chances.at(2).iter().all(|p| (p - 0.25).abs() < 1e-6));
}

#[test]
fn likeliest_of_equals_is_the_first() {
    assert_eq!(likeliest(&[0.25, 0.5, 0.25]), 1);
    assert_eq!(likeliest(&[0.5, 0.5]), 0);
    assert_eq!([1, 3, 6, 60].map(elite_count), [1, 1, 1, 10]);
}
