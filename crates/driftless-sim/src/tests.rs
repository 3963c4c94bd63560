//! The world-model thread under a fake engine. Commands are handled in order, so a paused thread
//! that is stepped does the same in every run; time limits below only end a test that hangs.

mod fake;
mod going_on;
mod inspecting;
mod real;
mod recording;
mod replaying;
mod scripted;
mod travel;

use std::collections::HashSet;

use fake::Fake;

use super::*;
use driftless_engine::Solver;

const HANGS: Duration = Duration::from_secs(30);

/// A paused thread without a pace, whose contexts start at 0, 100 and 200.
fn options() -> Options {
    Options {
        player: fake::factory(|| Ok(Fake::new())),
        seat: Seat::Own,
        from: None,
        context: 0,
        actions: Arc::default(),
        params: SamplerParams::default(),
        free_seed: false,
        ends_restart: true,
        pace: Pace::Unlimited,
        paused: true,
        record: None,
    }
}

fn spawn(options: Options) -> Sim {
    Sim::spawn(options, None, || {}).unwrap()
}

/// Starts a thread, with a word for each message and frame, and reads nothing.
fn spawn_unread(options: Options) -> (Sim, Receiver<()>) {
    let (notify, words) = unbounded();
    let sim = Sim::spawn(options, None, move || {
        let _ = notify.send(());
    });
    (sim.unwrap(), words)
}

fn next(sim: &Sim) -> Frame {
    sim.frames().recv_timeout(HANGS).expect("a frame")
}

fn rgb(frame: &Frame) -> &[u8] {
    frame.image.bytes().expect("a picture in memory")
}

fn recording(sim: Sim) -> Session {
    sim.finish().session.expect("a recording")
}

fn word(sim: &Sim) -> Message {
    loop {
        match sim.messages().recv_timeout(HANGS).expect("a message") {
            Message::Started { .. } | Message::Branches(_) => {}
            message => return message,
        }
    }
}

fn step(sim: &Sim) -> Frame {
    sim.send(Command::Step);
    next(sim)
}

fn hold(sim: &Sim, action: u32) -> Instant {
    let since = Instant::now();
    sim.send(Command::Held { action, since });
    since
}

/// Returns when every command sent so far has been handled.
fn settle(sim: &Sim) {
    sim.send(Command::Context(usize::MAX));
    while !matches!(word(sim), Message::Notice(text) if text.contains("starting context")) {}
}

#[test]
fn it_starts_with_the_contexts_last_frame() {
    let sim = spawn(Options {
        context: 1,
        ..options()
    });
    let frame = next(&sim);
    assert_eq!((frame.number, frame.context, frame.action), (0, 1, 0));
    assert_eq!(rgb(&frame)[0], 100);
    let started = sim.messages().recv_timeout(HANGS).unwrap();
    assert_eq!(
        started,
        Message::Started {
            engine: "fake".into()
        }
    );
}

#[test]
fn the_action_held_last_before_a_frame_counts_for_it_and_stays() {
    let sim = spawn(options());
    next(&sim);
    hold(&sim, 1);
    hold(&sim, 2);
    assert_eq!(step(&sim).action, 2);
    let frame = step(&sim);
    assert_eq!((frame.action, rgb(&frame)[1]), (2, 2));
    hold(&sim, 0);
    assert_eq!(step(&sim).action, 0);
}

#[test]
fn an_action_is_repeated_for_as_many_frames_as_asked() {
    let sim = spawn(options());
    next(&sim);
    sim.send(Command::Repeat(3));
    hold(&sim, 1);
    let mut actions = vec![step(&sim).action];
    for held in [2, 2, 2, 0, 0, 0] {
        hold(&sim, held);
        actions.push(step(&sim).action);
    }
    assert_eq!(actions, [1, 1, 1, 2, 2, 2, 0]);
}

#[test]
fn an_unknown_action_is_said_and_the_held_one_stays() {
    let sim = spawn(options());
    next(&sim);
    hold(&sim, 1);
    hold(&sim, 5);
    assert!(matches!(word(&sim), Message::Notice(text) if text.contains("expected 0 to 4")));
    assert_eq!(step(&sim).action, 1);
}

#[test]
fn parameters_count_from_the_next_frame_on() {
    let sim = spawn(options());
    next(&sim);
    let params = SamplerParams {
        steps: 8,
        temperature: 0.5,
        ..SamplerParams::default()
    };
    sim.send(Command::Params(params));
    let frame = step(&sim);
    assert_eq!((frame.params, rgb(&frame)[2]), (params, 8));
    assert_eq!(step(&sim).params, params);
}

#[test]
fn frames_show_how_they_were_denoised_while_asked_to() {
    let sim = spawn(options());
    assert!(next(&sim).trace.is_empty());
    assert!(step(&sim).trace.is_empty());
    sim.send(Command::Trace(true));
    let trace = step(&sim).trace;
    let seen: Vec<_> = trace
        .iter()
        .map(|p| (p.tau, p.noisy[0], p.clean[0]))
        .collect();
    assert_eq!(
        seen,
        [(0.0, 0, 100), (0.25, 1, 101), (0.5, 2, 102), (0.75, 3, 103)]
    );
    sim.send(Command::Trace(false));
    assert!(step(&sim).trace.is_empty());
}

