//! What is held down, by whom, and the action that it plays.

use eframe::egui::Key;

use super::{BoundAction, Chord, KeyMap};

/// Who holds a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A person's hand on the keyboard.
    Keyboard,
    /// A gamepad's buttons, which stand for keys.
    Pad,
    /// The mouse, whose motion stands for keys.
    Mouse,
}

/// The world's keys that are down, in the order in which they were pressed.
#[derive(Clone, Debug, Default)]
pub struct HeldKeys {
    down: Vec<(Key, Source)>,
}

impl HeldKeys {
    /// A key goes down on the keyboard; a repeat of a held key changes nothing.
    pub fn press(&mut self, key: Key) -> bool {
        let pressed = (key, Source::Keyboard);
        let new = !self.down.contains(&pressed);
        if new {
            self.down.push(pressed);
        }
        new
    }

    /// A key goes up on the keyboard; whether it was down there.
    pub fn release(&mut self, key: Key) -> bool {
        let before = self.down.len();
        self.down.retain(|held| *held != (key, Source::Keyboard));
        self.down.len() < before
    }

    /// A source holds these keys and no others; whether that changes anything.
    pub fn set(&mut self, source: Source, keys: &[Key]) -> bool {
        let before = self.down.len();
        let stays = |(key, by): &(Key, Source)| *by != source || keys.contains(key);
        self.down.retain(stays);
        let mut changed = self.down.len() < before;
        for key in keys {
            if !self.down.contains(&(*key, source)) {
                self.down.push((*key, source));
                changed = true;
            }
        }
        changed
    }

    /// All keys go up, as when the window loses the focus.
    pub fn release_all(&mut self) {
        self.down.clear();
    }

    /// Whether a key is down.
    pub fn is_down(&self, key: Key) -> bool {
        self.down.iter().any(|(held, _)| *held == key)
    }

    /// The action of the keys that are down, or the idle action.
    pub fn action(&self, map: &KeyMap) -> u32 {
        self.chosen(map).map_or(0, |(bound, _)| bound.action)
    }

    /// The action that is played: more keys held together win over fewer, then what was pressed
    /// last.
    pub fn chosen<'a>(&self, map: &'a KeyMap) -> Option<(&'a BoundAction, &'a Chord)> {
        let place = |key: &Key| self.down.iter().rposition(|(down, _)| down == key);
        map.actions
            .iter()
            .flat_map(|bound| bound.chords.iter().map(move |chord| (bound, chord)))
            .filter(|(_, chord)| chord.iter().all(|key| self.is_down(*key)))
            .max_by_key(|(_, chord)| (chord.len(), chord.iter().filter_map(place).max()))
    }
}
