//! Worlds over HTTP and WebSocket: every player has a game of its own, in a browser or in another program.
//!
//! - [`Server`]: listens, and serves until it is told to stop.
//! - [`protocol`]: what players and the server say to each other.
//! - [`ServedWorld`]: a world whose weights all its games share.
//! - [`Pool`]: the fixed number of threads that run the games of all players.
//!
//! One thread talks to all players and never computes; the pool computes and never waits for a player. Between them
//! are queues with limits: of the frames that a player has not taken, only the newest is kept.

mod connection;
mod error;
mod game;
mod http;
mod hub;
mod link;
mod metrics;
mod pictures;
mod pool;
pub mod protocol;
mod rate;
mod sending;
mod server;
mod settings;
mod tls;
mod token;
mod world;

pub use connection::ConnectionLimits;
pub use error::{Error, Result};
pub use game::GameLimits;
pub use hub::Recordings;
pub use pool::{Pool, Task, TaskId};
pub use rate::RateLimit;
pub use server::{Server, ServerOptions};
pub use settings::Settings;
pub use token::Token;
pub use world::ServedWorld;
