//! An agent run: reads settings, data and the world, prepares the run's folder, and trains.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

use driftless_agent::config::{AGENT_CONFIG, AGENT_WEIGHTS, FORMAT_VERSION};
use driftless_agent::objective::recorded_returns;
use driftless_agent::{
    Agent, AgentConfig, AgentPlayer, AgentPolicy, FeatureShape, TwoHot, symexp, symlog,
};
use driftless_data::contact_sheet::ContactSheet;
use driftless_data::fs::{write_atomic, write_json};
use driftless_data::{DatasetInfo, PathError as _};
use driftless_engine::rollout::windows_by_length;
use driftless_engine::{Backend, Sampler, SamplerParams, Threads, open_on_backend};
use driftless_model::checkpoint::read_config;
use driftless_model::config::WorldConfig;

use super::cloning::{CloningTask, RecordedFrames};
use super::features::FeatureMaker;
use super::imagination::{DreamWorld, ImaginationTask};
use super::settings::AgentSettings;
use crate::frame_store::{EpisodeLabels, FrameStore};
use crate::layout::RunLayout;
use crate::optimizer::Optimizer;
use crate::progress::{TrainOutcome, TrainProgress};
use crate::ranks::Ranks;
use crate::run_lock::RunLock;
use crate::same_config::same_config;
use crate::train_loop::{Pace, Pass, RunLimits, TrainData, TrainLoop};
use crate::world_source::{copy_world, world_folder};
use crate::{Error, Result, TrainStage};

/// Rows and columns of a preview.
const PREVIEW: [usize; 2] = [4, 16];
/// Frames after which a reward counts fully for the range of values, at most.
const LONGEST: f32 = 100.0;

/// Arguments of an agent run.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// Folder of the dataset that the agent clones and dreams from.
    pub data: PathBuf,
    /// Checkpoint folder of the world that it plays. A new run copies it.
    pub world: Option<PathBuf>,
    /// The run's folder.
    pub out: PathBuf,
    /// Settings file (TOML). Without it: the run's own settings, or the defaults for a new run.
    pub config: Option<PathBuf>,
    /// Whether to skip unreadable episodes, with a warning for each, instead of failing.
    pub skip_bad: bool,
    /// Whether to continue the run in `out`.
    pub resume: bool,
    /// Save and stop each phase at this step. The learning-rate schedule does not change.
    pub max_steps: Option<u64>,
    /// Save and stop after this many minutes.
    pub max_minutes: Option<f64>,
    /// Seed, overriding that of the settings.
    pub seed: Option<u64>,
}

/// Trains an agent: first on recorded play, then in the dream, on the CPU. The world does not change.
///
/// # Errors
/// Returns an error if the data, the world, the settings or the run's folder do not match, the loss is not
/// finite, or a file cannot be written. The last saved state is kept in every case.
pub fn run_agent(options: &AgentOptions, progress: &mut dyn TrainProgress) -> Result<TrainOutcome> {
    let limits = RunLimits::new(options.max_minutes, options.max_steps, options.resume);
    let layout = RunLayout::new(&options.out);
    if !options.resume {
        let stages = [TrainStage::Cloning, TrainStage::Imagination];
        layout.check_new(&stages, &[AGENT_WEIGHTS], AgentSettings::read)?;
    }
    let mut settings = layout.read_settings(options.config.as_deref(), AgentSettings::read)?;
    settings.seed = options.seed.unwrap_or(settings.seed);
    let what = "the world that the agent plays";
    let source = world_folder(options.world.as_deref(), options.resume, &layout, what)?;
    let world = read_config(&source)?;
    check_world(&source, &world)?;
    RunLock::check(&layout)?;
    let memory = (settings.memory_gib * f64::from(1 << 30)) as u64;
    let store = read_data(options, &world, &layout, memory)?;
    let config = describe(&world, &settings, &store);
    if options.resume && layout.checkpoint().join(AGENT_CONFIG).exists() {
        check_same(&layout.checkpoint(), &config)?;
    }
    let _lock = RunLock::acquire(&layout)?;
    prepare_folders(&layout, &settings, &config, &source)?;
    progress.data_read(store.frames());
    let sampler = open_on_backend(&layout.checkpoint(), &Backend::Cpu(Threads::ONE))?;
    let training = TrainLoop {
        layout: &layout,
        pace: Pace {
            seed: settings.seed,
            save_minutes: settings.save_minutes,
            preview_minutes: settings.preview_minutes,
        },
        data: &Previews {
            layout: &layout,
            store: &store,
            sampler: &sampler,
        },
        limits: &limits,
        ranks: &Ranks::default(),
    };
    let run = AgentRun {
        layout: &layout,
        settings: &settings,
        config: &config,
        store: &store,
        sampler: &sampler,
        threads: available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    match run.clone_play(&training, progress)? {
        TrainOutcome::Finished => run.dream(&training, progress),
        other => Ok(other),
    }
}

/// What both phases share.
struct AgentRun<'a> {
    layout: &'a RunLayout,
    settings: &'a AgentSettings,
    config: &'a AgentConfig,
    store: &'a FrameStore,
    sampler: &'a Sampler,
    threads: NonZeroUsize,
}

