//! What can be wrong with a network, its configuration or its files.

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which a function of this crate fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or an argument: see [`driftless_data::Error`].
    #[error(transparent)]
    Data(#[from] driftless_data::Error),
    /// The mathematics of flow matching: see [`driftless_flow::Error`].
    #[error(transparent)]
    Flow(#[from] driftless_flow::Error),
    /// An argument or a setting is out of its range.
    #[error("{0}")]
    Argument(String),
    /// A tensor or buffer does not have the expected shape: a mistake of the calling code.
    #[error("{0}")]
    Shape(String),
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// Whether an argument or a setting was out of its range.
    pub fn is_argument(&self) -> bool {
        match self {
            Self::Argument(_) => true,
            Self::Data(error) => error.is_argument(),
            Self::Flow(error) => error.is_argument(),
            _ => false,
        }
    }
}
