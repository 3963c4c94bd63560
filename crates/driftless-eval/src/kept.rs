//! The frames of an episode as the engine keeps them while it runs along, and frames given these.

use candle_core::{DType, Device, Tensor};

use crate::Result;
use driftless_data::Episode;
use driftless_engine::noise;
use driftless_engine::noise::Use;
use driftless_flow::prediction::Prediction;
use driftless_model::checkpoint::World;
use driftless_model::dynamics::{DynamicsInput, step_index};
use driftless_model::tokenizer::images_to_tensor;

/// Frames that pass through a network at once.
pub(super) const BATCH: usize = 16;

/// The latest frames of an episode, each blurred to the context's signal level and run once with
/// the frames before it in sight: what the engine's cache holds after the same frames.
pub(super) struct Kept<'a> {
    world: &'a World,
    episode: &'a Episode,
    signal: f64,
    seed: u64,
    /// Frames run so far; the last rows of the tensors below belong to the latest.
    frames: usize,
    /// Blurred latents [rows, gh, gw, c]; zeros before the first frame.
    latents: Tensor,
    /// Of every layer that attends over time the queries, keys and values [1, rows, S, 3·w].
    seen: Vec<Tensor>,
}

/// Frames of an episode after those that are kept, each on its own.
pub(super) struct Given<'a> {
    kept: &'a Kept<'a>,
    /// [N, 1, gh, gw, stem_frames·c].
    past: Tensor,
    /// u32 [N, 1].
    actions: Tensor,
    /// Of every layer that attends over time [N, context − 1, S, 3·w].
    earlier: Vec<Tensor>,
}

impl<'a> Kept<'a> {
    /// Before the first frame; `signal` and `seed` as in the engine's parameters.
    pub fn new(world: &'a World, episode: &'a Episode, signal: f64, seed: u64) -> Result<Self> {
        let ([gh, gw], c) = (world.config.grid(), world.config.tokenizer.channels);
        let shape = (world.config.dynamics.stem_frames, gh, gw, c);
        let device = world.dynamics.position.device();
        Ok(Self {
            latents: Tensor::zeros(shape, DType::F32, device)?,
            world,
            episode,
            signal,
            seed,
            frames: 0,
            seen: Vec::new(),
        })
    }

