//! What can go wrong with a server, in one line each.

use std::path::Path;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which a function of this crate fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or an argument: see [`driftless_data::Error`].
    #[error(transparent)]
    Data(#[from] driftless_data::Error),
    /// A configuration or a checkpoint: see [`driftless_model::Error`].
    #[error(transparent)]
    Model(#[from] driftless_model::Error),
    /// An engine: see [`driftless_engine::Error`].
    #[error(transparent)]
    Engine(#[from] driftless_engine::Error),
    /// A game: see [`driftless_sim::Error`].
    #[error(transparent)]
    Game(#[from] driftless_sim::Error),
    /// A setting of the server is out of its range, or does not go with another.
    #[error("{0}")]
    Argument(String),
    /// The address cannot be listened on.
    #[error("--listen {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// The certificate or its key cannot be used.
    #[error("--tls: {file}: {reason}")]
    Certificate {
        /// The file.
        file: String,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// The file of the token cannot be used.
    #[error("--token-file {file}: {reason}")]
    Token {
        /// The file.
        file: String,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// A thread or the runtime could not be started.
    #[error("cannot start the server: {0}")]
    Start(String),
    /// A picture has another number of bytes than its size asks for.
    #[error("a frame has {found} bytes, expected {expected}")]
    PictureSize {
        /// Its bytes.
        found: usize,
        /// Bytes of its size.
        expected: usize,
    },
    /// A picture cannot be encoded.
    #[error("cannot encode a frame: {0}")]
    Picture(#[from] image::ImageError),
}

impl Error {
    pub(crate) fn certificate(file: &Path, reason: impl Into<String>) -> Self {
        Self::Certificate {
            file: file.display().to_string(),
            reason: reason.into(),
        }
    }

    pub(crate) fn token(file: &Path, reason: impl Into<String>) -> Self {
        Self::Token {
            file: file.display().to_string(),
            reason: reason.into(),
        }
    }
}
