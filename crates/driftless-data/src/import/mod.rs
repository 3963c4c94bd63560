//! Converts recordings in other formats to a dataset.
//!
//! - `image_folder`, `video_files`, `npz_files`, `vpt`, `hdf5`, `lerobot`: one `RecordingSource` per
//!   format.
//! - `format`: the list of formats.
//! - `image_layout`: where the images are in arrays of different shapes.
//! - `actions`: maps recorded actions to the dataset's discrete actions.
//! - `raw_action`: actions as a source recorded them.
//! - `axes`: continuous actions as the dataset's axes.
//! - `frame_resampler`: resizes frames by area averaging and keeps every n-th.
//! - `video_decoder`: decodes videos with ffmpeg.
//! - `import_report`: the result of an import, also written as `manifest.json`.

mod actions;
mod axes;
mod format;
pub(super) mod frame_resampler;
#[cfg(feature = "hdf5")]
mod hdf5;
mod image_folder;
mod image_layout;
mod import_report;
#[cfg(feature = "parquet")]
mod lerobot;
mod npz_files;
mod raw_action;
pub(super) mod video_decoder;
mod video_files;
mod vpt;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::actions::merge_actions;
use self::axes::{SourceAxes, mean_rows};
use self::frame_resampler::FrameResampler;
use super::staging::StagingFolder;
use super::{DatasetInfo, Episode, ExtraArray};
use crate::fs::write_json;
use crate::guard::catch_panic;
use crate::layout::array::{AXES, IS_TERMINAL};
use crate::layout::{dataset, is_hidden};
use crate::media::decode_image;
use crate::{Error, PathError as _, Result};

pub use self::actions::{ActionMap, KeyCombination};
pub use self::format::ImportFormat;
pub use self::import_report::{ActionCount, ImportReport, ImportedEpisode};
pub use self::raw_action::RawAction;

/// How far the ratio of the frame rates may be from an integer, relative to it.
const FPS_TOLERANCE: f32 = 0.01;

/// How a source pairs actions with frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum ActionPairing {
    /// The action in a frame's row led to that frame.
    LedTo,
    /// The action in a frame's row was taken at that frame and led to the next one.
    TakenAt,
}

/// Settings of an import.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The source's format.
    pub format: ImportFormat,
    /// Folder or file to read.
    pub source: PathBuf,
    /// Folder of the dataset to write, new or empty.
    pub out: PathBuf,
    /// The world's name; by default the source's file name.
    pub name: Option<String>,
    /// Height and width of the written frames in pixels.
    pub size: [usize; 2],
    /// Frame rate of the dataset; must divide the source's.
    pub fps: Option<f32>,
    /// Keep every n-th frame; ignored if `fps` is given.
    pub every: Option<usize>,
    /// Frame rate of the source; overrides what the source says.
    pub source_fps: Option<f32>,
    /// File with the map from recorded to discrete actions, TOML or JSON.
    pub actions: Option<PathBuf>,
    /// Name of the image observation, if the source has several.
    pub image_key: Option<String>,
    /// Name of the action, if it is not the usual one.
    pub action_key: Option<String>,
    /// How actions pair with frames; by default as usual for the format.
    pub pairing: Option<ActionPairing>,
    /// Skip episodes that cannot be read instead of failing.
    pub skip_bad: bool,
}

/// The names under which a source holds what is read, where they are not the usual ones.
#[derive(Clone, Debug, Default)]
struct SourceKeys {
    /// Of the images.
    image: Option<String>,
    /// Of the actions.
    action: Option<String>,
}

/// Progress of an import.
pub enum ImportEvent<'a> {
    /// Number of episodes processed, and in total.
    Progress(usize, usize),
    /// An episode was skipped because of this error.
    Skipped(&'a Error),
}

