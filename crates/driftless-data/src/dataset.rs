//! A dataset: a folder of episodes of one world, and the `dataset.json` that describes them.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Episode;
use crate::ActionSpec;
use crate::PathError as _;
use crate::{Error, Result};

/// `dataset.json`: what all episodes of the folder have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// The world's name as shown to the player.
    pub name: String,
    /// Frames a second at which the real world ran.
    pub fps: f32,
    /// Frame height and width in pixels.
    pub image: [usize; 2],
    /// The discrete actions; index 0 is the idle action.
    pub actions: Vec<ActionSpec>,
}

impl DatasetInfo {
    /// Reads and checks the `dataset.json` of `folder`.
    ///
    /// # Errors
    /// The file is missing or not JSON, or a value is out of range.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("dataset.json");
        let text = std::fs::read_to_string(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound if folder.is_dir() => Error::invalid(
                folder,
                "dataset.json is missing; expected a folder with it and episodes (*.npz)",
            ),
            _ => Error::io(&path, e),
        })?;
        let info: Self =
            serde_json::from_str(&text).map_err(|e| Error::invalid(&path, e.to_string()))?;
        info.check().map_err(|what| Error::invalid(&path, what))?;
        Ok(info)
    }

    /// What is wrong with the values, if anything.
    fn check(&self) -> std::result::Result<(), String> {
        if !(self.fps > 0.0 && self.fps <= 1000.0) {
            return Err(format!(
                "fps is {}, expected above 0, at most 1000",
                self.fps
            ));
        }
        if self.image.contains(&0) {
            return Err(format!(
                "image is {:?}, expected [height, width]",
                self.image
            ));
        }
        if self.actions.is_empty() {
            return Err("actions is empty, expected at least the idle action".into());
        }
        Ok(())
    }

    /// Whether an episode, read from `path`, is one of this dataset.
    pub(super) fn fits(&self, path: &Path, episode: &Episode) -> Result<()> {
        let [height, width] = self.image;
        if [episode.height, episode.width] != self.image {
            return Err(Error::invalid(
                path,
                format!(
                    "array `image`: frames are {}×{}, dataset.json says {height}×{width} (height×width)",
                    episode.height, episode.width
                ),
            ));
        }
        let known = self.actions.len();
        let wrong = |&(_, &action): &(usize, &u32)| action as usize >= known;
        match episode.actions.iter().enumerate().find(wrong) {
            None => Ok(()),
            Some((t, action)) => Err(Error::invalid(
                path,
                format!(
                    "array `action`: {action} at frame {t}, dataset.json names {known} actions (0 to {})",
                    known - 1
                ),
            )),
        }
    }
}

/// A dataset in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// What `dataset.json` says.
    pub info: DatasetInfo,
    /// The episodes, in the order of [`Dataset::files`].
    pub episodes: Vec<Episode>,
    /// The episodes' files, sorted by name.
    pub files: Vec<PathBuf>,
}

impl Dataset {
    /// Reads `dataset.json` and every `*.npz` of a folder.
    ///
    /// # Errors
    /// The folder, `dataset.json` or every episode is missing; an episode cannot be read, its
    /// frames have another size, or it holds an action that `dataset.json` does not name.
    pub fn read(folder: &Path) -> Result<Self> {
        let info = DatasetInfo::read(folder)?;
        let files = episode_files(folder)?;
        let episodes = files
            .par_iter()
            .map(|path| read_fitting(path, &info))
            .collect::<Result<_>>()?;
        Ok(Self {
            info,
            episodes,
            files,
        })
    }

    /// Hands over every episode of a folder, or what is wrong with it, in the order of their names; a
    /// few are in memory at a time. Frames and actions must be those of `info`.
    ///
    /// # Errors
    /// The folder is missing or holds no episodes, or `take` failed.
    pub fn each(
        folder: &Path,
        info: &DatasetInfo,
        mut take: impl FnMut(Result<Episode>) -> Result<()>,
    ) -> Result<()> {
        for files in episode_files(folder)?.chunks(2 * rayon::current_num_threads()) {
            let read: Vec<Result<Episode>> = files
                .par_iter()
                .map(|path| read_fitting(path, info))
                .collect();
            read.into_iter().try_for_each(&mut take)?;
        }
        Ok(())
    }
}

fn read_fitting(path: &Path, info: &DatasetInfo) -> Result<Episode> {
    let episode = Episode::read(path)?;
    info.fits(path, &episode)?;
    Ok(episode)
}

