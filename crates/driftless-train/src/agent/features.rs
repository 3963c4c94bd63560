//! Features of recorded frames: what the frozen world makes of them, each after the frames before it.

use std::num::NonZeroUsize;
use std::path::Path;

use bytemuck::cast_slice;

use driftless_agent::{Agent, FeatureShape, scale_of};
use driftless_data::Clip;
use driftless_engine::{Batch, Sampler, SamplerParams};

use crate::frame_store::{ByteStore, EpisodeLabels, FrameStore};
use crate::progress::TrainProgress;
use crate::{Error, Result};

/// Features of all frames of a store, `[frames, F]`, not standardized.
pub(super) struct FeatureStore {
    len: usize,
    bytes: ByteStore,
    /// Mean and standard deviation of each feature.
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
}

/// What features are made with.
pub(super) struct FeatureMaker<'a> {
    pub sampler: &'a Sampler,
    pub shape: FeatureShape,
    pub threads: NonZeroUsize,
    pub folder: &'a Path,
    pub memory_gib: f64,
}

impl FeatureMaker<'_> {
    /// Lets the world see every episode from its first frame on.
    ///
    /// # Errors
    /// Returns an error if the actions or frames are not the world's, or if the disk is full. `None` if
    /// `progress` asks to stop.
    pub fn features(
        &self,
        store: &FrameStore,
        progress: &mut dyn TrainProgress,
    ) -> Result<Option<FeatureStore>> {
        let threads = self.threads.get();
        let mut batch = Batch::of(self.sampler, threads, self.threads)?;
        for game in batch.games_mut() {
            Agent::attach(game)?;
        }
        let len = self.shape.len();
        let memory = self.memory_gib * f64::from(1 << 30);
        let mut bytes = ByteStore::new(self.folder, memory as u64);
        let mut moments = Moments::new(len);
        let mut done = 0;
        for episodes in store.episodes.chunks(threads) {
            if progress.should_stop() {
                return Ok(None);
            }
            let shape = self.shape;
            let made = batch.advance(|i, game| match episodes.get(i) {
                Some(episode) => of_episode(shape, game, store, episode),
                None => Ok(Vec::new()),
            })?;
            for features in made {
                moments.add(&features);
                bytes.push(cast_slice(&features))?;
            }
            done += episodes.iter().map(EpisodeLabels::frames).sum::<usize>();
            progress.encoding(done, store.frames());
        }
        let (mean, std) = moments.finish();
        Ok(Some(FeatureStore {
            len,
            bytes,
            mean,
            std,
        }))
    }
}

/// Features of the frames of an episode, `[T, F]`.
fn of_episode(
    shape: FeatureShape,
    game: &mut Sampler,
    store: &FrameStore,
    episode: &EpisodeLabels,
) -> Result<Vec<f32>> {
    let mut features = Vec::with_capacity(episode.frames() * shape.len());
    let params = SamplerParams::of_world(game.world());
    let mut image = Vec::new();
    for t in 0..episode.frames() {
        image.clear();
        store.read(episode.start + t..episode.start + t + 1, &mut image)?;
        let action = episode.actions[t];
        if t == 0 {
            let clip = Clip {
                images: image.clone(),
                actions: vec![action],
            };
            game.reset(&clip, &params)?;
        } else {
            game.give(&image, action, &params)?;
        }
        let tokens = game.tokens().unwrap_or_default();
        if !shape.read(tokens, &mut features) {
            return Err(Error::Internal("the world's tokens have another shape"));
        }
    }
    Ok(features)
}

impl FeatureStore {
    /// Appends the features of a frame to `out`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn read(&self, frame: usize, scratch: &mut Vec<u8>, out: &mut Vec<f32>) -> Result<()> {
        let size = self.len * size_of::<f32>();
        scratch.clear();
        self.bytes.read(frame * size..(frame + 1) * size, scratch)?;
        // The bytes may be at any address.
        let values = scratch.chunks_exact(size_of::<f32>());
        out.extend(values.map(bytemuck::pod_read_unaligned::<f32>));
        Ok(())
    }

    /// Standardizes features `[N, F]`, as an agent does.
    pub fn standardize(&self, features: &mut [f32]) {
        for row in features.chunks_exact_mut(self.len) {
            for ((x, mean), std) in row.iter_mut().zip(&self.mean).zip(&self.std) {
                *x = (*x - mean) * scale_of(*std);
            }
        }
    }
}

/// Sums for means and deviations.
struct Moments {
    count: usize,
    sums: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    fn new(len: usize) -> Self {
        Self {
            count: 0,
            sums: vec![0.0; len],
            squares: vec![0.0; len],
        }
    }

    fn add(&mut self, features: &[f32]) {
        for row in features.chunks_exact(self.sums.len()) {
            self.count += 1;
            let sums = self.sums.iter_mut().zip(&mut self.squares);
            for ((sum, square), x) in sums.zip(row) {
                *sum += f64::from(*x);
                *square += f64::from(*x).powi(2);
            }
        }
    }

    fn finish(self) -> (Vec<f32>, Vec<f32>) {
        let n = self.count.max(1) as f64;
        let mean = |sum: &f64| (sum / n) as f32;
        let std = |(sum, square): (&f64, &f64)| {
            let variance = square / n - (sum / n).powi(2);
            variance.max(0.0).sqrt() as f32
        };
        (
            self.sums.iter().map(mean).collect(),
            self.sums.iter().zip(&self.squares).map(std).collect(),
        )
    }
}

#[cfg(test)]
impl FeatureStore {
    /// Features of so many frames, each its number.
    pub fn counting(frames: usize) -> Self {
        let mut bytes = ByteStore::new(Path::new("unused"), u64::MAX);
        for frame in 0..frames {
            bytes.push(cast_slice(&[frame as f32])).unwrap();
        }
        Self {
            len: 1,
            bytes,
            mean: vec![0.0],
            std: vec![1.0],
        }
    }
}
