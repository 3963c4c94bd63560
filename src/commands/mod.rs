//! One module per subcommand: its arguments, and the library calls behind it.

pub mod bench;
pub mod devices;
pub mod eval;
pub mod import;
pub mod info;
pub mod likelihood;
pub mod new;
pub mod play;
pub mod record;
pub mod replay;
pub mod rollout;
pub mod train;
mod training_bench;

use std::io::Write;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use driftless::workspace::IncludedWorlds;
use driftless::{Error, Result, interrupt};
use driftless_data::{Episode, PathError as _, export};
use driftless_engine::{SamplerParams, SamplingPath, Solver};
use driftless_model::checkpoint::read_config;

/// Prints a line. A closed pipe is not an error.
fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("stdout", e)),
        _ => Ok(()),
    }
}

/// Names `path` in an error about the episodes read from it; other errors stay as they are.
fn about(path: &Path, error: impl Into<Error>) -> Error {
    let error = error.into();
    if error.is_episodes() {
        Error::invalid(path, error.to_string())
    } else {
        error
    }
}

/// Prints one JSON object.
fn print_json(value: &impl Serialize) -> Result<()> {
    let text =
        serde_json::to_string(value).map_err(|e| driftless_data::Error::encode("JSON", e))?;
    print(&text)
}

/// A progress bar on stderr.
fn bar(total: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let template =
        format!("{{wide_bar:.cyan/blue}} {{pos}}/{{len}} {unit} {{per_sec}} {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// Writes frames to `out` in the format of its extension. On Ctrl-C it stops and leaves no file.
fn export(episode: &Episode, out: &Path, scale: u32, fps: f32) -> Result<()> {
    interrupt::watch();
    let bar = bar(episode.frames() as u64, "frames written");
    let mut watch = |done| {
        bar.set_position(done as u64);
        !interrupt::requested()
    };
    export::write_with_progress(episode, out, scale, fps, &mut watch)?;
    bar.finish_and_clear();
    Ok(())
}

/// The checkpoint folder of `world`, as [`checkpoint`] finds it, or of the default world.
fn checkpoint_or_default(world: Option<PathBuf>) -> Result<PathBuf> {
    match world {
        Some(world) => checkpoint(world),
        None => IncludedWorlds::find(None).default_world(),
    }
}

/// The checkpoint folder of `world`, a folder or the name of an included world.
fn checkpoint(world: PathBuf) -> Result<PathBuf> {
    if world.exists() || world.components().count() != 1 {
        return Ok(world);
    }
    let folder = world
        .to_str()
        .map(|name| IncludedWorlds::find(None).folder(name));
    folder.transpose()?.flatten().ok_or_else(|| {
        let what = "neither a checkpoint folder nor the name of an included world";
        Error::invalid(&world, what)
    })
}

/// The folder of the included world whose configuration has this display name.
fn included_world(name: &str) -> Option<PathBuf> {
    let shipped = IncludedWorlds::find(None);
    let names = shipped.names();
    let mut folders = names.iter().filter_map(|name| shipped.folder(name).ok()?);
    folders.find(|folder| read_config(folder).is_ok_and(|config| config.name == name))
}

/// Sampler options.
#[derive(clap::Args)]
#[command(next_help_heading = "Sampler")]
struct SamplerArgs {
    /// Sampling steps per frame, K.
    #[arg(long = "steps", value_name = "K", default_value_t = SamplerParams::default().steps)]
    steps: usize,
    /// Seed of the noise.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Signal level τ of the context frames, above 0 to 1 (clean).
    #[arg(long, value_name = "TAU", default_value_t = SamplerParams::default().context_signal)]
    context_signal: f32,
    /// Standard deviation of the initial noise.
    #[arg(long, value_name = "T", default_value_t = SamplerParams::default().temperature)]
    temperature: f32,
    /// Action guidance (CFG): 1 is off; above 1 strengthens the action and costs a second pass.
    #[arg(long, value_name = "G", default_value_t = SamplerParams::default().guidance)]
    guidance: f32,
    #[command(flatten)]
    solver: SolverArgs,
}

impl SamplerArgs {
    /// The sampler parameters, checked.
    ///
    /// # Errors
    /// Returns an error if a parameter is out of range or conflicts with another.
    fn params(&self) -> Result<SamplerParams> {
        let params = self.solver.apply_to(SamplerParams {
            steps: self.steps,
            seed: self.seed,
            context_signal: self.context_signal,
            temperature: self.temperature,
            guidance: self.guidance,
            ..SamplerParams::default()
        });
        params.check()?;
        Ok(params)
    }
}

/// Options of the ODE solver that takes a frame from noise to data.
#[derive(clap::Args)]
#[command(next_help_heading = "Sampler")]
struct SolverArgs {
    /// Solver for the probability-flow ODE.
    #[arg(long, value_enum, default_value_t)]
    solver: Solver,
    /// Probability path to follow: as trained, or another one that ends in the same distribution.
    #[arg(long, value_enum, default_value_t)]
    path: SamplingPath,
    /// Timestep shift: 1 spaces the signal levels evenly, above 1 puts more of them near noise.
    #[arg(long, value_name = "S", default_value_t = SamplerParams::default().shift)]
    shift: f32,
    /// Stochasticity (churn): noise added between Euler steps; 0 solves the ODE.
    #[arg(long, value_name = "C", default_value_t = SamplerParams::default().churn)]
    churn: f32,
    /// Error tolerance of adaptive steps.
    #[arg(long, value_name = "TOL", default_value_t = SamplerParams::default().tolerance)]
    tolerance: f32,
}

impl SolverArgs {
    fn apply_to(&self, params: SamplerParams) -> SamplerParams {
        SamplerParams {
            solver: self.solver,
            path: self.path,
            shift: self.shift,
            churn: self.churn,
            tolerance: self.tolerance,
            ..params
        }
    }
}