#[test]
fn refused_parameters_are_said_and_the_last_good_ones_stay_in_force() {
    let sim = spawn(options());
    next(&sim);
    let with = |steps| SamplerParams {
        steps,
        ..SamplerParams::default()
    };
    sim.send(Command::Params(with(2)));
    step(&sim);
    sim.send(Command::Params(with(9)));
    assert_eq!(step(&sim).params, with(2));
    let Message::ParamsRefused { why, kept } = word(&sim) else {
        panic!("another message");
    };
    assert!(why.contains("steps is 9"), "{why}");
    assert_eq!(kept, with(2));
    // The same at a reset, where no step is made.
    sim.send(Command::Params(with(0)));
    sim.send(Command::Reset);
    assert_eq!(next(&sim).params, with(2));
    assert!(matches!(word(&sim), Message::ParamsRefused { .. }));
    assert_eq!(step(&sim).params, with(2));
}

#[test]
fn a_solver_that_gives_up_on_the_way_is_followed_by_the_plain_sampler() {
    let sim = spawn(options());
    next(&sim);
    let adaptive = SamplerParams {
        solver: Solver::Adaptive,
        temperature: 0.5,
        ..SamplerParams::default()
    };
    sim.send(Command::Params(adaptive));
    assert_eq!(step(&sim).params, adaptive);
    sim.send(Command::Held {
        action: fake::HARD,
        since: Instant::now(),
    });
    assert_eq!(step(&sim).params, adaptive.plain());
    let Message::ParamsRefused { why, kept } = word(&sim) else {
        panic!("another message");
    };
    assert!(why.contains("larger tolerance"), "{why}");
    assert_eq!((kept.solver, kept.temperature), (Solver::Shortcut, 0.5));
    assert_eq!(step(&sim).params, kept);
}

#[test]
fn paused_it_makes_one_frame_for_each_step_and_none_besides() {
    let sim = spawn(Options {
        paused: false,
        ..options()
    });
    next(&sim);
    sim.send(Command::Pause);
    settle(&sim);
    let made = sim.frames().try_iter().last();
    let last = made.map_or(1, |frame| frame.sequence);
    let first = step(&sim);
    let second = step(&sim);
    sim.send(Command::Reset);
    let reset = next(&sim);
    assert_eq!(
        [first, second, reset].map(|frame| frame.sequence - last),
        [1, 2, 3]
    );
}

#[test]
fn resumed_it_makes_frames_by_itself() {
    let sim = spawn(options());
    next(&sim);
    sim.send(Command::Resume);
    let numbers = [next(&sim).number, next(&sim).number, next(&sim).number];
    assert!(numbers[0] >= 1 && numbers.is_sorted(), "{numbers:?}");
}

#[test]
fn a_reset_starts_the_same_context_and_next_goes_round() {
    let sim = spawn(options());
    next(&sim);
    step(&sim);
    let started = |command| {
        sim.send(command);
        let frame = next(&sim);
        assert_eq!(frame.number, 0);
        (frame.context, rgb(&frame)[0])
    };
    assert_eq!(started(Command::Reset), (0, 0));
    assert_eq!(started(Command::NextContext), (1, 100));
    assert_eq!(started(Command::Reset), (1, 100));
    assert_eq!(started(Command::NextContext), (2, 200));
    assert_eq!(started(Command::NextContext), (0, 0));
    assert_eq!(started(Command::Context(2)), (2, 200));
    sim.send(Command::Context(3));
    assert!(matches!(word(&sim), Message::Notice(text) if text.contains("expected 0 to 2")));
    assert_eq!(rgb(&step(&sim))[0], 201);
}

