//! How the keys that were held become the dataset's discrete actions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use driftless_data::import::{ActionMap, KeyCombination, RawAction};

use crate::tape::TapeKey;
use crate::{ChosenKey, Error, Key, KeySet, Result};

/// The axes of the mouse in a map's `where`.
pub(crate) const MOUSE_AXES: [&str; 2] = ["mouse.dx", "mouse.dy"];
/// The most combinations of keys that become actions, besides the idle one.
const MAX_COMBINATIONS: usize = 255;

/// How keys become actions.
#[derive(Clone, Debug, Default)]
pub struct CaptureActions {
    /// `None`: each combination of keys that occurs is an action.
    map: Option<ActionMap>,
    toml: Option<String>,
}

impl CaptureActions {
    /// Reads a map from keys to actions, as `driftless import` does: `held` names the keys, and `where` may bound
    /// `mouse.dx` and `mouse.dy`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is not such a map.
    pub fn read(path: &Path) -> Result<Self> {
        let map = ActionMap::read(path)?;
        let toml = map.to_toml()?;
        Ok(Self {
            map: Some(map),
            toml: Some(toml),
        })
    }

    /// The map, in TOML; `None` if each combination of keys is an action.
    pub fn as_toml(&self) -> Option<&str> {
        self.toml.as_deref()
    }

    /// The keys that the map names, in its order.
    ///
    /// # Errors
    /// Returns an error if one is unknown.
    pub fn keys(&self) -> Result<Vec<ChosenKey>> {
        let mut keys: Vec<ChosenKey> = Vec::new();
        for name in self.map.iter().flat_map(ActionMap::held) {
            let key = Key::parse(name)?;
            if !keys.iter().any(|known| known.key == key) {
                // What plays it is in the map.
                let play = key.name().to_owned();
                keys.push(ChosenKey { key, play });
            }
        }
        Ok(keys)
    }

    /// Checks that what the map asks for is recorded.
    ///
    /// # Errors
    /// Returns an error that names the key or the axis.
    pub(crate) fn check(&self, recorded: &[ChosenKey], mouse: bool) -> Result<()> {
        for ChosenKey { key, .. } in self.keys()? {
            if !recorded.iter().any(|known| known.key == key) {
                let what = format!(
                    "the action map holds `{key}`, which is not among the keys to record: add it to --keys, or leave \
                     --keys out to record those of the map"
                );
                return Err(Error::Argument(what));
            }
        }
        let axes = self.map.iter().flat_map(ActionMap::axes);
        for axis in axes {
            if !(mouse && MOUSE_AXES.contains(&axis.as_str())) {
                let what = format!(
                    "the action map bounds `{axis}`, which is not recorded: --mouse records `mouse.dx` and `mouse.dy`"
                );
                return Err(Error::Argument(what));
            }
        }
        Ok(())
    }
}

/// The action of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundAction {
    /// Its number.
    pub action: u32,
    /// Whether keys were held for which the map has no action, so that it is the idle one.
    pub unknown: bool,
}

/// Finds the actions of recorded frames.
pub(crate) struct ActionFinder {
    map: ActionMap,
    /// The names in the map, each with the index of the recorded key.
    names: Vec<(String, usize)>,
}

impl ActionFinder {
    /// By the map `toml`, or else by the combinations that occurred, each with its number of frames.
    ///
    /// # Errors
    /// Returns an error if the map is damaged.
    pub fn new(
        toml: Option<&str>,
        keys: &[TapeKey],
        occurred: &BTreeMap<KeySet, usize>,
    ) -> Result<Self> {
        let map = match toml {
            Some(toml) => ActionMap::built_in("actions", toml)?,
            None => of_combinations(keys, occurred)?,
        };
        let index = |name: &String| {
            let key = Key::parse(name).ok()?;
            let index = keys.iter().position(|known| known.name == key.name())?;
            Some((name.clone(), index))
        };
        let names: BTreeSet<&String> = map.held().collect();
        let names = names.into_iter().filter_map(index).collect();
        Ok(Self { map, names })
    }

    /// The action of a frame.
    ///
    /// # Errors
    /// Returns an error if the map asks for what was not recorded.
    pub fn action(&mut self, held: KeySet, mouse: [f32; 2]) -> Result<FoundAction> {
        let is_held = |(_, index): &&(String, usize)| held.contains(*index);
        let controls = RawAction::Controls {
            pressed: self
                .names
                .iter()
                .filter(is_held)
                .map(|(name, _)| name.clone())
                .collect(),
            axes: MOUSE_AXES.into_iter().zip(mouse.map(f64::from)).collect(),
        };
        let action = self.map.index(&controls).map_err(Error::Argument)?;
        let unknown = !held.is_empty() && !self.map.has_rule_for(&controls);
        Ok(FoundAction { action, unknown })
    }

