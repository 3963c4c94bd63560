//! The stages of a frame, and the checks before it.

use driftless_data::{Action, Clip};
use driftless_model::dynamics::step_index;

use super::{Residency, Sampler};
use crate::denoise::{Denoiser, step_coefficients};
use crate::network::{
    ContextNoise, DenoiseInput, FrameContext, FrameRequest, Readback, RecalledFrames,
};
use crate::noise::NoisePurpose;
use crate::{Error, Result, SamplerParams, Solver, StageTimes, noise};

impl Sampler {
    /// The clean latent `[cells, channels]` that the next frame under `action` would have, without making
    /// the frame. Costs the frame's denoise passes.
    ///
    /// # Errors
    /// As [`Sampler::step`].
    pub fn predict(
        &mut self,
        action: impl Into<Action>,
        params: &SamplerParams,
    ) -> Result<Vec<f32>> {
        let action = action.into();
        self.check_step(action, params)?;
        self.sync_to_host()?;
        let recording = std::mem::take(&mut self.recording_passes);
        let sampled = self
            .begin_frame(action, params)
            .and_then(|()| self.sample(action, params));
        self.recording_passes = recording;
        sampled?;
        Ok(self.z.clone())
    }

    pub(super) fn check_action(&self, action: Action) -> Result<()> {
        action
            .check(self.world.actions.len(), self.world.axes.len())
            .map_err(Error::Argument)
    }

    /// Number of frames in `images`. Returns an error if the last one is incomplete.
    pub(super) fn frame_count(&self, images: &[u8]) -> Result<usize> {
        self.whole_frames(images).map_err(Error::Shape)
    }

    /// Checks that a starting clip has frames, all of them whole, and as many actions.
    pub(super) fn check_clip(&self, clip: &Clip) -> Result<()> {
        let frames = self.whole_frames(&clip.images).map_err(Error::Clip)?;
        if frames != clip.frames() || frames == 0 {
            return Err(Error::Clip(format!(
                "the starting clip has {frames} images and {} actions, expected equal numbers, at least 1",
                clip.frames()
            )));
        }
        clip.actions
            .iter()
            .try_for_each(|&action| self.check_action(action))
    }

    fn whole_frames(&self, images: &[u8]) -> std::result::Result<usize, String> {
        let len = self.world.image_len();
        if images.len().is_multiple_of(len) {
            return Ok(images.len() / len);
        }
        Err(format!(
            "images hold {} bytes, expected a multiple of {len} ({}×{} RGB frames)",
            images.len(),
            self.world.image[0],
            self.world.image[1]
        ))
    }

    /// Checks parameters on their own and against the world.
    pub(super) fn check(&self, params: &SamplerParams) -> Result<()> {
        params.check()?;
        if params.guidance != 1.0 && self.world.unknown_action().is_none() {
            return Err(Error::Argument(format!(
                "guidance is {}, expected 1: this world was not trained with unknown actions",
                params.guidance
            )));
        }
        Ok(())
    }

    /// Checks that a frame can be made.
    pub(super) fn check_step(&self, action: Action, params: &SamplerParams) -> Result<()> {
        self.check(params)?;
        self.check_action(action)?;
        if self.frame == 0 {
            return Err(Error::State("step called before the first reset".into()));
        }
        Ok(())
    }

    /// Earlier frames that temporal attention sees.
    fn attended_frames(&self, params: &SamplerParams) -> usize {
        let context = params.context.min(self.world.dynamics.context);
        (context - 1).min(usize::try_from(self.frame).unwrap_or(usize::MAX))
    }

    pub(super) fn begin_frame(&mut self, action: Action, params: &SamplerParams) -> Result<()> {
        let attended_frames = self.attended_frames(params);
        self.texture = None;
        self.residency = Residency::Host;
        let tokens = &mut self.memory_tokens;
        tokens.clear();
        let mut count = 0;
        if let Some(memory) = &mut self.memory {
            if params.recall {
                memory.recall(self.frame, action, tokens);
            } else {
                memory.recall_nothing();
            }
            count = memory.recalled().len();
        }
        self.network.begin_frame(&FrameContext {
            past: &self.past,
            frame: self.frame,
            attended_frames,
            recalled: RecalledFrames { count, tokens },
            reads_state: params.recall,
        })
    }

