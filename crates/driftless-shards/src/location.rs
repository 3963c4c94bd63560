//! Where shards are: a folder, an S3-like store, or a web server.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The usual name of a manifest.
pub const MANIFEST: &str = "shards.json";
/// How the name of a manifest ends.
const MANIFEST_END: &str = ".json";

/// Where shards are, beside their manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A folder.
    Folder(PathBuf),
    /// A bucket of an S3-like store, and the names of folders in it.
    S3 {
        /// The bucket.
        bucket: String,
        /// Between slashes; may be empty.
        prefix: String,
    },
    /// A folder of a web server: `http://HOST[:PORT]/…`.
    Web(String),
}

/// Where a manifest is. Its shards are beside it.
///
/// ```
/// use driftless_shards::Location;
///
/// # fn main() -> driftless_shards::Result<()> {
/// let location = Location::parse("s3://games/maze".as_ref())?;
/// assert_eq!(location.to_string(), "s3://games/maze/shards.json");
/// assert!(Location::parse("https://name:password@example.org/maze".as_ref()).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    pub(crate) place: Place,
    /// The manifest's name in its place.
    pub(crate) manifest: String,
}

impl Location {
    /// Whether `path` names shards rather than a folder of episodes: the address of a server, a manifest, or a folder
    /// with one and without a `dataset.json`.
    pub fn is_meant_by(path: &Path) -> bool {
        let text = path.to_string_lossy();
        let holds = |name: &str| path.join(name).is_file();
        scheme(&text).is_some()
            || path.extension().is_some_and(|end| end == "json")
            || (holds(MANIFEST) && !holds(driftless_data::layout::dataset::INFO))
    }

    /// The location that `path` names: a manifest (`….json`) or where a `shards.json` is. It may be a file, a folder,
    /// `s3://BUCKET/PREFIX` or `http(s)://HOST/PATH`.
    ///
    /// # Errors
    /// Returns an error if the address has no bucket or host, another scheme, or contains credentials.
    pub fn parse(path: &Path) -> Result<Self> {
        let text = path.to_string_lossy();
        let Some((scheme, rest)) = scheme(&text) else {
            return Ok(Self::of_path(path));
        };
        let wrong = |what: &str| Err(Error::Argument(format!("{} {what}", without_secret(&text))));
        if rest.contains(['@', '?', '#']) {
            return wrong(
                "holds credentials or a query: credentials belong in the environment (AWS_ACCESS_KEY_ID)",
            );
        }
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.iter().any(|part| matches!(*part, "." | "..")) {
            return wrong("has `.` or `..` in its path");
        }
        let (folders, manifest) = match parts.split_last() {
            Some((last, folders)) if last.ends_with(MANIFEST_END) => (folders, *last),
            _ => (parts.as_slice(), MANIFEST),
        };
        let prefix = folders.join("/");
        let place = match scheme {
            _ if host.is_empty() => return wrong("names no bucket or host"),
            "s3" => Place::S3 {
                bucket: host.to_owned(),
                prefix,
            },
            "http" | "https" if prefix.is_empty() => Place::Web(format!("{scheme}://{host}")),
            "http" | "https" => Place::Web(format!("{scheme}://{host}/{prefix}")),
            _ => return wrong("is no address of shards, expected s3:// or https:// or http://"),
        };
        Ok(Self {
            place,
            manifest: manifest.to_owned(),
        })
    }

    fn of_path(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() || !name.ends_with(MANIFEST_END) {
            return Self {
                place: Place::Folder(path.to_owned()),
                manifest: MANIFEST.to_owned(),
            };
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        Self {
            place: Place::Folder(folder.to_owned()),
            manifest: name.into_owned(),
        }
    }

    /// The folder, if it is one of this machine.
    pub fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(folder) => Some(folder),
            Place::S3 { .. } | Place::Web(_) => None,
        }
    }

    /// The name of an object beside the manifest, for messages.
    pub(crate) fn name_of(&self, object: &str) -> String {
        match &self.place {
            Place::Folder(folder) => folder.join(object).display().to_string(),
            Place::S3 { bucket, prefix } if prefix.is_empty() => format!("s3://{bucket}/{object}"),
            Place::S3 { bucket, prefix } => format!("s3://{bucket}/{prefix}/{object}"),
            Place::Web(url) => format!("{url}/{object}"),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name_of(&self.manifest))
    }
}

/// Splits `SCHEME://REST`.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_scheme.then_some((scheme, rest))
}

/// An address without what may be a password in it.
fn without_secret(text: &str) -> String {
    // A password may hold what ends an address.
    let shown = match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => text.to_owned(),
    };
    let end = shown.find(['?', '#']).unwrap_or(shown.len());
    shown[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str) -> String {
        match Location::parse(Path::new(path)) {
            Ok(location) => location.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn manifests_have_a_usual_name() {
        assert_eq!(shown("s3://games"), "s3://games/shards.json");
        assert_eq!(shown("s3://games/a/b/"), "s3://games/a/b/shards.json");
        assert_eq!(shown("s3://games/a/other.json"), "s3://games/a/other.json");
        let web = shown("http://127.0.0.1:90/a");
        assert_eq!(web, "http://127.0.0.1:90/a/shards.json");
        assert_eq!(
            shown("data/x"),
            Path::new("data/x/shards.json").display().to_string()
        );
        assert_eq!(shown("x.json"), "x.json");
    }

    #[test]
    fn wrong_addresses_are_refused() {
        for (path, expected) in [
            ("s3:///a", "s3:///a names no bucket or host"),
            ("ftp://a/b", "ftp://a/b is no address of shards"),
            ("s3://a/../b", "s3://a/../b has `.` or `..` in its path"),
            (
                "https://me:secret@host/a",
                "https://…@host/a holds credentials",
            ),
            (
                "https://me:secret?secret#secret@host/a",
                "https://…@host/a holds credentials",
            ),
            (
                "https://host/a?Signature=secret",
                "https://host/a holds credentials",
            ),
        ] {
            let text = shown(path);
            assert!(text.starts_with(expected), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn folders_of_episodes_are_no_shards() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!Location::is_meant_by(folder.path()));
        std::fs::write(folder.path().join(MANIFEST), "{}").unwrap();
        assert!(Location::is_meant_by(folder.path()));
        std::fs::write(folder.path().join("dataset.json"), "{}").unwrap();
        assert!(!Location::is_meant_by(folder.path()));
        assert!(Location::is_meant_by(Path::new("s3://a")));
    }
}
