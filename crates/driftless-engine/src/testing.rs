//! Small worlds for the tests of this crate and of those above it.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use driftless_data::{Action, ActionSpec, AxisSpec, Clip};
use driftless_flow::path::Path;
use driftless_flow::prediction::Prediction;
use driftless_model::checkpoint::{self, WorldModel};
use driftless_model::config::{
    DynamicsConfig, FORMAT_VERSION, FlowConfig, MemoryConfig, SamplingConfig, TokenizerConfig,
    WorldConfig,
};
use driftless_model::dynamics::Dynamics;
use driftless_model::params::Params;
use driftless_model::tokenizer::Tokenizer;

use crate::{CandleNetwork, CpuNetwork, Sampler, Threads};
#[cfg(feature = "wgpu")]
use crate::{Gpu, WgpuNetwork};

/// A small world with a non-square grid and widths that are not multiples of a vector.
pub fn small_config() -> WorldConfig {
    let action = |name: &str| ActionSpec {
        name: name.to_owned(),
        keys: vec![],
    };
    WorldConfig {
        format: FORMAT_VERSION,
        flow: FlowConfig::default(),
        sampling: SamplingConfig::default(),
        name: "test".to_owned(),
        fps: 15.0,
        image: [12, 18],
        actions: vec![action("noop"), action("up"), action("down")],
        axes: Vec::new(),
        tokenizer: TokenizerConfig {
            patch: 3,
            width: 11,
            hidden: 13,
            blocks: 1,
            channels: 3,
        },
        dynamics: DynamicsConfig {
            merge: 2,
            stem_width: 10,
            stem_frames: 2,
            width: 21,
            depth: 3,
            heads: 3,
            mlp: 13,
            time_every: 1,
            context: 5,
            registers: 1,
            k_max: 4,
            unknown_action: true,
            outcome: 6,
            memory: None,
            delta_state: false,
        },
    }
}

/// Worlds with shapes that are edge cases for the backends.
pub fn edge_case_configs() -> Vec<(&'static str, WorldConfig)> {
    let with = |change: fn(&mut WorldConfig)| {
        let mut config = small_config();
        change(&mut config);
        config.check().unwrap();
        config
    };
    vec![
        ("plain", small_config()),
        (
            "whole vectors, layers after the last temporal attention",
            with(|c| {
                c.image = [32, 32];
                c.tokenizer = TokenizerConfig {
                    patch: 4,
                    width: 16,
                    hidden: 18,
                    blocks: 2,
                    channels: 8,
                };
                c.dynamics.width = 32;
                c.dynamics.heads = 2;
                c.dynamics.stem_width = 16;
                c.dynamics.mlp = 32;
                c.dynamics.depth = 5;
                c.dynamics.time_every = 2;
                c.dynamics.registers = 2;
                c.dynamics.context = 7;
            }),
        ),
        (
            "no stem frames, no registers, no merging",
            with(|c| {
                c.dynamics.stem_frames = 0;
                c.dynamics.registers = 0;
                c.dynamics.merge = 1;
                c.dynamics.context = 2;
                c.dynamics.k_max = 1;
            }),
        ),
        (
            "a context of one frame",
            with(|c| {
                c.dynamics.stem_frames = 0;
                c.dynamics.context = 1;
            }),
        ),
        ("no time attention", with(|c| c.dynamics.time_every = 4)),
        (
            "axes",
            with(|c| {
                c.axes = vec![
                    AxisSpec::named("wheel"),
                    AxisSpec::named("gas"),
                    AxisSpec::named("brake"),
                ];
            }),
        ),
        ("the velocity", with(|c| c.flow.prediction = Prediction::V)),
        ("the cosine path", with(|c| c.flow.path = Path::Cosine)),
    ]
}

/// A world with a long-term memory.
pub fn memory_config() -> WorldConfig {
    let mut config = small_config();
    config.dynamics.memory = Some(MemoryConfig {
        frames: 3,
        field_of_view: 90.0,
        reach: 30.0,
        capacity: 24,
    });
    config.check().unwrap();
    config
}

/// Worlds with delta states: heads of an odd size, and of whole vectors.
pub fn delta_configs() -> [WorldConfig; 2] {
    let mut config = small_config();
    config.dynamics.delta_state = true;
    let mut other = config.clone();
    (other.dynamics.width, other.dynamics.time_every) = (24, 2);
    for config in [&config, &other] {
        config.check().unwrap();
    }
    [config, other]
}

