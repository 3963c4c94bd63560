//! Maps a gamepad's buttons and directions to a world's keys.

use std::collections::BTreeMap;

use eframe::egui::Key;

use super::{Gamepad, GamepadButton};
use crate::app::keys::{BoundAction, Chord, KeyMap};

/// Keys of the directions, and the action names that mean them in worlds without arrow keys.
const DIRECTIONS: [(Key, &[&str]); 4] = [
    (Key::ArrowUp, &["up", "forward", "north", "throttle"]),
    (
        Key::ArrowDown,
        &["down", "back", "backward", "south", "brake"],
    ),
    (Key::ArrowLeft, &["left", "west"]),
    (Key::ArrowRight, &["right", "east"]),
];

/// A mapping from gamepad buttons and directions to keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::app) struct GamepadMap {
    directions: [Option<Key>; 4],
    buttons: Vec<(GamepadButton, Key)>,
}

impl GamepadMap {
    /// Directions map to the arrow keys if the world uses them, else to the keys of actions named
    /// like them. Buttons map to the world's other keys in order, Space first, except those the user
    /// has bound in `custom`, by the names of buttons and keys.
    pub fn new(keys: &KeyMap, custom: &BTreeMap<String, String>) -> Self {
        let directions = DIRECTIONS.map(|(arrow, words)| {
            if keys.uses(arrow) {
                Some(arrow)
            } else {
                action_named(keys, words).and_then(single_key)
            }
        });
        let directed = |bound: &&BoundAction| {
            let mut chords = bound.chords.iter();
            !chords.any(|chord| matches!(chord[..], [key] if directions.contains(&Some(key))))
        };
        let mut other_keys: Vec<Key> = keys
            .listed_actions()
            .filter(directed)
            .filter_map(single_key)
            .collect();
        other_keys.sort_by_key(|key| *key != Key::Space);
        let custom_of = |button: GamepadButton| Key::from_name(custom.get(button.name())?);
        let bound = |key: &Key| {
            GamepadButton::MAPPABLE
                .iter()
                .any(|b| custom_of(*b) == Some(*key))
        };
        let mut other_keys = other_keys.into_iter().filter(|key| !bound(key));
        let buttons = GamepadButton::MAPPABLE.iter().filter_map(|button| {
            let key = custom_of(*button).or_else(|| other_keys.next())?;
            Some((*button, key))
        });
        Self {
            buttons: buttons.collect(),
            directions,
        }
    }

    /// The key of a button.
    pub fn key(&self, button: GamepadButton) -> Option<Key> {
        let mut all = self.buttons.iter();
        all.find(|(has, _)| *has == button).map(|(_, key)| *key)
    }

    /// The keys that these gamepads hold down, without duplicates.
    pub fn keys(&self, gamepads: &[Gamepad]) -> Vec<Key> {
        let directed = |gamepad: &Gamepad| {
            let pairs = self.directions.into_iter().zip(gamepad.directions);
            pairs
                .filter_map(|(key, on)| key.filter(|_| on))
                .collect::<Vec<_>>()
        };
        let pressed = |gamepad: &Gamepad| {
            let down = gamepad.buttons.iter();
            down.filter_map(|button| self.key(*button))
                .collect::<Vec<_>>()
        };
        let mut keys = Vec::new();
        for key in gamepads
            .iter()
            .flat_map(|gamepad| [directed(gamepad), pressed(gamepad)].concat())
        {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }
}

/// The first action named by one of these words that a single key plays.
fn action_named<'a>(keys: &'a KeyMap, words: &[&str]) -> Option<&'a BoundAction> {
    let named = |bound: &&BoundAction, word: &str| {
        let name = bound.name.to_lowercase();
        name.split(|c: char| !c.is_alphanumeric())
            .any(|part| part == word)
    };
    let mut found = words
        .iter()
        .filter_map(|word| keys.listed_actions().find(|bound| named(bound, word)));
    found.find(|bound| single_key(bound).is_some())
}

/// The single key that plays an action: Space if possible, else the first.
fn single_key(bound: &BoundAction) -> Option<Key> {
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
    use driftless_worlds::SimulatorKind;

    fn map(actions: &[(&str, &[&str])], custom: &[(&str, &str)]) -> GamepadMap {
        let keys = KeyMap::new(&world(actions).actions).unwrap();
        let custom = custom
            .iter()
            .map(|(button, key)| ((*button).into(), (*key).into()));
        GamepadMap::new(&keys, &custom.collect())
    }

    fn gamepad(directions: [bool; 4], buttons: &[GamepadButton]) -> Gamepad {
        Gamepad {
            directions,
            buttons: buttons.iter().copied().collect::<BTreeSet<_>>(),
            ..Gamepad::default()
        }
    }

    const UP: [bool; 4] = [true, false, false, false];

    #[test]
    fn buttons_take_keys_in_order() {
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
        let keys = [
            GamepadButton::South,
            GamepadButton::East,
            GamepadButton::West,
            GamepadButton::North,
        ]
        .map(|b| map.key(b));
        assert_eq!(keys, [Some(Key::Space), Some(Key::C), Some(Key::J), None]);
        let pressed = map.keys(&[gamepad(
            UP,
            &[
                GamepadButton::East,
                GamepadButton::North,
                GamepadButton::Start,
            ],
        )]);
        assert_eq!(pressed, [Key::ArrowUp, Key::C]);
    }

    #[test]
    fn directions_fall_back_to_action_names() {
        let map = map(
            &[
                ("noop", &[]),
                ("go_forward", &["I"]),
                ("turn-left", &["J"]),
                ("upset", &["U"]),
            ],
            &[],
        );
        assert_eq!(map.keys(&[gamepad([true; 4], &[])]), [Key::I, Key::J]);
        assert_eq!(map.key(GamepadButton::South), Some(Key::U));
    }

    #[test]
    fn diagonal_plays_combined_action() {
        let keys = KeyMap::new(&SimulatorKind::Maze.open(0).info().actions).unwrap();
        let map = GamepadMap::new(&keys, &BTreeMap::new());
        let mut held = crate::app::keys::HeldKeys::default();
        let corner = map.keys(&[gamepad([true, false, true, false], &[])]);
        held.set(crate::app::keys::InputSource::Gamepad, &corner);
        assert_eq!(held.active_chord(&keys).unwrap().0.name, "forward-left");
        assert_eq!(map.key(GamepadButton::South), Some(Key::Q));
        assert_eq!(map.key(GamepadButton::East), Some(Key::E));
    }

    #[test]
    fn user_bindings_come_first() {
        let actions: &[(&str, &[&str])] = &[("noop", &[]), ("fire", &["Space"]), ("jump", &["J"])];
        let map = map(
            actions,
            &[("south", "J"), ("north", "H"), ("east", "Nothing")],
        );
        assert_eq!(map.key(GamepadButton::South), Some(Key::J));
        assert_eq!(map.key(GamepadButton::East), Some(Key::Space));
        assert_eq!(map.key(GamepadButton::North), Some(Key::H));
    }

    #[test]
    fn keys_of_several_gamepads_are_merged() {
        let map = map(&[("noop", &[]), ("up", &["Up"])], &[]);
        assert_eq!(
            map.keys(&[gamepad(UP, &[]), gamepad(UP, &[])]),
            [Key::ArrowUp]
        );
        assert!(map.keys(&[]).is_empty());
    }
}
