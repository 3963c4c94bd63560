//! Going back, branching, and what is shown beside the frames.

use super::*;
use driftless_data::DatasetInfo;
use driftless_worlds::Kind;

/// A shipped world on the processor.
fn learned(name: &str) -> Arc<PlayerFactory> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../checkpoints")
        .join(name);
    let config = driftless_model::checkpoint::read_config(&folder).unwrap();
    let contexts = driftless_model::contexts::read(&folder.join("contexts.npz"), &config).unwrap();
    let contexts: Arc<[driftless_data::Clip]> = contexts.into();
    Arc::new(move |seat| {
        let engine = driftless_engine::open(&folder, driftless_engine::DeviceChoice::Cpu, seat)?;
        Ok(Box::new(Dream::new(engine, Arc::clone(&contexts))))
    })
}

/// The shipped Pong on the processor, without a pace.
fn pong() -> Options {
    Options {
        player: learned("pong"),
        params: SamplerParams {
            steps: 1,
            ..SamplerParams::default()
        },
        ..options()
    }
}

/// Plays `actions`, one frame each; the frames, the start's first.
fn played(sim: &Sim, actions: &[u32]) -> Vec<Frame> {
    actions
        .iter()
        .map(|&action| {
            hold(sim, action);
            step(sim)
        })
        .collect()
}

fn seek(sim: &Sim, place: Place) -> Frame {
    sim.send(Command::Seek(place));
    next(sim)
}

fn branches(sim: &Sim) -> Vec<BranchInfo> {
    let told = |message| match message {
        Message::Branches(branches) => Some(branches),
        _ => None,
    };
    sim.messages().try_iter().filter_map(told).last().unwrap()
}

#[test]
fn every_earlier_frame_comes_back_bit_exact_and_plays_on_as_it_did() {
    let sim = spawn(pong());
    let mut frames = vec![next(&sim)];
    let held: Vec<u32> = (0..70).map(|t| (t / 7) % 3).collect();
    frames.extend(played(&sim, &held));
    for t in [0, 1, 31, 32, 33, 50, 70, 12] {
        let again = seek(&sim, frames[t].place);
        assert_eq!(rgb(&again), rgb(&frames[t]), "frame {t}");
        assert_eq!(
            (again.number, again.action, again.place, again.params),
            (
                frames[t].number,
                frames[t].action,
                frames[t].place,
                frames[t].params
            )
        );
    }
    // From frame 12 on with the same keys: another branch, the same frames.
    for (t, frame) in played(&sim, &held[12..40]).iter().enumerate() {
        assert_eq!(rgb(frame), rgb(&frames[13 + t]));
        assert_eq!((frame.place.branch, frame.place.index), (1, 13 + t));
    }
    assert_eq!(branches(&sim).len(), 2);
}

#[test]
fn another_seed_or_other_keys_lead_elsewhere_and_both_branches_stay() {
    let sim = spawn(pong());
    next(&sim);
    let first = played(&sim, &[1; 20]);
    seek(&sim, first[4].place);
    let keys = played(&sim, &[2; 15]);
    seek(&sim, first[4].place);
    sim.send(Command::Params(SamplerParams {
        seed: 9,
        ..pong().params
    }));
    let seed = played(&sim, &[1; 15]);
    assert_ne!(rgb(&keys[14]), rgb(&first[19]));
    assert_ne!(rgb(&seed[14]), rgb(&first[19]));
    assert_eq!(rgb(&seek(&sim, keys[14].place)), rgb(&keys[14]));
    assert_eq!(rgb(&seek(&sim, first[19].place)), rgb(&first[19]));
    let forked: Vec<_> = branches(&sim)
        .iter()
        .map(|b| (b.parent, b.forked))
        .collect();
    assert_eq!(forked, [(None, 0), (Some(0), 6), (Some(0), 6)]);
}

#[test]
fn the_way_back_leads_across_resets() {
    let sim = spawn(pong());
    next(&sim);
    let before = played(&sim, &[1, 1, 2]);
    sim.send(Command::NextContext);
    let start = next(&sim);
    let after = played(&sim, &[0, 2]);
    assert_eq!(start.place.index, 4);
    let back = seek(&sim, before[2].place);
    assert_eq!(
        (rgb(&back), back.context, back.number),
        (rgb(&before[2]), 0, 3)
    );
    let there = seek(&sim, start.place);
    assert_eq!(
        (rgb(&there), there.context, there.number),
        (rgb(&start), 1, 0)
    );
    assert_eq!(rgb(&seek(&sim, after[1].place)), rgb(&after[1]));
}

