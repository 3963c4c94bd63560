//! What a source says that was done, as one of our actions: by a small file, or by plain defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use crate::ActionSpec;
use crate::PathError as _;
use crate::{Error, Result};

/// The largest action number that gets a name of its own without a map.
const MAX_NUMBER: i64 = 255;
/// Names that are taken for the idle action without a map.
const IDLE: [&str; 4] = ["noop", "idle", "none", "stay"];
/// Keys that are bound without a map, by the action's name.
const KEYS: [(&str, &[&str]); 6] = [
    ("up", &["ArrowUp", "W"]),
    ("down", &["ArrowDown", "S"]),
    ("left", &["ArrowLeft", "A"]),
    ("right", &["ArrowRight", "D"]),
    ("fire", &["Space"]),
    ("jump", &["Space"]),
];

/// What a source recorded between two frames.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// A discrete action.
    Number(i64),
    /// A discrete action by its name.
    Name(String),
    /// A continuous action.
    Vector(Vec<f64>),
    /// Keys and buttons that were down, and how far named axes (a mouse) moved.
    Held {
        /// Names of the keys and buttons.
        down: BTreeSet<String>,
        /// Movement by the axis' name.
        moved: BTreeMap<&'static str, f64>,
    },
}

/// The file given with `--actions`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MapFile {
    actions: Vec<Entry>,
}

/// One of our actions, and when it counts as done.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    keys: Vec<String>,
    /// Numbers or names of the source's discrete actions.
    #[serde(default)]
    is: Vec<Discrete>,
    /// Keys and buttons that are all down.
    #[serde(default)]
    held: Vec<String>,
    /// Bounds that all hold.
    #[serde(default, rename = "where")]
    bounds: Vec<Bound>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Discrete {
    Number(i64),
    Name(String),
}

/// A number of a continuous action, or a named axis, beyond a threshold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bound {
    axis: Axis,
    below: Option<f64>,
    above: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Axis {
    Index(usize),
    Name(String),
}

/// From what a source recorded to the index of one of our actions.
#[derive(Clone, Debug)]
pub struct ActionMap(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// Of the entries that fit, the first counts; entry 0 is the idle action.
    Given(Vec<Entry>),
    /// Discrete actions by their numbers (`a0`, `a1`, ...), up to the largest that occurred.
    Numbers(usize),
    /// Named actions in the order in which they first occurred, after the idle one.
    Names(Vec<String>),
    /// Nothing has occurred yet.
    Nothing,
}

impl ActionMap {
    /// Reads a map, TOML or (`.json`) JSON.
    ///
    /// # Errors
    /// The file cannot be read, or an entry is no rule: the message names it.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let map = match path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            true => serde_json::from_str(&text).map_err(|e| e.to_string()),
            false => Self::parse(&text),
        };
        let map = map.map_err(|e| Error::invalid(path, e.trim().replace('\n', " ")))?;
        Self::checked(map).map_err(|what| Error::invalid(path, what))
    }

    /// A map that this program brings along, as TOML.
    ///
    /// # Errors
    /// As [`ActionMap::read`].
    pub fn built_in(text: &str) -> Result<Self> {
        Self::parse(text)
            .and_then(Self::checked)
            .map_err(Error::Argument)
    }

    /// Without a file: discrete actions keep their numbers or names.
    pub fn plain() -> Self {
        Self(Kind::Nothing)
    }

    fn parse(text: &str) -> std::result::Result<MapFile, String> {
        toml::from_str(text).map_err(|e| e.to_string())
    }

    fn checked(map: MapFile) -> std::result::Result<Self, String> {
        let mut names = BTreeSet::new();
        for (index, entry) in map.actions.iter().enumerate() {
            let name = &entry.name;
            if !names.insert(name) {
                return Err(format!(
                    "actions: `{name}` occurs twice, expected names of their own"
                ));
            }
            if index > 0 && entry.is.is_empty() && entry.held.is_empty() && entry.bounds.is_empty()
            {
                return Err(format!(
                    "action `{name}` has no condition, expected `is`, `held` or `where`"
                ));
            }
            for bound in &entry.bounds {
                if bound.below.is_none() && bound.above.is_none() {
                    return Err(format!(
                        "action `{name}`: a bound of `where` has neither `below` nor `above`"
                    ));
                }
            }
        }
        match map.actions.is_empty() {
            true => Err("actions is empty, expected at least the idle action".into()),
            false => Ok(Self(Kind::Given(map.actions))),
        }
    }

    /// The index of our action for what a source recorded.
    ///
    /// # Errors
    /// A discrete action fits no entry; keys or numbers were recorded and there is no map; a map
    /// asks for a number that the source does not have. The message says what and what was expected.
    pub fn index(&mut self, taken: &Taken) -> std::result::Result<u32, String> {
        match &mut self.0 {
            Kind::Given(entries) => given(entries, taken),
            Kind::Nothing => {
                self.0 = match taken {
                    Taken::Number(_) => Kind::Numbers(1),
                    Taken::Name(_) => Kind::Names(Vec::new()),
                    Taken::Vector(values) => {
                        return Err(format!(
                            "actions are vectors of {} numbers: say with --actions FILE which mean what",
                            values.len()
                        ));
                    }
                    Taken::Held { .. } => {
                        return Err(
                            "actions are keys: say with --actions FILE which mean what".into()
                        );
                    }
                };
                self.index(taken)
            }
            Kind::Numbers(count) => match *taken {
                Taken::Number(value @ 0..=MAX_NUMBER) => {
                    *count = (*count).max(value as usize + 1);
                    Ok(value as u32)
                }
                _ => Err(format!(
                    "{taken} is not a number from 0 to {MAX_NUMBER}: say with --actions FILE what it means"
                )),
            },
            Kind::Names(names) => match taken {
                Taken::Name(name) => Ok(named(names, name)),
                _ => Err(format!(
                    "{taken} among names: say with --actions FILE what it means"
                )),
            },
        }
    }

    /// Our actions, with the keys for play; the first is the idle one.
    pub fn actions(&self) -> Vec<ActionSpec> {
        let plain = |name: String, keys: &[&str]| ActionSpec {
            name,
            keys: keys.iter().map(|&key| key.to_string()).collect(),
        };
        match &self.0 {
            Kind::Given(entries) => entries
                .iter()
                .map(|entry| ActionSpec {
                    name: entry.name.clone(),
                    keys: entry.keys.clone(),
                })
                .collect(),
            Kind::Numbers(count) => (0..*count)
                .map(|n| match n {
                    1..=9 => plain(format!("a{n}"), &[&n.to_string()]),
                    _ => plain(format!("a{n}"), &[]),
                })
                .collect(),
            Kind::Names(names) => names
                .iter()
                .map(|name| {
                    let known = KEYS
                        .iter()
                        .find(|(known, _)| name.eq_ignore_ascii_case(known));
                    plain(name.clone(), known.map_or(&[], |(_, keys)| keys))
                })
                .collect(),
            Kind::Nothing => vec![plain("noop".into(), &[])],
        }
    }
}