    pub fn device(&self) -> &'a Device {
        self.world.dynamics.position.device()
    }

    /// Earlier frames that time attention sees.
    fn window(&self) -> usize {
        self.world.config.dynamics.context - 1
    }

    /// Runs along to frame `end` (excluded) and forgets what no frame from `needed` on sees.
    pub fn advance(&mut self, needed: usize, end: usize) -> Result<()> {
        while self.frames < end {
            self.forget(needed.min(self.frames))?;
            let next = end.min(self.frames + BATCH);
            self.run(&(self.frames..next).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn forget(&mut self, needed: usize) -> Result<()> {
        let rows = self.frames - needed + self.window();
        let tail = |x: &Tensor, dim: usize| -> Result<Tensor> {
            let rows = rows.min(x.dim(dim)?);
            Ok(x.narrow(dim, x.dim(dim)? - rows, rows)?.contiguous()?)
        };
        self.latents = tail(&self.latents, 0)?;
        for seen in &mut self.seen {
            *seen = tail(seen, 1)?;
        }
        Ok(())
    }

    /// Adds the next frames.
    fn run(&mut self, frames: &[usize]) -> Result<()> {
        let of_frame = |&t: &usize| self.episode.frame(t);
        let images: Vec<u8> = frames.iter().flat_map(of_frame).copied().collect();
        let mut z = self.encode(&images)?;
        if self.signal < 1.0 {
            let mut all = vec![0.0; z.elem_count()];
            let each = all.chunks_exact_mut(self.world.config.latent_len());
            for (noise, &t) in each.zip(frames) {
                noise::fill(noise, self.seed, t as u64, Use::Context);
            }
            let at = self.world.config.flow.path.at(self.signal)?;
            let noise = Tensor::from_vec(all, z.shape(), self.device())?;
            z = ((z * at.alpha)? + (noise * at.sigma)?)?;
        }
        self.latents = Tensor::cat(&[&self.latents, &z], 0)?;
        self.frames += frames.len();
        if self.window() == 0 {
            return Ok(());
        }
        let actions: Vec<u32> = frames.iter().map(|&t| self.episode.actions[t]).collect();
        let actions = Tensor::from_vec(actions, (1, frames.len()), self.device())?;
        let past = self.past(frames)?.unsqueeze(0)?;
        let input = self.input(z.unsqueeze(0)?, past, actions, self.signal)?;
        let (_, own) = self.world.dynamics.forward_after(&input, &self.seen)?;
        self.seen = match self.seen.is_empty() {
            true => own,
            false => {
                let pairs = self.seen.iter().zip(&own);
                let longer = pairs.map(|(seen, own)| Ok(Tensor::cat(&[seen, own], 1)?));
                longer.collect::<Result<_>>()?
            }
        };
        Ok(())
    }

    /// u8 RGB [N, H, W, 3] → standardised latents [N, gh, gw, c].
    pub fn encode(&self, images: &[u8]) -> Result<Tensor> {
        let images = images_to_tensor(images, self.world.config.image, self.device())?;
        Ok(self.world.tokenizer.encode(&images)?)
    }

    /// The `stem_frames` frames before each of `frames`, latest first [N, gh, gw, stem_frames·c].
    fn past(&self, frames: &[usize]) -> Result<Tensor> {
        let rows = self.latents.dim(0)?;
        let before = |back: usize| -> Result<Tensor> {
            let row = |&t: &usize| (rows + t - back - self.frames) as u32;
            let rows: Vec<u32> = frames.iter().map(row).collect();
            let rows = Tensor::from_vec(rows, frames.len(), self.device())?;
            Ok(self.latents.index_select(&rows, 0)?)
        };
        let stem = self.world.config.dynamics.stem_frames;
        if stem == 0 {
            let [gh, gw] = self.world.config.grid();
            let none = (frames.len(), gh, gw, 0);
            return Ok(Tensor::zeros(none, DType::F32, self.device())?);
        }
        let all = (1..=stem).map(before).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&all, 3)?)
    }

    /// For tests: (past, blurred latents) of the first `frames` frames, of which all are kept.
    #[cfg(test)]
    pub fn whole(&self, frames: usize) -> Result<(Tensor, Tensor)> {
        let rows = self.latents.dim(0)?;
        let own = self.latents.narrow(0, rows - frames, frames)?;
        Ok((self.past(&(0..frames).collect::<Vec<_>>())?, own))
    }

    /// What the dynamics is asked, at the finest step size: z [B, F, gh, gw, c] at one level.
    fn input(&self, z: Tensor, past: Tensor, actions: Tensor, tau: f64) -> Result<DynamicsInput> {
        let shape = actions.dims2()?;
        let finest = step_index(usize::MAX, self.world.config.dynamics.k_max);
        Ok(DynamicsInput {
            latents: z,
            past,
            actions,
            signal: Tensor::full(tau as f32, shape, self.device())?,
            steps: Tensor::full(finest, shape, self.device())?,
        })
    }

    /// `frames` under the `actions` that lead to them, given the kept frames before each.
    ///
    /// Each has at least context − 1 frames before it; these are kept.
    pub fn given(&'a self, frames: &[usize], actions: Vec<u32>) -> Result<Given<'a>> {
        let window = self.window();
        let earlier = |seen: &Tensor| -> Result<Tensor> {
            let rows = seen.dim(1)?;
            let own = |&t: &usize| seen.narrow(1, rows + t - window - self.frames, window);
            let all: Vec<Tensor> = frames.iter().map(own).collect::<candle_core::Result<_>>()?;
            Ok(Tensor::cat(&all, 0)?)
        };
        Ok(Given {
            past: self.past(frames)?.unsqueeze(1)?,
            actions: Tensor::from_vec(actions, (frames.len(), 1), self.device())?,
            earlier: self.seen.iter().map(earlier).collect::<Result<_>>()?,
            kept: self,
        })
    }
}

impl Given<'_> {
    /// The velocity of the frames' own z [N, gh, gw, c] at a signal level below 1, differentiable.
    pub fn velocity(&self, z: &Tensor, tau: f64) -> Result<Tensor> {
        let (past, actions) = (self.past.clone(), self.actions.clone());
        let input = self.kept.input(z.unsqueeze(1)?, past, actions, tau)?;
        let world = self.kept.world;
        let (output, _) = world.dynamics.forward_after(&input, &self.earlier)?;
        let flow = world.config.flow;
        let level = Tensor::full(tau as f32, (1, 1, 1, 1), z.device())?;
        let at = flow.path.coefficients(&level)?;
        let output = output.squeeze(1)?;
        Ok(flow.prediction.convert(Prediction::V, &output, z, &at)?)
    }
}
