//! Preview pictures of a run: real frames above those that the saved checkpoint makes.

use driftless_data::contact_sheet::ContactSheet;
use driftless_engine::SamplerParams;
use driftless_engine::rollout::{rollout, windows_by_length};
use driftless_model::checkpoint::TOKENIZER;
use driftless_model::params::Params;
use driftless_model::tokenizer::{Tokenizer, images_to_tensor, tensor_to_images};

use super::TrainStage;
use super::context::RunContext;
use super::frame_store::{EpisodeLabels, FrameStore};
use super::train_loop::TrainData;
use super::training_data::TrainingData;

use crate::{Error, Result};

/// Frames per row.
const FRAMES: usize = 16;
/// Number of clips that are shown.
const ROWS: usize = 4;

/// The frames that a world is trained on.
pub(super) struct WorldData<'a> {
    pub run: &'a RunContext,
    pub data: TrainingData<'a>,
}

impl TrainData for WorldData<'_> {
    fn preview(&self, stage: TrainStage) -> Result<ContactSheet> {
        match stage {
            TrainStage::Tokenizer => tokenizer(self.run, self.data.sample()),
            _ => dynamics(self.run, self.data.sample()),
        }
    }

    fn names(&self, frames: &[usize]) -> Vec<String> {
        self.data.names(frames)
    }
}

/// Rows of real frames, each above its reconstruction by the saved tokenizer.
fn tokenizer(run: &RunContext, store: &FrameStore) -> Result<ContactSheet> {
    let params = Params::read(&run.layout.checkpoint().join(TOKENIZER), &run.device)?;
    let tokenizer = Tokenizer::new(&params, &run.world)?;
    compare(run, store, 0, &mut |episode, start| {
        let real = frames(store, episode, start)?;
        let images = images_to_tensor(&real, run.world.image, &run.device)?;
        Ok(tensor_to_images(
            &tokenizer.decode(&tokenizer.encode(&images)?)?,
        )?)
    })
}

/// Rows of real frames, each above a rollout of the saved world from the frames before and the same
/// actions, with the world's own sampler parameters.
fn dynamics(run: &RunContext, store: &FrameStore) -> Result<ContactSheet> {
    let mut engine = driftless_engine::open_on_candle(&run.layout.checkpoint(), &run.device)?;
    let params = SamplerParams::of_world(&run.world);
    compare(run, store, run.world.dynamics.context, &mut |e, start| {
        let clip = store.clip(e, start - run.world.dynamics.context..start)?;
        let actions = &e.actions[start..start + FRAMES];
        Ok(rollout(&mut engine, &clip, actions, &params)?)
    })
}

/// Pairs of rows: real frames, and those that `predict` returns for an episode and the index of the
/// first frame in it. Each has at least `before` frames before it; they are spread over the
/// dataset.
fn compare(
    run: &RunContext,
    store: &FrameStore,
    before: usize,
    predict: &mut dyn FnMut(&EpisodeLabels, usize) -> Result<Vec<u8>>,
) -> Result<ContactSheet> {
    let mut rows = Vec::new();
    let lengths = store.episodes.iter().map(EpisodeLabels::frames);
    for window in windows_by_length(lengths, before + FRAMES, ROWS)? {
        let episode = store
            .episodes
            .get(window.episode)
            .ok_or_else(|| Error::Internal("the episode index is out of range"))?;
        let start = window.start + before;
        rows.push(frames(store, episode, start)?);
        rows.push(predict(episode, start)?);
    }
    let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
    Ok(ContactSheet::new(&rows, run.world.image)?)
}

/// [`FRAMES`] frames of an episode from `start` on.
fn frames(store: &FrameStore, episode: &EpisodeLabels, start: usize) -> Result<Vec<u8>> {
    let mut images = Vec::new();
    let first = episode.start + start;
    store.read(first..first + FRAMES, &mut images)?;
    Ok(images)
}
