//! An agent and a person take turns.

use driftless_agent::testing::agent;
use driftless_agent::{AgentPlayer, AgentPolicy};
use driftless_engine::testing::{clip, cpu_sampler, small_config, world};

use super::rewinding::{branches, seek};
use super::*;

/// A small learned world with an agent.
fn with_agent() -> SimOptions {
    let config = small_config();
    let player = move |_: &GpuSource| -> Result<Box<dyn Player>> {
        let clips = vec![clip(&config, 3)];
        let mut learned = LearnedWorld::new(cpu_sampler(&world(&config)), clips.into());
        let player = AgentPlayer::new(Arc::new(agent(&config, 3)), AgentPolicy::Trained, 1);
        learned.set_agent(Some(player))?;
        Ok(Box::new(learned))
    };
    SimOptions {
        player: Arc::new(player),
        // A random network sees ends where there are none.
        restart_at_end: false,
        ..options()
    }
}

#[test]
fn agent_plays_until_a_key_and_is_a_branch() {
    let sim = spawn(with_agent());
    let first = next(&sim);
    assert_eq!(first.diagnostics.decision, None, "a person plays");
    sim.send(InputCommand::Autoplay(true));
    // What was not decided with the frame is decided when it is due.
    let mut decided = None;
    for _ in 0..6 {
        let frame = step(&sim);
        if let Some(action) = decided {
            assert_eq!(frame.action, action);
        }
        decided = frame.diagnostics.decision.map(|decision| decision.action);
        assert!(decided.is_some());
    }
    let second = TimelinePosition {
        index: 2,
        ..first.position
    };
    seek(&sim, second);
    hold(&sim, 1);
    let mine = step(&sim);
    assert_eq!((mine.action, mine.diagnostics.decision), (1.into(), None));
    assert_ne!(mine.position.branch, first.position.branch);
    sim.send(InputCommand::Autoplay(true));
    assert!(step(&sim).diagnostics.decision.is_some(), "handed back");
    assert_eq!(branches(&sim).len(), 2);
}
