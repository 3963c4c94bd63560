//! Published checkpoints: which files are one, and the playable world in them.

pub mod diamond;
pub mod dreamer;
pub mod oasis;
mod window;

use std::path::{Path, PathBuf};

use driftless_data::{Clip, PathError as _};
use driftless_dreamer::DreamerFiles;
use driftless_engine::{DeviceChoice, DeviceOptions};
use driftless_model::checkpoint::CONFIG;
use driftless_oasis::OasisFiles;
use driftless_published::{names, refuse_foreign};

use super::PlayableWorld;
use crate::{Error, Result};

/// What PyTorch calls its files.
const TORCH: [&str; 2] = ["pt", "pth"];
/// What other files of weights are called.
const SAFETENSORS: &str = "safetensors";

/// The files of weights that are no PyTorch files, for an error.
const KNOWN: &str =
    "Oasis's oasis500m.safetensors or vit-l-20.safetensors, or the weights of Dreamer 4 in PyTorch";

/// A published checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// One of DIAMOND's Atari agents: its file.
    Diamond(PathBuf),
    /// Oasis: its two files.
    Oasis(OasisFiles),
    /// Dreamer 4 in PyTorch: its two files.
    Dreamer(DreamerFiles),
}

impl Published {
    /// The published checkpoint that `path` names: a PyTorch or a `safetensors` file, or a folder that holds such and
    /// is no world of this program. `None` if it is anything else.
    ///
    /// # Errors
    /// Returns an error if a folder cannot be read or nothing says which of its files is meant, if one of two files is
    /// missing, or if a `safetensors` file is of no model that is known.
    pub fn at(path: &Path) -> Result<Option<Self>> {
        if path.is_file() {
            return Self::of_file(path);
        }
        if !path.is_dir() || path.join(CONFIG).exists() {
            return Ok(None);
        }
        if let Some(files) = OasisFiles::inside(path)? {
            return Ok(Some(Self::Oasis(files)));
        }
        if let Some(files) = DreamerFiles::inside(path)? {
            return Ok(Some(Self::Dreamer(files)));
        }
        Ok(single_torch_file(path)?.map(Self::Diamond))
    }

    fn of_file(file: &Path) -> Result<Option<Self>> {
        let torch = is_torch_file(file);
        if !torch && !has_extension(file, SAFETENSORS) {
            return Ok(None);
        }
        let own = file.with_file_name(CONFIG);
        if !torch && own.is_file() {
            let what = "is part of a world of this program, expected its folder";
            return Err(Error::invalid(file, what));
        }
        let oasis = OasisFiles::beside(file).map(|files| files.map(Self::Oasis));
        let found = match oasis {
            Ok(None) => DreamerFiles::beside(file).map(|files| files.map(Self::Dreamer)),
            found => found,
        };
        match found {
            Ok(Some(published)) => return Ok(Some(published)),
            // Of a PyTorch file that is damaged itself, who reads its weights says more.
            Err(error) if !torch || names(file).is_ok() => return Err(error.into()),
            Ok(None) | Err(_) => {}
        }
        refuse_foreign(file, KNOWN)?;
        Ok(Some(Self::Diamond(file.to_owned())))
    }

    /// The playable world. `clip` is a file for [`starting_clip::read`](super::starting_clip::read); without one, the
    /// world starts from black frames or, if it can, from nothing.
    ///
    /// # Errors
    /// Returns an error if the checkpoint or the clip is missing or broken, if the clip is an index, or if the device
    /// is none that such worlds are computed on.
    pub fn open(&self, device: DeviceOptions, clip: Option<&str>) -> Result<PlayableWorld> {
        self.check_device(device.device)?;
        match self {
            Self::Diamond(file) => diamond::open(file, device, clip),
            Self::Oasis(files) => oasis::read(files)?.open(device, clip),
            Self::Dreamer(files) => dreamer::read(files)?.open(device, clip),
        }
    }

    /// As [`Self::open`], with starting clips that were read.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_clips(
        &self,
        device: DeviceOptions,
        clips: Vec<Clip>,
    ) -> Result<PlayableWorld> {
        self.check_device(device.device)?;
        match self {
            Self::Diamond(file) => diamond::open_with_clips(file, device, clips),
            Self::Oasis(files) => Ok(oasis::read(files)?.playable(device, clips)),
            Self::Dreamer(files) => Ok(dreamer::read(files)?.playable(device, clips)),
        }
    }

    /// Refuses devices that these networks are not computed on.
    ///
    /// # Errors
    /// Returns an error that names those that they are computed on.
    pub fn check_device(&self, device: DeviceChoice) -> Result<()> {
        let (file, on_gpu) = match self {
            Self::Diamond(file) => (file, true),
            Self::Oasis(files) => (&files.transformer, false),
            Self::Dreamer(files) => (&files.dynamics, false),
        };
        let (known, expected) = if on_gpu {
            ("the CPU or through wgpu", "auto, cpu, wgpu or wgpu-f16")
        } else {
            ("the CPU", "auto or cpu")
        };
        match device {
            DeviceChoice::Auto | DeviceChoice::Cpu => Ok(()),
            DeviceChoice::Wgpu | DeviceChoice::WgpuF16 if on_gpu => Ok(()),
            _ => Err(Error::Argument(format!(
                "--device: {} is computed on {known}, expected {expected}",
                file.display()
            ))),
        }
    }
}

/// The only PyTorch file of a folder.
fn single_torch_file(folder: &Path) -> Result<Option<PathBuf>> {
    let entries = folder
        .read_dir()
        .map_err(|error| Error::io(folder, error))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.is_file() && is_torch_file(file))
        .collect();
    files.sort();
    match files.len() {
        0 | 1 => Ok(files.pop()),
        count => {
            let what = format!("holds {count} PyTorch files, expected one: name it");
            Err(Error::invalid(folder, what))
        }
    }
}

fn is_torch_file(path: &Path) -> bool {
    TORCH.iter().any(|known| has_extension(path, known))
}

fn has_extension(path: &Path, known: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case(known))
}
