//! The recording of what was played, kept in memory and written as one episode.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::columns::{self, ENGINE, WORLD};
use super::{Frame, Player};
use crate::Result;
use driftless_data::Clip;
use driftless_data::{Episode, Extra};

/// Frames after which recording stops.
const MAX_FRAMES: usize = 36_000;

/// Bytes of images after which recording stops, for worlds with large frames.
const MAX_BYTES: usize = 1 << 30;

/// Every played frame, in order, the starting frame of each reset included.
///
/// Written as an episode with these extra arrays beside the usual ones, each `[T]` unless said
/// otherwise: `number` (frames since the reset, 0 for a starting frame), `context`, `follows` (the frame
/// before it, which is an earlier one where the player had gone back; -1 for a starting frame), `seed` `[T, 4]`
/// (16 bits each, lowest first, since the arrays hold f32); of a simulator its true state and
/// `is_terminal`; of predicted frames the sampler's parameters: `steps`, `context_signal`, `context_length`, `temperature`, `guidance`,
/// `solver` (its place in [`driftless_engine::Solver::ALL`]), `path` (its place in
/// [`driftless_engine::Along::ALL`]), `shift`, `churn`, `tolerance`, and `end_probability`. Rewards of
/// predicted frames are predicted ones. `world` and `engine` are names (UTF-8 bytes `[n]`), and
/// `start_image` `[F, H, W, 3]`, `start_action` and `start_context` `[F]` the clips that predicted
/// frames started from, each frame with the index of its context. A [`super::Recording`] reads all
/// of it.
#[derive(Debug)]
pub struct Session {
    path: PathBuf,
    size: [usize; 2],
    images: Vec<u8>,
    actions: Vec<u32>,
    rewards: Vec<f32>,
    extras: BTreeMap<&'static str, Vec<f32>>,
    world: String,
    /// What made the frames; more than one where the processor went on for a device.
    engines: Vec<String>,
    /// The clips that were started from, by the index of their context.
    starts: BTreeMap<usize, Clip>,
    /// Index of the context of the present game.
    context: usize,
    /// Where frames lie in the recording, by what the history calls them.
    known: HashMap<u64, usize>,
    /// The frame that the next one follows, where that is not the last one.
    follows: Option<f32>,
    full: bool,
}

/// Of a frame that follows none in the recording: of a start, and of one that lies outside.
const START: f32 = -1.0;
const OUTSIDE: f32 = -2.0;

impl Session {
    /// An empty session that will be written to `path`.
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
            known: HashMap::new(),
            follows: None,
            full: false,
        }
    }

    /// Where the session is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Frames recorded.
    pub fn frames(&self) -> usize {
        self.actions.len()
    }

    /// Adds a frame that `player` has just made; says so, once, when there is no room for more.
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn append(
        &mut self,
        frame: &Frame,
        player: &mut dyn Player,
    ) -> Result<Option<String>> {
        if self.full {
            return Ok(None);
        }
        let image = player.image()?;
        if self.frames() >= MAX_FRAMES || self.images.len() + image.len() > MAX_BYTES {
            self.full = true;
            return Ok(Some(format!(
                "recording stopped after {} frames; play goes on",
                self.frames()
            )));
        }
        self.images.extend_from_slice(image);
        self.size = player.image_size();
        if !self.engines.iter().any(|engine| engine == player.name()) {
            self.engines.push(player.name().to_owned());
            self.world = player.world();
        }
        let last = self.actions.len().checked_sub(1);
        let before = last.map_or(OUTSIDE, |last| last as f32);
        let follows = self.follows.take().unwrap_or(before);
        let follows = if frame.number == 0 { START } else { follows };
        if frame.number == 0 {
            self.context = match player.started() {
                Some(clip) => self.start_of(frame.context, clip),
                None => frame.context,
            };
        }
        self.actions.push(frame.action);
        let truth = frame.truth.as_ref();
        let foreseen = frame.outcome.map_or(0.0, |outcome| outcome.reward);
        self.rewards
            .push(truth.map_or(foreseen, |truth| truth.reward));
        let seed = truth.map_or(frame.params.seed, |truth| truth.seed);
        let mut rows = vec![
            ("number", vec![frame.number as f32]),
            ("context", vec![self.context as f32]),
            ("follows", vec![follows]),
            ("seed", columns::seed(seed)),
        ];
        match truth {
            Some(truth) => {
                rows.push(("is_terminal", vec![f32::from(truth.ended)]));
                rows.extend(truth.state.iter().cloned());
            }
            None => {
                rows.extend(columns::sampled(&frame.params));
                let end = frame.outcome.map_or(0.0, |outcome| outcome.end);
                rows.push(("end_probability", vec![end]));
            }
        }
        for (name, values) in rows {
            self.extras.entry(name).or_default().extend(values);
        }
        Ok(None)
    }

    /// The index under which the clip of a start is kept: that of its context, unless another clip
    /// has it already.
    fn start_of(&mut self, context: usize, clip: &Clip) -> usize {
        let same = self.starts.iter().find(|(_, known)| *known == clip);
        if let Some((index, _)) = same {
            return *index;
        }
        let next = self.starts.keys().last().map_or(0, |last| last + 1);
        let index = match self.starts.contains_key(&context) {
            true => next,
            false => context,
        };
        self.starts.insert(index, clip.clone());
        index
    }

    /// Tells what the history calls the last frame.
    pub(super) fn name_last(&mut self, id: u64) {
        if let Some(last) = self.actions.len().checked_sub(1) {
            self.known.insert(id, last);
        }
    }

    /// The next frame follows the one that the history calls so.
    pub(super) fn go_on_from(&mut self, id: u64) {
        let found = self.known.get(&id).copied();
        self.follows = Some(found.map_or(OUTSIDE, |index| index as f32));
        let contexts = self.extras.get("context");
        let context = found.and_then(|index| contexts?.get(index).copied());
        if let Some(context) = context {
            self.context = context as usize;
        }
    }

    /// The session as an episode.
    pub fn into_episode(self) -> Episode {
        let frames = self.frames();
        let extra = |values: Vec<f32>| Extra {
            shape: match values.len() / frames.max(1) {
                1 => vec![frames],
                width => vec![frames, width],
            },
            values,
        };
        let mut extras: BTreeMap<String, Extra> = self
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

    /// Writes the episode; a session without frames writes nothing.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(self) -> Result<()> {
        if self.frames() == 0 {
            return Ok(());
        }
        let path = self.path.clone();
        Ok(self.into_episode().write(&path)?)
    }
}
