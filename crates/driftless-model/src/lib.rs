//! The two networks of a learned world, as candle modules, and the files they are kept in.
//!
//! The tokenizer turns frames into latents and back. The dynamics predicts the latent of the next
//! frame from noise, the action and the frames before.
//!
//! ```
//! use candle_core::Device;
//! use driftless_model::checkpoint::WorldModel;
//! use driftless_model::config::WorldConfig;
//! use driftless_model::tokenizer::{images_to_tensor, tensor_to_images};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config: WorldConfig = serde_json::from_str(
//!     r#"{
//!     "format": 1, "name": "Tiny", "fps": 15.0, "image": [8, 16],
//!     "actions": [{"name": "noop", "keys": []}, {"name": "up", "keys": ["W"]}],
//!     "tokenizer": {"patch": 4, "width": 8, "hidden": 8, "blocks": 1, "channels": 3},
//!     "dynamics": {"merge": 1, "stem_width": 8, "stem_frames": 0, "width": 8, "depth": 1,
//!         "heads": 1, "mlp": 8, "time_every": 1, "context": 4, "registers": 0, "k_max": 8}
//! }"#,
//! )?;
//! config.check()?;
//! // `WorldModel::read` reads a trained one from its folder.
//! let (world, _parameters) = WorldModel::random(&config, &Device::Cpu)?;
//! let two_frames = vec![127; 2 * config.image_len()];
//! let frames = images_to_tensor(&two_frames, config.image, &Device::Cpu)?;
//! let latents = world.tokenizer.encode(&frames)?;
//! assert_eq!(latents.dims(), [2, 2, 4, 3]); // frames, rows and columns of patches, channels
//! let decoded = tensor_to_images(&world.tokenizer.decode(&latents)?)?;
//! assert_eq!(decoded.len(), two_frames.len());
//! # Ok(())
//! # }
//! ```
//!
//! - [`config`]: shapes, actions and frame rate of a world, `config.json`.
//! - [`tokenizer`]: frames to latents and back.
//! - [`dynamics`]: predicts the next latent; `cached_forward` runs it after cached earlier frames.
//! - [`layers`], [`attention`], [`ops`]: the building blocks, with fused backward passes.
//! - [`memory`]: long-term memory, recalled by the pose of the camera.
//! - [`export`]: the weights as plain numbers, for engines without tensors.
//! - [`params`], [`precision`]: where parameters come from, and the number type of products.
//! - [`checkpoint`]: the files of a trained world.

pub mod attention;
pub mod cached_forward;
pub mod checkpoint;
pub mod config;
pub mod dynamics;
mod error;
pub mod export;
pub mod layers;
pub mod memory;
pub mod ops;
pub mod params;
pub mod precision;
pub mod simd;
pub mod starting_clips;
pub mod tokenizer;

pub use error::{Error, Result};
