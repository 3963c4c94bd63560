//! The networks, as candle modules: configuration, layers, tokenizer, dynamics, checkpoints.

pub mod attention;
mod cached_forward;
pub mod checkpoint;
pub mod config;
pub mod dynamics;
pub mod layers;
pub mod ops;
pub mod params;
pub mod precision;
pub(crate) mod simd;
pub mod tokenizer;
