//! The networks, as candle modules: configuration, layers, tokenizer, dynamics, checkpoints.

pub mod attention;
pub mod checkpoint;
pub mod config;
pub mod dynamics;
mod given;
pub mod layers;
pub mod ops;
pub mod params;
pub mod precision;
pub(crate) mod simd;
pub mod tokenizer;
