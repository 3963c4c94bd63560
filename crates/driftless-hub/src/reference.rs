use std::fmt;
use std::path::Path;

use crate::{Error, Result};

/// What a published name begins with.
const PREFIX: &str = "hf:";
/// The revision that is meant when none is named.
const NEWEST: &str = "main";

/// A published checkpoint: a repository of files, and possibly one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `OWNER/NAME`.
    pub repository: String,
    /// A branch, tag or commit.
    pub revision: String,
    /// The file, with the folders that it is in; `None` for whatever the repository holds.
    pub file: Option<String>,
}

impl Reference {
    /// What `path` names if it begins with `hf:`.
    ///
    /// # Errors
    /// Returns an error if it does, and is no such name.
    pub fn of_path(path: &Path) -> Result<Option<Self>> {
        match path.to_str() {
            Some(text) if text.starts_with(PREFIX) => Self::parse(text).map(Some),
            _ => Ok(None),
        }
    }

    /// Parses `hf:OWNER/NAME[@REVISION][/FILE]`.
    ///
    /// # Errors
    /// Returns an error that says what is wrong. Names that could leave a folder (`..`) are none.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |what| Error::Name {
            name: text.to_owned(),
            what,
        };
        let rest = text.strip_prefix(PREFIX).ok_or(wrong("lacks `hf:`"))?;
        let mut parts = rest.splitn(3, '/');
        let owner = parts.next().unwrap_or_default();
        let name = parts.next().ok_or(wrong("has no name after the owner"))?;
        let (name, revision) = name.split_once('@').unwrap_or((name, NEWEST));
        let file = parts.next().filter(|file| !file.is_empty());
        if ![owner, name, revision].into_iter().all(is_plain) {
            return Err(wrong("has letters that no owner, name or revision has"));
        }
        if !file.is_none_or(|file| file.split('/').all(is_plain)) {
            return Err(wrong("has letters that no file here has"));
        }
        Ok(Self {
            repository: format!("{owner}/{name}"),
            revision: revision.to_owned(),
            file: file.map(str::to_owned),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.repository)?;
        if self.revision != NEWEST {
            write!(f, "@{}", self.revision)?;
        }
        match &self.file {
            Some(file) => write!(f, "/{file}"),
            None => Ok(()),
        }
    }
}

/// Whether a name is one of a file or folder in any system, and leads nowhere else.
pub(crate) fn is_plain(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "._-+=".contains(c);
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.chars().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (text, repository, revision, file) in [
            ("hf:a/b", "a/b", "main", None),
            ("hf:a/b/", "a/b", "main", None),
            ("hf:a/b/c/d.pt", "a/b", "main", Some("c/d.pt")),
            ("hf:a-1/b.c@v2/d.pt", "a-1/b.c", "v2", Some("d.pt")),
        ] {
            let parsed = Reference::parse(text).unwrap();
            assert_eq!(parsed.repository, repository);
            assert_eq!(parsed.revision, revision);
            assert_eq!(parsed.file.as_deref(), file);
            assert_eq!(parsed.to_string(), text.trim_end_matches('/'));
        }
    }

    #[test]
    fn names_lead_nowhere_else() {
        for text in [
            "hf:",
            "hf:a",
            "hf:/b",
            "hf:a/..",
            "hf:a/b/../c",
            "hf:a/b/.git/config",
            "hf:a/b//c",
            "hf:a/b@/c",
            "hf:a/b@x/y z",
            "hf:a/b/c\\d",
        ] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(
                error.contains(text) && error.contains("expected hf:"),
                "{error}"
            );
        }
        assert_eq!(Reference::of_path(Path::new("a/b")).unwrap(), None);
    }
}
