//! A training run: its folder, resuming, the step loop and saving.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Map;

use driftless_data;
use driftless_data::contact_sheet::ContactSheet;
use driftless_data::fs::{write_atomic, write_json};
use driftless_data::{DatasetInfo, PathError as _};
use driftless_engine::candle_device;
use driftless_model::checkpoint;
use driftless_model::config::WorldConfig;

use super::dynamics::DynamicsTask;
use super::frame_store::FrameStore;
use super::loss_scaling::combine;
use super::optimizer::Optimizer;
use super::progress::Deadline;
use super::settings::{OptimizerSettings, TrainSettings};
use super::state::TrainingProgress;
use super::tensorboard::EventFile;
use super::tokenizer::TokenizerTask;
use super::{TrainOptions, TrainStage, progress, starting_contexts, state, warm_start};
use crate::{Error, Result};

/// Steps between two log lines.
const LOG_EVERY: u64 = 20;

/// The training of one network, as the step loop sees it.
pub(super) trait Task {
    /// `tokenizer` or `dynamics`.
    fn name(&self) -> &'static str;

    /// Number of frames that a step trains on.
    fn frames_per_step(&self, step: u64) -> u64;

    /// Called before each step; may replace parameters.
    fn before_step(&mut self, step: u64, optimizer: &mut Optimizer) -> Result<()>;

    /// Draws a batch and returns its losses.
    fn loss(&mut self, step: u64, rng: &mut ChaCha8Rng) -> Result<Losses>;

    /// Whether a parameter is not trained at this step.
    fn is_frozen(&self, step: u64, name: &str) -> bool;

    /// Writes the averaged weights into the checkpoint.
    fn export(&self, step: u64, optimizer: &Optimizer) -> Result<()>;

    /// A contact sheet of real frames above those that the saved checkpoint makes.
    fn preview(&self) -> Result<ContactSheet>;
}

/// The losses of a step, before they are combined.
pub(super) struct Losses {
    pub main: Tensor,
    pub auxiliary: Vec<AuxiliaryLoss>,
    /// Named scalars for the log.
    pub metrics: Vec<(&'static str, Tensor)>,
    /// Time spent on reading the step's frames.
    pub fetch_time: Duration,
}

/// A loss that counts `weight` times as much as the main one, whatever its units.
pub(super) struct AuxiliaryLoss {
    pub name: &'static str,
    pub loss: Tensor,
    pub weight: f64,
}

/// What is fixed for a whole run: folder, settings, device and limits.
pub(super) struct TrainingRun {
    pub(super) out: PathBuf,
    pub(super) settings: TrainSettings,
    pub(super) world: WorldConfig,
    pub(super) device: Device,
    deadline: Deadline,
    max_steps: u64,
    resume: bool,
}

impl TrainingRun {
    /// Folder of the playable checkpoint.
    pub(super) fn checkpoint(&self) -> PathBuf {
        self.out.join("checkpoint")
    }

