//! The KV cache that the engine has after running through an episode's frames, to evaluate the
//! dynamics on further frames.

use candle_core::{DType, Device, Tensor};

use driftless_data::{Action, Episode};
use driftless_engine::noise;
use driftless_engine::noise::NoisePurpose;
use driftless_flow::prediction::Prediction;
use driftless_model::cached_forward::CachedFrames;
use driftless_model::checkpoint::WorldModel;
use driftless_model::dynamics::{ActionTensors, DynamicsInput, step_index};
use driftless_model::tokenizer::images_to_tensor;

use crate::Result;

/// Frames per call of a network.
pub(super) const BATCH: usize = 16;

/// The latest frames of an episode, noised to the context's signal level, and their queries, keys
/// and values: what the engine's cache holds after the same frames.
pub(super) struct ContextCache<'a> {
    world: &'a WorldModel,
    episode: &'a Episode,
    signal: f64,
    seed: u64,
    /// Number of frames run so far. The last rows of the tensors below belong to the latest frame.
    end: usize,
    /// Noised latents [rows, gh, gw, c]; zeros before the first frame.
    latents: Tensor,
    /// Queries, keys and values of every layer with time attention, [1, rows, S, 3·w].
    qkv: Vec<Tensor>,
    /// Delta states after each row's frame, of every layer with one, [1, rows, S, heads, d, d].
    states: Vec<Tensor>,
}

/// Frames after those in the cache, each conditioned on the frames before it.
pub(super) struct ConditionedFrames<'a> {
    cache: &'a ContextCache<'a>,
    /// The latents before each frame, [N, 1, gh, gw, stem_frames·c].
    past: Tensor,
    /// Of N sequences of one frame.
    actions: ActionTensors,
    /// What the frames before left: [N, context − 1, S, 3·w] and [N, S, heads, d, d].
    before: CachedFrames,
}

impl<'a> ContextCache<'a> {
    /// An empty cache; `signal` and `seed` as in the engine's parameters.
    pub fn new(
        world: &'a WorldModel,
        episode: &'a Episode,
        signal: f64,
        seed: u64,
    ) -> Result<Self> {
        let ([gh, gw], c) = (world.config.grid(), world.config.tokenizer.channels);
        let shape = (world.config.dynamics.stem_frames, gh, gw, c);
        let device = world.dynamics.device();
        Ok(Self {
            latents: Tensor::zeros(shape, DType::F32, device)?,
            world,
            episode,
            signal,
            seed,
            end: 0,
            qkv: Vec::new(),
            states: Vec::new(),
        })
    }

