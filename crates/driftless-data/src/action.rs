//! The actions that a player has.

use serde::{Deserialize, Serialize};

/// A discrete action and the keys that trigger it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionSpec {
    /// The action's name, for example `up`.
    pub name: String,
    /// Key names as in egui (`ArrowUp`, `W`, `Space`); empty for the idle action.
    pub keys: Vec<String>,
}
