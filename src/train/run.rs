//! One run: folders, resume, the loop of steps, saving.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Map;

use super::balance::total;
use super::dynamics::DynamicsTask;
use super::events::EventFile;
use super::footage::Footage;
use super::initial;
use super::optimizer::{FlatGradient, Optimizer};
use super::progress::{self, Deadline};
use super::settings::{OptimizerSettings, Settings};
use super::state::{self, Progress};
use super::tokenizer::TokenizerTask;
use super::{Options, Stage, contexts};
use crate::data::{self, DatasetInfo};
use crate::engine::candle_device;
use crate::eval::pictures::Sheet;
use crate::memory::keep_freed_blocks;
use crate::model::checkpoint::{self, write_atomic, write_json};
use crate::model::config::WorldConfig;
use crate::{Error, Result, interrupt};

/// Steps between two lines of the log.
const LOG_EVERY: u64 = 20;

/// One network's training, seen from the loop.
pub(super) trait Task {
    /// `tokenizer` or `dynamics`.
    fn name(&self) -> &'static str;

    /// Frames that a step trains on.
    fn frames(&self, step: u64) -> u64;

    /// Called before each step; may exchange parameters.
    fn prepare(&mut self, step: u64, optimizer: &mut Optimizer) -> Result<()>;

    /// Loss and gradient of a step; `squares` are the running sizes of the loss's parts.
    fn step(
        &mut self,
        step: u64,
        rng: &mut ChaCha8Rng,
        squares: &mut BTreeMap<String, f64>,
    ) -> Result<Trained>;

    /// Whether a parameter stays as it is at this step.
    fn frozen(&self, step: u64, name: &str) -> bool;

    /// Writes the averaged weights into the checkpoint.
    fn export(&self, step: u64, optimizer: &Optimizer) -> Result<()>;

    /// Real frames above what the checkpoint makes of them.
    fn preview(&self) -> Result<Sheet>;
}

/// The loss of a step, before its parts are brought together.
pub(super) struct Losses {
    pub main: Tensor,
    pub further: Vec<Further>,
    /// Named figures for the log.
    pub figures: Vec<(&'static str, Tensor)>,
    /// Time until the step's frames were at hand.
    pub fetched: Duration,
}

/// A part of the loss that counts `weight` times as much as the main one, whatever its units.
pub(super) struct Further {
    pub name: &'static str,
    pub loss: Tensor,
    pub weight: f64,
}

impl Losses {
    /// Brings the parts together and asks candle for the gradient.
    pub fn differentiate(self, squares: &mut BTreeMap<String, f64>) -> Result<Trained> {
        let loss = total(&self, squares)?;
        let further = self.further.into_iter().map(|part| (part.name, part.loss));
        Ok(Trained {
            loss: f64::from(loss.to_scalar::<f32>()?),
            gradient: Gradient::Graph(loss.backward()?),
            figures: further.chain(self.figures).collect(),
            fetched: self.fetched,
        })
    }
}

/// Loss and gradient of a step.
pub(super) struct Trained {
    pub loss: f64,
    pub gradient: Gradient,
    /// Named figures for the log.
    pub figures: Vec<(&'static str, Tensor)>,
    /// Time until the step's frames were at hand.
    pub fetched: Duration,
}

/// The gradients of all parameters.
pub(super) enum Gradient {
    /// As candle computes them, on any device.
    Graph(GradStore),
    /// As `train::cpu` computes them.
    Flat(FlatGradient),
}

/// The folders and limits of a run.
pub(super) struct Run {
    pub(super) out: PathBuf,
    pub(super) settings: Settings,
    pub(super) world: WorldConfig,
    pub(super) device: Device,
    deadline: Deadline,
    max_steps: u64,
    resume: bool,
}

impl Run {
    /// The folder that is played.
    pub(super) fn checkpoint(&self) -> PathBuf {
        self.out.join("checkpoint")
    }

