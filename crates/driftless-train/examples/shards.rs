//! How fast a world is trained on shards, against the folder that they were cut from: records a maze, cuts it, and trains the
//! same steps on both.
//!
//! `cargo run --release -p driftless-train --example shards -- 4000 60` trains 60 steps of each network on 4,000 frames, from a
//! web server on loopback; with `s3://BUCKET/PREFIX` behind them, from a store of the environment
//! (`cargo run -p driftless-shards --features testing --example store`).

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use driftless_shards::testing::Server;
use driftless_shards::{CutOptions, Location, Stop, cut};
use driftless_train::{StepReport, TrainOptions, TrainProgress, TrainStage, run};
use driftless_worlds::record::{RecordingPlan, record};
use driftless_worlds::{Policy, SimulatorKind};

/// Networks far smaller than the defaults, so that fetching weighs more.
const SETTINGS: &str = r"
preview_minutes = 0.0
[tokenizer_shape]
width = 16
hidden = 32
blocks = 1
channels = 4
[dynamics_shape]
stem_width = 16
width = 32
depth = 2
heads = 2
mlp = 32
context = 4
[tokenizer.optimizer]
steps = STEPS
[dynamics.optimizer]
steps = STEPS
";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let frames = arguments.next().unwrap_or_else(|| "4000".into()).parse()?;
    let steps: u64 = arguments.next().unwrap_or_else(|| "60".into()).parse()?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let plan = RecordingPlan {
        world: SimulatorKind::Maze,
        policy: Policy::Mixed,
        seed: 1,
        world_seed: None,
        frames,
        episode_frames: 250,
    };
    record(&plan, &path("data"), &|_frames| true)?;
    let server = Server::web()?;
    let place = match arguments.next() {
        Some(place) => place,
        None => path("shards").to_string_lossy().into_owned(),
    };
    let options = CutOptions {
        data: path("data"),
        out: Location::parse(place.as_ref())?,
        // Six episodes.
        shard_bytes: 6 * 250 * 64 * 64 * 3,
        seed: 0,
        skip_bad: false,
        overwrite: true,
    };
    let never: Stop = Arc::new(|| false);
    let manifest = cut(&options, &never, &mut |_, _| {})?;
    let bytes: u64 = manifest.shards.iter().map(|shard| shard.bytes).sum();
    println!(
        "{} shards, {} frames, {bytes} bytes",
        manifest.shards.len(),
        manifest.frames
    );
    let mut from = place;
    if let Some(folder) = options.out.folder() {
        for entry in std::fs::read_dir(folder)? {
            let file = entry?.path();
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            server.put(&format!("/data/{name}"), std::fs::read(&file)?);
        }
        from = format!("{}/data", server.url());
    }
    let settings = SETTINGS.replace("STEPS", &steps.to_string());
    std::fs::write(path("settings.toml"), settings)?;
    for round in 0..2 {
        for (name, data) in [("folder", path("data")), ("shards", from.clone().into())] {
            let out = path(&format!("{name}-{round}"));
            let options = TrainOptions {
                config: Some(path("settings.toml")),
                ..TrainOptions::new(data, &out)
            };
            let mut speed = Speed::default();
            let started = Instant::now();
            let outcome = run(&options, &mut speed)?;
            let seconds = started.elapsed().as_secs_f64();
            println!(
                "{name}: {outcome:?} after {seconds:.1} s; frames/s {:?}",
                speed.stages
            );
        }
    }
    for (path, reads) in server.reads() {
        println!("{path}: read {reads} times");
    }
    Ok(())
}

/// Frames a second of all steps of each network.
#[derive(Default)]
struct Speed {
    stages: Vec<(&'static str, f64)>,
    frames: f64,
    seconds: f64,
    last: Option<Instant>,
}

impl TrainProgress for Speed {
    fn stage_begun(&mut self, _stage: TrainStage, _total: u64, _done: u64) {
        (self.frames, self.seconds, self.last) = (0.0, 0.0, Some(Instant::now()));
    }

    fn step_done(&mut self, step: &StepReport) {
        let now = Instant::now();
        let seconds = self
            .last
            .replace(now)
            .map_or(0.0, |last| (now - last).as_secs_f64());
        self.seconds += seconds;
        self.frames += step.frames_per_second * seconds;
    }

    fn stage_ended(&mut self, stage: TrainStage) {
        let speed = self.frames / self.seconds.max(f64::MIN_POSITIVE);
        self.stages.push((stage.name(), speed.round()));
    }
}
