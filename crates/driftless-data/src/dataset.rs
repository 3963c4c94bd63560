//! A dataset: a folder of episodes of one world with a `dataset.json` that describes them.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Episode;
use crate::fs::read_text;
use crate::layout::array::{ACTION, AXES, IMAGE};
use crate::layout::{EPISODE_EXTENSION, dataset, is_episode, is_hidden};
use crate::{ActionSpec, AxisSpec, Error, PathError as _, Result, check_axes, parallel};

/// The contents of `dataset.json`: what all episodes of the folder have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// The world's name as shown to the player.
    pub name: String,
    /// Frame rate of the recorded world in frames per second.
    pub fps: f32,
    /// Frame height and width in pixels.
    pub image: [usize; 2],
    /// The discrete actions; index 0 is the idle action.
    pub actions: Vec<ActionSpec>,
    /// The axes, which move while any action is played; their values are the array
    /// [`AXES`] of each episode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub axes: Vec<AxisSpec>,
}

impl DatasetInfo {
    /// Reads and checks the `dataset.json` of `folder`.
    ///
    /// # Errors
    /// Returns an error if the file is missing or not valid JSON, or a value is out of range.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(dataset::INFO);
        if folder.is_dir() && !path.exists() {
            let what = format!(
                "{} is missing; expected a folder with it and episodes (*.{EPISODE_EXTENSION})",
                dataset::INFO
            );
            return Err(Error::invalid(folder, what));
        }
        let text = read_text(&path)?;
        let info: Self =
            serde_json::from_str(&text).map_err(|e| Error::invalid(&path, e.to_string()))?;
        info.check().map_err(|what| Error::invalid(&path, what))?;
        Ok(info)
    }

    /// Checks the ranges of the values.
    ///
    /// # Errors
    /// Returns what is wrong with the first that is out of its range.
    pub fn check(&self) -> std::result::Result<(), String> {
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
        check_axes(&self.axes)
    }

    /// Bytes of a frame, u8 RGB; of frames that no memory can hold, the largest number.
    pub fn frame_bytes(&self) -> u64 {
        let [height, width] = self.image.map(|side| side as u64);
        height.saturating_mul(width).saturating_mul(3)
    }

    /// Checks that an episode, read from `path`, has this dataset's frame size, actions and axes.
    ///
    /// # Errors
    /// Returns an error that names the file and the array if it has others.
    pub fn check_episode(&self, path: &Path, episode: &Episode) -> Result<()> {
        let [height, width] = self.image;
        if [episode.height, episode.width] != self.image {
            return Err(Error::invalid(
                path,
                format!(
                    "array `{IMAGE}`: frames are {}×{}, {} has {height}×{width} (height×width)",
                    episode.height,
                    episode.width,
                    dataset::INFO
                ),
            ));
        }
        let count = self.actions.len();
        let mut actions = episode.actions.iter().enumerate();
        match actions.find(|&(_, &action)| action as usize >= count) {
            None => self.check_axes_of(path, episode),
            Some((t, action)) => Err(Error::invalid(
                path,
                format!(
                    "array `{ACTION}`: {action} at frame {t}, {} has {count} actions (0 to {})",
                    dataset::INFO,
                    count - 1
                ),
            )),
        }
    }

    /// Checks that an episode has this dataset's axes. One without any has them at rest.
    fn check_axes_of(&self, path: &Path, episode: &Episode) -> Result<()> {
        let Some(extra) = episode.extras.get(AXES) else {
            return Ok(());
        };
        let error = |what: String| Err(Error::invalid(path, format!("array `{AXES}`: {what}")));
        let [count, frames] = [self.axes.len(), episode.frames()];
        if episode.axes(count).is_none() {
            return error(format!(
                "shape is {:?}, expected [{frames}, {count}] as in {}",
                extra.shape,
                dataset::INFO
            ));
        }
        let outside = |value: &f32| !(-1.0..=1.0).contains(value);
        match extra.values.iter().position(outside) {
            None => Ok(()),
            Some(at) => error(format!(
                "{} at frame {}, expected -1 to 1",
                extra.values[at],
                at / count.max(1)
            )),
        }
    }
}

/// A dataset in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The contents of `dataset.json`.
    pub info: DatasetInfo,
    /// The episodes, in the order of [`Dataset::files`].
    pub episodes: Vec<Episode>,
    /// The episodes' files, sorted by name; one that holds several episodes comes as often.
    pub files: Vec<PathBuf>,
}

impl Dataset {
    /// Reads `dataset.json` and every `*.npz` of a folder.
    ///
    /// # Errors
    /// Returns an error if the folder or `dataset.json` is missing, the folder has no episodes, or
    /// an episode cannot be read or does not match `dataset.json` in frame size or actions.
    pub fn read(folder: &Path) -> Result<Self> {
        let info = DatasetInfo::read(folder)?;
        let files = episode_files(folder)?;
        let read = |_: usize, path: &PathBuf| -> Result<Vec<_>> {
            let episodes = read_episodes(path, &info)?.into_iter();
            Ok(episodes.map(|one| (path.clone(), one)).collect())
        };
        let read = parallel::try_map(&files, read)?;
        let (files, episodes) = read.into_iter().flatten().unzip();
        Ok(Self {
            info,
            episodes,
            files,
        })
    }

