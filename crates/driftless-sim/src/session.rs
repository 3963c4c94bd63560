//! The recording of a played session, held in memory and written as one episode. A journal on disk holds the
//! same, so that it can be recovered if the program does not come to write it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde_json::Value;

use driftless_data::fs::unused_path;
use driftless_data::journal::{Journal, JournalReader};
use driftless_data::layout::array::{AXES, IS_TERMINAL};
use driftless_data::{Clip, Episode, ExtraArray, PathError as _};

use super::columns::{ENGINE, START_NOTES, WORLD};
use super::session_journal::{self as records, Entry, FrameRecord, RecordOptions};
use super::{Frame, LearnedWorld, Notice, Player, columns};
use crate::{Error, Result};

/// Recording stops after this many frames.
const MAX_RECORDED_FRAMES: usize = 36_000;

/// Recording stops after this many bytes of images, for worlds with large frames.
const MAX_BYTES: usize = 1 << 30;

/// Every played frame, in order, with the starting frame of each reset.
///
/// It is written as an episode with these extra arrays, each `[T]` unless stated otherwise:
///
/// - `number`: frames since the reset, 0 for a starting frame
/// - `context`: index of the starting clip
/// - `follows`: index of the frame before it, which is not the previous one after a rewind; -1 for
///   a starting frame
/// - `seed` `[T, 4]`: 16 bits each, lowest first, since the arrays hold f32
/// - for a simulator: its true state, and `is_terminal`
/// - for predicted frames: the sampler parameters, by the `column` of each of
///   [`driftless_engine::PARAMS`], and `end_probability`
/// - `world` and `engine`: names, as UTF-8 bytes `[n]`
/// - `start_image` `[F, H, W, 3]`, `start_action` and `start_context` `[F]`: the clips that
///   predicted frames started from; `start_context` is the index of the clip of each of their frames
/// - `start_notes`: how clips came about, if that is known, a JSON object as UTF-8 bytes `[n]`
///
/// Rewards of predicted frames are predicted too. A [`super::RecordedSession`] reads all of it.
#[derive(Debug)]
pub struct Session {
    options: RecordOptions,
    journal: Option<Journal>,
    /// Whether the journal lacks frames.
    unsaved: bool,
    size: [usize; 2],
    images: Vec<u8>,
    actions: Vec<u32>,
    rewards: Vec<f32>,
    extras: BTreeMap<Cow<'static, str>, Vec<f32>>,
    world: String,
    /// The engines that made the frames; several if the CPU took over from a failed device.
    engines: Vec<String>,
    /// The starting clips, by index.
    starts: BTreeMap<usize, Clip>,
    /// How starting clips came about, by index.
    notes: BTreeMap<usize, Value>,
    /// Index of the current starting clip.
    clip: usize,
    /// Index of each frame in the recording, by its identifier in the history.
    index_by_id: HashMap<u64, usize>,
    /// What to write as `follows` for the next frame, if that is not the last one.
    follows: Option<f32>,
    full: bool,
    /// The most frames.
    most: usize,
}

/// `follows` of a starting frame.
const START: f32 = -1.0;
/// `follows` of a frame whose predecessor is not in the recording.
const OUTSIDE: f32 = -2.0;

impl Session {
    /// An empty recording.
    pub fn new(options: impl Into<RecordOptions>) -> Self {
        Self {
            options: options.into(),
            journal: None,
            unsaved: false,
            size: [0, 0],
            images: Vec::new(),
            actions: Vec::new(),
            rewards: Vec::new(),
            extras: BTreeMap::new(),
            world: String::new(),
            engines: Vec::new(),
            starts: BTreeMap::new(),
            notes: BTreeMap::new(),
            clip: 0,
            index_by_id: HashMap::new(),
            follows: None,
            full: false,
            most: MAX_RECORDED_FRAMES,
        }
    }

    /// The recording, which ends after this many frames.
    #[must_use]
    pub fn at_most(self, frames: usize) -> Self {
        Self {
            most: frames.min(MAX_RECORDED_FRAMES),
            ..self
        }
    }

    /// Where the recording will be written.
    pub fn path(&self) -> &Path {
        &self.options.path
    }

