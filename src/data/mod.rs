//! Episodes, datasets and starting contexts on disk.
//!
//! - [`npz`]: named arrays in a zip archive, NumPy's format, read without trusting any header.
//! - [`episode`]: one recorded episode, frames and the actions that led to them.
//! - [`dataset`]: a folder of episodes with a `dataset.json`.
//! - [`contexts`]: a world's starting contexts, `contexts.npz`.
//! - [`export`]: frames as GIF, MP4 or PNG.
//! - [`pictures`]: the first frames of a picture, an animation or a video.
//! - [`import`]: other people's recordings as a dataset.
//! - [`staging`]: a folder that is there whole or not at all.
//! - [`info`]: the summary that `driftless info` prints.

pub mod contexts;
pub mod dataset;
pub mod episode;
pub mod export;
mod ffmpeg;
pub mod import;
pub mod info;
pub mod npz;
pub mod pictures;
pub mod staging;

pub use dataset::{Dataset, DatasetInfo};
pub use episode::{Episode, Extra};
