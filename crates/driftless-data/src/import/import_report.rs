//! The result of an import, also written as `manifest.json`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ActionPairing, ImportFormat, ImportOptions};
use crate::layout::dataset;
use crate::{ActionSpec, AxisSpec, Episode, Error, PathError as _, Result};

/// Images whose pixels all stay below this are remarked on.
const DARK: u8 = 32;

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
    /// What was guessed or looks wrong, one sentence each.
    pub remarks: Vec<String>,
    /// Remarks on episodes, each with the episode that it was first made on, and how often it was made.
    #[serde(skip)]
    episode_remarks: BTreeMap<String, (String, usize)>,
    /// The brightest value of any pixel so far.
    #[serde(skip)]
    brightest: u8,
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
            remarks: Vec::new(),
            episode_remarks: BTreeMap::new(),
            brightest: 0,
        })
    }

    /// Adds an episode named `source`, with remarks on it; returns the name of the file to write it to.
    pub(super) fn add(&mut self, source: &str, episode: &Episode, remarks: Vec<String>) -> String {
        let single = (episode.frames() == 1).then(|| "it has one frame only".to_owned());
        for remark in remarks.into_iter().chain(single) {
            let first = || (source.to_string(), 0);
            self.episode_remarks.entry(remark).or_insert_with(first).1 += 1;
        }
        let brightest = episode.images.iter().copied().max().unwrap_or(0);
        self.brightest = self.brightest.max(brightest);
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

    /// Draws up the remarks, once all episodes have been added and the actions are named;
    /// `decimals` tells that whole numbers written as decimals were taken as actions.
    pub(super) fn add_remarks(&mut self, actions: &[ActionSpec], decimals: bool) {
        for (remark, (episode, count)) in &self.episode_remarks {
            let others = match count {
                1 => String::new(),
                2 => " (and another episode)".to_owned(),
                count => format!(" (and {} more episodes)", count - 1),
            };
            self.remarks.push(format!("{episode}{others}: {remark}"));
        }
        if decimals {
            let what = "actions are whole numbers written as decimals, and were taken as the numbers of actions";
            self.remarks.push(what.into());
        }
        let occurs = |(action, count): &(&ActionSpec, &ActionCount)| {
            count.frames > 0 && action.keys.is_empty()
        };
        let without_keys: Vec<String> = actions
            .iter()
            .zip(&self.actions)
            .skip(1)
            .filter(occurs)
            .map(|(action, _)| format!("`{}`", action.name))
            .collect();
        if !without_keys.is_empty() {
            self.remarks.push(format!(
                "no key plays the actions {}; give them keys in dataset.json, or with --actions FILE",
                without_keys.join(", ")
            ));
        }
        if let [idle, others @ ..] = self.actions.as_slice()
            && idle.frames == 0
            && others.iter().any(|count| count.frames > 0)
        {
            self.remarks.push(format!(
                "`{}` is taken for the idle action, which is played while no key is held, and never occurs; \
                 name another with --actions FILE",
                idle.name
            ));
        }
        if let [_, others @ ..] = self.actions.as_slice()
            && !others.is_empty()
            && others.iter().all(|count| count.frames == 0)
        {
            self.remarks
                .push("no action but the idle one ever occurs".into());
        }
        if self.brightest < DARK {
            self.remarks.push(format!(
                "no value of any pixel is above {} of 255: are these images, not codes or floats?",
                self.brightest
            ));
        }
    }

    /// Says what became of continuous actions.
    pub(super) fn add_axes(&mut self, axes: &[AxisSpec]) {
        let axis = |axis: &AxisSpec| {
            let [low, high] = axis.range;
            format!("`{}` ({low} to {high})", axis.name)
        };
        let axes: Vec<String> = axes.iter().map(axis).collect();
        let what = format!("continuous actions became the axes {}", axes.join(", "));
        self.remarks.push(what);
    }

    /// Sets the names of the counted actions.
    pub(super) fn name_actions(&mut self, actions: &[ActionSpec]) {
        self.actions.resize(actions.len(), ActionCount::default());
        for (count, action) in self.actions.iter_mut().zip(actions) {
            count.name.clone_from(&action.name);
        }
    }
}
