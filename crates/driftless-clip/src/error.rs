//! What can be wrong with a clip network, its files or what it is asked for.

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which a function of this crate fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or an argument: see [`driftless_data::Error`].
    #[error(transparent)]
    Data(#[from] driftless_data::Error),
    /// A layer or its parameters: see [`driftless_model::Error`].
    #[error(transparent)]
    Model(#[from] driftless_model::Error),
    /// The mathematics of flow matching: see [`driftless_flow::Error`].
    #[error(transparent)]
    Flow(#[from] driftless_flow::Error),
    /// An argument is out of its range.
    #[error("{0}")]
    Argument(String),
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}
