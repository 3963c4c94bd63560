//! `driftless bench`.

use std::path::PathBuf;

use driftless::app;
use driftless::bench::{self, Options, PRESENTED, PresentReport, Timing, sweep, training};
use driftless::engine::{self, Clip, DeviceChoice, Gpu, Place, Seat};
use driftless::studio::game;
use driftless::{Error, Result};

/// Frames that are drawn, to know what drawing one takes.
const DRAWN: usize = 64;

/// What to measure, where.
#[derive(clap::Args)]
pub struct Args {
    /// The world: a checkpoint folder, or a shipped world by its name; pong without it.
    #[arg(long, value_name = "DIR|NAME")]
    checkpoint: Option<PathBuf>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Denoise passes a frame; each is measured.
    #[arg(long, value_name = "K,...", value_delimiter = ',', default_values_t = Options::default().steps)]
    steps: Vec<usize>,
    /// Frames to measure for each K.
    #[arg(long, value_name = "N", default_value_t = Options::default().frames)]
    frames: usize,
    /// Measure growth instead: frame time against width, context, tokens a frame and K, with random
    /// weights.
    #[arg(long, conflicts_with_all = ["checkpoint", "steps", "frames"])]
    sweep: bool,
    /// Measure the trainer on the processor instead: frames a second of the presets tiny and small.
    #[arg(long, conflicts_with_all = ["checkpoint", "steps", "frames", "sweep", "device"])]
    train: bool,
    /// Threads to train on; each number is measured.
    #[arg(long, value_name = "N,...", value_delimiter = ',', requires = "train", default_values_t = [1, 2])]
    threads: Vec<usize>,
    /// Seconds that each measurement of the trainer takes, at least.
    #[arg(long, value_name = "S", requires = "train", default_value_t = 10.0)]
    seconds: f64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
///
/// # Errors
/// As [`bench::run`].
pub fn run(args: &Args) -> Result<()> {
    if args.train {
        return train(args);
    }
    let place = engine::place(args.device, &Seat::Own)?;
    if args.sweep {
        return sweep(&place, args.json);
    }
    let folder = super::checkpoint_or_default(args.checkpoint.clone())?;
    let mut engine = engine::open_at(&folder, &place)?;
    let (contexts, first) = game::starts(&folder, engine.world(), None)?;
    let Some(context) = contexts.get(first) else {
        return Err(Error::invalid(&folder, "holds no starting context"));
    };
    let options = Options {
        steps: args.steps.clone(),
        frames: args.frames,
    };
    let bar = super::bar(options.work() as u64, "frames");
    let mut tick = || bar.inc(1);
    let mut report = bench::run(engine.as_mut(), context, &place, &options, &mut tick)?;
    report.present = present(&place, context, engine.world().image)?;
    bar.finish_and_clear();
    match args.json {
        true => super::print_json(&report),
        false => super::print(&bench::text(&report)),
    }
}

/// Draws a frame on the device of the engine, or else on the best that draws.
fn present(place: &Place, clip: &Clip, size: [usize; 2]) -> Result<Option<PresentReport>> {
    let gpu = match place {
        Place::Wgpu(gpu) => gpu.clone(),
        Place::Candle(_) => match Gpu::open(true) {
            Ok(gpu) => gpu,
            Err(_) => return Ok(None),
        },
    };
    let image = &clip.images[..(size[0] * size[1] * 3).min(clip.images.len())];
    let times = app::drawing_times(&gpu, &image.repeat(DRAWN), size, PRESENTED)?;
    // The first one warms up.
    let times: Vec<_> = times.into_iter().skip(1).collect();
    Ok((!times.is_empty()).then(|| PresentReport {
        adapter: gpu.name().to_owned(),
        timing: Timing::of(times),
    }))
}

fn train(args: &Args) -> Result<()> {
    if args.threads.contains(&0) {
        return Err(Error::Argument(
            "--threads is 0, expected at least 1".into(),
        ));
    }
    let bar = super::bar(training::work(args.threads.len()) as u64, "measurements");
    let report = training::run(&args.threads, args.seconds, &mut || bar.inc(1))?;
    bar.finish_and_clear();
    match args.json {
        true => super::print_json(&report),
        false => super::print(&training::text(&report)),
    }
}

fn sweep(place: &Place, json: bool) -> Result<()> {
    let bar = super::bar(0, "shapes");
    let report = sweep::run(place, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    match json {
        true => super::print_json(&report),
        false => super::print(&sweep::text(&report)),
    }
}
