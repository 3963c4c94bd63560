//! A clip run: reads settings, data and the world, prepares the run's folder, and trains.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;

use driftless_clip::config::{CLIP_ACTION_WEIGHTS, CLIP_CONFIG, CLIP_WEIGHTS, FORMAT_VERSION};
use driftless_clip::{
    ClipConfig, ClipMaker, ClipParams, ClipRequest, PromptReader, TextEncoder, Vocabulary,
    text_encoder,
};
use driftless_data::captions::ClipCaption;
use driftless_data::cells::is_dataset;
use driftless_data::contact_sheet::ContactSheet;
use driftless_data::fs::{write_atomic, write_json};
use driftless_data::{ActionSpec, DatasetInfo, PathError as _};
use driftless_engine::{DeviceChoice, candle_device};
use driftless_model::checkpoint::{TOKENIZER, read_config};
use driftless_model::config::WorldConfig;

use super::ClipSettings;
use super::batches::{Clips, Content, read_captions};
use super::task::ClipTask;
use super::texts::Texts;
use crate::frame_encoding::FrameEncoding;
use crate::frame_store::{ByteStore, FrameStore};
use crate::layout::RunLayout;
use crate::optimizer::Optimizer;
use crate::progress::{TrainOutcome, TrainProgress};
use crate::ranks::Ranks;
use crate::run_lock::RunLock;
use crate::same_config::same_config;
use crate::train_loop::{Pace, Pass, RunLimits, TrainData, TrainLoop};
use crate::warm_start::load_weights;
use crate::world_source::{copy_world, world_folder};
use crate::{Error, Result, TrainStage};

/// Captions whose clips a preview shows.
const PREVIEWED: usize = 4;
/// Captions of each language that are kept as examples of prompts.
const EXAMPLES: usize = 4;

/// Arguments of a clip run.
#[derive(Clone, Debug)]
pub struct ClipOptions {
    /// Folder of the dataset, with captions.
    pub data: PathBuf,
    /// Checkpoint folder of the world whose tokenizer is used. A new run copies it.
    pub world: Option<PathBuf>,
    /// Folder of a text encoder that reads the captions, instead of a vocabulary of their own.
    pub text_encoder: Option<PathBuf>,
    /// The run's folder.
    pub out: PathBuf,
    /// Settings file (TOML). Without it: the run's own settings, or the defaults for a new run.
    pub config: Option<PathBuf>,
    /// Checkpoint folder to take the initial weights from, instead of random ones.
    pub from: Option<PathBuf>,
    /// Whether to skip unreadable episodes, with a warning for each, instead of failing.
    pub skip_bad: bool,
    /// Whether to continue the run in `out`.
    pub resume: bool,
    /// Compute device.
    pub device: DeviceChoice,
    /// Save and stop at this step. The learning-rate schedule does not change.
    pub max_steps: Option<u64>,
    /// Save and stop after this many minutes.
    pub max_minutes: Option<f64>,
    /// Seed, overriding that of the settings.
    pub seed: Option<u64>,
}

/// Trains until all steps are done, the time limit is reached, or `progress` asks to stop.
///
/// # Errors
/// Returns an error if the data, the captions, the world, the settings or the run's folder do not match,
/// the loss is not finite, or a file cannot be written. The last saved state is kept in every case.
pub fn run_clip(options: &ClipOptions, progress: &mut dyn TrainProgress) -> Result<TrainOutcome> {
    let device = candle_device(options.device)?;
    let folder = options.text_encoder.as_ref();
    let encoder = folder.map(|folder| text_encoder::read(folder, &device));
    run_with(options, encoder.transpose()?.as_ref(), progress)
}