#[test]
fn who_drags_along_the_line_is_taken_to_the_last_place_alone() {
    let (player, open) = fake::gated();
    let (sim, words) = spawn_unread(Options {
        player,
        ..options()
    });
    for _ in 0..2 {
        words.recv_timeout(HANGS).unwrap();
    }
    sim.send(Command::Step);
    open.send(()).unwrap();
    words.recv_timeout(HANGS).unwrap();
    // The thread waits inside the second step while the places arrive.
    sim.send(Command::Step);
    let place = |index| Command::Seek(Place { branch: 0, index });
    for index in [2, 1, 0, 1, 0] {
        sim.send(place(index));
    }
    open.send(()).unwrap();
    settle(&sim);
    let numbers: Vec<u64> = sim.frames().try_iter().map(|frame| frame.number).collect();
    assert_eq!(numbers.last(), Some(&0));
    assert!(numbers.len() <= 3, "{numbers:?}");
}

#[test]
fn a_place_that_is_not_known_is_said_and_nothing_else_happens() {
    let sim = spawn(options());
    next(&sim);
    let place = Place {
        branch: 4,
        index: 2,
    };
    sim.send(Command::Seek(place));
    assert!(matches!(word(&sim), Message::Notice(_)));
    assert_eq!(step(&sim).number, 1);
}

#[test]
fn a_branch_is_begun_on_request_and_forgotten_when_it_is_not_played() {
    let sim = spawn(options());
    next(&sim);
    let first = played(&sim, &[1, 1]);
    sim.send(Command::Branch);
    // The same frame, on the new branch.
    let again = next(&sim);
    assert_eq!((again.place.branch, rgb(&again)), (1, rgb(&first[1])));
    let own = played(&sim, &[2]);
    assert_eq!((own[0].place.branch, own[0].place.index), (1, 3));
    assert_eq!(branches(&sim).len(), 2);
    sim.send(Command::DropBranch(1));
    assert!(matches!(word(&sim), Message::Notice(_)));
    sim.send(Command::DropBranch(0));
    step(&sim);
    assert_eq!(branches(&sim).len(), 1);
    // The frames that both had are still there.
    let place = Place {
        branch: 1,
        ..first[1].place
    };
    assert_eq!(rgb(&seek(&sim, place)), rgb(&first[1]));
}

#[test]
fn another_branch_runs_beside_at_the_same_frame() {
    let sim = spawn(pong());
    next(&sim);
    let first = played(&sim, &[1; 10]);
    seek(&sim, first[3].place);
    sim.send(Command::Beside(Beside::Branch(0)));
    let shown = next(&sim);
    assert_eq!(shown.beside.as_deref(), Some(rgb(&first[3])));
    for (t, frame) in played(&sim, &[2; 8]).iter().enumerate() {
        // Behind its end, its last frame stays.
        let other = &first[(4 + t).min(9)];
        assert_eq!(frame.beside.as_deref(), Some(rgb(other)), "{t}");
    }
}

#[test]
fn pictures_of_the_line_are_sent_where_they_are_known() {
    let sim = spawn(options());
    next(&sim);
    let frames = played(&sim, &[1, 2, 1]);
    sim.messages().try_iter().for_each(drop);
    sim.send(Command::Pictures {
        branch: 0,
        indices: [1, 3, 9].into(),
        within: 0,
    });
    let Message::Pictures { branch, pictures } = word(&sim) else {
        panic!("no pictures");
    };
    assert_eq!(branch, 0);
    let expected: Vec<_> = [(1, 0), (3, 2)]
        .map(|(index, t)| (index, rgb(&frames[t]).into()))
        .into();
    assert_eq!(pictures, expected);
}

#[test]
fn what_was_played_can_be_kept_and_the_game_stays_where_it_is() {
    let sim = spawn(pong());
    let mut frames = vec![next(&sim)];
    frames.extend(played(&sim, &[1, 1, 2, 0, 2]));
    sim.messages().try_iter().for_each(drop);
    sim.send(Command::Keep(frames[4].place));
    let Message::Kept(episode) = word(&sim) else {
        panic!("nothing kept");
    };
    assert_eq!(episode.actions, [0, 1, 1, 2, 0]);
    for (t, frame) in frames[..5].iter().enumerate() {
        assert_eq!(episode.frame(t), rgb(frame));
    }
    assert_eq!(step(&sim).place.index, 6);
}

fn maze_dream() -> Options {
    Options {
        player: learned("maze"),
        ..pong()
    }
}

#[test]
fn the_simulator_runs_beside_a_dream_of_it_under_the_same_actions() {
    let sim = spawn(maze_dream());
    next(&sim);
    sim.send(Command::Beside(Beside::Simulator(Kind::Maze)));
    let start = next(&sim);
    // A dream begins with what is real.
    assert_eq!(start.beside.as_deref(), Some(rgb(&start)));
    let frames = played(&sim, &[1, 1, 1, 3, 3, 1, 1, 1]);
    for frame in &frames {
        let real = frame.beside.as_deref().unwrap();
        let psnr = driftless_data::metrics::psnr(rgb(frame), real).unwrap();
        assert!(psnr > 17.0, "frame {}: {psnr} dB", frame.number);
    }
    // Back in time the truth goes back, too.
    let again = seek(&sim, frames[3].place);
    assert_eq!(again.beside, frames[3].beside);
    hold(&sim, 3);
    assert_eq!(step(&sim).beside, frames[4].beside);
    sim.send(Command::Beside(Beside::Nothing));
    assert_eq!(next(&sim).beside, None);
}

