//! Recorded play on disk: episodes and datasets, read, written, imported and exported.
//!
//! An episode is a row of frames, each with the action that led to it; a dataset is a folder of
//! episodes of one world. Both are plain files: NumPy's `.npz` and JSON.
//!
//! ```
//! use driftless_data::{ActionSpec, Dataset, DatasetInfo, Episode, fs, layout};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let temporary = tempfile::tempdir()?;
//! # let folder = temporary.path();
//! let episode = Episode {
//!     height: 2,
//!     width: 2,
//!     images: vec![0; 3 * 2 * 2 * 3],
//!     actions: vec![0, 1, 1], // actions[t] led to frame t
//!     rewards: vec![0.0, 0.0, 1.0],
//!     extras: Default::default(),
//! };
//! episode.write(&folder.join(layout::dataset::episode(0)))?;
//! let action = |name: &str, keys: &[&str]| ActionSpec {
//!     name: name.into(),
//!     keys: keys.iter().map(|&key| key.into()).collect(),
//! };
//! let info = DatasetInfo {
//!     name: "Tiny".into(),
//!     fps: 10.0,
//!     image: [2, 2],
//!     actions: vec![action("noop", &[]), action("up", &["ArrowUp"])],
//!     axes: Vec::new(),
//! };
//! fs::write_json(&folder.join(layout::dataset::INFO), &info)?;
//!
//! let dataset = Dataset::read(folder)?;
//! assert_eq!(dataset.episodes[0].actions, [0, 1, 1]);
//! assert_eq!(dataset.episodes[0].clip(1..3).frames(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! - [`episode`]: one recorded episode: frames and the actions that led to them.
//! - [`dataset`]: a folder of episodes with a `dataset.json`.
//! - [`edit`]: episodes cut, split, set aside and held out, actions merged, all of it undoable.
//! - [`captions`]: what clips of the episodes show, in words.
//! - [`pose`]: where the player of an episode is and looks.
//! - [`listing`]: the episodes of a dataset, without their frames.
//! - [`layout`]: the names of files and arrays.
//! - [`info`]: the summary that `driftless info` prints; `examples/inspect.rs` shows its use.
//! - [`import`]: recordings in other formats, converted to a dataset. The features `hdf5` and
//!   `parquet` add HDF5 (Minari, robomimic, DIAMOND) and LeRobot.
//! - [`export`]: episodes as GIF, MP4, PNG or `.npz`.
//! - [`media`]: frames from an image, a GIF or a video.
//! - [`contact_sheet`]: frames side by side, as PNG files.
//! - [`metrics`]: PSNR, SSIM, means.
//! - [`npz`]: NumPy's `.npz` archives, read without trusting any header.
//! - [`pth`]: PyTorch's weight files, read without executing anything.
//! - [`text`]: names from files, made fit to print.
//! - [`fs`], [`staging`]: files and folders that appear complete or not at all; [`partial`]: their temporary
//!   names.
//! - [`journal`]: what is being recorded, on disk as it is made.

mod action;
pub mod captions;
pub mod cells;
mod clip;
pub mod components;
pub mod contact_sheet;
pub mod dataset;
pub mod edit;
pub mod episode;
mod error;
pub mod export;
mod ffmpeg;
pub mod fs;
mod guard;
pub mod import;
pub mod info;
pub mod journal;
pub mod layout;
pub mod listing;
pub mod media;
pub mod metrics;
pub mod npz;
pub mod parallel;
pub mod partial;
pub mod pose;
pub mod pth;
pub mod staging;
pub mod text;

pub use error::{Error, PathError, Result};

pub use action::{Action, ActionSpec, AxisInput, AxisSpec, MAX_AXES, check_axes};
pub use captions::ClipCaption;
pub use clip::Clip;
pub use dataset::{Dataset, DatasetInfo};
pub use episode::{Episode, ExtraArray};
pub use pose::{Motion, Pose};
