//! A game without a thread advances in turns.

use super::*;

fn start(options: &SimOptions) -> PolledSim {
    PolledSim::start(options, None).unwrap()
}

fn send(sim: &PolledSim, command: impl Into<Command>) {
    sim.commands().send(command.into()).unwrap();
}

fn frame(sim: &PolledSim) -> Vec<u8> {
    rgb(&sim.take_frame().expect("a frame")).to_vec()
}

#[test]
fn turns_make_the_frames_of_a_thread() {
    let (thread, mut polled) = (spawn(options()), start(&options()));
    assert_eq!(frame(&polled), rgb(&next(&thread)));
    assert_eq!(polled.turn(), Turn::Idle);
    for action in [1, 2, 0, 1] {
        let changed_at = hold(&thread, action);
        let action = action.into();
        send(&polled, InputCommand::Hold { action, changed_at });
        send(&polled, PlaybackCommand::Step);
        assert_eq!(polled.turn(), Turn::Idle);
        assert_eq!(frame(&polled), rgb(&step(&thread)));
    }
}

#[test]
fn unread_frames_leave_the_newest() {
    let mut sim = start(&SimOptions {
        paused: false,
        ..options()
    });
    for _ in 0..5 {
        assert!(matches!(sim.turn(), Turn::Due(_)));
    }
    assert_eq!(sim.take_frame().unwrap().number, 5);
    assert!(sim.take_frame().is_none());
}

#[test]
fn flood_of_commands_takes_several_turns() {
    let mut sim = start(&options());
    for _ in 0..40 {
        send(&sim, InputCommand::Repeat(2));
    }
    let again = (0..10).take_while(|_| sim.turn() == Turn::Again).count();
    assert_eq!(again, 2);
    assert_eq!(sim.turn(), Turn::Idle);
}

#[test]
fn failure_or_panic_ends_one_game_only() {
    for action in [fake::FAILS, fake::PANICS] {
        let (mut failing, mut other) = (start(&options()), start(&options()));
        let changed_at = Instant::now();
        let action = action.into();
        send(&failing, InputCommand::Hold { action, changed_at });
        send(&failing, PlaybackCommand::Step);
        send(&other, PlaybackCommand::Step);
        assert_eq!(failing.turn(), Turn::Ended);
        let failed = |message: Message| matches!(message, Message::Failed { .. });
        assert!(failing.messages().try_iter().any(failed));
        assert_eq!(failing.turn(), Turn::Ended);
        assert_eq!(other.turn(), Turn::Idle);
        assert_eq!(other.take_frame().unwrap().number, 1);
    }
}

#[test]
fn player_that_fails_does_not_start() {
    let make = || -> Result<Fake> { Err(Error::Argument("no such world".into())) };
    let options = SimOptions::new(fake::factory(make));
    let error = PolledSim::start(&options, None).err().unwrap();
    assert_eq!(error.to_string(), "no such world");
}

#[test]
fn quitting_leaves_recording_and_history() {
    let mut sim = PolledSim::start(&options(), Some(Session::new("a.npz").at_most(2))).unwrap();
    for _ in 0..4 {
        send(&sim, PlaybackCommand::Step);
        assert_eq!(sim.turn(), Turn::Idle);
    }
    send(&sim, Command::Quit);
    assert_eq!(sim.turn(), Turn::Ended);
    let full = Message::Notice(Notice::RecordingFull { frames: 2 });
    assert!(sim.messages().try_iter().any(|message| message == full));
    let exit = sim.finish();
    assert_eq!(exit.session.unwrap().frames(), 2);
    assert_eq!(exit.history.position().unwrap().index, 4);
}

#[test]
fn history_keeps_to_its_limits() {
    // A fake's image has 3 bytes, and its snapshot an image.
    let limits = HistoryLimits {
        snapshots: 1,
        images: 9,
    };
    let mut sim = start(&SimOptions {
        resume_from: Some(Arc::new(History::limited(limits))),
        ..options()
    });
    for _ in 0..100 {
        send(&sim, PlaybackCommand::Step);
        sim.turn();
    }
    let history = sim.finish().history;
    let stored = |index| history.image(TimelinePosition { branch: 0, index });
    // The last three, and those of two snapshots.
    let count = (0..=100).filter(|index| stored(*index).is_some()).count();
    assert!((3..=5).contains(&count), "{count}");
    assert!(stored(100).is_some());
}
