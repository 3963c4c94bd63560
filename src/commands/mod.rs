//! One file a subcommand: its arguments, and the library call behind it.

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

use driftless_data::PathError as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use driftless::workspace::Shipped;
use driftless::{Error, Result, interrupt};
use driftless_data::{Episode, export};
use driftless_engine::{Along, SamplerParams, Solver};
use driftless_model::checkpoint::read_config;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// Prints a line; a reader that has gone away is no failure.
fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("stdout", e)),
        _ => Ok(()),
    }
}

/// The error as one about `path`, if it is about what was asked of it.
fn about(path: &Path, error: impl Into<Error>) -> Error {
    let error = error.into();
    if error.is_argument() {
        Error::invalid(path, error.to_string())
    } else {
        error
    }
}

/// Prints one JSON object.
fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value).map_err(|e| Error::Argument(format!("JSON: {e}")))?;
    print(&text)
}

/// A bar on stderr that counts to `total`.
fn bar(total: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let template =
        format!("{{wide_bar:.cyan/blue}} {{pos}}/{{len}} {unit} {{per_sec}} {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// Writes frames as what `out` asks for; Ctrl-C gives it up and leaves nothing.
fn export(episode: &Episode, out: &Path, scale: u32, fps: f32) -> Result<()> {
    interrupt::watch();
    let bar = bar(episode.frames() as u64, "frames written");
    let mut watch = |done| {
        bar.set_position(done as u64);
        !driftless_data::interrupt::requested()
    };
    export::write_while(episode, out, scale, fps, &mut watch)?;
    bar.finish_and_clear();
    Ok(())
}

/// The given checkpoint's folder, or the shipped world of that name; the default one of these
/// where none is given.
fn checkpoint_or_default(given: Option<PathBuf>) -> Result<PathBuf> {
    match given {
        Some(given) => checkpoint(given),
        None => Shipped::find(None).default_world(),
    }
}

/// The given checkpoint's folder, or the shipped world of that name.
fn checkpoint(given: PathBuf) -> Result<PathBuf> {
    if given.exists() || given.components().count() != 1 {
        return Ok(given);
    }
    let named = given.to_str().map(|name| Shipped::find(None).folder(name));
    named.transpose()?.flatten().ok_or_else(|| {
        let what = "neither a checkpoint folder nor the name of a shipped world";
        Error::invalid(&given, what)
    })
}

/// The folder of the shipped world that calls itself `name`.
fn shipped_as(name: &str) -> Option<PathBuf> {
    let shipped = Shipped::find(None);
    let names = shipped.names();
    let mut folders = names.iter().filter_map(|name| shipped.folder(name).ok()?);
    folders.find(|folder| read_config(folder).is_ok_and(|config| config.name == name))
}

/// How frames are sampled.
#[derive(clap::Args)]
struct Sampling {
    /// Steps a frame, K.
    #[arg(long = "steps", value_name = "K", default_value_t = SamplerParams::default().steps)]
    steps: usize,
    /// Seed of the noise.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Signal level at which finished frames are kept, above 0 to 1 (clean).
    #[arg(long, value_name = "TAU", default_value_t = SamplerParams::default().context_signal)]
    context_signal: f32,
    /// Standard deviation of the starting noise.
    #[arg(long, value_name = "T", default_value_t = SamplerParams::default().temperature)]
    temperature: f32,
    /// How much the action counts: 1 as trained, above it more (costs a second pass).
    #[arg(long, value_name = "G", default_value_t = SamplerParams::default().guidance)]
    guidance: f32,
    #[command(flatten)]
    method: Method,
}

impl Sampling {
    /// # Errors
    /// A parameter is out of its range, or does not go with another.
    fn params(&self) -> Result<SamplerParams> {
        let params = self.method.put_into(SamplerParams {
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

/// How a frame is brought from noise to data.
#[derive(clap::Args)]
struct Method {
    /// Solver of the probability-flow ODE.
    #[arg(long, value_enum, default_value_t)]
    solver: Solver,
    /// Path that the solver follows: the world's own, or another with the same frames in the end.
    #[arg(long, value_enum, default_value_t)]
    path: Along,
    /// Where the levels of the steps lie: 1 evenly, above it denser near the noise.
    #[arg(long, value_name = "S", default_value_t = SamplerParams::default().shift)]
    shift: f32,
    /// Noise added between euler's steps; 0 is the ODE.
    #[arg(long, value_name = "C", default_value_t = SamplerParams::default().churn)]
    churn: f32,
    /// Largest error of an adaptive step.
    #[arg(long, value_name = "TOL", default_value_t = SamplerParams::default().tolerance)]
    tolerance: f32,
}

impl Method {
    fn put_into(&self, params: SamplerParams) -> SamplerParams {
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
