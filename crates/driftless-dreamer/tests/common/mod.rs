//! The small checkpoint of `parity.rs`.

use std::path::PathBuf;

use driftless_dreamer::{Dreamer, DreamerFiles};
use driftless_published::Error;

pub const TOKENIZER: &str = "tokenizer_ckpt.pt";
pub const DYNAMICS: &str = "dynamics_ckpt.pt";

pub fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// The checkpoint with these dynamics.
pub fn dreamer(dynamics: &str) -> Result<Dreamer, Error> {
    Dreamer::read(&DreamerFiles {
        tokenizer: data(TOKENIZER),
        dynamics: data(dynamics),
    })
}
