//! Gamepads: detected and watched on a thread of their own, and mapped to keys.
//!
//! Connected gamepads are read about 250 times a second, new ones are detected once a second. The
//! window is notified when a button or direction changes, or a stick or trigger moves noticeably.

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod backend;
#[cfg(any(windows, target_os = "macos"))]
#[path = "gilrs.rs"]
mod backend;
#[cfg(not(any(target_os = "linux", windows, target_os = "macos")))]
mod backend {
    /// No gamepad support on this platform.
    pub enum GamepadBackend {}

    impl GamepadBackend {
        pub fn open() -> Option<Self> {
            None
        }

        pub fn scan(&mut self) {}

        pub fn read(&mut self) -> Vec<crate::app::gamepad::raw::RawGamepad> {
            Vec::new()
        }
    }
}

mod map;
mod raw;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use self::backend::GamepadBackend;
use self::raw::RawGamepad;

pub(super) use self::map::GamepadMap;
pub(super) use self::raw::{Directions, GamepadButton};

/// Interval between reads, and between scans for new gamepads.
const READ_INTERVAL: Duration = Duration::from_millis(4);
const SCAN_INTERVAL: Duration = Duration::from_secs(1);
/// Hysteresis of sticks and triggers: pressed from `PRESS_THRESHOLD`, released below `RELEASE_THRESHOLD`.
const PRESS_THRESHOLD: f32 = 0.5;
const RELEASE_THRESHOLD: f32 = 0.3;

/// Sticks nearer to the middle than this are at rest.
const DEAD_ZONE: f32 = 0.12;
/// Steps between the middle and the end of a stick: the smallest movement that is noticed.
const STICK_STEPS: f32 = 64.0;

/// The state of a gamepad: digital, after hysteresis, and the positions of its sticks and triggers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Gamepad {
    pub name: String,
    pub buttons: BTreeSet<GamepadButton>,
    pub directions: Directions,
    /// The left stick, or the directional pad if it is pressed, `[right, up]`, from −1 to 1.
    pub left: [f32; 2],
    /// The right stick, likewise.
    pub right: [f32; 2],
    /// The right trigger less the left one, from −1 to 1.
    pub triggers: f32,
}

impl Gamepad {
    /// Applies hysteresis to `raw`, given the previous state.
    fn new(raw: RawGamepad, before: Option<&Self>) -> Self {
        let was = |direction: usize| before.is_some_and(|gamepad| gamepad.directions[direction]);
        let [right, up] = raw.stick;
        let stick = [up, -up, -right, right];
        let mut gamepad = Self {
            directions: [0, 1, 2, 3].map(|i| raw.dpad[i] || counts_as_pressed(stick[i], was(i))),
            left: left_stick(raw.stick, raw.dpad),
            right: raw.right_stick.map(position),
            triggers: position(raw.triggers[1] - raw.triggers[0]),
            name: raw.name,
            buttons: raw.buttons,
        };
        let both = [GamepadButton::LeftTrigger, GamepadButton::RightTrigger];
        for (button, value) in both.into_iter().zip(raw.triggers) {
            if counts_as_pressed(
                value,
                before.is_some_and(|gamepad| gamepad.buttons.contains(&button)),
            ) {
                gamepad.buttons.insert(button);
            }
        }
        gamepad
    }
}

/// The position of a stick outside of the dead zone, in noticeable steps.
fn position(value: f32) -> f32 {
    let beyond = (value.abs() - DEAD_ZONE).max(0.0) / (1.0 - DEAD_ZONE);
    let steps = (beyond.min(1.0) * STICK_STEPS).round();
    steps / STICK_STEPS * value.signum()
}

/// The left stick; the directional pad counts as the stick at its end.
fn left_stick(stick: [f32; 2], [up, down, left, right]: Directions) -> [f32; 2] {
    let pad = |negative: bool, positive: bool| match (negative, positive) {
        (true, false) => Some(-1.0),
        (false, true) => Some(1.0),
        _ => None,
    };
    let [x, y] = stick.map(position);
    [pad(left, right).unwrap_or(x), pad(down, up).unwrap_or(y)]
}

/// Whether an analog value counts as pressed; between the two thresholds it stays as before.
fn counts_as_pressed(value: f32, before: bool) -> bool {
    value
        >= if before {
            RELEASE_THRESHOLD
        } else {
            PRESS_THRESHOLD
        }
}

/// The connected gamepads, and when they changed.
pub(super) type GamepadChange = (Instant, Vec<Gamepad>);

/// A thread that watches gamepads; it ends when this is dropped.
pub(super) struct GamepadWatcher {
    changes: Receiver<GamepadChange>,
    _alive: Sender<()>,
}

