//! The recording of what was played, kept in memory and written as one episode.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Frame;
use crate::Result;
use crate::data::{Episode, Extra};
use crate::engine::{Along, Solver};

/// Frames after which recording stops.
const MAX_FRAMES: usize = 36_000;

/// Bytes of images after which recording stops, for worlds with large frames.
const MAX_BYTES: usize = 1 << 30;

/// Every played frame, in order, the starting frame of each reset included.
///
/// Written as an episode with these extra arrays beside the usual ones, each `[T]` unless said
/// otherwise: `number` (frames since the reset, 0 for a starting frame), `context`, `steps`,
/// `context_signal`, `context_length`, `temperature`, `solver` (its place in [`Solver::ALL`]),
/// `path` (its place in [`Along::ALL`]), `shift`, `churn`, `tolerance`, and `seed` `[T, 4]` (16 bits each, lowest first, since the arrays
/// hold f32).
#[derive(Debug)]
pub struct Session {
    path: PathBuf,
    size: [usize; 2],
    images: Vec<u8>,
    actions: Vec<u32>,
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

    /// Adds a frame; says so, once, when there is no room for more.
    pub(super) fn append(&mut self, frame: &Frame, height: usize, width: usize) -> Option<String> {
        if self.full {
            return None;
        }
        if self.frames() >= MAX_FRAMES || self.images.len() + frame.image.len() > MAX_BYTES {
            self.full = true;
            return Some(format!(
                "recording stopped after {} frames; play goes on",
                self.frames()
            ));
        }
        self.size = [height, width];
        self.images.extend_from_slice(&frame.image);
        self.actions.push(frame.action);
        let params = &frame.params;
        let seed = [0, 16, 32, 48].map(|shift| ((params.seed >> shift) & 0xffff) as f32);
        let solver = Solver::ALL.iter().position(|s| *s == params.solver);
        let path = Along::ALL.iter().position(|p| *p == params.path);
        let columns: [(&'static str, &[f32]); 12] = [
            ("number", &[frame.number as f32]),
            ("context", &[frame.context as f32]),
            ("steps", &[params.steps as f32]),
            ("context_signal", &[params.context_signal]),
            ("context_length", &[params.context as f32]),
            ("temperature", &[params.temperature]),
            ("solver", &[solver.unwrap_or_default() as f32]),
            ("path", &[path.unwrap_or_default() as f32]),
            ("shift", &[params.shift]),
            ("churn", &[params.churn]),
            ("tolerance", &[params.tolerance]),
            ("seed", &seed),
        ];
        for (name, values) in columns {
            self.extras
                .entry(name)
                .or_default()
                .extend_from_slice(values);
        }
        None
    }

    /// The session as an episode.
    pub fn into_episode(self) -> Episode {
        let frames = self.frames();
        let extra = |name: &str, values: Vec<f32>| Extra {
            shape: if name == "seed" {
                vec![frames, 4]
            } else {
                vec![frames]
            },
            values,
        };
        Episode {
            height: self.size[0],
            width: self.size[1],
            rewards: vec![0.0; frames],
            extras: self
                .extras
                .into_iter()
                .map(|(name, values)| (name.to_owned(), extra(name, values)))
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
