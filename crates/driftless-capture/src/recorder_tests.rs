//! Captures of a window that does what a test says, in no time.

use std::cell::Cell;
use std::collections::VecDeque;

use driftless_data::journal::Record;
use driftless_data::{Dataset, Episode};

use super::*;
use crate::{ACTIONS_FILE, Key, KeySet, count_down, finish, learn_keys, write_dataset};

/// What happens at a frame.
#[derive(Clone, Copy)]
struct Event {
    state: WindowState,
    held: u128,
    /// How long the picture takes.
    takes: u64,
    stop: bool,
    pauses: u32,
}

const SHOWN: Event = Event {
    state: WindowState::Focused,
    held: 0,
    takes: 1,
    stop: false,
    pauses: 0,
};

/// A clock that stands still until somebody waits.
#[derive(Default)]
struct TestClock(Cell<Duration>);

impl Clock for TestClock {
    fn now(&self) -> Duration {
        self.0.get()
    }

    fn wait_until(&self, time: Duration) {
        self.0.set(self.now().max(time));
    }
}

/// A window of 2×2 pixels whose red is the number of the frame.
struct Script<'a> {
    events: VecDeque<Event>,
    clock: &'a TestClock,
    frame: u8,
}

impl CaptureSource for Script<'_> {
    fn look(&mut self, picture: &mut Picture) -> Result<Moment> {
        let Some(event) = self.events.pop_front() else {
            return Err(Error::Display("the display has gone".into()));
        };
        let taken = self.clock.now() + Duration::from_millis(event.takes);
        self.clock.0.set(taken);
        if event.state == WindowState::Focused {
            (picture.width, picture.height) = (2, 2);
            picture.rgb = [self.frame, 0, 0].repeat(4);
        }
        self.frame += 1;
        Ok(Moment {
            state: event.state,
            held: KeySet(event.held),
            mouse: [f32::from(self.frame), 0.0],
            stop: event.stop,
            pauses: event.pauses,
        })
    }
}

struct Capture {
    folder: tempfile::TempDir,
    plan: CapturePlan,
}

impl Capture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plan = CapturePlan {
            out: folder.path().join("game"),
            journal: folder.path().join("unfinished"),
            name: "Game".into(),
            window: "Game 1.0".into(),
            fps: 10.0,
            size: [1, 1],
            keys: ChosenKey::parse_list("Left,space").unwrap(),
            mouse: false,
            actions: CaptureActions::default(),
            length: None,
            episode_frames: 100,
        };
        Self { folder, plan }
    }

    fn record(&self, events: &[Event]) -> Captured {
        let clock = TestClock::default();
        let mut script = Script {
            events: events.iter().copied().collect(),
            clock: &clock,
            frame: 0,
        };
        record(&mut script, &clock, &self.plan, &mut |_| true).unwrap()
    }

    /// The episodes: reds and actions of their frames.
    fn episodes(&self, captured: &Captured) -> Vec<(Vec<u8>, Vec<u32>)> {
        finish(captured.open().unwrap(), &self.plan.out, &mut |_, _| {}).unwrap();
        let dataset = Dataset::read(&self.plan.out).unwrap();
        let one = |episode: &Episode| {
            let reds = episode.images.iter().step_by(3).copied().collect();
            (reds, episode.actions.clone())
        };
        dataset.episodes.iter().map(one).collect()
    }
}

fn held(held: u128) -> Event {
    Event { held, ..SHOWN }
}

fn stopped() -> Event {
    Event {
        stop: true,
        ..SHOWN
    }
}

fn state(state: WindowState) -> Event {
    Event { state, ..SHOWN }
}

#[test]
fn frames_keep_the_keys_of_their_time() {
    let capture = Capture::new();
    let captured = capture.record(&[held(1), held(0), held(1), held(3), held(2), stopped()]);
    assert_eq!((&captured.end, captured.frames), (&End::Stopped, 5));
    // Actions: noop, Left+space, Left, space. Nothing led to the first frame.
    let episodes = capture.episodes(&captured);
    assert_eq!(episodes, [(vec![0, 1, 2, 3, 4], vec![0, 0, 2, 1, 3])]);
    let episode = Episode::read(&capture.plan.out.join("episode_00000.npz")).unwrap();
    let input = &episode.extras["input"];
    assert_eq!(input.shape, [5, 2]);
    assert_eq!(
        input.values,
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    );
    let times = &episode.extras["time"].values;
    assert!(
        times
            .iter()
            .zip([0.0, 0.1, 0.2, 0.3, 0.4])
            .all(|(a, b)| (a - b).abs() < 1e-6)
    );
    assert!(!captured.journal().exists());
}