    /// Name of the simulator whose dataset the recording becomes; `None` for an episode.
    pub fn dataset_of(&self) -> Option<&str> {
        self.options.dataset_of.as_deref()
    }

    /// The most frames of `[height, width]` pixels that a recording holds.
    pub(super) fn room([height, width]: [usize; 2]) -> usize {
        let bytes = height.saturating_mul(width).saturating_mul(3).max(1);
        MAX_RECORDED_FRAMES.min(MAX_BYTES / bytes)
    }

    /// Number of recorded frames.
    pub fn frames(&self) -> usize {
        self.actions.len()
    }

    /// Adds the frame that `player` has just made. Returns a notice, once, if there is no room left.
    ///
    /// # Errors
    /// Returns an error if the image cannot be read back from the device.
    pub(super) fn append(
        &mut self,
        frame: &Frame,
        player: &mut dyn Player,
    ) -> Result<Option<Notice>> {
        if self.full {
            return Ok(None);
        }
        let image = player.image()?;
        if self.frames() >= self.most || self.images.len() + image.len() > MAX_BYTES {
            self.full = true;
            let frames = self.frames();
            return Ok(Some(Notice::RecordingFull { frames }));
        }
        let at = self.images.len();
        self.images.extend_from_slice(image);
        self.size = player.image_size();
        let unsaved = self.open_journal(at == 0);
        if !self.engines.iter().any(|engine| engine == player.name()) {
            self.engines.push(player.name().to_owned());
            self.world = player.world();
            if let Some(journal) = &self.journal {
                let engines = self.engines.join(", ");
                journal.append(&records::world(&self.world, &engines, self.size));
            }
        }
        let follows = self.take_follows(frame.number);
        if frame.number == 0 {
            self.clip = match player.starting_clip() {
                Some(clip) => self.store_start(frame.clip, clip),
                None => frame.clip,
            };
            if let Some(note) = player.learned().and_then(LearnedWorld::starting_note) {
                self.store_note(note);
            }
        }
        let predicted_reward = frame
            .prediction
            .outcome
            .map_or(0.0, |outcome| outcome.reward);
        let truth = frame.ground_truth.as_ref();
        let reward = truth.map_or(predicted_reward, |truth| truth.reward);
        self.rewards.push(reward);
        self.actions.push(frame.action.index);
        let mut extras = self.extras_of(frame, follows);
        if player.axes() > 0 {
            extras.push((AXES, frame.action.axes[..player.axes()].to_vec()));
        }
        self.write_to_journal(frame, reward, &extras, &self.images[at..]);
        for (name, values) in extras {
            self.extras.entry(name.into()).or_default().extend(values);
        }
        Ok(unsaved.or_else(|| self.journal_failure()))
    }

    /// Creates the journal with the first frame.
    fn open_journal(&mut self, first: bool) -> Option<Notice> {
        let folder = self.options.journal.as_deref().filter(|_| first)?;
        match records::create(folder, &self.options) {
            Ok(journal) => {
                self.journal = Some(journal);
                None
            }
            Err(error) => {
                self.unsaved = true;
                Some(Notice::RecordingUnsaved(error.to_string()))
            }
        }
    }

    /// A notice if the journal is not written any more: once.
    fn journal_failure(&mut self) -> Option<Notice> {
        let error = self.journal.as_ref()?.failure()?;
        self.unsaved = true;
        Some(Notice::RecordingUnsaved(error.to_string()))
    }

