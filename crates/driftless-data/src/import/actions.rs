//! Maps recorded actions to the dataset's discrete actions and axes, by a map file or by defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::axes::SourceAxes;
use super::raw_action::{MAX_NUMBER, RawAction, whole_index};
use crate::fs::read_text;
use crate::{ActionSpec, Error, PathError as _, Result};

/// The most action names accepted without a map, the idle one included. More are free text.
const MAX_NAMES: usize = 256;
/// Names of the idle action, without a map.
const IDLE_NAMES: [&str; 4] = ["noop", "idle", "none", "stay"];
/// Keys of well-known action names, without a map.
const DEFAULT_KEYS: [(&str, &[&str]); 6] = [
    ("up", &["ArrowUp", "W"]),
    ("down", &["ArrowDown", "S"]),
    ("left", &["ArrowLeft", "A"]),
    ("right", &["ArrowRight", "D"]),
    ("fire", &["Space"]),
    ("jump", &["Space"]),
];

/// The contents of the file given with `--actions`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ActionMapFile {
    actions: Vec<ActionRule>,
}

/// One of the dataset's actions, and the conditions under which it applies.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ActionRule {
    name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
    /// Numbers or names of the source's discrete actions; `is` in the file.
    #[serde(default, rename = "is", skip_serializing_if = "Vec::is_empty")]
    discrete: Vec<DiscreteAction>,
    /// Keys and buttons that must all be held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    held: Vec<String>,
    /// Bounds that must all hold; `where` in the file.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    bounds: Vec<AxisBound>,
}

/// Keys that make up an action when they are held together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCombination {
    /// Name of the action.
    pub name: String,
    /// The keys for play, as in [`ActionSpec::keys`].
    pub play: String,
    /// The keys that are held in the recording.
    pub held: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
enum DiscreteAction {
    Number(i64),
    Name(String),
}

/// A threshold on an element of a continuous action or on a named axis; bounds are exclusive.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct AxisBound {
    axis: Axis,
    #[serde(skip_serializing_if = "Option::is_none")]
    below: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    above: Option<f64>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Axis {
    Index(usize),
    Name(String),
}

/// Maps recorded actions to action indices of the dataset.
#[derive(Clone, Debug)]
pub struct ActionMap {
    scheme: ActionScheme,
    /// Whether decimals were taken as the numbers of actions.
    decimals: bool,
}

#[derive(Clone, Debug)]
enum ActionScheme {
    /// The first matching rule applies; rule 0 is the idle action.
    Rules(Arc<[ActionRule]>),
    /// Actions keep their numbers and are named `a0`, `a1`, …; holds the number of actions so far.
    Numbers(usize),
    /// Action names in order of first occurrence, after the idle action.
    Names(Vec<String>),
    /// Continuous actions: there is one discrete action, and axes.
    Axes(SourceAxes),
    /// No action has been seen yet.
    Undecided,
}

