//! An agent's file: its three networks, and what they say about themselves.

use std::path::Path;
use std::time::{Duration, Instant};

use driftless_engine::kernels::{Workers, fastest_threads};
use driftless_engine::{Backend, Threads};

use crate::actor_critic::ActorCritic;
use crate::denoiser::{Denoiser, FrameCondition, Preconditioning};
use crate::lstm::LstmState;
use crate::map::Compute;
use crate::reward_end::RewardEndModel;
use crate::sampler::sample;
use crate::weights::Weights;
use crate::{EdmParams, Error, Policy, Result, RewardEnd};

const DENOISER: &str = "denoiser.inner_model";
const REWARD_END: &str = "rew_end_model";
const ACTOR_CRITIC: &str = "actor_critic";

/// Sides of frames that are tried to explain the size of the reward model's memory.
const SIDES: [usize; 6] = [8, 16, 32, 64, 128, 256];

/// Passes that are timed with each number of threads.
const PASSES: usize = 3;

/// What an agent's file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentInfo {
    /// Height and width of frames in pixels.
    pub image: [usize; 2],
    /// Number of actions.
    pub actions: usize,
    /// Past frames that the denoiser sees.
    pub past: usize,
    /// Numbers in the denoiser, the reward and end model, and the actor-critic.
    pub parameters: [usize; 3],
}

impl AgentInfo {
    /// Bytes of a frame, u8 RGB.
    pub fn image_len(&self) -> usize {
        self.image[0] * self.image[1] * crate::map::COLOURS
    }
}

/// A DIAMOND Atari agent: denoiser, reward and end model, and actor-critic.
pub struct Agent {
    info: AgentInfo,
    denoiser: Denoiser,
    reward_end: RewardEndModel,
    actor_critic: ActorCritic,
    compute: Compute,
}

/// Frames and the action taken at each, oldest first, from which the next frame is predicted.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// u8 RGB `[past, H, W, 3]`.
    pub images: &'a [u8],
    /// One for each frame; the last one leads to the frame to be predicted.
    pub actions: &'a [u32],
}

