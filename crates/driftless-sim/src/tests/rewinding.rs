//! Rewind and branches.

use driftless_worlds::SimulatorKind;

use super::*;

/// A shipped world on the processor.
pub(super) fn learned(name: &str) -> Arc<PlayerFactory> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../checkpoints")
        .join(name);
    let config = driftless_model::checkpoint::read_config(&folder).unwrap();
    let clips =
        driftless_model::starting_clips::read(&folder.join("contexts.npz"), &config).unwrap();
    let clips: Arc<[driftless_data::Clip]> = clips.into();
    Arc::new(move |gpu_source| {
        let engine =
            driftless_engine::open(&folder, driftless_engine::DeviceChoice::Cpu, gpu_source)?;
        Ok(Box::new(LearnedWorld::new(engine, Arc::clone(&clips))))
    })
}

/// The shipped Pong on the CPU, at unlimited pace.
pub(super) fn pong() -> SimOptions {
    SimOptions {
        player: learned("pong"),
        params: SamplerParams {
            steps: 1,
            ..SamplerParams::default()
        },
        ..options()
    }
}

/// Plays `actions` and returns their frames.
pub(super) fn played(sim: &SimThread, actions: &[u32]) -> Vec<Frame> {
    actions
        .iter()
        .map(|&action| {
            hold(sim, action);
            step(sim)
        })
        .collect()
}

pub(super) fn seek(sim: &SimThread, place: TimelinePosition) -> Frame {
    sim.send(TimelineCommand::Seek(place));
    next(sim)
}

pub(super) fn branches(sim: &SimThread) -> Vec<BranchInfo> {
    let branches = |message| match message {
        Message::Branches(branches) => Some(branches),
        _ => None,
    };
    sim.messages()
        .try_iter()
        .filter_map(branches)
        .last()
        .unwrap()
}

#[test]
fn rewind_is_bit_exact() {
    let sim = spawn(pong());
    let mut frames = vec![next(&sim)];
    let held: Vec<u32> = (0..70).map(|t| (t / 7) % 3).collect();
    frames.extend(played(&sim, &held));
    for t in [0, 1, 31, 32, 33, 50, 70, 12] {
        let again = seek(&sim, frames[t].position);
        assert_eq!(rgb(&again), rgb(&frames[t]), "frame {t}");
        assert_eq!(
            (again.number, again.action, again.position, again.params),
            (
                frames[t].number,
                frames[t].action,
                frames[t].position,
                frames[t].params
            )
        );
    }
    // The same actions from frame 12 on: another branch, the same frames.
    for (t, frame) in played(&sim, &held[12..40]).iter().enumerate() {
        assert_eq!(rgb(frame), rgb(&frames[13 + t]));
        assert_eq!((frame.position.branch, frame.position.index), (1, 13 + t));
    }
    assert_eq!(branches(&sim).len(), 2);
}

#[test]
fn branches_diverge_and_stay() {
    let sim = spawn(pong());
    next(&sim);
    let first = played(&sim, &[1; 20]);
    seek(&sim, first[4].position);
    let keys = played(&sim, &[2; 15]);
    seek(&sim, first[4].position);
    sim.send(SamplerCommand::Params(SamplerParams {
        seed: 9,
        ..pong().params
    }));
    let seed = played(&sim, &[1; 15]);
    assert_ne!(rgb(&keys[14]), rgb(&first[19]));
    assert_ne!(rgb(&seed[14]), rgb(&first[19]));
    assert_eq!(rgb(&seek(&sim, keys[14].position)), rgb(&keys[14]));
    assert_eq!(rgb(&seek(&sim, first[19].position)), rgb(&first[19]));
    let fork_index: Vec<_> = branches(&sim)
        .iter()
        .map(|b| (b.parent, b.fork_index))
        .collect();
    assert_eq!(fork_index, [(None, 0), (Some(0), 6), (Some(0), 6)]);
}

