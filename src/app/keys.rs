//! Key bindings: the world's keys take precedence over the window's shortcuts.

mod axes;
mod held;
mod places;
pub mod rebind;
mod shortcut;

use std::collections::{BTreeMap, BTreeSet};

use eframe::egui::Key;

use driftless_data::ActionSpec;

use crate::{Error, Result};

pub use axes::{AnalogInputs, BoundAxis};
pub use held::{HeldKeys, InputSource};
pub use places::KeyPlaces;
pub use shortcut::Shortcut;

/// Keys held together, sorted; usually a single key.
pub type Chord = Vec<Key>;

/// An action and the chords that play it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundAction {
    /// Index into the world's actions.
    pub action: u32,
    /// The action's name.
    pub name: String,
    /// Any of these plays the action. Excludes chords taken by earlier actions; never empty.
    pub chords: Vec<Chord>,
}

/// The user's key bindings: action names to key names as in [`ActionSpec::keys`].
pub type Bindings = BTreeMap<String, Vec<String>>;

/// The key bindings of a world and the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMap {
    actions: Vec<BoundAction>,
    axes: Vec<BoundAxis>,
    /// Combined actions: each of their keys plays an action itself.
    combined: BTreeSet<u32>,
    shortcuts: Vec<Shortcut>,
    /// Those that do nothing in this world, and why.
    refused: Vec<(Shortcut, &'static str)>,
}

impl KeyMap {
    /// Reads a world's bindings: key names, and chords such as `ArrowUp+Space`. A chord bound twice
    /// belongs to the first action that names it.
    ///
    /// # Errors
    /// Returns an error that names the action and the key if a key name is unknown.
    pub fn new(actions: &[ActionSpec]) -> Result<Self> {
        Self::with(actions, &Bindings::new())
    }

    /// Like [`KeyMap::new`], but the user's bindings in `custom` replace an action's keys and are taken
    /// from other actions. Unknown actions and keys in `custom` are ignored.
    ///
    /// # Errors
    /// Returns an error if one of the world's own key names is unknown.
    pub fn with(actions: &[ActionSpec], custom: &Bindings) -> Result<Self> {
        let defaults = world_chords(actions)?;
        let combinations = combinations(&defaults);
        let custom_of = |index: usize| {
            if combinations.contains_key(&index) {
                None
            } else {
                custom.get(&actions[index].name)
            }
        };
        let mut taken: BTreeSet<Chord> = BTreeSet::new();
        let mut chords: Vec<Vec<Chord>> = vec![Vec::new(); actions.len()];
        let mut take = |index: usize, wanted: &mut dyn Iterator<Item = Chord>| {
            chords[index].extend(wanted.filter(|chord| taken.insert(chord.clone())));
        };
        for index in 0..actions.len() {
            if let Some(names) = custom_of(index) {
                take(index, &mut names.iter().filter_map(|name| chord(name)));
            }
        }
        for (index, chords) in defaults.iter().enumerate() {
            if custom_of(index).is_none() && !combinations.contains_key(&index) {
                take(index, &mut chords.iter().cloned());
            }
        }
        for (index, sets) in &combinations {
            let together: Vec<_> = sets
                .iter()
                .flat_map(|set| chord_product(set.iter().map(|part| chords[*part].as_slice())))
                .collect();
            chords[*index].extend(together.into_iter().filter(|c| taken.insert(c.clone())));
        }
        let bound = (0..).zip(actions).zip(chords);
        let bound = bound.map(|((action, spec), chords)| BoundAction {
            action,
            name: spec.name.clone(),
            chords,
        });
        Ok(Self {
            actions: bound.filter(|bound| !bound.chords.is_empty()).collect(),
            axes: Vec::new(),
            combined: combinations
                .keys()
                .filter_map(|i| u32::try_from(*i).ok())
                .collect(),
            shortcuts: Shortcut::ALL.to_vec(),
            refused: Vec::new(),
        })
    }

