//! Gamepads: found, watched in a thread of their own, and taken as keys.
//!
//! A pad is read a few hundred times a second while one is there, and looked for once a second; the
//! window hears of it when a button or a direction changes, and not of every tremble of a stick.

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod source;
#[cfg(any(windows, target_os = "macos"))]
#[path = "gilrs.rs"]
mod source;
#[cfg(not(any(target_os = "linux", windows, target_os = "macos")))]
mod source {
    /// Nothing to read pads with.
    pub enum Source {}

    impl Source {
        pub fn open() -> Option<Self> {
            None
        }

        pub fn look(&mut self) {}

        pub fn read(&mut self) -> Vec<super::Raw> {
            Vec::new()
        }
    }
}

mod map;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use self::source::Source;

pub(super) use map::PadMap;

/// Between two looks at the pads that are there, and for pads that are not yet.
const READ: Duration = Duration::from_millis(4);
const LOOK: Duration = Duration::from_secs(1);
/// From where on a stick or a trigger counts, and below which it does not any more.
const ON: f32 = 0.5;
const OFF: f32 = 0.3;

/// A button, by where it lies and not by what is printed on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Button {
    South,
    East,
    West,
    North,
    LeftShoulder,
    RightShoulder,
    LeftTrigger,
    RightTrigger,
    Start,
    Select,
}

impl Button {
    /// Those that stand for a world's keys, in the order in which they take them.
    pub const PLAYED: [Self; 8] = [
        Self::South,
        Self::East,
        Self::West,
        Self::North,
        Self::LeftTrigger,
        Self::RightTrigger,
        Self::LeftShoulder,
        Self::RightShoulder,
    ];

    /// Its name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::South => "south",
            Self::East => "east",
            Self::West => "west",
            Self::North => "north",
            Self::LeftShoulder => "left-shoulder",
            Self::RightShoulder => "right-shoulder",
            Self::LeftTrigger => "left-trigger",
            Self::RightTrigger => "right-trigger",
            Self::Start => "start",
            Self::Select => "select",
        }
    }

    /// What people call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::South => "South (A, cross)",
            Self::East => "East (B, circle)",
            Self::West => "West (X, square)",
            Self::North => "North (Y, triangle)",
            Self::LeftShoulder => "Left shoulder",
            Self::RightShoulder => "Right shoulder",
            Self::LeftTrigger => "Left trigger",
            Self::RightTrigger => "Right trigger",
            Self::Start => "Start",
            Self::Select => "Select",
        }
    }
}

/// Up, down, left, right.
pub(super) type Directions = [bool; 4];

/// A pad as it is read.
#[derive(Clone, Debug, Default, PartialEq)]
struct Raw {
    name: String,
    /// Those that are down, whatever the triggers' way.
    buttons: BTreeSet<Button>,
    cross: Directions,
    /// The left stick from −1 to 1: to the right, and up.
    stick: [f32; 2],
    /// How far the left and the right trigger are pulled, 0 to 1.
    triggers: [f32; 2],
}

/// A pad as it counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pad {
    pub name: String,
    pub buttons: BTreeSet<Button>,
    pub directions: Directions,
}

impl Pad {
    /// What counts of `raw`, where `before` counted until now.
    fn new(raw: Raw, before: Option<&Self>) -> Self {
        let was = |direction: usize| before.is_some_and(|pad| pad.directions[direction]);
        let [right, up] = raw.stick;
        let stick = [up, -up, -right, right];
        let mut pad = Self {
            directions: [0, 1, 2, 3].map(|i| raw.cross[i] || passes(stick[i], was(i))),
            name: raw.name,
            buttons: raw.buttons,
        };
        let both = [Button::LeftTrigger, Button::RightTrigger];
        for (button, way) in both.into_iter().zip(raw.triggers) {
            if passes(way, before.is_some_and(|pad| pad.buttons.contains(&button))) {
                pad.buttons.insert(button);
            }
        }
        pad
    }
}

/// Whether a way counts, which counted until now or did not: between the two bounds it stays so.
fn passes(way: f32, before: bool) -> bool {
    way >= if before { OFF } else { ON }
}

