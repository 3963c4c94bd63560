//! Settings that several windows write: each adds only what it has changed to what is in the file.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use toml::{Table, Value};

/// How often, and how far apart, a lock that another window holds is asked for. It holds it for milliseconds.
const LOCK_ATTEMPTS: usize = 20;
const LOCK_WAIT: Duration = Duration::from_millis(10);

/// Locks the settings file against other windows. `None` if that cannot be done, or takes long: settings
/// are then written without.
pub(super) fn lock(path: &Path) -> Option<File> {
    let mut name = path.file_name()?.to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path.with_file_name(name))
        .ok()?;
    for _ in 0..LOCK_ATTEMPTS {
        if file.try_lock().is_ok() {
            return Some(file);
        }
        sleep(LOCK_WAIT);
    }
    None
}

/// Makes the changes that lead from `before` to `after` in `file`.
pub(super) fn merge(file: &mut Table, before: &Table, after: &Table) {
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        file.remove(key);
    }
    for (key, new) in after {
        let old = before.get(key);
        if old == Some(new) {
            continue;
        }
        match (file.get_mut(key), old, new) {
            (Some(Value::Table(file)), old, Value::Table(new)) => {
                let nothing = Table::new();
                merge(file, old.and_then(Value::as_table).unwrap_or(&nothing), new);
            }
            (Some(Value::Array(file)), Some(Value::Array(old)), Value::Array(new))
                if file != old =>
            {
                file.retain(|value| new.contains(value) || !old.contains(value));
                let added = new.iter().filter(|value| !old.contains(value));
                for value in added {
                    if !file.contains(value) {
                        file.push(value.clone());
                    }
                }
            }
            _ => {
                file.insert(key.clone(), new.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(file: &str, before: &str, after: &str) -> Table {
        let mut file: Table = file.parse().unwrap();
        merge(&mut file, &before.parse().unwrap(), &after.parse().unwrap());
        file
    }

    #[test]
    fn only_changes_are_made() {
        let read = "a = 1\nb = 2\nseen = [\"x\"]\n[keys]\nup = \"W\"\n[old]\nc = 1";
        let other =
            "a = 7\nb = 2\nnew = 3\nseen = [\"x\", \"z\"]\n[keys]\nup = \"I\"\n[old]\nc = 1";
        let own = "a = 1\nb = 5\nseen = [\"x\", \"y\"]\n[keys]\nup = \"W\"\ndown = \"S\"";
        let expected =
            "a = 7\nb = 5\nnew = 3\nseen = [\"x\", \"z\", \"y\"]\n[keys]\nup = \"I\"\ndown = \"S\"";
        assert_eq!(merged(other, read, own), expected.parse().unwrap());
        assert_eq!(merged(read, read, own), own.parse().unwrap());
        assert_eq!(merged(other, read, read), other.parse().unwrap());
    }

    #[test]
    fn lists_that_nobody_else_changed_keep_their_order() {
        let own = merged("a = [1, 2]", "a = [1, 2]", "a = [2, 3, 1]");
        assert_eq!(own, "a = [2, 3, 1]".parse().unwrap());
        let both = merged("a = [1, 2, 4]", "a = [1, 2]", "a = [2, 3]");
        assert_eq!(both, "a = [2, 4, 3]".parse().unwrap());
    }
}
