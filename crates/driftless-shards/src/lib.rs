//! Datasets that are too large for one machine's disk: cut into shards, which are listed in a manifest, in a folder or in
//! an object store, and read one by one.
//!
//! ```
//! use std::sync::Arc;
//!
//! use driftless_shards::{CutOptions, Location, ShardReader, Stop, cut};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let temporary = tempfile::tempdir()?;
//! # let out = temporary.path().join("shards");
//! # let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/pong");
//! let options = CutOptions {
//!     data: data.into(),
//!     out: Location::parse(&out)?, // or s3://BUCKET/PREFIX
//!     shard_bytes: 64 << 20,
//!     seed: 0,
//!     skip_bad: false,
//!     overwrite: false,
//! };
//! let stop: Stop = Arc::new(|| false);
//! let manifest = cut(&options, &stop, &mut |_, _| {})?;
//!
//! let reader = ShardReader::open(&options.out, None, stop)?;
//! let mut frames = 0;
//! reader.for_each_episode(0, &mut |_path, episode| {
//!     frames += episode.frames() as u64;
//!     Ok(())
//! })?;
//! assert_eq!(frames, manifest.shards[0].frames);
//! # Ok(())
//! # }
//! ```
//!
//! - [`Location`]: where a manifest and its shards are.
//! - [`Manifest`]: what is in them.
//! - [`cut()`]: makes them.
//! - [`ShardReader`]: reads and checks them, with retries and a disk cache.
//! - [`ShardOrder`]: in which order, each once in an epoch.
//! - [`Ahead`]: on threads of its own, ahead of use.
//!
//! Servers need the feature `object-store`: S3-like stores, with settings and credentials from the environment variables of
//! the crate `object_store`, and web servers.

mod ahead;
mod archive;
mod cache;
mod cut;
mod error;
mod location;
mod manifest;
mod order;
mod reader;
#[cfg(feature = "object-store")]
mod remote;
mod sample;
mod stop;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(test)]
mod tests;

pub use ahead::Ahead;
pub use cut::{CutOptions, cut};
pub use error::{Error, Result};
pub use location::{Location, MANIFEST};
pub use manifest::{FORMAT, MAX_SHARD, Manifest, ShardEntry};
pub use order::ShardOrder;
pub use reader::{CacheOptions, ShardReader, checksum};
pub use stop::Stop;
