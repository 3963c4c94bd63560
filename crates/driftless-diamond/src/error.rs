//! What can be wrong with a published checkpoint, or with what is asked of it.

use std::path::{Path, PathBuf};

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which a function of this crate fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read: see [`driftless_data::Error`].
    #[error(transparent)]
    Data(#[from] driftless_data::Error),
    /// The worker threads: see [`driftless_engine::Error`].
    #[error(transparent)]
    Engine(#[from] driftless_engine::Error),
    /// A file of weights that are not those of a DIAMOND Atari agent.
    #[error("{}: {what}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong, naming the tensor, and what was expected.
        what: String,
    },
    /// An argument is out of its range.
    #[error("{0}")]
    Argument(String),
    /// The network predicted a number that is not finite.
    #[error("the denoiser predicted a number that is not finite")]
    NotFinite,
    /// A snapshot belongs to another world.
    #[error("{0}")]
    Snapshot(String),
}

impl Error {
    /// Whether an argument or a setting was out of its range.
    pub fn is_argument(&self) -> bool {
        match self {
            Self::Argument(_) => true,
            Self::Data(error) => error.is_argument(),
            _ => false,
        }
    }

    /// Whether a number that is not finite was predicted.
    pub fn is_not_finite(&self) -> bool {
        matches!(self, Self::NotFinite)
    }

    /// Whether a device is missing or failed.
    pub fn is_device(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_device())
    }

    pub(crate) fn weights(path: &Path, what: impl Into<String>) -> Self {
        let (path, what) = (path.to_path_buf(), what.into());
        Self::Weights { path, what }
    }
}