impl AgentRun<'_> {
    /// The first phase, unless it is done.
    fn clone_play(
        &self,
        training: &TrainLoop,
        progress: &mut dyn TrainProgress,
    ) -> Result<TrainOutcome> {
        let (settings, store) = (&self.settings.cloning, self.store);
        let steps = settings.optimizer.steps;
        if training.has_done(TrainStage::Cloning, steps)? {
            return Ok(TrainOutcome::Finished);
        }
        let maker = FeatureMaker {
            sampler: self.sampler,
            shape: self.config.features,
            threads: self.threads,
            folder: self.layout.root(),
            memory_gib: self.settings.memory_gib,
        };
        let Some(features) = maker.features(store, progress)? else {
            return Ok(TrainOutcome::Stopped);
        };
        let held_out = (settings.held_out * store.episodes.len() as f64) as usize;
        let discount = self.config.discount;
        // What comes later counts less than e⁻² of what comes next.
        let cut = (2.0 / (1.0 - discount)) as usize;
        let returns = store.episodes.iter();
        let returns: Vec<_> = returns
            .map(|e| recorded_returns(&e.rewards, &e.ends, discount, cut))
            .collect();
        let data = RecordedFrames {
            store,
            features: &features,
            returns: &returns,
            trained_episodes: store.episodes.len() - held_out,
        };
        let (mut task, vars) = CloningTask::new(self.layout, self.settings, self.config, data)?;
        let optimizer = Optimizer::new(&vars, &settings.optimizer)?;
        let pass = Pass::new(TrainStage::Cloning, steps);
        training.train(&mut task, optimizer, &pass, progress)
    }

    /// The second phase.
    fn dream(
        &self,
        training: &TrainLoop,
        progress: &mut dyn TrainProgress,
    ) -> Result<TrainOutcome> {
        let world = DreamWorld {
            sampler: self.sampler,
            threads: self.threads,
            store: self.store,
        };
        let settings = &self.settings.imagination;
        let seed = self.settings.seed;
        let (mut task, vars) =
            ImaginationTask::new(self.layout, (settings, seed), self.config, &world)?;
        let optimizer = Optimizer::new(&vars, &settings.optimizer)?;
        let pass = Pass::new(TrainStage::Imagination, settings.optimizer.steps);
        training.train(&mut task, optimizer, &pass, progress)
    }
}

/// Checks that an agent can learn in a world.
fn check_world(source: &Path, world: &WorldConfig) -> Result<()> {
    let what = if world.dynamics.outcome == 0 {
        "predicts neither reward nor end (outcome = 0), which an agent learns from".to_owned()
    } else if !world.axes.is_empty() {
        let axes: Vec<_> = world.axes.iter().map(|axis| axis.name.as_str()).collect();
        let axes = axes.join(", ");
        format!("has the axes {axes}, which agents do not move: expected a world with keys alone")
    } else {
        return Ok(());
    };
    Err(Error::invalid(source, what))
}

