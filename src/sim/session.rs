//! The recording of what was played, kept in memory and written as one episode.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Frame;
use crate::Result;
use crate::data::{Episode, Extra};
use crate::engine::{Along, SamplerParams, Solver};

/// Frames after which recording stops.
const MAX_FRAMES: usize = 36_000;

/// Bytes of images after which recording stops, for worlds with large frames.
const MAX_BYTES: usize = 1 << 30;

/// Every played frame, in order, the starting frame of each reset included.
///
/// Written as an episode with these extra arrays beside the usual ones, each `[T]` unless said
/// otherwise: `number` (frames since the reset, 0 for a starting frame), `context`, `seed` `[T, 4]`
/// (16 bits each, lowest first, since the arrays hold f32); of a simulator its true state and
/// `is_terminal`; of predicted frames the sampler's parameters: `steps`, `context_signal`, `context_length`, `temperature`, `guidance`,
/// `solver` (its place in [`Solver::ALL`]), `path` (its place in [`Along::ALL`]), `shift`, `churn`,
/// `tolerance`, and `end_probability`. Rewards of predicted frames are predicted ones.
#[derive(Debug)]
pub struct Session {
    path: PathBuf,
    size: [usize; 2],
    images: Vec<u8>,
    actions: Vec<u32>,
    rewards: Vec<f32>,
    extras: BTreeMap<&'static str, Vec<f32>>,
    full: bool,
}

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

    /// Adds a frame with its picture; says so, once, when there is no room for more.
    pub(super) fn append(
        &mut self,
        frame: &Frame,
        image: &[u8],
        [height, width]: [usize; 2],
    ) -> Option<String> {
        if self.full {
            return None;
        }
        if self.frames() >= MAX_FRAMES || self.images.len() + image.len() > MAX_BYTES {
            self.full = true;
            return Some(format!(
                "recording stopped after {} frames; play goes on",
                self.frames()
            ));
        }
        self.size = [height, width];
        self.images.extend_from_slice(image);
        self.actions.push(frame.action);
        let truth = frame.truth.as_ref();
        let foreseen = frame.outcome.map_or(0.0, |outcome| outcome.reward);
        self.rewards
            .push(truth.map_or(foreseen, |truth| truth.reward));
        let seed = truth.map_or(frame.params.seed, |truth| truth.seed);
        let seed = [0, 16, 32, 48].map(|shift| ((seed >> shift) & 0xffff) as f32);
        let mut columns = vec![
            ("number", vec![frame.number as f32]),
            ("context", vec![frame.context as f32]),
            ("seed", seed.to_vec()),
        ];
        match truth {
            Some(truth) => {
                columns.push(("is_terminal", vec![f32::from(truth.ended)]));
                columns.extend(truth.state.iter().cloned());
            }
            None => {
                columns.extend(sampled(&frame.params));
                let end = frame.outcome.map_or(0.0, |outcome| outcome.end);
                columns.push(("end_probability", vec![end]));
            }
        }
        for (name, values) in columns {
            self.extras.entry(name).or_default().extend(values);
        }
        None
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
        Episode {
            height: self.size[0],
            width: self.size[1],
            rewards: self.rewards,
            extras: self
                .extras
                .into_iter()
                .map(|(name, values)| (name.to_owned(), extra(values)))
                .collect(),
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
        self.into_episode().write(&path)
    }
}

/// How a frame was sampled.
fn sampled(params: &SamplerParams) -> [(&'static str, Vec<f32>); 10] {
    let solver = Solver::ALL.iter().position(|s| *s == params.solver);
    let path = Along::ALL.iter().position(|p| *p == params.path);
    [
        ("steps", params.steps as f32),
        ("context_signal", params.context_signal),
        ("context_length", params.context as f32),
        ("temperature", params.temperature),
        ("guidance", params.guidance),
        ("solver", solver.unwrap_or_default() as f32),
        ("path", path.unwrap_or_default() as f32),
        ("shift", params.shift),
        ("churn", params.churn),
        ("tolerance", params.tolerance),
    ]
    .map(|(name, value)| (name, vec![value]))
}