/// The index of a name, which gets the next one where it is new.
fn named(names: &mut Vec<String>, name: &str) -> u32 {
    if names.is_empty() {
        names.push("noop".into());
    }
    if IDLE.iter().any(|idle| name.eq_ignore_ascii_case(idle)) {
        return 0;
    }
    let known = names.iter().position(|known| known == name);
    known.unwrap_or_else(|| {
        names.push(name.to_string());
        names.len() - 1
    }) as u32
}

/// The first entry after the idle one that fits; else the idle one.
fn given(entries: &[Entry], taken: &Taken) -> std::result::Result<u32, String> {
    for (index, entry) in entries.iter().enumerate().skip(1) {
        if entry.fits(taken)? {
            return Ok(index as u32);
        }
    }
    let discrete = matches!(taken, Taken::Number(_) | Taken::Name(_));
    match entries.first() {
        Some(idle) if discrete && !idle.fits(taken)? => Err(format!(
            "{taken} is in no entry's `is`, expected one for every action that occurs"
        )),
        _ => Ok(0),
    }
}

impl Entry {
    fn fits(&self, taken: &Taken) -> std::result::Result<bool, String> {
        match taken {
            Taken::Number(value) => Ok(self.is.contains(&Discrete::Number(*value))),
            Taken::Name(name) => Ok(self.is.contains(&Discrete::Name(name.clone()))),
            Taken::Vector(values) => {
                let axis = |axis: &Axis| match axis {
                    Axis::Index(index) => values.get(*index).copied(),
                    Axis::Name(_) => None,
                };
                Ok(!self.bounds.is_empty() && self.within(axis, taken)?)
            }
            Taken::Held { down, moved } => {
                let axis = |axis: &Axis| match axis {
                    Axis::Index(_) => None,
                    Axis::Name(name) => moved.get(name.as_str()).copied(),
                };
                let some = !self.held.is_empty() || !self.bounds.is_empty();
                let within = self.within(axis, taken)?;
                Ok(some && within && self.held.iter().all(|key| down.contains(key)))
            }
        }
    }

    /// Whether every bound holds of what `value` says of its axis.
    fn within(
        &self,
        value: impl Fn(&Axis) -> Option<f64>,
        taken: &Taken,
    ) -> std::result::Result<bool, String> {
        let mut all = true;
        for Bound { axis, below, above } in &self.bounds {
            let value = value(axis)
                .ok_or_else(|| format!("action `{}`: no axis {axis} in {taken}", self.name))?;
            all &= below.is_none_or(|limit| value < limit);
            all &= above.is_none_or(|limit| value > limit);
        }
        Ok(all)
    }
}

impl std::fmt::Display for Axis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Name(name) => write!(f, "`{name}`"),
        }
    }
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(value) => write!(f, "action {value}"),
            Self::Name(name) => write!(f, "action `{name}`"),
            Self::Vector(values) => write!(f, "a vector of {} numbers", values.len()),
            Self::Held { moved, .. } => {
                let axes: Vec<&str> = moved.keys().copied().collect();
                write!(f, "keys and the axes {}", axes.join(", "))
            }
        }
    }
}

/// The one action of several that led to one frame together: the one that most of them were, the
/// latest of equals; the idle action only where there is no other.
pub fn merged(actions: &[u32]) -> u32 {
    let mut counts = BTreeMap::new();
    for (at, &action) in actions
        .iter()
        .enumerate()
        .filter(|&(_, &action)| action != 0)
    {
        let entry = counts.entry(action).or_insert((0, 0));
        *entry = (entry.0 + 1, at);
    }
    let most = counts.into_iter().max_by_key(|&(_, rank)| rank);
    most.map_or(0, |(action, _)| action)
}

#[cfg(test)]
#[path = "actions_tests.rs"]
mod tests;