impl ActionMap {
    /// Reads a map file: JSON if its extension is `.json`, otherwise TOML.
    ///
    /// # Errors
    /// Returns an error that names the action if the file cannot be read or a rule is invalid.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let is_json = path
            .extension()
            .is_some_and(|extension| extension == "json");
        let map = if is_json {
            serde_json::from_str(&text).map_err(|e| e.to_string())
        } else {
            parse_toml(&text)
        };
        let map = map.map_err(|e| Error::invalid(path, e.trim().replace('\n', " ")))?;
        Self::from_file(map).map_err(|what| Error::invalid(path, what))
    }

    /// Reads the built-in map called `name`, in TOML.
    ///
    /// # Errors
    /// As [`ActionMap::read`].
    pub fn built_in(name: &str, text: &str) -> Result<Self> {
        parse_toml(text)
            .and_then(Self::from_file)
            .map_err(|what| Error::invalid(name, what))
    }

    /// A map without rules: discrete actions keep their numbers or names.
    pub fn inferred() -> Self {
        ActionScheme::Undecided.into()
    }

    /// A map in which each combination of keys is an action, after the idle one. The first that fits counts.
    ///
    /// # Errors
    /// Returns an error if two have the same name, or one has no key.
    pub fn of_combinations(combinations: Vec<KeyCombination>) -> Result<Self> {
        let idle = ActionRule {
            name: "noop".into(),
            ..ActionRule::default()
        };
        let rules = combinations.into_iter().map(|one| ActionRule {
            name: one.name,
            keys: vec![one.play],
            held: one.held,
            ..ActionRule::default()
        });
        let actions = std::iter::once(idle).chain(rules).collect();
        Self::from_file(ActionMapFile { actions }).map_err(Error::Argument)
    }

    /// The rules as a map file in TOML; without rules, only the idle action.
    ///
    /// # Errors
    /// Returns an error if a value does not fit into TOML.
    pub fn to_toml(&self) -> Result<String> {
        let actions = self.rules().to_vec();
        toml::to_string(&ActionMapFile { actions }).map_err(|e| Error::encode("TOML", e))
    }

    /// The names of the keys that the rules ask for, in their order.
    pub fn held(&self) -> impl Iterator<Item = &String> {
        self.rules().iter().flat_map(|rule| &rule.held)
    }

    /// The axes that the rules bound, as they are written.
    pub fn axes(&self) -> impl Iterator<Item = String> {
        let bounds = self.rules().iter().flat_map(|rule| &rule.bounds);
        bounds.map(|bound| match &bound.axis {
            Axis::Index(index) => index.to_string(),
            Axis::Name(name) => name.clone(),
        })
    }

    /// Whether a rule says what an action is, be it the idle one; what no rule fits is idle, too.
    pub fn has_rule_for(&self, action: &RawAction) -> bool {
        let fits = |rule: &ActionRule| rule.matches(action).unwrap_or(false);
        self.rules().iter().any(fits)
    }

    fn rules(&self) -> &[ActionRule] {
        match &self.scheme {
            ActionScheme::Rules(rules) => rules,
            _ => &[],
        }
    }

    /// Checks the rules of a map file.
    fn from_file(map: ActionMapFile) -> std::result::Result<Self, String> {
        let mut names = BTreeSet::new();
        for (index, rule) in map.actions.iter().enumerate() {
            let name = &rule.name;
            if !names.insert(name) {
                return Err(format!("actions: duplicate name `{name}`"));
            }
            if index > 0 && !rule.has_conditions() {
                return Err(format!(
                    "action `{name}` has no condition, expected `is`, `held` or `where`"
                ));
            }
            for bound in &rule.bounds {
                if bound.below.is_none() && bound.above.is_none() {
                    return Err(format!(
                        "action `{name}`: a bound in `where` has neither `below` nor `above`"
                    ));
                }
            }
        }
        if map.actions.is_empty() {
            return Err("actions is empty, expected at least the idle action".into());
        }
        Ok(ActionScheme::Rules(map.actions.into()).into())
    }

    /// Looks at the actions of an episode: if none has been seen before, and they are vectors that are not all
    /// the numbers of actions, they are axes, with `names` if the source knows any.
    ///
    /// # Errors
    /// Returns a message if there are more axes than a world can have.
    pub fn look_at(
        &mut self,
        actions: &[RawAction],
        names: Option<Vec<String>>,
    ) -> std::result::Result<(), String> {
        let continuous = |action: &&RawAction| match action {
            // Only zeros are a blank among one-hot rows as well.
            RawAction::Vector(values) => {
                whole_index(values).is_none() && values.iter().any(|value| *value != 0.0)
            }
            _ => false,
        };
        if let (ActionScheme::Undecided, Some(RawAction::Vector(values))) =
            (&self.scheme, actions.iter().find(continuous))
        {
            self.scheme = ActionScheme::Axes(SourceAxes::new(values.len(), names)?);
        }
        Ok(())
    }

    /// What was recorded of the axes in an action; empty if there are none.
    ///
    /// # Errors
    /// Returns a message if the action has other axes, or a number is not finite.
    pub fn axes_of(&mut self, action: &RawAction) -> std::result::Result<Vec<f32>, String> {
        match &mut self.scheme {
            ActionScheme::Axes(axes) => match action {
                RawAction::Vector(values) => axes.read(values),
                RawAction::Number(value) => axes.read(&[*value as f64]),
                _ => Err(format!(
                    "{action} among vectors of {} numbers",
                    axes.count()
                )),
            },
            _ => Ok(Vec::new()),
        }
    }

    /// The axes of the source, if actions are axes.
    pub fn source_axes(&self) -> Option<&SourceAxes> {
        match &self.scheme {
            ActionScheme::Axes(axes) => Some(axes),
            _ => None,
        }
    }

    /// The dataset's action index of a recorded action.
    ///
    /// # Errors
    /// Returns a message if a discrete action matches no rule, vectors or controls were recorded
    /// and there are no rules, or a rule refers to an axis that the recording does not have.
    pub fn index(&mut self, action: &RawAction) -> std::result::Result<u32, String> {
        match &mut self.scheme {
            ActionScheme::Rules(rules) => match_rules(rules, action),
            ActionScheme::Undecided => {
                self.scheme = match action {
                    RawAction::Number(_) => ActionScheme::Numbers(1),
                    RawAction::Name(_) => ActionScheme::Names(Vec::new()),
                    RawAction::Vector(values) if whole_index(values).is_some() => {
                        ActionScheme::Numbers(1)
                    }
                    RawAction::Vector(values) => {
                        return Err(format!(
                            "actions are vectors of {} numbers: map them with --actions FILE",
                            values.len()
                        ));
                    }
                    RawAction::Controls { .. } => {
                        return Err("actions are keys: map them with --actions FILE".into());
                    }
                };
                self.index(action)
            }
            ActionScheme::Numbers(count) => match action.number() {
                Some(value @ 0..=MAX_NUMBER) => {
                    *count = (*count).max(value as usize + 1);
                    self.decimals |=
                        matches!(action, RawAction::Vector(values) if values.len() == 1);
                    Ok(value as u32)
                }
                _ => Err(format!(
                    "{action} is not a number from 0 to {MAX_NUMBER} as those before: map it with --actions FILE"
                )),
            },
            ActionScheme::Axes(_) => Ok(0),
            ActionScheme::Names(names) => match action {
                RawAction::Name(name) => index_of_name(names, name),
                _ => Err(format!("{action} among names: map it with --actions FILE")),
            },
        }
    }

    /// Whether whole numbers that were written as decimals were taken as the numbers of actions.
    pub fn reads_decimals(&self) -> bool {
        self.decimals
    }

    /// The dataset's actions with their keys; the first is the idle action.
    pub fn actions(&self) -> Vec<ActionSpec> {
        let spec = |name: String, keys: &[&str]| ActionSpec {
            name,
            keys: keys.iter().map(|&key| key.to_string()).collect(),
        };
        match &self.scheme {
            ActionScheme::Rules(rules) => rules
                .iter()
                .map(|rule| ActionSpec {
                    name: rule.name.clone(),
                    keys: rule.keys.clone(),
                })
                .collect(),
            ActionScheme::Numbers(count) => (0..*count)
                .map(|n| match n {
                    1..=9 => spec(format!("a{n}"), &[&n.to_string()]),
                    _ => spec(format!("a{n}"), &[]),
                })
                .collect(),
            ActionScheme::Names(names) => names
                .iter()
                .map(|name| {
                    let known = DEFAULT_KEYS
                        .iter()
                        .find(|(known, _)| name.eq_ignore_ascii_case(known));
                    spec(name.clone(), known.map_or(&[], |(_, keys)| keys))
                })
                .collect(),
            ActionScheme::Axes(_) => vec![spec("any".into(), &[])],
            ActionScheme::Undecided => vec![spec("noop".into(), &[])],
        }
    }
}

