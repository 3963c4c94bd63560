//! What can go wrong with shards.

use driftless_data::text::one_line;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which a function of this crate fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a dataset: see [`driftless_data::Error`].
    #[error(transparent)]
    Data(#[from] driftless_data::Error),
    /// An argument names no place for shards.
    #[error("{0}")]
    Argument(String),
    /// A manifest was read, but is not what was expected.
    #[error("{}: {}", one_line(manifest), one_line(what))]
    Manifest {
        /// Where it is.
        manifest: String,
        /// The key, what is wrong, and what was expected.
        what: String,
    },
    /// A shard is not what its manifest says.
    #[error(
        "{}: shard `{}` {}",
        one_line(manifest),
        one_line(shard),
        one_line(what)
    )]
    Shard {
        /// Where the manifest is.
        manifest: String,
        /// The shard's name.
        shard: String,
        /// What is wrong, and what was expected.
        what: String,
    },
    /// A server has no such object, or refuses access to it.
    #[error("{}: {}", one_line(name), one_line(what))]
    Refused {
        /// The object.
        name: String,
        /// What the server says.
        what: String,
    },
    /// A server could not be reached, or its answer could not be read.
    #[error("{}: {}", one_line(name), one_line(what))]
    Store {
        /// The object.
        name: String,
        /// What happened.
        what: String,
    },
    /// This build of the program leaves out what is asked for; the message names the feature.
    #[error("{0}")]
    NotBuilt(String),
    /// A thread could not be started, or ended unexpectedly.
    #[error("{0}")]
    Thread(String),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}
