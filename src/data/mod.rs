//! Episodes, datasets and starting contexts on disk.
//!
//! - [`npz`]: NumPy's `.npz` archives, read without trusting any header.
//! - [`episode`]: one recorded episode: frames and the actions that led to them.
//! - [`dataset`]: a folder of episodes with a `dataset.json`.
//! - [`contexts`]: a world's starting contexts, `contexts.npz`.
//! - [`export`]: episodes as GIF, MP4, PNG or `.npz`.
//! - [`pictures`]: frames from an image, a GIF or a video.
//! - [`import`]: recordings in other formats, converted to a dataset.
//! - [`staging`]: a folder that appears complete or not at all.
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