    fn log_file(&self) -> PathBuf {
        self.out.join("log.jsonl")
    }
}

/// Trains until all steps are done, the time limit is reached, or Ctrl-C is pressed.
///
/// # Errors
/// Returns an error if the data, the settings or the run's folder do not match, the loss is not
/// finite, or a file cannot be written. The last saved state is kept in every case.
pub fn run(options: &TrainOptions) -> Result<()> {
    let deadline = Deadline::after(options.max_minutes);
    let settings = read_settings(options)?;
    let stages: &[TrainStage] = match options.stage {
        TrainStage::All => &[TrainStage::Tokenizer, TrainStage::Dynamics],
        TrainStage::Tokenizer => &[TrainStage::Tokenizer],
        TrainStage::Dynamics => &[TrainStage::Dynamics],
    };
    if !options.resume {
        check_new_run(&options.out, stages)?;
    }
    let device = candle_device(options.device)?;
    let info = DatasetInfo::read(&options.data)?;
    let world = settings.world(&info)?;
    let run = TrainingRun {
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
        warm_start::check_compatible(folder, &run.world)?;
    }
    let store = read_frames(&run, info, options)?;
    prepare_folders(&run, &store)?;
    for stage in stages {
        let finished = match stage {
            TrainStage::Tokenizer | TrainStage::All => {
                let (mut task, vars) = TokenizerTask::new(&run, &store)?;
                if let Some(folder) = from {
                    warm_start::load_weights(&folder.join(checkpoint::TOKENIZER), &vars)?;
                }
                let o = run.settings.tokenizer.optimizer.clone();
                train(&mut task, &run, &o, Optimizer::new(&vars, &o)?)?
            }
            TrainStage::Dynamics => {
                if let Some(folder) = from {
                    warm_start::copy_tokenizer(folder, &run.checkpoint())?;
                }
                let (mut task, vars) = DynamicsTask::new(&run, &store)?;
                if let Some(folder) = from {
                    warm_start::load_weights(&folder.join(checkpoint::DYNAMICS), &vars)?;
                }
                let o = run.settings.dynamics.optimizer.clone();
                train(&mut task, &run, &o, Optimizer::new(&vars, &o)?)?
            }
        };
        if !finished {
            break;
        }
    }
    Ok(())
}

/// A new run must not overwrite the state of an older one.
fn check_new_run(out: &Path, stages: &[TrainStage]) -> Result<()> {
    for stage in stages {
        let folder = out.join(folder_name(*stage));
        if state::exists(&folder) {
            return Err(Error::invalid(
                &folder,
                "already holds a run: use --resume to continue it, or another --out to start a new one",
            ));
        }
    }
    Ok(())
}

/// Reads all frames that the run trains on.
fn read_frames(run: &TrainingRun, info: DatasetInfo, options: &TrainOptions) -> Result<FrameStore> {
    let memory = run.settings.memory_gib * f64::from(1 << 30);
    let mut store = FrameStore::new(info, &run.out, memory as u64);
    store.add(&options.data, options.skip_bad)?;
    if let Some(folder) = &options.unlabelled {
        let unknown = run.world.unknown_action().ok_or_else(|| {
            Error::Argument("--unlabelled needs dynamics_shape.unknown_action = true".into())
        })?;
        store.add_unlabelled(folder, unknown, options.skip_bad)?;
    }
    Ok(store)
}

fn folder_name(stage: TrainStage) -> &'static str {
    match stage {
        TrainStage::Tokenizer | TrainStage::All => "tokenizer",
        TrainStage::Dynamics => "dynamics",
    }
}

/// Reads the settings file, or else the run's own settings, on top of the preset; applies
/// `options`.
fn read_settings(options: &TrainOptions) -> Result<TrainSettings> {
    let own = options.out.join("settings.toml");
    let base = TrainSettings::preset(options.preset.unwrap_or_default());
    let mut settings = match &options.config {
        Some(path) => TrainSettings::read(path, &base)?,
        None if own.exists() && options.preset.is_none() => TrainSettings::read(&own, &base)?,
        None => base,
    };
    if let Some(seed) = options.seed {
        settings.seed = seed;
    }
    Ok(settings)
}

/// Checks, before anything is written, that a resumed run keeps its networks.
fn check_resumed_world(run: &TrainingRun) -> Result<()> {
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
            || !state::exists(&run.out.join(folder_name(TrainStage::Dynamics))));
    if !same {
        return Err(Error::invalid(
            &path,
            "the settings or the dataset do not match this run's networks, prediction, path, frame size or actions; use another --out to start a new run",
        ));
    }
    Ok(())
}

/// Creates the run's folders and writes the files that do not depend on training.
fn prepare_folders(run: &TrainingRun, store: &FrameStore) -> Result<()> {
    let checkpoint = run.checkpoint();
    std::fs::create_dir_all(&checkpoint).map_err(|e| Error::io(&checkpoint, e))?;
    let path = run.out.join("settings.toml");
    let text =
        toml::to_string_pretty(&run.settings).map_err(|e| Error::invalid(&path, e.to_string()))?;
    write_atomic(&path, text.as_bytes())?;
    write_json(&checkpoint.join(checkpoint::CONFIG), &run.world)?;
    let clips = starting_contexts::choose(store, run.world.dynamics.context)?;
    Ok(driftless_model::contexts::write(
        &checkpoint.join(checkpoint::CONTEXTS),
        &clips,
        &run.world,
    )?)
}