    fn log(&self) -> PathBuf {
        self.out.join("log.jsonl")
    }
}

impl Run {
    /// A run of `settings` in `out`, on the processor, of which nobody drives the steps.
    pub(super) fn bare(out: &Path, settings: Settings, world: WorldConfig) -> Self {
        Self {
            out: out.to_path_buf(),
            settings,
            world,
            device: Device::Cpu,
            deadline: Deadline::after(None),
            max_steps: u64::MAX,
            resume: false,
        }
    }
}

/// Trains as `options` say, until the steps are done, the time is over, or Ctrl-C.
///
/// # Errors
/// The data, the settings or the run's folder do not fit; the loss is not finite; the disk is full.
/// The last saved state stays in every case.
pub fn run(options: &Options) -> Result<()> {
    let deadline = Deadline::after(options.max_minutes);
    keep_freed_blocks();
    let settings = settings(options)?;
    let stages: &[Stage] = match options.stage {
        Stage::All => &[Stage::Tokenizer, Stage::Dynamics],
        Stage::Tokenizer => &[Stage::Tokenizer],
        Stage::Dynamics => &[Stage::Dynamics],
    };
    for stage in stages {
        let folder = options.out.join(folder_name(*stage));
        if !options.resume && state::exists(&folder) {
            return Err(Error::invalid(
                &folder,
                "holds the state of a run: --resume continues it, another --out starts anew",
            ));
        }
    }
    let device = candle_device(options.device)?;
    let info = DatasetInfo::read(&options.data)?;
    let world = settings.world(&info)?;
    let run = Run {
        out: options.out.clone(),
        settings,
        world,
        device,
        deadline,
        max_steps: options.max_steps.unwrap_or(u64::MAX),
        resume: options.resume,
    };
    check_resumed_world(&run)?;
    let from = options.from.as_deref();
    if let Some(folder) = from {
        initial::check(folder, &run.world)?;
    }
    let footage = footage(&run, info, options)?;
    prepare_folders(&run, &footage)?;
    interrupt::watch();
    for stage in stages {
        let finished = match stage {
            Stage::Tokenizer | Stage::All => {
                let (mut task, vars) = TokenizerTask::new(&run, &footage)?;
                if let Some(folder) = from {
                    initial::weights(&folder.join(checkpoint::TOKENIZER), &vars)?;
                }
                let o = run.settings.tokenizer.optimizer.clone();
                drive(&mut task, &run, &o, Optimizer::new(&vars, &o)?)?
            }
            Stage::Dynamics => {
                if let Some(folder) = from {
                    initial::tokenizer(folder, &run.checkpoint())?;
                }
                let (mut task, vars) = DynamicsTask::new(&run, &footage)?;
                if let Some(folder) = from {
                    initial::weights(&folder.join(checkpoint::DYNAMICS), &vars)?;
                }
                let o = run.settings.dynamics.optimizer.clone();
                drive(&mut task, &run, &o, Optimizer::new(&vars, &o)?)?
            }
        };
        if !finished {
            break;
        }
    }
    Ok(())
}

/// All frames that the run trains on.
fn footage(run: &Run, info: DatasetInfo, options: &Options) -> Result<Footage> {
    let memory = run.settings.memory_gib * f64::from(1 << 30);
    let mut footage = Footage::new(info, &run.out, memory as u64);
    footage.add(&options.data, options.skip_bad)?;
    if let Some(folder) = &options.unlabelled {
        let unknown = run.world.unknown_action().ok_or_else(|| {
            Error::Argument("--unlabelled needs dynamics_shape.unknown_action = true".into())
        })?;
        footage.add_unlabelled(folder, unknown, options.skip_bad)?;
    }
    Ok(footage)
}

fn folder_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Tokenizer | Stage::All => "tokenizer",
        Stage::Dynamics => "dynamics",
    }
}

/// The settings file and the preset, else the run's own, else the defaults; then the options on top.
fn settings(options: &Options) -> Result<Settings> {
    let own = options.out.join("settings.toml");
    let base = Settings::preset(options.preset.unwrap_or_default());
    let mut settings = match &options.config {
        Some(path) => Settings::read(path, &base)?,
        None if own.exists() && options.preset.is_none() => Settings::read(&own, &base)?,
        None => base,
    };
    if let Some(seed) = options.seed {
        settings.seed = seed;
    }
    Ok(settings)
}

/// A resumed run keeps its networks: nothing is written before that is sure.
fn check_resumed_world(run: &Run) -> Result<()> {
    let path = run.checkpoint().join(checkpoint::CONFIG);
    if !run.resume || !path.exists() {
        return Ok(());
    }
    let old = WorldConfig::read(&path)?;
    let same = old.tokenizer == run.world.tokenizer
        && old.dynamics == run.world.dynamics
        && old.image == run.world.image
        && old.actions == run.world.actions
        && (old.flow == run.world.flow
            || !state::exists(&run.out.join(folder_name(Stage::Dynamics))));
    if !same {
        return Err(Error::invalid(
            &path,
            "the run's networks, prediction, path, frames or actions differ from what settings and data ask for; another --out starts anew",
        ));
    }
    Ok(())
}