    fn write_to_journal(
        &self,
        frame: &Frame,
        reward: f32,
        extras: &[(&'static str, Vec<f32>)],
        image: &[u8],
    ) {
        let Some(journal) = &self.journal else {
            return;
        };
        // A finished episode is on the disk at once.
        if frame.number == 0 {
            journal.sync();
        }
        let mut payload = records::frame(frame.action.index, reward, extras.len());
        for (name, values) in extras {
            payload.array(name, values);
        }
        payload.bytes(image);
        journal.append(&payload.record(records::FRAME));
    }

    /// `follows` of the next frame.
    fn take_follows(&mut self, number: u64) -> f32 {
        let last = self.actions.len().checked_sub(1);
        let default = last.map_or(OUTSIDE, |last| last as f32);
        let follows = self.follows.take().unwrap_or(default);
        if number == 0 { START } else { follows }
    }

    /// The further arrays of a frame.
    fn extras_of(&self, frame: &Frame, follows: f32) -> Vec<(&'static str, Vec<f32>)> {
        let truth = frame.ground_truth.as_ref();
        let seed = truth.map_or(frame.params.seed, |truth| truth.seed);
        let mut extras = vec![
            ("number", vec![frame.number as f32]),
            ("context", vec![self.clip as f32]),
            ("follows", vec![follows]),
            ("seed", columns::seed(seed)),
        ];
        match truth {
            Some(truth) => {
                extras.push((IS_TERMINAL, vec![f32::from(truth.ended)]));
                extras.extend(truth.state.iter().cloned());
            }
            None => {
                extras.extend(columns::sampler_params(&frame.params));
                let end = frame.prediction.outcome.map_or(0.0, |outcome| outcome.end);
                extras.push(("end_probability", vec![end]));
            }
        }
        extras
    }

    /// Stores a starting clip and returns its index: `wanted`, or a free one if another
    /// clip has that.
    fn store_start(&mut self, wanted: usize, clip: &Clip) -> usize {
        let same = self.starts.iter().find(|(_, stored)| *stored == clip);
        if let Some((index, _)) = same {
            return *index;
        }
        let index = if self.starts.contains_key(&wanted) {
            self.starts.keys().last().map_or(0, |last| last + 1)
        } else {
            wanted
        };
        if let Some(journal) = &self.journal {
            journal.append(&records::start(index, clip));
        }
        self.starts.insert(index, clip.clone());
        index
    }

    /// Stores how the current starting clip came about.
    fn store_note(&mut self, note: &Value) {
        if self.notes.get(&self.clip) != Some(note) {
            if let Some(journal) = &self.journal {
                journal.append(&records::note(self.clip, note));
            }
            self.notes.insert(self.clip, note.clone());
        }
    }

    /// Sets the identifier that the last frame has in the history.
    pub(super) fn set_last_id(&mut self, id: u64) {
        if let Some(last) = self.actions.len().checked_sub(1) {
            self.index_by_id.insert(id, last);
        }
    }

    /// The next frame will follow the one with this identifier.
    pub(super) fn continue_from(&mut self, id: u64) {
        let found = self.index_by_id.get(&id).copied();
        self.follows = Some(found.map_or(OUTSIDE, |index| index as f32));
        let clips = self.extras.get("context");
        let clip = found.and_then(|index| clips?.get(index).copied());
        if let Some(clip) = clip {
            self.clip = clip as usize;
        }
    }

    /// The recording as an episode.
    pub fn into_episode(self) -> Episode {
        let frames = self.frames();
        let extra = |values: Vec<f32>| ExtraArray {
            shape: match values.len() / frames.max(1) {
                1 => vec![frames],
                width => vec![frames, width],
            },
            values,
        };
        let mut extras: BTreeMap<String, ExtraArray> = self
            .extras
            .into_iter()
            .map(|(name, values)| (name.into_owned(), extra(values)))
            .collect();
        for (name, value) in [(WORLD, self.world), (ENGINE, self.engines.join(", "))] {
            if !value.is_empty() {
                extras.insert(name.to_owned(), columns::text(&value));
            }
        }
        if let (false, Ok(notes)) = (self.notes.is_empty(), serde_json::to_string(&self.notes)) {
            extras.insert(START_NOTES.to_owned(), columns::text(&notes));
        }
        if !self.starts.is_empty() {
            let starts = columns::starts(&self.starts, self.size);
            let starts = starts.into_iter();
            extras.extend(starts.map(|(name, extra)| (name.to_owned(), extra)));
        }
        Episode {
            height: self.size[0],
            width: self.size[1],
            rewards: self.rewards,
            extras,
            images: self.images,
            actions: self.actions,
        }
    }

    /// Writes the episode and removes the journal. Returns where it is: the session's path, or another name
    /// beside it if a file has appeared there. Without frames, writes nothing.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written; the journal then stays.
    pub fn write(mut self) -> Result<Option<PathBuf>> {
        let (unsaved, journal) = (self.unsaved, self.take_journal());
        if self.frames() > 0 {
            let mut path = self.options.path.clone();
            if !self.options.overwrite {
                path = unused_path(&path);
            }
            if let Err(error) = self.into_episode().write(&path) {
                return Err(match journal {
                    Some(_) if !unsaved => Error::Kept(error.to_string()),
                    _ => error.into(),
                });
            }
            remove_journal(journal);
            return Ok(Some(path));
        }
        remove_journal(journal);
        Ok(None)
    }

    /// Forgets the recording, its journal too.
    pub fn discard(mut self) {
        remove_journal(self.take_journal());
    }

    /// The journal, for who writes the recording in another form than [`Session::write`]. Dropped, it stays on
    /// disk.
    pub fn take_journal(&mut self) -> Option<Journal> {
        self.journal.take()
    }

    /// Reads what the journal of a killed program holds.
    ///
    /// # Errors
    /// Returns an error if it holds no frames, if they do not fit together, or if it is still being written.
    pub fn recover(journal: &mut JournalReader) -> Result<Self> {
        journal.rewind()?;
        let options = records::read_target(journal)?;
        let path = journal.path().to_path_buf();
        let mut session = Self::new(options);
        for record in journal {
            match records::read_entry(&path, &record)? {
                Entry::World {
                    name,
                    engines,
                    size,
                } => (session.world, session.engines, session.size) = (name, vec![engines], size),
                Entry::Start { index, clip } => {
                    session.starts.insert(index, clip);
                }
                Entry::Note { index, note } => {
                    session.notes.insert(index, note);
                }
                Entry::Frame(frame) => session.recover_frame(&path, frame)?,
            }
        }
        if session.frames() == 0 {
            return Err(Error::invalid(&path, "holds no frames"));
        }
        let [height, width] = session.size;
        let fits = |clip: &Clip| clip.images.len() == clip.frames() * height * width * 3;
        if !session.starts.values().all(fits) {
            return Err(Error::invalid(&path, "a starting clip has another size"));
        }
        Ok(session)
    }

    fn recover_frame(&mut self, path: &Path, frame: FrameRecord) -> Result<()> {
        let t = self.frames();
        let [height, width] = self.size;
        let expected = height.checked_mul(width).and_then(|n| n.checked_mul(3));
        let fits = expected == Some(frame.image.len()) && !frame.image.is_empty();
        let room = self.images.len().saturating_add(frame.image.len()) <= MAX_BYTES;
        if !fits || !room || t >= MAX_RECORDED_FRAMES {
            let what = format!("frame {t} has another size, or there are too many");
            return Err(Error::invalid(path, what));
        }
        for (name, values) in frame.extras {
            let column = self.extras.entry(name.into()).or_default();
            column.extend(values);
            if !column.len().is_multiple_of(t + 1) || column.is_empty() {
                let what = format!("frame {t} has other arrays than those before");
                return Err(Error::invalid(path, what));
            }
        }
        self.images.extend(frame.image);
        self.actions.push(frame.action);
        self.rewards.push(frame.reward);
        Ok(())
    }
}

/// What a journal says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSummary {
    /// Where the recording was to be written.
    pub options: RecordOptions,
    /// The world's name.
    pub world: String,
    /// Frames that it holds; the last may be damaged.
    pub frames: usize,
}

impl JournalSummary {
    /// Reads the beginning of a journal and counts its frames.
    ///
    /// # Errors
    /// Returns an error if it does not begin as a recording does.
    pub fn read(mut journal: JournalReader) -> Result<Self> {
        let options = records::read_target(&mut journal)?;
        let path = journal.path().to_path_buf();
        let world = match journal.next().map(|next| records::read_entry(&path, &next)) {
            Some(Ok(Entry::World { name, .. })) => name,
            _ => String::new(),
        };
        let kinds = journal.kinds();
        let frames = kinds.iter().filter(|&&kind| kind == records::FRAME).count();
        Ok(Self {
            options,
            world,
            frames,
        })
    }
}

/// Removes a journal whose content is in its place. One that stays is only offered once more.
fn remove_journal(journal: Option<Journal>) {
    let _ = journal.map(Journal::remove);
}
