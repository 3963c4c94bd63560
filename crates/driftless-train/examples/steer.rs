//! Records the simulator whose car has a steering wheel, trains a small world on it, and measures whether the
//! dream follows the wheel: against the true frames, under the true axes, with the wheel turned to the other
//! side, and with it at rest.
//!
//! `cargo run --release -p driftless-train --example steer -- FRAMES TOKENIZER_STEPS DYNAMICS_STEPS`

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::error::Error;

use driftless_data::metrics::SquaredError;
use driftless_data::{Action, Dataset};
use driftless_engine::rollout::{rollout, windows};
use driftless_engine::{DeviceChoice, GpuSource, SamplerParams};
use driftless_train::{RunLayout, StepReport, TrainOptions, TrainProgress, TrainStage, run};
use driftless_worlds::record::{RecordingPlan, record};
use driftless_worlds::{Policy, SimulatorKind};

/// Frames that are predicted in each of so many windows.
const HORIZON: usize = 12;
const WINDOWS: usize = 24;

fn settings([tokenizer, dynamics]: [usize; 2]) -> String {
    format!(
        "
preview_minutes = 0.0
[tokenizer_shape]
patch = 8
width = 32
hidden = 64
blocks = 1
channels = 8
[dynamics_shape]
merge = 2
stem_width = 32
width = 64
depth = 2
heads = 2
mlp = 128
context = 6
[tokenizer]
batch_size = 16
[tokenizer.optimizer]
steps = {tokenizer}
[dynamics]
batch_size = 4
sequence_length = 10
[dynamics.optimizer]
steps = {dynamics}
"
    )
}

/// Prints the loss of each stage: of the first step, and a running mean.
#[derive(Default)]
struct Losses {
    mean: f64,
}

impl TrainProgress for Losses {
    fn step_done(&mut self, step: &StepReport) {
        if step.step == 1 {
            self.mean = step.loss;
        }
        self.mean += 0.05 * (step.loss - self.mean);
        if step.step == 1 || step.step.is_multiple_of(200) {
            let (name, number) = (step.stage.name(), step.step);
            println!("{name}: step {number}, loss {:.3}", self.mean);
        }
    }

    fn stage_ended(&mut self, stage: TrainStage) {
        println!("{}: loss {:.3} in the end", stage.name(), self.mean);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .map(|argument| argument.parse())
        .collect::<Result<_, _>>()?;
    let [frames, tokenizer, dynamics] = arguments[..] else {
        return Err("expected FRAMES TOKENIZER_STEPS DYNAMICS_STEPS".into());
    };
    let folder = tempfile::tempdir()?;
    let place = |name: &str| folder.path().join(name);
    for (name, seed, frames) in [("data", 1, frames), ("held-out", 2, 1200)] {
        let plan = RecordingPlan {
            world: SimulatorKind::Steer,
            policy: Policy::Mixed,
            seed,
            world_seed: None,
            frames,
            episode_frames: 300,
        };
        record(&plan, &place(name), &|_frames| true)?;
    }
    std::fs::write(place("settings.toml"), settings([tokenizer, dynamics]))?;
    let options = TrainOptions {
        config: Some(place("settings.toml")),
        ..TrainOptions::new(place("data"), place("run"))
    };
    let outcome = run(&options, &mut Losses::default())?;
    println!("training: {outcome:?}");

    let checkpoint = RunLayout::new(place("run")).checkpoint();
    let mut engine = driftless_engine::open(&checkpoint, DeviceChoice::Cpu, &GpuSource::Own)?;
    let held_out = Dataset::read(&place("held-out"))?;
    let context = engine.world().dynamics.context;
    // What the wheel is multiplied by.
    for (name, factor) in [
        ("the true axes", 1.0),
        ("the wheel mirrored", -1.0),
        ("the wheel at rest", 0.0),
    ] {
        let change = |mut action: Action| {
            action.axes[0] *= factor;
            action
        };
        let mut error = SquaredError::default();
        for window in windows(&held_out.episodes, context + HORIZON, WINDOWS)? {
            let episode = &held_out.episodes[window.episode];
            let first = window.start + context;
            let future = episode.clip(first..first + HORIZON);
            let actions: Vec<Action> = future.actions.into_iter().map(change).collect();
            let clip = episode.clip(window.start..first);
            let dreamt = rollout(&mut engine, &clip, &actions, &SamplerParams::default())?;
            error.add(&dreamt, &future.images);
        }
        let psnr = error.psnr().ok_or("the frames are identical")?;
        println!("PSNR of {HORIZON} predicted frames under {name}: {psnr:.2} dB");
    }
    Ok(())
}