/// Makes the run's folders and what does not depend on training.
fn prepare_folders(run: &Run, footage: &Footage) -> Result<()> {
    let checkpoint = run.checkpoint();
    std::fs::create_dir_all(&checkpoint).map_err(|e| Error::io(&checkpoint, e))?;
    let path = run.out.join("settings.toml");
    let text =
        toml::to_string_pretty(&run.settings).map_err(|e| Error::invalid(&path, e.to_string()))?;
    write_atomic(&path, text.as_bytes())?;
    write_json(&checkpoint.join(checkpoint::CONFIG), &run.world)?;
    let clips = contexts::choose(footage, run.world.dynamics.context)?;
    data::contexts::write(&checkpoint.join(checkpoint::CONTEXTS), &clips, &run.world)
}

/// Runs a task's steps; returns whether all that were asked for are done.
fn drive(
    task: &mut dyn Task,
    run: &Run,
    settings: &OptimizerSettings,
    mut optimizer: Optimizer,
) -> Result<bool> {
    let folder = run.out.join(task.name());
    let mut at = Progress::default();
    if run.resume && state::exists(&folder) {
        let (tensors, progress) = state::read(&folder)?;
        optimizer
            .restore(&tensors)
            .map_err(|e| Error::invalid(&folder, format!("the state does not fit: {e}")))?;
        at = progress;
    }
    let steps = settings.steps.min(run.max_steps);
    let bar = progress::bar(task.name(), steps, at.step);
    let events = EventFile::create(&run.out.join("events").join(task.name()))?;
    let (mut saved, mut shown) = (Instant::now(), Instant::now());
    while at.step < steps && !run.deadline.passed() {
        let begun = Instant::now();
        let mut rng = ChaCha8Rng::seed_from_u64(run.settings.seed);
        rng.set_stream(at.step + 1);
        task.prepare(at.step, &mut optimizer)?;
        let trained = task.step(at.step, &mut rng, &mut at.squares)?;
        let value = trained.loss;
        if !value.is_finite() {
            return Err(Error::Diverged(format!(
                "{}: step {}: the loss is {value}; the last saved state is untouched",
                task.name(),
                at.step
            )));
        }
        let step = at.step;
        let frozen = |name: &str| task.frozen(step, name);
        let norm = match &trained.gradient {
            Gradient::Graph(gradient) => optimizer.update(gradient, step, frozen)?,
            Gradient::Flat(gradient) => optimizer.update_flat(gradient, step, frozen)?,
        };
        let spent = begun.elapsed().as_secs_f64();
        at.step += 1;
        at.frames += task.frames(step);
        at.seconds += spent;
        let speed = task.frames(step) as f64 / spent;
        bar.set_position(at.step);
        bar.set_message(format!("loss {value:.4} {speed:.0} frames/s"));
        if step % LOG_EVERY == 0 {
            let mut scalars = vec![
                ("loss", value),
                ("gradient", norm),
                ("rate", optimizer.schedule(step)),
                ("frames_per_s", speed),
                ("seconds", at.seconds),
                ("fetching", trained.fetched.as_secs_f64() / spent),
            ];
            for (key, figure) in &trained.figures {
                scalars.push((*key, f64::from(figure.to_scalar::<f32>()?)));
            }
            events.scalars(at.step, &scalars)?;
            let mut entry = Map::new();
            entry.insert("stage".into(), task.name().into());
            entry.insert("step".into(), at.step.into());
            for (key, number) in scalars {
                entry.insert(key.into(), number.into());
            }
            progress::log(&run.log(), entry)?;
        }
        let over = |since: Instant, minutes: f64| since.elapsed().as_secs_f64() > minutes * 60.0;
        let minutes = run.settings.preview_minutes;
        let show = minutes > 0.0 && over(shown, minutes);
        if show || over(saved, run.settings.save_minutes) {
            save(task, &optimizer, &folder, &at)?;
            saved = Instant::now();
        }
        if show {
            preview(task, run, &events, at.step);
            shown = Instant::now();
        }
    }
    save(task, &optimizer, &folder, &at)?;
    if run.settings.preview_minutes > 0.0 {
        preview(task, run, &events, at.step);
    }
    bar.abandon();
    Ok(at.step >= steps)
}

fn save(task: &dyn Task, optimizer: &Optimizer, folder: &Path, at: &Progress) -> Result<()> {
    state::write(folder, &optimizer.state(), at)?;
    task.export(at.step, optimizer)
}

/// Writes a picture of where the run stands. A run is not lost for want of one.
fn preview(task: &dyn Task, run: &Run, events: &EventFile, step: u64) {
    let name = format!("{}-{step:06}.png", task.name());
    let shown = task.preview().and_then(|sheet| {
        sheet.write(&run.out.join("previews").join(&name))?;
        events.picture(step, "preview", sheet.png, sheet.size)
    });
    if let Err(error) = shown {
        tracing::warn!("no preview {name}: {error}");
    }
}
