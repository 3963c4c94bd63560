//! Files of weights of models that are not known.

use std::path::Path;

use crate::tensors::{has_weights, is_safetensors, names};
use crate::{Error, Result};

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
        (None, Some(name)) => format!("holds `{name}` and no tensor of a model that is known"),
        (None, None) => "holds no tensors".to_owned(),
    }
}

/// Refuses a `safetensors` file of a model that is not known; `expected` says which are.
///
/// # Errors
/// Returns an error that names the model as far as its tensors tell it, unless the file holds none by its name.
pub fn refuse_foreign(file: &Path, expected: &str) -> Result<()> {
    if !has_weights(file) || !is_safetensors(file) {
        return Ok(());
    }
    let what = format!("{}, expected {expected}", foreign(&names(file)?));
    Err(Error::weights(file, what))
}
