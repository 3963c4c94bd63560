//! Actions as a source recorded them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The largest action number accepted without a map.
pub const MAX_NUMBER: i64 = 255;

/// An action as the source recorded it.
#[derive(Clone, Debug, PartialEq)]
pub enum RawAction {
    /// A discrete action.
    Number(i64),
    /// A discrete action by its name.
    Name(String),
    /// A continuous action.
    Vector(Vec<f64>),
    /// The keys and buttons held down, and the movement of named axes (a mouse).
    Controls {
        /// Names of the keys and buttons.
        pressed: BTreeSet<String>,
        /// Movement by axis name.
        axes: BTreeMap<&'static str, f64>,
    },
}

impl RawAction {
    /// The number of a discrete action; also of a one-hot vector, and of a whole number that was written
    /// as a decimal.
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Number(value) => Some(*value),
            Self::Vector(values) => whole_index(values),
            Self::Name(_) | Self::Controls { .. } => None,
        }
    }
}

/// The only value, if it is a whole number of at least 0; of several, the index of the one that is 1
/// while all others are 0.
pub fn whole_index(values: &[f64]) -> Option<i64> {
    if let [value] = values {
        let is_index = value.fract() == 0.0 && (0.0..=MAX_NUMBER as f64).contains(value);
        return is_index.then_some(*value as i64);
    }
    let index = values.iter().position(|&value| value == 1.0)?;
    let zeros = values.iter().filter(|&&value| value == 0.0).count();
    (zeros + 1 == values.len()).then_some(index as i64)
}

impl fmt::Display for RawAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(value) => write!(f, "action {value}"),
            Self::Name(name) => write!(f, "action `{name}`"),
            Self::Vector(values) => write!(f, "a vector of {} numbers", values.len()),
            Self::Controls { axes, .. } => {
                let axes: Vec<&str> = axes.keys().copied().collect();
                write!(f, "keys and the axes {}", axes.join(", "))
            }
        }
    }
}
