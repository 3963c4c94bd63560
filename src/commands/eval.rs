//! `driftless eval`: evaluates a world on held-out episodes.

use std::path::{Path, PathBuf};

use driftless::{Error, Result};
use driftless_data::cells::CellDataset;
use driftless_data::{Dataset, PathError as _};
use driftless_engine::{DeviceOptions, GpuSource, Sampler, SamplerParams};
use driftless_eval::alarm::AlarmOptions;
use driftless_eval::cells::{self, CellEvalOptions};
use driftless_eval::lpips::Lpips;
use driftless_eval::memory::{self, MemoryReport};
use driftless_eval::pose::PoseProbe;
use driftless_eval::{
    EvalOptions, EvalProgress, Probes, alarm, pose, report, report_tables, table,
};

use driftless_transport::{Route, TransportConfig, TransportParams, Transporter};

use super::eval_agent::AgentArgs;
use super::eval_clips::{self, ClipArgs, ClipTest};
use super::eval_memory::MemoryArgs;
use super::given::GivenOptions;
use super::sampler_args::{ParamOptions, Selection};

/// The sampler parameters without K, of which `eval` takes a list, and guidance, which it leaves as trained.
pub struct EvalParams;

/// The options of worlds that a transport network has no use for, besides those of the sampler.
const OF_WORLDS: [&str; 17] = [
    "horizon",
    "clip",
    "sequences",
    "free_frames",
    "free_runs",
    "free_bin",
    "device",
    "threads",
    "probe",
    "lpips",
    "alarm",
    "memory",
    "timed_frames",
    "pose_mazes",
    "clips",
    "clip_guidance",
    "clip_frames",
];
/// The options of a transport network that worlds have no use for.
const OF_CELLS: [&str; 5] = [
    "route",
    "transport_guidance",
    "source_noise",
    "cells",
    "classifier_steps",
];

impl Selection for EvalParams {
    const WITHOUT: &[&str] = &["steps", "guidance"];
}

/// Arguments of `eval`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    given: GivenOptions,
    /// Checkpoint folder, or name of an included or a saved world [default: pong].
    #[arg(long, value_name = "DIR|NAME")]
    checkpoint: Option<PathBuf>,
    /// Folder of held-out episodes, or of cells for a transport network.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["memory", "agent"])]
    data: Option<PathBuf>,
    /// Frames to predict after the starting clip (horizon).
    #[arg(long, value_name = "H", default_value_t = EvalOptions::default().horizon)]
    horizon: usize,
    /// Frames of the starting clip; a world uses as many of the last ones as it can.
    #[arg(long, alias = "context", value_name = "C", default_value_t = EvalOptions::default().clip_frames)]
    clip: usize,
    /// Number of rollouts, spread evenly over the episodes [default: 32], or with --memory of mazes
    /// [default: 64].
    #[arg(long, value_name = "N")]
    sequences: Option<usize>,
    /// Sampling steps per frame, K; each value is evaluated.
    #[arg(long, value_name = "K,...", value_delimiter = ',', default_values_t = EvalOptions::default().steps)]
    steps: Vec<usize>,
    /// Length of each free run in frames; 0 skips free running.
    #[arg(long, value_name = "N", default_value_t = EvalOptions::default().free_frames)]
    free_frames: usize,
    /// Number of free runs, each from a different start.
    #[arg(long, value_name = "N", default_value_t = EvalOptions::default().free_runs)]
    free_runs: usize,
    /// Frames per bin in the statistics of free runs.
    #[arg(long, value_name = "N", default_value_t = EvalOptions::default().free_bin)]
    free_bin: usize,
    #[command(flatten)]
    sampler: ParamOptions<EvalParams>,
    /// Seed of the first rollout.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    device: DeviceOptions,
    /// Episodes, not the held-out ones, to train a probe on that reads position and direction from a
    /// frame. For worlds whose episodes contain them, such as the maze.
    #[arg(long, value_name = "DIR")]
    probe: Option<PathBuf>,
    /// Weights of LPIPS: backbone and heads, in one file or in two, safetensors or PyTorch's .pth
    /// (docs/data.md says where they come from). They do not come with the program.
    #[arg(long, value_name = "FILE,...", value_delimiter = ',')]
    lpips: Vec<PathBuf>,
    /// Measure instead how well the world's own signals tell wrong frames: round-trip error, flow
    /// instability and spread over seeds. Thresholds come from half of the rollouts, precision and
    /// recall from the other half.
    #[arg(long, conflicts_with_all = ["free_frames", "free_runs", "free_bin", "probe", "lpips", "pictures"])]
    alarm: bool,
    /// How cells are carried, instead of the checkpoint's own way (transport networks).
    #[arg(long, value_enum, value_name = "WAY")]
    route: Option<RouteChoice>,
    /// Guidance (transport networks).
    #[arg(long, value_name = "G", value_parser = guidance)]
    transport_guidance: Option<f64>,
    /// Noise that is added to controls, in standard deviations of the pictures (transport networks).
    #[arg(long, value_name = "S", value_parser = guidance)]
    source_noise: Option<f64>,
    /// Pictures made for each compound and dose (transport networks).
    #[arg(long, value_name = "N", default_value_t = 20)]
    cells: usize,
    /// Steps in which the classifier of mechanisms is trained (transport networks).
    #[arg(long, value_name = "N", default_value_t = 1500)]
    classifier_steps: usize,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    clips: ClipArgs,
    #[command(flatten)]
    agents: AgentArgs,
    /// Folder for contact sheets (PNG): ground truth above prediction, and free runs; for a transport
    /// network controls, what it makes of them, and the truth.
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Replace pictures that exist in the folder of --pictures.
    #[arg(long, requires = "pictures")]
    overwrite: bool,
    /// Print Markdown tables.
    #[arg(long)]
    markdown: bool,
    /// Print the result as one JSON object.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
}

