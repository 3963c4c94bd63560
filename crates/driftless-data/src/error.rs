//! What can go wrong around files and buffers of frames.

use std::path::{Path, PathBuf};

use crate::text::one_line;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which a function of this crate fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("{}: {source}", one_line(&path.to_string_lossy()))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file was read, but does not hold what was expected.
    #[error("{}: {}", one_line(&path.to_string_lossy()), one_line(what))]
    Invalid {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what was expected, naming the key or array.
        what: String,
    },
    /// An argument or a setting is out of its range.
    #[error("{0}")]
    Argument(String),
    /// A buffer does not have the length that its shape asks for: a mistake of the calling code.
    #[error("{0}")]
    Shape(String),
    /// This build of the program leaves out what is asked for; the message names the feature.
    #[error("{0}")]
    NotBuilt(String),
    /// There is nothing to write.
    #[error("{0}")]
    Empty(String),
    /// A value does not fit into a file format.
    #[error("{format}: {source}")]
    Encode {
        /// The format's name.
        format: &'static str,
        /// What its encoder says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The user asked to stop before the work was done: by Ctrl-C, or in the window.
    #[error("interrupted; nothing was written")]
    Interrupted,
}

impl Error {
    /// A value does not fit into the file format `format`.
    pub fn encode(
        format: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        Self::Encode { format, source }
    }

    /// Whether an argument or a setting was out of its range.
    pub fn is_argument(&self) -> bool {
        matches!(self, Self::Argument(_))
    }
}

/// Constructors of errors about a path, for every error type that wraps [`Error`].
pub trait PathError: From<Error> + Sized {
    /// The operating system refused an operation on `path`.
    fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        Error::Io { path, source }.into()
    }

    /// `path` does not hold what was expected; `what` names the key or array.
    fn invalid(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        let path = path.as_ref().to_path_buf();
        let what = what.into();
        Error::Invalid { path, what }.into()
    }
}

impl<E: From<Error>> PathError for E {}
