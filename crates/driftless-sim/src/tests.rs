//! The world-model thread with a fake engine. Commands are handled in order, so stepping a paused
//! thread is deterministic; the timeouts only end a test that hangs.

mod agents;
mod comparing;
mod fake;
mod inspecting;
mod parameters;
mod polling;
mod recording;
mod rendering;
mod replaying;
mod resuming;
mod rewinding;
mod scripted;
mod sharing;
mod simulators;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use fake::Fake;

use driftless_data::Action;
use driftless_engine::{GpuSource, SamplerParams, Solver};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A paused thread of unlimited pace, whose clips start at 0, 100 and 200.
fn options() -> SimOptions {
    SimOptions {
        paused: true,
        ..SimOptions::new(fake::factory(|| Ok(Fake::new())))
    }
}

fn spawn(options: SimOptions) -> SimThread {
    SimThread::spawn(options, None, || {}).unwrap()
}

/// Starts a thread whose output is not read. The receiver gets one item for each message and frame.
fn spawn_unread(options: SimOptions) -> (SimThread, Receiver<()>) {
    let (notify, events) = unbounded();
    let sim = SimThread::spawn(options, None, move || {
        let _ = notify.send(());
    });
    (sim.unwrap(), events)
}

fn next(sim: &SimThread) -> Frame {
    sim.frames().recv_timeout(TIMEOUT).expect("a frame")
}

fn rgb(frame: &Frame) -> &[u8] {
    frame.image.bytes().expect("a picture in memory")
}

fn recording(sim: SimThread) -> Session {
    sim.finish().session.expect("a recording")
}

fn next_message(sim: &SimThread) -> Message {
    loop {
        match sim.messages().recv_timeout(TIMEOUT).expect("a message") {
            Message::Started { .. } | Message::Branches(_) | Message::RenderProgress { .. } => {}
            message => return message,
        }
    }
}

fn step(sim: &SimThread) -> Frame {
    sim.send(PlaybackCommand::Step);
    next(sim)
}

fn hold(sim: &SimThread, action: impl Into<Action>) -> Instant {
    let since = Instant::now();
    sim.send(InputCommand::Hold {
        action: action.into(),
        changed_at: since,
    });
    since
}

/// Returns when every command sent so far has been handled.
fn settle(sim: &SimThread) {
    sim.send(EpisodeCommand::SelectClip(usize::MAX));
    while !matches!(
        next_message(sim),
        Message::Notice(Notice::UnknownClip { .. })
    ) {}
}

#[test]
fn starts_with_last_frame_of_the_clip() {
    let sim = spawn(SimOptions {
        clip: 1,
        ..options()
    });
    let frame = next(&sim);
    assert_eq!((frame.number, frame.clip, frame.action), (0, 1, 0.into()));
    assert_eq!(rgb(&frame)[0], 100);
    let started = sim.messages().recv_timeout(TIMEOUT).unwrap();
    assert_eq!(
        started,
        Message::Started {
            engine: "fake".into()
        }
    );
}

#[test]
fn latest_held_action_counts() {
    let sim = spawn(options());
    next(&sim);
    hold(&sim, 1);
    hold(&sim, 2);
    assert_eq!(step(&sim).action, 2);
    let frame = step(&sim);
    assert_eq!((frame.action, rgb(&frame)[1]), (2.into(), 2));
    hold(&sim, 0);
    assert_eq!(step(&sim).action, 0);
}

#[test]
fn actions_repeat() {
    let sim = spawn(options());
    next(&sim);
    sim.send(InputCommand::Repeat(3));
    hold(&sim, 1);
    let mut actions = vec![step(&sim).action];
    for held in [2, 2, 2, 0, 0, 0] {
        hold(&sim, held);
        actions.push(step(&sim).action);
    }
    assert_eq!(actions, [1, 1, 1, 2, 2, 2, 0]);
}

#[test]
fn unknown_action_is_ignored() {
    let sim = spawn(options());
    next(&sim);
    hold(&sim, 1);
    hold(&sim, 5);
    assert!(
        matches!(next_message(&sim), Message::Notice(notice) if notice.to_string().contains("expected 0 to 4"))
    );
    assert_eq!(step(&sim).action, 1);
}

#[test]
fn frames_carry_passes_while_tracing() {
    let sim = spawn(options());
    assert!(next(&sim).diagnostics.trace.is_empty());
    assert!(step(&sim).diagnostics.trace.is_empty());
    sim.send(CaptureCommand::Trace(true));
    let trace = step(&sim).diagnostics.trace;
    let seen: Vec<_> = trace
        .iter()
        .map(|p| (p.tau, p.noisy.len(), p.clean[0]))
        .collect();
    assert_eq!(
        seen,
        [(0.0, 3, 100), (0.25, 3, 101), (0.5, 3, 102), (0.75, 3, 103)]
    );
    sim.send(CaptureCommand::Trace(false));
    assert!(step(&sim).diagnostics.trace.is_empty());
}

#[test]
fn paused_makes_one_frame_per_step() {
    let sim = spawn(SimOptions {
        paused: false,
        ..options()
    });
    next(&sim);
    sim.send(PlaybackCommand::Pause);
    settle(&sim);
    let made = sim.frames().try_iter().last();
    let last = made.map_or(1, |frame| frame.sequence);
    let first = step(&sim);
    let second = step(&sim);
    sim.send(EpisodeCommand::Reset);
    let reset = next(&sim);
    assert_eq!(
        [first, second, reset].map(|frame| frame.sequence - last),
        [1, 2, 3]
    );
}