    pub fn map(&self) -> &ActionMap {
        &self.map
    }
}

/// A map in which each combination is an action, larger ones first, as the first that fits counts. Of too many, the
/// rarest are left out: what fits best counts there.
fn of_combinations(keys: &[TapeKey], occurred: &BTreeMap<KeySet, usize>) -> Result<ActionMap> {
    let mut sets: Vec<(KeySet, usize)> = occurred.iter().map(|(set, n)| (*set, *n)).collect();
    sets.retain(|(set, _)| !set.is_empty());
    sets.sort_by_key(|&(set, frames)| (std::cmp::Reverse(frames), set));
    sets.truncate(MAX_COMBINATIONS);
    sets.sort_by_key(|&(set, _)| (std::cmp::Reverse(set.0.count_ones()), set));
    let combination = |(set, _): (KeySet, usize)| {
        let held: Vec<&TapeKey> = set.indices().filter_map(|i| keys.get(i)).collect();
        let join = |text: fn(&TapeKey) -> &str| {
            held.iter()
                .map(|key| text(key))
                .collect::<Vec<_>>()
                .join("+")
        };
        KeyCombination {
            name: join(|key| &key.name),
            play: join(|key| &key.play),
            held: held.iter().map(|key| key.name.clone()).collect(),
        }
    };
    let combinations = sets.into_iter().map(combination).collect();
    Ok(ActionMap::of_combinations(combinations)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<TapeKey> {
        [
            ("Left", "ArrowLeft"),
            ("space", "Space"),
            ("Control_L", "F"),
        ]
        .map(|(name, play)| TapeKey {
            name: name.into(),
            play: play.into(),
        })
        .to_vec()
    }

    #[test]
    fn each_combination_is_an_action() {
        let occurred = [(0, 90), (1, 5), (3, 2), (4, 7)].map(|(set, n)| (KeySet(set), n));
        let mut finder = ActionFinder::new(None, &keys(), &occurred.into()).unwrap();
        let actions = finder.map().actions();
        let names: Vec<_> = actions
            .iter()
            .map(|a| (a.name.as_str(), a.keys.join(" ")))
            .collect();
        let expected = [
            ("noop", ""),
            ("Left+space", "ArrowLeft+Space"),
            ("Left", "ArrowLeft"),
            ("Control_L", "F"),
        ];
        assert_eq!(names, expected.map(|(name, keys)| (name, keys.to_owned())));
        // The last ones did not occur: what fits best counts, and nothing fits `space` alone.
        for (set, action) in [(0, 0), (3, 1), (1, 2), (4, 3), (7, 1), (2, 0)] {
            let found = finder.action(KeySet(set), [0.0; 2]).unwrap();
            let unknown = set == 2;
            assert_eq!(found, FoundAction { action, unknown }, "{set}");
        }
    }

    #[test]
    fn written_map_is_read_back() {
        let occurred = BTreeMap::from([(KeySet(5), 1), (KeySet(1), 1)]);
        let finder = ActionFinder::new(None, &keys(), &occurred).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("actions.toml");
        std::fs::write(&path, finder.map().to_toml().unwrap()).unwrap();
        let actions = CaptureActions::read(&path).unwrap();
        let named: Vec<&str> = actions
            .keys()
            .unwrap()
            .iter()
            .map(|key| key.key.name())
            .collect();
        assert_eq!(named, ["Left", "Control_L"]);
        let again = ActionFinder::new(actions.as_toml(), &keys(), &BTreeMap::new()).unwrap();
        assert_eq!(again.map().actions(), finder.map().actions());
    }

    #[test]
    fn maps_use_the_mouse_and_any_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("actions.toml");
        let text = r#"
            actions = [
                { name = "stay" },
                { name = "turn", where = [{ axis = "mouse.dx", above = 10 }] },
                { name = "fire", keys = ["F"], held = ["ctrl"] },
            ]"#;
        std::fs::write(&path, text).unwrap();
        let actions = CaptureActions::read(&path).unwrap();
        let mut finder = ActionFinder::new(actions.as_toml(), &keys(), &BTreeMap::new()).unwrap();
        for (set, mouse, action) in [(4, [9.0, 0.0], 2), (4, [11.0, 0.0], 1), (3, [0.0; 2], 0)] {
            assert_eq!(finder.action(KeySet(set), mouse).unwrap().action, action);
        }
        let chosen = ChosenKey::parse_list("Left,Control_L=F").unwrap();
        assert!(actions.check(&chosen, true).is_ok());
        let error = actions.check(&chosen, false).unwrap_err().to_string();
        assert!(
            error.contains("`mouse.dx`, which is not recorded"),
            "{error}"
        );
        let error = actions.check(&chosen[..1], true).unwrap_err().to_string();
        assert!(
            error.contains("holds `Control_L`, which is not among"),
            "{error}"
        );
    }
}
