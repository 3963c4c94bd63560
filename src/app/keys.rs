//! Which key does what: the world's own keys first, then the window's shortcuts.

use eframe::egui::Key;

use crate::model::config::ActionSpec;
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
    /// Show or hide how the frame came out of the noise.
    Denoising,
    /// Show or hide the tuning panel.
    Tuning,
    /// Open the page on which a world is chosen.
    Worlds,
    /// Open the page on which worlds are made.
    NewWorld,
}

impl Shortcut {
    /// Every shortcut, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::Pause,
        Self::Step,
        Self::Reset,
        Self::NextContext,
        Self::Hud,
        Self::Denoising,
        Self::Tuning,
        Self::Worlds,
        Self::NewWorld,
    ];

    /// What it does, in a few words.
    pub fn label(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Step => "single step",
            Self::Reset => "reset",
            Self::NextContext => "next start",
            Self::Hud => "numbers",
            Self::Denoising => "denoising",
            Self::Tuning => "tuning",
            Self::Worlds => "worlds",
            Self::NewWorld => "new world",
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
            Self::Denoising => &[Key::V],
            Self::Tuning => &[Key::T],
            Self::Worlds => &[Key::O, Key::F3],
            Self::NewWorld => &[Key::M, Key::F2],
        }
    }
}

/// Keys that are held together, sorted; a single key most of the time.
pub type Chord = Vec<Key>;

/// An action of the world with the keys that a player holds for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundAction {
    /// Index into the world's actions.
    pub action: u32,
    /// The action's name.
    pub name: String,
    /// Each is enough; those that an earlier action took are left out; never empty.
    pub chords: Vec<Chord>,
}

/// The key bindings of a world and of the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMap {
    actions: Vec<BoundAction>,
    shortcuts: Vec<Shortcut>,
}

impl KeyMap {
    /// Reads the bindings of a world: names of keys, and of keys held together (`ArrowUp+Space`).
    /// What is bound twice belongs to the first action that names it.
    ///
    /// # Errors
    /// A key name is unknown; the message names the action, the key and what was expected.
    pub fn new(actions: &[ActionSpec]) -> Result<Self> {
        let mut map = Self {
            actions: Vec::new(),
            shortcuts: Shortcut::ALL.to_vec(),
        };
        for (index, action) in (0_u32..).zip(actions) {
            let mut chords = Vec::new();
            for name in &action.keys {
                let chord = chord(name).ok_or_else(|| {
                    Error::Argument(format!(
                        "action `{}` is bound to the unknown key `{name}`, expected a key name \
                         such as `ArrowUp`, `W` or `Space`, or several joined by `+`",
                        action.name
                    ))
                })?;
                if !chords.contains(&chord) && !map.chords().any(|taken| *taken == chord) {
                    chords.push(chord);
                }
            }
            if !chords.is_empty() {
                map.actions.push(BoundAction {
                    action: index,
                    name: action.name.clone(),
                    chords,
                });
            }
        }
        Ok(map)
    }

    /// The same bindings without a shortcut that has nothing to do.
    pub fn without(mut self, shortcut: Shortcut) -> Self {
        self.shortcuts.retain(|own| *own != shortcut);
        self
    }

    /// The window's shortcuts, in the order in which they are shown.
    pub fn shortcuts(&self) -> &[Shortcut] {
        &self.shortcuts
    }

    /// The actions that a player should be told of: not those whose keys are each an action.
    pub fn shown(&self) -> impl Iterator<Item = &BoundAction> {
        let known = |key: &Key| self.chords().any(|chord| chord.as_slice() == [*key]);
        self.actions.iter().filter(move |bound| {
            bound
                .chords
                .iter()
                .any(|c| c.len() == 1 || !c.iter().all(known))
        })
    }

    /// Whether the world uses a key.
    pub fn uses(&self, key: Key) -> bool {
        self.chords().any(|chord| chord.contains(&key))
    }

    /// The shortcut of a key that the world does not use.
    pub fn shortcut(&self, key: Key) -> Option<Shortcut> {
        let mut own = self.shortcuts.iter().copied();
        own.find(|shortcut| self.shortcut_keys(*shortcut).any(|free| free == key))
    }

