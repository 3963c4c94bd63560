//! Which keys are held, by which device, and the action they play.

use eframe::egui::Key;

use super::{BoundAction, Chord, KeyMap};

/// The device that holds a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputSource {
    /// The keyboard.
    Keyboard,
    /// Gamepads, whose buttons are mapped to keys.
    Gamepad,
    /// The mouse, whose motion is mapped to keys.
    Mouse,
}

/// The world's keys that are held down, in the order they were pressed.
#[derive(Clone, Debug, Default)]
pub struct HeldKeys {
    down: Vec<(Key, InputSource)>,
}

impl HeldKeys {
    /// Presses a key on the keyboard; returns false for a key repeat.
    pub fn press(&mut self, key: Key) -> bool {
        let pressed = (key, InputSource::Keyboard);
        let new = !self.down.contains(&pressed);
        if new {
            self.down.push(pressed);
        }
        new
    }

    /// Releases a key on the keyboard; returns whether it was down.
    pub fn release(&mut self, key: Key) -> bool {
        let before = self.down.len();
        self.down
            .retain(|held| *held != (key, InputSource::Keyboard));
        self.down.len() < before
    }

    /// Sets the keys held by a device; returns whether anything changed.
    pub fn set(&mut self, source: InputSource, keys: &[Key]) -> bool {
        let before = self.down.len();
        let stays = |(key, by): &(Key, InputSource)| *by != source || keys.contains(key);
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

    /// Releases all keys, for example when the window loses focus.
    pub fn release_all(&mut self) {
        self.down.clear();
    }

    /// Whether a key that is down here is up in `later`.
    pub fn loses_a_key_to(&self, later: &Self) -> bool {
        self.down.iter().any(|held| !later.down.contains(held))
    }

    /// Whether one of some devices holds a key.
    pub(super) fn is_held_by(&self, key: Key, by: impl Fn(InputSource) -> bool) -> bool {
        self.down
            .iter()
            .any(|(held, source)| *held == key && by(*source))
    }

    /// Whether any device holds a key.
    pub fn is_down(&self, key: Key) -> bool {
        self.down.iter().any(|(held, _)| *held == key)
    }

    /// The action of the held keys, or the idle action 0.
    pub fn action(&self, map: &KeyMap) -> u32 {
        self.active_chord(map).map_or(0, |(bound, _)| bound.action)
    }

    /// The played action and its chord: longer chords win, then the most recent press.
    pub fn active_chord<'a>(&self, map: &'a KeyMap) -> Option<(&'a BoundAction, &'a Chord)> {
        let place = |key: &Key| self.down.iter().rposition(|(down, _)| down == key);
        map.actions
            .iter()
            .flat_map(|bound| bound.chords.iter().map(move |chord| (bound, chord)))
            .filter(|(_, chord)| chord.iter().all(|key| self.is_down(*key)))
            .max_by_key(|(_, chord)| (chord.len(), chord.iter().filter_map(place).max()))
    }
}