/// An episode as recorded, except for its frames, which are in the [`FrameResampler`].
struct RawEpisode {
    /// `actions[t]` was taken at the source's frame t and led to frame t + 1: one fewer than
    /// frames.
    actions: Vec<RawAction>,
    /// The reward of each action; empty if the source has none.
    rewards: Vec<f32>,
    /// Whether the episode ended by itself rather than being cut off.
    terminal: bool,
    /// What was guessed or looks wrong, each without the episode's name.
    remarks: Vec<String>,
}

/// Recordings in one format.
trait RecordingSource {
    /// Frame rate, if the source specifies it.
    fn fps(&self) -> Option<f32>;
    /// Names of the episodes.
    fn episode_names(&self) -> Vec<String>;
    /// The usual pairing of actions and frames in this format.
    fn default_pairing(&self) -> ActionPairing;
    /// The names of the elements of continuous actions, if the source has some.
    fn axis_names(&self) -> Option<Vec<String>> {
        None
    }
    /// The action map to use without `--actions`.
    fn default_action_map(&self) -> Result<ActionMap> {
        Ok(ActionMap::inferred())
    }
    /// Reads an episode and pushes its frames to `frames`.
    fn read(
        &mut self,
        episode: usize,
        pairing: ActionPairing,
        frames: &mut FrameResampler,
    ) -> Result<RawEpisode>;
}