    /// Copies the last frame to the host if only the device has it.
    pub(super) fn sync_to_host(&mut self) -> Result<()> {
        if self.residency == Residency::Device
            && let Some(device) = self.network.whole_frames()
        {
            device.read_back(Readback {
                latent: &mut self.latent,
                past: &mut self.past,
                image: &mut self.image,
            })?;
            self.residency = Residency::Both;
        }
        Ok(())
    }

    /// How the finished frame is noised for the context.
    fn context_noise(&self, params: &SamplerParams) -> Result<ContextNoise> {
        let tau = params.context_signal;
        let (alpha, sigma) = if tau < 1.0 {
            let at = self.world.flow.path.at(f64::from(tau))?;
            (at.alpha as f32, at.sigma as f32)
        } else {
            (1.0, 0.0)
        };
        Ok(ContextNoise { tau, alpha, sigma })
    }

    /// Lets the network make the whole frame on its device. `None` if it cannot, or if the passes have to
    /// be visible in between.
    pub(super) fn run_full_frame(
        &mut self,
        action: Action,
        params: &SamplerParams,
    ) -> Result<Option<StageTimes>> {
        let plain = params.solver == Solver::Shortcut && params.guidance == 1.0;
        // A memory needs the latent of every frame on the host.
        let possible = plain && !self.recording_passes && self.memory.is_none();
        if !possible {
            return Ok(None);
        }
        let (attended_frames, context) =
            (self.attended_frames(params), self.context_noise(params)?);
        let device = self.network.whole_frames();
        let Some(device) = device.filter(|device| device.supports_steps(params.steps)) else {
            return Ok(None);
        };
        let request = FrameRequest {
            frame: self.frame,
            attended_frames,
            action,
            seed: params.seed,
            temperature: params.temperature,
            steps: &step_coefficients(&self.world, params.steps)?,
            step_index: step_index(params.steps, self.world.dynamics.k_max),
            context,
            reads_state: params.recall,
        };
        if self.residency == Residency::Host {
            device.set_past(&self.past);
        }
        let on_device = self.keep_on_device && device.supports_textures();
        let readback = (!on_device).then_some(Readback {
            latent: &mut self.latent,
            past: &mut self.past,
            image: &mut self.image,
        });
        let output = device.run_frame(&request, readback)?;
        self.residency = if on_device {
            Residency::Device
        } else {
            Residency::Both
        };
        self.undrawn = false;
        self.outcome = output.outcome;
        self.texture = output.texture;
        self.frame += 1;
        Ok(Some(output.times))
    }

    /// Runs the denoise passes: turns noise into the clean latent, in `z`.
    pub(super) fn sample(&mut self, action: Action, params: &SamplerParams) -> Result<()> {
        noise::fill(&mut self.z, params.seed, self.frame, NoisePurpose::Initial);
        for z in &mut self.z {
            *z *= params.temperature;
        }
        self.passes.clear();
        Denoiser {
            network: self.network.as_mut(),
            world: &self.world,
            params,
            action,
            frame: self.frame,
            passes: self.recording_passes.then_some(&mut self.passes),
        }
        .run(&mut self.z)
    }

    /// Runs the cache pass over the clean latent in `latent`, which completes the frame: a predicted or a
    /// given one.
    pub(super) fn write_cache(
        &mut self,
        action: Action,
        params: &SamplerParams,
        predicted: bool,
    ) -> Result<()> {
        let ContextNoise { tau, alpha, sigma } = self.context_noise(params)?;
        self.z.copy_from_slice(&self.latent);
        if tau < 1.0 {
            noise::fill(
                &mut self.noise,
                params.seed,
                self.frame,
                NoisePurpose::Context,
            );
            for (z, noise) in self.z.iter_mut().zip(&self.noise) {
                *z = alpha * *z + sigma * noise;
            }
        }
        self.outcome = self.network.write_cache(&DenoiseInput {
            z: &self.z,
            tau,
            step_index: step_index(usize::MAX, self.world.dynamics.k_max),
            action,
        })?;
        let c = self.world.tokenizer.channels;
        let row = c * self.world.dynamics.stem_frames;
        if row > 0 {
            for (past, z) in self.past.chunks_exact_mut(row).zip(self.z.chunks_exact(c)) {
                past.copy_within(..row - c, c);
                past[..c].copy_from_slice(z);
            }
        }
        if let Some(memory) = &mut self.memory {
            let motion = self.outcome.and_then(|outcome| outcome.motion);
            memory.remember(&self.latent, self.frame, (action, motion), predicted);
        }
        self.frame += 1;
        Ok(())
    }
}
