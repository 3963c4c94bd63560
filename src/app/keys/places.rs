//! Keys by their place: a world's keys lie where they lie on a US keyboard, whatever the layout prints on
//! them, and the window's shortcuts go by letter.

use eframe::egui::Key;

use super::KeyMap;

/// The keys that are held down: where each lies, and the key that it was pressed as.
#[derive(Clone, Debug, Default)]
pub struct KeyPlaces {
    held: Vec<(Key, Key)>,
}

impl KeyPlaces {
    /// The key that a press means. `place` is the key that lies there on a US keyboard, if the system
    /// tells, `letter` what the layout makes of it. Where the world uses either, or `by_place`, the place
    /// counts, otherwise the letter. A repeated press means what the first one did.
    pub fn press(&mut self, place: Option<Key>, letter: Key, map: &KeyMap, by_place: bool) -> Key {
        let place = place.unwrap_or(letter);
        if let Some((_, before)) = self.held.iter().find(|(held, _)| *held == place) {
            return *before;
        }
        let is_played = by_place || map.uses(place) || map.uses(letter);
        let key = if is_played { place } else { letter };
        self.held.push((place, key));
        key
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
