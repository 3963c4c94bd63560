//! The denoiser: predicts a clean frame from a noisy one, the frames and actions before, and the noise level.

use std::f32::consts::TAU;

use driftless_engine::Backend;
use driftless_model::simd::sigmoid;

use crate::blocks::{BlockBuilder, Linear, ModulationBuilder};
use crate::map::{COLOURS, Compute, Map};
use crate::network::Network;
use crate::network_weights::NetworkWeights;
use crate::weights::Weights;
use crate::{Error, Result};

/// Standard deviation of the frames.
pub const SIGMA_DATA: f64 = 0.5;
/// Standard deviation of the noise that training adds to whole channels; it widens every noise level.
pub const SIGMA_OFFSET: f64 = 0.3;

/// EDM's preconditioning at a noise level σ (Karras et al., *Elucidating the Design Space of Diffusion-Based
/// Generative Models*, 2022, table 1), with σ² widened by [`SIGMA_OFFSET`]².
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preconditioning {
    /// Scales the noisy frame on its way into the network.
    pub c_in: f32,
    /// Scales what the network predicts.
    pub c_out: f32,
    /// Scales the noisy frame beside it.
    pub c_skip: f32,
    /// What the network is told of the noise level.
    pub c_noise: f32,
}

impl Preconditioning {
    /// At the noise level `sigma`.
    pub fn at(sigma: f64) -> Self {
        let variance = sigma * sigma + SIGMA_OFFSET * SIGMA_OFFSET;
        let total = variance + SIGMA_DATA * SIGMA_DATA;
        let c_skip = SIGMA_DATA * SIGMA_DATA / total;
        Self {
            c_in: (1.0 / total.sqrt()) as f32,
            c_out: (variance.sqrt() * c_skip.sqrt()) as f32,
            c_skip: c_skip as f32,
            c_noise: (variance.sqrt().ln() / 4.0) as f32,
        }
    }
}

/// The nearest of 256 levels below, in [−1, 1]: what a frame loses when it is shown.
pub(crate) fn quantize(value: f32) -> u8 {
    ((value.clamp(-1.0, 1.0) + 1.0) / 2.0 * 255.0) as u8
}

/// The value of a level.
pub(crate) fn level(byte: u8) -> f32 {
    f32::from(byte) / 255.0 * 2.0 - 1.0
}

/// What does not change between the passes over a frame.
pub(crate) struct FrameCondition {
    /// The past frames, divided by σ_data.
    past: Map,
    /// For each noise level, the gains and offsets of all blocks.
    modulations: Vec<f32>,
    sigmas: Vec<f64>,
}

/// The network with its preconditioning.
pub(crate) struct Denoiser {
    size: [usize; 2],
    /// Number of past frames.
    past: usize,
    /// [1, condition / 2].
    fourier: Vec<f32>,
    /// [actions, condition / past].
    actions: Vec<f32>,
    action_count: usize,
    projection: [Linear; 2],
    modulation: Linear,
    network: Network,
}

impl Denoiser {
    /// Takes the weights of `name` for frames of `size`, to compute on `backend`.
    pub(crate) fn new(
        weights: &mut Weights,
        name: &str,
        size: [usize; 2],
        backend: &Backend,
    ) -> Result<Self> {
        let part = |part: &str| format!("{name}.{part}");
        let fourier = weights.take(&part("noise_emb.weight"), 2)?;
        let condition = 2 * fourier.values.len();
        let actions = weights.take(&part("act_emb.0.weight"), 2)?;
        let [action_count, embedding] = [actions.shape[0], actions.shape[1]];
        let past = condition / embedding;
        if past == 0 || past * embedding != condition {
            let expected = format!("a width that divides {condition}");
            return Err(weights.wrong(&part("act_emb.0.weight"), &actions.shape, &expected));
        }
        let projection = [
            square(weights, &part("cond_proj.0"), condition)?,
            square(weights, &part("cond_proj.2"), condition)?,
        ];
        let mut builder = BlockBuilder {
            weights,
            modulation: ModulationBuilder::default(),
            condition,
        };
        let network = NetworkWeights::take(&mut builder, name, size, past)?;
        let modulation = builder.modulation.build();
        let network = Network::new(network, backend)?;
        Ok(Self {
            size,
            past,
            fourier: fourier.values,
            actions: actions.values,
            action_count,
            projection,
            modulation,
            network,
        })
    }

    /// Number of past frames that it sees.
    pub(crate) fn past(&self) -> usize {
        self.past
    }

    pub(crate) fn actions(&self) -> usize {
        self.action_count
    }