/// Every `*.npz` of a folder, sorted by name.
pub(super) fn episode_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        if path.extension().is_some_and(|extension| extension == "npz") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Error::invalid(
            folder,
            "holds no episodes, expected at least one *.npz file",
        ));
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::npz::Writer;

    const INFO: &str = r#"{"name": "Tiny", "fps": 15.0, "image": [2, 4],
        "actions": [{"name": "noop", "keys": []}, {"name": "up", "keys": ["W"]}]}"#;

    fn episode(height: usize, width: usize, actions: &[u32]) -> Episode {
        let frames = actions.len();
        Episode {
            height,
            width,
            images: vec![7; frames * height * width * 3],
            actions: actions.to_vec(),
            rewards: vec![0.0; frames],
            extras: Default::default(),
        }
    }

    fn folder(json: Option<&str>, episodes: &[(&str, Episode)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        if let Some(json) = json {
            std::fs::write(folder.path().join("dataset.json"), json).unwrap();
        }
        for (name, episode) in episodes {
            episode.write(&folder.path().join(name)).unwrap();
        }
        folder
    }

    fn complaint(folder: &tempfile::TempDir) -> String {
        let text = Dataset::read(folder.path()).unwrap_err().to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    }

    #[test]
    fn episodes_come_sorted_by_name_and_other_files_are_ignored() {
        let folder = folder(
            Some(INFO),
            &[
                ("b.npz", episode(2, 4, &[0, 1])),
                ("a.npz", episode(2, 4, &[0, 0, 1])),
            ],
        );
        std::fs::write(folder.path().join("manifest.json"), "{}").unwrap();
        let dataset = Dataset::read(folder.path()).unwrap();
        assert_eq!(dataset.info.name, "Tiny");
        assert_eq!(dataset.info.actions[1].keys, ["W"]);
        let lengths: Vec<usize> = dataset.episodes.iter().map(Episode::frames).collect();
        assert_eq!(lengths, [3, 2]);
        assert!(dataset.files[0].ends_with("a.npz"));
    }

    #[test]
    fn the_shipped_episodes_are_a_dataset() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/pong");
        let dataset = Dataset::read(&folder).unwrap();
        assert_eq!(dataset.info.image, [64, 64]);
        assert_eq!(dataset.episodes.len(), 2);
        for episode in &dataset.episodes {
            assert_eq!(episode.actions[0], 0);
            assert_eq!(episode.extras["ball"].shape, [episode.frames(), 2]);
            assert_eq!(episode.extras["player_y"].shape, [episode.frames()]);
        }
    }

    #[test]
    fn a_folder_without_dataset_json_is_named() {
        let text = complaint(&folder(None, &[("a.npz", episode(2, 4, &[0]))]));
        assert!(text.contains("dataset.json is missing"), "{text}");
    }

    #[test]
    fn a_folder_without_episodes_is_named() {
        let text = complaint(&folder(Some(INFO), &[]));
        assert!(text.contains("holds no episodes"), "{text}");
    }

    #[test]
    fn a_missing_folder_is_an_io_error() {
        let error = Dataset::read(Path::new("no/such/folder")).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }

    #[test]
    fn a_broken_dataset_json_names_file_and_key() {
        let cases = [
            ("{", "dataset.json: EOF"),
            (r#"{"name": "a"}"#, "missing field `fps`"),
            (&INFO.replace("15.0", "0"), "fps is 0"),
            (&INFO.replace("[2, 4]", "[0, 4]"), "image is [0, 4]"),
        ];
        for (json, expected) in cases {
            let text = complaint(&folder(Some(json), &[("a.npz", episode(2, 4, &[0]))]));
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn frames_of_another_size_are_named() {
        let episodes = [
            ("a.npz", episode(2, 4, &[0])),
            ("b.npz", episode(4, 2, &[0])),
        ];
        let text = complaint(&folder(Some(INFO), &episodes));
        assert!(
            text.contains("b.npz: array `image`: frames are 4×2"),
            "{text}"
        );
        assert!(text.contains("says 2×4"), "{text}");
    }

    #[test]
    fn an_unknown_action_is_named_with_its_frame() {
        let text = complaint(&folder(Some(INFO), &[("a.npz", episode(2, 4, &[0, 1, 2]))]));
        assert!(
            text.contains("a.npz: array `action`: 2 at frame 2"),
            "{text}"
        );
        assert!(text.contains("names 2 actions (0 to 1)"), "{text}");
    }

    #[test]
    fn one_broken_episode_among_good_ones_is_named_and_the_others_are_handed_over() {
        let folder = folder(Some(INFO), &[("a.npz", episode(2, 4, &[0]))]);
        let mut file = Writer::new(&folder.path().join("b.npz"));
        file.add("image", &[1, 2, 4, 3], &[0_u8; 24]).unwrap();
        file.save().unwrap();
        let text = complaint(&folder);
        assert!(text.contains("b.npz: array `action`: missing"), "{text}");
        let info = DatasetInfo::read(folder.path()).unwrap();
        let mut seen = Vec::new();
        Dataset::each(folder.path(), &info, |one| {
            seen.push(one.map(|e| e.frames()).map_err(|e| e.to_string()));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [Ok(1), Err(text)]);
    }
}
