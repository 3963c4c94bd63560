//! What can go wrong in the program, in one line: which file or argument, what is wrong, what was expected.

/// How every line starts that the program writes to stderr about an error. The window looks for it in
/// the output of child processes.
pub const ERROR_PREFIX: &str = "driftless: ";

/// The result of the program's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which a function of the program fails.
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
    /// A download: see [`driftless_hub::Error`].
    #[error(transparent)]
    Hub(Box<driftless_hub::Error>),
    /// A published world of DIAMOND's: see [`driftless_diamond::Error`].
    #[error(transparent)]
    Diamond(#[from] driftless_diamond::Error),
    /// Another published world: see [`driftless_published::Error`].
    #[error(transparent)]
    Published(#[from] driftless_published::Error),
    /// Shards of a dataset: see [`driftless_shards::Error`].
    #[error(transparent)]
    Shards(Box<driftless_shards::Error>),
    /// A simulator: see [`driftless_worlds::Error`].
    #[error(transparent)]
    Simulator(#[from] driftless_worlds::Error),
    /// A session of a world: see [`driftless_sim::Error`].
    #[error(transparent)]
    Session(Box<driftless_sim::Error>),
    /// The capture of a window: see [`driftless_capture::Error`].
    #[error(transparent)]
    Capture(Box<driftless_capture::Error>),
    /// A clip network: see [`driftless_clip::Error`].
    #[error(transparent)]
    Clip(Box<driftless_clip::Error>),
    /// A world on a server: see [`driftless_remote::Error`].
    #[error(transparent)]
    Remote(Box<driftless_remote::Error>),
    /// A server: see [`driftless_serve::Error`].
    #[error(transparent)]
    Server(Box<driftless_serve::Error>),
    /// A transport network: see [`driftless_transport::Error`].
    #[error(transparent)]
    Transport(Box<driftless_transport::Error>),
    /// An agent: see [`driftless_agent::Error`].
    #[error(transparent)]
    Agent(Box<driftless_agent::Error>),
    /// The trainer: see [`driftless_train::Error`].
    #[error(transparent)]
    Training(Box<driftless_train::Error>),
    /// A measurement: see [`driftless_eval::Error`].
    #[error(transparent)]
    Evaluation(Box<driftless_eval::Error>),
    /// The mathematics of flow matching: see [`driftless_flow::Error`].
    #[error(transparent)]
    Flow(#[from] driftless_flow::Error),
    /// An argument or a setting is out of its range.
    #[error("{0}")]
    Argument(String),
    /// A setting of the world, the user or the system cannot be used.
    #[error("{0}")]
    Config(String),
    /// There is no display or graphics adapter for the window.
    #[error("{0}")]
    Display(String),
    /// The world failed while the window was open; in its own words.
    #[error("{0}")]
    World(String),
    /// A child process could not be followed, or failed: in its own words.
    #[error("{0}")]
    Process(String),
    /// A thread could not be started, or ended unexpectedly.
    #[error("{0}")]
    Thread(String),
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

// Boxed: an error is returned by nearly every function, and these are the largest.
macro_rules! from_boxed {
    ($($variant:ident($error:ty)),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(Box::new(error))
            }
        }
    )*};
}
from_boxed!(
    Session(driftless_sim::Error),
    Agent(driftless_agent::Error),
    Training(driftless_train::Error),
    Capture(driftless_capture::Error),
    Hub(driftless_hub::Error),
    Clip(driftless_clip::Error),
    Shards(driftless_shards::Error),
    Remote(driftless_remote::Error),
    Server(driftless_serve::Error),
    Transport(driftless_transport::Error),
    Evaluation(driftless_eval::Error)
);

impl Error {
    /// Whether the given episodes do not fit; the message does not name their files.
    pub fn is_episodes(&self) -> bool {
        match self {
            Self::Engine(error) => error.is_episodes(),
            Self::Evaluation(error) => error.is_episodes(),
            Self::Training(error) => error.is_episodes(),
            _ => false,
        }
    }

    /// A thread could not be started.
    pub(crate) fn no_thread(error: &std::io::Error) -> Self {
        Self::Thread(format!("cannot start a thread: {error}"))
    }
}
