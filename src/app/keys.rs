//! Which key does what: the world's own keys first, then the window's shortcuts.

pub mod choice;
mod held;

use std::collections::{BTreeMap, BTreeSet};

use eframe::egui::Key;

use crate::{Error, Result};
use driftless_data::ActionSpec;

pub use held::{HeldKeys, Source};

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
    /// Show or hide what the model holds and where it looked.
    Inspect,
    /// Show or hide the tuning panel.
    Tuning,
    /// Show or hide the time line.
    Timeline,
    /// Pause, and go one frame back.
    Back,
    /// Go one frame ahead again.
    Ahead,
    /// Show or hide the truth beside the frame.
    Truth,
    /// Show or hide the difference to what is beside the frame.
    Difference,
    /// Show or hide curves of what is measured.
    Plots,
    /// Save the frames from the last start to this one.
    Save,
    /// Open the page on which a world is chosen.
    Worlds,
    /// Open the page on which worlds are made.
    NewWorld,
    /// Let the mouse turn or steer, or let it go.
    Mouse,
    /// Open the settings.
    Preferences,
    /// Fill the screen, or leave it.
    FullScreen,
    /// Show every key.
    Help,
}

impl Shortcut {
    /// Every shortcut, in the order in which they are shown.
    pub const ALL: [Self; 21] = [
        Self::Pause,
        Self::Step,
        Self::Reset,
        Self::NextContext,
        Self::Hud,
        Self::Denoising,
        Self::Inspect,
        Self::Tuning,
        Self::Timeline,
        Self::Back,
        Self::Ahead,
        Self::Truth,
        Self::Difference,
        Self::Plots,
        Self::Save,
        Self::Worlds,
        Self::NewWorld,
        Self::Mouse,
        Self::Preferences,
        Self::FullScreen,
        Self::Help,
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
            Self::Inspect => "inspect",
            Self::Tuning => "tuning",
            Self::Timeline => "time line",
            Self::Back => "a frame back",
            Self::Ahead => "a frame ahead",
            Self::Truth => "truth beside",
            Self::Difference => "difference",
            Self::Plots => "plots",
            Self::Save => "save",
            Self::Worlds => "worlds",
            Self::NewWorld => "new world",
            Self::Mouse => "mouse",
            Self::Preferences => "preferences",
            Self::FullScreen => "full screen",
            Self::Help => "help",
        }
    }

    /// What it does, in a line.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Pause => "Stop the world, and let it go on.",
            Self::Step => "Stop it, and make a single frame.",
            Self::Reset => "Start again.",
            Self::NextContext => "Start again from the next beginning.",
            Self::Hud => "Show or hide the numbers over the picture.",
            Self::Denoising => "Show or hide how a frame comes out of the noise.",
            Self::Inspect => "Show or hide what the model holds and where it looked.",
            Self::Tuning => "Show or hide the tuning panel.",
            Self::Timeline => "Show or hide what was played, to go back to and branch from.",
            Self::Back => "Stop, and go back by a frame, restored exactly.",
            Self::Ahead => "Go ahead again by a frame that was played.",
            Self::Truth => "Show or hide the real frames beside the predicted ones.",
            Self::Difference => "Show or hide the difference between the two.",
            Self::Plots => "Show or hide curves of what is measured.",
            Self::Save => "Save what was played since the last start.",
            Self::Worlds => "Choose another world to play.",
            Self::NewWorld => "Make a world: record, train, try, save.",
            Self::Mouse => "Let the mouse turn or steer; Esc lets it go.",
            Self::Preferences => "Look, size, keys, gamepad and mouse.",
            Self::FullScreen => "Fill the screen, and leave it.",
            Self::Help => "Show or hide this page.",
        }
    }

    /// Whether the bar below the picture has a button for it.
    pub fn has_button(self) -> bool {
        !matches!(
            self,
            Self::Back
                | Self::Ahead
                | Self::Difference
                | Self::Save
                | Self::Mouse
                | Self::Preferences
                | Self::FullScreen
                | Self::Help
        )
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
            Self::Inspect => &[Key::I],
            Self::Tuning => &[Key::T],
            Self::Timeline => &[Key::L],
            Self::Back => &[Key::OpenBracket, Key::Backspace],
            Self::Ahead => &[Key::CloseBracket],
            Self::Truth => &[Key::G],
            Self::Difference => &[Key::J],
            Self::Plots => &[Key::K],
            Self::Save => &[Key::F5],
            Self::Worlds => &[Key::O, Key::F3],
            Self::NewWorld => &[Key::M, Key::F2],
            Self::Mouse => &[Key::F4],
            Self::Preferences => &[Key::F10, Key::Comma],
            Self::FullScreen => &[Key::F11],
            Self::Help => &[Key::F1],
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

/// A player's own keys: by an action's name, the names of its keys as in [`ActionSpec::keys`].
pub type Bindings = BTreeMap<String, Vec<String>>;

/// The key bindings of a world and of the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMap {
    actions: Vec<BoundAction>,
    /// Actions whose keys are each an action: their keys follow from those.
    composed: BTreeSet<u32>,
    shortcuts: Vec<Shortcut>,
}

impl KeyMap {
    /// Reads the bindings of a world: names of keys, and of keys held together (`ArrowUp+Space`).
    /// What is bound twice belongs to the first action that names it.
    ///
    /// # Errors
    /// A key name is unknown; the message names the action, the key and what was expected.
    pub fn new(actions: &[ActionSpec]) -> Result<Self> {
        Self::with(actions, &Bindings::new())
    }

