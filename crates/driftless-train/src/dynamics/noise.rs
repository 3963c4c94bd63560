//! Noised copies of a batch.

use candle_core::Tensor;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::clips::Batch;
use crate::Result;
use crate::run::Run;
use driftless_flow::objective::draw_signal;
use driftless_flow::path::expand;
use driftless_model::dynamics::step_index;

/// One noised copy of a batch.
pub(super) struct Noised {
    /// [B, T, gh, gw, c].
    pub z: Tensor,
    /// f32 [B, T].
    pub tau: Tensor,
    /// Step size, f32 [B, T].
    pub d: Tensor,
    /// u32 [B, T]; some may be unknown.
    pub actions: Tensor,
}

impl Noised {
    /// A copy of `batch` at drawn levels; `shortcut` draws a step size longer than the finest for
    /// every frame.
    ///
    /// # Errors
    /// The device failed.
    pub fn draw(run: &Run, batch: &Batch, shortcut: bool, rng: &mut ChaCha8Rng) -> Result<Self> {
        let (world, settings) = (&run.world, &run.settings.dynamics);
        let (k_max, least) = (world.dynamics.k_max, world.flow.least_level() as f32);
        let dims = batch.actions.dims2()?;
        let longest = k_max.ilog2();
        let (mut tau, mut d) = (Vec::new(), Vec::new());
        for _ in 0..dims.0 * dims.1 {
            let (steps, between) = match shortcut && longest > 0 {
                true => (1usize << rng.random_range(0..longest), 0.0),
                false => (k_max, settings.between),
            };
            let level = draw_signal(rng, steps, settings.pure_noise, between);
            tau.push(level.max(least));
            d.push(1.0 / steps as f32);
        }
        let device = batch.latents.device();
        let tau = Tensor::from_vec(tau, dims, device)?;
        let noise = normal(&batch.latents, rng)?;
        let level = expand(&tau, &noise)?;
        Ok(Self {
            z: world
                .flow
                .path
                .interpolate(&noise, &batch.latents, &level)?,
            tau,
            d: Tensor::from_vec(d, dims, device)?,
            actions: with_unknown(&batch.actions, run, rng)?,
        })
    }
}

/// Actions of which some are unknown.
fn with_unknown(actions: &Tensor, run: &Run, rng: &mut ChaCha8Rng) -> Result<Tensor> {
    let share = run.settings.dynamics.action_dropout;
    let Some(unknown) = run.world.unknown_action().filter(|_| share > 0.0) else {
        return Ok(actions.clone());
    };
    let mut all = actions.flatten_all()?.to_vec1::<u32>()?;
    for action in &mut all {
        if rng.random_bool(share) {
            *action = unknown;
        }
    }
    Ok(Tensor::from_vec(all, actions.shape(), actions.device())?)
}

/// Standard normal numbers in the shape of another tensor.
pub(super) fn normal(like: &Tensor, rng: &mut ChaCha8Rng) -> Result<Tensor> {
    let values: Vec<f32> = (0..like.elem_count())
        .map(|_| StandardNormal.sample(rng))
        .collect();
    Ok(Tensor::from_vec(values, like.shape(), like.device())?)
}

/// Step sizes [B, F] → indices of their embeddings, u32.
pub(super) fn step_indices(d: &Tensor, k_max: usize) -> Result<Tensor> {
    let (b, f) = d.dims2()?;
    let indices: Vec<u32> = d
        .flatten_all()?
        .to_vec1::<f32>()?
        .into_iter()
        .map(|d| step_index((1.0 / d).round() as usize, k_max))
        .collect();
    Ok(Tensor::from_vec(indices, (b, f), d.device())?)
}
