//! Encodes and decodes the extra arrays of a recorded session.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use driftless_data::{Action, Clip, Episode, ExtraArray, MAX_AXES, PathError as _};
use driftless_engine::{PARAMS, ParamKind, SamplerParams};

use crate::{Error, Result};

/// Arrays about how a session was made, which a dataset of its frames leaves out.
pub const SESSION_ARRAYS: [&str; 11] = [
    "number",
    "follows",
    "context",
    "seed",
    WORLD,
    ENGINE,
    START_IMAGE,
    START_ACTION,
    START_AXES,
    START_CLIP,
    START_NOTES,
];

/// The names of the world and of its engine, as UTF-8 bytes `[n]`.
pub(super) const WORLD: &str = "world";
pub(super) const ENGINE: &str = "engine";
/// The starting clips, concatenated: frames `[F, H, W, 3]`, actions `[F]`, the index of the clip for each
/// frame `[F]` and, if any is not at rest, all axes of the actions `[F, 16]`.
const START_IMAGE: &str = "start_image";
const START_ACTION: &str = "start_action";
const START_AXES: &str = "start_axes";
const START_CLIP: &str = "start_context";
/// How starting clips came about, a JSON object by clip index, as UTF-8 bytes `[n]`.
pub(super) const START_NOTES: &str = "start_notes";

/// Larger whole numbers are not exact in f32. A context length of at least this much is read as
/// "unlimited".
pub(super) const MAX_EXACT: usize = 1 << 24;

/// The sampler parameters of a frame; [`Columns::sampler_params`] reads them.
pub(super) fn sampler_params(
    params: &SamplerParams,
) -> impl Iterator<Item = (&'static str, Vec<f32>)> {
    PARAMS
        .iter()
        .map(|spec| (spec.column, vec![spec.get(params) as f32]))
}

/// A seed as four 16-bit numbers, lowest first, which f32 holds exactly; [`Columns::seed`] reads it.
pub(super) fn seed(seed: u64) -> Vec<f32> {
    [0, 16, 32, 48]
        .map(|shift| ((seed >> shift) & 0xffff) as f32)
        .into()
}

/// A string; [`Columns::text`] reads it.
pub(super) fn text(text: &str) -> ExtraArray {
    ExtraArray {
        shape: vec![text.len()],
        values: text.bytes().map(f32::from).collect(),
    }
}

/// Starting clips by index; [`Columns::starts`] reads them.
pub(super) fn starts(
    clips: &BTreeMap<usize, Clip>,
    [height, width]: [usize; 2],
) -> Vec<(&'static str, ExtraArray)> {
    let (mut images, mut actions, mut indices) = (Vec::new(), Vec::new(), Vec::new());
    let mut axes = Vec::new();
    for (&index, clip) in clips {
        images.extend(clip.images.iter().map(|&value| f32::from(value)));
        actions.extend(clip.actions.iter().map(|action| action.index as f32));
        axes.extend(clip.actions.iter().flat_map(|action| action.axes));
        indices.extend(vec![index as f32; clip.frames()]);
    }
    let frames = actions.len();
    let extra = |shape, values| ExtraArray { shape, values };
    let mut columns = vec![
        (START_IMAGE, extra(vec![frames, height, width, 3], images)),
        (START_ACTION, extra(vec![frames], actions)),
        (START_CLIP, extra(vec![frames], indices)),
    ];
    if axes.iter().any(|value| *value != 0.0) {
        columns.push((START_AXES, extra(vec![frames, MAX_AXES], axes)));
    }
    columns
}

