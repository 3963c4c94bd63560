//! The small checkpoint of `parity.rs`.

use std::path::PathBuf;

use driftless_oasis::{Oasis, OasisFiles};

/// Height and width of its latents.
pub const LATENT: [usize; 2] = [6, 8];

pub fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

pub fn files() -> OasisFiles {
    OasisFiles {
        transformer: data("oasis500m.safetensors"),
        autoencoder: data("vit-l-20.safetensors"),
    }
}

pub fn oasis() -> Result<Oasis, driftless_published::Error> {
    Oasis::read_sized(&files(), LATENT)
}