#[test]
fn drift_and_the_surprise_of_the_truth_are_told_while_they_are_asked_for() {
    let sim = spawn(maze_dream());
    next(&sim);
    let silent = step(&sim);
    assert_eq!((silent.drift, silent.surprise), (None, None));
    sim.send(Command::Measure(true));
    let alone = step(&sim);
    assert!(alone.drift.unwrap() > 0.0 && alone.surprise.is_none());
    sim.send(Command::Beside(Beside::Simulator(Kind::Maze)));
    next(&sim);
    let frames = played(&sim, &[1, 1, 3, 3]);
    for frame in &frames {
        let surprise = frame.surprise.unwrap();
        assert!(surprise > 0.0 && surprise < 1.0, "{surprise}");
    }
    // Who measures plays the same game.
    let again = spawn(maze_dream());
    next(&again);
    step(&again);
    step(&again);
    again.send(Command::Beside(Beside::Simulator(Kind::Maze)));
    next(&again);
    for (a, b) in frames.iter().zip(played(&again, &[1, 1, 3, 3])) {
        assert_eq!(rgb(a), rgb(&b));
    }
}

#[test]
fn an_episode_runs_beside_a_dream_that_plays_its_actions() {
    let recorded = {
        let sim = spawn(pong());
        let mut frames = vec![next(&sim)];
        frames.extend(played(&sim, &[1; 40]));
        sim.messages().try_iter().for_each(drop);
        sim.send(Command::Keep(frames[40].place));
        let Message::Kept(episode) = word(&sim) else {
            panic!("nothing kept");
        };
        episode
    };
    let sim = spawn(pong());
    next(&sim);
    hold(&sim, 2);
    sim.send(Command::Beside(Beside::Episode(Arc::clone(&recorded))));
    let context = 12;
    let start = next(&sim);
    assert_eq!(rgb(&start), recorded.frame(context - 1));
    for t in context..recorded.frames() {
        let frame = step(&sim);
        assert_eq!(frame.action, recorded.actions[t]);
        assert_eq!(frame.beside.as_deref(), Some(recorded.frame(t)));
    }
    // Behind the last frame it starts again.
    assert_eq!(step(&sim).number, 0);
}

#[test]
fn a_truth_that_was_turned_off_stays_off_wherever_one_goes() {
    let sim = spawn(pong());
    next(&sim);
    let before = played(&sim, &[1; 30]);
    sim.messages().try_iter().for_each(drop);
    sim.send(Command::Keep(before[29].place));
    let Message::Kept(recorded) = word(&sim) else {
        panic!("nothing kept");
    };
    sim.send(Command::Beside(Beside::Episode(recorded)));
    next(&sim);
    let beside = played(&sim, &[2, 2, 2]);
    assert_eq!(beside[2].action, 1, "the recording's");
    sim.send(Command::Beside(Beside::Nothing));
    next(&sim);
    seek(&sim, beside[0].place);
    let own = played(&sim, &[2]);
    assert_eq!((own[0].action, &own[0].beside), (2, &None));
}

#[test]
fn who_ends_the_game_does_not_wait_for_frames_that_are_made_again() {
    let (player, open) = fake::gated();
    let sim = spawn(Options {
        player,
        ..options()
    });
    let mut last = next(&sim);
    for _ in 0..5 {
        open.send(()).unwrap();
        last = step(&sim);
    }
    sim.send(Command::Keep(last.place));
    sim.send(Command::Quit);
    // One of the five frames, and no more.
    open.send(()).unwrap();
    sim.finish();
    drop(open);
}

#[test]
fn only_a_world_with_a_simulators_actions_has_one_beside_it() {
    let maze = Kind::Maze.open(0).info();
    assert_eq!(simulator_of(&maze), Some(Kind::Maze));
    let other = DatasetInfo {
        image: [32, 32],
        ..maze
    };
    assert_eq!(simulator_of(&other), None);
}

#[test]
fn a_simulator_itself_can_be_gone_back_to() {
    let sim = spawn(Options {
        player: Arc::new(|_| Ok(Box::new(Real::new(Kind::Drive.open(0))))),
        ..options()
    });
    next(&sim);
    let frames = played(&sim, &[1; 40]);
    for t in [0, 20, 38] {
        let again = seek(&sim, frames[t].place);
        assert_eq!(rgb(&again), rgb(&frames[t]));
        assert_eq!(again.truth, frames[t].truth);
    }
}
