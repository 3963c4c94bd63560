//! What can go wrong, said in one line: which file or argument, what is wrong, what was expected.

use std::path::{Path, PathBuf};

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which a call of this library fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file was read, but what it holds is not what was expected.
    #[error("{}: {what}", path.display())]
    Invalid {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what was expected, naming the key or array.
        what: String,
    },
    /// An argument or a setting is out of its range.
    #[error("{0}")]
    Argument(String),
    /// A device (GPU, display) is missing or failed.
    #[error("{0}")]
    Device(String),
    /// The user asked to stop before the work was done.
    #[error("interrupted; nothing was written")]
    Interrupted,
    /// Training met a number that is not finite.
    #[error("{0}")]
    Diverged(String),
    /// The mathematics of flow matching was asked for what it cannot give.
    #[error("{0}")]
    Flow(#[from] crate::flow::FlowError),
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// An [`Error::Io`] about `path`.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_path_buf(),
            source,
        }
    }

    /// An [`Error::Invalid`] about `path`.
    pub fn invalid(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        Self::Invalid {
            path: path.as_ref().to_path_buf(),
            what: what.into(),
        }
    }
}