/// What pads there are, and when that changed.
pub(super) type Change = (Instant, Vec<Pad>);

/// The thread that watches pads; it ends when this is dropped.
pub(super) struct Pads {
    changes: Receiver<Change>,
    _alive: Sender<()>,
}

impl Pads {
    /// Begins to watch; `notify` is called after each change, in the thread.
    pub fn watch(notify: impl Fn() + Send + 'static) -> Self {
        let (alive, ended) = bounded(0);
        let (outbox, changes) = unbounded();
        let started = std::thread::Builder::new()
            .name("gamepads".into())
            .spawn(move || watch(&ended, &outbox, notify));
        if let Err(error) = started {
            tracing::warn!("gamepads are not read: {error}");
        }
        Self {
            changes,
            _alive: alive,
        }
    }

    /// What has changed since the last call, oldest first.
    pub fn changes(&self) -> Vec<Change> {
        self.changes.try_iter().collect()
    }
}

fn watch(ended: &Receiver<()>, changes: &Sender<Change>, notify: impl Fn()) {
    let Some(mut source) = Source::open() else {
        return;
    };
    let mut pads: Vec<Pad> = Vec::new();
    let mut looked: Option<Instant> = None;
    loop {
        if looked.is_none_or(|at| at.elapsed() >= LOOK) {
            source.look();
            looked = Some(Instant::now());
        }
        let raw = source.read();
        // A pad that comes or goes moves the others, whose sticks then begin anew.
        let same = raw.len() == pads.len();
        let count = |(i, raw)| Pad::new(raw, pads.get(i).filter(|_| same));
        let now: Vec<_> = raw.into_iter().enumerate().map(count).collect();
        if now != pads {
            pads = now;
            if changes.send((Instant::now(), pads.clone())).is_err() {
                return;
            }
            notify();
        }
        let pause = if pads.is_empty() { LOOK } else { READ };
        if ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stick(right: f32, up: f32) -> Raw {
        Raw {
            stick: [right, up],
            ..Raw::default()
        }
    }

    #[test]
    fn a_stick_counts_beyond_its_dead_zone_and_until_it_is_well_back() {
        let ways = [0.1, 0.45, 0.55, 0.45, 0.31, 0.29, 0.45];
        let mut pad: Option<Pad> = None;
        let counted = ways.map(|way| {
            let now = Pad::new(stick(0.0, way), pad.as_ref());
            pad = Some(now.clone());
            now.directions[0]
        });
        assert_eq!(counted, [false, false, true, true, true, false, false]);
    }

    #[test]
    fn a_stick_pushed_into_a_corner_is_two_directions() {
        let directions = |right, up| Pad::new(stick(right, up), None).directions;
        assert_eq!(directions(-0.7, 0.7), [true, false, true, false]);
        assert_eq!(directions(0.7, -0.7), [false, true, false, true]);
        assert_eq!(directions(f32::NAN, 0.0), [false; 4]);
    }

    #[test]
    fn a_stick_that_turns_around_leaves_the_other_side() {
        let left = Pad::new(stick(-1.0, 0.0), None);
        let right = Pad::new(stick(0.6, 0.0), Some(&left));
        assert_eq!(right.directions, [false, false, false, true]);
    }

    #[test]
    fn the_cross_and_the_triggers_count_beside_the_stick() {
        let raw = Raw {
            cross: [false, false, true, false],
            triggers: [0.2, 0.9],
            ..stick(0.0, 0.9)
        };
        let pad = Pad::new(raw, None);
        assert_eq!(pad.directions, [true, false, true, false]);
        assert_eq!(pad.buttons, BTreeSet::from([Button::RightTrigger]));
    }

    #[test]
    fn the_watch_ends_with_its_owner() {
        let (sender, ended) = bounded::<()>(0);
        let held = std::sync::Arc::new(sender);
        let inside = std::sync::Arc::clone(&held);
        let pads = Pads::watch(move || {
            let _ = &inside;
        });
        drop((pads, held));
        // The thread drops what it was given when it ends.
        let end = ended.recv_timeout(10 * LOOK);
        assert_eq!(end, Err(RecvTimeoutError::Disconnected));
    }
}