/// The arrays of a session that was read from a file.
pub(super) struct Columns<'a> {
    /// Where the session comes from, for error messages.
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

    fn extra(&self, name: &str) -> Result<&'a ExtraArray> {
        self.episode.extras.get(name).ok_or_else(|| {
            let what = "missing, expected a session written by `driftless play --record`";
            self.error(name, what)
        })
    }

    /// Frame `t` of an array with N numbers per frame.
    fn row<const N: usize>(&self, name: &str, t: usize) -> Result<[f32; N]> {
        let (extra, frames) = (self.extra(name)?, self.episode.frames());
        let expected = if N == 1 {
            vec![frames]
        } else {
            vec![frames, N]
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

    /// Index of the frame that frame `t` follows; `None` for a starting frame.
    pub fn follows(&self, t: usize) -> Result<Option<usize>> {
        if !self.has("follows") {
            return Ok(t.checked_sub(1));
        }
        let before = self.number("follows", t)?;
        if before == -1.0 {
            return Ok(None);
        }
        if before == -2.0 {
            let what = format!("frame {t} follows a frame that is not in the session");
            return Err(self.error("follows", &what));
        }
        let most = t.saturating_sub(1);
        self.whole_number("follows", before, most).map(Some)
    }

    /// Frame `t` of an array of counts.
    pub fn count(&self, name: &str, t: usize) -> Result<usize> {
        self.whole_number(name, self.number(name, t)?, usize::MAX)
    }

    fn whole_number(&self, name: &str, value: f32, most: usize) -> Result<usize> {
        // The conversion saturates.
        let whole = value as usize;
        if value >= 0.0 && value.fract() == 0.0 && whole <= most {
            return Ok(whole);
        }
        let expected = if most == usize::MAX {
            "expected a whole number of 0 or more".to_owned()
        } else {
            format!("expected a whole number from 0 to {most}")
        };
        Err(self.error(name, &format!("holds {value}, {expected}")))
    }

    /// The seed of frame `t`: of its noise, or of the simulator's world.
    pub fn seed(&self, t: usize) -> Result<u64> {
        let parts: [f32; 4] = self.row("seed", t)?;
        parts.iter().rev().try_fold(0, |seed, &part| {
            let part = self.whole_number("seed", part, 0xffff)?;
            Ok(seed << 16 | part as u64)
        })
    }

    /// The sampler parameters of frame `t`, as written by [`sampler_params`] and [`seed`]. A parameter
    /// without an array is younger than the recording and has its default, with which frames are as
    /// they were before it.
    pub fn sampler_params(&self, t: usize) -> Result<SamplerParams> {
        let mut params = SamplerParams {
            seed: self.seed(t)?,
            ..SamplerParams::default()
        };
        for spec in PARAMS.iter().filter(|spec| self.has(spec.column)) {
            let value = self.number(spec.column, t)?;
            match spec.kind {
                ParamKind::Number { whole: false, .. } => {}
                ParamKind::Number { whole: true, .. } => {
                    self.whole_number(spec.column, value, usize::MAX)?;
                }
                ParamKind::Choice(choices) => {
                    self.whole_number(spec.column, value, choices.len() - 1)?;
                }
            }
            spec.set(&mut params, value.into());
        }
        if params.context >= MAX_EXACT {
            params.context = usize::MAX;
        }
        Ok(params)
    }

    /// A string, if the session has one of this name.
    pub fn text(&self, name: &str) -> Result<Option<String>> {
        if !self.has(name) {
            return Ok(None);
        }
        let bytes = self.bytes(name)?;
        let text = String::from_utf8(bytes);
        text.map(Some)
            .map_err(|_| self.error(name, "is not valid UTF-8"))
    }

    /// How starting clips came about, by index; empty if the session does not tell.
    pub fn start_notes(&self) -> Result<BTreeMap<usize, Value>> {
        match self.text(START_NOTES)? {
            Some(text) => serde_json::from_str(&text)
                .map_err(|e| self.error(START_NOTES, &format!("is no JSON object: {e}"))),
            None => Ok(BTreeMap::new()),
        }
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let byte = |&value: &f32| Ok(self.whole_number(name, value, 0xff)? as u8);
        self.extra(name)?.values.iter().map(byte).collect()
    }

    /// All axes of the actions of the starting clips; empty if they are at rest.
    fn start_axes(&self, frames: usize) -> Result<&'a [f32]> {
        if !self.has(START_AXES) {
            return Ok(&[]);
        }
        let extra = self.extra(START_AXES)?;
        if extra.shape != [frames, MAX_AXES] {
            let what = format!(
                "shape is {:?}, expected [{frames}, {MAX_AXES}]",
                extra.shape
            );
            return Err(self.error(START_AXES, &what));
        }
        Ok(&extra.values)
    }

    /// The starting clips by index; empty if the session holds none.
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
        let [actions, indices] = [START_ACTION, START_CLIP].map(|name| {
            let extra = self.extra(name)?;
            if extra.shape != [frames] {
                let what = format!("shape is {:?}, expected [{frames}]", extra.shape);
                return Err(self.error(name, &what));
            }
            let parse = |&value| self.whole_number(name, value, MAX_EXACT);
            extra.values.iter().map(parse).collect::<Result<Vec<_>>>()
        });
        let (actions, indices, images) = (actions?, indices?, self.bytes(START_IMAGE)?);
        let axes = self.start_axes(frames)?;
        let images = images.chunks_exact(height * width * 3);
        for (t, ((image, action), index)) in images.zip(actions).zip(indices).enumerate() {
            let clip = clips.entry(index).or_insert_with(|| Clip {
                images: Vec::new(),
                actions: Vec::new(),
            });
            clip.images.extend_from_slice(image);
            let axes = axes.get(t * MAX_AXES..(t + 1) * MAX_AXES);
            let action = Action::with_axes(action as u32, axes.unwrap_or_default());
            clip.actions.push(action);
        }
        Ok(clips)
    }
}

/// The seed of the simulator's world in frame `t` of a session.
///
/// # Errors
/// Returns an error if the session holds no valid seed.
pub fn recorded_seed(path: &Path, session: &Episode, t: usize) -> Result<u64> {
    let episode = session;
    Columns { path, episode }.seed(t)
}