#[test]
fn rewind_crosses_resets() {
    let sim = spawn(pong());
    next(&sim);
    let before = played(&sim, &[1, 1, 2]);
    sim.send(EpisodeCommand::NextClip);
    let start = next(&sim);
    let after = played(&sim, &[0, 2]);
    assert_eq!(start.position.index, 4);
    let back = seek(&sim, before[2].position);
    assert_eq!(
        (rgb(&back), back.clip, back.number),
        (rgb(&before[2]), 0, 3)
    );
    let there = seek(&sim, start.position);
    assert_eq!((rgb(&there), there.clip, there.number), (rgb(&start), 1, 0));
    assert_eq!(rgb(&seek(&sim, after[1].position)), rgb(&after[1]));
}

#[test]
fn only_the_last_seek_counts() {
    let (player, open) = fake::gated();
    let (sim, events) = spawn_unread(SimOptions {
        player,
        ..options()
    });
    for _ in 0..2 {
        events.recv_timeout(TIMEOUT).unwrap();
    }
    sim.send(PlaybackCommand::Step);
    open.send(()).unwrap();
    events.recv_timeout(TIMEOUT).unwrap();
    // The thread waits inside the second step while the positions arrive.
    sim.send(PlaybackCommand::Step);
    let seek = |index| TimelineCommand::Seek(TimelinePosition { branch: 0, index });
    for index in [2, 1, 0, 1, 0] {
        sim.send(seek(index));
    }
    open.send(()).unwrap();
    settle(&sim);
    let numbers: Vec<u64> = sim.frames().try_iter().map(|frame| frame.number).collect();
    assert_eq!(numbers.last(), Some(&0));
    assert!(numbers.len() <= 3, "{numbers:?}");
}

#[test]
fn unknown_position_is_ignored() {
    let sim = spawn(options());
    next(&sim);
    let place = TimelinePosition {
        branch: 4,
        index: 2,
    };
    sim.send(TimelineCommand::Seek(place));
    assert!(matches!(next_message(&sim), Message::Notice(_)));
    assert_eq!(step(&sim).number, 1);
}

#[test]
fn branches_are_added_and_dropped() {
    let sim = spawn(options());
    next(&sim);
    let first = played(&sim, &[1, 1]);
    sim.send(TimelineCommand::NewBranch);
    // The same frame, on the new branch.
    let again = next(&sim);
    assert_eq!((again.position.branch, rgb(&again)), (1, rgb(&first[1])));
    let own = played(&sim, &[2]);
    assert_eq!((own[0].position.branch, own[0].position.index), (1, 3));
    assert_eq!(branches(&sim).len(), 2);
    sim.send(TimelineCommand::DeleteBranch(1));
    assert!(matches!(next_message(&sim), Message::Notice(_)));
    sim.send(TimelineCommand::DeleteBranch(0));
    step(&sim);
    assert_eq!(branches(&sim).len(), 1);
    // The frames that both shared are still there.
    let place = TimelinePosition {
        branch: 1,
        ..first[1].position
    };
    assert_eq!(rgb(&seek(&sim, place)), rgb(&first[1]));
}

#[test]
fn deleted_branch_comes_back() {
    let sim = spawn(pong());
    let mut first = vec![next(&sim)];
    first.extend(played(&sim, &[1, 1, 1]));
    seek(&sim, first[1].position);
    let second = played(&sim, &[2]);
    sim.send(TimelineCommand::DeleteBranch(0));
    sim.send(TimelineCommand::RestoreBranch);
    let again = seek(&sim, first[3].position);
    assert_eq!(rgb(&again), rgb(&first[3]));
    assert_eq!(again.position, first[3].position);
    assert_ne!(second[0].position.branch, 0);
}

#[test]
fn rewinds_simulators() {
    let sim = spawn(SimOptions {
        player: Arc::new(|_| Ok(Box::new(SimulatedWorld::new(SimulatorKind::Drive.open(0))))),
        ..options()
    });
    next(&sim);
    let frames = played(&sim, &[1; 40]);
    for t in [0, 20, 38] {
        let again = seek(&sim, frames[t].position);
        assert_eq!(rgb(&again), rgb(&frames[t]));
        assert_eq!(again.ground_truth, frames[t].ground_truth);
    }
}
