//! Other people's recordings as a dataset of ours.
//!
//! - [`images`], [`clips`], [`vpt`], [`minari`], [`lerobot`]: one file a format; each is a [`Source`].
//! - [`actions`]: what was recorded, as one of our actions.
//! - [`film`]: frames shrunk by area averages and thinned.
//! - [`video`]: frames out of a video, through ffmpeg.
//! - [`report`]: what an import wrote, also as `manifest.json`.

mod actions;
mod clips;
pub(super) mod film;
mod images;
mod lerobot;
mod minari;
mod report;
pub(super) mod video;
mod vpt;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::actions::{ActionMap, Taken, merged};
use self::film::Film;
pub use self::report::{Count, Report, Written};
use super::staging::Staging;
use super::{DatasetInfo, Episode, Extra};
use crate::PathError as _;
use crate::fs::write_json;
use crate::{Error, Result, interrupt};

/// How far from a whole number of frames the wished pace may be: a hundredth.
const PACE_TOLERANCE: f32 = 0.01;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Pictures and a CSV file: columns file, action, and optionally episode.
    Images,
    /// A video, or those of a folder, of which nobody knows the actions.
    Video,
    /// Videos (.mp4) and key presses (.jsonl) of the same name, as OpenAI's VPT contractors recorded.
    Vpt,
    /// A Minari dataset in HDF5.
    Minari,
    /// A LeRobot dataset, version 2.
    Lerobot,
}

/// Which frame a recorded action belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Pairing {
    /// The action in a frame's row led to this frame.
    LedTo,
    /// The action in a frame's row was taken at this frame, and led to the next.
    TakenAt,
}

/// What to import, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The source's format.
    pub format: Format,
    /// The source's folder or file.
    pub source: PathBuf,
    /// The dataset's folder, new or empty.
    pub out: PathBuf,
    /// The world's name; the source's file name where none is given.
    pub name: Option<String>,
    /// Height and width of the frames to write.
    pub size: [usize; 2],
    /// Frames a second to write.
    pub fps: Option<f32>,
    /// Keep one frame of so many.
    pub every: Option<usize>,
    /// Frames a second of the source, where it does not say.
    pub source_fps: Option<f32>,
    /// A map from recorded actions to ours.
    pub actions: Option<PathBuf>,
    /// The observation that is the picture, where there are several.
    pub image_key: Option<String>,
    /// Which frame a recorded action belongs to, where it is not what the format says.
    pub pairing: Option<Pairing>,
    /// Go on without episodes that cannot be read.
    pub skip_bad: bool,
}

/// How far an import is.
pub enum Event<'a> {
    /// So many of so many episodes have been looked at.
    Done(usize, usize),
    /// An episode is left out.
    Skipped(&'a Error),
}

/// An episode as the source has it, but for frames, which went into the [`Film`].
struct Recording {
    /// `steps[t]` was taken at the source's frame t and led to frame t + 1: one fewer than frames.
    steps: Vec<Taken>,
    /// The reward of each step; none where the source has none.
    rewards: Vec<f32>,
    /// Whether the episode ended by itself.
    terminal: bool,
}

/// Recordings of one format.
trait Source {
    /// Frames a second, if the source says.
    fn fps(&self) -> Option<f32>;
    /// What its episodes are called.
    fn episodes(&self) -> Vec<String>;
    /// Which frame its actions belong to, if nothing else is asked for.
    fn pairing(&self) -> Pairing;
    /// The map of its actions without a file.
    fn default_actions(&self) -> Result<ActionMap> {
        Ok(ActionMap::plain())
    }
    /// Reads an episode, its frames into `film`.
    fn read(&mut self, episode: usize, pairing: Pairing, film: &mut Film) -> Result<Recording>;
}

