//! A training run: reads settings and data, prepares the run's folder, and trains pass by pass.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Var;

use driftless_data::fs::{write_atomic, write_json};
use driftless_data::{DatasetInfo, PathError as _};
use driftless_engine::candle_device;
use driftless_model::checkpoint;
use driftless_model::config::WorldConfig;
use driftless_model::precision::Precision;
use driftless_shards::{Location, ShardReader};

use super::context::RunContext;
use super::dynamics::DynamicsTask;
use super::frame_store::FrameStore;
use super::layout::RunLayout;
use super::optimizer::Optimizer;
use super::preview::WorldData;
use super::progress::{TrainOutcome, TrainProgress};
use super::run_lock::RunLock;
use super::settings::{OptimizerSettings, TrainSettings};
use super::shards::{self, ShardedData};
use super::task::Task;
use super::tokenizer::TokenizerTask;
use super::train_loop::{Pace, Pass, RunLimits, TrainLoop};
use super::training_data::TrainingData;
use super::{PresetChoice, TrainOptions, TrainStage, starting_clips, warm_start};
use crate::{Error, Result};

/// Trains until all steps are done, the time limit is reached, or `progress` asks to stop.
///
/// # Errors
/// Returns an error if the data, the settings or the run's folder do not match, the loss is not
/// finite, or a file cannot be written. The last saved state is kept in every case.
pub fn run(options: &TrainOptions, progress: &mut dyn TrainProgress) -> Result<TrainOutcome> {
    let limits = RunLimits::new(options.max_minutes, options.max_steps, options.resume);
    let ranks = &options.ranks;
    let (run, source) = ranks.agree(RunContext::new(options, progress))?;
    run.check_same_settings(options)?;
    let frames = ranks.agree(Frames::read(&run, source, options))?;
    let data = frames.data();
    if ranks.size() > 1 {
        ranks.check_same("data", &data.summary()?)?;
    }
    let prepare = || {
        let lock = RunLock::acquire(&run.layout)?;
        prepare_folders(&run, data.sample())?;
        Ok(lock)
    };
    let _lock = ranks.agree(ranks.is_first().then(prepare).transpose())?;
    progress.data_read(data.frames());
    let training = TrainLoop {
        layout: &run.layout,
        pace: Pace {
            seed: run.settings.seed,
            save_minutes: run.settings.save_minutes,
            preview_minutes: run.settings.preview_minutes,
        },
        data: &WorldData { run: &run, data },
        limits: &limits,
        ranks,
    };
    for pass in passes(&run.settings, &options.stages) {
        if pass.is_followed && training.has_done(pass.stage, pass.until)? {
            continue;
        }
        let stage = pass.stage;
        let (mut task, vars) = new_task(&run, data, stage, options.from.as_deref(), progress)?;
        let optimizer = Optimizer::new(&vars, run.settings.optimizer(stage))?;
        let outcome = training.train(task.as_mut(), optimizer, &pass, progress)?;
        if outcome != TrainOutcome::Finished {
            return Ok(outcome);
        }
    }
    Ok(TrainOutcome::Finished)
}

/// In which order the networks are trained.
///
/// With `dynamics.early_steps` they take turns: the tokenizer until its encoder is frozen, the first steps
/// of the dynamics, the rest of the tokenizer, the rest of the dynamics. The dynamics sees latents only, and
/// those do not change any more once the encoder is frozen: each network gets the same steps on the same data
/// as without turns.
fn passes(settings: &TrainSettings, stages: &[TrainStage]) -> Vec<Pass> {
    let steps = |stage| settings.optimizer(stage).steps;
    let encoder = settings.tokenizer.decoder_only_start();
    let early = settings
        .dynamics
        .early_steps
        .min(steps(TrainStage::Dynamics));
    let whole = stages.iter().map(|&stage| Pass::new(stage, steps(stage)));
    let takes_turns =
        stages == TrainStage::ALL && early > 0 && encoder < steps(TrainStage::Tokenizer);
    if !takes_turns {
        return whole.collect();
    }
    let first = [
        (TrainStage::Tokenizer, encoder),
        (TrainStage::Dynamics, early),
    ];
    let first = first.map(|(stage, until)| Pass {
        is_followed: true,
        ..Pass::new(stage, until)
    });
    let rest = whole.map(|pass| Pass {
        is_continued: true,
        ..pass
    });
    first.into_iter().chain(rest).collect()
}

/// The training of a network, and its parameters: random, or those of the checkpoint `from`.
fn new_task<'a>(
    run: &'a RunContext,
    data: TrainingData<'a>,
    stage: TrainStage,
    from: Option<&Path>,
    progress: &mut dyn TrainProgress,
) -> Result<(Box<dyn Task + 'a>, BTreeMap<String, Var>)> {
    let (task, vars, weights): (Box<dyn Task + 'a>, _, _) = match stage {
        TrainStage::Tokenizer => {
            let (task, vars) = TokenizerTask::new(run, data)?;
            (Box::new(task), vars, checkpoint::TOKENIZER)
        }
        TrainStage::Dynamics => {
            if let Some(folder) = from {
                let copy = || warm_start::copy_tokenizer(folder, &run.layout.checkpoint());
                let copied = run.ranks.is_first().then(copy).transpose();
                run.ranks.agree(copied)?;
            }
            let (task, vars) = DynamicsTask::new(run, data, progress)?;
            (Box::new(task), vars, checkpoint::DYNAMICS)
        }
        _ => return Err(no_stage(stage)),
    };
    if let Some(folder) = from {
        warm_start::load_weights(&folder.join(weights), &vars)?;
    }
    Ok((task, vars))
}