/// Evaluates the world and prints the report.
///
/// # Errors
/// Returns an error if the world, the device or the episodes cannot be read, if the episodes are too
/// short or do not fit the world, or if a frame or an image file fails.
pub fn run(args: &Args) -> Result<()> {
    if let Some(pictures) = args.pictures.as_deref().filter(|_| !args.overwrite) {
        check_empty(pictures)?;
    }
    let of_cells = "transport networks";
    if !args.agents.agent.is_empty() {
        args.given.refuse(OF_CELLS, of_cells)?;
        let report = args.agents.measure(args.seed, args.device.threads)?;
        if args.json {
            return super::print_json(&report);
        }
        return print_tables(args, &driftless_eval::agent::tables(&report));
    }
    let folder = super::checkpoint_or_default(args.checkpoint.clone())?;
    if TransportConfig::is_in(&folder) {
        let data = args.data.as_deref().ok_or_else(|| {
            Error::Argument("--memory is for worlds: a transport network needs --data".to_owned())
        })?;
        return transport(args, &folder, data);
    }
    args.given.refuse(OF_CELLS, of_cells)?;
    if let (true, Some(data)) = (args.clips.clips, &args.data) {
        return clips(args, &folder, data);
    }
    // Read first: the rest takes long.
    let lpips = match args.lpips.as_slice() {
        [] => None,
        files => Some(Lpips::read(files)?),
    };
    let mut engine = driftless_engine::open(&folder, args.device, &GpuSource::Own)?;
    let options = args.options(&SamplerParams::of_world(engine.world()));
    let Some(data) = &args.data else {
        let params = SamplerParams {
            steps: options.main_steps(),
            ..options.params
        };
        let open = |device| driftless_engine::open(&folder, device, &GpuSource::Own);
        let report = args
            .memory
            .measure(engine, args.device, &open, args.sequences, params)?;
        return print_memory(args, &report);
    };
    let dataset = Dataset::read(data)?;
    if args.alarm {
        return alarm(args, data, &mut engine, &dataset, &options);
    }
    rollouts(args, data, &mut engine, &dataset, &options, lpips.as_ref())
}

impl Args {
    /// What is asked for, of a world that is played with `params` where nothing else is said.
    fn options(&self, params: &SamplerParams) -> EvalOptions {
        let defaults = EvalOptions::default();
        EvalOptions {
            horizon: self.horizon,
            clip_frames: self.clip,
            sequences: self.sequences.unwrap_or(defaults.sequences),
            steps: self.steps.clone(),
            free_frames: self.free_frames,
            free_runs: self.free_runs,
            free_bin: self.free_bin,
            params: SamplerParams {
                seed: self.seed,
                ..self.sampler.over(*params)
            },
            ..defaults
        }
    }
}

/// Compares rollouts with the episodes, and prints the report.
fn rollouts(
    args: &Args,
    data: &Path,
    engine: &mut Sampler,
    dataset: &Dataset,
    options: &EvalOptions,
    lpips: Option<&Lpips>,
) -> Result<()> {
    let probe = args.probe.as_deref().map(|folder| {
        let dataset = Dataset::read(folder)?;
        PoseProbe::train(&dataset.episodes, pose::PROBE_STEPS, args.seed)
            .map_err(|error| super::about(folder, error))
    });
    let probe = probe.transpose()?;
    let bar = super::bar(0, "frames");
    let mut show = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let progress = &mut EvalProgress::new(&mut show);
    let report = report::run(
        engine,
        dataset,
        options,
        Probes {
            pose: probe.as_ref(),
            lpips,
        },
        args.pictures.as_deref(),
        progress,
    )
    .map_err(|error| super::about(data, error))?;
    bar.finish_and_clear();
    if args.json {
        return super::print_json(&report);
    }
    print_tables(args, &report_tables::tables(&report))
}

