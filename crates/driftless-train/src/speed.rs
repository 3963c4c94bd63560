//! Measures the training speed of the presets on the CPU, with whole steps on random frames.
//!
//! The speed does not depend on the frames, so that neither a dataset nor a run's folder is needed.
//! Reading, logging and saving are not measured.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use candle_core::{Device, Var};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::context::RunContext;
use super::dynamics::DynamicsTask;
use super::frame_store::FrameStore;
use super::layout::RunLayout;
use super::optimizer::Optimizer;
use super::settings::{TrainPreset, TrainSettings};
use super::task::Task;
use super::tokenizer::TokenizerTask;
use crate::ranks::Ranks;
use crate::{Error, Result};
use driftless_data::{ActionSpec, DatasetInfo, Episode, PathError as _};
use driftless_model::checkpoint::{TOKENIZER, write_tensors};
use driftless_model::config::WorldConfig;
use driftless_model::params::Params;
use driftless_model::tokenizer::Tokenizer;

/// Side of the frames in pixels, and number of actions.
const SIDE: usize = 64;
const ACTIONS: usize = 4;
/// Number of episodes.
const EPISODES: usize = 8;

/// The network to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Encoder and decoder together, as before the encoder is frozen.
    Tokenizer,
    /// Plain and shortcut steps alternately.
    Dynamics,
}

/// Measured steps and their time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Speed {
    /// Measured steps.
    pub steps: u64,
    /// Frames of these steps, as `driftless train` counts them.
    pub frames: u64,
    /// Their duration.
    pub seconds: f64,
}

/// Settings and world of a preset, as measured.
///
/// # Errors
/// Returns an error if the settings of the preset are invalid.
pub fn preset_world(preset: TrainPreset) -> Result<(TrainSettings, WorldConfig)> {
    let settings = TrainSettings::preset(preset);
    let world = settings.world(&info())?;
    Ok((settings, world))
}

fn info() -> DatasetInfo {
    let action = |i: usize| ActionSpec {
        name: format!("action {i}"),
        keys: Vec::new(),
    };
    DatasetInfo {
        name: "Noise".into(),
        fps: 15.0,
        image: [SIDE; 2],
        actions: (0..ACTIONS).map(action).collect(),
        axes: Vec::new(),
    }
}

/// Trains a network on `threads` threads for about `seconds` seconds: an even number of steps, at least
/// two, after two that are not measured.
///
/// # Errors
/// Returns an error if the threads cannot be started or temporary files cannot be written.
pub fn measure(
    preset: TrainPreset,
    network: Network,
    threads: usize,
    seconds: f64,
) -> Result<Speed> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Error::Thread(format!("{threads} threads cannot be started: {e}")))?;
    pool.install(|| {
        let folder = tempfile::tempdir().map_err(|e| Error::io(std::env::temp_dir(), e))?;
        let (settings, world) = preset_world(preset)?;
        let run = RunContext {
            layout: RunLayout::new(folder.path()),
            settings,
            world,
            device: Device::Cpu,
            ranks: Ranks::default(),
        };
        let store = noise(&run)?;
        match network {
            Network::Tokenizer => {
                let (mut task, vars) = TokenizerTask::new(&run, (&store).into())?;
                let optimizer = Optimizer::new(&vars, &run.settings.tokenizer.optimizer)?;
                steps(&mut task, optimizer, seconds)
            }
            Network::Dynamics => {
                random_tokenizer(&run)?;
                let (mut task, vars) = DynamicsTask::new(&run, (&store).into(), &mut ())?;
                let optimizer = Optimizer::new(&vars, &run.settings.dynamics.optimizer)?;
                steps(&mut task, optimizer, seconds)
            }
        }
    })
}

/// Episodes of noise, long enough for the longest sequence.
fn noise(run: &RunContext) -> Result<FrameStore> {
    let s = &run.settings.dynamics;
    let frames = s.sequence_length.max(s.long_sequence_length) + 1;
    let mut store = FrameStore::new(info(), run.layout.root(), u64::MAX);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for _ in 0..EPISODES {
        let mut images = vec![0; frames * run.world.image_len()];
        rng.fill_bytes(&mut images);
        let episode = Episode {
            height: SIDE,
            width: SIDE,
            images,
            actions: (0..frames)
                .map(|_| rng.next_u32() % ACTIONS as u32)
                .collect(),
            rewards: vec![0.0; frames],
            extras: BTreeMap::new(),
        };
        store.push(&episode, Path::new("noise"))?;
    }
    Ok(store)
}

/// Writes a tokenizer with random weights into the run's checkpoint.
fn random_tokenizer(run: &RunContext) -> Result<()> {
    let params = Params::seeded(0, &Device::Cpu);
    Tokenizer::new(&params, &run.world)?;
    let vars: BTreeMap<String, Var> = params.finish()?;
    let weights = vars.into_iter().map(|(k, v)| (k, v.as_tensor().clone()));
    let folder = run.layout.checkpoint();
    std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    Ok(write_tensors(&folder.join(TOKENIZER), &weights.collect())?)
}

fn steps(task: &mut dyn Task, mut optimizer: Optimizer, seconds: f64) -> Result<Speed> {
    let (mut mean_squares, mut speed) = (BTreeMap::new(), Speed::default());
    let mut step = 0;
    while step < 4 || step % 2 == 1 || speed.seconds < seconds {
        let begun = Instant::now();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        rng.set_stream(step + 1);
        task.before_step(step, &mut optimizer)?;
        let trained = task.step(step, &mut rng, &mut mean_squares)?;
        trained.gradient.apply(&mut optimizer, step, |_| false)?;
        if step >= 2 {
            speed.steps += 1;
            speed.frames += task.frames_per_step(step);
            speed.seconds += begun.elapsed().as_secs_f64();
        }
        step += 1;
    }
    Ok(speed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_networks_are_measured() {
        for network in [Network::Tokenizer, Network::Dynamics] {
            let speed = measure(TrainPreset::Tiny, network, 1, 0.0).unwrap();
            let (settings, _) = preset_world(TrainPreset::Tiny).unwrap();
            let frames = match network {
                Network::Tokenizer => settings.tokenizer.batch_size,
                Network::Dynamics => {
                    let d = settings.dynamics;
                    d.batch_size * d.sequence_length * d.noised_copies
                }
            };
            assert_eq!((speed.steps, speed.frames), (2, 2 * frames as u64));
            assert!(speed.seconds > 0.0);
        }
    }
}