/// Reads every episode of a source and writes them as a dataset. `notify` hears how far it is.
///
/// # Errors
/// The source is not of its format; an episode cannot be read (without `skip_bad`) or none can; an
/// action has no place in the map; the pace cannot be reached by dropping frames; the folder to
/// write holds something; the user asked to stop ([`interrupt::request`]). Nothing is written then.
pub fn run(options: &Options, notify: &mut dyn FnMut(Event<'_>)) -> Result<Report> {
    let mut source = open(options)?;
    let fps = options.source_fps.or(source.fps()).ok_or_else(|| {
        let what = "the source does not say how many frames a second it has; give --source-fps";
        Error::invalid(&options.source, what)
    })?;
    let every = every(fps, options)?;
    let mut map = match &options.actions {
        Some(path) => ActionMap::read(path)?,
        None => source.default_actions()?,
    };
    let folder = Staging::new(&options.out)?;
    let mut report = Report::new(options, source.pairing(), fps, every)?;
    let labels = source.episodes();
    for (index, label) in labels.iter().enumerate() {
        if interrupt::requested() {
            return Err(Error::Interrupted);
        }
        let mut film = Film::new(options.size, every);
        // What an episode that is left out has named stays unnamed.
        let mut trial = map.clone();
        let read = source
            .read(index, report.pairing, &mut film)
            .and_then(|recording| {
                episode(film, &recording, every, &mut trial)
                    .map_err(|what| Error::invalid(options.source.join(label), what))
            });
        match read {
            Ok(episode) => {
                map = trial;
                let file = report.add(label, &episode);
                episode.write(&folder.path().join(file))?;
            }
            Err(error) if options.skip_bad => {
                notify(Event::Skipped(&error));
                report.skipped.push(error.to_string());
            }
            Err(error) => return Err(error),
        }
        notify(Event::Done(index + 1, labels.len()));
    }
    if report.episodes.is_empty() {
        let what = format!("none of {} episodes can be read", labels.len());
        return Err(Error::invalid(&options.source, what));
    }
    let info = DatasetInfo {
        name: options.name.clone().unwrap_or(report.source.clone()),
        fps: report.fps,
        image: options.size,
        actions: map.actions(),
    };
    report.name_actions(&info.actions);
    write_json(&folder.path().join("dataset.json"), &info)?;
    write_json(&folder.path().join("manifest.json"), &report)?;
    folder.finish()?;
    Ok(report)
}

fn open(options: &Options) -> Result<Box<dyn Source>> {
    let path = options.source.as_path();
    let key = options.image_key.as_deref();
    Ok(match options.format {
        Format::Images => Box::new(images::Pictures::open(path)?),
        Format::Video => Box::new(clips::Clips::open(path)?),
        Format::Vpt => Box::new(vpt::Contractors::open(path)?),
        Format::Minari => Box::new(minari::Minari::open(path, key)?),
        Format::Lerobot => Box::new(lerobot::Lerobot::open(path, key)?),
    })
}

/// One frame of how many is kept.
fn every(fps: f32, options: &Options) -> Result<usize> {
    let Some(wanted) = options.fps else {
        return Ok(options.every.unwrap_or(1));
    };
    let every = (fps / wanted).round().max(1.0);
    if (fps / wanted - every).abs() > PACE_TOLERANCE * every {
        return Err(Error::Argument(format!(
            "--fps {wanted}: {fps} frames a second become {:.3} or {:.3} by dropping whole frames",
            fps / every,
            fps / (every + if fps / wanted > every { 1.0 } else { -1.0 }).max(1.0),
        )));
    }
    Ok(every as usize)
}

/// A recording with its frames as one of our episodes.
fn episode(
    film: Film,
    recording: &Recording,
    every: usize,
    map: &mut ActionMap,
) -> std::result::Result<Episode, String> {
    let [height, width] = film.size();
    let seen = film.seen();
    let Recording { steps, rewards, .. } = recording;
    if seen == 0 || steps.len() + 1 != seen {
        return Err(format!(
            "{} actions between {seen} frames, expected one fewer than frames",
            steps.len()
        ));
    }
    if !rewards.is_empty() && rewards.len() != steps.len() {
        return Err(format!(
            "{} rewards for {} actions, expected as many",
            rewards.len(),
            steps.len()
        ));
    }
    let mut indices = Vec::with_capacity(steps.len());
    for (t, taken) in steps.iter().enumerate() {
        let index = map.index(taken);
        indices.push(index.map_err(|what| format!("after frame {t}: {what}"))?);
    }
    // Steps that lead beyond the last frame kept are dropped with their frames.
    let kept = (seen - 1) / every;
    let actions = indices.chunks_exact(every).take(kept).map(merged);
    let rewards = match rewards.is_empty() {
        true => vec![0.0; kept],
        false => {
            let sums = rewards.chunks_exact(every).map(|some| some.iter().sum());
            sums.take(kept).collect()
        }
    };
    let mut extras = BTreeMap::new();
    if recording.terminal && (seen - 1).is_multiple_of(every) {
        let mut values = vec![0.0; kept + 1];
        values[kept] = 1.0;
        let shape = vec![kept + 1];
        extras.insert("is_terminal".to_string(), Extra { shape, values });
    }
    Ok(Episode {
        height,
        width,
        images: film.into_images(),
        actions: std::iter::once(0).chain(actions).collect(),
        rewards: std::iter::once(0.0).chain(rewards).collect(),
        extras,
    })
}

/// What led from each frame to the next, of one value a frame.
fn between<T>(mut values: Vec<T>, pairing: Pairing) -> Vec<T> {
    match pairing {
        Pairing::LedTo if !values.is_empty() => drop(values.remove(0)),
        Pairing::LedTo => {}
        Pairing::TakenAt => drop(values.pop()),
    }
    values
}

/// The names of files without their folders.
fn names(files: &[PathBuf]) -> Vec<String> {
    let name = |path: &PathBuf| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into()
    };
    files.iter().map(name).collect()
}

/// The files of a folder with this extension, sorted by name.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        if path
            .extension()
            .is_some_and(|found| found.eq_ignore_ascii_case(extension))
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Shows an encoded picture to `film`, without decoding one that is dropped.
fn picture(bytes: &[u8], path: &Path, film: &mut Film) -> Result<()> {
    if !film.wants_next() {
        film.skip();
        return Ok(());
    }
    let image = image::load_from_memory(bytes)
        .map_err(|e| Error::invalid(path, format!("not a picture that can be read: {e}")))?
        .into_rgb8();
    let size = [image.height() as usize, image.width() as usize];
    if size.contains(&0) {
        return Err(Error::invalid(path, "holds no pixels"));
    }
    film.push(size, image.as_raw());
    Ok(())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
