//! What can be wrong with an agent, its files or the world that it plays.

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
    /// The engine that plays the world: see [`driftless_engine::Error`].
    #[error(transparent)]
    Engine(#[from] driftless_engine::Error),
    /// A sampler was asked to show a frame to an agent before it had one, or without recording its tokens.
    #[error("{0}")]
    NoFrame(String),
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}
