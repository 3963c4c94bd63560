//! Episodes, datasets and starting contexts on disk.
//!
//! - [`layout`]: the names of files and arrays.
//! - [`npz`]: NumPy's `.npz` archives, read without trusting any header.
//! - [`episode`]: one recorded episode: frames and the actions that led to them.
//! - [`dataset`]: a folder of episodes with a `dataset.json`.
//! - [`fs`]: files that appear complete or not at all.
//! - [`contact_sheet`]: frames side by side, as PNG files.
//! - [`metrics`]: PSNR, SSIM, means.
//! - [`export`]: episodes as GIF, MP4, PNG or `.npz`.
//! - [`media`]: frames from an image, a GIF or a video.
//! - [`import`]: recordings in other formats, converted to a dataset.
//! - [`staging`]: a folder that appears complete or not at all.
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
pub mod layout;
pub mod media;
pub mod metrics;
pub mod npz;
pub mod staging;

pub use error::{Error, PathError, Result};

pub use action::ActionSpec;
pub use clip::Clip;
pub use dataset::{Dataset, DatasetInfo};
pub use episode::{Episode, ExtraArray};
