//! What can go wrong while measuring a world.

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
    /// A simulator: see [`driftless_worlds::Error`].
    #[error(transparent)]
    Simulator(#[from] driftless_worlds::Error),
    /// An agent: see [`driftless_agent::Error`].
    #[error(transparent)]
    Agent(#[from] driftless_agent::Error),
    /// An engine: see [`driftless_engine::Error`].
    #[error(transparent)]
    Engine(#[from] driftless_engine::Error),
    /// A transport network: see [`driftless_transport::Error`].
    #[error(transparent)]
    Transport(#[from] driftless_transport::Error),
    /// The mathematics of flow matching: see [`driftless_flow::Error`].
    #[error(transparent)]
    Flow(#[from] driftless_flow::Error),
    /// An argument or a setting is out of its range.
    #[error("{0}")]
    Argument(String),
    /// A tensor or buffer does not have the expected shape: a mistake of the calling code.
    #[error("{0}")]
    Shape(String),
    /// The given episodes do not fit: too short, for example. Whoever knows their files names them.
    #[error("{0}")]
    Episodes(String),
    /// The weights of a metric's network do not fit it; the files are named.
    #[error("{0}")]
    Weights(String),
    /// Too few mazes have a place for a test of the memory.
    #[error("{0}")]
    Mazes(String),
    /// Something happened that cannot: a mistake in this program.
    #[error("internal error: {0}")]
    Internal(String),
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl From<driftless_flow::FlowError> for Error {
    fn from(error: driftless_flow::FlowError) -> Self {
        Self::Flow(error.into())
    }
}

impl Error {
    /// Whether a device is missing or failed.
    pub fn is_device(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_device())
    }

    /// Whether the given episodes do not fit.
    pub fn is_episodes(&self) -> bool {
        match self {
            Self::Episodes(_) => true,
            Self::Engine(error) => error.is_episodes(),
            _ => false,
        }
    }
}
