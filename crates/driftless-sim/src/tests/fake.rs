//! An engine without networks. Its one RGB pixel holds the frame's number, the action and the steps.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use driftless_data::{ActionSpec, Clip};
use driftless_engine::{
    DenoisePass, Engine, GpuSource, Outcome, SamplerParams, Snapshot, Solver, StageTimes,
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
pub const ENDS: u8 = 7;

pub struct Fake {
    world: WorldConfig,
    image: [u8; 3],
    reset: bool,
    /// Makes [`FAILS`] an ordinary action.
    on_cpu: bool,
    tracing: bool,
    passes: Vec<DenoisePass>,
    /// If set, each step waits for one item, until all senders are dropped.
    gate: Option<Receiver<()>>,
    /// Closes its channel when the engine is dropped.
    _gone: Option<Sender<()>>,
}

impl Fake {
    pub fn new() -> Self {
        Self {
            world: world(),
            image: [0; 3],
            reset: false,
            on_cpu: false,
            tracing: false,
            passes: Vec::new(),
            gate: None,
            _gone: None,
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
        name: "Fake".into(),
        fps: 15.0,
        image: [1, 1],
        actions: ["noop", "up", "down", "fail", "panic"].map(action).into(),
        tokenizer: TokenizerConfig {
            patch: 1,
            width: 1,
            hidden: 3,
            blocks: 0,
            channels: 1,
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
        },
    }
}

/// A factory of learned worlds on fake engines, with contexts that start at 0, 100 and 200.
pub fn factory(make: impl Fn() -> Result<Fake> + Send + Sync + 'static) -> Arc<PlayerFactory> {
    with_contexts(move |_| make())
}

/// Like [`factory`], but [`FAILS`] does not fail on the CPU.
pub fn failing_devices() -> Arc<PlayerFactory> {
    with_contexts(|gpu_source| {
        Ok(Fake {
            on_cpu: matches!(gpu_source, GpuSource::Unavailable),
            ..Fake::new()
        })
    })
}

fn with_contexts(
    make: impl Fn(&GpuSource) -> Result<Fake> + Send + Sync + 'static,
) -> Arc<PlayerFactory> {
    let context = |brightness: u8| Clip {
        images: vec![brightness; 3],
        actions: vec![0],
    };
    let contexts: Arc<[Clip]> = [0, 100, 200].map(context).into();
    Arc::new(move |gpu_source| {
        let world = LearnedWorld::new(Box::new(make(gpu_source)?), Arc::clone(&contexts));
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

impl Engine for Fake {
    fn world(&self) -> &WorldConfig {
        &self.world
    }

    fn name(&self) -> &str {
        "fake"
    }

    fn reset(&mut self, context: &Clip, params: &SamplerParams) -> driftless_engine::Result<()> {
        check(params)?;
        self.image = [context.images[0], 0, 0];
        self.reset = true;
        Ok(())
    }

    fn step(
        &mut self,
        action: u32,
        params: &SamplerParams,
    ) -> driftless_engine::Result<StageTimes> {
        assert!(self.reset, "a step before the first reset");
        check(params)?;
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        match action {
            FAILS if !self.on_cpu => {
                return Err(driftless_engine::Error::Device(
                    "the device went away".into(),
                ));
            }
            PANICS => panic!("index out of range"),
            HARD if params.solver == Solver::Adaptive => {
                return Err(FlowError::Tolerance {
                    steps: 256,
                    tau: 0.5,
                    tolerance: 0.01,
                }
                .into());
            }
            _ => {}
        }
        self.image = [
            self.image[0].wrapping_add(1),
            action as u8,
            params.steps as u8,
        ];
        if self.tracing {
            self.passes = (0..params.steps)
                .map(|k| DenoisePass {
                    tau: k as f32 / params.steps as f32,
                    z: vec![k as f32],
                    x: vec![100.0 + k as f32],
                })
                .collect();
        }
        Ok(StageTimes {
            denoise: Duration::from_millis(2),
            ..StageTimes::default()
        })
    }

    fn image(&mut self) -> driftless_engine::Result<&[u8]> {
        Ok(&self.image)
    }

    fn latent(&mut self) -> driftless_engine::Result<&[f32]> {
        Ok(&[])
    }

    /// The reward is the action; the end is likely with [`ENDS`] steps.
    fn outcome(&self) -> Option<Outcome> {
        Some(Outcome {
            reward: f32::from(self.image[1]),
            end: if self.image[2] == ENDS { 0.75 } else { 0.25 },
        })
    }

    fn record_passes(&mut self, on: bool) {
        self.tracing = on;
        self.passes.clear();
    }

    fn passes(&self) -> &[DenoisePass] {
        &self.passes
    }

    /// Turns each number into a grey pixel.
    fn decode(&mut self, latents: &[f32]) -> driftless_engine::Result<Vec<u8>> {
        Ok(latents.iter().flat_map(|&z| [z as u8; 3]).collect())
    }

    fn encode(&mut self, _images: &[u8]) -> driftless_engine::Result<Vec<f32>> {
        Ok(Vec::new())
    }

    fn reconstruct(&mut self, images: &[u8]) -> driftless_engine::Result<Vec<u8>> {
        Ok(images.to_vec())
    }

    fn snapshot(&mut self) -> driftless_engine::Result<Snapshot> {
        Ok(Snapshot {
            frame: 0,
            state: Vec::new(),
            outcome: None,
            image: self.image.to_vec(),
        })
    }

    fn restore(&mut self, snapshot: &Snapshot) -> driftless_engine::Result<()> {
        self.image.copy_from_slice(&snapshot.image);
        self.reset = true;
        Ok(())
    }
}

fn check(params: &SamplerParams) -> driftless_engine::Result<()> {
    match params.steps {
        1..=8 => Ok(()),
        steps => Err(driftless_engine::Error::Argument(format!(
            "steps is {steps}, expected 1 to 8"
        ))),
    }
}
