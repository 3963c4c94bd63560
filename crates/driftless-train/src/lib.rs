//! The trainer: from a folder of episodes to a checkpoint.
//!
//! [`run()`] trains a tokenizer and then the dynamics, as [`TrainOptions`] and [`TrainSettings`] say.
//! A caller that wants to show how far it is, or to stop it, implements [`TrainProgress`]; `()` is
//! the one that does neither. A stopped run can be resumed, and then takes the same steps, bit for
//! bit, as one that was never stopped.
//!
//! ```no_run
//! use driftless_train::{RunLayout, TrainOptions, TrainOutcome, run};
//!
//! # fn main() -> driftless_train::Result<()> {
//! let options = TrainOptions::new("data/maze", "runs/maze");
//! match run(&options, &mut ())? {
//!     TrainOutcome::Finished => {
//!         let world = RunLayout::new("runs/maze").checkpoint();
//!         println!("play it: driftless play --checkpoint {}", world.display());
//!     }
//!     TrainOutcome::OutOfTime | TrainOutcome::Stopped => println!("not finished yet"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`run_transport`] trains a transport network on a dataset of cells, and [`run_clip`] a clip network on a
//! dataset with captions, with the same loop. [`run_agent`] trains an agent that plays a world.
//!
//! A run's folder holds ([`RunLayout`]):
//! - `checkpoint/`: the playable world, with averaged (EMA) weights,
//! - `tokenizer/` and `dynamics/`: the state from which a run is resumed,
//! - `log.jsonl`: one [`LogEntry`] a line, and `events/`: the same for TensorBoard,
//! - `previews/`: pictures of real frames above predicted ones,
//! - `settings.toml`: all settings.
//!
//! The example `maze` records a dataset, trains on it for a few steps and predicts a frame:
//! `cargo run --release -p driftless-train --example maze`.

mod agent;
mod clip;
mod context;
mod cpu;
mod dynamics;
mod error;
mod frame_encoding;
mod frame_errors;
mod frame_store;
mod layout;
mod log;
mod loss_scaling;
mod optimizer;
mod options;
#[cfg(test)]
mod parity;
mod preset_choice;
mod preview;
mod progress;
mod random;
pub mod ranks;
mod run;
mod run_lock;
mod same_config;
mod settings;
mod shards;
pub mod speed;
mod starting_clips;
mod state;
mod task;
mod tensorboard;
mod tokenizer;
mod train_loop;
mod training_data;
mod transport;
mod warm_start;
mod world_source;

pub use agent::{AgentOptions, AgentSettings, CloningSettings, ImaginationSettings, run_agent};
pub use clip::{ActionSettings, ClipOptions, ClipSettings, run_clip};
pub use error::{Error, Result};
pub use layout::RunLayout;
pub use log::{LOG_EVERY, LogEntry};
pub use options::{ShardOptions, TrainOptions, TrainStage};
pub use preset_choice::PresetChoice;
pub use progress::{StepReport, TrainOutcome, TrainProgress};
pub use run::run;
pub use settings::{
    DynamicsSettings, OptimizerSettings, TokenizerSettings, TrainPreset, TrainSettings,
};
pub use transport::{TransportOptions, TransportSettings, run_transport};