#[test]
fn gaps_begin_new_episodes() {
    let capture = Capture::new();
    let unfocused = state(WindowState::Unfocused);
    let pause = Event { pauses: 1, ..SHOWN };
    // Frame 6 comes two periods and a half later: it is that of the third, and two are lost.
    let slow = Event {
        takes: 250,
        ..SHOWN
    };
    let events = [
        SHOWN, SHOWN, unfocused, unfocused, SHOWN, SHOWN, slow, SHOWN, SHOWN, pause, SHOWN, pause,
        SHOWN,
    ];
    let captured = capture.record(&events);
    assert_eq!(captured.end, End::Failed("the display has gone".into()));
    let report = finish(captured.open().unwrap(), &capture.plan.out, &mut |_, _| {}).unwrap();
    let found: Vec<_> = report
        .episodes
        .iter()
        .map(|one| (one.frames, one.cut))
        .collect();
    let expected = [
        (2, Cut::Start),
        (2, Cut::Focus),
        (3, Cut::Lost),
        (2, Cut::Pause),
    ];
    assert_eq!(found, expected);
    assert_eq!((report.frames, report.lost_frames), (9, 2));
    assert_eq!(report.lateness_ms.max.round(), 50.0);
    assert!(
        report
            .remarks
            .iter()
            .any(|remark| remark.contains("never pressed: Left, space"))
    );
}

#[test]
fn what_was_captured_outlives_the_window() {
    for (last, end) in [
        (WindowState::Closed, End::WindowClosed),
        (WindowState::Resized([3, 4]), End::WindowResized([3, 4])),
    ] {
        let capture = Capture::new();
        let captured = capture.record(&[SHOWN, SHOWN, held(1), state(last)]);
        assert_eq!(captured.end, end);
        assert_eq!(
            capture.episodes(&captured),
            [(vec![0, 1, 2], vec![0, 0, 1])]
        );
    }
}

#[test]
fn long_captures_are_divided() {
    let mut capture = Capture::new();
    capture.plan.episode_frames = 3;
    capture.plan.length = Some(Duration::from_millis(700));
    let captured = capture.record(&[SHOWN; 20]);
    assert_eq!((&captured.end, captured.frames), (&End::Length, 7));
    // The last episode has one frame only, which nothing leads to.
    let lengths: Vec<_> = capture
        .episodes(&captured)
        .iter()
        .map(|one| one.0.len())
        .collect();
    assert_eq!(lengths, [3, 3]);
}

#[test]
fn a_second_capture_has_the_same_actions() {
    let first = Capture::new();
    let captured = first.record(&[SHOWN, held(3), held(1), SHOWN]);
    first.episodes(&captured);
    let mut second = Capture::new();
    second.plan.actions = CaptureActions::read(&first.plan.out.join(ACTIONS_FILE)).unwrap();
    second.plan.keys = second.plan.actions.keys().unwrap();
    assert_eq!(second.plan.keys[0].key, Key::parse("Left").unwrap());
    let captured = second.record(&[SHOWN, held(1), held(0), held(2)]);
    let episodes = second.episodes(&captured);
    // `space` alone was no action of the first capture.
    assert_eq!(episodes[0].1, [0, 2, 0, 0]);
    let manifest = std::fs::read_to_string(second.plan.out.join("manifest.json")).unwrap();
    let note = "1 frame held `space`, for which the action map has no action: recorded as `noop`";
    assert!(manifest.contains(note), "{manifest}");
    let [one, other] = [&first, &second].map(|one| Dataset::read(&one.plan.out).unwrap().info);
    assert_eq!(one.actions, other.actions);
}

#[test]
fn nothing_captured_writes_nothing() {
    let capture = Capture::new();
    let captured = capture.record(&[state(WindowState::Unfocused), SHOWN]);
    let error = finish(captured.open().unwrap(), &capture.plan.out, &mut |_, _| {});
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("nothing was captured")
    );
    assert!(!capture.plan.out.exists() && !captured.journal().exists());
}