#[test]
fn a_predicted_end_starts_again_unless_the_player_goes_on() {
    let sim = spawn(options());
    assert_eq!(next(&sim).outcome, None);
    sim.send(Command::Params(SamplerParams {
        steps: usize::from(fake::ENDS),
        ..SamplerParams::default()
    }));
    let numbers: Vec<u64> = (0..4).map(|_| step(&sim).number).collect();
    assert_eq!(numbers, [1, 0, 1, 0]);
    assert!(matches!(word(&sim), Message::Notice(text) if text.contains("ended")));
    sim.send(Command::EndsRestart(false));
    let numbers: Vec<u64> = (0..4).map(|_| step(&sim).number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    // So too from the start on, as when a thread that failed is started again.
    let params = SamplerParams {
        steps: usize::from(fake::ENDS),
        ..SamplerParams::default()
    };
    let sim = spawn(Options {
        ends_restart: false,
        params,
        ..options()
    });
    next(&sim);
    let numbers: Vec<u64> = (0..3).map(|_| step(&sim).number).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn predicted_rewards_add_up_until_the_reset() {
    let sim = spawn(options());
    next(&sim);
    hold(&sim, 2);
    let scores: Vec<f32> = (0..3).map(|_| step(&sim).score).collect();
    assert_eq!(scores, [2.0, 4.0, 6.0]);
    sim.send(Command::Reset);
    assert_eq!(next(&sim).score, 0.0);
}

#[test]
fn a_reader_that_does_not_read_loses_the_oldest_frames_and_never_stalls_the_model() {
    let (sim, words) = spawn_unread(Options {
        paused: false,
        ..options()
    });
    for _ in 0..100 {
        words.recv_timeout(HANGS).expect("the model goes on");
    }
    sim.send(Command::Pause);
    settle(&sim);
    let waiting: Vec<u64> = sim
        .frames()
        .try_iter()
        .map(|frame| frame.sequence)
        .collect();
    let newest = step(&sim).sequence - 1;
    assert!(newest >= 99, "{newest}");
    assert_eq!(waiting, [newest - 2, newest - 1, newest]);
}

#[test]
fn a_key_change_survives_the_loss_of_the_frame_that_showed_it_first() {
    let (player, open) = fake::gated();
    let (sim, words) = spawn_unread(Options {
        player,
        paused: false,
        ..options()
    });
    // The message that it started, and frame 0; then the thread waits inside the first step.
    for _ in 0..2 {
        words.recv_timeout(HANGS).unwrap();
    }
    let since = hold(&sim, 1);
    for _ in 0..8 {
        open.send(()).unwrap();
        words.recv_timeout(HANGS).unwrap();
    }
    let waiting: Vec<Frame> = sim.frames().try_iter().collect();
    assert!(waiting.iter().all(|frame| frame.number > 2));
    let reflects: Vec<Instant> = waiting.iter().filter_map(|frame| frame.reflects).collect();
    assert_eq!(reflects, [since]);
    drop(open);
}

#[test]
fn a_key_change_is_reflected_once_and_by_the_first_frame_made_after_it() {
    let (player, open) = fake::gated();
    let sim = spawn(Options {
        player,
        paused: false,
        ..options()
    });
    next(&sim);
    let since = hold(&sim, 2);
    let frames: Vec<Frame> = (0..4)
        .map(|_| {
            open.send(()).unwrap();
            next(&sim)
        })
        .collect();
    // Frame 1 may have begun before the key went down.
    let first = frames.iter().position(|frame| frame.action == 2).unwrap();
    assert!(first <= 1);
    for (i, frame) in frames.iter().enumerate() {
        assert_eq!(frame.reflects, (i == first).then_some(since));
    }
    drop(open);
}

#[test]
fn a_free_seed_is_new_at_each_reset_and_stays_between_them() {
    let sim = spawn(Options {
        free_seed: true,
        ..options()
    });
    let mut seeds = HashSet::from([next(&sim).params.seed]);
    for command in [Command::Reset, Command::NextContext, Command::Reset] {
        sim.send(command);
        let seed = next(&sim).params.seed;
        assert!(seed < FREE_SEEDS);
        assert_eq!(step(&sim).params.seed, seed);
        seeds.insert(seed);
    }
    assert_eq!(seeds.len(), 4);
    sim.send(Command::FreeSeed(false));
    assert_eq!(step(&sim).params.seed, SamplerParams::default().seed);
}

#[test]
fn a_fixed_seed_is_the_same_after_each_reset() {
    let params = SamplerParams {
        seed: u64::MAX,
        ..SamplerParams::default()
    };
    let sim = spawn(Options {
        params,
        ..options()
    });
    assert_eq!(next(&sim).params.seed, u64::MAX);
    sim.send(Command::Reset);
    assert_eq!(next(&sim).params.seed, u64::MAX);
}

#[test]
fn an_engine_that_cannot_be_made_is_said() {
    let sim = spawn(Options {
        player: fake::factory(|| Err(Error::Device("no such device".into()))),
        ..options()
    });
    let what = "no such device".to_owned();
    assert_eq!(word(&sim), Message::Failed { what, device: true });
    let left = sim.finish();
    assert!(left.session.is_none() && left.history.at().is_none());
}

#[test]
fn the_thread_ends_when_it_is_told_to_and_when_its_owner_is_gone() {
    for told in [true, false] {
        let (player, watch) = fake::watched();
        let sim = spawn(Options {
            player,
            paused: false,
            ..options()
        });
        next(&sim);
        if told {
            assert!(sim.finish().session.is_none());
        } else {
            drop(sim);
        }
        let gone = watch.recv_timeout(HANGS);
        assert_eq!(gone, Err(crossbeam_channel::RecvTimeoutError::Disconnected));
    }
}

#[test]
fn a_pace_that_is_no_number_of_frames_is_no_pace() {
    assert_eq!(Pace::Fps(8.0).period(), Duration::from_millis(125));
    for pace in [
        Pace::Fps(0.0),
        Pace::Fps(-1.0),
        Pace::Fps(f32::NAN),
        Pace::Unlimited,
    ] {
        assert_eq!(pace.period(), Duration::ZERO, "{pace:?}");
    }
}
