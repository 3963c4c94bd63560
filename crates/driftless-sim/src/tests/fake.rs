//! A network that computes nothing. Its one RGB pixel holds the frame's number, the action and the steps.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use driftless_data::{Action, ActionSpec, Clip};
use driftless_engine::{
    DenoiseInput, Error, FrameContext, FrameOutput, FrameRequest, GpuSource, Network, Outcome,
    Readback, Sampler, StageTimes, WholeFrames,
};
use driftless_flow::FlowError;
use driftless_model::config::{DynamicsConfig, FORMAT_VERSION, TokenizerConfig, WorldConfig};

use super::super::*;

/// Under this action a step fails.
pub const FAILS: u32 = 3;
/// Under this action a step panics.
pub const PANICS: u32 = 4;

/// Under this action the adaptive solver gives up.
pub const HARD: u32 = 2;

/// With this many steps, the predicted end is likely.
pub const ENDS: u8 = 8;

/// This image is encoded to the wrong length.
pub const MISFIT: [u8; 3] = [255; 3];

pub struct Fake {
    /// The frame's number, counted on from the brightness of the starting clip.
    count: u8,
    /// The images that were encoded last.
    encoded: Vec<u8>,
    /// Makes [`FAILS`] an ordinary action.
    on_cpu: bool,
    /// If set, each step waits for one item, until all senders are dropped.
    gate: Option<Receiver<()>>,
    /// Closes its channel when the network is dropped.
    _gone: Option<Sender<()>>,
}

impl Fake {
    pub fn new() -> Self {
        Self {
            count: 0,
            encoded: Vec::new(),
            on_cpu: false,
            gate: None,
            _gone: None,
        }
    }

    pub fn into_sampler(self) -> Sampler {
        Sampler::new(Box::new(self), world())
    }

    /// What happens under an action, whatever the solver.
    fn act(&self, action: Action) -> driftless_engine::Result<()> {
        match action.index {
            FAILS if !self.on_cpu => Err(Error::Device("the device went away".into())),
            PANICS => panic!("index out of range"),
            _ => Ok(()),
        }
    }
}

fn world() -> WorldConfig {
    let action = |name: &str| ActionSpec {
        name: name.into(),
        keys: Vec::new(),
    };
    WorldConfig {
        format: FORMAT_VERSION,
        flow: driftless_model::config::FlowConfig::default(),
        sampling: driftless_model::config::SamplingConfig::default(),
        name: "Fake".into(),
        fps: 15.0,
        image: [1, 1],
        actions: ["noop", "up", "down", "fail", "panic"].map(action).into(),
        axes: Vec::new(),
        tokenizer: TokenizerConfig {
            patch: 1,
            width: 1,
            hidden: 3,
            blocks: 0,
            channels: 3,
        },
        dynamics: DynamicsConfig {
            merge: 1,
            stem_width: 1,
            stem_frames: 0,
            width: 1,
            depth: 1,
            heads: 1,
            mlp: 1,
            time_every: 1,
            context: 8,
            registers: 0,
            k_max: 8,
            unknown_action: false,
            outcome: 0,
            memory: None,
            delta_state: false,
        },
    }
}

/// A factory of learned worlds on fake engines, with clips that start at 0, 100 and 200.
pub fn factory(make: impl Fn() -> Result<Fake> + Send + Sync + 'static) -> Arc<PlayerFactory> {
    with_clips(move |_| make())
}

/// Like [`factory`], but [`FAILS`] does not fail on the CPU.
pub fn failing_devices() -> Arc<PlayerFactory> {
    with_clips(|gpu_source| {
        Ok(Fake {
            on_cpu: matches!(gpu_source, GpuSource::Unavailable),
            ..Fake::new()
        })
    })
}

fn with_clips(
    make: impl Fn(&GpuSource) -> Result<Fake> + Send + Sync + 'static,
) -> Arc<PlayerFactory> {
    let clip = |brightness: u8| Clip {
        images: vec![brightness, 0, 0],
        actions: vec![0.into()],
    };
    let clips: Arc<[Clip]> = [0, 100, 200].map(clip).into();
    Arc::new(move |gpu_source| {
        let world = LearnedWorld::new(make(gpu_source)?.into_sampler(), Arc::clone(&clips));
        Ok(Box::new(world))
    })
}

