//! The actions that a player has.

use serde::{Deserialize, Serialize};

/// One discrete action and the keys that a player holds for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionSpec {
    /// The action's name, for example `up`.
    pub name: String,
    /// Key names as egui spells them (`ArrowUp`, `W`, `Space`); none for the idle action.
    pub keys: Vec<String>,
}