    /// Calls `visit` with every episode of a folder and its file, sorted by name, or with the error of
    /// reading the file, until it breaks off. Frame size and actions must match `info`. Only a few
    /// episodes are in memory at a time.
    ///
    /// # Errors
    /// Returns an error if the folder is missing or has no episodes, or if `visit` returns one.
    pub fn for_each_episode(
        folder: &Path,
        info: &DatasetInfo,
        mut visit: impl FnMut(&Path, Result<Episode>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        for files in episode_files(folder)?.chunks(2 * rayon::current_num_threads()) {
            let read: Vec<Result<Vec<Episode>>> = files
                .par_iter()
                .map(|path| read_episodes(path, info))
                .collect();
            for (path, episodes) in files.iter().zip(read) {
                let episodes: Vec<Result<Episode>> = match episodes {
                    Ok(episodes) => episodes.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(error)],
                };
                for episode in episodes {
                    if visit(path, episode)?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

/// Reads the episodes of a file and checks them against `info`.
pub(super) fn read_episodes(path: &Path, info: &DatasetInfo) -> Result<Vec<Episode>> {
    let episodes = Episode::read_all(path)?;
    for episode in &episodes {
        info.check_episode(path, episode)?;
    }
    Ok(episodes)
}

/// The `*.npz` files of a folder, sorted by name.
///
/// # Errors
/// Returns an error if the folder cannot be read or has none.
pub fn episode_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        if is_episode(&path) && !is_hidden(&path) {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Error::invalid(
            folder,
            format!("holds no episodes, expected at least one *.{EPISODE_EXTENSION} file"),
        ));
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::npz::NpzWriter;

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

    fn error_text(folder: &tempfile::TempDir) -> String {
        let text = Dataset::read(folder.path()).unwrap_err().to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    }

    #[test]
    fn reads_npz_files_sorted_by_name() {
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
    fn reads_the_shipped_dataset() {
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
    fn missing_dataset_json_is_reported() {
        let text = error_text(&folder(None, &[("a.npz", episode(2, 4, &[0]))]));
        assert!(text.contains("dataset.json is missing"), "{text}");
    }

    #[test]
    fn folder_without_episodes_is_rejected() {
        let text = error_text(&folder(Some(INFO), &[]));
        assert!(text.contains("holds no episodes"), "{text}");
    }

    #[test]
    fn missing_folder_is_an_io_error() {
        let error = Dataset::read(Path::new("no/such/folder")).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }

    #[test]
    fn bad_dataset_json_is_reported() {
        let cases = [
            ("{", "dataset.json: EOF"),
            (r#"{"name": "a"}"#, "missing field `fps`"),
            (&INFO.replace("15.0", "0"), "fps is 0"),
            (&INFO.replace("[2, 4]", "[0, 4]"), "image is [0, 4]"),
        ];
        for (json, expected) in cases {
            let text = error_text(&folder(Some(json), &[("a.npz", episode(2, 4, &[0]))]));
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn wrong_frame_size_is_reported() {
        let episodes = [
            ("a.npz", episode(2, 4, &[0])),
            ("b.npz", episode(4, 2, &[0])),
        ];
        let text = error_text(&folder(Some(INFO), &episodes));
        assert!(
            text.contains("b.npz: array `image`: frames are 4×2"),
            "{text}"
        );
        assert!(text.contains("has 2×4"), "{text}");
    }

    #[test]
    fn unknown_action_is_reported() {
        let text = error_text(&folder(Some(INFO), &[("a.npz", episode(2, 4, &[0, 1, 2]))]));
        assert!(
            text.contains("a.npz: array `action`: 2 at frame 2"),
            "{text}"
        );
        assert!(text.contains("has 2 actions (0 to 1)"), "{text}");
    }

    #[test]
    fn each_passes_on_errors() {
        let folder = folder(Some(INFO), &[("a.npz", episode(2, 4, &[0]))]);
        let mut file = NpzWriter::new(&folder.path().join("b.npz"));
        file.add("image", &[1, 2, 4, 3], &[0_u8; 24]).unwrap();
        file.save().unwrap();
        let text = error_text(&folder);
        assert!(text.contains("b.npz: array `action`: missing"), "{text}");
        let info = DatasetInfo::read(folder.path()).unwrap();
        let mut seen = Vec::new();
        Dataset::for_each_episode(folder.path(), &info, |_, one| {
            seen.push(one.map(|e| e.frames()).map_err(|e| e.to_string()));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        assert_eq!(seen, [Ok(1), Err(text)]);
        let mut seen = 0;
        Dataset::for_each_episode(folder.path(), &info, |_, _| {
            seen += 1;
            Ok(ControlFlow::Break(()))
        })
        .unwrap();
        assert_eq!(seen, 1);
    }
}
