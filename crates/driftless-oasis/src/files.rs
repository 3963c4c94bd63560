//! Which files are Oasis's: told by the names of their tensors.

use std::fmt;
use std::path::{Path, PathBuf};

use driftless_data::PathError as _;

use crate::tensors::{has_weights, is_safetensors, names};
use crate::{Error, Result};

/// One of the two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The diffusion transformer, which predicts the next frame's latent.
    Transformer,
    /// The autoencoder between pictures and latents.
    Autoencoder,
}

impl Part {
    const ALL: [Self; 2] = [Self::Transformer, Self::Autoencoder];

    /// The published file's name.
    pub fn file(self) -> &'static str {
        match self {
            Self::Transformer => "oasis500m.safetensors",
            Self::Autoencoder => "vit-l-20.safetensors",
        }
    }

    /// A tensor that only this network has.
    fn mark(self) -> &'static str {
        match self {
            Self::Transformer => "blocks.0.t_attn.to_qkv.weight",
            Self::Autoencoder => "encoder.0.attn.qkv.weight",
        }
    }

    /// The network with such tensors.
    fn of(names: &[String]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|part| names.iter().any(|name| name == part.mark()))
    }

    fn other(self) -> Self {
        match self {
            Self::Transformer => Self::Autoencoder,
            Self::Autoencoder => Self::Transformer,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Transformer => "Oasis's diffusion transformer",
            Self::Autoencoder => "Oasis's autoencoder",
        })
    }
}

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
    /// model's PyTorch weights.
    ///
    /// # Errors
    /// Returns an error if the file is damaged, if a `safetensors` file holds another model, or if the other file is
    /// missing.
    pub fn beside(file: &Path) -> Result<Option<Self>> {
        if !has_weights(file) {
            return Ok(None);
        }
        let found = names(file)?;
        let Some(part) = Part::of(&found) else {
            if is_safetensors(file) {
                let expected = Part::ALL.map(Part::file).join(" or ");
                let what = format!("{}, expected Oasis's {expected}", foreign(&found));
                return Err(Error::weights(file, what));
            }
            return Ok(None);
        };
        let folder = file.parent().unwrap_or(Path::new("."));
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        match Self::only(part.other(), folder, &candidates(folder)?)? {
            Some(other) => Ok(Some(Self::of(part, file.to_path_buf(), other))),
            None => Err(missing(file, part, part.other())),
        }
    }

    /// The checkpoint in a folder; `None` if it holds none of the files.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read, if it holds one file only, or several of a kind.
    pub fn inside(folder: &Path) -> Result<Option<Self>> {
        let files = candidates(folder)?;
        let [transformer, autoencoder] = Part::ALL.map(|part| Self::only(part, folder, &files));
        match (transformer?, autoencoder?) {
            (Some(transformer), Some(autoencoder)) => Ok(Some(Self {
                transformer,
                autoencoder,
            })),
            (None, None) => Ok(None),
            (Some(file), None) => Err(missing(&file, Part::Transformer, Part::Autoencoder)),
            (None, Some(file)) => Err(missing(&file, Part::Autoencoder, Part::Transformer)),
        }
    }

    fn of(part: Part, file: PathBuf, other: PathBuf) -> Self {
        let (transformer, autoencoder) = match part {
            Part::Transformer => (file, other),
            Part::Autoencoder => (other, file),
        };
        Self {
            transformer,
            autoencoder,
        }
    }

    /// The file of a network. One of a kind in the better format is enough.
    fn only(part: Part, folder: &Path, files: &[Candidate]) -> Result<Option<PathBuf>> {
        let own: Vec<&Candidate> = files.iter().filter(|file| file.part == part).collect();
        let (better, worse): (Vec<&Candidate>, Vec<&Candidate>) =
            own.into_iter().partition(|file| is_safetensors(&file.path));
        let chosen = if better.is_empty() { worse } else { better };
        match chosen.as_slice() {
            [] => Ok(None),
            [file] => Ok(Some(file.path.clone())),
            [first, second, ..] => {
                let name = |file: &Candidate| {
                    let name = file.path.file_name().unwrap_or_default();
                    name.to_string_lossy().into_owned()
                };
                let what = format!(
                    "holds {} and {}, expected one file of {part}",
                    name(first),
                    name(second)
                );
                Err(Error::files(folder, what))
            }
        }
    }
}

fn missing(file: &Path, part: Part, other: Part) -> Error {
    let what = format!(
        "holds {part}, but {other} is missing: expected {} beside it",
        other.file()
    );
    Error::files(file, what)
}

/// A file of one of the networks.
struct Candidate {
    path: PathBuf,
    part: Part,
}

/// The files of a folder that hold one of the networks. What cannot be read is none, unless it has a published name.
fn candidates(folder: &Path) -> Result<Vec<Candidate>> {
    let entries = folder.read_dir().map_err(|e| Error::io(folder, e))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file() && has_weights(path))
        .collect();
    files.sort();
    let published = |path: &Path| {
        let stem = |path: &Path| path.file_stem().map(ToOwned::to_owned);
        Part::ALL
            .iter()
            .any(|part| stem(Path::new(part.file())) == stem(path))
    };
    let mut candidates = Vec::new();
    for path in files {
        match names(&path) {
            Ok(names) => {
                let part = Part::of(&names);
                candidates.extend(part.map(|part| Candidate { path, part }));
            }
            Err(error) if published(&path) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(candidates)
}
