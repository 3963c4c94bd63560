//! Describes recorded clips from the simulator's truth, in English and Russian.
//!
//! A clip's [`Fact`]s come from the recorded poses and the maze or track of the episode's seed; what is not
//! clear is not said. [`grammar`] puts facts into words. [`describe`] captions a dataset.
//!
//! - [`motion`]: the phases of a motion.
//! - [`maze`], [`drive`]: what a clip of each simulator shows; `cells`: what a picture of cells does.

mod cells;
mod clauses;
pub mod drive;
mod english;
mod fact;
pub mod grammar;
pub mod maze;
pub mod motion;
mod russian;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use driftless_data::captions::ClipCaption;
use driftless_data::cells::{CellInfo, is_dataset};
use driftless_data::fs::read_text;
use driftless_data::layout::dataset;
use driftless_data::{Episode, PathError as _, parallel};

use self::drive::Moment;
use self::maze::View;
use crate::drive::Drive;
use crate::maze::Maze;
use crate::{Error, Result, SimulatorKind};

pub use self::fact::{
    Bend, DoseLevel, Fact, FactKind, Ground, MotionKind, OBJECT_NAMES, Pace, Place, Side,
    WALL_NAMES,
};
pub use self::grammar::Language;

/// Most frames of a clip.
pub const MAX_FRAMES: usize = 256;
/// Most texts of a clip in each language.
pub const MAX_VARIANTS: usize = 16;
/// Most facts besides the motion's that a caption says.
const MAX_SIGHTS: usize = 4;
/// Phases of a motion that leave room for all of them; each further one takes that of a fact.
const FEW_PHASES: usize = 2;
/// Most lengths of clips.
const MAX_LENGTHS: usize = 8;

/// What to say of which clips.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptionPlan {
    /// Lengths of clips in frames; those of each length are captioned by themselves.
    pub lengths: Vec<usize>,
    /// Frames from the start of one clip to that of the next.
    pub stride: usize,
    /// Texts of a clip in each language.
    pub variants: usize,
    /// What is said of a clip, and how, depends on this, the episode's number and the clip's start.
    pub seed: u64,
    /// The languages.
    pub languages: Vec<Language>,
}

impl Default for CaptionPlan {
    fn default() -> Self {
        Self {
            lengths: vec![16],
            stride: 4,
            variants: 2,
            seed: 0,
            languages: Language::ALL.to_vec(),
        }
    }
}

impl CaptionPlan {
    fn check(&self) -> Result<()> {
        let within = |name: &str, value: usize, most: usize| match value {
            v if (1..=most).contains(&v) => Ok(()),
            v => Err(Error::Argument(format!(
                "{name} is {v}, expected 1 to {most}"
            ))),
        };
        within("the number of lengths", self.lengths.len(), MAX_LENGTHS)?;
        for &frames in &self.lengths {
            within("frames", frames, MAX_FRAMES)?;
        }
        within("stride", self.stride, usize::MAX)?;
        within("variants", self.variants, MAX_VARIANTS)?;
        within(
            "the number of languages",
            self.languages.len(),
            Language::ALL.len(),
        )
    }
}

/// The captions of a dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// The captions, in the order of the episodes, of the plan's lengths and of their frames.
    pub captions: Vec<ClipCaption>,
    /// Clips that were looked at; nothing clear could be said of the others.
    pub clips: usize,
}

/// What of the episodes in `manifest.json` is needed.
#[derive(Deserialize)]
struct ManifestEpisode {
    file: String,
    #[serde(default)]
    frames: usize,
    seed: u64,
}

/// The lengths of the clips of a dataset that are captioned if nobody says otherwise: those of the default
/// plan, or 1 for pictures of cells, which are stills.
pub fn usual_lengths(folder: &Path) -> Vec<usize> {
    if is_dataset(folder) {
        vec![1]
    } else {
        CaptionPlan::default().lengths
    }
}