    /// The keys of a shortcut that the world leaves free.
    pub fn shortcut_keys(&self, shortcut: Shortcut) -> impl Iterator<Item = Key> + '_ {
        shortcut
            .candidates()
            .iter()
            .copied()
            .filter(|key| !self.uses(*key))
    }

    fn chords(&self) -> impl Iterator<Item = &Chord> {
        self.actions.iter().flat_map(|bound| &bound.chords)
    }
}

fn chord(name: &str) -> Option<Chord> {
    if let Some(key) = Key::from_name(name) {
        return Some(vec![key]);
    }
    let mut keys: Chord = name.split('+').map(Key::from_name).collect::<Option<_>>()?;
    keys.sort_unstable();
    keys.dedup();
    Some(keys)
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

    /// The action of the keys that are down, or the idle action.
    pub fn action(&self, map: &KeyMap) -> u32 {
        self.chosen(map).map_or(0, |(bound, _)| bound.action)
    }

    /// The action that is played: more keys held together win over fewer, then what was pressed
    /// last.
    pub fn chosen<'a>(&self, map: &'a KeyMap) -> Option<(&'a BoundAction, &'a Chord)> {
        let place = |key: &Key| self.down.iter().position(|down| down == key);
        map.actions
            .iter()
            .flat_map(|bound| bound.chords.iter().map(move |chord| (bound, chord)))
            .filter(|(_, chord)| chord.iter().all(|key| self.is_down(*key)))
            .max_by_key(|(_, chord)| (chord.len(), chord.iter().filter_map(place).max()))
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::app::tests::world;

    fn map(actions: &[(&str, &[&str])]) -> Result<KeyMap> {
        KeyMap::new(&world(actions).actions)
    }

    #[test]
    fn the_first_action_keeps_a_key_that_is_bound_twice() {
        let map = map(&[("noop", &[]), ("up", &["W", "Up"]), ("fire", &["W", "F"])]).unwrap();
        let chords: Vec<_> = map
            .shown()
            .map(|bound| (bound.action, &bound.chords))
            .collect();
        let (up, fire) = (vec![vec![Key::W], vec![Key::ArrowUp]], vec![vec![Key::F]]);
        assert_eq!(chords, [(1, &up), (2, &fire)]);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_action_the_key_and_what_was_expected() {
        for name in ["Upp", "Up+", "Up+Spce", ""] {
            let error = map(&[("noop", &[]), ("up", &[name])]).unwrap_err();
            let line = error.to_string();
            assert!(matches!(error, Error::Argument(_)));
            assert!(
                line.contains("`up`") && line.contains(&format!("`{name}`")),
                "{line}"
            );
            assert!(line.contains("ArrowUp") && !line.contains('\n'), "{line}");
        }
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
    fn a_shortcut_with_nothing_to_do_is_left_out() {
        let map = map(&[("noop", &[])]).unwrap();
        assert_eq!(map.shortcut(Key::V), Some(Shortcut::Denoising));
        let map = map.without(Shortcut::Denoising);
        assert_eq!(map.shortcut(Key::V), None);
        assert_eq!(map.shortcuts().len(), Shortcut::ALL.len() - 1);
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

    #[test]
    fn keys_held_together_win_over_each_alone() {
        let map = map(&[
            ("noop", &[]),
            ("up", &["Up"]),
            ("fire", &["Space"]),
            ("left", &["Left"]),
            ("up-fire", &["Up+Space"]),
            ("left-fire", &["Space+Left"]),
        ])
        .unwrap();
        let mut held = HeldKeys::default();
        held.press(Key::Space);
        assert_eq!(held.action(&map), 2);
        held.press(Key::ArrowUp);
        assert_eq!(held.action(&map), 4);
        held.press(Key::ArrowLeft);
        assert_eq!(held.action(&map), 5);
        held.release(Key::Space);
        assert_eq!(held.action(&map), 3);
        let shown: Vec<_> = map.shown().map(|bound| bound.name.as_str()).collect();
        assert_eq!(shown, ["up", "fire", "left"]);
    }

    #[test]
    fn a_chord_is_shown_when_its_keys_are_no_actions_of_their_own() {
        let map = map(&[("noop", &[]), ("up", &["Up"]), ("jump", &["Up+J"])]).unwrap();
        assert_eq!(map.shown().count(), 2);
        assert!(map.uses(Key::J) && !map.uses(Key::K));
    }
}
