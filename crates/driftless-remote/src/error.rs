//! What can go wrong with a game elsewhere, in one line each.

use std::time::Duration;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which a function of this crate fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or an argument: see [`driftless_data::Error`].
    #[error(transparent)]
    Data(#[from] driftless_data::Error),
    /// The thread of the game, or what it says when it fails: see [`driftless_sim::Error`].
    #[error(transparent)]
    Thread(#[from] driftless_sim::Error),
    /// The address cannot be understood.
    #[error("{given}: {reason}, expected wss://HOST[:PORT]")]
    Address {
        /// The address.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file of certificates cannot be used.
    #[error("--ca {file}: {reason}")]
    Ca {
        /// The file.
        file: String,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// The server has no such world.
    #[error("{server} has no world `{name}`, expected one of {known}")]
    NoWorld {
        /// The server.
        server: String,
        /// The world's name.
        name: String,
        /// Those that it has.
        known: String,
    },
    /// There is no connection, or it has broken.
    #[error("{server}: {reason}")]
    Link {
        /// The server.
        server: String,
        /// Why.
        reason: String,
    },
    /// The server says nothing.
    #[error("{server} says nothing for {} s", waited.as_secs_f32())]
    Silent {
        /// The server.
        server: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The server's certificate is not one that is trusted.
    #[error("{server}: its certificate is not trusted: {reason}")]
    Certificate {
        /// The server.
        server: String,
        /// Why.
        reason: String,
    },
    /// The server says no.
    #[error("{server}: {reason}")]
    Refused {
        /// The server.
        server: String,
        /// Why, in its words.
        reason: String,
    },
    /// The server sends what cannot be understood, or too much.
    #[error("{server} sends {what}")]
    Protocol {
        /// The server.
        server: String,
        /// What it sends, and what was expected.
        what: String,
    },
}

impl Error {
    /// Whether another attempt may succeed.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Link { .. } | Self::Silent { .. })
    }
}