/// The number of frames, or of pictures, of a dataset that was recorded from a simulator.
///
/// # Errors
/// As [`describe`] about the manifest.
pub fn frames(folder: &Path) -> Result<usize> {
    if is_dataset(folder) {
        let shards = CellInfo::read(folder)?.shards;
        return Ok(shards.iter().map(|shard| shard.pictures).sum());
    }
    let (_, episodes) = manifest(folder)?;
    Ok(episodes.iter().map(|episode| episode.frames).sum())
}

/// The simulator that a dataset was recorded from, and its episodes.
///
/// # Errors
/// Returns an error that says what else to do if the dataset was not recorded from a simulator.
fn manifest(folder: &Path) -> Result<(SimulatorKind, Vec<ManifestEpisode>)> {
    let path = folder.join(dataset::MANIFEST);
    let own = format!(
        "captions can be told from a simulator's recordings only; write your own, in {} or as NAME.txt beside \
         NAME.npz (docs/data.md)",
        dataset::CAPTIONS
    );
    if folder.is_dir() && !path.exists() {
        let what = format!("has no {}: {own}", dataset::MANIFEST);
        return Err(Error::invalid(folder, what));
    }
    let wrong = |e: serde_json::Error| Error::invalid(&path, e.to_string());
    let manifest: serde_json::Value = serde_json::from_str(&read_text(&path)?).map_err(wrong)?;
    let kind = manifest["world"]
        .as_str()
        .and_then(SimulatorKind::from_name);
    let Some(kind) = kind else {
        let what = format!("`world` names no simulator: {own}");
        return Err(Error::invalid(&path, what));
    };
    let episodes = manifest["episodes"].clone();
    let episodes: Vec<ManifestEpisode> = serde_json::from_value(episodes).map_err(wrong)?;
    Ok((kind, episodes))
}

