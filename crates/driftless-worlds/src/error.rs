//! What can go wrong in a simulator or while recording it.

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which a function of this crate fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or an argument: see [`driftless_data::Error`].
    #[error(transparent)]
    Data(#[from] driftless_data::Error),
    /// A snapshot belongs to another simulator.
    #[error("{0}")]
    Snapshot(String),
    /// An argument or a setting is out of its range.
    #[error("{0}")]
    Argument(String),
}

impl Error {
    /// Whether an argument or a setting was out of its range.
    pub fn is_argument(&self) -> bool {
        match self {
            Self::Argument(_) => true,
            Self::Data(error) => error.is_argument(),
            Self::Snapshot(_) => false,
        }
    }
}
