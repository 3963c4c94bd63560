//! What a pad's buttons and directions stand for in a world.

use std::collections::BTreeMap;

use eframe::egui::Key;

use super::{Button, Pad};
use crate::app::keys::{BoundAction, Chord, KeyMap};

/// Keys of the directions, with the words in the names of actions that mean them where a world has
/// no arrow keys.
const DIRECTIONS: [(Key, &[&str]); 4] = [
    (Key::ArrowUp, &["up", "forward", "north", "throttle"]),
    (
        Key::ArrowDown,
        &["down", "back", "backward", "south", "brake"],
    ),
    (Key::ArrowLeft, &["left", "west"]),
    (Key::ArrowRight, &["right", "east"]),
];

/// A pad's buttons and directions as keys of a world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::app) struct PadMap {
    directions: [Option<Key>; 4],
    buttons: Vec<(Button, Key)>,
}

impl PadMap {
    /// The directions are the arrow keys where the world has them, else the keys of the actions that
    /// are called so. The buttons are the world's other keys in their order, Space first, but for
    /// those that a person gave a key: `own`, by the names of buttons and keys.
    pub fn new(keys: &KeyMap, own: &BTreeMap<String, String>) -> Self {
        let directions = DIRECTIONS.map(|(arrow, words)| match keys.uses(arrow) {
            true => Some(arrow),
            false => called(keys, words).and_then(single),
        });
        let directed = |bound: &&BoundAction| {
            let mut chords = bound.chords.iter();
            !chords.any(|chord| matches!(chord[..], [key] if directions.contains(&Some(key))))
        };
        let mut others: Vec<Key> = keys.shown().filter(directed).filter_map(single).collect();
        others.sort_by_key(|key| *key != Key::Space);
        let own_of = |button: Button| Key::from_name(own.get(button.name())?);
        let taken = |key: &Key| Button::PLAYED.iter().any(|b| own_of(*b) == Some(*key));
        let mut others = others.into_iter().filter(|key| !taken(key));
        let buttons = Button::PLAYED.iter().filter_map(|button| {
            let key = own_of(*button).or_else(|| others.next())?;
            Some((*button, key))
        });
        Self {
            buttons: buttons.collect(),
            directions,
        }
    }

    /// The key of a button.
    pub fn key(&self, button: Button) -> Option<Key> {
        let mut all = self.buttons.iter();
        all.find(|(has, _)| *has == button).map(|(_, key)| *key)
    }

    /// The keys that these pads hold down, each once.
    pub fn keys(&self, pads: &[Pad]) -> Vec<Key> {
        let directed = |pad: &Pad| {
            let pairs = self.directions.into_iter().zip(pad.directions);
            pairs
                .filter_map(|(key, on)| key.filter(|_| on))
                .collect::<Vec<_>>()
        };
        let pressed = |pad: &Pad| {
            let down = pad.buttons.iter();
            down.filter_map(|button| self.key(*button))
                .collect::<Vec<_>>()
        };
        let mut keys = Vec::new();
        for key in pads
            .iter()
            .flat_map(|pad| [directed(pad), pressed(pad)].concat())
        {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }
}

/// The first action whose name has one of these words, and a key of its own.
fn called<'a>(keys: &'a KeyMap, words: &[&str]) -> Option<&'a BoundAction> {
    let named = |bound: &&BoundAction, word: &str| {
        let name = bound.name.to_lowercase();
        name.split(|c: char| !c.is_alphanumeric())
            .any(|part| part == word)
    };
    let mut found = words
        .iter()
        .filter_map(|word| keys.shown().find(|bound| named(bound, word)));
    found.find(|bound| single(bound).is_some())
}

/// The key that plays an action alone: Space, or the first.
fn single(bound: &BoundAction) -> Option<Key> {
    let alone = |chord: &Chord| match chord[..] {
        [key] => Some(key),
        _ => None,
    };
    let keys = bound.chords.iter().filter_map(alone);
    keys.min_by_key(|key| *key != Key::Space)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::app::tests::world;
    use driftless_worlds::Kind;

    fn map(actions: &[(&str, &[&str])], own: &[(&str, &str)]) -> PadMap {
        let keys = KeyMap::new(&world(actions).actions).unwrap();
        let own = own
            .iter()
            .map(|(button, key)| ((*button).into(), (*key).into()));
        PadMap::new(&keys, &own.collect())
    }

    fn pad(directions: [bool; 4], buttons: &[Button]) -> Pad {
        Pad {
            directions,
            buttons: buttons.iter().copied().collect::<BTreeSet<_>>(),
            ..Pad::default()
        }
    }

    const UP: [bool; 4] = [true, false, false, false];

    #[test]
    fn space_comes_first_and_then_the_other_keys_in_order() {
        let map = map(
            &[
                ("noop", &[]),
                ("up", &["ArrowUp", "W"]),
                ("duck", &["C"]),
                ("fire", &["F", "Space"]),
                ("jump", &["Space", "J"]),
            ],
            &[],
        );
        let keys = [Button::South, Button::East, Button::West, Button::North].map(|b| map.key(b));
        assert_eq!(keys, [Some(Key::Space), Some(Key::C), Some(Key::J), None]);
        let pressed = map.keys(&[pad(UP, &[Button::East, Button::North, Button::Start])]);
        assert_eq!(pressed, [Key::ArrowUp, Key::C]);
    }

    #[test]
    fn without_arrow_keys_directions_are_those_of_the_actions_called_so() {
        let map = map(
            &[
                ("noop", &[]),
                ("go_forward", &["I"]),
                ("turn-left", &["J"]),
                ("upset", &["U"]),
            ],
            &[],
        );
        assert_eq!(map.keys(&[pad([true; 4], &[])]), [Key::I, Key::J]);
        assert_eq!(map.key(Button::South), Some(Key::U));
    }

    #[test]
    fn two_directions_are_the_keys_of_an_action_of_two() {
        let keys = KeyMap::new(&Kind::Maze.open(0).info().actions).unwrap();
        let map = PadMap::new(&keys, &BTreeMap::new());
        let mut held = crate::app::keys::HeldKeys::default();
        let corner = map.keys(&[pad([true, false, true, false], &[])]);
        held.set(crate::app::keys::Source::Pad, &corner);
        assert_eq!(held.chosen(&keys).unwrap().0.name, "forward-left");
        assert_eq!(map.key(Button::South), Some(Key::Q));
        assert_eq!(map.key(Button::East), Some(Key::E));
    }

    #[test]
    fn a_button_that_a_person_gave_a_key_has_it_and_the_others_move_up() {
        let actions: &[(&str, &[&str])] = &[("noop", &[]), ("fire", &["Space"]), ("jump", &["J"])];
        let map = map(
            actions,
            &[("south", "J"), ("north", "H"), ("east", "Nothing")],
        );
        assert_eq!(map.key(Button::South), Some(Key::J));
        assert_eq!(map.key(Button::East), Some(Key::Space));
        assert_eq!(map.key(Button::North), Some(Key::H));
    }

    #[test]
    fn several_pads_hold_a_key_once() {
        let map = map(&[("noop", &[]), ("up", &["Up"])], &[]);
        assert_eq!(map.keys(&[pad(UP, &[]), pad(UP, &[])]), [Key::ArrowUp]);
        assert!(map.keys(&[]).is_empty());
    }
}