    pub fn device(&self) -> &'a Device {
        self.world.dynamics.device()
    }

    /// Number of earlier frames that time attention sees.
    fn window(&self) -> usize {
        self.world.config.dynamics.context - 1
    }

    /// Adds the frames up to `end` (exclusive), and drops those that no frame from `needed` on
    /// sees.
    pub fn advance(&mut self, needed: usize, end: usize) -> Result<()> {
        while self.end < end {
            self.drop_before(needed.min(self.end))?;
            let next = end.min(self.end + BATCH);
            self.run(&(self.end..next).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn drop_before(&mut self, needed: usize) -> Result<()> {
        let rows = self.end - needed + self.window();
        let tail = |x: &Tensor, dim: usize| -> Result<Tensor> {
            let rows = rows.min(x.dim(dim)?);
            Ok(x.narrow(dim, x.dim(dim)? - rows, rows)?.contiguous()?)
        };
        self.latents = tail(&self.latents, 0)?;
        for rows in self.qkv.iter_mut().chain(&mut self.states) {
            *rows = tail(rows, 1)?;
        }
        Ok(())
    }

    /// Adds the next frames.
    fn run(&mut self, frames: &[usize]) -> Result<()> {
        let of_frame = |&t: &usize| self.episode.frame(t);
        let images: Vec<u8> = frames.iter().flat_map(of_frame).copied().collect();
        let mut z = self.encode(&images)?;
        if self.signal < 1.0 {
            let mut noise = vec![0.0; z.elem_count()];
            let frame_noise = noise.chunks_exact_mut(self.world.config.latent_len());
            for (frame_noise, &t) in frame_noise.zip(frames) {
                noise::fill(frame_noise, self.seed, t as u64, NoisePurpose::Context);
            }
            let at = self.world.config.flow.path.at(self.signal)?;
            let noise = Tensor::from_vec(noise, z.shape(), self.device())?;
            z = ((z * at.alpha)? + (noise * at.sigma)?)?;
        }
        self.latents = Tensor::cat(&[&self.latents, &z], 0)?;
        self.end += frames.len();
        if self.window() == 0 {
            return Ok(());
        }
        let actions: Vec<Action> = frames.iter().map(|&t| self.episode.action(t)).collect();
        let actions = self.actions(&actions, [1, frames.len()])?;
        let past = self.past(frames)?.unsqueeze(0)?;
        let input = self.input(z.unsqueeze(0)?, past, actions, self.signal)?;
        let last = |states: &Tensor| -> Result<Tensor> {
            Ok(states.narrow(1, states.dim(1)? - 1, 1)?.squeeze(1)?)
        };
        let cached = CachedFrames {
            qkv: self.qkv.clone(),
            states: self.states.iter().map(last).collect::<Result<_>>()?,
        };
        let (_, new) = self.world.dynamics.cached_forward(&input, &cached)?;
        append(&mut self.qkv, new.qkv)?;
        append(&mut self.states, new.states)
    }

    /// u8 RGB [N, H, W, 3] → standardized latents [N, gh, gw, c].
    pub fn encode(&self, images: &[u8]) -> Result<Tensor> {
        let images = images_to_tensor(images, self.world.config.image, self.device())?;
        Ok(self.world.tokenizer.encode(&images)?)
    }

    /// The `stem_frames` latents before each of `frames`, latest first: [N, gh, gw, stem_frames·c].
    fn past(&self, frames: &[usize]) -> Result<Tensor> {
        let rows = self.latents.dim(0)?;
        let before = |back: usize| -> Result<Tensor> {
            let row = |&t: &usize| (rows + t - back - self.end) as u32;
            let rows: Vec<u32> = frames.iter().map(row).collect();
            let rows = Tensor::from_vec(rows, frames.len(), self.device())?;
            Ok(self.latents.index_select(&rows, 0)?)
        };
        let stem = self.world.config.dynamics.stem_frames;
        if stem == 0 {
            let [gh, gw] = self.world.config.grid();
            let empty = (frames.len(), gh, gw, 0);
            return Ok(Tensor::zeros(empty, DType::F32, self.device())?);
        }
        let all = (1..=stem).map(before).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&all, 3)?)
    }

    /// For tests: (past, noised latents) of the first `frames` frames, all of which are in the
    /// cache.
    #[cfg(test)]
    pub fn whole(&self, frames: usize) -> Result<(Tensor, Tensor)> {
        let rows = self.latents.dim(0)?;
        let own = self.latents.narrow(0, rows - frames, frames)?;
        Ok((self.past(&(0..frames).collect::<Vec<_>>())?, own))
    }

    /// The input of the dynamics at the finest step size: z [B, F, gh, gw, c] at signal level
    /// `tau`.
    fn input(
        &self,
        z: Tensor,
        past: Tensor,
        actions: ActionTensors,
        tau: f64,
    ) -> Result<DynamicsInput> {
        let shape = actions.indices.dims2()?;
        let finest = step_index(usize::MAX, self.world.config.dynamics.k_max);
        Ok(DynamicsInput {
            memory: None,
            latents: z,
            past,
            actions,
            signal: Tensor::full(tau as f32, shape, self.device())?,
            steps: Tensor::full(finest, shape, self.device())?,
        })
    }

    fn actions(&self, actions: &[Action], shape: [usize; 2]) -> Result<ActionTensors> {
        let axes = self.world.config.axes.len();
        Ok(ActionTensors::new(actions, shape, axes, self.device())?)
    }

    /// Frames under the `actions` that lead to them, each conditioned on the frames before it.
    ///
    /// The cache must hold context − 1 frames before each.
    pub fn condition(
        &'a self,
        frames: &[usize],
        actions: &[Action],
    ) -> Result<ConditionedFrames<'a>> {
        let window = self.window();
        // The `count` rows before each frame.
        let before = |x: &Tensor, count: usize| -> Result<Tensor> {
            let rows = x.dim(1)?;
            let rows_before = |&t: &usize| x.narrow(1, rows + t - count - self.end, count);
            let all: Vec<Tensor> = frames
                .iter()
                .map(rows_before)
                .collect::<candle_core::Result<_>>()?;
            Ok(Tensor::cat(&all, 0)?)
        };
        let qkv = self.qkv.iter().map(|qkv| before(qkv, window));
        let states = self.states.iter();
        let states = states.map(|states| Ok(before(states, 1)?.squeeze(1)?));
        Ok(ConditionedFrames {
            past: self.past(frames)?.unsqueeze(1)?,
            actions: self.actions(actions, [frames.len(), 1])?,
            before: CachedFrames {
                qkv: qkv.collect::<Result<_>>()?,
                states: states.collect::<Result<_>>()?,
            },
            cache: self,
        })
    }
}

/// Appends new rows to those of every layer.
fn append(rows: &mut Vec<Tensor>, new: Vec<Tensor>) -> Result<()> {
    if rows.is_empty() {
        *rows = new;
        return Ok(());
    }
    for (rows, new) in rows.iter_mut().zip(new) {
        *rows = Tensor::cat(&[&*rows, &new], 1)?;
    }
    Ok(())
}

impl ConditionedFrames<'_> {
    /// The velocity at z [N, gh, gw, c] and a signal level below 1. Differentiable.
    pub fn velocity(&self, z: &Tensor, tau: f64) -> Result<Tensor> {
        let (past, actions) = (self.past.clone(), self.actions.clone());
        let input = self.cache.input(z.unsqueeze(1)?, past, actions, tau)?;
        let world = self.cache.world;
        let (output, _) = world.dynamics.cached_forward(&input, &self.before)?;
        let flow = world.config.flow;
        let level = Tensor::full(tau as f32, (1, 1, 1, 1), z.device())?;
        let at = flow.path.coefficients(&level)?;
        let output = output.squeeze(1)?;
        Ok(flow.prediction.convert(Prediction::V, &output, z, &at)?)
    }
}
