//! Which files are a checkpoint's: told by the names of their tensors.

use std::path::{Path, PathBuf};

use driftless_published::{Pair, Part, Result, Weights};

/// The tokenizer between pictures and latents.
pub(crate) const TOKENIZER: Part = Part {
    owner: "the tokenizer of Dreamer 4 in PyTorch",
    file: "tokenizer_ckpt.pt",
    mark: "decoder.patch_queries",
};
/// The dynamics, which predict the next frame's latents.
pub(crate) const DYNAMICS: Part = Part {
    owner: "the dynamics of Dreamer 4 in PyTorch",
    file: "dynamics_ckpt.pt",
    mark: "flow_x_head.weight",
};
const PAIR: Pair = Pair([TOKENIZER, DYNAMICS]);

/// What names of tensors begin with when a network was compiled, or trained on several devices.
const PREFIXES: [&str; 4] = ["module.", "_orig_mod.", "dynamics.", "dyn."];

/// The two files of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DreamerFiles {
    /// The tokenizer, published as `tokenizer_ckpt.pt`.
    pub tokenizer: PathBuf,
    /// The dynamics, published as `dynamics_ckpt.pt`.
    pub dynamics: PathBuf,
}

impl DreamerFiles {
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

    fn of([tokenizer, dynamics]: [PathBuf; 2]) -> Self {
        Self {
            tokenizer,
            dynamics,
        }
    }
}

/// Opens the weights of a part.
pub(crate) fn open(path: &Path, part: Part) -> Result<Weights> {
    let mut weights = Weights::open(path, part.owner)?;
    // One may stand behind another, in any order.
    for _ in PREFIXES {
        for prefix in PREFIXES {
            weights.strip_prefix(prefix);
        }
    }
    Ok(weights)
}
