//! What can go wrong in a session of a world.

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
    /// An agent: see [`driftless_agent::Error`].
    #[error(transparent)]
    Agent(#[from] driftless_agent::Error),
    /// A published world of DIAMOND's: see [`driftless_diamond::Error`].
    #[error(transparent)]
    Diamond(#[from] driftless_diamond::Error),
    /// Another published world: see [`driftless_published::Error`].
    #[error(transparent)]
    Published(#[from] driftless_published::Error),
    /// A simulator: see [`driftless_worlds::Error`].
    #[error(transparent)]
    Simulator(#[from] driftless_worlds::Error),
    /// The mathematics of flow matching: see [`driftless_flow::Error`].
    #[error(transparent)]
    Flow(#[from] driftless_flow::Error),
    /// An argument or a setting is out of its range.
    #[error("{0}")]
    Argument(String),
    /// A simulator is asked for what only a learned world can do.
    #[error("{0}")]
    NotLearned(String),
    /// A snapshot belongs to another player.
    #[error("{0}")]
    Snapshot(String),
    /// A session cannot take in more frames.
    #[error("{0}")]
    Full(String),
    /// A recording could not be written, but its journal holds it.
    #[error("{0}; the recording is kept, `driftless recover` writes it elsewhere")]
    Kept(String),
    /// The program that makes the frames failed, where that is another one: in its words.
    #[error("{0}")]
    Remote(String),
    /// A thread could not be started, or ended unexpectedly.
    #[error("{0}")]
    Thread(String),
}

impl Error {
    /// Whether an argument or a setting was out of its range.
    pub fn is_argument(&self) -> bool {
        match self {
            Self::Argument(_) => true,
            Self::Data(error) => error.is_argument(),
            Self::Flow(error) => error.is_argument(),
            Self::Model(error) => error.is_argument(),
            Self::Engine(error) => error.is_argument(),
            Self::Simulator(error) => error.is_argument(),
            Self::Diamond(error) => error.is_argument(),
            Self::Published(error) => error.is_argument(),
            _ => false,
        }
    }

    /// Whether a number that is not finite was predicted.
    pub fn is_not_finite(&self) -> bool {
        match self {
            Self::Flow(error) => error.is_not_finite(),
            Self::Engine(error) => error.is_not_finite(),
            Self::Diamond(error) => error.is_not_finite(),
            Self::Published(error) => error.is_not_finite(),
            _ => false,
        }
    }

    /// Whether a starting clip is not whole.
    pub fn is_clip(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_clip())
    }

    /// Whether a device is missing or failed.
    pub fn is_device(&self) -> bool {
        match self {
            Self::Engine(error) => error.is_device(),
            Self::Diamond(error) => error.is_device(),
            _ => false,
        }
    }
}