impl From<ActionScheme> for ActionMap {
    fn from(scheme: ActionScheme) -> Self {
        let decimals = false;
        Self { scheme, decimals }
    }
}

fn parse_toml(text: &str) -> std::result::Result<ActionMapFile, String> {
    toml::from_str(text).map_err(|e| e.to_string())
}

/// The index of a name; a new name gets the next index.
fn index_of_name(names: &mut Vec<String>, name: &str) -> std::result::Result<u32, String> {
    if names.is_empty() {
        names.push("noop".into());
    }
    if IDLE_NAMES
        .iter()
        .any(|idle| name.eq_ignore_ascii_case(idle))
    {
        return Ok(0);
    }
    if let Some(index) = names.iter().position(|known| known == name) {
        return Ok(index as u32);
    }
    if names.len() == MAX_NAMES {
        return Err(format!(
            "action `{name}` is one more than {MAX_NAMES} different ones: map them with --actions FILE"
        ));
    }
    names.push(name.to_string());
    Ok(names.len() as u32 - 1)
}

/// The index of the first rule after the idle one that matches, otherwise that of the idle one.
fn match_rules(rules: &[ActionRule], action: &RawAction) -> std::result::Result<u32, String> {
    for (index, rule) in rules.iter().enumerate().skip(1) {
        if rule.matches(action)? {
            return Ok(index as u32);
        }
    }
    let discrete = matches!(action, RawAction::Number(_) | RawAction::Name(_));
    match rules.first() {
        Some(idle) if discrete && !idle.matches(action)? => Err(format!(
            "{action} is in no rule's `is`, expected a rule for every action that occurs"
        )),
        _ => Ok(0),
    }
}