#[test]
fn failed_write_keeps_the_journal() {
    let capture = Capture::new();
    let captured = capture.record(&[SHOWN, held(1)]);
    std::fs::create_dir_all(capture.plan.out.join("mine")).unwrap();
    let error = finish(captured.open().unwrap(), &capture.plan.out, &mut |_, _| {});
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("is not empty") && error.contains("`driftless recover`"),
        "{error}"
    );
    let other = capture.folder.path().join("other");
    finish(captured.open().unwrap(), &other, &mut |_, _| {}).unwrap();
    assert_eq!(Dataset::read(&other).unwrap().episodes[0].frames(), 2);
}

#[test]
fn impossible_plans_are_refused_before_the_work() {
    let refused = |change: fn(&mut CapturePlan), expected: &str| {
        let mut capture = Capture::new();
        change(&mut capture.plan);
        let error = capture.plan.check().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(|plan| plan.fps = f32::NAN, "NaN frames per second");
    refused(|plan| plan.size = [0, 64], "frames of 0×64 pixels");
    refused(|plan| plan.keys.clear(), "no keys are chosen");
    refused(|plan| plan.episode_frames = 1, "expected 2 or more");
}

#[test]
fn keys_are_learned_by_watching() {
    let clock = TestClock::default();
    let unfocused = Event {
        held: 0,
        ..state(WindowState::Unfocused)
    };
    let mut events = vec![held(2), unfocused, held(0), held(1 << 40), held(4)];
    events.resize(30, SHOWN);
    let mut script = Script {
        events: events.into(),
        clock: &clock,
        frame: 0,
    };
    let learn = |script: &mut Script<'_>| {
        learn_keys(script, &clock, Duration::from_millis(200), &mut |_| true)
    };
    assert_eq!(learn(&mut script).unwrap(), KeySet(2 | 4 | 1 << 40));
    script.events = [state(WindowState::Closed)].into();
    assert!(learn(&mut script).is_err());
    script.events = [held(1), stopped(), SHOWN, SHOWN, SHOWN].into();
    let error = learn(&mut script).unwrap_err();
    assert!(matches!(error, Error::Stopped), "{error}");
}

#[test]
fn countdown_obeys_the_keys_of_the_capture() {
    let clock = TestClock::default();
    let mut script = Script {
        events: [SHOWN; 40].into(),
        clock: &clock,
        frame: 0,
    };
    let wait = |script: &mut Script<'_>| {
        let mut paused_looks = 0;
        let started = clock.now();
        let end = count_down(
            script,
            &clock,
            Duration::from_millis(300),
            &mut |_, paused| {
                paused_looks += u32::from(paused);
                true
            },
        );
        end.map(|()| (clock.now() - started, paused_looks))
    };
    let (took, _) = wait(&mut script).unwrap();
    assert!((300..400).contains(&took.as_millis()), "{took:?}");
    let pause = Event { pauses: 1, ..SHOWN };
    script.events = [SHOWN; 40].into();
    (script.events[1], script.events[9]) = (pause, pause);
    let (took, paused_looks) = wait(&mut script).unwrap();
    assert!((650..850).contains(&took.as_millis()), "{took:?}");
    assert_eq!(paused_looks, 8);
    script.events = [SHOWN, stopped(), SHOWN].into();
    let error = wait(&mut script).unwrap_err();
    assert!(matches!(error, Error::Stopped), "{error}");
    assert_eq!(script.events.len(), 1, "at once");
}

#[test]
fn damaged_journals_are_errors() {
    let capture = Capture::new();
    let captured = capture.record(&[SHOWN, held(1), held(2)]);
    let records: Vec<Record> = captured.open().unwrap().collect();
    let folder = capture.folder.path().join("damaged");
    for (index, record) in records.iter().enumerate().take(3) {
        for at in (0..record.payload.len()).step_by(3) {
            let journal = Journal::create(&folder, "a").unwrap();
            for (i, record) in records.iter().enumerate() {
                let mut record = record.clone();
                if i == index {
                    record.payload[at] ^= 0x55;
                }
                journal.append(&record);
            }
            let path = journal.path().to_path_buf();
            drop(journal);
            // In time and in pictures there is no wrong value; all else is refused in one line.
            let mut reader = JournalReader::open(&path).unwrap();
            if let Err(error) = write_dataset(&mut reader, &folder.join("out"), &mut |_, _| {}) {
                assert_eq!(error.to_string().lines().count(), 1, "{error}");
            } else {
                Dataset::read(&folder.join("out")).unwrap();
                std::fs::remove_dir_all(folder.join("out")).unwrap();
            }
            std::fs::remove_file(path).unwrap();
        }
    }
}