/// As [`run_clip`], with a text encoder that was read already.
pub(super) fn run_with(
    options: &ClipOptions,
    encoder: Option<&Arc<dyn TextEncoder>>,
    progress: &mut dyn TrainProgress,
) -> Result<TrainOutcome> {
    let limits = RunLimits::new(options.max_minutes, options.max_steps, options.resume);
    let layout = RunLayout::new(&options.out);
    if !options.resume {
        let stages = [TrainStage::ClipActions, TrainStage::Clip];
        let weights = [CLIP_WEIGHTS, CLIP_ACTION_WEIGHTS];
        layout.check_new(&stages, &weights, ClipSettings::read)?;
    }
    let settings = read_settings(options, &layout)?;
    let device = candle_device(options.device)?;
    let what = "the world whose tokenizer encodes the frames";
    let source = world_folder(options.world.as_deref(), options.resume, &layout, what)?;
    let world = read_config(&source)?;
    if is_dataset(&options.data) {
        let what = "holds pictures of cells, whose three stains no world's tokenizer encodes: clips are learned \
                    from episodes of a world; `driftless train transport` learns from cells";
        return Err(Error::invalid(&options.data, what));
    }
    let info = DatasetInfo::read(&options.data)?;
    if info.image != world.image {
        let ([h, w], [height, width]) = (info.image, world.image);
        let what = format!("frames are {h}×{w}, expected {height}×{width} as in the world");
        return Err(Error::invalid(&options.data, what));
    }
    let captions = read_captions(&options.data, &settings.lengths)?;
    let mut config = describe(&world, &info, &settings, &captions);
    let mut reader = PromptReader::new(&config);
    if let Some(encoder) = encoder {
        config.text_encoder = Some(encoder.info().clone());
        config.vocabulary.clear();
        reader = PromptReader::new(&config).with_encoder(Arc::clone(encoder))?;
    }
    config.check().map_err(|what| {
        let at = options.config.as_ref().unwrap_or(&options.data);
        Error::invalid(at, format!("does not fit the settings: {what}"))
    })?;
    let path = layout.checkpoint().join(CLIP_CONFIG);
    if options.resume && path.exists() {
        check_same(&path, &config)?;
    }
    if let Some(folder) = &options.from {
        check_start(folder, &config)?;
    }
    RunLock::check(&layout)?;
    let memory = settings.memory_gib * f64::from(1 << 30);
    let mut store = FrameStore::new(info, layout.root(), memory as u64);
    store.add(&options.data, options.skip_bad)?;
    let _lock = RunLock::acquire(&layout)?;
    prepare_folders(&layout, &settings, &config, &source)?;
    progress.data_read(store.frames());
    let encoding = FrameEncoding {
        world: &world,
        tokenizer: &layout.checkpoint().join(TOKENIZER),
        device: &device,
        folder: layout.root(),
        memory_gib: settings.memory_gib,
    };
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
            captions: &captions,
            encoder,
            device: &device,
        },
        limits: &limits,
        ranks: &Ranks::default(),
    };
    let states = ByteStore::new(layout.root(), memory as u64);
    let run = ClipRun {
        layout: &layout,
        store: &store,
        captions: &captions,
        texts: &Texts::read(&captions, &reader, states, progress)?,
        from: options.from.as_deref(),
        device: &device,
    };
    if let Some(actions) = config.of_actions() {
        let outcome = run.train_actions(&training, &settings, &actions, progress)?;
        if outcome != TrainOutcome::Finished {
            return Ok(outcome);
        }
    }
    let latents = encoding.encode(&store, progress)?;
    run.train_frames(&training, (&settings, &config), latents, progress)
}

/// What the two networks of a run share.
struct ClipRun<'a> {
    layout: &'a RunLayout,
    store: &'a FrameStore,
    captions: &'a [ClipCaption],
    texts: &'a Texts,
    /// Where the initial weights are.
    from: Option<&'a Path>,
    device: &'a Device,
}

