//! What a half-trained world makes of real frames, as pictures to look at while it trains.

use super::footage::{Footage, Labels};
use super::run::Run;
use crate::{Error, Result};
use driftless_data::contact_sheet::Sheet;
use driftless_engine::SamplerParams;
use driftless_engine::rollout::{rollout, windows_of};
use driftless_model::checkpoint::TOKENIZER;
use driftless_model::params::Params;
use driftless_model::tokenizer::{Tokenizer, images_to_tensor, tensor_to_images};

/// Frames of a row.
const FRAMES: usize = 16;
/// Stretches of real frames that are shown.
const ROWS: usize = 4;

/// Rows of real frames, each above what the exported tokenizer keeps of them.
///
/// # Errors
/// No episode is long enough, or the exported tokenizer cannot be read.
pub(super) fn tokenizer(run: &Run, footage: &Footage) -> Result<Sheet> {
    let params = Params::read(&run.checkpoint().join(TOKENIZER), &run.device)?;
    let tokenizer = Tokenizer::new(&params, &run.world)?;
    pairs(run, footage, 0, &mut |episode, start| {
        let real = frames(footage, episode, start)?;
        let images = images_to_tensor(&real, run.world.image, &run.device)?;
        Ok(tensor_to_images(
            &tokenizer.decode(&tokenizer.encode(&images)?)?,
        )?)
    })
}

/// Rows of real frames, each above those that the exported world predicts from the frames before
/// them and the same actions, with the default sampler.
///
/// # Errors
/// No episode is long enough, or the exported world cannot be read.
pub(super) fn dynamics(run: &Run, footage: &Footage) -> Result<Sheet> {
    let mut engine = driftless_engine::open_on(&run.checkpoint(), &run.device)?;
    let params = SamplerParams::default();
    pairs(run, footage, run.world.dynamics.context, &mut |e, start| {
        let context = footage.clip(e, start - run.world.dynamics.context..start)?;
        let actions = &e.actions[start..start + FRAMES];
        Ok(rollout(engine.as_mut(), &context, actions, &params)?)
    })
}

/// Stretches of `before` + [`FRAMES`] frames, spread over the dataset: the last frames real, and as
/// `make` makes them of an episode and the place of the first one.
fn pairs(
    run: &Run,
    footage: &Footage,
    before: usize,
    make: &mut dyn FnMut(&Labels, usize) -> Result<Vec<u8>>,
) -> Result<Sheet> {
    let mut rows = Vec::new();
    let lengths = footage.episodes.iter().map(Labels::frames);
    for window in windows_of(lengths, before + FRAMES, ROWS)? {
        let episode = footage
            .episodes
            .get(window.episode)
            .ok_or_else(|| Error::Argument("no such episode".into()))?;
        let start = window.start + before;
        rows.push(frames(footage, episode, start)?);
        rows.push(make(episode, start)?);
    }
    let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
    Ok(Sheet::new(&rows, run.world.image)?)
}

/// [`FRAMES`] frames of an episode from `start` on.
fn frames(footage: &Footage, episode: &Labels, start: usize) -> Result<Vec<u8>> {
    let mut images = Vec::new();
    let first = episode.start + start;
    footage.read(first..first + FRAMES, &mut images)?;
    Ok(images)
}
