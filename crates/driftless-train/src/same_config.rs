//! Whether a resumed run trains the network that it began with.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use driftless_data::PathError as _;

use crate::{Error, Result};

/// Checks, before anything is written, that the configuration `new`, from the settings and the dataset, is that in
/// the file `path` of the run.
///
/// # Errors
/// Returns the first key that differs, with both values.
pub(crate) fn same_config<T: PartialEq + Serialize>(path: &Path, old: &T, new: &T) -> Result<()> {
    if old == new {
        return Ok(());
    }
    let json = |config: &T| {
        serde_json::to_value(config).map_err(|error| Error::invalid(path, error.to_string()))
    };
    let difference = difference("", &json(old)?, &json(new)?);
    let what = format!(
        "the settings or the dataset do not match this run's: {}; use another --out to start a new run",
        difference.unwrap_or_else(|| "numbers differ".into())
    );
    Err(Error::invalid(path, what))
}

/// The first key below `key` whose values differ, in words.
fn difference(key: &str, old: &Value, new: &Value) -> Option<String> {
    if let (Value::Object(before), Value::Object(after)) = (old, new) {
        let mut names = before.keys().chain(after.keys());
        return names.find_map(|name| {
            let key = if key.is_empty() {
                name.clone()
            } else {
                format!("{key}.{name}")
            };
            let of = |values: &serde_json::Map<String, Value>| {
                values.get(name).cloned().unwrap_or(Value::Null)
            };
            difference(&key, &of(before), &of(after))
        });
    }
    (old != new).then(|| match (old, new) {
        (Value::Array(_), _) | (_, Value::Array(_)) => format!("`{key}` differs"),
        _ => format!("`{key}` is {new}, expected {old}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn first_difference_is_named() {
        let old = json!({"hidden": 32, "reward": {"bins": 41, "limit": 0.5}, "words": ["a"]});
        let path = Path::new("run/agent.json");
        let error = |change: &dyn Fn(&mut Value)| {
            let mut new = old.clone();
            change(&mut new);
            same_config(path, &old, &new).unwrap_err().to_string()
        };
        assert!(same_config(path, &old, &old.clone()).is_ok());
        assert!(error(&|new| new["hidden"] = json!(64)).contains("`hidden` is 64, expected 32"));
        let text = error(&|new| new["reward"]["limit"] = json!(0.75));
        assert!(
            text.contains("run/agent.json")
                && text.contains("`reward.limit` is 0.75, expected 0.5")
        );
        assert!(error(&|new| new["words"] = json!(["b"])).contains("`words` differs"));
        assert!(error(&|new| new["more"] = json!(1)).contains("`more` is 1, expected null"));
    }
}
