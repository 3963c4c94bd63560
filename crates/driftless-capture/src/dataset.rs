//! Makes the dataset of a capture from its journal.

use std::collections::BTreeMap;
use std::path::Path;

use driftless_data::fs::{write_atomic, write_json};
use driftless_data::import::ActionCount;
use driftless_data::journal::JournalReader;
use driftless_data::layout::{array, dataset};
use driftless_data::staging::StagingFolder;
use driftless_data::{DatasetInfo, Episode, ExtraArray, PathError as _};
use serde::Serialize;

use crate::actions::{ActionFinder, FoundAction};
use crate::clock::Lateness;
use crate::remarks;
use crate::tape::{self, Cut, Entry, TapeFrame, TapeHeader};
use crate::{Error, KeySet, Result};

/// The version of `manifest.json`.
const MANIFEST_VERSION: u32 = 1;
/// Frames of the shortest episode: one action needs the frames before and after it.
pub const MIN_FRAMES: usize = 2;
/// The map from keys to actions in the dataset's folder, for a further capture with the same actions.
pub const ACTIONS_FILE: &str = "actions.toml";

/// An episode of a capture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CapturedEpisode {
    /// File name.
    pub file: String,
    /// Frames.
    pub frames: usize,
    /// Why it begins.
    pub cut: Cut,
}

/// What was captured, and how: also the contents of `manifest.json`.
#[derive(Clone, Debug, Serialize)]
pub struct CaptureReport {
    /// Version of this report.
    pub version: u32,
    /// Version of the program.
    pub driftless: &'static str,
    /// Title of the window.
    pub window: String,
    /// The recorded keys.
    pub keys: Vec<String>,
    /// Whether the mouse's motion was recorded.
    pub mouse: bool,
    /// Frames per second.
    pub fps: f32,
    /// Frames written.
    pub frames: usize,
    /// Frames that were not taken in their time.
    pub lost_frames: usize,
    /// How late the frames were, in milliseconds.
    pub lateness_ms: Lateness,
    /// Number of frames that each action led to.
    pub actions: Vec<ActionCount>,
    /// The episodes, in the order of their files.
    pub episodes: Vec<CapturedEpisode>,
    /// What looks wrong, one sentence each.
    pub remarks: Vec<String>,
}

/// Writes the dataset of a capture to `out`, a new or empty folder, completely or not at all. The journal stays.
/// `watch` is told how many frames of how many are done.
///
/// # Errors
/// Returns an error if the journal is damaged or has no episode of two frames ([`driftless_data::Error::Empty`]), or if
/// `out` is not empty or cannot be written.
pub fn write_dataset(
    journal: &mut JournalReader,
    out: &Path,
    watch: &mut dyn FnMut(usize, usize),
) -> Result<CaptureReport> {
    let contents = Contents::read(journal)?;
    if contents.episodes == 0 {
        let what =
            "nothing was captured: expected at least two frames in a row, with the window in focus";
        return Err(driftless_data::Error::Empty(what.into()).into());
    }
    let TapeHeader { actions, keys, .. } = &contents.header;
    let finder = ActionFinder::new(actions.as_deref(), keys, &contents.occurred)?;
    let staging = StagingFolder::new(out)?;
    let mut writer = Writer::new(&contents.header, finder, staging.path());
    let mut done = 0;
    contents.header.for_each_entry(journal, &mut |entry| {
        done += usize::from(matches!(entry, Entry::Frame(_)));
        watch(done, contents.frames);
        writer.add(entry)
    })?;
    let report = writer.finish(&contents)?;
    staging.finish()?;
    Ok(report)
}

/// What has to be known before the first episode is written.
struct Contents {
    header: TapeHeader,
    /// Frames in the journal.
    frames: usize,
    lost: usize,
    /// Episodes that are long enough.
    episodes: usize,
    /// The combinations of keys that led to frames, with their numbers.
    occurred: BTreeMap<KeySet, usize>,
    late: Vec<f32>,
}

impl Contents {
    fn read(journal: &mut JournalReader) -> Result<Self> {
        journal.rewind()?;
        let header = tape::read_header(journal)?.ok_or_else(|| {
            let what = "is not the journal of a capture";
            driftless_data::Error::invalid(journal.path(), what)
        })?;
        let mut contents = Self {
            header,
            frames: 0,
            lost: 0,
            episodes: 0,
            occurred: BTreeMap::new(),
            late: Vec::new(),
        };
        let header = contents.header.clone();
        let mut in_episode = 0;
        header.for_each_entry(journal, &mut |entry| {
            match entry {
                Entry::Episode { lost, .. } => {
                    contents.lost += lost as usize;
                    in_episode = 0;
                }
                Entry::Frame(frame) => {
                    in_episode += 1;
                    contents.frames += 1;
                    contents.late.push(frame.late);
                    contents.episodes += usize::from(in_episode == MIN_FRAMES);
                    if in_episode > 1 {
                        *contents.occurred.entry(frame.held).or_default() += 1;
                    }
                }
            }
            Ok(())
        })?;
        Ok(contents)
    }
}

impl TapeHeader {
    /// Calls `visit` with every record after the header.
    fn for_each_entry(
        &self,
        journal: &mut JournalReader,
        visit: &mut dyn FnMut(Entry) -> Result<()>,
    ) -> Result<()> {
        journal.rewind()?;
        let path = journal.path().to_path_buf();
        for record in journal.skip(1) {
            visit(tape::read_entry(&path, &record, self)?)?;
        }
        Ok(())
    }
}