/// Reads every episode of a source and writes them as a dataset; `notify` receives the progress, and
/// cancels the import by returning `false`.
///
/// # Errors
/// Returns an error, and writes nothing, if the source is not in the given format, an episode
/// cannot be read (without `skip_bad`) or none can, an action is not in the action map, the frame
/// rate cannot be reached by dropping frames, the output folder is not empty, or
/// `notify` cancels ([`Error::Interrupted`]).
pub fn run(
    options: &ImportOptions,
    notify: &mut dyn FnMut(ImportEvent<'_>) -> bool,
) -> Result<ImportReport> {
    // Before anything else about it is asked.
    std::fs::metadata(&options.source).map_err(|e| Error::io(&options.source, e))?;
    let mut source = catch_panic(&options.source, || open_source(options))?;
    let fps = options.source_fps.or(source.fps()).ok_or_else(|| {
        let what = "the source does not specify its frame rate; give --source-fps";
        Error::invalid(&options.source, what)
    })?;
    let every = frame_stride(fps, options)?;
    let mut map = match &options.actions {
        Some(path) => ActionMap::read(path)?,
        None => source.default_action_map()?,
    };
    let folder = StagingFolder::new(&options.out)?;
    let mut report = ImportReport::new(options, source.default_pairing(), fps, every)?;
    write_episodes(
        options,
        source.as_mut(),
        &mut map,
        &folder,
        &mut report,
        notify,
    )?;
    let info = DatasetInfo {
        name: options.name.clone().unwrap_or(report.source.clone()),
        fps: report.fps,
        image: options.size,
        actions: map.actions(),
        axes: map.source_axes().map_or(Vec::new(), SourceAxes::specs),
    };
    if let Some(axes) = map.source_axes() {
        for episode in &report.episodes {
            axes.normalize(&folder.path().join(&episode.file))?;
        }
        report.add_axes(&info.axes);
    }
    report.name_actions(&info.actions);
    report.add_remarks(&info.actions, map.reads_decimals());
    write_json(&folder.path().join(dataset::INFO), &info)?;
    write_json(&folder.path().join(dataset::MANIFEST), &report)?;
    folder.finish()?;
    Ok(report)
}

/// Converts every episode and adds it to `folder` and `report`.
fn write_episodes(
    options: &ImportOptions,
    source: &mut dyn RecordingSource,
    map: &mut ActionMap,
    folder: &StagingFolder,
    report: &mut ImportReport,
    notify: &mut dyn FnMut(ImportEvent<'_>) -> bool,
) -> Result<()> {
    let (names, axis_names) = (source.episode_names(), source.axis_names());
    for (index, name) in names.iter().enumerate() {
        tell(notify, ImportEvent::Progress(index, names.len()))?;
        let mut frames = FrameResampler::new(options.size, report.every);
        // A copy, so that a skipped episode adds no action names.
        let mut episode_map = map.clone();
        let path = episode_path(&options.source, name);
        let read = || source.read(index, report.pairing, &mut frames);
        let episode = catch_panic(&path, read).and_then(|raw| {
            let looked = episode_map.look_at(&raw.actions, axis_names.clone());
            looked
                .and_then(|()| convert_episode(frames, &raw, report.every, &mut episode_map))
                .map(|episode| (episode, raw.remarks))
                .map_err(|what| Error::invalid(&path, what))
        });
        match episode {
            Ok((episode, remarks)) => {
                *map = episode_map;
                let file = report.add(name, &episode, remarks);
                episode.write(&folder.path().join(file))?;
            }
            Err(error) if options.skip_bad => {
                tell(notify, ImportEvent::Skipped(&error))?;
                report.skipped.push(error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    tell(notify, ImportEvent::Progress(names.len(), names.len()))?;
    if report.episodes.is_empty() {
        let what = format!("none of {} episodes can be read", names.len());
        return Err(Error::invalid(&options.source, what));
    }
    Ok(())
}

/// What to call an episode in an error: the source itself, if the episode is named like it.
fn episode_path(source: &Path, name: &str) -> PathBuf {
    if source.file_name().is_some_and(|file| file == name) {
        source.to_path_buf()
    } else {
        source.join(name)
    }
}

/// Passes on an event.
///
/// # Errors
/// Returns [`Error::Interrupted`] if the import is cancelled.
fn tell(notify: &mut dyn FnMut(ImportEvent<'_>) -> bool, event: ImportEvent<'_>) -> Result<()> {
    if notify(event) {
        Ok(())
    } else {
        Err(Error::Interrupted)
    }
}

fn open_source(options: &ImportOptions) -> Result<Box<dyn RecordingSource>> {
    let path = options.source.as_path();
    let keys = SourceKeys {
        image: options.image_key.clone(),
        action: options.action_key.clone(),
    };
    Ok(match options.format {
        ImportFormat::Images => Box::new(image_folder::ImageFolder::open(path)?),
        ImportFormat::Video => Box::new(video_files::VideoFiles::open(path)?),
        ImportFormat::Npz => Box::new(npz_files::NpzFiles::open(path, keys)?),
        ImportFormat::Vpt => Box::new(vpt::VptRecordings::open(path)?),
        #[cfg(feature = "hdf5")]
        ImportFormat::Minari => Box::new(hdf5::Hdf5Recordings::open(path, keys)?),
        #[cfg(not(feature = "hdf5"))]
        ImportFormat::Minari => return Err(not_built("HDF5", "hdf5")),
        #[cfg(feature = "parquet")]
        ImportFormat::Lerobot => Box::new(lerobot::LerobotDataset::open(path, keys)?),
        #[cfg(not(feature = "parquet"))]
        ImportFormat::Lerobot => return Err(not_built("LeRobot", "parquet")),
    })
}

#[cfg(not(all(feature = "hdf5", feature = "parquet")))]
fn not_built(format: &str, feature: &str) -> Error {
    Error::NotBuilt(format!(
        "this build cannot read {format} datasets: build with `--features {feature}`"
    ))
}

/// The n of "keep every n-th frame", for a source at `fps`.
fn frame_stride(fps: f32, options: &ImportOptions) -> Result<usize> {
    let Some(target) = options.fps else {
        return Ok(options.every.unwrap_or(1));
    };
    let ratio = fps / target;
    let every = ratio.round().max(1.0);
    if (ratio - every).abs() > FPS_TOLERANCE * every {
        return Err(Error::Argument(format!(
            "--fps {target}: dropping frames of a source at {fps} fps gives {:.3} or {:.3} fps",
            fps / every,
            fps / (every + if ratio > every { 1.0 } else { -1.0 }).max(1.0),
        )));
    }
    Ok(every as usize)
}

/// Combines a recording and its frames into an episode.
fn convert_episode(
    frames: FrameResampler,
    raw: &RawEpisode,
    every: usize,
    map: &mut ActionMap,
) -> std::result::Result<Episode, String> {
    let [height, width] = frames.size();
    let received = frames.received();
    let RawEpisode {
        actions, rewards, ..
    } = raw;
    if received == 0 || actions.len() + 1 != received {
        return Err(format!(
            "{} actions for {received} frames, expected one action fewer than frames",
            actions.len()
        ));
    }
    if !rewards.is_empty() && rewards.len() != actions.len() {
        return Err(format!(
            "{} rewards for {} actions, expected equal numbers",
            rewards.len(),
            actions.len()
        ));
    }
    let mut indices = Vec::with_capacity(actions.len());
    let mut axes = Vec::with_capacity(actions.len());
    for (t, action) in actions.iter().enumerate() {
        let read = map.index(action).and_then(|index| {
            indices.push(index);
            axes.push(map.axes_of(action)?);
            Ok(())
        });
        read.map_err(|what| format!("after frame {t}: {what}"))?;
    }
    // The actions after the last frame kept are dropped along with their frames.
    let steps = (received - 1) / every;
    let actions = indices.chunks_exact(every).take(steps).map(merge_actions);
    let rewards = if rewards.is_empty() {
        vec![0.0; steps]
    } else {
        let sums = rewards.chunks_exact(every).map(|group| group.iter().sum());
        sums.take(steps).collect()
    };
    let mut extras = BTreeMap::new();
    if raw.terminal && (received - 1).is_multiple_of(every) {
        let mut values = vec![0.0; steps + 1];
        values[steps] = 1.0;
        let shape = vec![steps + 1];
        extras.insert(IS_TERMINAL.to_owned(), ExtraArray { shape, values });
    }
    let width_of_axes = map.source_axes().map_or(0, SourceAxes::count);
    if width_of_axes > 0 {
        let groups = axes.chunks_exact(every).take(steps);
        let at_rest = vec![0.0; width_of_axes];
        let rows = std::iter::once(at_rest).chain(groups.map(mean_rows));
        let values = rows.flatten().collect();
        let shape = vec![steps + 1, width_of_axes];
        extras.insert(AXES.to_owned(), ExtraArray { shape, values });
    }
    Ok(Episode {
        height,
        width,
        images: frames.into_images(),
        actions: std::iter::once(0).chain(actions).collect(),
        rewards: std::iter::once(0.0).chain(rewards).collect(),
        extras,
    })
}

/// Turns one value per frame into one per transition from a frame to the next.
fn per_transition<T>(mut values: Vec<T>, pairing: ActionPairing) -> Vec<T> {
    match pairing {
        ActionPairing::LedTo if !values.is_empty() => drop(values.remove(0)),
        ActionPairing::LedTo => {}
        ActionPairing::TakenAt => drop(values.pop()),
    }
    values
}

/// The file names of paths, without folders.
fn file_names(files: &[PathBuf]) -> Vec<String> {
    let name = |path: &PathBuf| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into()
    };
    files.iter().map(name).collect()
}

/// The files of a folder with this extension (in any case), sorted by name. Hidden ones are passed over.
fn files_with_extension(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        let extension_fits = path
            .extension()
            .is_some_and(|found| found.eq_ignore_ascii_case(extension));
        if extension_fits && !is_hidden(&path) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Pushes an encoded image to `frames`; one that is dropped is not decoded.
fn push_encoded(bytes: &[u8], path: &Path, frames: &mut FrameResampler) -> Result<()> {
    if !frames.keeps_next() {
        frames.skip_next();
        return Ok(());
    }
    let image = decode_image(bytes)
        .map_err(|e| Error::invalid(path, format!("not a readable image: {e}")))?;
    let size = [image.height() as usize, image.width() as usize];
    if size.contains(&0) {
        return Err(Error::invalid(path, "holds no pixels"));
    }
    frames.push(size, image.as_raw());
    Ok(())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