/// A world with random networks. Every parameter is perturbed, because initial values such as zero or one
/// would hide mistakes.
pub fn world(config: &WorldConfig) -> WorldModel {
    let device = Device::Cpu;
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut perturb = |params: Params| -> Params {
        let vars = params.finish().unwrap();
        let tensors: HashMap<String, Tensor> = vars
            .into_iter()
            .map(|(name, var)| {
                let fan_in = var.dims().last().copied().unwrap_or(1) as f32;
                let size = if var.rank() == 1 {
                    0.2
                } else {
                    0.5 / fan_in.sqrt()
                };
                let noise: Vec<f32> = (0..var.elem_count())
                    .map(|_| {
                        let x: f32 = StandardNormal.sample(&mut rng);
                        x * size
                    })
                    .collect();
                let noise = Tensor::from_vec(noise, var.dims(), &device).unwrap();
                let tensor = (var.as_detached_tensor() + noise).unwrap();
                (name.clone(), slow_motion(&name, tensor))
            })
            .collect();
        Params::from_tensors(std::path::Path::new("random"), tensors, &device)
    };
    let params = Params::seeded(1, &device);
    Tokenizer::new(&params, config).unwrap();
    let tokenizer = Tokenizer::new(&perturb(params), config).unwrap();
    let params = Params::seeded(2, &device);
    Dynamics::new(&params, config).unwrap();
    let dynamics = Dynamics::new(&perturb(params), config).unwrap();
    WorldModel {
        config: config.clone(),
        tokenizer,
        dynamics,
    }
}

/// Writes a world with random networks and one starting clip as a checkpoint.
pub fn write_world(config: &WorldConfig, folder: &std::path::Path) {
    let device = Device::Cpu;
    let write = |name: &str, params: Params| {
        let tensors = params.finish().unwrap().into_iter();
        let tensors = tensors.map(|(name, var)| (name, var.as_detached_tensor()));
        checkpoint::write_tensors(&folder.join(name), &tensors.collect()).unwrap();
    };
    let params = Params::seeded(1, &device);
    Tokenizer::new(&params, config).unwrap();
    write(checkpoint::TOKENIZER, params);
    let params = Params::seeded(2, &device);
    Dynamics::new(&params, config).unwrap();
    write(checkpoint::DYNAMICS, params);
    let text = serde_json::to_string(config).unwrap();
    std::fs::write(folder.join(checkpoint::CONFIG), text).unwrap();
    let clips = [clip(config, config.dynamics.context)];
    let file = folder.join(checkpoint::STARTING_CLIPS);
    driftless_model::starting_clips::write(&file, &clips, config).unwrap();
}

/// Scales the rows of the outcome head that tell the camera's motion, so that it turns by some degrees a
/// frame. By a radian a frame, what is recalled differs altogether after a rounding error.
fn slow_motion(name: &str, tensor: Tensor) -> Tensor {
    const MOTION_ROWS: usize = 3;
    match tensor.dims() {
        [rows, ..] if name.starts_with("outcome.out") && *rows > MOTION_ROWS => {
            let others = rows - MOTION_ROWS;
            let motion = tensor.narrow(0, others, MOTION_ROWS).unwrap();
            let motion = motion.affine(0.1, 0.0).unwrap();
            Tensor::cat(&[&tensor.narrow(0, 0, others).unwrap(), &motion], 0).unwrap()
        }
        _ => tensor,
    }
}

/// A clip of random images and actions.
pub fn clip(config: &WorldConfig, frames: usize) -> Clip {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    Clip {
        images: (0..frames * config.image_len())
            .map(|_| rng.random())
            .collect(),
        actions: actions(config, frames, 12),
    }
}

/// Random actions of the world.
pub fn actions(config: &WorldConfig, frames: usize, seed: u64) -> Vec<Action> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = config.actions.len() as u32;
    let mut action = |_| {
        let mut action = Action::from(rng.random_range(0..count));
        for axis in action.axes.iter_mut().take(config.axes.len()) {
            *axis = rng.random_range(-1.0..=1.0);
        }
        action
    };
    (0..frames).map(&mut action).collect()
}

/// Any adapter, even a software renderer. `None` if there is none, which fails the test in CI.
#[cfg(feature = "wgpu")]
pub fn gpu() -> Option<Gpu> {
    match Gpu::open(true) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            let ci = std::env::var("CI").as_deref() == Ok("true");
            assert!(!ci, "{error}");
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// A world on the CPU backend, on one thread.
pub fn cpu_sampler(world: &WorldModel) -> Sampler {
    let network = CpuNetwork::new(world, Threads::ONE).unwrap();
    Sampler::new(Box::new(network), world.config.clone())
}

/// A world on the reference backend.
pub fn reference_sampler(world: WorldModel) -> Sampler {
    let config = world.config.clone();
    Sampler::new(Box::new(CandleNetwork::new(world).unwrap()), config)
}

/// A world on the wgpu backend.
#[cfg(feature = "wgpu")]
pub fn gpu_sampler(world: &WorldModel, gpu: &Gpu) -> Sampler {
    let network = WgpuNetwork::new(world, gpu).unwrap();
    Sampler::new(Box::new(network), world.config.clone())
}

/// All tensors of a `safetensors` file, flat, as f32.
pub fn read_arrays(file: &std::path::Path) -> BTreeMap<String, Vec<f32>> {
    let tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let values = |tensor: Tensor| {
        let flat = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
        flat.to_vec1().unwrap()
    };
    let arrays = tensors.into_iter().map(|(name, t)| (name, values(t)));
    arrays.collect()
}

/// Fails unless all numbers agree so far.
#[track_caller]
pub fn assert_near(ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len());
    let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    // No number that is not one counts as near.
    let most = differences.max_by(f32::total_cmp).unwrap_or(0.0);
    assert!(most < tolerance, "largest difference {most:e}");
}