/// Measures a clip network.
fn clips(args: &Args, folder: &Path, data: &Path) -> Result<()> {
    let test = ClipTest {
        folder,
        data,
        trained_on: args.probe.as_deref(),
        prompts: args.sequences,
        steps: &args.steps,
        seed: args.seed,
        device: args.device,
    };
    let reports = eval_clips::measure(&args.clips, &test)?;
    if args.json {
        return super::print_json(&reports);
    }
    print_tables(args, &driftless_eval::clips::comparison_tables(&reports))
}

/// Measures a transport network.
fn transport(args: &Args, folder: &Path, data: &Path) -> Result<()> {
    let of_worlds = OF_WORLDS.into_iter();
    let of_worlds = of_worlds.chain(EvalParams::params().map(|spec| spec.name));
    args.given.refuse(of_worlds, "worlds")?;
    let transporter = Transporter::read(folder)?;
    let own = TransportParams::of(transporter.config());
    let steps = match &args.steps[..] {
        // The list's default is for worlds.
        _ if !args.given.contains("steps") => own.steps,
        &[steps] => steps,
        several => {
            let what = format!(
                "--steps has {} values, expected one for a transport network",
                several.len()
            );
            return Err(Error::Argument(what));
        }
    };
    if !(1..=1000).contains(&steps) || args.cells < 2 {
        let what = format!(
            "--steps is {steps} and --cells {}, expected 1 to 1000 and 2 or more",
            args.cells
        );
        return Err(Error::Argument(what));
    }
    let data = CellDataset::read(data)?;
    let options = CellEvalOptions {
        params: TransportParams {
            route: args.route.map_or(own.route, RouteChoice::route),
            guidance: args.transport_guidance.unwrap_or(own.guidance),
            source_noise: args
                .source_noise
                .map_or(own.source_noise, |noise| noise as f32),
            steps,
            ..own
        },
        pictures: args.cells,
        classifier_steps: args.classifier_steps,
        seed: args.seed,
    };
    let bar = super::bar(0, "pictures and steps");
    let report = cells::run(&transporter, &data, &options, &mut |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    if let Some(pictures) = &args.pictures {
        cells::sheet(&transporter, &data, &options)?.write(&pictures.join("cells.png"))?;
    }
    if args.json {
        super::print_json(&report)
    } else {
        print_tables(args, &cells::tables(&report))
    }
}

/// How cells are carried.
#[derive(Clone, Copy, clap::ValueEnum)]
enum RouteChoice {
    /// From the control, or from noise if the network was trained from noise.
    Forward,
    /// Back from the control as an untreated cell, then forward under the drug.
    Invert,
}

impl RouteChoice {
    fn route(self) -> Route {
        match self {
            Self::Forward => Route::Forward,
            Self::Invert => Route::Invert,
        }
    }
}

/// Parses a number from 0 to 10.
fn guidance(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse().ok().filter(|x| (0.0..=10.0).contains(x));
    number.ok_or_else(|| "expected a number from 0 to 10".into())
}

/// Measures the alarms at one K and prints the report.
fn alarm(
    args: &Args,
    data: &Path,
    engine: &mut Sampler,
    dataset: &Dataset,
    options: &EvalOptions,
) -> Result<()> {
    let alarm_options = AlarmOptions {
        sequences: options.sequences,
        clip_frames: options.clip_frames,
        horizon: options.horizon,
        params: SamplerParams {
            steps: options.main_steps(),
            ..options.params
        },
    };
    let bar = super::bar(0, "frames");
    let mut show = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let progress = &mut EvalProgress::new(&mut show);
    let report = alarm::run(engine, dataset, &alarm_options, progress)
        .map_err(|error| super::about(data, error))?;
    bar.finish_and_clear();
    if args.json {
        super::print_json(&report)
    } else {
        print_tables(args, &alarm::tables(&report))
    }
}

fn print_memory(args: &Args, report: &MemoryReport) -> Result<()> {
    if args.json {
        return super::print_json(report);
    }
    print_tables(args, &memory::tables(report))?;
    match memory::absent(report) {
        Some(line) => super::print(&line),
        None => Ok(()),
    }
}

fn print_tables(args: &Args, tables: &[table::Table]) -> Result<()> {
    let text = if args.markdown {
        table::markdown(tables)
    } else {
        table::text(tables)
    };
    super::print(&text)
}

/// Checks that no picture is replaced.
///
/// # Errors
/// Returns an error that names `--overwrite` if the folder holds something.
fn check_empty(folder: &Path) -> Result<()> {
    let entries = folder.read_dir().into_iter().flatten();
    match entries.count() {
        0 => Ok(()),
        _ => {
            let what =
                "is not empty; choose another folder, or replace its pictures with --overwrite";
            Err(Error::invalid(folder, what))
        }
    }
}
