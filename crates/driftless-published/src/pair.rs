//! Which two files are a checkpoint's, if it is published in two: told by the names of their tensors.

use std::path::{Path, PathBuf};

use driftless_data::PathError as _;

use crate::tensors::{Tensors, has_weights, is_safetensors, names};
use crate::{Error, Result};

/// A file of a checkpoint that is published in two.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// What is in it, as errors say it: `Oasis's autoencoder`.
    pub owner: &'static str,
    /// Its published name.
    pub file: &'static str,
    /// A tensor that no other file has.
    pub mark: &'static str,
}

/// Both files of a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Pair(pub [Part; 2]);

impl Part {
    /// Whether a file with tensors of these names is it. Names can have a prefix.
    fn is_in(&self, names: &[String]) -> bool {
        let is_mark = |name: &String| {
            let prefix = name.strip_suffix(self.mark);
            prefix.is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        };
        names.iter().any(is_mark)
    }

    fn has_name_of(&self, path: &Path) -> bool {
        path.file_stem() == Path::new(self.file).file_stem()
    }
}

impl Pair {
    /// The files of the checkpoint that `file` belongs to: the other one is looked for beside it. `None` if it holds the
    /// weights of neither.
    ///
    /// # Errors
    /// Returns an error if the file is damaged, or if the other one is missing.
    pub fn beside(&self, file: &Path) -> Result<Option<[PathBuf; 2]>> {
        if !has_weights(file) {
            return Ok(None);
        }
        let found = names(file)?;
        let Some(own) = self.0.iter().position(|part| part.is_in(&found)) else {
            return Ok(None);
        };
        let folder = file.parent().unwrap_or(Path::new("."));
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let other = 1 - own;
        let Some(beside) = self.only(other, folder, &self.candidates(folder)?)? else {
            return Err(self.missing(file, other));
        };
        let mut both = [file.to_path_buf(), beside];
        if own == 1 {
            both.swap(0, 1);
        }
        Ok(Some(both))
    }

    /// The files of the checkpoint in a folder; `None` if it holds neither.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read, if it holds one file only, or several of a kind.
    pub fn inside(&self, folder: &Path) -> Result<Option<[PathBuf; 2]>> {
        let files = self.candidates(folder)?;
        match [0, 1].map(|part| self.only(part, folder, &files)) {
            [Err(error), _] | [_, Err(error)] => Err(error),
            [Ok(Some(first)), Ok(Some(second))] => Ok(Some([first, second])),
            [Ok(None), Ok(None)] => Ok(None),
            [Ok(Some(file)), Ok(None)] => Err(self.missing(&file, 1)),
            [Ok(None), Ok(Some(file))] => Err(self.missing(&file, 0)),
        }
    }

    /// The file of a part. One of a kind in the better format is enough.
    fn only(&self, part: usize, folder: &Path, files: &[Candidate]) -> Result<Option<PathBuf>> {
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
                    "holds {} and {}, expected one file of {}",
                    name(first),
                    name(second),
                    self.0[part].owner
                );
                Err(Error::files(folder, what))
            }
        }
    }

    fn missing(&self, file: &Path, part: usize) -> Error {
        let Part {
            owner, file: name, ..
        } = self.0[part];
        let what = format!(
            "holds {}, but {owner} is missing: expected {name} beside it",
            self.0[1 - part].owner
        );
        Error::files(file, what)
    }

    /// The files of a folder that hold one of the parts. What cannot be read is none, unless it has a published name.
    fn candidates(&self, folder: &Path) -> Result<Vec<Candidate>> {
        let entries = folder.read_dir().map_err(|e| Error::io(folder, e))?;
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.is_file() && has_weights(path))
            .collect();
        files.sort();
        let mut candidates = Vec::new();
        for path in files {
            let published = self.0.iter().find(|part| part.has_name_of(&path));
            let found = match (names(&path), published) {
                (Ok(names), _) => names,
                (Err(error), Some(_)) => return Err(error),
                (Err(_), None) => continue,
            };
            match self.0.iter().position(|part| part.is_in(&found)) {
                Some(part) => candidates.push(Candidate { path, part }),
                None => {
                    if let Some(Part { owner, .. }) = published {
                        // Says why, if it holds no tensors at all.
                        Tensors::open(&path)?;
                        let what = format!("holds no weights of {owner}");
                        return Err(Error::weights(&path, what));
                    }
                }
            }
        }
        Ok(candidates)
    }
}

/// A file of one of the parts.
struct Candidate {
    path: PathBuf,
    part: usize,
}