impl ClipRun<'_> {
    /// Trains the network that plans actions, unless that is done.
    fn train_actions(
        &self,
        training: &TrainLoop,
        settings: &ClipSettings,
        config: &ClipConfig,
        progress: &mut dyn TrainProgress,
    ) -> Result<TrainOutcome> {
        let steps = settings.actions.optimizer.steps;
        if training.has_done(TrainStage::ClipActions, steps)? {
            return Ok(TrainOutcome::Finished);
        }
        let own = ClipSettings {
            batch_size: settings.actions.batch_size,
            given_fraction: 0.0,
            shortcut_fraction: 0.0,
            optimizer: settings.actions.optimizer.clone(),
            ..settings.clone()
        };
        // Without weights for the frames there is nothing to show.
        let training = TrainLoop {
            pace: Pace {
                preview_minutes: 0.0,
                ..training.pace
            },
            ..*training
        };
        let network = (TrainStage::ClipActions, CLIP_ACTION_WEIGHTS);
        self.train(
            &training,
            network,
            (&own, config),
            Content::Actions,
            progress,
        )
    }

    /// Trains the network of the frames.
    fn train_frames(
        &self,
        training: &TrainLoop,
        settings: (&ClipSettings, &ClipConfig),
        latents: ByteStore,
        progress: &mut dyn TrainProgress,
    ) -> Result<TrainOutcome> {
        let network = (TrainStage::Clip, CLIP_WEIGHTS);
        self.train(
            training,
            network,
            settings,
            Content::Frames(latents),
            progress,
        )
    }

    fn train(
        &self,
        training: &TrainLoop,
        network: (TrainStage, &'static str),
        (settings, config): (&ClipSettings, &ClipConfig),
        content: Content,
        progress: &mut dyn TrainProgress,
    ) -> Result<TrainOutcome> {
        let (stage, weights) = network;
        let clips = Clips::new(
            settings,
            config,
            self.store,
            self.captions,
            self.texts,
            content,
        )?;
        let (mut task, vars) =
            ClipTask::new(network, self.layout, (settings, config), clips, self.device)?;
        // A checkpoint from before may lack the network that plans actions.
        let start = self.from.map(|folder| folder.join(weights));
        if let Some(path) = start.filter(|path| stage == TrainStage::Clip || path.is_file()) {
            load_weights(&path, &vars)?;
        }
        let optimizer = Optimizer::new(&vars, &settings.optimizer)?;
        let pass = Pass::new(stage, settings.optimizer.steps);
        training.train(&mut task, optimizer, &pass, progress)
    }
}

fn read_settings(options: &ClipOptions, layout: &RunLayout) -> Result<ClipSettings> {
    let mut settings = layout.read_settings(options.config.as_deref(), ClipSettings::read)?;
    if let Some(seed) = options.seed {
        settings.seed = seed;
    }
    Ok(settings)
}

/// The configuration of the network that these settings train on a dataset.
fn describe(
    world: &WorldConfig,
    data: &DatasetInfo,
    settings: &ClipSettings,
    captions: &[ClipCaption],
) -> ClipConfig {
    let texts = captions.iter().flat_map(|c| c.texts.values().flatten());
    let names = |actions: &[ActionSpec]| actions.iter().map(|a| a.name.clone()).collect::<Vec<_>>();
    let knows_actions = names(&data.actions) == names(&world.actions);
    if !knows_actions {
        tracing::warn!("the data's actions are not the world's: clips will not tell theirs");
    }
    let actions = if knows_actions {
        world.actions.len()
    } else {
        0
    };
    ClipConfig {
        format: FORMAT_VERSION,
        lengths: settings.lengths.clone(),
        grid: world.grid(),
        channels: world.tokenizer.channels,
        actions,
        action_network: (actions > 1).then(|| settings.actions.network.clone()),
        network: settings.network.clone(),
        sampling: settings.sampling,
        examples: examples(captions),
        text_encoder: None,
        vocabulary: Vocabulary::of_texts(texts.map(String::as_str), settings.min_word_count),
    }
}

/// A few captions of every language.
fn examples(captions: &[ClipCaption]) -> Vec<String> {
    let languages: BTreeSet<&String> = captions.iter().flat_map(|c| c.texts.keys()).collect();
    let mut examples = Vec::new();
    for language in languages {
        for i in 0..EXAMPLES {
            let part = i * captions.len() / EXAMPLES..(i + 1) * captions.len() / EXAMPLES;
            // The one that says two things in the fewest words, if one does.
            let texts = captions[part].iter().filter_map(|caption| {
                let text = caption.texts.get(language)?.first()?;
                let words = text.split_whitespace().count();
                Some(((caption.facts.len() < 2, words), text))
            });
            let best = texts.min_by_key(|(rank, _)| *rank);
            examples.extend(best.map(|(_, text)| text.clone()));
        }
    }
    examples
}

