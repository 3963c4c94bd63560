//! Records a small maze, trains a tiny world on it for a few steps, and predicts one frame with it.
//!
//! `cargo run --release -p driftless-train --example maze`

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::error::Error;

use driftless_data::Dataset;
use driftless_data::metrics::psnr;
use driftless_engine::rollout::rollout;
use driftless_engine::{DeviceChoice, GpuSource, SamplerParams};
use driftless_train::{RunLayout, StepReport, TrainOptions, TrainProgress, TrainStage, run};
use driftless_worlds::record::{RecordingPlan, record};
use driftless_worlds::{Policy, SimulatorKind};

/// Far smaller and shorter than the defaults: a world this small learns little more than what a
/// corridor looks like.
const SETTINGS: &str = r"
preview_minutes = 0.0
[tokenizer_shape]
patch = 8
width = 16
blocks = 1
channels = 8
[dynamics_shape]
merge = 1
stem_width = 16
width = 32
depth = 2
heads = 2
mlp = 64
context = 4
[tokenizer]
batch_size = 8
[tokenizer.optimizer]
steps = 100
[dynamics]
batch_size = 2
sequence_length = 8
[dynamics.optimizer]
steps = 20
";

/// Prints the loss of each stage.
#[derive(Default)]
struct Losses {
    last: f64,
}

impl TrainProgress for Losses {
    fn step_done(&mut self, step: &StepReport) {
        if step.step == 1 {
            println!("{}: loss {:.3} at first", step.stage.name(), step.loss);
        }
        self.last = step.loss;
    }

    fn stage_ended(&mut self, stage: TrainStage) {
        println!("{}: loss {:.3} in the end", stage.name(), self.last);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let [data, out, config] = ["data", "run", "settings.toml"].map(|name| folder.path().join(name));
    let plan = RecordingPlan {
        world: SimulatorKind::Maze,
        policy: Policy::Mixed,
        seed: 1,
        world_seed: Some(7),
        frames: 300,
        episode_frames: 100,
    };
    let recorded = record(&plan, &data, &|_frames| true)?;
    println!("recorded {} frames", recorded.frames);

    std::fs::write(&config, SETTINGS)?;
    let options = TrainOptions {
        config: Some(config),
        ..TrainOptions::new(&data, &out)
    };
    let outcome = run(&options, &mut Losses::default())?;
    println!("training: {outcome:?}");

    let checkpoint = RunLayout::new(&out).checkpoint();
    let mut engine = driftless_engine::open(&checkpoint, DeviceChoice::Cpu, &GpuSource::Own)?;
    let dataset = Dataset::read(&data)?;
    let episode = dataset.episodes.first().ok_or("nothing was recorded")?;
    let next = engine.world().dynamics.context;
    let clip = episode.clip(0..next);
    let params = SamplerParams::default();
    let predicted = rollout(&mut engine, &clip, &[episode.action(next)], &params)?;
    let quality = psnr(&predicted, episode.frame(next)).ok_or("the frames are identical")?;
    println!("frame {next}, predicted from those before it: PSNR {quality:.1} dB");
    Ok(())
}
