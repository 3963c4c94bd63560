//! Which files are Oasis's: told by the names of their tensors.

use std::path::{Path, PathBuf};

use driftless_published::{Error, Pair, Part, Result, has_weights, is_safetensors, names};

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

/// How tensors of other models' files begin, and the model.
const FOREIGN: [(&str, &str); 6] = [
    ("denoiser.", "a DIAMOND agent"),
    ("decoder.mid_block.", "the autoencoder of Stable Diffusion"),
    ("first_stage_model.", "Stable Diffusion"),
    ("double_blocks.", "FLUX or HunyuanVideo"),
    ("patch_embedding.", "Wan"),
    ("model.layers.", "a language model"),
];

/// The model that tensors belong to, as far as their names tell.
fn foreign(names: &[String]) -> String {
    let begins = |(start, _): &&(&str, &str)| names.iter().any(|name| name.starts_with(*start));
    match (FOREIGN.iter().find(begins), names.first()) {
        (Some((_, model)), _) => format!("holds the weights of {model}"),
        (None, Some(name)) => format!("holds `{name}` and no tensor of Oasis's"),
        (None, None) => "holds no tensors".to_owned(),
    }
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

/// Refuses a `safetensors` file of a model that is not known.
///
/// # Errors
/// Returns an error that names the model as far as its tensors tell it, unless the file holds none by its name.
pub fn refuse_foreign(file: &Path) -> Result<()> {
    if !has_weights(file) || !is_safetensors(file) {
        return Ok(());
    }
    let expected = PAIR.0.map(|part| part.file).join(" or ");
    let what = format!("{}, expected Oasis's {expected}", foreign(&names(file)?));
    Err(Error::weights(file, what))
}
