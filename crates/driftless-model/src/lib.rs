//! The networks as candle modules.
//!
//! - [`config`]: shapes, actions and frame rate of a world, `config.json`.
//! - [`tokenizer`]: frames to latents and back.
//! - [`dynamics`]: predicts the next latent; `cached_forward` runs it after cached earlier frames.
//! - [`layers`], [`attention`], [`ops`]: the building blocks, with fused backward passes.
//! - [`export`]: the weights as plain numbers, for engines without tensors.
//! - [`params`], [`precision`]: where parameters come from, and the number type of products.
//! - [`checkpoint`]: the files of a trained world.

pub mod attention;
mod cached_forward;
pub mod checkpoint;
pub mod config;
pub mod contexts;
pub mod dynamics;
mod error;
pub mod export;
pub mod layers;
pub mod ops;
pub mod params;
pub mod precision;
pub mod simd;
pub mod tokenizer;

pub use error::{Error, Result};
