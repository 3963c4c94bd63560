//! What can go wrong while training.

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
    /// A transport network: see [`driftless_transport::Error`].
    #[error(transparent)]
    Transport(#[from] driftless_transport::Error),
    /// An agent: see [`driftless_agent::Error`].
    #[error(transparent)]
    Agent(#[from] driftless_agent::Error),
    /// A clip network: see [`driftless_clip::Error`].
    #[error(transparent)]
    Clip(#[from] driftless_clip::Error),
    /// The mathematics of flow matching: see [`driftless_flow::Error`].
    #[error(transparent)]
    Flow(#[from] driftless_flow::Error),
    /// Shards of a dataset: see [`driftless_shards::Error`].
    #[error(transparent)]
    Shards(driftless_shards::Error),
    /// The user asked to stop in the middle of a step, which is not made.
    #[error("interrupted")]
    Interrupted,
    /// An argument or a setting is out of its range.
    #[error("{0}")]
    Argument(String),
    /// A tensor is missing or has another shape.
    #[error("{0}")]
    Shape(String),
    /// Something happened that cannot: a mistake in this program.
    #[error("internal error: {0}")]
    Internal(&'static str),
    /// A thread could not be started.
    #[error("{0}")]
    Thread(String),
    /// The given episodes do not fit: too short, for example. Whoever knows their files names them.
    #[error("{0}")]
    Episodes(String),
    /// The processes of a training on several machines do not agree, or one is lost.
    #[error("{0}")]
    Ranks(String),
    /// Training met a number that is not finite.
    #[error("{0}")]
    Diverged(String),
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl From<driftless_shards::Error> for Error {
    fn from(error: driftless_shards::Error) -> Self {
        match error {
            driftless_shards::Error::Interrupted => Self::Interrupted,
            driftless_shards::Error::Data(error) => Self::Data(error),
            error => Self::Shards(error),
        }
    }
}

impl From<driftless_flow::FlowError> for Error {
    fn from(error: driftless_flow::FlowError) -> Self {
        Self::Flow(error.into())
    }
}

impl Error {
    /// Whether the given episodes do not fit.
    pub fn is_episodes(&self) -> bool {
        match self {
            Self::Episodes(_) => true,
            Self::Engine(error) => error.is_episodes(),
            _ => false,
        }
    }
}