impl GamepadWatcher {
    /// Starts watching; `notify` is called on that thread after each change.
    pub fn watch(notify: impl Fn() + Send + 'static) -> Self {
        let (alive, ended) = bounded(0);
        let (outbox, changes) = unbounded();
        let started = std::thread::Builder::new()
            .name("gamepads".into())
            .spawn(move || watch(&ended, &outbox, notify));
        if let Err(error) = started {
            tracing::warn!("cannot read gamepads: {error}");
        }
        Self {
            changes,
            _alive: alive,
        }
    }

    /// Changes since the last call, oldest first.
    pub fn changes(&self) -> Vec<GamepadChange> {
        self.changes.try_iter().collect()
    }
}

fn watch(ended: &Receiver<()>, changes: &Sender<GamepadChange>, notify: impl Fn()) {
    let Some(mut source) = GamepadBackend::open() else {
        return;
    };
    let mut gamepads: Vec<Gamepad> = Vec::new();
    let mut looked: Option<Instant> = None;
    loop {
        if looked.is_none_or(|at| at.elapsed() >= SCAN_INTERVAL) {
            source.scan();
            looked = Some(Instant::now());
        }
        let raw = source.read();
        // A connection or disconnection shifts the indices, so hysteresis restarts.
        let same = raw.len() == gamepads.len();
        let count = |(i, raw)| Gamepad::new(raw, gamepads.get(i).filter(|_| same));
        let now: Vec<_> = raw.into_iter().enumerate().map(count).collect();
        if now != gamepads {
            gamepads = now;
            if changes.send((Instant::now(), gamepads.clone())).is_err() {
                return;
            }
            notify();
        }
        let pause = if gamepads.is_empty() {
            SCAN_INTERVAL
        } else {
            READ_INTERVAL
        };
        if ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stick(right: f32, up: f32) -> RawGamepad {
        RawGamepad {
            stick: [right, up],
            ..RawGamepad::default()
        }
    }

    #[test]
    fn stick_has_hysteresis() {
        let ways = [0.1, 0.45, 0.55, 0.45, 0.31, 0.29, 0.45];
        let mut gamepad: Option<Gamepad> = None;
        let counted = ways.map(|value| {
            let now = Gamepad::new(stick(0.0, value), gamepad.as_ref());
            gamepad = Some(now.clone());
            now.directions[0]
        });
        assert_eq!(counted, [false, false, true, true, true, false, false]);
    }

    #[test]
    fn diagonal_is_two_directions() {
        let directions = |right, up| Gamepad::new(stick(right, up), None).directions;
        assert_eq!(directions(-0.7, 0.7), [true, false, true, false]);
        assert_eq!(directions(0.7, -0.7), [false, true, false, true]);
        assert_eq!(directions(f32::NAN, 0.0), [false; 4]);
    }

    #[test]
    fn reversed_stick_releases_other_side() {
        let left = Gamepad::new(stick(-1.0, 0.0), None);
        let right = Gamepad::new(stick(0.6, 0.0), Some(&left));
        assert_eq!(right.directions, [false, false, false, true]);
    }

    #[test]
    fn dpad_and_triggers_add_to_stick() {
        let raw = RawGamepad {
            dpad: [false, false, true, false],
            triggers: [0.2, 0.9],
            ..stick(0.0, 0.9)
        };
        let gamepad = Gamepad::new(raw, None);
        assert_eq!(gamepad.directions, [true, false, true, false]);
        assert_eq!(
            gamepad.buttons,
            BTreeSet::from([GamepadButton::RightTrigger])
        );
    }

    #[test]
    fn sticks_have_positions() {
        let left = |right, up| Gamepad::new(stick(right, up), None).left;
        assert_eq!(left(0.1, -0.1), [0.0, -0.0]);
        assert_eq!(left(1.0, -1.0), [1.0, -1.0]);
        let [half, _] = left(0.56, 0.0);
        assert!((half - 0.5).abs() < 0.01, "{half}");
        assert_eq!(left(f32::NAN, 2.0)[1], 1.0);
        let raw = RawGamepad {
            dpad: [false, false, true, false],
            triggers: [0.0, 1.0],
            right_stick: [-1.0, 0.0],
            ..stick(0.3, 0.0)
        };
        let gamepad = Gamepad::new(raw, None);
        assert_eq!((gamepad.left[0], gamepad.right[0]), (-1.0, -1.0));
        assert_eq!(gamepad.triggers, 1.0);
    }

    #[test]
    fn watcher_thread_ends_on_drop() {
        let (sender, ended) = bounded::<()>(0);
        let held = std::sync::Arc::new(sender);
        let inside = std::sync::Arc::clone(&held);
        let gamepads = GamepadWatcher::watch(move || {
            let _ = &inside;
        });
        drop((gamepads, held));
        // The thread drops its closure when it ends.
        let end = ended.recv_timeout(10 * SCAN_INTERVAL);
        assert_eq!(end, Err(RecvTimeoutError::Disconnected));
    }
}
