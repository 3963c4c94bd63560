use std::path::Path;

use driftless_agent::testing;
use driftless_engine::{Backend, Threads, open_on_backend};
use driftless_model::config::WorldConfig;

use super::*;

fn sampler(world: &str) -> Sampler {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints");
    open_on_backend(&folder.join(world), &Backend::Cpu(Threads::ONE)).unwrap()
}

fn agent(world: &WorldConfig, seed: u64) -> Arc<Agent> {
    Arc::new(testing::agent(world, seed))
}

fn options(threads: usize) -> AgentEvalOptions {
    AgentEvalOptions {
        episodes: 3,
        frames: 6,
        dreamt_frames: 2,
        seed: 5,
        threads: NonZeroUsize::new(threads).unwrap(),
        planned_frames: 0,
    }
}

#[test]
fn every_policy_plays_the_same_episodes() {
    let sampler = sampler("maze");
    let agents = [1, 2].map(|seed| agent(sampler.world(), seed));
    let measure = |threads| run(&sampler, &agents, &options(threads), &|_, _| true).unwrap();
    let report = measure(1);
    assert!(report == measure(2), "threads matter");
    let names: Vec<_> = report
        .policies
        .iter()
        .map(|p| (p.policy, p.agent))
        .collect();
    let expected = [
        ("random", None),
        ("scripted", None),
        ("cloned", Some(0)),
        ("trained", Some(0)),
        ("cloned", Some(1)),
        ("trained", Some(1)),
    ];
    assert_eq!(names, expected);
    assert!(
        report
            .policies
            .iter()
            .all(|p| p.all_returns.len() == 3 && p.length.mean == 6.0)
    );
    assert!(report.policies[3].dreamt.is_some() && report.policies[0].dreamt.is_none());
    let text = crate::table::text(&tables(&report));
    assert!(
        text.contains("trained, agent 2") && text.contains("trained − cloned"),
        "{text}"
    );
}

#[test]
fn planners_play_them_too() {
    let sampler = sampler("maze");
    let agents = [agent(sampler.world(), 1)];
    let options = AgentEvalOptions {
        frames: 2,
        planned_frames: 40,
        ..options(2)
    };
    let report = run(&sampler, &agents, &options, &|done, total| {
        done <= total && total == 21
    })
    .unwrap();
    let planning = &report.policies[4];
    assert_eq!((planning.policy, planning.agent), ("planning", Some(0)));
    assert!(planning.seen.is_some() && planning.dreamt.is_none());
    assert_eq!(planning.length.mean, 2.0);
}

#[test]
fn worlds_without_simulator_are_refused() {
    let sampler = sampler("pong");
    let agents = [agent(sampler.world(), 1)];
    let error = run(&sampler, &agents, &options(1), &|_, _| true).unwrap_err();
    assert!(error.to_string().contains("no simulator"), "{error}");
}

#[test]
fn measuring_stops_when_asked() {
    let sampler = sampler("maze");
    let error = run(&sampler, &[], &options(1), &|done, _| done < 1).unwrap_err();
    assert!(matches!(
        error,
        Error::Data(driftless_data::Error::Interrupted)
    ));
}

/// The scripted driver earns more than random actions do: rewards are counted, and counted right.
#[test]
fn scripted_driver_beats_random_actions() {
    let played = |policy| {
        let progress = Progress {
            tick: &|_, _| true,
            done: AtomicUsize::new(0),
            total: 1,
        };
        let of_seed =
            |seed| play_without(SimulatorKind::Drive, policy, seed, 90, &progress).unwrap();
        (0..2).map(|seed| of_seed(seed).sum(90)).sum::<f64>()
    };
    assert!(played(Policy::Scripted) > played(Policy::Random) + 3.0);
}

#[test]
fn impossible_measures_are_named() {
    let sampler = sampler("maze");
    let error = |change: &dyn Fn(&mut AgentEvalOptions)| {
        let mut options = options(1);
        change(&mut options);
        run(&sampler, &[], &options, &|_, _| true)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(&|o| o.episodes = 1),
        "episodes is 1, expected at least 2"
    );
    assert_eq!(
        error(&|o| o.frames = 0),
        "episode-frames is 0, expected at least 1"
    );
    let text = error(&|o| o.planned_frames = 39);
    assert!(
        text.starts_with("planned-frames is 39, expected 0 or at least 40"),
        "{text}"
    );
}

#[test]
fn dreams_are_as_long_as_episodes() {
    let sampler = sampler("maze");
    let agents = [agent(sampler.world(), 1)];
    let measure = |dreamt_frames| {
        let options = AgentEvalOptions {
            dreamt_frames,
            ..options(1)
        };
        run(&sampler, &agents, &options, &|_, _| true).unwrap()
    };
    let longer = measure(60);
    assert_eq!(longer.dreamt_frames, 6);
    assert!(longer == measure(6));
}