/// Fakes whose every step waits for an item from the returned sender.
pub fn gated() -> (Arc<PlayerFactory>, Sender<()>) {
    let (open, gate) = unbounded();
    let make = move || {
        Ok(Fake {
            gate: Some(gate.clone()),
            ..Fake::new()
        })
    };
    (factory(make), open)
}

/// A fake that can be made once. The returned channel closes when it is dropped.
pub fn watched() -> (Arc<PlayerFactory>, Receiver<()>) {
    let (gone, watch) = unbounded();
    let gone = std::sync::Mutex::new(Some(gone));
    let make = move || {
        Ok(Fake {
            _gone: gone.lock().unwrap().take(),
            ..Fake::new()
        })
    };
    (factory(make), watch)
}

impl Network for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    fn begin_frame(&mut self, _: &FrameContext) -> driftless_engine::Result<()> {
        Ok(())
    }

    /// Predicts a red of 100 in noise, and of 104 at the end.
    fn denoise(
        &mut self,
        input: &DenoiseInput,
        output: &mut [f32],
    ) -> driftless_engine::Result<()> {
        self.act(input.action)?;
        if input.action == HARD {
            return Err(FlowError::Tolerance {
                steps: 256,
                tau: 0.5,
                tolerance: 0.01,
            }
            .into());
        }
        output.copy_from_slice(&[100.0 + 4.0 * input.tau, input.action.index as f32, 0.0]);
        Ok(())
    }

    fn write_cache(&mut self, _: &DenoiseInput) -> driftless_engine::Result<Option<Outcome>> {
        Ok(None)
    }

    fn encode(&mut self, images: &[u8], latents: &mut [f32]) -> driftless_engine::Result<()> {
        if images == MISFIT {
            return Err(Error::Shape("a latent of the wrong length".into()));
        }
        self.encoded = images.to_vec();
        for (latent, &byte) in latents.iter_mut().zip(images) {
            *latent = f32::from(byte);
        }
        Ok(())
    }

    fn decode(&mut self, latents: &[f32], images: &mut [u8]) -> driftless_engine::Result<()> {
        for (byte, &latent) in images.iter_mut().zip(latents) {
            *byte = latent as u8;
        }
        Ok(())
    }

    fn save_cache(&self, out: &mut [f32]) -> driftless_engine::Result<()> {
        out[0] = 1.0 + f32::from(self.count);
        Ok(())
    }

    /// An empty cache is that of a reset, to the images that were just encoded.
    fn load_cache(&mut self, cache: &[f32]) -> driftless_engine::Result<()> {
        self.count = match cache[0] {
            0.0 => self.encoded[self.encoded.len() - 3],
            count => (count - 1.0) as u8,
        };
        Ok(())
    }

    fn whole_frames(&mut self) -> Option<&mut dyn WholeFrames> {
        Some(self)
    }
}

impl WholeFrames for Fake {
    fn supports_steps(&self, _: usize) -> bool {
        true
    }

    fn set_past(&mut self, _: &[f32]) {}

    /// The reward is the action; the end is likely with [`ENDS`] steps.
    fn run_frame(
        &mut self,
        request: &FrameRequest,
        readback: Option<Readback>,
    ) -> driftless_engine::Result<FrameOutput> {
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        self.act(request.action)?;
        self.count = self.count.wrapping_add(1);
        let (action, steps) = (request.action.index as u8, request.steps.len() as u8);
        if let Some(Readback { latent, image, .. }) = readback {
            image.copy_from_slice(&[self.count, action, steps]);
            self.encode(image, latent)?;
        }
        Ok(FrameOutput {
            outcome: Some(Outcome {
                motion: None,
                reward: f32::from(action),
                end: if steps == ENDS { 0.75 } else { 0.25 },
            }),
            times: StageTimes {
                denoise: Duration::from_millis(2),
                ..StageTimes::default()
            },
            ..FrameOutput::default()
        })
    }

    fn read_back(&mut self, _: Readback) -> driftless_engine::Result<()> {
        Ok(())
    }
}
