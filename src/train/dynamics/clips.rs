//! Batches of windows of latents.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::noise::normal;
use crate::flow::path::expand;
use crate::model::checkpoint::TOKENIZER;
use crate::model::config::WorldConfig;
use crate::model::tokenizer::{Tokenizer, images_to_tensor};
use crate::train::cpu::encode::FrameEncoder;
use crate::train::footage::{Footage, Store};
use crate::train::progress;
use crate::train::run::Run;
use crate::train::settings::DynamicsSettings;
use crate::{Error, Result};

/// Frames encoded at once.
const ENCODE: usize = 64;

/// Latents and actions of a batch of windows, and their clean copy at levels near 1.
pub(super) struct Batch {
    /// [B, T, gh, gw, c].
    pub latents: Tensor,
    /// u32 [B, T].
    pub actions: Tensor,
    /// f32 [B, T].
    pub rewards: Tensor,
    /// 1 where an episode ends for good, f32 [B, T].
    pub ends: Tensor,
    /// The clean copy's latents and levels.
    pub context: Tensor,
    pub context_signal: Tensor,
    /// The `stem_frames` frames of the clean copy before each frame, latest first.
    pub past: Tensor,
    /// 1 for frames that count: those whose whole stem past lies in the window.
    pub mask: Tensor,
}

/// Where the windows of a run's footage lie, and its frames as latents.
pub(super) struct Clips<'a> {
    run: &'a Run,
    settings: &'a DynamicsSettings,
    footage: &'a Footage,
    /// Latents of all frames, f32.
    latents: Store,
    /// (episode, start) of every window, of usual and of long ones.
    windows: [Vec<(usize, usize)>; 2],
}

impl<'a> Clips<'a> {
    /// Encodes all frames.
    ///
    /// # Errors
    /// No episode is as long as a window; the device or the file of the latents failed.
    pub fn new(run: &'a Run, footage: &'a Footage, tokenizer: &Tokenizer) -> Result<Self> {
        let settings = &run.settings.dynamics;
        let long = match settings.long_every {
            0 => Vec::new(),
            _ => windows(footage, settings.long_frames)?,
        };
        Ok(Self {
            run,
            settings,
            footage,
            windows: [windows(footage, settings.frames)?, long],
            latents: encode(tokenizer, footage, run)?,
        })
    }

    /// Whether the step trains on long sequences.
    fn is_long(&self, step: u64) -> bool {
        let every = self.settings.long_every;
        every > 0 && step % every == every - 1
    }

    /// Sequences and frames of each at a step: long sequences are fewer, so that it costs the same.
    pub fn size(&self, step: u64) -> (usize, usize) {
        let s = self.settings;
        match self.is_long(step) {
            true => ((s.batch * s.frames / s.long_frames).max(1), s.long_frames),
            false => (s.batch, s.frames),
        }
    }

