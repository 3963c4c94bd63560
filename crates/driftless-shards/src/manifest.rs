//! The manifest: which shards a dataset was cut into, and what is in them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use driftless_data::DatasetInfo;
use driftless_data::npz::MAX_RATIO;

use crate::{Error, Result};

/// The version of the format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;
/// Largest accepted manifest in bytes.
pub(crate) const MAX_MANIFEST: u64 = 64 << 20;
/// Largest accepted shard in bytes: one is in memory as a whole while it is unpacked.
pub const MAX_SHARD: u64 = 2 << 30;

/// The contents of a `shards.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// What all episodes have in common, as in `dataset.json`.
    pub dataset: DatasetInfo,
    /// Frames of all shards.
    pub frames: u64,
    /// Episodes of all shards.
    pub episodes: u64,
    /// Excerpts from all over the dataset, which every reader takes: for statistics, starting clips and previews.
    pub sample: ShardEntry,
    /// The shards.
    pub shards: Vec<ShardEntry>,
}

/// A shard in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// Its name beside the manifest.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Frames of its episodes.
    pub frames: u64,
    /// Its episodes.
    pub episodes: u64,
    /// Frames of its longest episode.
    pub longest: u64,
    /// SHA-256 of its bytes, 64 hexadecimal digits.
    pub sha256: String,
}

/// The key that tells versions apart, whatever else there is.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl Manifest {
    /// Parses and checks a manifest, which `name` names in errors.
    ///
    /// # Errors
    /// Returns an error that names the key if the text is not a manifest, is of another version, names a shard twice or
    /// outside of its folder, or has numbers that cannot be.
    pub fn parse(name: &str, text: &[u8]) -> Result<Self> {
        let wrong = |what: String| Error::Manifest {
            manifest: name.to_owned(),
            what,
        };
        let json = |e: serde_json::Error| wrong(format!("is no manifest of shards ({e})"));
        let version: Version = serde_json::from_slice(text).map_err(json)?;
        if version.format != FORMAT {
            let found = version.format;
            return Err(wrong(format!("`format` is {found}, expected {FORMAT}")));
        }
        let manifest: Self = serde_json::from_slice(text).map_err(json)?;
        manifest.check().map_err(wrong)?;
        Ok(manifest)
    }

    /// What tells these shards from others, a line for each.
    pub fn summary(&self) -> String {
        let mut text = format!("{} shards of {}\n", self.shards.len(), self.dataset.name);
        for shard in self.shards.iter().chain([&self.sample]) {
            let _ = writeln!(text, "{}: {}", shard.name, shard.sha256);
        }
        text
    }

    fn check(&self) -> std::result::Result<(), String> {
        self.dataset
            .check()
            .map_err(|what| format!("`dataset`: {what}"))?;
        if self.shards.is_empty() {
            return Err("`shards` is empty, expected at least one".into());
        }
        let mut names = BTreeSet::new();
        let [mut frames, mut episodes] = [0_u64; 2];
        let indexed = self.shards.iter().enumerate();
        let keyed = indexed.map(|(i, shard)| (format!("`shards[{i}]`"), shard));
        for (key, shard) in keyed.chain([("`sample`".to_owned(), &self.sample)]) {
            shard
                .check(self.dataset.frame_bytes())
                .map_err(|what| format!("{key}: {what}"))?;
            // Some file systems do not tell letters by their case.
            if !names.insert(shard.name.to_lowercase()) {
                return Err(format!("{key}: `name` `{}` appears twice", shard.name));
            }
            if shard.name != self.sample.name {
                frames = frames.saturating_add(shard.frames);
                episodes = episodes.saturating_add(shard.episodes);
            }
        }
        for (key, found, expected) in [
            ("frames", self.frames, frames),
            ("episodes", self.episodes, episodes),
        ] {
            if found != expected {
                return Err(format!(
                    "`{key}` is {found}, but the shards have {expected}"
                ));
            }
        }
        Ok(())
    }
}

impl ShardEntry {
    fn check(&self, frame_bytes: u64) -> std::result::Result<(), String> {
        check_name(&self.name).map_err(|what| format!("`name` {what}"))?;
        if !(1..=MAX_SHARD).contains(&self.bytes) {
            return Err(format!(
                "`bytes` is {}, expected 1 to {MAX_SHARD}",
                self.bytes
            ));
        }
        if !(1..=self.frames).contains(&self.episodes) {
            return Err(format!(
                "`episodes` is {} of {} frames",
                self.episodes, self.frames
            ));
        }
        if !(1..=self.frames).contains(&self.longest)
            || self.longest.saturating_mul(self.episodes) < self.frames
        {
            return Err(format!(
                "`longest` is {}, which {} frames in {} episodes cannot have",
                self.longest, self.frames, self.episodes
            ));
        }
        let most = self.bytes.saturating_mul(MAX_RATIO) / frame_bytes.max(1);
        if self.frames > most {
            return Err(format!(
                "`frames` is {}, but {} bytes hold at most {most}",
                self.frames, self.bytes
            ));
        }
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if self.sha256.len() != 64 || !self.sha256.bytes().all(is_digit) {
            return Err("`sha256` is no checksum, expected 64 digits of 0-9 and a-f".into());
        }
        Ok(())
    }
}

