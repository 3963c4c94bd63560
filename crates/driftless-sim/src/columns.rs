//! A session's arrays beside pictures, actions and rewards: how they are written, and read again.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Error, Result};
use driftless_data::Clip;
use driftless_data::PathError as _;
use driftless_data::{Episode, Extra};
use driftless_engine::{Along, SamplerParams, Solver};

/// Arrays that say how a session came about, and are no part of what was played in it.
pub const OF_SESSION: [&str; 9] = [
    "number",
    "follows",
    "context",
    "seed",
    WORLD,
    ENGINE,
    START_IMAGE,
    START_ACTION,
    START_CONTEXT,
];

/// Names, as UTF-8 bytes `[n]`: of the world, and of what made its frames.
pub(super) const WORLD: &str = "world";
pub(super) const ENGINE: &str = "engine";
/// The clips that were started from, one after the other: frames `[F, H, W, 3]`, actions `[F]`, and
/// the index of the context that each frame belongs to `[F]`.
const START_IMAGE: &str = "start_image";
const START_ACTION: &str = "start_action";
const START_CONTEXT: &str = "start_context";

/// Context lengths from here on, which f32 cannot tell apart, are read as "all that there is".
const ALL_OF_IT: usize = 1 << 24;

/// How a frame was sampled; [`Columns::sampled`] reads it.
pub(super) fn sampled(params: &SamplerParams) -> [(&'static str, Vec<f32>); 10] {
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

/// A seed in numbers that f32 holds; [`Columns::seed`] reads it.
pub(super) fn seed(seed: u64) -> Vec<f32> {
    [0, 16, 32, 48]
        .map(|shift| ((seed >> shift) & 0xffff) as f32)
        .into()
}

/// A text; [`Columns::text`] reads it.
pub(super) fn text(text: &str) -> Extra {
    Extra {
        shape: vec![text.len()],
        values: text.bytes().map(f32::from).collect(),
    }
}

/// Clips by the index of their context; [`Columns::starts`] reads them.
pub(super) fn starts(
    clips: &BTreeMap<usize, Clip>,
    [height, width]: [usize; 2],
) -> [(&'static str, Extra); 3] {
    let (mut images, mut actions, mut contexts) = (Vec::new(), Vec::new(), Vec::new());
    for (&context, clip) in clips {
        images.extend(clip.images.iter().map(|&value| f32::from(value)));
        actions.extend(clip.actions.iter().map(|&action| action as f32));
        contexts.extend(vec![context as f32; clip.frames()]);
    }
    let frames = actions.len();
    let extra = |shape, values| Extra { shape, values };
    [
        (START_IMAGE, extra(vec![frames, height, width, 3], images)),
        (START_ACTION, extra(vec![frames], actions)),
        (START_CONTEXT, extra(vec![frames], contexts)),
    ]
}

/// The arrays of a session as it was read from a file.
pub(super) struct Columns<'a> {
    pub path: &'a Path,
    pub episode: &'a Episode,
}

impl<'a> Columns<'a> {
    pub fn has(&self, name: &str) -> bool {
        self.episode.extras.contains_key(name)
    }

    pub fn error(&self, name: &str, what: &str) -> Error {
        Error::invalid(self.path, format!("array `{name}`: {what}"))
    }

    fn extra(&self, name: &str) -> Result<&'a Extra> {
        self.episode.extras.get(name).ok_or_else(|| {
            let what = "missing, expected a session as `driftless play --record` writes it";
            self.error(name, what)
        })
    }

    /// Frame `t` of an array of N numbers a frame.
    fn row<const N: usize>(&self, name: &str, t: usize) -> Result<[f32; N]> {
        let (extra, frames) = (self.extra(name)?, self.episode.frames());
        let expected = match N {
            1 => vec![frames],
            _ => vec![frames, N],
        };
        let row = extra.values.get(t * N..(t + 1) * N);
        row.filter(|_| extra.shape == expected)
            .and_then(|row| row.try_into().ok())
            .ok_or_else(|| {
                let what = format!("shape is {:?}, expected {expected:?}", extra.shape);
                self.error(name, &what)
            })
    }

    fn number(&self, name: &str, t: usize) -> Result<f32> {
        let [value] = self.row(name, t)?;
        Ok(value)
    }

    /// The frame that frame `t` follows; none of a start.
    pub fn follows(&self, t: usize) -> Result<Option<usize>> {
        if !self.has("follows") {
            return Ok(t.checked_sub(1));
        }
        let before = self.number("follows", t)?;
        if before == -1.0 {
            return Ok(None);
        }
        if before == -2.0 {
            let what = format!("frame {t} follows one that is not in the session");
            return Err(self.error("follows", &what));
        }
        let most = t.saturating_sub(1);
        self.whole("follows", before, most).map(Some)
    }

    /// A number that counts something.
    pub fn count(&self, name: &str, t: usize) -> Result<usize> {
        self.whole(name, self.number(name, t)?, usize::MAX)
    }

    fn whole(&self, name: &str, value: f32, most: usize) -> Result<usize> {
        // A value too large for usize becomes the largest.
        let whole = value as usize;
        if value >= 0.0 && value.fract() == 0.0 && whole <= most {
            return Ok(whole);
        }
        let expected = match most {
            usize::MAX => "expected a whole number from 0 on".to_owned(),
            _ => format!("expected a whole number from 0 to {most}"),
        };
        Err(self.error(name, &format!("holds {value}, {expected}")))
    }

    /// The seed of frame `t`: of the noise, or of a simulator's world.
    pub fn seed(&self, t: usize) -> Result<u64> {
        let parts: [f32; 4] = self.row("seed", t)?;
        parts.iter().rev().try_fold(0, |seed, &part| {
            let part = self.whole("seed", part, 0xffff)?;
            Ok(seed << 16 | part as u64)
        })
    }

    /// How frame `t` was sampled: what [`sampled`] and [`seed`] wrote.
    pub fn sampled(&self, t: usize) -> Result<SamplerParams> {
        let number = |name| self.number(name, t);
        let one_of = |name, count: usize| self.whole(name, number(name)?, count - 1);
        let context = self.count("context_length", t)?;
        Ok(SamplerParams {
            steps: self.count("steps", t)?,
            solver: Solver::ALL[one_of("solver", Solver::ALL.len())?],
            path: Along::ALL[one_of("path", Along::ALL.len())?],
            shift: number("shift")?,
            churn: number("churn")?,
            tolerance: number("tolerance")?,
            guidance: number("guidance")?,
            context_signal: number("context_signal")?,
            context: match context < ALL_OF_IT {
                true => context,
                false => usize::MAX,
            },
            temperature: number("temperature")?,
            seed: self.seed(t)?,
        })
    }

    /// A text, where there is one.
    pub fn text(&self, name: &str) -> Result<Option<String>> {
        if !self.has(name) {
            return Ok(None);
        }
        let bytes = self.bytes(name)?;
        let text = String::from_utf8(bytes);
        text.map(Some)
            .map_err(|_| self.error(name, "is no text in UTF-8"))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let byte = |&value: &f32| Ok(self.whole(name, value, 0xff)? as u8);
        self.extra(name)?.values.iter().map(byte).collect()
    }

    /// The clips that were started from, by the index of their context; none of a session that
    /// does not hold them.
    pub fn starts(&self) -> Result<BTreeMap<usize, Clip>> {
        let mut clips = BTreeMap::new();
        if !self.has(START_IMAGE) {
            return Ok(clips);
        }
        let shape = &self.extra(START_IMAGE)?.shape;
        let (height, width) = (self.episode.height, self.episode.width);
        let frames = shape.first().copied().unwrap_or(0);
        if frames == 0 || shape[1..] != [height, width, 3] {
            let what = format!("shape is {shape:?}, expected [F, {height}, {width}, 3]");
            return Err(self.error(START_IMAGE, &what));
        }
        let [actions, contexts] = [START_ACTION, START_CONTEXT].map(|name| {
            let extra = self.extra(name)?;
            if extra.shape != [frames] {
                let what = format!("shape is {:?}, expected [{frames}]", extra.shape);
                return Err(self.error(name, &what));
            }
            let whole = |&value| self.whole(name, value, ALL_OF_IT);
            extra.values.iter().map(whole).collect::<Result<Vec<_>>>()
        });
        let (actions, contexts, images) = (actions?, contexts?, self.bytes(START_IMAGE)?);
        let images = images.chunks_exact(height * width * 3);
        for ((image, action), context) in images.zip(actions).zip(contexts) {
            let clip = clips.entry(context).or_insert_with(|| Clip {
                images: Vec::new(),
                actions: Vec::new(),
            });
            clip.images.extend_from_slice(image);
            clip.actions.push(action as u32);
        }
        Ok(clips)
    }
}

/// The seed of the world that a simulator's session shows in frame `t`.
///
/// # Errors
/// The session holds none.
pub fn recorded_seed(path: &Path, session: &Episode, t: usize) -> Result<u64> {
    let episode = session;
    Columns { path, episode }.seed(t)
}