/// A stage that no world has.
fn no_stage(stage: TrainStage) -> Error {
    let name = stage.name();
    Error::Argument(format!(
        "{name} is no stage of a world, expected tokenizer or dynamics"
    ))
}

/// Where the frames come from, before they are read.
enum Source {
    Folder(DatasetInfo),
    Shards(Box<ShardReader>),
}

impl Source {
    fn open(options: &TrainOptions) -> Result<Self> {
        let is_here = Location::parse(&options.data)?.folder().is_some();
        if options.shards.cache.is_some() && is_here {
            return Err(Error::Argument(format!(
                "--shard-cache is for the shards of a server: {} is on this machine",
                options.data.display()
            )));
        }
        if Location::is_meant_by(&options.data) {
            return Ok(Self::Shards(Box::new(shards::open(options)?)));
        }
        Ok(Self::Folder(DatasetInfo::read(&options.data)?))
    }

    fn info(&self) -> &DatasetInfo {
        match self {
            Self::Folder(info) => info,
            Self::Shards(reader) => &reader.manifest().dataset,
        }
    }
}

/// What the run trains on.
enum Frames {
    Stored(FrameStore),
    Sharded(Box<ShardedData>),
}

impl Frames {
    fn read(run: &RunContext, source: Source, options: &TrainOptions) -> Result<Self> {
        match source {
            Source::Folder(info) => Ok(Self::Stored(read_frames(run, info, options)?)),
            Source::Shards(reader) => {
                let data = ShardedData::new(run, *reader, options)?;
                Ok(Self::Sharded(Box::new(data)))
            }
        }
    }

    fn data(&self) -> TrainingData<'_> {
        match self {
            Self::Stored(store) => TrainingData::Stored(store),
            Self::Sharded(data) => TrainingData::Sharded(data),
        }
    }
}

/// Reads all frames of folders that the run trains on.
fn read_frames(run: &RunContext, info: DatasetInfo, options: &TrainOptions) -> Result<FrameStore> {
    let memory = run.settings.memory_gib * f64::from(1 << 30);
    let mut store = FrameStore::new(info, run.layout.root(), memory as u64);
    store.read_poses(run.world.dynamics.memory.is_some());
    store.add(&options.data, options.skip_bad)?;
    if let Some(folder) = &options.unlabelled {
        let unknown = run.world.unknown_action().ok_or_else(|| {
            Error::Argument("--unlabelled needs dynamics_shape.unknown_action = true".into())
        })?;
        store.add_unlabelled(folder, unknown, options.skip_bad)?;
    }
    Ok(store)
}

/// A configuration names the shapes `tokenizer` and `dynamics`, the settings `tokenizer_shape` and
/// `dynamics_shape`; it also does not know in which file they are.
fn shape_error(options: &TrainOptions, error: &Error) -> Error {
    let what = error
        .to_string()
        .replace("tokenizer.", "tokenizer_shape.")
        .replace("dynamics.", "dynamics_shape.");
    match &options.config {
        Some(file) => Error::invalid(file, what),
        None => Error::invalid(&options.data, format!("does not fit the settings: {what}")),
    }
}

/// Reads the settings file, or else the run's own settings, on top of the preset; with none of them, those of the
/// preset that fits the data. Applies `options`.
fn read_settings(
    options: &TrainOptions,
    layout: &RunLayout,
    source: &Source,
    progress: &mut dyn TrainProgress,
) -> Result<TrainSettings> {
    let own = layout.settings();
    let base = TrainSettings::preset(options.preset.unwrap_or_default());
    let mut settings = match (&options.config, source) {
        (Some(path), _) => TrainSettings::read(path, &base)?,
        _ if own.exists() && options.preset.is_none() => TrainSettings::read(&own, &base)?,
        (None, Source::Folder(info)) if options.preset.is_none() && options.from.is_none() => {
            let choice = PresetChoice::of(&options.data, info)?;
            progress.preset_chosen(&choice);
            TrainSettings::preset(choice.preset)
        }
        _ => base,
    };
    if let Some(seed) = options.seed {
        settings.seed = seed;
    }
    Ok(settings)
}

