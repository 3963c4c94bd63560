//! Noised copies of a batch: the frames that the dynamics is trained on.

use candle_core::Tensor;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use driftless_flow::objective::draw_signal;
use driftless_flow::path::expand;
use driftless_model::dynamics::{ActionTensors, step_index};

use super::batch::Batch;
use crate::Result;
use crate::context::RunContext;
use crate::random::normal_like;

/// One noised copy of a batch.
pub(super) struct NoisedCopy {
    /// Noised latents z_τ, [B, T, gh, gw, c].
    pub z: Tensor,
    /// Signal levels, f32 [B, T].
    pub tau: Tensor,
    /// Step sizes, f32 [B, T].
    pub d: Tensor,
    /// Of B sequences of T frames; some may be the unknown action.
    pub actions: ActionTensors,
}

impl NoisedCopy {
    /// Noises `batch` at random signal levels. With `shortcut`, every frame gets a random step size
    /// larger than the finest one.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn draw(
        run: &RunContext,
        batch: &Batch,
        shortcut: bool,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        let (world, settings) = (&run.world, &run.settings.dynamics);
        let (k_max, min_level) = (world.dynamics.k_max, world.flow.min_signal_level() as f32);
        let dims = batch.actions.indices.dims2()?;
        let log2_k_max = k_max.ilog2();
        let (mut tau, mut d) = (Vec::new(), Vec::new());
        for _ in 0..dims.0 * dims.1 {
            let (steps, off_grid) = if shortcut && log2_k_max > 0 {
                (1usize << rng.random_range(0..log2_k_max), 0.0)
            } else {
                (k_max, settings.off_grid_fraction)
            };
            let level = draw_signal(rng, steps, settings.pure_noise_fraction, off_grid);
            tau.push(level.max(min_level));
            d.push(1.0 / steps as f32);
        }
        let device = batch.latents.device();
        let tau = Tensor::from_vec(tau, dims, device)?;
        let noise = normal_like(&batch.latents, rng)?;
        let level = expand(&tau, &noise)?;
        Ok(Self {
            z: world
                .flow
                .path
                .interpolate(&noise, &batch.latents, &level)?,
            tau,
            d: Tensor::from_vec(d, dims, device)?,
            actions: drop_actions(&batch.actions, run, rng)?,
        })
    }
}

/// Replaces random actions by the unknown action (`action_dropout`).
fn drop_actions(
    actions: &ActionTensors,
    run: &RunContext,
    rng: &mut ChaCha8Rng,
) -> Result<ActionTensors> {
    let dropout = run.settings.dynamics.action_dropout;
    let Some(unknown) = run.world.unknown_action().filter(|_| dropout > 0.0) else {
        return Ok(actions.clone());
    };
    let mut all = actions.to_vec()?;
    for action in &mut all {
        if rng.random_bool(dropout) {
            *action = unknown.into();
        }
    }
    let (b, f) = actions.indices.dims2()?;
    let axes = run.world.axes.len();
    Ok(ActionTensors::new(
        &all,
        [b, f],
        axes,
        actions.indices.device(),
    )?)
}

/// Indices of the embeddings of step sizes: f32 [B, F] → u32 [B, F].
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
