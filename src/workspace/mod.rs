//! The worlds, datasets and training runs on disk, and the background jobs that produce them.
//!
//! Heavy work runs in child processes of this program at low priority. That keeps the window smooth,
//! isolates it from a crash of the trainer, and means the command line can do everything the "New
//! world" page does. Nothing here draws, and nothing here waits for the window.
//!
//! - [`included`]: the worlds included with the program.
//! - [`library`]: lists the playable worlds and summarizes each.
//! - [`starting_clip`]: a starting clip from an episode, an image or a video.
//! - [`frame_size`]: which sizes of frames the presets train.
//! - [`paths`]: the folders for the user's worlds, datasets and runs.
//! - [`process`]: a child process: start, stop, and its error message if it fails.
//! - [`background_task`]: a short job in a thread, with one result.
//! - [`run_log`], [`progress`]: follow a run's log and compute its progress.
//! - [`background_run`]: a training run in the background.
//! - [`recording`]: turns a recorded session into a dataset.
//! - [`recovery`]: recordings that a killed program has left.
//! - [`save`]: saves a run's checkpoint as a named world.
//! - [`background_export`]: writes frames to a file in the background.
//! - [`playable_world`]: a playable world, learned or simulated.
//! - [`sampler_options`]: which parameters of the sampler a world has.
//! - [`published`]: a playable world in somebody else's published checkpoint.
//! - [`world_file`]: a world as one file to share.
//! - [`world_names`]: finds worlds by name, and suggests one for a wrong name.

pub mod background_export;
pub mod background_run;
pub mod background_task;
pub mod frame_size;
pub mod included;
pub mod library;
pub mod paths;
pub mod playable_world;
pub mod process;
pub mod progress;
pub mod published;
pub mod recording;
pub mod recovery;
pub mod run_log;
pub mod sampler_options;
pub mod save;
pub mod starting_clip;
pub mod world_file;
pub mod world_names;

use std::sync::Arc;

pub use background_export::BackgroundExport;
pub use background_run::BackgroundRun;
pub use background_task::BackgroundTask;
pub use included::IncludedWorlds;
pub use paths::UserPaths;
pub use playable_world::PlayableWorld;
pub use process::ChildProgram;
pub use world_names::WorldNames;

/// Called from a background thread when there is something new to show.
pub type Notify = Arc<dyn Fn() + Send + Sync>;
