//! The result of an import, also written as `manifest.json`.

use serde::Serialize;

use super::{ActionPairing, ImportFormat, ImportOptions};
use crate::layout::dataset;
use crate::{ActionSpec, Episode, Error, PathError as _, Result};

/// The result of an import, and the contents of its `manifest.json`.
#[derive(Clone, Debug, Serialize)]
pub struct ImportReport {
    /// Version of the program.
    pub driftless: &'static str,
    /// The source's format.
    pub from: ImportFormat,
    /// The source's file name.
    pub source: String,
    /// How the source's actions pair with its frames.
    pub pairing: ActionPairing,
    /// Every n-th frame was kept.
    pub every: usize,
    /// Frame rate of the dataset.
    pub fps: f32,
    /// Total number of frames written.
    pub frames: usize,
    /// Number of frames that each action led to.
    pub actions: Vec<ActionCount>,
    /// The episodes, in the order of their files.
    pub episodes: Vec<ImportedEpisode>,
    /// The errors of skipped episodes.
    pub skipped: Vec<String>,
}

/// An episode written by an import.
#[derive(Clone, Debug, Serialize)]
pub struct ImportedEpisode {
    /// File name in the dataset's folder.
    pub file: String,
    /// Name of the episode in the source.
    pub source: String,
    /// Frames, as written.
    pub frames: usize,
}

/// Number of frames that an action led to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ActionCount {
    /// Name of the action.
    pub name: String,
    /// Frames, as written.
    pub frames: usize,
}

impl ImportReport {
    /// An empty report for a source at `fps` frames per second.
    ///
    /// # Errors
    /// Returns an error if the source's path cannot be made absolute.
    pub(super) fn new(
        options: &ImportOptions,
        pairing: ActionPairing,
        fps: f32,
        every: usize,
    ) -> Result<Self> {
        let path = &options.source;
        let path = std::path::absolute(path).map_err(|e| Error::io(path, e))?;
        let name = path.file_stem().unwrap_or_default();
        Ok(Self {
            driftless: env!("CARGO_PKG_VERSION"),
            from: options.format,
            source: name.to_string_lossy().into_owned(),
            pairing: options.pairing.unwrap_or(pairing),
            every,
            fps: fps / every as f32,
            frames: 0,
            actions: Vec::new(),
            episodes: Vec::new(),
            skipped: Vec::new(),
        })
    }

    /// Adds an episode named `source`; returns the name of the file to write it to.
    pub(super) fn add(&mut self, source: &str, episode: &Episode) -> String {
        for &action in episode.actions.iter().skip(1) {
            let action = action as usize;
            let count = self.actions.len().max(action + 1);
            self.actions.resize(count, ActionCount::default());
            self.actions[action].frames += 1;
        }
        let file = dataset::episode(self.episodes.len());
        self.frames += episode.frames();
        self.episodes.push(ImportedEpisode {
            file: file.clone(),
            source: source.to_string(),
            frames: episode.frames(),
        });
        file
    }

    /// Sets the names of the counted actions.
    pub(super) fn name_actions(&mut self, actions: &[ActionSpec]) {
        self.actions.resize(actions.len(), ActionCount::default());
        for (count, action) in self.actions.iter_mut().zip(actions) {
            count.name.clone_from(&action.name);
        }
    }
}
