//! The episodes of a dataset as a list shows them, read without their frames.

use std::path::Path;

use rayon::prelude::*;

use crate::dataset::episode_files;
use crate::episode::arrays::{episode_ranges, read_rewards};
use crate::layout::array::ACTION;
use crate::npz::NpzReader;
use crate::{Error, PathError as _, Result};

/// A file with episodes.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedFile {
    /// Its name in the dataset's folder.
    pub file: String,
    /// What it holds, or why it cannot be read.
    pub content: std::result::Result<FileSummary, String>,
}

/// What a file with episodes holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FileSummary {
    /// Episodes: one, unless `is_first` or `is_last` divide it.
    pub episodes: usize,
    /// Frames.
    pub frames: usize,
    /// The sum of all rewards.
    pub reward: f64,
    /// Size on disk.
    pub bytes: u64,
}

/// The files of a dataset, sorted by name.
///
/// # Errors
/// Returns an error if the folder is missing or has no episodes. A file that cannot be read is in the list.
pub fn list(folder: &Path) -> Result<Vec<ListedFile>> {
    let files = episode_files(folder)?;
    let listed = files.par_iter().map(|path| {
        let name = path.file_name().unwrap_or_default();
        ListedFile {
            file: name.to_string_lossy().into_owned(),
            content: summarize(path).map_err(|e| e.to_string()),
        }
    });
    Ok(listed.collect())
}

fn summarize(path: &Path) -> Result<FileSummary> {
    let bytes = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    let mut file = NpzReader::open(path)?;
    let frames = file.array(ACTION)?.shape.first().copied().unwrap_or(0);
    let ranges = episode_ranges(&mut file, frames)?;
    let rewards = read_rewards(&mut file, &ranges)?;
    Ok(FileSummary {
        episodes: ranges.len(),
        frames,
        reward: rewards.into_iter().map(f64::from).sum(),
        bytes: bytes.len(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Episode;

    #[test]
    fn damaged_files_are_listed_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let episode = Episode {
            height: 1,
            width: 1,
            images: vec![0; 9],
            actions: vec![0, 1, 1],
            rewards: vec![0.0, 1.0, -3.0],
            extras: BTreeMap::new(),
        };
        episode.write(&folder.path().join("a.npz")).unwrap();
        std::fs::write(folder.path().join("b.npz"), b"PK").unwrap();
        let listed = list(folder.path()).unwrap();
        let good = listed[0].content.clone().unwrap();
        assert_eq!((good.episodes, good.frames, good.reward), (1, 3, -2.0));
        assert_eq!(listed[1].file, "b.npz");
        assert!(listed[1].content.as_ref().unwrap_err().contains("b.npz"));
        assert!(list(&folder.path().join("none")).is_err());
    }
}
