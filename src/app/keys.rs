//! Which key does what: the world's own keys first, then the window's shortcuts.

use eframe::egui::Key;

use crate::model::config::WorldConfig;
use crate::{Error, Result};

/// What the window itself does for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// Pause or resume.
    Pause,
    /// Pause and make one frame.
    Step,
    /// Start the context again.
    Reset,
    /// Start the next context.
    NextContext,
    /// Show or hide the numbers over the picture.
    Hud,
    /// Show or hide the tuning panel.
    Tuning,
}

impl Shortcut {
    /// Every shortcut, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Pause,
        Self::Step,
        Self::Reset,
        Self::NextContext,
        Self::Hud,
        Self::Tuning,
    ];

    /// What it does, in a few words.
    pub fn label(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Step => "single step",
            Self::Reset => "reset",
            Self::NextContext => "next start",
            Self::Hud => "numbers",
            Self::Tuning => "tuning",
        }
    }

    /// The keys that it would like to have.
    fn candidates(self) -> &'static [Key] {
        match self {
            Self::Pause => &[Key::P, Key::Space],
            Self::Step => &[Key::N, Key::Period],
            Self::Reset => &[Key::R],
            Self::NextContext => &[Key::C],
            Self::Hud => &[Key::H],
            Self::Tuning => &[Key::T],
        }
    }
}

/// An action of the world with the keys that a player holds for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundAction {
    /// Index into the world's actions.
    pub action: u32,
    /// The action's name.
    pub name: String,
    /// Its keys, those that an earlier action took left out; never empty.
    pub keys: Vec<Key>,
}

/// The key bindings of a world and of the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMap {
    actions: Vec<BoundAction>,
}

impl KeyMap {
    /// Reads the bindings of a world; a key bound twice belongs to the first action that names it.
    ///
    /// # Errors
    /// A key name is unknown; the message names the action, the key and what was expected.
    pub fn new(world: &WorldConfig) -> Result<Self> {
        let mut map = Self {
            actions: Vec::new(),
        };
        for (index, action) in (0_u32..).zip(&world.actions) {
            let mut keys = Vec::new();
            for name in &action.keys {
                let key = Key::from_name(name).ok_or_else(|| {
                    Error::Argument(format!(
                        "action `{}` is bound to the unknown key `{name}`, expected a key name \
                         such as `ArrowUp`, `W` or `Space`",
                        action.name
                    ))
                })?;
                if map.action(key).is_none() && !keys.contains(&key) {
                    keys.push(key);
                }
            }
            if !keys.is_empty() {
                map.actions.push(BoundAction {
                    action: index,
                    name: action.name.clone(),
                    keys,
                });
            }
        }
        Ok(map)
    }

    /// The actions that have keys.
    pub fn actions(&self) -> &[BoundAction] {
        &self.actions
    }

    /// The action that a key is bound to.
    pub fn action(&self, key: Key) -> Option<u32> {
        self.actions
            .iter()
            .find(|bound| bound.keys.contains(&key))
            .map(|bound| bound.action)
    }

    /// The shortcut of a key that the world does not use.
    pub fn shortcut(&self, key: Key) -> Option<Shortcut> {
        Shortcut::ALL
            .into_iter()
            .find(|shortcut| self.shortcut_keys(*shortcut).any(|free| free == key))
    }

    /// The keys of a shortcut that the world leaves free.
    pub fn shortcut_keys(&self, shortcut: Shortcut) -> impl Iterator<Item = Key> + '_ {
        shortcut
            .candidates()
            .iter()
            .copied()
            .filter(|key| self.action(*key).is_none())
    }
}

/// The world's keys that are down, in the order in which they were pressed.
#[derive(Clone, Debug, Default)]
pub struct HeldKeys {
    down: Vec<Key>,
}

impl HeldKeys {
    /// A key goes down; a repeat of a held key changes nothing.
    pub fn press(&mut self, key: Key) {
        if !self.is_down(key) {
            self.down.push(key);
        }
    }

    /// A key goes up.
    pub fn release(&mut self, key: Key) {
        self.down.retain(|held| *held != key);
    }

    /// All keys go up, as when the window loses the focus.
    pub fn release_all(&mut self) {
        self.down.clear();
    }

    /// Whether a key is down.
    pub fn is_down(&self, key: Key) -> bool {
        self.down.contains(&key)
    }

    /// The action of the key that was pressed last among those still down, or the idle action.
    pub fn action(&self, map: &KeyMap) -> u32 {
        self.down
            .iter()
            .rev()
            .find_map(|key| map.action(*key))
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::app::tests::world;

    fn map(actions: &[(&str, &[&str])]) -> Result<KeyMap> {
        KeyMap::new(&world(actions))
    }

    #[test]
    fn the_first_action_keeps_a_key_that_is_bound_twice() {
        let map = map(&[("noop", &[]), ("up", &["W", "Up"]), ("fire", &["W", "F"])]).unwrap();
        assert_eq!(map.action(Key::W), Some(1));
        assert_eq!(map.action(Key::ArrowUp), Some(1));
        assert_eq!(map.action(Key::F), Some(2));
        assert_eq!(map.actions()[1].keys, [Key::F]);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_action_the_key_and_what_was_expected() {
        let error = map(&[("noop", &[]), ("up", &["Upp"])]).unwrap_err();
        let line = error.to_string();
        assert!(matches!(error, Error::Argument(_)));
        assert!(line.contains("`up`") && line.contains("`Upp`") && line.contains("ArrowUp"));
        assert!(!line.contains('\n'));
    }

    #[test]
    fn the_world_takes_a_shortcut_key_and_leaves_the_other() {
        let map = map(&[("noop", &[]), ("fire", &["Space", "R"])]).unwrap();
        assert_eq!(map.shortcut(Key::Space), None);
        assert_eq!(map.shortcut(Key::P), Some(Shortcut::Pause));
        assert_eq!(map.shortcut(Key::R), None);
        assert_eq!(map.shortcut_keys(Shortcut::Reset).count(), 0);
        assert_eq!(map.shortcut(Key::Period), Some(Shortcut::Step));
    }

    #[test]
    fn the_latest_pressed_key_wins_and_the_earlier_one_comes_back() {
        let map = map(&[("noop", &[]), ("up", &["Up"]), ("down", &["Down"])]).unwrap();
        let mut held = HeldKeys::default();
        assert_eq!(held.action(&map), 0);
        held.press(Key::ArrowUp);
        held.press(Key::ArrowDown);
        held.press(Key::ArrowUp); // a key repeat
        assert_eq!(held.action(&map), 2);
        held.release(Key::ArrowDown);
        assert_eq!(held.action(&map), 1);
        held.release_all();
        assert_eq!(held.action(&map), 0);
    }
}
