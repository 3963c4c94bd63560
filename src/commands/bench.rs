//! `driftless bench`: measures the speed of the engine.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use candle_core::Device;

use driftless::workspace::playable_world;
use driftless::workspace::published::Published;
use driftless::{Error, Result, app};
use driftless_data::{Clip, PathError as _};
use driftless_engine::{Backend, DeviceChoice, DeviceOptions, Gpu, GpuSource, Threads};
use driftless_eval::bench;
use driftless_eval::bench::batch::{self, BatchBenchOptions};
use driftless_eval::bench::{BenchOptions, PRESENTED_SIDE, PresentReport, Timing, sweep};
use driftless_model::checkpoint::WorldModel;

use super::hub::HubArgs;
use super::published_bench::PublishedBench;
use super::training_bench;

/// Frames to present when measuring the presentation time.
const PRESENT_FRAMES: usize = 64;
/// Numbers of threads to train on, unless others are given.
const TRAINING_THREADS: [usize; 2] = [1, 2];

/// Arguments of `bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint folder, name of an included or a saved world, or a published checkpoint (.pt, .safetensors, or
    /// hf:OWNER/NAME) [default: pong].
    #[arg(long, value_name = "DIR|NAME|FILE")]
    checkpoint: Option<PathBuf>,
    #[command(flatten)]
    hub: HubArgs,
    /// Compute device.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Sampling steps per frame, K; each value is measured.
    #[arg(long, value_name = "K,...", value_delimiter = ',', default_values_t = BenchOptions::default().steps)]
    steps: Vec<usize>,
    /// Frames to measure per value of K.
    #[arg(long, value_name = "N", default_value_t = BenchOptions::default().frames)]
    frames: usize,
    /// Measure how the frame time grows with width, context, tokens per frame and K instead, using
    /// random weights.
    #[arg(long, conflicts_with_all = ["checkpoint", "steps", "frames"])]
    sweep: bool,
    /// Measure so many games at once on the CPU instead: in a batch, each on one thread, and as single engines
    /// one after another.
    #[arg(long, value_name = "N", conflicts_with_all = ["sweep", "device"])]
    batch: Option<usize>,
    /// Measure the training speed on the CPU instead, with the presets tiny and small.
    #[arg(long, conflicts_with_all = ["checkpoint", "steps", "frames", "sweep", "device", "batch"])]
    train: bool,
    /// Numbers of threads of the CPU engine, or of training; each is measured [default: the number that
    /// the engine chooses; 1,2 with --train].
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = Threads::count)]
    threads: Vec<NonZeroUsize>,
    /// Minimum duration of each measurement of training, in seconds.
    #[arg(long, value_name = "S", requires = "train", default_value_t = 10.0)]
    seconds: f64,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the benchmark and prints the report.
///
/// # Errors
/// Returns an error if the world, its starting clips or the device cannot be opened, or if a frame fails.
pub fn run(args: &Args) -> Result<()> {
    if args.train {
        return train(args);
    }
    if let Some(games) = args.batch {
        return bench_batch(args, games);
    }
    if args.sweep && args.threads.len() > 1 {
        return Err(Error::Argument(
            "--sweep: expected one number of --threads".into(),
        ));
    }
    let threads = args.threads.first().copied();
    let options = DeviceOptions {
        device: args.device,
        threads: threads.map_or(Threads::Auto, Threads::Exactly),
    };
    let checkpoint = args.hub.local_option(args.checkpoint.as_deref())?;
    if let Some(world) = &checkpoint
        && let Some(world) = Published::at(world)?
    {
        return bench_published(args, options, &world);
    }
    let backend = driftless_engine::choose_backend(options, &GpuSource::Own)?;
    if args.sweep {
        return sweep(&backend, args.json);
    }
    let folder = super::checkpoint_or_default(checkpoint)?;
    let mut engine = driftless_engine::open_on_backend(&folder, &backend)?;
    let (clips, first) = playable_world::starting_clips(&folder, engine.world(), None)?;
    let Some(clip) = clips.get(first) else {
        return Err(Error::invalid(&folder, "contains no starting clip"));
    };
    let options = BenchOptions {
        steps: args.steps.clone(),
        frames: args.frames,
        threads: args.threads.clone(),
    };
    let bar = super::bar(options.work() as u64, "frames");
    let mut tick = || bar.inc(1);
    let mut report = bench::run(&mut engine, clip, &backend, &options, &mut tick)?;
    report.present = present(&backend, clip, engine.world().image)?;
    bar.finish_and_clear();
    if args.json {
        super::print_json(&report)
    } else {
        super::print(&bench::format_report(&report))
    }
}