    /// The same, where a player's `own` keys stand in the place of an action's, and are taken from
    /// the others. Actions and keys that nobody knows are passed over there.
    ///
    /// # Errors
    /// As of [`KeyMap::new`], about the world's keys alone.
    pub fn with(actions: &[ActionSpec], own: &Bindings) -> Result<Self> {
        let worlds = worlds_chords(actions)?;
        let parts = parts(&worlds);
        let own_of = |index: usize| match parts.contains_key(&index) {
            true => None,
            false => own.get(&actions[index].name),
        };
        let mut taken: BTreeSet<Chord> = BTreeSet::new();
        let mut chords: Vec<Vec<Chord>> = vec![Vec::new(); actions.len()];
        let mut take = |index: usize, wanted: &mut dyn Iterator<Item = Chord>| {
            chords[index].extend(wanted.filter(|chord| taken.insert(chord.clone())));
        };
        for index in 0..actions.len() {
            if let Some(names) = own_of(index) {
                take(index, &mut names.iter().filter_map(|name| chord(name)));
            }
        }
        for (index, own) in worlds.iter().enumerate() {
            if own_of(index).is_none() && !parts.contains_key(&index) {
                take(index, &mut own.iter().cloned());
            }
        }
        for (index, sets) in &parts {
            let together: Vec<_> = sets
                .iter()
                .flat_map(|set| product(set.iter().map(|part| chords[*part].as_slice())))
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
            composed: parts
                .keys()
                .filter_map(|i| u32::try_from(*i).ok())
                .collect(),
            shortcuts: Shortcut::ALL.to_vec(),
        })
    }

    /// The actions whose keys a player can choose, each with the keys it has.
    pub fn choosable<'a>(
        &'a self,
        actions: &'a [ActionSpec],
    ) -> impl Iterator<Item = (&'a ActionSpec, &'a [Chord])> {
        let free = |(index, spec): &(u32, &ActionSpec)| {
            let idle = *index == 0 && spec.keys.is_empty();
            !idle && !self.composed.contains(index)
        };
        let bound = (0_u32..).zip(actions).filter(free);
        bound.map(|(index, spec)| (spec, self.chords_of(index)))
    }

    /// An action that has keys.
    pub fn bound(&self, action: u32) -> Option<&BoundAction> {
        self.actions.iter().find(|bound| bound.action == action)
    }

    /// The keys of an action.
    pub fn chords_of(&self, action: u32) -> &[Chord] {
        self.bound(action).map_or(&[], |bound| &bound.chords)
    }

    /// The action that a single key plays.
    pub fn action_of(&self, key: Key) -> Option<&BoundAction> {
        let plays = |bound: &&BoundAction| bound.chords.iter().any(|chord| chord == &[key]);
        self.actions.iter().find(plays)
    }

    /// The same bindings without a shortcut that has nothing to do.
    pub fn without(mut self, shortcut: Shortcut) -> Self {
        self.shortcuts.retain(|own| *own != shortcut);
        self
    }

    /// The same bindings with the shortcuts that `keep` keeps.
    pub fn keeping(mut self, keep: impl Fn(Shortcut) -> bool) -> Self {
        self.shortcuts.retain(|own| keep(*own));
        self
    }

    /// The window's shortcuts, in the order in which they are shown.
    pub fn shortcuts(&self) -> &[Shortcut] {
        &self.shortcuts
    }

    /// The actions that a player should be told of: not those whose keys are each an action.
    pub fn shown(&self) -> impl Iterator<Item = &BoundAction> {
        let bound = self.actions.iter();
        bound.filter(|bound| !self.composed.contains(&bound.action))
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

/// The keys of each action as the world has them, without those of an earlier one.
fn worlds_chords(actions: &[ActionSpec]) -> Result<Vec<Vec<Chord>>> {
    let mut taken = BTreeSet::new();
    let mut all = Vec::new();
    for action in actions {
        let mut chords = Vec::new();
        for name in &action.keys {
            let chord = chord(name).ok_or_else(|| {
                Error::Argument(format!(
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

/// The actions whose keys are each an action, with the sets of those.
fn parts(worlds: &[Vec<Chord>]) -> BTreeMap<usize, BTreeSet<BTreeSet<usize>>> {
    let player = |key: &Key| {
        let alone = |chords: &Vec<Chord>| chords.iter().any(|chord| chord == &[*key]);
        worlds.iter().position(alone)
    };
    let of_chord = |chord: &Chord| -> Option<BTreeSet<usize>> {
        let set: Option<BTreeSet<_>> = chord.iter().map(player).collect();
        set.filter(|_| chord.len() > 1)
    };
    let of_action = |(index, chords): (usize, &Vec<Chord>)| {
        let sets: Option<BTreeSet<_>> = chords.iter().map(of_chord).collect();
        Some((index, sets.filter(|sets| !sets.is_empty())?))
    };
    worlds.iter().enumerate().filter_map(of_action).collect()
}

/// Every way to hold one chord of each together.
fn product<'a>(of: impl Iterator<Item = &'a [Chord]>) -> Vec<Chord> {
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

/// The name of keys that are held together, as [`KeyMap::new`] reads it.
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