impl RunContext {
    /// What is known before the data is read, which takes long; checks it, and makes no folder.
    fn new(options: &TrainOptions, progress: &mut dyn TrainProgress) -> Result<(Self, Source)> {
        let layout = RunLayout::new(&options.out);
        if options.resume {
            layout.check_run()?;
        } else {
            let weights: Vec<_> = options
                .stages
                .iter()
                .map(|stage| match stage {
                    TrainStage::Tokenizer => checkpoint::TOKENIZER,
                    _ => checkpoint::DYNAMICS,
                })
                .collect();
            let base = TrainSettings::preset(options.preset.unwrap_or_default());
            layout.check_new(&options.stages, &weights, |own| {
                TrainSettings::read(own, &base)
            })?;
        }
        let source = Source::open(options)?;
        let settings = read_settings(options, &layout, &source, progress)?;
        let world = settings
            .world(source.info())
            .map_err(|error| shape_error(options, &error))?;
        let run = Self {
            layout,
            settings,
            world,
            device: candle_device(options.device)?,
            ranks: options.ranks.clone(),
        };
        if options.resume {
            check_resumed_world(&run)?;
        }
        if let Some(folder) = &options.from {
            warm_start::check_compatible(folder, &run.world)?;
        }
        let on_cpu = run.device.is_cpu() && run.settings.precision == Precision::F32;
        if run.ranks.size() > 1 && !on_cpu {
            return Err(Error::Ranks(
                "several processes train together on the CPU in f32 only: expected --device cpu and \
                 precision = 'f32'"
                    .into(),
            ));
        }
        if run.ranks.is_first() {
            RunLock::check(&run.layout)?;
        }
        Ok((run, source))
    }

    /// Checks that all ranks are asked to do the same.
    fn check_same_settings(&self, options: &TrainOptions) -> Result<()> {
        let settings = toml::to_string_pretty(&self.settings)
            .map_err(|e| Error::invalid(self.layout.settings(), e.to_string()))?;
        let asked = format!(
            "{settings}stages = {:?}\nresume = {}\nmax-steps = {:?}\nfrom = {}\nunlabelled = {}\n",
            options.stages,
            options.resume,
            options.max_steps,
            options.from.is_some(),
            options.unlabelled.is_some(),
        );
        self.ranks.check_same("settings", &asked)
    }
}

/// Checks, before anything is written, that a resumed run keeps its networks.
fn check_resumed_world(run: &RunContext) -> Result<()> {
    let path = run.layout.checkpoint().join(checkpoint::CONFIG);
    if !path.exists() {
        return Ok(());
    }
    let old = WorldConfig::read(&path)?;
    let same = old.tokenizer == run.world.tokenizer
        && old.dynamics == run.world.dynamics
        && old.image == run.world.image
        && old.actions == run.world.actions
        && old.axes == run.world.axes
        && (old.flow == run.world.flow || !run.layout.state(TrainStage::Dynamics).exist());
    if !same {
        return Err(Error::invalid(
            &path,
            "the settings or the dataset do not match this run's networks, prediction, path, frame size or actions; use another --out to start a new run",
        ));
    }
    Ok(())
}

/// Creates the run's folders and writes the files that do not depend on training.
fn prepare_folders(run: &RunContext, store: &FrameStore) -> Result<()> {
    let checkpoint = run.layout.checkpoint();
    std::fs::create_dir_all(&checkpoint).map_err(|e| Error::io(&checkpoint, e))?;
    let path = run.layout.settings();
    let text =
        toml::to_string_pretty(&run.settings).map_err(|e| Error::invalid(&path, e.to_string()))?;
    write_atomic(&path, text.as_bytes())?;
    write_json(&checkpoint.join(checkpoint::CONFIG), &run.world)?;
    let clips = starting_clips::choose(store, run.world.dynamics.context)?;
    Ok(driftless_model::starting_clips::write(
        &checkpoint.join(checkpoint::STARTING_CLIPS),
        &clips,
        &run.world,
    )?)
}

impl TrainSettings {
    /// How a stage is optimized.
    fn optimizer(&self, stage: TrainStage) -> &OptimizerSettings {
        match stage {
            TrainStage::Tokenizer => &self.tokenizer.optimizer,
            // A world has no other stages: `new_task` refuses them.
            _ => &self.dynamics.optimizer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(settings: &TrainSettings, stages: &[TrainStage]) -> Vec<(TrainStage, u64)> {
        let passes = passes(settings, stages).into_iter();
        passes.map(|pass| (pass.stage, pass.until)).collect()
    }

    #[test]
    fn networks_take_turns_only_if_both_are_trained() {
        use TrainStage::{Dynamics, Tokenizer};
        let mut settings = TrainSettings::default();
        let whole = vec![(Tokenizer, 12_000), (Dynamics, 16_000)];
        assert_eq!(order(&settings, &TrainStage::ALL), whole);
        settings.dynamics.early_steps = 500;
        let turns = [vec![(Tokenizer, 4800), (Dynamics, 500)], whole.clone()].concat();
        assert_eq!(order(&settings, &TrainStage::ALL), turns);
        assert_eq!(order(&settings, &[Dynamics]), [(Dynamics, 16_000)]);
        settings.tokenizer.decoder_only_fraction = 0.0;
        assert_eq!(order(&settings, &TrainStage::ALL), whole);
    }
}