/// Measures a batch of games.
fn bench_batch(args: &Args, games: usize) -> Result<()> {
    const MOST: usize = 4096;
    if args.threads.len() > 1 || games > MOST {
        let what = format!("--batch: expected at most {MOST} games and one number of --threads");
        return Err(Error::Argument(what));
    }
    let folder = super::checkpoint_or_default(args.checkpoint.clone())?;
    let world = WorldModel::read(&folder, &Device::Cpu)?;
    let (clips, first) = playable_world::starting_clips(&folder, &world.config, None)?;
    let Some(clip) = clips.get(first) else {
        return Err(Error::invalid(&folder, "contains no starting clip"));
    };
    let threads = args.threads.first().copied();
    let options = BatchBenchOptions {
        games,
        steps: args.steps.clone(),
        frames: args.frames.div_ceil(games.max(1)),
        threads: threads.map_or(Threads::Auto, Threads::Exactly),
    };
    let bar = super::bar(options.work() as u64, "rounds");
    let report = batch::run(&world, clip, &options, &mut || bar.inc(1))?;
    bar.finish_and_clear();
    if args.json {
        super::print_json(&report)
    } else {
        super::print(&batch::format_batch(&report))
    }
}

/// Measures presentation on the engine's GPU, or on the best available one if the engine has none.
fn present(backend: &Backend, clip: &Clip, size: [usize; 2]) -> Result<Option<PresentReport>> {
    let gpu = match backend {
        Backend::Wgpu(gpu) => gpu.clone(),
        Backend::Cpu(_) | Backend::Candle(_) => match Gpu::open(true) {
            Ok(gpu) => gpu,
            Err(_) => return Ok(None),
        },
    };
    let image = &clip.images[..(size[0] * size[1] * 3).min(clip.images.len())];
    let times = app::drawing_times(&gpu, &image.repeat(PRESENT_FRAMES), size, PRESENTED_SIDE)?;
    // The first frame is a warm-up.
    let times: Vec<_> = times.into_iter().skip(1).collect();
    Ok((!times.is_empty()).then(|| PresentReport {
        adapter: gpu.name().to_owned(),
        timing: Timing::of(times),
    }))
}

/// Measures a published world.
fn bench_published(args: &Args, device: DeviceOptions, world: &Published) -> Result<()> {
    let bench = PublishedBench {
        steps: &args.steps,
        threads: &args.threads,
        device,
        frames: args.frames,
    };
    let bar = super::bar(bench.work() as u64, "frames");
    let report = bench.run(world, &mut || bar.inc(1))?;
    bar.finish_and_clear();
    if args.json {
        super::print_json(&report)
    } else {
        super::print(&report.text())
    }
}

fn train(args: &Args) -> Result<()> {
    let threads: Vec<usize> = match args.threads.as_slice() {
        [] => TRAINING_THREADS.to_vec(),
        all => all.iter().map(|n| n.get()).collect(),
    };
    let measurements = training_bench::measurements(threads.len());
    let bar = super::bar(measurements as u64, "measurements");
    let report = training_bench::run(&threads, args.seconds, &mut || bar.inc(1))?;
    bar.finish_and_clear();
    if args.json {
        super::print_json(&report)
    } else {
        super::print(&training_bench::format_report(&report))
    }
}

fn sweep(backend: &Backend, json: bool) -> Result<()> {
    let bar = super::bar(0, "shapes");
    let report = sweep::run(backend, &mut |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    if json {
        super::print_json(&report)
    } else {
        super::print(&sweep::format_report(&report))
    }
}