impl Agent {
    /// Reads an agent's file, as `torch.save` writes its state dict, to compute on the CPU. Widths come from the weights.
    /// Nothing in the file is executed.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or if it does not hold just the weights of a DIAMOND Atari agent.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_on(path, &Backend::Cpu(Threads::ONE))
    }

    /// The same with the denoiser on `backend`: a GPU through wgpu, or else the CPU. The other networks, which are
    /// cheap beside it, stay on the CPU, on one thread.
    ///
    /// # Errors
    /// As [`Self::read`]; also if the network does not fit on the device, or if the device fails.
    pub fn read_on(path: &Path, backend: &Backend) -> Result<Self> {
        let mut weights = Weights::read(path)?;
        check_kind(&weights)?;
        let size = image_size(&weights)?;
        let mut left = weights.values();
        let mut parameters = [0; 3];
        let mut count = |weights: &Weights, part: usize| {
            parameters[part] = left - weights.values();
            left = weights.values();
        };
        let denoiser = Denoiser::new(&mut weights, DENOISER, size, backend)?;
        count(&weights, 0);
        let reward_end = RewardEndModel::new(&mut weights, REWARD_END, size)?;
        count(&weights, 1);
        let actor_critic = ActorCritic::new(&mut weights, ACTOR_CRITIC, size)?;
        count(&weights, 2);
        let actions = denoiser.actions();
        if [reward_end.actions(), actor_critic.actions()] != [actions; 2] {
            return Err(weights.error(format!(
                "its networks know {actions}, {} and {} actions, expected the same number",
                reward_end.actions(),
                actor_critic.actions()
            )));
        }
        weights.finish()?;
        Ok(Self {
            info: AgentInfo {
                image: size,
                actions,
                past: denoiser.past(),
                parameters,
            },
            denoiser,
            reward_end,
            actor_critic,
            compute: Compute::new(Workers::none()),
        })
    }

    /// What the file says.
    pub fn info(&self) -> AgentInfo {
        self.info
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.compute.workers.threads()
    }

    /// The GPU that the denoiser is computed on, with its graphics API; `None` for the CPU.
    pub fn gpu_name(&self) -> Option<&str> {
        self.denoiser.network().gpu_name()
    }

    /// Chooses the tiles that are fastest on the GPU, if there is one. Measurements are stored in the platform's cache
    /// folder.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn set_fastest_tiles(&mut self) -> Result<()> {
        self.denoiser.network_mut().tune()
    }

    /// Computes on so many threads from now on. The results do not depend on it.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be started.
    pub fn set_threads(&mut self, threads: usize) -> Result<()> {
        self.compute.set_workers(Workers::new(threads)?);
        Ok(())
    }

    /// Computes on as many threads as are fastest: twice as many, up to all cores, while that makes a pass at least
    /// 15 % faster.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be started.
    pub fn set_fastest_threads(&mut self) -> Result<()> {
        let threads = fastest_threads(|threads| -> Result<Duration> {
            self.set_threads(threads)?;
            self.time_of_pass()
        })?;
        self.set_threads(threads)
    }

    /// The least time of a few passes of the largest network on the CPU.
    fn time_of_pass(&mut self) -> Result<Duration> {
        let info = self.info;
        let images = vec![0; info.past * info.image_len()];
        let actions = vec![0; info.past];
        let noisy = vec![0.0; info.image_len()];
        let past = Past {
            images: &images,
            actions: &actions,
        };
        let image = &images[..info.image_len()];
        let mut least = Duration::MAX;
        for _ in 0..=PASSES {
            let started = Instant::now();
            if self.gpu_name().is_some() {
                self.reward_end(image, 0, image, &mut self.reward_end_start())?;
            } else {
                self.denoise(past, &noisy, 1.0)?;
            }
            least = least.min(started.elapsed());
        }
        Ok(least)
    }

    /// The next frame in 256 levels of [−1, 1], `[H, W, 3]`. `initial` are the standard normal numbers that it starts
    /// from, and `noise` fills a buffer with more of them.
    ///
    /// # Errors
    /// Returns an error if an argument does not fit the agent, or if the denoiser predicts a number that is not finite.
    pub fn next_frame(
        &mut self,
        past: Past,
        params: &EdmParams,
        initial: Vec<f32>,
        noise: impl FnMut(&mut [f32]),
    ) -> Result<Vec<f32>> {
        params.check()?;
        let sigmas = params.sigmas();
        let frame = self.condition(past, &sigmas[..params.steps])?;
        if initial.len() != self.info.image_len() {
            return Err(Error::Argument(format!(
                "{} numbers to start from, expected {}",
                initial.len(),
                self.info.image_len()
            )));
        }
        let (denoiser, compute) = (&self.denoiser, &mut self.compute);
        sample(params, initial, noise, |x, i| {
            denoiser.denoise(compute, x, &frame, i)
        })
    }

    /// What the denoiser makes of a noisy frame `[H, W, 3]` before it is rounded to 256 levels.
    ///
    /// # Errors
    /// Returns an error if an argument does not fit the agent.
    pub fn denoise(&mut self, past: Past, noisy: &[f32], sigma: f64) -> Result<Vec<f32>> {
        let frame = self.condition(past, &[sigma])?;
        let Preconditioning { c_skip, c_out, .. } = Preconditioning::at(sigma);
        let predicted = self.denoiser.predict(&mut self.compute, noisy, &frame, 0)?;
        let clean = noisy.iter().zip(&predicted.data);
        let clean = clean.map(|(noisy, predicted)| c_skip * noisy + c_out * predicted);
        let clean = clean.collect();
        self.compute.give(predicted);
        Ok(clean)
    }

    fn condition(&self, past: Past, sigmas: &[f64]) -> Result<FrameCondition> {
        let AgentInfo {
            past: count,
            actions,
            ..
        } = self.info;
        let fits = past.images.len() == count * self.info.image_len()
            && past.actions.len() == count
            && past
                .actions
                .iter()
                .all(|&action| (action as usize) < actions);
        if !fits {
            return Err(Error::Argument(format!(
                "expected {count} past frames with actions below {actions}"
            )));
        }
        let Past { images, actions } = past;
        Ok(self
            .denoiser
            .condition(&self.compute, images, actions, sigmas))
    }

    /// The state of the reward and end model at the start of an episode.
    pub fn reward_end_start(&self) -> LstmState {
        self.reward_end.zeros()
    }

    /// What comes with the frame `next` after `action` at the frame `before`, both u8 RGB `[H, W, 3]`.
    ///
    /// # Errors
    /// Returns an error if an argument does not fit the agent.
    pub fn reward_end(
        &mut self,
        before: &[u8],
        action: u32,
        next: &[u8],
        state: &mut LstmState,
    ) -> Result<RewardEnd> {
        self.check_frame(before)?;
        self.check_frame(next)?;
        if action as usize >= self.info.actions {
            return Err(Error::Argument(format!(
                "action {action}: the world knows {}",
                self.info.actions
            )));
        }
        Ok(self
            .reward_end
            .step(&mut self.compute, before, action, next, state))
    }

    /// The state of the policy at the start of an episode.
    pub fn policy_start(&self) -> LstmState {
        self.actor_critic.zeros()
    }

    /// What the policy makes of a frame u8 RGB `[H, W, 3]`.
    ///
    /// # Errors
    /// Returns an error if the frame does not fit the agent.
    pub fn policy(&mut self, frame: &[u8], state: &mut LstmState) -> Result<Policy> {
        self.check_frame(frame)?;
        Ok(self.actor_critic.step(&mut self.compute, frame, state))
    }

    fn check_frame(&self, frame: &[u8]) -> Result<()> {
        let len = self.info.image_len();
        if frame.len() == len {
            return Ok(());
        }
        Err(Error::Argument(format!(
            "a frame of {} bytes, expected {len}",
            frame.len()
        )))
    }
}

