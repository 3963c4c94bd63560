//! Playing a world in a thread of its own: commands in, frames and messages out.
//!
//! - [`SimThread`]: the world-model thread. It takes [`Command`]s and makes [`Frame`]s.
//! - [`PolledSim`]: the same without a thread, for many games on a few threads.
//! - [`SimThread::with`]: a thread that stands for it, as the client of a server does.
//! - [`Player`]: what it plays, a [`LearnedWorld`], a [`SimulatedWorld`] or a published world.
//! - [`History`]: every frame played, so that one can go back, branch and compare.
//! - [`Session`], [`RecordedSession`]: a recording, and its bit-exact replay.
//! - [`Game`]: a game as it is shared, to be played again and played on.
//! - [`headless`]: playing given actions without a thread.
//!
//! A factory makes the player inside the thread, so a failed thread can be started again. Commands
//! are handled between two frames, or at once while the thread waits. Frames leave through a bounded
//! channel: a slow reader loses old frames, never new ones, and never stalls the model. Only a GPU
//! shared with the window, and frames that stay on it, bypass the channels.
//!
//! # Example
//!
//! Two steps forward in a maze, then back to its first frame:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use driftless_sim::{
//!     InputCommand, PlaybackCommand, SimOptions, SimThread, SimulatedWorld, TimelineCommand,
//! };
//! use driftless_worlds::SimulatorKind;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let maze = |_: &_| -> driftless_sim::Result<Box<dyn driftless_sim::Player>> {
//!     Ok(Box::new(SimulatedWorld::new(SimulatorKind::Maze.open(0))))
//! };
//! let options = SimOptions {
//!     paused: true,
//!     ..SimOptions::new(Arc::new(maze))
//! };
//! let sim = SimThread::spawn(options, None, || {})?;
//! let first = sim.frames().recv()?;
//!
//! let changed_at = Instant::now();
//! sim.send(InputCommand::Hold { action: 1.into(), changed_at });
//! for number in 1..=2 {
//!     sim.send(PlaybackCommand::Step);
//!     let frame = sim.frames().recv()?;
//!     assert_eq!((frame.number, frame.action), (number, 1.into()));
//!     assert_ne!(frame.image.bytes(), first.image.bytes());
//! }
//!
//! sim.send(TimelineCommand::Seek(first.position));
//! assert_eq!(sim.frames().recv()?.image.bytes(), first.image.bytes());
//! # Ok(())
//! # }
//! ```

mod autoplay;
mod columns;
mod command;
mod comparison;
mod diamond;
mod episode_state;
mod error;
mod frame;
mod frame_loop;
mod game;
mod ground_truth;
pub mod headless;
mod history;
mod input;
mod inspection;
mod message;
mod options;
mod pacer;
mod params_state;
mod player;
mod polled;
mod ports;
mod published;
mod replay;
mod rerender;
mod rewind;
mod script;
mod session;
mod session_journal;
mod sim_loop;
mod simulated_world;
mod snapshot_schedule;
mod thread;

#[cfg(test)]
mod tests;

pub use columns::{SESSION_ARRAYS, recorded_seed};
pub use command::{
    CaptureCommand, Command, EpisodeCommand, InputCommand, Pace, PlaybackCommand, SamplerCommand,
    TimelineCommand,
};
pub use comparison::{ComparisonSource, matching_simulator};
pub use diamond::DiamondWorld;
pub use error::{Error, Result};
pub use frame::{Diagnostics, Frame, FrameImage, FrameTiming, Prediction};
pub use game::{GAME_FILES, Game, MAX_GAME_FRAMES};
pub use history::{BranchInfo, History, HistoryLimits, MAX_BRANCHES, TimelinePosition};
pub use inspection::{Inspection, KeptFrameView, MemoryView, RecalledFrame, TracedPass};
pub use message::{LinkState, Message, Notice};
pub use options::{PlayerFactory, SimOptions, ThreadExit};
pub use params_state::RANDOM_SEED_LIMIT;
pub use player::{GroundTruth, LearnedWorld, Player, PlayerSnapshot};
pub use polled::{PolledSim, Turn};
pub use ports::Outbox;
pub use published::{PlayableNetwork, PublishedWorld};
pub use replay::{FrameDifference, Provenance, RecordedSession, ReplayReport};
pub use session::{JournalSummary, Session};
pub use session_journal::RecordOptions;
pub use simulated_world::SimulatedWorld;
pub use thread::{FRAMES_IN_FLIGHT, SimThread};
