//! Episodes, datasets and starting contexts on disk.
//!
//! - [`npz`]: named arrays in a zip archive, NumPy's format, read without trusting any header.
//! - [`episode`]: one recorded episode, frames and the actions that led to them.
//! - [`dataset`]: a folder of episodes with a `dataset.json`.
//! - [`fs`]: files that are written whole or not at all.
//! - [`contact_sheet`]: frames side by side, as PNG files.
//! - [`metrics`]: PSNR, SSIM, means.
//! - [`interrupt`]: a request to stop.
//! - [`export`]: frames as GIF, MP4 or PNG.
//! - [`pictures`]: the first frames of a picture, an animation or a video.
//! - [`import`]: other people's recordings as a dataset.
//! - [`staging`]: a folder that is there whole or not at all.
//! - [`info`]: the summary that `driftless info` prints.

mod action;
mod clip;
pub mod contact_sheet;
pub mod dataset;
pub mod episode;
mod error;
pub mod export;
mod ffmpeg;
pub mod fs;
pub mod import;
pub mod info;
pub mod interrupt;
pub mod metrics;
pub mod npz;
pub mod pictures;
pub mod staging;

pub use error::{Error, PathError, Result};

pub use action::ActionSpec;
pub use clip::Clip;
pub use dataset::{Dataset, DatasetInfo};
pub use episode::{Episode, Extra};