/// Checks that the weights of a checkpoint mean the same in the new run: words are known by their places.
fn check_start(folder: &Path, config: &ClipConfig) -> Result<()> {
    let old = ClipConfig::read(&folder.join(CLIP_CONFIG))?;
    let parts = [
        ("network", old.network == config.network),
        ("grid", old.grid == config.grid),
        ("channels", old.channels == config.channels),
        ("actions", old.actions == config.actions),
        ("vocabulary", old.vocabulary == config.vocabulary),
        ("text encoder", old.text_encoder == config.text_encoder),
        (
            "action_network",
            old.action_network.is_none() || old.action_network == config.action_network,
        ),
    ];
    match parts.iter().find(|(_, same)| !same) {
        Some((part, _)) => {
            let what = format!("its {part} is not that of this run, expected the same");
            Err(Error::invalid(folder, what))
        }
        None => Ok(()),
    }
}

/// Checks, before anything is written, that a resumed run keeps its network and its words.
fn check_same(path: &Path, config: &ClipConfig) -> Result<()> {
    let mut old = ClipConfig::read(path)?;
    old.sampling = config.sampling;
    if old.text_encoder != config.text_encoder {
        let what = "the text encoder is not that of this run, expected the same --text-encoder";
        return Err(Error::invalid(path, what));
    }
    // A run from before plans actions from now on.
    let planned = old.action_network.take();
    old.action_network = planned.or_else(|| config.action_network.clone());
    same_config(path, &old, config)
}

/// Creates the run's folders; copies the world, so that the checkpoint can be played.
fn prepare_folders(
    layout: &RunLayout,
    settings: &ClipSettings,
    config: &ClipConfig,
    source: &Path,
) -> Result<()> {
    let checkpoint = layout.checkpoint();
    copy_world(source, &checkpoint)?;
    let path = layout.settings();
    let text =
        toml::to_string_pretty(settings).map_err(|e| Error::invalid(&path, e.to_string()))?;
    write_atomic(&path, text.as_bytes())?;
    Ok(write_json(&checkpoint.join(CLIP_CONFIG), config)?)
}

/// Previews of a run: pairs of rows, a recorded clip above one that the saved checkpoint makes of its
/// caption.
struct Previews<'a> {
    layout: &'a RunLayout,
    store: &'a FrameStore,
    captions: &'a [ClipCaption],
    encoder: Option<&'a Arc<dyn TextEncoder>>,
    device: &'a Device,
}

impl TrainData for Previews<'_> {
    fn preview(&self, _stage: TrainStage) -> Result<ContactSheet> {
        let mut maker = ClipMaker::read(&self.layout.checkpoint(), self.device)?;
        if let Some(encoder) = self.encoder {
            maker = maker.with_text_encoder(Arc::clone(encoder))?;
        }
        let mut rows = Vec::new();
        for i in 0..PREVIEWED {
            let caption = &self.captions[i * self.captions.len() / PREVIEWED];
            let episodes = self.store.episodes.iter();
            let mut episodes = episodes.filter(|episode| episode.name == caption.file);
            let text = caption.texts.values().flatten().next();
            let (Some(episode), Some(text)) = (episodes.next(), text) else {
                continue;
            };
            let own = ClipParams::of(maker.config());
            let lengths = maker.config().lengths.iter().copied();
            let frames = lengths.filter(|&length| length <= caption.frames).max();
            let params = ClipParams {
                frames: frames.unwrap_or(own.frames),
                ..own
            };
            let first = episode.start + caption.start;
            let mut real = Vec::new();
            self.store.read(first..first + params.frames, &mut real)?;
            let made = maker.make(&ClipRequest::new(text), &params, &mut |_| true)?;
            rows.extend([real, made.images]);
        }
        let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        Ok(ContactSheet::new(&rows, maker.world().image)?)
    }

    fn names(&self, frames: &[usize]) -> Vec<String> {
        let names = self.store.episode_names(frames);
        names.into_iter().map(str::to_owned).collect()
    }
}