/// Collects the frames of an episode and writes it when the next begins.
struct Writer<'a> {
    header: &'a TapeHeader,
    finder: ActionFinder,
    folder: &'a Path,
    frames: Vec<TapeFrame>,
    cut: Cut,
    /// Frames under each action, without those that begin an episode.
    counts: Vec<usize>,
    /// Combinations of keys for which there is no action, with their numbers of frames.
    unknown: BTreeMap<KeySet, usize>,
    episodes: Vec<CapturedEpisode>,
}

impl<'a> Writer<'a> {
    fn new(header: &'a TapeHeader, finder: ActionFinder, folder: &'a Path) -> Self {
        Self {
            header,
            folder,
            frames: Vec::new(),
            cut: Cut::Start,
            counts: vec![0; finder.map().actions().len()],
            unknown: BTreeMap::new(),
            episodes: Vec::new(),
            finder,
        }
    }

    fn add(&mut self, entry: Entry) -> Result<()> {
        match entry {
            Entry::Frame(frame) => self.frames.push(frame),
            Entry::Episode { cut, .. } => {
                self.write_episode()?;
                self.cut = cut;
            }
        }
        Ok(())
    }

    fn write_episode(&mut self) -> Result<()> {
        let frames = std::mem::take(&mut self.frames);
        if frames.len() < MIN_FRAMES {
            return Ok(());
        }
        let mut actions = vec![0];
        for frame in &frames[1..] {
            let FoundAction { action, unknown } = self.finder.action(frame.held, frame.mouse)?;
            if unknown {
                *self.unknown.entry(frame.held).or_default() += 1;
            }
            if let Some(count) = self.counts.get_mut(action as usize) {
                *count += 1;
            }
            actions.push(action);
        }
        let [height, width] = self.header.size;
        let file = dataset::episode(self.episodes.len());
        let extras = [
            (
                array::TIME,
                per_frame(&frames, 1, |frame| {
                    vec![(frame.time - frames[0].time) as f32]
                }),
            ),
            (array::INPUT, self.inputs(&frames)),
        ];
        let episode = Episode {
            height,
            width,
            images: frames
                .iter()
                .flat_map(|frame| frame.image.iter().copied())
                .collect(),
            actions,
            rewards: vec![0.0; frames.len()],
            extras: extras.map(|(name, extra)| (name.to_owned(), extra)).into(),
        };
        episode.write(&self.folder.join(&file))?;
        self.episodes.push(CapturedEpisode {
            file,
            frames: frames.len(),
            cut: self.cut,
        });
        Ok(())
    }

    /// 1 for each key that was held in a frame, and the motion of the mouse if it was recorded.
    fn inputs(&self, frames: &[TapeFrame]) -> ExtraArray {
        let keys = self.header.keys.len();
        let mouse = if self.header.mouse { 2 } else { 0 };
        per_frame(frames, keys + mouse, |frame| {
            let held = (0..keys).map(|i| f32::from(u8::from(frame.held.contains(i))));
            held.chain(frame.mouse.into_iter().take(mouse)).collect()
        })
    }

    fn finish(mut self, contents: &Contents) -> Result<CaptureReport> {
        self.write_episode()?;
        let actions = self.finder.map().actions();
        let mut remarks = remarks::of_keys(&self.header.keys, &contents.occurred);
        let idle = actions.first().map_or("noop", |idle| idle.name.as_str());
        remarks.extend(remarks::of_unknown(&self.unknown, &self.header.keys, idle));
        remarks.extend(remarks::of_lost(contents.lost));
        let counts = actions.iter().zip(&self.counts);
        let counts = counts.map(|(action, &frames)| ActionCount {
            name: action.name.clone(),
            frames,
        });
        let report = CaptureReport {
            version: MANIFEST_VERSION,
            driftless: env!("CARGO_PKG_VERSION"),
            window: self.header.window.clone(),
            keys: self
                .header
                .keys
                .iter()
                .map(|key| key.name.clone())
                .collect(),
            mouse: self.header.mouse,
            fps: self.header.fps,
            frames: self.episodes.iter().map(|episode| episode.frames).sum(),
            lost_frames: contents.lost,
            lateness_ms: Lateness::of(contents.late.clone()),
            actions: counts.collect(),
            episodes: self.episodes,
            remarks,
        };
        let info = DatasetInfo {
            name: self.header.name.clone(),
            fps: self.header.fps,
            image: self.header.size,
            actions,
            axes: Vec::new(),
        };
        let map = self.finder.map().to_toml()?;
        write_atomic(&self.folder.join(ACTIONS_FILE), map.as_bytes())?;
        write_json(&self.folder.join(dataset::MANIFEST), &report)?;
        write_json(&self.folder.join(dataset::INFO), &info)?;
        Ok(report)
    }
}

/// An array with `width` numbers a frame.
fn per_frame(
    frames: &[TapeFrame],
    width: usize,
    values: impl Fn(&TapeFrame) -> Vec<f32>,
) -> ExtraArray {
    let shape = match width {
        1 => vec![frames.len()],
        width => vec![frames.len(), width],
    };
    ExtraArray {
        shape,
        values: frames.iter().flat_map(values).collect(),
    }
}

/// As [`write_dataset`], to the capture's own folder or to `out`; then the journal is removed. It also goes if nothing
/// was captured.
///
/// # Errors
/// As [`write_dataset`]; the error says if the journal is kept.
pub fn finish(
    mut journal: JournalReader,
    out: &Path,
    watch: &mut dyn FnMut(usize, usize),
) -> Result<CaptureReport> {
    match write_dataset(&mut journal, out, watch) {
        Ok(report) => {
            // One that cannot be removed is only offered once more.
            let _ = journal.remove();
            Ok(report)
        }
        Err(Error::Data(error @ driftless_data::Error::Empty(_))) => {
            let _ = journal.remove();
            Err(error.into())
        }
        Err(error) => Err(Error::Kept(error.to_string())),
    }
}