    /// What computes the network.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    pub(crate) fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Prepares the passes over a frame, which come before those over another one: `past` holds the past frames u8 RGB
    /// `[past, H, W, 3]`, oldest first, and `actions` the action taken at each.
    pub(crate) fn condition(
        &self,
        compute: &Compute,
        past: &[u8],
        actions: &[u32],
        sigmas: &[f64],
    ) -> FrameCondition {
        let channels = self.past * COLOURS;
        let pixels = self.size[0] * self.size[1];
        let mut map = Map {
            size: self.size,
            channels,
            data: vec![0.0; pixels * channels],
            sums: Vec::new(),
        };
        let scale = (1.0 / SIGMA_DATA) as f32;
        for (frame, image) in past.chunks_exact(pixels * COLOURS).enumerate() {
            let to = map.data.chunks_exact_mut(channels);
            for (to, from) in to.zip(image.as_chunks::<COLOURS>().0) {
                let to = &mut to[frame * COLOURS..][..COLOURS];
                for (to, from) in to.iter_mut().zip(from) {
                    *to = scale * level(*from);
                }
            }
        }
        let embeddings: Vec<f32> = actions
            .iter()
            .flat_map(|&a| self.embedding(a))
            .copied()
            .collect();
        let mut inputs = Vec::new();
        for &sigma in sigmas {
            let c_noise = Preconditioning::at(sigma).c_noise;
            let angles = self.fourier.iter().map(|w| TAU * c_noise * w);
            let noise = angles.clone().map(f32::cos).chain(angles.map(f32::sin));
            inputs.extend(noise.zip(&embeddings).map(|(noise, action)| noise + action));
        }
        self.network.begin_frame(&map);
        let workers = &compute.workers;
        let mut hidden = self.projection[0].apply(workers, &inputs);
        silu(&mut hidden);
        let condition = self.projection[1].apply(workers, &hidden);
        FrameCondition {
            past: map,
            modulations: self.modulation.apply(workers, &condition),
            sigmas: sigmas.to_vec(),
        }
    }

    fn embedding(&self, action: u32) -> &[f32] {
        let width = self.actions.len() / self.action_count;
        &self.actions[action as usize * width..][..width]
    }

    /// What the network itself predicts from `noisy` `[H, W, 3]` at one of the condition's noise levels.
    pub(crate) fn predict(
        &self,
        compute: &mut Compute,
        noisy: &[f32],
        frame: &FrameCondition,
        level: usize,
    ) -> Result<Map> {
        let preconditioning = Preconditioning::at(frame.sigmas[level]);
        let width = frame.modulations.len() / frame.sigmas.len();
        let modulation = &frame.modulations[level * width..][..width];
        let mut scaled = compute.map(self.size, COLOURS);
        for (scaled, noisy) in scaled.data.iter_mut().zip(noisy) {
            *scaled = preconditioning.c_in * noisy;
        }
        let predicted = self
            .network
            .predict(compute, &frame.past, &scaled, modulation);
        compute.give(scaled);
        predicted
    }

    /// The clean frame that `noisy` comes from, in 256 levels of [−1, 1].
    ///
    /// # Errors
    /// Returns an error if a number is not finite.
    pub(crate) fn denoise(
        &self,
        compute: &mut Compute,
        noisy: &[f32],
        frame: &FrameCondition,
        at: usize,
    ) -> Result<Vec<f32>> {
        let preconditioning = Preconditioning::at(frame.sigmas[at]);
        let predicted = self.predict(compute, noisy, frame, at)?;
        let Preconditioning { c_skip, c_out, .. } = preconditioning;
        let clean = noisy.iter().zip(&predicted.data);
        let clean = clean.map(|(noisy, predicted)| c_skip * noisy + c_out * predicted);
        let clean: Option<Vec<f32>> = clean
            .map(|value| value.is_finite().then(|| level(quantize(value))))
            .collect();
        compute.give(predicted);
        clean.ok_or(Error::NotFinite)
    }
}

/// A linear map from and to vectors of a length.
fn square(weights: &mut Weights, name: &str, len: usize) -> Result<Linear> {
    let affine = weights.linear(name, Some(len))?;
    if affine.outputs() != len {
        let expected = format!("{len} outputs");
        return Err(weights.wrong(&format!("{name}.weight"), &affine.shape, &expected));
    }
    Ok(Linear::new(&affine))
}

pub(crate) fn silu(x: &mut [f32]) {
    for x in x {
        *x *= sigmoid::<false>(*x);
    }
}