impl ActionRule {
    fn has_conditions(&self) -> bool {
        !(self.discrete.is_empty() && self.held.is_empty() && self.bounds.is_empty())
    }

    fn matches(&self, action: &RawAction) -> std::result::Result<bool, String> {
        match action {
            RawAction::Number(value) => Ok(self.discrete.contains(&DiscreteAction::Number(*value))),
            RawAction::Name(name) => {
                let is_name = |known: &DiscreteAction| matches!(known, DiscreteAction::Name(known) if known == name);
                Ok(self.discrete.iter().any(is_name))
            }
            RawAction::Vector(values) => {
                let axis = |axis: &Axis| match axis {
                    Axis::Index(index) => values.get(*index).copied(),
                    Axis::Name(_) => None,
                };
                if self.bounds.is_empty() {
                    let number = action.number().map(DiscreteAction::Number);
                    return Ok(number.is_some_and(|number| self.discrete.contains(&number)));
                }
                self.within_bounds(axis, action)
            }
            RawAction::Controls { pressed, axes } => {
                let axis = |axis: &Axis| match axis {
                    Axis::Index(_) => None,
                    Axis::Name(name) => axes.get(name.as_str()).copied(),
                };
                let applies = !self.held.is_empty() || !self.bounds.is_empty();
                let within = self.within_bounds(axis, action)?;
                Ok(applies && within && self.held.iter().all(|key| pressed.contains(key)))
            }
        }
    }

    /// Whether every bound holds, given the value of each axis.
    fn within_bounds(
        &self,
        axis_value: impl Fn(&Axis) -> Option<f64>,
        action: &RawAction,
    ) -> std::result::Result<bool, String> {
        let mut all = true;
        for AxisBound { axis, below, above } in &self.bounds {
            let value = axis_value(axis)
                .ok_or_else(|| format!("action `{}`: no axis {axis} in {action}", self.name))?;
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

/// Merges the actions that together led to one frame: the most frequent one that is not idle, the
/// latest one of equally frequent ones, and idle only if all are.
pub fn merge_actions(actions: &[u32]) -> u32 {
    let mut counts = BTreeMap::new();
    for (at, &action) in actions
        .iter()
        .enumerate()
        .filter(|&(_, &action)| action != 0)
    {
        let (count, last) = counts.entry(action).or_insert((0, 0));
        *count += 1;
        *last = at;
    }
    let best = counts.into_iter().max_by_key(|&(_, rank)| rank);
    best.map_or(0, |(action, _)| action)
}

#[cfg(test)]
#[path = "actions_tests.rs"]
mod tests;