/// Trains one network; returns whether all requested steps are done.
fn train(
    task: &mut dyn Task,
    run: &TrainingRun,
    settings: &OptimizerSettings,
    mut optimizer: Optimizer,
) -> Result<bool> {
    let folder = run.out.join(task.name());
    let mut progress = TrainingProgress::default();
    if run.resume && state::exists(&folder) {
        let (tensors, saved) = state::read(&folder)?;
        optimizer
            .restore(&tensors)
            .map_err(|e| Error::invalid(&folder, format!("the saved state does not match: {e}")))?;
        progress = saved;
    }
    let steps = settings.steps.min(run.max_steps);
    let bar = progress::bar(task.name(), steps, progress.step);
    let events = EventFile::create(&run.out.join("events").join(task.name()))?;
    let (mut last_save, mut last_preview) = (Instant::now(), Instant::now());
    while progress.step < steps && !run.deadline.passed() {
        let index = progress.step;
        let step = train_step(task, run, &mut optimizer, &mut progress)?;
        bar.set_position(progress.step);
        bar.set_message(format!(
            "loss {:.4} {:.0} frames/s",
            step.loss, step.frames_per_second
        ));
        if index.is_multiple_of(LOG_EVERY) {
            let scalars = step.scalars(optimizer.schedule_factor(index), progress.seconds)?;
            events.scalars(progress.step, &scalars)?;
            let mut entry = Map::new();
            entry.insert("stage".into(), task.name().into());
            entry.insert("step".into(), progress.step.into());
            for (key, number) in scalars {
                entry.insert(key.into(), number.into());
            }
            progress::log(&run.log_file(), entry)?;
        }
        let is_due = |last: Instant, minutes: f64| last.elapsed().as_secs_f64() > minutes * 60.0;
        let minutes = run.settings.preview_minutes;
        let preview_due = minutes > 0.0 && is_due(last_preview, minutes);
        if preview_due || is_due(last_save, run.settings.save_minutes) {
            save(task, &optimizer, &folder, &progress)?;
            last_save = Instant::now();
        }
        if preview_due {
            preview(task, run, &events, progress.step);
            last_preview = Instant::now();
        }
    }
    save(task, &optimizer, &folder, &progress)?;
    if run.settings.preview_minutes > 0.0 {
        preview(task, run, &events, progress.step);
    }
    bar.abandon();
    Ok(progress.step >= steps)
}

/// The outcome of one step.
struct Step {
    losses: Losses,
    /// The combined loss.
    loss: f64,
    gradient_norm: f64,
    seconds: f64,
    frames_per_second: f64,
}

impl Step {
    /// Named numbers for the log.
    fn scalars(&self, rate: f64, total_seconds: f64) -> Result<Vec<(&'static str, f64)>> {
        let mut scalars = vec![
            ("loss", self.loss),
            ("gradient", self.gradient_norm),
            ("rate", rate),
            ("frames_per_s", self.frames_per_second),
            ("seconds", total_seconds),
            (
                "fetching",
                self.losses.fetch_time.as_secs_f64() / self.seconds,
            ),
        ];
        let auxiliary = self.losses.auxiliary.iter().map(|a| (a.name, &a.loss));
        let metrics = self
            .losses
            .metrics
            .iter()
            .map(|(name, value)| (*name, value));
        for (name, value) in auxiliary.chain(metrics) {
            scalars.push((name, f64::from(value.to_scalar::<f32>()?)));
        }
        Ok(scalars)
    }
}

/// Draws a batch, updates the parameters and advances `progress`.
fn train_step(
    task: &mut dyn Task,
    run: &TrainingRun,
    optimizer: &mut Optimizer,
    progress: &mut TrainingProgress,
) -> Result<Step> {
    let started = Instant::now();
    let step = progress.step;
    // Each step has its own random stream, so that a resumed run draws the same batches.
    let mut rng = ChaCha8Rng::seed_from_u64(run.settings.seed);
    rng.set_stream(step + 1);
    task.before_step(step, optimizer)?;
    let losses = task.loss(step, &mut rng)?;
    let total = combine(&losses, &mut progress.loss_mean_squares)?;
    let loss = f64::from(total.to_scalar::<f32>()?);
    if !loss.is_finite() {
        return Err(Error::Diverged(format!(
            "{}: the loss is {loss} at step {step}; the last saved state is unchanged",
            task.name(),
        )));
    }
    let gradient_norm =
        optimizer.update(&total.backward()?, step, |name| task.is_frozen(step, name))?;
    let seconds = started.elapsed().as_secs_f64();
    let frames = task.frames_per_step(step);
    progress.step += 1;
    progress.frames += frames;
    progress.seconds += seconds;
    Ok(Step {
        losses,
        loss,
        gradient_norm,
        seconds,
        frames_per_second: frames as f64 / seconds,
    })
}

fn save(
    task: &dyn Task,
    optimizer: &Optimizer,
    folder: &Path,
    progress: &TrainingProgress,
) -> Result<()> {
    state::write(folder, &optimizer.state(), progress)?;
    task.export(progress.step, optimizer)
}

/// Writes a preview picture. A failure is only logged: it does not end the run.
fn preview(task: &dyn Task, run: &TrainingRun, events: &EventFile, step: u64) {
    let name = format!("{}-{step:06}.png", task.name());
    let written = task.preview().and_then(|sheet| {
        sheet.write(&run.out.join("previews").join(&name))?;
        events.image(step, "preview", sheet.png, sheet.size)
    });
    if let Err(error) = written {
        tracing::warn!("could not write the preview {name}: {error}");
    }
}
