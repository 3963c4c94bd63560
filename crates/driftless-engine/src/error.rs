//! What can go wrong while frames are predicted.

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
    /// The mathematics of flow matching: see [`driftless_flow::Error`].
    #[error(transparent)]
    Flow(#[from] driftless_flow::Error),
    /// An argument or a setting is out of its range.
    #[error("{0}")]
    Argument(String),
    /// A device (GPU) is missing or failed.
    #[error("{0}")]
    Device(String),
    /// The device, or this build of it, does not do what is asked; another device may.
    #[error("{0}")]
    Unsupported(String),
    /// A thread could not be started.
    #[error("{0}")]
    Thread(String),
    /// A method was called before another that must come first.
    #[error("{0}")]
    State(String),
    /// A snapshot belongs to another world.
    #[error("{0}")]
    Snapshot(String),
    /// A starting clip has no frames, half a frame, or not one action per frame.
    #[error("{0}")]
    Clip(String),
    /// A tensor or buffer does not have the expected shape: a mistake of the calling code.
    #[error("{0}")]
    Shape(String),
    /// The given episodes do not fit: too short, for example. Whoever knows their files names them.
    #[error("{0}")]
    Episodes(String),
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
    /// Whether an argument or a setting was out of its range.
    pub fn is_argument(&self) -> bool {
        match self {
            Self::Argument(_) => true,
            Self::Data(error) => error.is_argument(),
            Self::Flow(error) => error.is_argument(),
            Self::Model(error) => error.is_argument(),
            _ => false,
        }
    }

    /// Whether a number that is not finite was predicted.
    pub fn is_not_finite(&self) -> bool {
        matches!(self, Self::Flow(error) if error.is_not_finite())
    }

    /// Whether a starting clip is not whole.
    pub fn is_clip(&self) -> bool {
        matches!(self, Self::Clip(_))
    }

    /// Whether a device is missing, failed, or cannot do what is asked of it; another may.
    pub fn is_device(&self) -> bool {
        matches!(self, Self::Device(_) | Self::Unsupported(_))
    }

    /// Whether the given episodes do not fit.
    pub fn is_episodes(&self) -> bool {
        matches!(self, Self::Episodes(_))
    }
}