#[test]
fn resume_makes_frames() {
    let sim = spawn(options());
    next(&sim);
    sim.send(PlaybackCommand::Resume);
    let numbers = [next(&sim).number, next(&sim).number, next(&sim).number];
    assert!(numbers[0] >= 1 && numbers.is_sorted(), "{numbers:?}");
}

#[test]
fn reset_keeps_clip_and_next_wraps() {
    let sim = spawn(options());
    next(&sim);
    step(&sim);
    let started = |command| {
        sim.send(command);
        let frame = next(&sim);
        assert_eq!(frame.number, 0);
        (frame.clip, rgb(&frame)[0])
    };
    assert_eq!(started(EpisodeCommand::Reset), (0, 0));
    assert_eq!(started(EpisodeCommand::NextClip), (1, 100));
    assert_eq!(started(EpisodeCommand::Reset), (1, 100));
    assert_eq!(started(EpisodeCommand::NextClip), (2, 200));
    assert_eq!(started(EpisodeCommand::NextClip), (0, 0));
    assert_eq!(started(EpisodeCommand::SelectClip(2)), (2, 200));
    sim.send(EpisodeCommand::SelectClip(3));
    assert!(
        matches!(next_message(&sim), Message::Notice(notice) if notice.to_string().contains("expected 0 to 2"))
    );
    assert_eq!(rgb(&step(&sim))[0], 201);
}

#[test]
fn predicted_end_resets_if_enabled() {
    let sim = spawn(options());
    assert_eq!(next(&sim).prediction.outcome, None);
    sim.send(SamplerCommand::Params(SamplerParams {
        steps: usize::from(fake::ENDS),
        ..SamplerParams::default()
    }));
    let numbers: Vec<u64> = (0..4).map(|_| step(&sim).number).collect();
    assert_eq!(numbers, [1, 0, 1, 0]);
    assert!(
        matches!(next_message(&sim), Message::Notice(notice) if notice.to_string().contains("ended"))
    );
    sim.send(EpisodeCommand::RestartAtEnd(false));
    let numbers: Vec<u64> = (0..4).map(|_| step(&sim).number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    // Also as an option, as when a failed thread is started again.
    let params = SamplerParams {
        steps: usize::from(fake::ENDS),
        ..SamplerParams::default()
    };
    let sim = spawn(SimOptions {
        restart_at_end: false,
        params,
        ..options()
    });
    next(&sim);
    let numbers: Vec<u64> = (0..3).map(|_| step(&sim).number).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn score_sums_rewards_until_reset() {
    let sim = spawn(options());
    next(&sim);
    hold(&sim, 2);
    let scores: Vec<f32> = (0..3).map(|_| step(&sim).prediction.score).collect();
    assert_eq!(scores, [2.0, 4.0, 6.0]);
    sim.send(EpisodeCommand::Reset);
    assert_eq!(next(&sim).prediction.score, 0.0);
}

#[test]
fn slow_reader_loses_oldest_frames() {
    let (sim, events) = spawn_unread(SimOptions {
        paused: false,
        ..options()
    });
    for _ in 0..100 {
        events
            .recv_timeout(TIMEOUT)
            .expect("the model keeps running");
    }
    sim.send(PlaybackCommand::Pause);
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
fn input_time_survives_dropped_frames() {
    let (player, open) = fake::gated();
    let (sim, events) = spawn_unread(SimOptions {
        player,
        paused: false,
        ..options()
    });
    // The start message and frame 0; then the thread waits inside the first step.
    for _ in 0..2 {
        events.recv_timeout(TIMEOUT).unwrap();
    }
    let since = hold(&sim, 1);
    for _ in 0..8 {
        open.send(()).unwrap();
        events.recv_timeout(TIMEOUT).unwrap();
    }
    let waiting: Vec<Frame> = sim.frames().try_iter().collect();
    assert!(waiting.iter().all(|frame| frame.number > 2));
    let reflects: Vec<Instant> = waiting
        .iter()
        .filter_map(|frame| frame.timing.input_at)
        .collect();
    assert_eq!(reflects, [since]);
    drop(open);
}

#[test]
fn first_frame_reflects_input_once() {
    let (player, open) = fake::gated();
    let sim = spawn(SimOptions {
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
        assert_eq!(frame.timing.input_at, (i == first).then_some(since));
    }
    drop(open);
}

#[test]
fn failing_factory_is_reported() {
    let sim = spawn(SimOptions {
        player: fake::factory(|| {
            Err(driftless_engine::Error::Device("no such device".into()).into())
        }),
        ..options()
    });
    let reason = "no such device".to_owned();
    assert_eq!(
        next_message(&sim),
        Message::Failed {
            reason,
            device_failed: true
        }
    );
    let exit = sim.finish();
    assert!(exit.session.is_none() && exit.history.position().is_none());
}

#[test]
fn thread_ends_with_its_owner() {
    for told in [true, false] {
        let (player, watch) = fake::watched();
        let sim = spawn(SimOptions {
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
        let gone = watch.recv_timeout(TIMEOUT);
        assert_eq!(gone, Err(crossbeam_channel::RecvTimeoutError::Disconnected));
    }
}
