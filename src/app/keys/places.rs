//! Keys by their place: a world's keys lie where they lie on a US keyboard, whatever the layout prints on
//! them, and the window's shortcuts go by letter.

use std::collections::BTreeMap;

use eframe::egui::Key;

use super::KeyMap;

/// The keys that are held down: where each lies, and the key that it was pressed as; and what the layout prints on
/// them, as far as presses have told.
#[derive(Clone, Debug, Default)]
pub struct KeyPlaces {
    held: Vec<(Key, Key)>,
    /// What is printed on the key at a place.
    letters: BTreeMap<Key, Key>,
    /// What may be: keys that layouts exchange, such as Y and Z.
    guesses: BTreeMap<Key, Key>,
}

impl KeyPlaces {
    /// The key that a press means. `place` is the key that lies there on a US keyboard, if the system
    /// tells, `letter` what the layout makes of it. Where the world uses either, or `by_place`, the place
    /// counts, otherwise the letter. A repeated press means what the first one did.
    pub fn press(&mut self, place: Option<Key>, letter: Key, map: &KeyMap, by_place: bool) -> Key {
        let place = place.unwrap_or(letter);
        self.learn(place, letter);
        if let Some((_, before)) = self.held.iter().find(|(held, _)| *held == place) {
            return *before;
        }
        let is_played = by_place || map.uses(place) || map.uses(letter);
        let key = if is_played { place } else { letter };
        self.held.push((place, key));
        key
    }

    /// Notes which letter lies where.
    fn learn(&mut self, place: Key, letter: Key) {
        let is_letter = |key: Key| (Key::A..=Key::Z).contains(&key);
        if is_letter(place) && is_letter(letter) {
            self.letters.insert(place, letter);
            self.guesses.insert(letter, place);
        }
    }

    /// What is printed on the letter keys, by their place, as far as it is known and differs from a US keyboard.
    pub fn letters(&self) -> BTreeMap<Key, Key> {
        let guesses = self
            .guesses
            .iter()
            .filter(|(place, _)| !self.letters.contains_key(place));
        let all = self.letters.iter().chain(guesses);
        all.filter(|(place, letter)| place != letter)
            .map(|(place, letter)| (*place, *letter))
            .collect()
    }

    /// The key that a release ends: what its place was pressed as, even if the letter has changed since,
    /// with Shift for example.
    pub fn release(&mut self, place: Option<Key>, letter: Key) -> Key {
        let place = place.unwrap_or(letter);
        match self.held.iter().position(|(held, _)| *held == place) {
            Some(index) => self.held.swap_remove(index).1,
            None => letter,
        }
    }

    /// Forgets which keys are down: without the focus, the window sees no releases.
    pub fn forget(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use driftless_data::ActionSpec;

    use super::*;

    /// A world whose action is played by W and 4.
    fn map() -> KeyMap {
        let action = |name: &str, keys: &[&str]| ActionSpec {
            name: name.into(),
            keys: keys.iter().map(|&key| key.into()).collect(),
        };
        KeyMap::new(&[action("noop", &[]), action("up", &["W", "4"])]).unwrap()
    }

    #[test]
    fn world_keys_go_by_place() {
        let (map, mut places) = (map(), KeyPlaces::default());
        // A French keyboard has Z in W's place, W in Z's, and a quote on the key of 4.
        for (place, letter) in [(Key::W, Key::Z), (Key::Num4, Key::Quote), (Key::Z, Key::W)] {
            assert_eq!(places.press(Some(place), letter, &map, false), place);
        }
        assert_eq!(places.press(None, Key::W, &map, false), Key::W);
    }

    #[test]
    fn presses_tell_what_is_printed() {
        let (map, mut places) = (map(), KeyPlaces::default());
        assert!(places.letters().is_empty());
        // A German keyboard exchanges Y and Z; a French one has Z where W is.
        places.press(Some(Key::Y), Key::Z, &map, false);
        assert_eq!(
            places.letters(),
            [(Key::Y, Key::Z), (Key::Z, Key::Y)].into()
        );
        places.press(Some(Key::Z), Key::W, &map, false);
        places.press(Some(Key::A), Key::A, &map, false);
        let letters = places.letters();
        assert_eq!(letters.get(&Key::Z), Some(&Key::W));
        assert_eq!(letters.get(&Key::A), None);
        // Digits with and without Shift say nothing about letters.
        places.press(Some(Key::Num4), Key::Quote, &map, false);
        assert_eq!(places.letters(), letters);
    }

    #[test]
    fn shortcuts_go_by_letter() {
        let (map, mut places) = (map(), KeyPlaces::default());
        let press = |places: &mut KeyPlaces, by_place| {
            places.press(Some(Key::Semicolon), Key::M, &map, by_place)
        };
        assert_eq!(press(&mut places, false), Key::M);
        places.forget();
        assert_eq!(press(&mut places, true), Key::Semicolon);
    }

    #[test]
    fn release_ends_what_its_place_pressed() {
        let (map, mut places) = (map(), KeyPlaces::default());
        let slash = Some(Key::Slash);
        assert_eq!(places.press(slash, Key::Slash, &map, false), Key::Slash);
        // With Shift the key has another letter, when it repeats and when it is released.
        let repeated = places.press(slash, Key::Questionmark, &map, false);
        assert_eq!(repeated, Key::Slash);
        assert_eq!(places.release(slash, Key::Questionmark), Key::Slash);
        assert_eq!(places.release(slash, Key::Questionmark), Key::Questionmark);
    }
}