    /// The actions that the user can rebind, with their current chords.
    pub fn rebindable<'a>(
        &'a self,
        actions: &'a [ActionSpec],
    ) -> impl Iterator<Item = (&'a ActionSpec, &'a [Chord])> {
        let free = |(index, spec): &(u32, &ActionSpec)| {
            let idle = *index == 0 && spec.keys.is_empty();
            !idle && !self.combined.contains(index)
        };
        let bound = (0_u32..).zip(actions).filter(free);
        bound.map(|(index, spec)| (spec, self.chords_of(index)))
    }

    /// The binding of an action, if it has keys.
    pub fn bound(&self, action: u32) -> Option<&BoundAction> {
        self.actions.iter().find(|bound| bound.action == action)
    }

    /// The chords of an action.
    pub fn chords_of(&self, action: u32) -> &[Chord] {
        self.bound(action).map_or(&[], |bound| &bound.chords)
    }

    /// The action played by a single key.
    pub fn action_of(&self, key: Key) -> Option<&BoundAction> {
        let plays = |bound: &&BoundAction| bound.chords.iter().any(|chord| chord == &[key]);
        self.actions.iter().find(plays)
    }

    /// The same bindings without one shortcut.
    pub fn without(mut self, shortcut: Shortcut) -> Self {
        self.shortcuts.retain(|other| *other != shortcut);
        self
    }

    /// The same bindings with only the shortcuts that `keep` accepts.
    pub fn with_shortcuts(mut self, keep: impl Fn(Shortcut) -> bool) -> Self {
        self.shortcuts.retain(|shortcut| keep(*shortcut));
        self
    }

    /// The same bindings, but a shortcut does nothing and says why.
    #[must_use]
    pub fn refusing(mut self, shortcut: Shortcut, why: &'static str) -> Self {
        self.refused.push((shortcut, why));
        self
    }

    /// Why a shortcut does nothing in this world, if so.
    pub fn why_not(&self, shortcut: Shortcut) -> Option<&'static str> {
        let mut refused = self.refused.iter();
        refused.find_map(|(refused, why)| (*refused == shortcut).then_some(*why))
    }

    /// The window's shortcuts, in display order.
    pub fn shortcuts(&self) -> &[Shortcut] {
        &self.shortcuts
    }

    /// The actions to list for the player, without combined ones.
    pub fn listed_actions(&self) -> impl Iterator<Item = &BoundAction> {
        let bound = self.actions.iter();
        bound.filter(|bound| !self.combined.contains(&bound.action))
    }

    /// Whether the world uses a key.
    pub fn uses(&self, key: Key) -> bool {
        self.chords().any(|chord| chord.contains(&key))
            || self.axes.iter().any(|axis| axis.uses(key))
    }

    /// The shortcut of a key, unless the world uses the key.
    pub fn shortcut(&self, key: Key) -> Option<Shortcut> {
        let mut shortcuts = self.shortcuts.iter().copied();
        shortcuts.find(|shortcut| self.shortcut_keys(*shortcut).any(|free| free == key))
    }

    /// A shortcut's keys that the world does not use.
    pub fn shortcut_keys(&self, shortcut: Shortcut) -> impl Iterator<Item = Key> + '_ {
        shortcut
            .default_keys()
            .iter()
            .copied()
            .filter(|key| !self.uses(*key))
    }

    /// The shortcut of a key pressed together with Ctrl, on macOS with Command.
    pub fn control_shortcut(&self, key: Key) -> Option<Shortcut> {
        let mut shortcuts = self.shortcuts.iter().copied();
        shortcuts.find(|shortcut| shortcut.control_key() == Some(key))
    }

    /// A shortcut's keys in words: `P or Space`, `Ctrl+K`; empty if it has none.
    pub fn shortcut_text(&self, shortcut: Shortcut) -> String {
        let control = if cfg!(target_os = "macos") {
            "⌘"
        } else {
            "Ctrl+"
        };
        let together = shortcut.control_key();
        let together = together.map(|key| format!("{control}{}", key.symbol_or_name()));
        let alone = self.shortcut_keys(shortcut);
        let all = alone.map(|key| key.symbol_or_name().to_owned());
        all.chain(together).collect::<Vec<_>>().join(" or ")
    }

    fn chords(&self) -> impl Iterator<Item = &Chord> {
        self.actions.iter().flat_map(|bound| &bound.chords)
    }
}

/// Each action's chords as the world defines them, without those of earlier actions.
fn world_chords(actions: &[ActionSpec]) -> Result<Vec<Vec<Chord>>> {
    let mut taken = BTreeSet::new();
    let mut all = Vec::new();
    for action in actions {
        let mut chords = Vec::new();
        for name in &action.keys {
            let chord = chord(name).ok_or_else(|| {
                Error::Config(format!(
                    "action `{}` is bound to the unknown key `{name}`, expected a key name \
                     such as `ArrowUp`, `W` or `Space`, or several joined by `+`",
                    action.name
                ))
            })?;
            if taken.insert(chord.clone()) {
                chords.push(chord);
            }
        }
        all.push(chords);
    }
    Ok(all)
}

/// The combined actions, each with the sets of actions it consists of.
fn combinations(defaults: &[Vec<Chord>]) -> BTreeMap<usize, BTreeSet<BTreeSet<usize>>> {
    let player = |key: &Key| {
        let alone = |chords: &Vec<Chord>| chords.iter().any(|chord| chord == &[*key]);
        defaults.iter().position(alone)
    };
    let of_chord = |chord: &Chord| -> Option<BTreeSet<usize>> {
        let set: Option<BTreeSet<_>> = chord.iter().map(player).collect();
        set.filter(|_| chord.len() > 1)
    };
    let of_action = |(index, chords): (usize, &Vec<Chord>)| {
        let sets: Option<BTreeSet<_>> = chords.iter().map(of_chord).collect();
        Some((index, sets.filter(|sets| !sets.is_empty())?))
    };
    defaults.iter().enumerate().filter_map(of_action).collect()
}

/// Every combination of one chord from each.
fn chord_product<'a>(of: impl Iterator<Item = &'a [Chord]>) -> Vec<Chord> {
    let mut together: Vec<Chord> = vec![Vec::new()];
    for chords in of {
        let joined = |(held, chord): (&Chord, &Chord)| {
            let mut both = [held.as_slice(), chord].concat();
            both.sort_unstable();
            both.dedup();
            both
        };
        let pairs = together
            .iter()
            .flat_map(|held| chords.iter().map(move |chord| (held, chord)));
        together = pairs.map(joined).collect();
    }
    together
}

/// The name of a chord, as [`KeyMap::new`] reads it.
pub fn chord_name(chord: &Chord) -> String {
    let names: Vec<_> = chord.iter().map(|key| key.name()).collect();
    names.join("+")
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

#[cfg(test)]
mod tests;
