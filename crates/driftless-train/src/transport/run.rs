//! A transport run: reads settings and data, prepares the run's folder, and trains.

use std::path::{Path, PathBuf};

use driftless_data::PathError as _;
use driftless_data::cells::CellDataset;
use driftless_data::fs::{write_atomic, write_json};
use driftless_model::checkpoint::CONFIG;
use driftless_transport::config::{FORMAT_VERSION, KIND, KnownCompound, Normalization, WEIGHTS};
use driftless_transport::{Controls, TransportConfig};

use super::TransportSettings;
use super::task::{Previews, TransportTask};
use crate::optimizer::Optimizer;
use crate::ranks::Ranks;
use crate::run_lock::RunLock;
use crate::same_config::same_config;
use crate::train_loop::{Pace, Pass, RunLimits, TrainLoop};
use crate::warm_start::load_weights;
use crate::{Error, Result, RunLayout, TrainOutcome, TrainProgress, TrainStage};

/// Controls of each plate that the checkpoint brings along.
const CONTROLS_PER_PLATE: usize = 16;

/// Arguments of a transport run.
#[derive(Clone, Debug)]
pub struct TransportOptions {
    /// Folder of the dataset.
    pub data: PathBuf,
    /// The run's folder.
    pub out: PathBuf,
    /// Settings file (TOML). Without it: the run's own settings, or the defaults for a new run.
    pub config: Option<PathBuf>,
    /// Checkpoint folder to take the initial weights from, instead of random ones.
    pub from: Option<PathBuf>,
    /// Whether to continue the run in `out`.
    pub resume: bool,
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
/// Returns an error if the data, the settings or the run's folder do not match, the loss is not finite,
/// or a file cannot be written. The last saved state is kept in every case.
pub fn run_transport(
    options: &TransportOptions,
    progress: &mut dyn TrainProgress,
) -> Result<TrainOutcome> {
    let limits = RunLimits::new(options.max_minutes, options.max_steps, options.resume);
    let layout = RunLayout::new(&options.out);
    if options.resume {
        layout.check_run()?;
    } else {
        let stages = [TrainStage::Transport];
        layout.check_new(&stages, &[WEIGHTS], TransportSettings::read)?;
    }
    let settings = read_settings(options, &layout)?;
    RunLock::check(&layout)?;
    let data = CellDataset::read(&options.data)?;
    let config = describe(&data, &settings);
    check_size(&data, &settings)?;
    config.check().map_err(|what| {
        let at = options.config.as_ref().unwrap_or(&options.data);
        Error::invalid(at, format!("does not fit the settings: {what}"))
    })?;
    let path = layout.checkpoint().join(CONFIG);
    if options.resume && path.exists() {
        check_same(&path, &config)?;
    }
    let (mut task, vars) = TransportTask::new(&layout, &data, &settings, &config)?;
    if let Some(folder) = &options.from {
        check_start(folder, &config)?;
        load_weights(&folder.join(WEIGHTS), &vars)?;
    }
    let _lock = RunLock::acquire(&layout)?;
    prepare_folders(&layout, &settings, &config)?;
    controls(&data, &config).write(&layout.checkpoint(), &config)?;
    progress.data_read(data.len());
    let previews = Previews {
        layout: &layout,
        data: &data,
        config: &config,
    };
    let training = TrainLoop {
        layout: &layout,
        pace: Pace {
            seed: settings.seed,
            save_minutes: settings.save_minutes,
            preview_minutes: settings.preview_minutes,
        },
        data: &previews,
        limits: &limits,
        ranks: &Ranks::default(),
    };
    let optimizer = Optimizer::new(&vars, &settings.optimizer)?;
    let pass = Pass::new(TrainStage::Transport, settings.optimizer.steps);
    training.train(&mut task, optimizer, &pass, progress)
}

fn read_settings(options: &TransportOptions, layout: &RunLayout) -> Result<TransportSettings> {
    let mut settings = layout.read_settings(options.config.as_deref(), TransportSettings::read)?;
    if let Some(seed) = options.seed {
        settings.seed = seed;
    }
    Ok(settings)
}

/// Checks that pictures are made of whole patches.
fn check_size(data: &CellDataset, settings: &TransportSettings) -> Result<()> {
    let ([height, width], patch) = (data.info.image, settings.network.patch);
    let is_whole = |side: usize| side.is_multiple_of(patch.max(1));
    if is_whole(height) && is_whole(width) {
        return Ok(());
    }
    let what = format!(
        "pictures are {height}×{width}, expected multiples of network.patch, {patch}: import them at another \
         --size, or set another patch"
    );
    Err(Error::invalid(data.folder(), what))
}

/// The configuration of the network that these settings train on a dataset.
fn describe(data: &CellDataset, settings: &TransportSettings) -> TransportConfig {
    let info = &data.info;
    let trained =
        |of: &dyn Fn(usize) -> bool| (0..data.len()).any(|row| data.train[row] && of(row));
    let doses = data.training_doses();
    let range = [doses.first(), doses.last()].map(|dose| dose.copied().unwrap_or(1.0));
    let compounds = info
        .compounds
        .iter()
        .enumerate()
        .map(|(i, compound)| KnownCompound {
            compound: compound.clone(),
            trained: trained(&|row| data.compound[row] == Some(i)),
        });
    let plates = info.plates.iter().enumerate();
    let plates = plates.filter(|(i, _)| trained(&|row| data.plate[row] == *i));
    TransportConfig {
        format: FORMAT_VERSION,
        kind: KIND.to_owned(),
        name: info.name.clone(),
        image: info.image,
        channels: info.channels.clone(),
        dose_unit: info.dose_unit.clone(),
        doses: range,
        compounds: compounds.collect(),
        plates: plates.map(|(_, plate)| plate.name.clone()).collect(),
        normalization: normalization(data),
        network: settings.network.clone(),
        flow: settings.flow(),
        sampling: settings.sampling.clone(),
    }
}

/// Mean and standard deviation of each channel over the training pictures.
fn normalization(data: &CellDataset) -> Normalization {
    let channels = data.info.channels.len();
    let (mut sums, mut squares, mut count) = (vec![0_u64; channels], vec![0_u64; channels], 0_u64);
    for row in (0..data.len()).filter(|&row| data.train[row]) {
        for pixel in data.picture(row).chunks_exact(channels) {
            for (c, byte) in pixel.iter().enumerate() {
                sums[c] += u64::from(*byte);
                squares[c] += u64::from(*byte).pow(2);
            }
        }
        count += (data.info.picture_len() / channels) as u64;
    }
    let n = count.max(1) as f64;
    let means: Vec<f64> = sums.iter().map(|sum| *sum as f64 / n).collect();
    let deviation = |c: usize| (squares[c] as f64 / n - means[c].powi(2)).max(1.0).sqrt() as f32;
    Normalization {
        std: (0..channels).map(deviation).collect(),
        mean: means.iter().map(|mean| *mean as f32).collect(),
    }
}

/// Checks that the weights of a checkpoint mean the same in the new run: descriptors, plates and channels
/// are known by their places.
fn check_start(folder: &Path, config: &TransportConfig) -> Result<()> {
    let old = TransportConfig::read(&folder.join(CONFIG))?;
    let parts = [
        ("channels", old.channels == config.channels),
        ("compounds", old.compounds == config.compounds),
        ("plates", old.plates == config.plates),
        ("network", old.network == config.network),
        ("image", old.image == config.image),
    ];
    match parts.iter().find(|(_, same)| !same) {
        Some((part, _)) => {
            let what = format!("its {part} are not those of this run, expected the same");
            Err(Error::invalid(folder, what))
        }
        None => Ok(()),
    }
}

/// Checks, before anything is written, that a resumed run keeps its network and data.
fn check_same(path: &Path, config: &TransportConfig) -> Result<()> {
    let mut old = TransportConfig::read(path)?;
    old.sampling = config.sampling.clone();
    same_config(path, &old, config)
}

/// The first controls of every plate of the training.
fn controls(data: &CellDataset, config: &TransportConfig) -> Controls {
    let mut controls = Controls::default();
    for (i, name) in config.plates.iter().enumerate() {
        let of_plate = |row: &usize| {
            data.compound[*row].is_none() && data.info.plates[data.plate[*row]].name == *name
        };
        for row in (0..data.len()).filter(of_plate).take(CONTROLS_PER_PLATE) {
            controls.images.extend_from_slice(data.picture(row));
            controls.plates.push(i);
        }
    }
    controls
}

fn prepare_folders(
    layout: &RunLayout,
    settings: &TransportSettings,
    config: &TransportConfig,
) -> Result<()> {
    let checkpoint = layout.checkpoint();
    std::fs::create_dir_all(&checkpoint).map_err(|e| Error::io(&checkpoint, e))?;
    let path = layout.settings();
    let text =
        toml::to_string_pretty(settings).map_err(|e| Error::invalid(&path, e.to_string()))?;
    write_atomic(&path, text.as_bytes())?;
    Ok(write_json(&checkpoint.join(CONFIG), config)?)
}
