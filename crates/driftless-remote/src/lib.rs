//! A game that runs on a server of [`driftless_serve`], behind the same channels as the world-model thread.
//!
//! - [`Address`]: where the server is.
//! - [`RemoteServer`]: how it is reached: address, token, certificates; and which worlds it has.
//! - [`RemoteWorld`]: one of these worlds. [`RemoteWorld::spawn`] plays it in a [`driftless_sim::SimThread`], as a
//!   window does, a [`RemotePlayer`] plays frame by frame, without one.
//!
//! Nothing that a server sends is trusted: sizes, names and numbers are checked before they are used, messages have
//! limits, and a server that says nothing is left. When the link breaks, the game waits, and goes on by itself.

mod address;
mod check;
mod error;
mod game;
mod outgoing;
mod pictures;
mod player;
mod received;
mod retry;
mod server;
mod socket;
mod trust;
mod world;
mod worlds;

pub use address::Address;
pub use error::{Error, Result};
pub use player::RemotePlayer;
pub use server::{RemoteServer, Timing};
pub use trust::Trust;
pub use world::RemoteWorld;
