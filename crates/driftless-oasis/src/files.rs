//! Which files are Oasis's: told by the names of their tensors.

use std::path::{Path, PathBuf};

use driftless_published::{Pair, Part, Result};

/// The diffusion transformer, which predicts the next frame's latent.
pub(crate) const TRANSFORMER: Part = Part {
    owner: "Oasis's diffusion transformer",
    file: "oasis500m.safetensors",
    mark: "blocks.0.t_attn.to_qkv.weight",
};
/// The autoencoder between pictures and latents.
pub(crate) const AUTOENCODER: Part = Part {
    owner: "Oasis's autoencoder",
    file: "vit-l-20.safetensors",
    mark: "encoder.0.attn.qkv.weight",
};
const PAIR: Pair = Pair([TRANSFORMER, AUTOENCODER]);

/// The two files of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OasisFiles {
    /// The diffusion transformer, published as `oasis500m.safetensors`.
    pub transformer: PathBuf,
    /// The autoencoder, published as `vit-l-20.safetensors`.
    pub autoencoder: PathBuf,
}

impl OasisFiles {
    /// The checkpoint that a file belongs to: the other file is looked for beside it. `None` if the file holds another
    /// model's weights.
    ///
    /// # Errors
    /// Returns an error if the file is damaged, or if the other file is missing.
    pub fn beside(file: &Path) -> Result<Option<Self>> {
        Ok(PAIR.beside(file)?.map(Self::of))
    }

    /// The checkpoint in a folder; `None` if it holds none of the files.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read, if it holds one file only, or several of a kind.
    pub fn inside(folder: &Path) -> Result<Option<Self>> {
        Ok(PAIR.inside(folder)?.map(Self::of))
    }

    fn of([transformer, autoencoder]: [PathBuf; 2]) -> Self {
        Self {
            transformer,
            autoencoder,
        }
    }
}