/// Captions the clips of a dataset that was recorded from a simulator, or the pictures of one of cells. Calls
/// `tick` with the number of frames of each finished episode, or of the pictures of a shard, from several threads;
/// it cancels by returning `false`.
///
/// # Errors
/// Returns an error if the plan is out of range; if the dataset has no manifest of a simulator's recording, an
/// episode is missing, has no poses or is not of its seed's world; or if `tick` cancels
/// ([`driftless_data::Error::Interrupted`]).
pub fn describe(
    folder: &Path,
    plan: &CaptionPlan,
    tick: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Described> {
    plan.check()?;
    if is_dataset(folder) {
        return cells::describe(folder, plan, tick);
    }
    let (kind, episodes) = manifest(folder)?;
    let cancelled = AtomicBool::new(false);
    let interrupted = || Error::from(driftless_data::Error::Interrupted);
    let described = |index: usize, recorded: &ManifestEpisode| {
        if cancelled.load(Ordering::Relaxed) {
            return Err(interrupted());
        }
        let path = folder.join(&recorded.file);
        let episode = Episode::read(&path)?;
        let truth = Truth::of(kind, &episode, &path, recorded.seed)?;
        if !tick(episode.frames()) {
            cancelled.store(true, Ordering::Relaxed);
            return Err(interrupted());
        }
        Ok(captions(
            &truth,
            episode.frames(),
            &recorded.file,
            index,
            plan,
        ))
    };
    let described = parallel::try_map(&episodes, described)?;
    let clips = described.iter().map(|one| one.clips).sum();
    let captions = described.into_iter().flat_map(|one| one.captions);
    Ok(Described {
        captions: captions.collect(),
        clips,
    })
}

/// What every frame of an episode shows.
enum Truth {
    Maze {
        poses: Vec<driftless_data::Pose>,
        views: Vec<View>,
    },
    Drive(Vec<Moment>),
}

impl Truth {
    fn of(kind: SimulatorKind, episode: &Episode, path: &Path, seed: u64) -> Result<Self> {
        let poses = episode.poses(path)?;
        if kind.open(seed).image() != episode.frame(0) {
            let what = format!(
                "its first frame is not that of the {} of seed {seed}, which {} names",
                kind.name(),
                dataset::MANIFEST
            );
            return Err(Error::invalid(path, what));
        }
        Ok(match kind {
            SimulatorKind::Maze => {
                let maze = Maze::new(seed);
                let views = poses.iter().map(|&pose| View::of(&maze, pose)).collect();
                Self::Maze { poses, views }
            }
            SimulatorKind::Drive | SimulatorKind::Steer => {
                let drive = Drive::new(seed);
                let speeds = episode.extras.get("speed").map(|extra| &extra.values);
                let speeds = speeds
                    .filter(|values| values.len() == poses.len())
                    .ok_or_else(|| Error::invalid(path, "the array `speed` [T] is missing"))?;
                let moments = poses.iter().zip(speeds);
                let moment = |(pose, speed): (&driftless_data::Pose, &f32)| {
                    Moment::of(&drive, [pose.x, pose.y], pose.angle, *speed)
                };
                Self::Drive(moments.map(moment).collect())
            }
        })
    }

    /// All that is clear about a clip: what belongs together, and each other fact.
    fn facts(&self, clip: Range<usize>) -> (Vec<Fact>, Vec<Fact>) {
        match self {
            Self::Maze { poses, views } => (
                maze::motion_facts(&poses[clip.clone()]),
                maze::sight_facts(&views[clip]),
            ),
            Self::Drive(moments) => {
                let facts = drive::facts(&moments[clip]).into_iter();
                facts.partition(|fact| fact.kind() == FactKind::Road)
            }
        }
    }
}

/// The captions of an episode.
fn captions(
    truth: &Truth,
    frames: usize,
    file: &str,
    index: usize,
    plan: &CaptionPlan,
) -> Described {
    let clips = plan.lengths.iter().flat_map(|&length| {
        let last = frames.checked_sub(length).into_iter();
        let starts = last.flat_map(|last| (0..=last).step_by(plan.stride));
        starts.map(move |start| start..start + length)
    });
    let mut described = Described {
        captions: Vec::new(),
        clips: 0,
    };
    for clip in clips {
        described.clips += 1;
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
        rng.set_stream((index as u64) << 32 | clip.start as u64);
        let (motion, sights) = truth.facts(clip.clone());
        let facts = chosen(motion, sights, &mut rng);
        let caption = caption(&facts, file, clip, plan, &mut rng);
        described.captions.extend(caption);
    }
    described
}

/// The caption that says these facts of a clip, if there are words for them.
fn caption(
    facts: &[Fact],
    file: &str,
    clip: Range<usize>,
    plan: &CaptionPlan,
    rng: &mut ChaCha8Rng,
) -> Option<ClipCaption> {
    let texts = plan.languages.iter().map(|&language| {
        let texts = grammar::texts(language, facts, plan.variants, rng);
        (language.code().to_owned(), texts)
    });
    let texts: BTreeMap<String, Vec<String>> = texts.collect();
    let is_complete = texts.values().all(|texts| !texts.is_empty());
    is_complete.then(|| ClipCaption {
        file: file.to_owned(),
        start: clip.start,
        frames: clip.len(),
        texts,
        facts: facts.iter().map(Fact::to_string).collect(),
    })
}

/// Which facts a caption says: mostly all, sometimes the motion or the sights alone, sometimes a few sights.
/// The motion is said wholly or not at all.
fn chosen(motion: Vec<Fact>, mut sights: Vec<Fact>, rng: &mut ChaCha8Rng) -> Vec<Fact> {
    sights.shuffle(rng);
    let most = MAX_SIGHTS.saturating_sub(motion.len().saturating_sub(FEW_PHASES));
    sights.truncate(most);
    let (keeps_motion, keeps) = match rng.random_range(0..20) {
        0..9 => (true, most),
        9..14 => (true, rng.random_range(1..=2)),
        14..17 => (true, 0),
        _ => (false, most),
    };
    let mut facts = Vec::new();
    if keeps_motion || sights.is_empty() {
        facts.extend(motion);
    }
    let keeps = if facts.is_empty() { most } else { keeps };
    facts.extend(sights.into_iter().take(keeps));
    facts.sort();
    facts
}
