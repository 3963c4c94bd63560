//! Measures learned worlds.
//!
//! - [`report`]: a world on held-out episodes, through any
//!   [`Sampler`](driftless_engine::Sampler): the tokenizer alone, rollouts compared with the real
//!   frames, objects, poses, rewards and ends, and long free runs.
//! - [`surprise`] and [`likelihood`]: how likely the frames of an episode are under a world.
//! - [`alarm`]: whether a world's own signals tell which of its frames are wrong.
//! - [`memory`]: whether a world of the maze remembers what it no longer sees.
//! - [`agent`]: what agents earn in the real game.
//! - [`clips`]: whether clips show what they were asked for, and how far they are from real ones.
//! - [`mod@bench`]: speed, stage by stage.
//! - [`objects`]: finds ball and paddles in frames of Pong and Breakout; [`pose`]: position and
//!   direction in frames of a first-person world.
//! - [`lpips`]: the perceptual distance LPIPS, with weights that the user has.
//! - [`report_tables`] and [`surprise::tables`] turn results into [`table`]s for a terminal or for
//!   Markdown.
//!
//! ```
//! use driftless_data::Dataset;
//! use driftless_engine::{DeviceChoice, GpuSource};
//! use driftless_eval::{EvalOptions, EvalProgress, Probes, report, report_tables, table};
//!
//! # fn main() -> driftless_eval::Result<()> {
//! # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
//! # let (world, data) = (format!("{root}/checkpoints/pong"), format!("{root}/assets/pong"));
//! # let (world, data) = (world.as_ref(), data.as_ref());
//! let mut engine = driftless_engine::open(world, DeviceChoice::Cpu, &GpuSource::Own)?;
//! let dataset = Dataset::read(data)?;
//! let options = EvalOptions {
//!     sequences: 1,
//!     horizon: 4,
//!     steps: vec![1],
//!     tokenizer_frames: 8,
//!     one_step: 4,
//!     free_runs: 0,
//!     ..EvalOptions::default()
//! };
//! let mut show = |done, total| println!("{done} of {total} frames");
//! let progress = &mut EvalProgress::new(&mut show);
//! let report = report::run(&mut engine, &dataset, &options, Probes::default(), None, progress)?;
//! assert!(report.tokenizer.psnr.is_some_and(|psnr| psnr > 25.0));
//! println!("{}", table::text(&report_tables::tables(&report)));
//! # Ok(())
//! # }
//! ```

pub mod agent;
pub mod alarm;
pub mod bench;
pub mod cells;
pub mod clips;
mod context_cache;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod free_run;
mod holes;
mod horizons;
pub mod likelihood;
pub mod lpips;
mod maze_colours;
pub mod memory;
mod object_truth;
pub mod objects;
mod one_step;
mod options;
pub mod outcomes;
mod perturbations;
pub mod pose;
mod regions;
pub mod report;
pub mod report_tables;
mod rollout_report;
pub mod surprise;
pub mod table;
mod tokenizer;

pub use error::{Error, Result};
pub use free_run::{FreeRunBin, FreeRunReport, ObjectPresence};
pub use one_step::{HitRate, OneStepReport};
pub use options::{EvalOptions, EvalProgress, Probes};
pub use perturbations::{MeanBits, PerturbationReport};
pub use regions::RegionReport;
pub use rollout_report::{BallStats, HorizonSpan, PaddleStats, RolloutReport, ShuffledReport};
pub use tokenizer::{BallReconstruction, Smoothness, TokenizerReport};
