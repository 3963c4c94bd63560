//! The networks, as candle modules: configuration, layers, tokenizer, dynamics, checkpoints.

pub mod attention;
pub mod checkpoint;
pub mod config;
pub mod contexts;
pub mod dynamics;
mod error;
mod given;
pub mod layers;
pub mod ops;
pub mod params;
pub mod precision;
pub mod simd;
pub mod tokenizer;

pub use error::{Error, Result};