/// Reads the episodes, and checks that they are of the world.
fn read_data(
    options: &AgentOptions,
    world: &WorldConfig,
    layout: &RunLayout,
    memory: u64,
) -> Result<FrameStore> {
    let info = DatasetInfo::read(&options.data)?;
    let names = |actions: &[driftless_data::ActionSpec]| -> Vec<String> {
        actions.iter().map(|action| action.name.clone()).collect()
    };
    let wrong = if info.image != world.image {
        let ([h, w], [height, width]) = (info.image, world.image);
        format!("frames are {h}×{w}, expected {height}×{width} as in the world")
    } else if names(&info.actions) != names(&world.actions) {
        format!(
            "the actions are {}, expected {} as in the world",
            names(&info.actions).join(", "),
            names(&world.actions).join(", ")
        )
    } else {
        let mut store = FrameStore::new(info, layout.root(), memory);
        store.add(&options.data, options.skip_bad)?;
        let open = |episode: &EpisodeLabels| episode.ends.iter().any(|end| *end < 0.5);
        if store.episodes.iter().any(open) {
            let mut rewards = store.episodes.iter().flat_map(|e| &e.rewards);
            if rewards.all(|reward| *reward == 0.0) {
                let data = options.data.display();
                tracing::warn!(
                    "{data} holds no reward: the agent will have nothing to learn but the play"
                );
            }
            return Ok(store);
        }
        "holds no frame after which an episode goes on".to_owned()
    };
    Err(Error::invalid(&options.data, wrong))
}

/// The configuration of the agent that these settings train on a dataset.
fn describe(world: &WorldConfig, settings: &AgentSettings, store: &FrameStore) -> AgentConfig {
    let rewards = store.episodes.iter().flat_map(|episode| &episode.rewards);
    let largest = rewards.fold(0.0_f32, |most, reward| most.max(reward.abs()));
    let discount = settings.discount as f32;
    // A little more than the largest reward, so that it is between two bins; more than 0 without rewards.
    let limit = |largest: f32| symexp(1.05 * symlog(largest)).max(0.1);
    let frames = (1.0 / (1.0 - discount)).min(LONGEST);
    AgentConfig {
        format: FORMAT_VERSION,
        features: FeatureShape::of_world(world, settings.features),
        actions: world.actions.len(),
        hidden: settings.hidden,
        distances: settings.distances,
        reward: TwoHot {
            bins: settings.reward_bins,
            limit: limit(largest),
        },
        value: TwoHot {
            bins: settings.value_bins,
            limit: limit(largest * frames),
        },
        discount,
        horizon: settings.imagination.horizon,
    }
}

/// Checks, before anything is written, that a resumed run keeps its heads.
fn check_same(checkpoint: &Path, config: &AgentConfig) -> Result<()> {
    let path = checkpoint.join(AGENT_CONFIG);
    same_config(&path, &AgentConfig::read(checkpoint)?, config)
}

/// Creates the run's folders; copies the world, so that the checkpoint can be played.
fn prepare_folders(
    layout: &RunLayout,
    settings: &AgentSettings,
    config: &AgentConfig,
    source: &Path,
) -> Result<()> {
    copy_world(source, &layout.checkpoint())?;
    let path = layout.settings();
    let text =
        toml::to_string_pretty(settings).map_err(|e| Error::invalid(&path, e.to_string()))?;
    write_atomic(&path, text.as_bytes())?;
    Ok(write_json(&layout.checkpoint().join(AGENT_CONFIG), config)?)
}

/// Previews of a run: rows of frames that the world dreams while the saved agent plays.
struct Previews<'a> {
    layout: &'a RunLayout,
    store: &'a FrameStore,
    sampler: &'a Sampler,
}

impl TrainData for Previews<'_> {
    fn preview(&self, _stage: TrainStage) -> Result<ContactSheet> {
        let mut sampler = self.sampler.fork()?;
        Agent::attach(&mut sampler)?;
        let agent = Agent::read(&self.layout.checkpoint(), sampler.world())?;
        let mut player = AgentPlayer::new(Arc::new(agent), AgentPolicy::Trained, 0);
        let context = sampler.world().dynamics.context;
        let params = SamplerParams::of_world(sampler.world());
        let lengths = self.store.episodes.iter().map(EpisodeLabels::frames);
        let [rows, columns] = PREVIEW;
        let mut images = Vec::new();
        for window in windows_by_length(lengths, context, rows)? {
            let Some(episode) = self.store.episodes.get(window.episode) else {
                continue;
            };
            let clip = self
                .store
                .clip(episode, window.start..window.start + context)?;
            sampler.reset(&clip, &params)?;
            let mut row = Vec::new();
            for _ in 0..columns {
                let decision = player.decide(&mut sampler)?;
                sampler.step(decision.action, &params)?;
                row.extend_from_slice(sampler.image()?);
            }
            images.push(row);
        }
        let rows: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
        Ok(ContactSheet::new(&rows, self.sampler.world().image)?)
    }

    fn names(&self, frames: &[usize]) -> Vec<String> {
        let names = self.store.episode_names(frames);
        names.into_iter().map(str::to_owned).collect()
    }
}
