//! What an import wrote, also as its `manifest.json`.

use serde::Serialize;

use super::{Format, Options, Pairing};
use crate::ActionSpec;
use crate::Episode;
use crate::PathError as _;
use crate::{Error, Result};

/// What an import wrote; also its `manifest.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The program's version.
    pub driftless: &'static str,
    /// The source's format.
    pub from: Format,
    /// The source's file name.
    pub source: String,
    /// Which frame the source's actions belong to.
    pub pairing: Pairing,
    /// One frame of so many was kept.
    pub every: usize,
    /// Frames a second, as written.
    pub fps: f32,
    /// Frames, as written.
    pub frames: usize,
    /// How often each action led to a frame.
    pub actions: Vec<Count>,
    /// The episodes, in the order of their files.
    pub episodes: Vec<Written>,
    /// Why episodes were left out.
    pub skipped: Vec<String>,
}

/// An episode that an import wrote.
#[derive(Clone, Debug, Serialize)]
pub struct Written {
    /// The file's name in the dataset's folder.
    pub file: String,
    /// What the source calls the episode.
    pub source: String,
    /// Frames, as written.
    pub frames: usize,
}

/// How often an action led to a frame.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Count {
    /// The action's name.
    pub name: String,
    /// Frames, as written.
    pub frames: usize,
}

impl Report {
    /// Nothing written yet, of a source at `fps` frames a second.
    ///
    /// # Errors
    /// The working folder is gone, and with it the source's name.
    pub(super) fn new(options: &Options, pairing: Pairing, fps: f32, every: usize) -> Result<Self> {
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

    /// Counts an episode that the source calls `source`; the name of its file.
    pub(super) fn add(&mut self, source: &str, episode: &Episode) -> String {
        for &action in episode.actions.iter().skip(1) {
            let action = action as usize;
            let known = self.actions.len().max(action + 1);
            self.actions.resize(known, Count::default());
            self.actions[action].frames += 1;
        }
        let file = format!("episode_{:05}.npz", self.episodes.len());
        self.frames += episode.frames();
        self.episodes.push(Written {
            file: file.clone(),
            source: source.to_string(),
            frames: episode.frames(),
        });
        file
    }

    /// Says which actions the counts are of.
    pub(super) fn name_actions(&mut self, actions: &[ActionSpec]) {
        self.actions.resize(actions.len(), Count::default());
        for (count, action) in self.actions.iter_mut().zip(actions) {
            count.name.clone_from(&action.name);
        }
    }
}
