//! The worlds, datasets and training runs on disk, and the background jobs that produce them.
//!
//! Heavy work runs in child processes of this program at low priority. That keeps the window smooth,
//! isolates it from a crash of the trainer, and means the command line can do everything the "New
//! world" page does. Nothing here draws, and nothing here waits for the window.
//!
//! - [`shipped`]: the worlds included with the program.
//! - [`library`]: lists the playable worlds and summarises each.
//! - [`starting_clip`]: a starting context from an episode, an image or a video.
//! - [`places`]: the folders for the user's worlds, datasets and runs.
//! - [`process`]: a child process: start, stop, and its error message if it fails.
//! - [`background_task`]: a short job in a thread, with one result.
//! - [`log`], [`progress`]: follow a run's log and compute its progress.
//! - [`training`]: a training run in the background.
//! - [`recording`]: turns a recorded session into a dataset.
//! - [`save`]: saves a run's checkpoint as a named world.
//! - [`export`]: writes frames to a file in the background.
//! - [`game`]: a playable world, learned or simulated.

pub mod background_task;
pub mod export;
pub mod game;
pub mod library;
pub mod log;
pub mod places;
pub mod process;
pub mod progress;
pub mod recording;
pub mod save;
pub mod shipped;
pub mod starting_clip;
pub mod training;

use std::sync::Arc;

pub use background_task::Task;
pub use export::Export;
pub use game::Game;
pub use places::Places;
pub use process::Program;
pub use shipped::Shipped;
pub use training::Training;

/// Called from a background thread when there is something new to show.
pub type Notify = Arc<dyn Fn() + Send + Sync>;
