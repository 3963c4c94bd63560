//! Making a world beside the window: places for what people make, and the jobs behind the
//! "New world" page.
//!
//! Heavy work runs in child processes of this very program at low priority, so the window stays
//! smooth, a crash of training cannot take it down, and the command line can do all the same.
//! Nothing here draws, and nothing here waits for the window.
//!
//! - [`shipped`]: the worlds that come with the program.
//! - [`library`]: what there is to play, and what is known of it.
//! - [`start`]: a starting context from a recording, a picture or a film.
//! - [`places`]: where worlds, datasets and runs of this person lie.
//! - [`process`]: a child process: started, asked to stop, and what it said when it failed.
//! - [`task`]: work of a moment in a thread, with one result.
//! - [`log`], [`progress`]: a run's log as it grows, and what it means.
//! - [`training`]: a run in the background.
//! - [`recording`]: what a person played as a dataset.
//! - [`save`]: a run's checkpoint as a world with a name.
//! - [`export`]: frames on their way to a file.
//! - [`game`]: what a window or a headless player plays.

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
pub mod start;
pub mod task;
pub mod training;

use std::sync::Arc;

pub use export::Export;
pub use game::Game;
pub use places::Places;
pub use process::Program;
pub use shipped::Shipped;
pub use task::Task;
pub use training::Training;

/// Called from a background thread whenever there is something new to look at.
pub type Notify = Arc<dyn Fn() + Send + Sync>;
