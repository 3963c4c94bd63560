//! What can go wrong with a capture, in one line.

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which a function of this crate fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file: see [`driftless_data::Error`].
    #[error(transparent)]
    Data(#[from] driftless_data::Error),
    /// This system, or its display, does not offer what a capture needs.
    #[error("{0}")]
    Unsupported(String),
    /// There is no display, or the connection to it has ended.
    #[error("{0}")]
    Display(String),
    /// There is no such window, or several, or it cannot be captured.
    #[error("{0}")]
    Window(String),
    /// An argument is out of its range.
    #[error("{0}")]
    Argument(String),
    /// The stop key was pressed before there was anything to record.
    #[error("the stop key was pressed before the capture began; nothing was written")]
    Stopped,
    /// The dataset could not be written; its journal is kept.
    #[error("{0}; what was captured is kept: `driftless recover` writes it")]
    Kept(String),
}