    /// Windows drawn for a step.
    ///
    /// # Errors
    /// The device or the file of the latents failed.
    pub fn batch(&self, step: u64, rng: &mut ChaCha8Rng) -> Result<Batch> {
        let (world, (b, frames)) = (&self.run.world, self.size(step));
        let windows = &self.windows[usize::from(self.is_long(step))];
        let len = world.latent_len() * size_of::<f32>();
        let mut latents = Vec::with_capacity(b * frames * len);
        let (mut actions, mut rewards, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..b {
            let (i, start) = windows[rng.random_range(0..windows.len())];
            let episode = &self.footage.episodes[i];
            let first = (episode.start + start) * len;
            self.latents
                .read(first..first + frames * len, &mut latents)?;
            let range = start..start + frames;
            actions.extend_from_slice(&episode.actions[range.clone()]);
            rewards.extend_from_slice(&episode.rewards[range.clone()]);
            ends.extend_from_slice(&episode.ends[range]);
        }
        let device = &self.run.device;
        let shape = latent_shape(world, b, frames);
        let latents = Tensor::from_raw_buffer(&latents, DType::F32, &shape, device)?;
        let lowest = self.settings.context_signal as f32;
        let signal: Vec<f32> = (0..b * frames)
            .map(|_| rng.random_range(lowest..1.0))
            .collect();
        let context_signal = Tensor::from_vec(signal, (b, frames), device)?;
        let noise = normal(&latents, rng)?;
        let level = expand(&context_signal, &latents)?;
        let path = world.flow.path;
        let context = path.interpolate(&noise, &latents, &level)?;
        let stem = world.dynamics.stem_frames;
        let mask: Vec<f32> = (0..b * frames)
            .map(|i| if i % frames < stem.max(1) { 0.0 } else { 1.0 })
            .collect();
        Ok(Batch {
            actions: Tensor::from_vec(actions, (b, frames), device)?,
            rewards: Tensor::from_vec(rewards, (b, frames), device)?,
            ends: Tensor::from_vec(ends, (b, frames), device)?,
            past: past_frames(&context, stem)?,
            mask: Tensor::from_vec(mask, (b, frames), device)?,
            latents,
            context,
            context_signal,
        })
    }
}

/// (episode, start) of every window of so many frames.
fn windows(footage: &Footage, frames: usize) -> Result<Vec<(usize, usize)>> {
    let episodes = footage.episodes.iter().enumerate();
    let windows: Vec<_> = episodes
        .flat_map(|(i, episode)| {
            let starts = (episode.frames() + 1).saturating_sub(frames);
            (0..starts).map(move |start| (i, start))
        })
        .collect();
    match windows.is_empty() {
        true => Err(Error::Argument(format!(
            "no episode has the {frames} frames that the settings ask for"
        ))),
        false => Ok(windows),
    }
}

/// The latents of all frames, f32.
fn encode(tokenizer: &Tokenizer, footage: &Footage, run: &Run) -> Result<Store> {
    let memory = run.settings.memory_gib * f64::from(1 << 30);
    let mut latents = Store::new(&run.out, memory as u64);
    let bar = progress::bar("encoding", footage.frames() as u64, 0);
    let mut fast = match run.device.is_cpu() {
        true => Some(FrameEncoder::new(&run.world, &stored(run)?)?),
        false => None,
    };
    let mut images = Vec::new();
    for first in (0..footage.frames()).step_by(ENCODE) {
        let end = footage.frames().min(first + ENCODE);
        images.clear();
        footage.read(first..end, &mut images)?;
        let z = match &mut fast {
            Some(encoder) => encoder.encode(&images)?,
            None => {
                let images = images_to_tensor(&images, run.world.image, &run.device)?;
                let z = tokenizer.encode(&images)?.to_device(&Device::Cpu)?;
                z.flatten_all()?.to_vec1::<f32>()?
            }
        };
        let bytes: Vec<u8> = z.iter().flat_map(|x| x.to_ne_bytes()).collect();
        latents.push(&bytes)?;
        bar.set_position(end as u64);
    }
    bar.finish_and_clear();
    Ok(latents)
}

/// The parameters of the run's tokenizer.
fn stored(run: &Run) -> Result<BTreeMap<String, Var>> {
    let path = run.checkpoint().join(TOKENIZER);
    let tensors = candle_core::safetensors::load(&path, &run.device)?;
    let vars = tensors
        .into_iter()
        .map(|(name, tensor)| Ok((name, Var::from_tensor(&tensor)?)));
    vars.collect()
}

fn latent_shape(world: &WorldConfig, b: usize, frames: usize) -> Vec<usize> {
    let [gh, gw] = world.grid();
    vec![b, frames, gh, gw, world.tokenizer.channels]
}

/// The `count` frames before each, latest first, zeros before the first:
/// [B, T, gh, gw, c] → [B, T, gh, gw, count·c].
pub(super) fn past_frames(x: &Tensor, count: usize) -> Result<Tensor> {
    let t = x.dim(1)?;
    let earlier = (1..=count)
        .map(|n| {
            let n = n.min(t);
            Ok(x.narrow(1, 0, t - n)?.pad_with_zeros(1, n, 0)?)
        })
        .collect::<Result<Vec<_>>>()?;
    if earlier.is_empty() {
        return Ok(x.narrow(4, 0, 0)?);
    }
    Ok(Tensor::cat(&earlier, 4)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_latest_first_and_zero_before_the_start() {
        let x = Tensor::new(&[1f32, 2.0, 3.0], &Device::Cpu).unwrap();
        let x = x.reshape((1, 3, 1, 1, 1)).unwrap();
        let past = past_frames(&x, 2).unwrap().flatten_all().unwrap();
        let past: Vec<f32> = past.to_vec1().unwrap();
        assert_eq!(past, [0.0, 0.0, 1.0, 0.0, 2.0, 1.0]);
    }
}