/// Refuses relatives of the model by name.
fn check_kind(weights: &Weights) -> Result<()> {
    if weights.names().any(|name| name.starts_with("upsampler.")) {
        return Err(weights
            .error("holds DIAMOND's two-stage model of CS:GO, expected one of its Atari agents"));
    }
    Ok(())
}

/// Height and width of the frames, which only the reward model's memory tells.
fn image_size(weights: &Weights) -> Result<[usize; 2]> {
    let name = format!("{REWARD_END}.lstm.weight_ih_l0");
    let encoder = format!("{REWARD_END}.encoder");
    let halvings = (1..16)
        .filter(|i| weights.has(&format!("{encoder}.downsamples.{i}.conv.weight")))
        .count();
    let channels = last_channels(weights, &encoder);
    let fits = |side: &&usize| {
        let side = **side >> halvings;
        side > 0 && channels.is_some_and(|channels| weights.fits(&name, [side; 2], channels))
    };
    match SIDES.iter().find(fits) {
        Some(&side) => Ok([side; 2]),
        None => Err(weights.error(format!(
            "`{name}` is missing or fits no square frame, expected the weights of a DIAMOND Atari agent"
        ))),
    }
}

/// Channels of the last block of the encoder.
fn last_channels(weights: &Weights, encoder: &str) -> Option<usize> {
    let blocks = format!("{encoder}.blocks.");
    let last = weights.count(&blocks).checked_sub(1)?;
    let prefix = format!("{blocks}{last}.resblocks.");
    let block = weights.count(&prefix).checked_sub(1)?;
    weights
        .shape(&format!("{prefix}{block}.conv2.weight"))?
        .first()
        .copied()
}