/// Checks that a name stays beside the manifest, on every system.
fn check_name(name: &str) -> std::result::Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let mut parts = Path::new(name).components();
    let is_one = matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none();
    if is_one && name.len() <= 200 && !name.starts_with('.') && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(format!(
        "is `{}`, expected the name of a file beside the manifest: letters, digits, `.`, `_`, `-`",
        driftless_data::text::printable(name)
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn valid() -> Value {
        let shard = |name: &str, frames: u64| {
            json!({"name": name, "bytes": 4000, "frames": frames, "episodes": 2, "longest": frames - 3,
                "sha256": "0123456789abcdef".repeat(4)})
        };
        json!({"format": 1, "frames": 30, "episodes": 4,
            "dataset": {"name": "Tiny", "fps": 10.0, "image": [2, 4], "actions": [{"name": "noop", "keys": []}]},
            "sample": shard("sample.tar", 10),
            "shards": [shard("a.tar", 10), shard("b.tar", 20)]})
    }

    fn refused(change: impl Fn(&mut Value)) -> String {
        let mut value = valid();
        change(&mut value);
        let text = value.to_string();
        let error = Manifest::parse("m.json", text.as_bytes()).unwrap_err();
        let error = error.to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        error.strip_prefix("m.json: ").unwrap().to_owned()
    }

    #[test]
    fn manifest_is_read_back() {
        let manifest = Manifest::parse("m.json", valid().to_string().as_bytes()).unwrap();
        assert_eq!(serde_json::to_value(&manifest).unwrap(), valid());
        assert_eq!(manifest.summary().lines().count(), 4);
    }

    #[test]
    fn other_versions_are_refused_first() {
        let text = refused(|v| *v = json!({"format": 2, "new": true}));
        assert_eq!(text, "`format` is 2, expected 1");
        let text = refused(|v| *v = json!({"command": "record"}));
        assert!(text.starts_with("is no manifest of shards"), "{text}");
    }

    #[test]
    fn names_stay_beside_the_manifest() {
        for name in [
            "../a.tar",
            "/etc/passwd",
            "a/b.tar",
            "C:a",
            "..",
            ".",
            "",
            ".hidden",
            "a\\b",
            "a\nb",
        ] {
            let text = refused(|v| v["shards"][1]["name"] = json!(name));
            assert!(text.starts_with("`shards[1]`: `name` is"), "{text}");
        }
        for (key, name) in [("shards", "A.tar"), ("sample", "b.tar")] {
            let text = refused(|v| match key {
                "shards" => v["shards"][1]["name"] = json!(name),
                _ => v["sample"]["name"] = json!(name),
            });
            assert!(text.contains("appears twice"), "{text}");
        }
    }

    #[test]
    fn numbers_that_cannot_be_are_named() {
        for (key, number, expected) in [
            ("bytes", 0_u64, "`shards[0]`: `bytes` is 0"),
            ("bytes", 3 << 30, "`shards[0]`: `bytes` is 3221225472"),
            ("frames", 1 << 40, "`shards[0]`: `longest` is 7"),
            ("episodes", 0, "`shards[0]`: `episodes` is 0"),
            ("longest", 11, "`shards[0]`: `longest` is 11"),
            ("longest", 4, "`shards[0]`: `longest` is 4"),
        ] {
            let text = refused(|v| v["shards"][0][key] = json!(number));
            assert!(text.starts_with(expected), "{text}");
        }
        let text = refused(|v| {
            v["shards"][0]["frames"] = json!(1_u64 << 40);
            v["shards"][0]["longest"] = json!(1_u64 << 40);
        });
        assert!(text.contains("4000 bytes hold at most 173333"), "{text}");
        let text = refused(|v| v["frames"] = json!(31));
        assert_eq!(text, "`frames` is 31, but the shards have 30");
        let text = refused(|v| v["shards"][0]["sha256"] = json!("ab"));
        assert!(text.contains("`sha256` is no checksum"), "{text}");
        let text = refused(|v| v["dataset"]["fps"] = json!(0));
        assert!(text.starts_with("`dataset`: fps is 0"), "{text}");
    }
}
