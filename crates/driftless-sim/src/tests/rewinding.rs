//! Rewind, branches and comparisons.

use driftless_data::DatasetInfo;
use driftless_worlds::SimulatorKind;

use super::*;

/// A shipped world on the processor.
fn learned(name: &str) -> Arc<PlayerFactory> {
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
fn pong() -> SimOptions {
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
fn played(sim: &SimThread, actions: &[u32]) -> Vec<Frame> {
    actions
        .iter()
        .map(|&action| {
            hold(sim, action);
            step(sim)
        })
        .collect()
}

fn seek(sim: &SimThread, place: TimelinePosition) -> Frame {
    sim.send(TimelineCommand::Seek(place));
    next(sim)
}

fn branches(sim: &SimThread) -> Vec<BranchInfo> {
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
fn compares_with_another_branch() {
    let sim = spawn(pong());
    next(&sim);
    let first = played(&sim, &[1; 10]);
    seek(&sim, first[3].position);
    sim.send(Command::Compare(ComparisonSource::Branch(0)));
    let shown = next(&sim);
    assert_eq!(shown.comparison.as_deref(), Some(rgb(&first[3])));
    for (t, frame) in played(&sim, &[2; 8]).iter().enumerate() {
        // Past its end, the branch keeps showing its last frame.
        let other = &first[(4 + t).min(9)];
        assert_eq!(frame.comparison.as_deref(), Some(rgb(other)), "{t}");
    }
}

#[test]
fn sends_stored_images() {
    let sim = spawn(options());
    next(&sim);
    let frames = played(&sim, &[1, 2, 1]);
    sim.messages().try_iter().for_each(drop);
    sim.send(TimelineCommand::StoredImages {
        branch: 0,
        indices: [1, 3, 9].into(),
        within: 0,
    });
    let Message::StoredImages { branch, images } = next_message(&sim) else {
        panic!("no images");
    };
    assert_eq!(branch, 0);
    let expected: Vec<_> = [(1, 0), (3, 2)]
        .map(|(index, t)| (index, rgb(&frames[t]).into()))
        .into();
    assert_eq!(images, expected);
}

#[test]
fn renders_an_episode_in_place() {
    let sim = spawn(pong());
    let mut frames = vec![next(&sim)];
    frames.extend(played(&sim, &[1, 1, 2, 0, 2]));
    sim.messages().try_iter().for_each(drop);
    sim.send(TimelineCommand::RenderEpisode {
        request: 1,
        end: frames[4].position,
    });
    let Message::RenderedEpisode { episode, .. } = next_message(&sim) else {
        panic!("no episode");
    };
    assert_eq!(episode.actions, [0, 1, 1, 2, 0]);
    for (t, frame) in frames[..5].iter().enumerate() {
        assert_eq!(episode.frame(t), rgb(frame));
    }
    assert_eq!(step(&sim).position.index, 6);
}

#[test]
fn rendering_reports_progress_and_can_be_cancelled() {
    let (player, open) = fake::gated();
    let sim = spawn(SimOptions {
        player,
        ..options()
    });
    let mut last = next(&sim);
    for _ in 0..5 {
        open.send(()).unwrap();
        last = step(&sim);
    }
    sim.messages().try_iter().for_each(drop);
    sim.send(TimelineCommand::RenderEpisode {
        request: 1,
        end: last.position,
    });
    let message = sim.messages().recv_timeout(TIMEOUT).unwrap();
    assert_eq!(
        message,
        Message::RenderProgress {
            request: 1,
            done: 1,
            total: 6
        }
    );
    // That of another request has no effect.
    sim.send(TimelineCommand::CancelRender(0));
    sim.send(TimelineCommand::CancelRender(1));
    // At most one more frame is rendered.
    open.send(()).unwrap();
    assert_eq!(next_message(&sim), Message::RenderCancelled(1));
    open.send(()).unwrap();
    open.send(()).unwrap();
    assert_eq!(step(&sim).position.index, 6);
}

#[test]
fn recent_frames_are_not_made_again() {
    let sim = spawn(pong());
    let mut frames = vec![next(&sim)];
    frames.extend(played(&sim, &[1, 1]));
    sim.send(EpisodeCommand::Reset);
    frames.push(next(&sim));
    frames.extend(played(&sim, &[2, 0]));
    sim.messages().try_iter().for_each(drop);
    let end = frames[5].position;
    sim.send(TimelineCommand::RecentFrames {
        request: 3,
        end,
        frames: 4,
    });
    let message = sim.messages().recv_timeout(TIMEOUT).unwrap();
    let Message::RecentFrames {
        request: 3,
        episode,
    } = message
    else {
        panic!("{message:?}");
    };
    // The restart lies among them.
    assert_eq!(episode.actions, [1, 0, 2, 0]);
    for (t, frame) in frames[2..].iter().enumerate() {
        assert_eq!(episode.frame(t), rgb(frame));
    }
    assert_eq!(step(&sim).position.index, 6);
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

fn learned_maze() -> SimOptions {
    SimOptions {
        player: learned("maze"),
        ..pong()
    }
}

#[test]
fn compares_with_a_simulator() {
    let sim = spawn(learned_maze());
    next(&sim);
    sim.send(Command::Compare(ComparisonSource::Simulator(
        SimulatorKind::Maze,
    )));
    let start = next(&sim);
    // A learned world starts from the simulator's own frames.
    assert_eq!(start.comparison.as_deref(), Some(rgb(&start)));
    let frames = played(&sim, &[1, 1, 1, 3, 3, 1, 1, 1]);
    for frame in &frames {
        let truth = frame.comparison.as_deref().unwrap();
        let psnr = driftless_data::metrics::psnr(rgb(frame), truth).unwrap();
        assert!(psnr > 17.0, "frame {}: {psnr} dB", frame.number);
    }
    // A rewind takes the ground truth along.
    let again = seek(&sim, frames[3].position);
    assert_eq!(again.comparison, frames[3].comparison);
    hold(&sim, 3);
    assert_eq!(step(&sim).comparison, frames[4].comparison);
    sim.send(Command::Compare(ComparisonSource::Off));
    assert_eq!(next(&sim).comparison, None);
}

#[test]
fn measures_drift_and_surprise() {
    let sim = spawn(learned_maze());
    next(&sim);
    let silent = step(&sim);
    assert_eq!(
        (silent.diagnostics.drift, silent.diagnostics.surprise),
        (None, None)
    );
    sim.send(CaptureCommand::Measure(true));
    let alone = step(&sim);
    assert!(alone.diagnostics.drift.unwrap() > 0.0 && alone.diagnostics.surprise.is_none());
    sim.send(Command::Compare(ComparisonSource::Simulator(
        SimulatorKind::Maze,
    )));
    next(&sim);
    let frames = played(&sim, &[1, 1, 3, 3]);
    for frame in &frames {
        let surprise = frame.diagnostics.surprise.unwrap();
        assert!(surprise > 0.0 && surprise < 1.0, "{surprise}");
    }
    // Measuring does not change the frames.
    let again = spawn(learned_maze());
    next(&again);
    step(&again);
    step(&again);
    again.send(Command::Compare(ComparisonSource::Simulator(
        SimulatorKind::Maze,
    )));
    next(&again);
    for (a, b) in frames.iter().zip(played(&again, &[1, 1, 3, 3])) {
        assert_eq!(rgb(a), rgb(&b));
    }
}

#[test]
fn compares_with_an_episode() {
    let recorded = {
        let sim = spawn(pong());
        let mut frames = vec![next(&sim)];
        frames.extend(played(&sim, &[1; 40]));
        sim.messages().try_iter().for_each(drop);
        sim.send(TimelineCommand::RenderEpisode {
            request: 1,
            end: frames[40].position,
        });
        let Message::RenderedEpisode { episode, .. } = next_message(&sim) else {
            panic!("no episode");
        };
        episode
    };
    let sim = spawn(pong());
    next(&sim);
    hold(&sim, 2);
    sim.send(Command::Compare(ComparisonSource::Episode(Arc::clone(
        &recorded,
    ))));
    let first = 12;
    let start = next(&sim);
    assert_eq!(rgb(&start), recorded.frame(first - 1));
    for t in first..recorded.frames() {
        let frame = step(&sim);
        assert_eq!(frame.action, recorded.actions[t]);
        assert_eq!(frame.comparison.as_deref(), Some(recorded.frame(t)));
    }
    // After its last frame, the episode restarts.
    assert_eq!(step(&sim).number, 0);
}

#[test]
fn disabled_comparison_stays_off() {
    let sim = spawn(pong());
    next(&sim);
    let before = played(&sim, &[1; 30]);
    sim.messages().try_iter().for_each(drop);
    sim.send(TimelineCommand::RenderEpisode {
        request: 1,
        end: before[29].position,
    });
    let Message::RenderedEpisode {
        episode: recorded, ..
    } = next_message(&sim)
    else {
        panic!("no episode");
    };
    sim.send(Command::Compare(ComparisonSource::Episode(recorded)));
    next(&sim);
    let beside = played(&sim, &[2, 2, 2]);
    assert_eq!(beside[2].action, 1, "the recorded action");
    sim.send(Command::Compare(ComparisonSource::Off));
    next(&sim);
    seek(&sim, beside[0].position);
    let own = played(&sim, &[2]);
    assert_eq!((own[0].action, &own[0].comparison), (2, &None));
}

#[test]
fn quit_interrupts_rendering() {
    let (player, open) = fake::gated();
    let sim = spawn(SimOptions {
        player,
        record: Some("never-written.npz".into()),
        ..options()
    });
    let mut last = next(&sim);
    for _ in 0..5 {
        open.send(()).unwrap();
        last = step(&sim);
    }
    sim.send(TimelineCommand::RenderEpisode {
        request: 1,
        end: last.position,
    });
    // Would go on from a frame in the middle of the rendering.
    sim.send(PlaybackCommand::Step);
    sim.send(Command::Quit);
    // Lets one of the five frames be rendered, and no more.
    open.send(()).unwrap();
    assert_eq!(recording(sim).frames(), 6);
    drop(open);
}

#[test]
fn simulator_must_match_world() {
    let maze = SimulatorKind::Maze.open(0).info();
    assert_eq!(matching_simulator(&maze), Some(SimulatorKind::Maze));
    let other = DatasetInfo {
        image: [32, 32],
        ..maze
    };
    assert_eq!(matching_simulator(&other), None);
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
