//! The recording of a played session, held in memory and written as one episode.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use driftless_data::layout::array::IS_TERMINAL;
use driftless_data::{Clip, Episode, ExtraArray};

use super::columns::{ENGINE, WORLD};
use super::{Frame, LearnedWorld, Notice, Player, columns};
use crate::Result;

/// Recording stops after this many frames.
const MAX_RECORDED_FRAMES: usize = 36_000;

/// Recording stops after this many bytes of images, for worlds with large frames.
const MAX_BYTES: usize = 1 << 30;

/// Every played frame, in order, with the starting frame of each reset.
///
/// It is written as an episode with these extra arrays, each `[T]` unless stated otherwise:
///
/// - `number`: frames since the reset, 0 for a starting frame
/// - `context`: index of the starting context
/// - `follows`: index of the frame before it, which is not the previous one after a rewind; -1 for
///   a starting frame
/// - `seed` `[T, 4]`: 16 bits each, lowest first, since the arrays hold f32
/// - for a simulator: its true state, and `is_terminal`
/// - for predicted frames: the sampler parameters, by the `column` of each of
///   [`driftless_engine::PARAMS`], and `end_probability`
/// - `world` and `engine`: names, as UTF-8 bytes `[n]`
/// - `start_image` `[F, H, W, 3]`, `start_action` and `start_context` `[F]`: the clips that
///   predicted frames started from; `start_context` is the context index of each of their frames
///
/// Rewards of predicted frames are predicted too. A [`super::RecordedSession`] reads all of it.
#[derive(Debug)]
pub struct Session {
    path: PathBuf,
    size: [usize; 2],
    images: Vec<u8>,
    actions: Vec<u32>,
    rewards: Vec<f32>,
    extras: BTreeMap<&'static str, Vec<f32>>,
    world: String,
    /// The engines that made the frames; several if the CPU took over from a failed device.
    engines: Vec<String>,
    /// The starting clips, by context index.
    starts: BTreeMap<usize, Clip>,
    /// Index of the current context.
    context: usize,
    /// Index of each frame in the recording, by its identifier in the history.
    index_by_id: HashMap<u64, usize>,
    /// What to write as `follows` for the next frame, if that is not the last one.
    follows: Option<f32>,
    full: bool,
}

/// `follows` of a starting frame.
const START: f32 = -1.0;
/// `follows` of a frame whose predecessor is not in the recording.
const OUTSIDE: f32 = -2.0;

impl Session {
    /// An empty recording that will be written to `path`.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            size: [0, 0],
            images: Vec::new(),
            actions: Vec::new(),
            rewards: Vec::new(),
            extras: BTreeMap::new(),
            world: String::new(),
            engines: Vec::new(),
            starts: BTreeMap::new(),
            context: 0,
            index_by_id: HashMap::new(),
            follows: None,
            full: false,
        }
    }

    /// Where the recording will be written.
    pub fn path(&self) -> &Path {
        &self.path
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
        if self.frames() >= MAX_RECORDED_FRAMES || self.images.len() + image.len() > MAX_BYTES {
            self.full = true;
            let frames = self.frames();
            return Ok(Some(Notice::RecordingFull { frames }));
        }
        self.images.extend_from_slice(image);
        self.size = player.image_size();
        if !self.engines.iter().any(|engine| engine == player.name()) {
            self.engines.push(player.name().to_owned());
            self.world = player.world();
        }
        let follows = self.take_follows(frame.number);
        if frame.number == 0 {
            self.context = match player.learned().and_then(LearnedWorld::starting_clip) {
                Some(clip) => self.store_start(frame.context, clip),
                None => frame.context,
            };
        }
        let predicted_reward = frame
            .prediction
            .outcome
            .map_or(0.0, |outcome| outcome.reward);
        let truth = frame.ground_truth.as_ref();
        self.rewards
            .push(truth.map_or(predicted_reward, |truth| truth.reward));
        self.actions.push(frame.action);
        self.append_extras(frame, follows);
        Ok(None)
    }

    /// `follows` of the next frame.
    fn take_follows(&mut self, number: u64) -> f32 {
        let last = self.actions.len().checked_sub(1);
        let default = last.map_or(OUTSIDE, |last| last as f32);
        let follows = self.follows.take().unwrap_or(default);
        if number == 0 { START } else { follows }
    }

    fn append_extras(&mut self, frame: &Frame, follows: f32) {
        let truth = frame.ground_truth.as_ref();
        let seed = truth.map_or(frame.params.seed, |truth| truth.seed);
        let mut values_by_name = vec![
            ("number", vec![frame.number as f32]),
            ("context", vec![self.context as f32]),
            ("follows", vec![follows]),
            ("seed", columns::seed(seed)),
        ];
        match truth {
            Some(truth) => {
                values_by_name.push((IS_TERMINAL, vec![f32::from(truth.ended)]));
                values_by_name.extend(truth.state.iter().cloned());
            }
            None => {
                values_by_name.extend(columns::sampler_params(&frame.params));
                let end = frame.prediction.outcome.map_or(0.0, |outcome| outcome.end);
                values_by_name.push(("end_probability", vec![end]));
            }
        }
        for (name, values) in values_by_name {
            self.extras.entry(name).or_default().extend(values);
        }
    }

    /// Stores a starting clip and returns its context index: `context`, or a free one if another
    /// clip has that.
    fn store_start(&mut self, context: usize, clip: &Clip) -> usize {
        let same = self.starts.iter().find(|(_, stored)| *stored == clip);
        if let Some((index, _)) = same {
            return *index;
        }
        let index = if self.starts.contains_key(&context) {
            self.starts.keys().last().map_or(0, |last| last + 1)
        } else {
            context
        };
        self.starts.insert(index, clip.clone());
        index
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
        let contexts = self.extras.get("context");
        let context = found.and_then(|index| contexts?.get(index).copied());
        if let Some(context) = context {
            self.context = context as usize;
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
            .map(|(name, values)| (name.to_owned(), extra(values)))
            .collect();
        for (name, value) in [(WORLD, self.world), (ENGINE, self.engines.join(", "))] {
            if !value.is_empty() {
                extras.insert(name.to_owned(), columns::text(&value));
            }
        }
        if !self.starts.is_empty() {
            let starts = columns::starts(&self.starts, self.size);
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

    /// Writes the episode. Without frames, writes nothing.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn write(self) -> Result<()> {
        if self.frames() == 0 {
            return Ok(());
        }
        let path = self.path.clone();
        Ok(self.into_episode().write(&path)?)
    }
}
