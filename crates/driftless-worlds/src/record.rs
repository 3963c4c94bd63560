//! Records a dataset of episodes that a policy plays.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use driftless_data::fs::write_json;
use driftless_data::layout::array::{AXES, IS_TERMINAL};
use driftless_data::layout::dataset;
use driftless_data::staging::StagingFolder;
use driftless_data::{Action, Episode, ExtraArray};

use crate::{Error, Policy, PolicyAgent, Result, Simulator, SimulatorKind};

/// The version of `manifest.json`.
pub const MANIFEST_VERSION: u32 = 1;

/// Most frames of a recording: two years of play.
const MAX_FRAMES: usize = 1_000_000_000;
/// Most episodes that are planned at a time.
const EPISODES_AT_A_TIME: usize = 10_000;
/// Fewest frames of an episode: a starting frame and one that an action led to.
const MIN_EPISODE_FRAMES: usize = 2;
/// Most frames of an episode. It is in memory as a whole, 12 KB a frame.
const MAX_EPISODE_FRAMES: usize = 100_000;

/// What to record.
#[derive(Clone, Copy, Debug)]
pub struct RecordingPlan {
    /// The simulator.
    pub world: SimulatorKind,
    /// The policy that plays.
    pub policy: Policy,
    /// Episode i depends only on this seed and on i.
    pub seed: u64,
    /// The seed of one maze or track for all episodes. Without it, each episode has its own.
    pub world_seed: Option<u64>,
    /// Number of frames in total. The last episode is cut short, but not below 2 frames.
    pub frames: usize,
    /// Most frames of an episode, including the starting frame.
    pub episode_frames: usize,
}

/// An episode's entry in `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ManifestEpisode {
    /// File name.
    pub file: String,
    /// Number of frames.
    pub frames: usize,
    /// `scripted`, `random` or, for a recorded session, `person`.
    pub policy: &'static str,
    /// The world's seed: `driftless play --world W --seed S` plays in the same maze or on the same
    /// track.
    pub seed: u64,
    /// Sum of the rewards.
    pub reward: f64,
    /// Whether the simulator ended the episode.
    pub ended: bool,
}

/// `manifest.json`: what was recorded, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordingManifest {
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// The program's version.
    pub driftless: &'static str,
    /// The world's name on the command line.
    pub world: &'static str,
    /// The policy's name on the command line.
    pub policy: &'static str,
    /// The seed of the recording.
    pub seed: u64,
    /// Most frames of an episode.
    pub episode_frames: usize,
    /// Frames in total.
    pub frames: usize,
    /// Share of the frames under each action.
    pub action_share: Vec<f64>,
    /// All episodes.
    pub episodes: Vec<ManifestEpisode>,
}

/// Records into `out`, a new or empty folder. If recording fails, the folder is not created. What a killed
/// program has recorded for the same folder and plan is used; the dataset is the same.
/// Calls `tick` with the number of frames of each finished episode, from several threads; it cancels
/// the recording by returning `false`.
///
/// # Errors
/// Returns an error if the plan has fewer than 2 frames or episodes of fewer, if `out` is not empty, if it
/// cannot be written, or if `tick` cancels ([`driftless_data::Error::Interrupted`]).
pub fn record(
    plan: &RecordingPlan,
    out: &Path,
    tick: &(dyn Fn(usize) -> bool + Sync),
) -> Result<RecordingManifest> {
    for (name, value, least, most) in [
        ("frames", plan.frames, MIN_EPISODE_FRAMES, MAX_FRAMES),
        (
            "episode-frames",
            plan.episode_frames,
            MIN_EPISODE_FRAMES,
            MAX_EPISODE_FRAMES,
        ),
    ] {
        if !(least..=most).contains(&value) {
            let what = format!("{name} is {value}, expected {least} to {most}");
            return Err(Error::Argument(what));
        }
    }
    let staging = StagingFolder::resume(out, &note(plan))?;
    let manifest = write_all(plan, staging.path(), tick)?;
    staging.finish()?;
    Ok(manifest)
}

/// What the episodes of a plan depend on, and the program that plays them.
fn note(plan: &RecordingPlan) -> String {
    let RecordingPlan {
        world,
        policy,
        seed,
        world_seed,
        frames,
        episode_frames,
    } = plan;
    format!(
        "record of driftless {}: {} {} {seed} {world_seed:?} {frames} {episode_frames}\n",
        env!("CARGO_PKG_VERSION"),
        world.name(),
        policy.name()
    )
}

fn write_all(
    plan: &RecordingPlan,
    folder: &Path,
    tick: &(dyn Fn(usize) -> bool + Sync),
) -> Result<RecordingManifest> {
    let info = plan.world.open(0).info();
    let mut lines: Vec<ManifestEpisode> = Vec::new();
    let mut counts = vec![0_usize; info.actions.len()];
    let cancelled = AtomicBool::new(false);
    let total = |lines: &[ManifestEpisode]| lines.iter().map(|line| line.frames).sum::<usize>();
    while total(&lines) < plan.frames {
        // Enough if none ends early; otherwise the loop records more.
        let missing = (plan.frames - total(&lines)).div_ceil(plan.episode_frames);
        let missing = missing.min(EPISODES_AT_A_TIME);
        let first = lines.len();
        let more: Vec<Result<(ManifestEpisode, Vec<u32>)>> = (first..first + missing)
            .into_par_iter()
            .map(|index| {
                if cancelled.load(Ordering::Relaxed) {
                    return Err(driftless_data::Error::Interrupted.into());
                }
                let (episode, line) = recorded_or_played(plan, index, folder)?;
                if !tick(line.frames) {
                    cancelled.store(true, Ordering::Relaxed);
                    return Err(driftless_data::Error::Interrupted.into());
                }
                Ok((line, episode.actions))
            })
            .collect();
        for recorded in more {
            let (line, actions) = recorded?;
            for action in actions {
                counts[action as usize] += 1;
            }
            lines.push(line);
        }
    }
    let excess = total(&lines) - plan.frames;
    let last_index = lines.len().saturating_sub(1);
    if let Some(last) = lines.last_mut().filter(|_| excess > 0) {
        let kept = last.frames.saturating_sub(excess).max(MIN_EPISODE_FRAMES);
        let (mut episode, _) = recorded_or_played(plan, last_index, folder)?;
        for &action in &episode.actions[kept..] {
            counts[action as usize] -= 1;
        }
        cut(&mut episode, kept);
        let line = entry(plan, last_index, &episode);
        episode.write(&folder.join(&line.file))?;
        *last = line;
    }
    let frames = total(&lines);
    let manifest = RecordingManifest {
        version: MANIFEST_VERSION,
        driftless: env!("CARGO_PKG_VERSION"),
        world: plan.world.name(),
        policy: plan.policy.name(),
        seed: plan.seed,
        episode_frames: plan.episode_frames,
        frames,
        action_share: counts.iter().map(|&n| n as f64 / frames as f64).collect(),
        episodes: lines,
    };
    write_json(&folder.join(dataset::MANIFEST), &manifest)?;
    write_json(&folder.join(dataset::INFO), &info)?;
    Ok(manifest)
}

/// Episode `index` as it lies in `folder`, or else played and written there.
fn recorded_or_played(
    plan: &RecordingPlan,
    index: usize,
    folder: &Path,
) -> Result<(Episode, ManifestEpisode)> {
    let path = folder.join(dataset::episode(index));
    let episode = match Episode::read(&path) {
        // Written by a program that was killed later.
        Ok(episode) => episode,
        Err(_) => {
            let (policy, seed, agent_seed) = draw(plan, index);
            let episode = play(plan, policy, seed, agent_seed)?;
            episode.write(&path)?;
            episode
        }
    };
    let line = entry(plan, index, &episode);
    Ok((episode, line))
}

/// The manifest's entry of episode `index`.
fn entry(plan: &RecordingPlan, index: usize, episode: &Episode) -> ManifestEpisode {
    let (policy, seed, _) = draw(plan, index);
    let last = episode.is_terminal().and_then(<[f32]>::last);
    ManifestEpisode {
        file: dataset::episode(index),
        frames: episode.frames(),
        policy: policy.name(),
        seed,
        reward: episode.rewards.iter().map(|&r| f64::from(r)).sum(),
        ended: last.is_some_and(|&ended| ended != 0.0),
    }
}

/// Leaves the first frames of an episode.
fn cut(episode: &mut Episode, frames: usize) {
    let image_len = episode.height * episode.width * 3;
    episode.images.truncate(frames * image_len);
    episode.actions.truncate(frames);
    episode.rewards.truncate(frames);
    for column in episode.extras.values_mut() {
        let row: usize = column.shape[1..].iter().product();
        column.shape[0] = frames;
        column.values.truncate(frames * row);
    }
}

/// The policy of episode `index`, the seed of its world and that of its agent.
fn draw(plan: &RecordingPlan, index: usize) -> (Policy, u64, u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
    rng.set_stream(index as u64);
    let policy = plan.policy.of_episode(&mut rng);
    // Drawn in any case, so that the agent's seed does not depend on `world_seed`.
    let episode_seed = u64::from(rng.random::<u32>());
    let seed = plan.world_seed.unwrap_or(episode_seed);
    (policy, seed, rng.random())
}

/// Plays an episode.
fn play(plan: &RecordingPlan, policy: Policy, seed: u64, agent_seed: u64) -> Result<Episode> {
    let mut simulator = plan.world.open(seed);
    let mut agent = PolicyAgent::new(policy, simulator.as_ref(), agent_seed);
    let [height, width] = simulator.info().image;
    let mut episode = Episode {
        height,
        width,
        images: Vec::with_capacity(plan.episode_frames * height * width * 3),
        actions: Vec::new(),
        rewards: Vec::new(),
        extras: BTreeMap::new(),
    };
    append(&mut episode, simulator.as_ref(), Action::IDLE);
    while episode.frames() < plan.episode_frames && !simulator.ended() {
        let action = agent.act(simulator.as_ref());
        simulator.step(action)?;
        append(&mut episode, simulator.as_ref(), action);
    }
    Ok(episode)
}

/// Adds the simulator's current frame to an episode, with reward and true state.
fn append(episode: &mut Episode, simulator: &dyn Simulator, action: Action) {
    episode.images.extend_from_slice(simulator.image());
    episode.actions.push(action.index);
    episode.rewards.push(simulator.reward());
    let ended = (IS_TERMINAL, vec![f32::from(simulator.ended())]);
    let axes = simulator.info().axes.len();
    let axes = (AXES, action.axes[..axes].to_vec());
    let axes = Some(axes).filter(|(_, values)| !values.is_empty());
    for (name, values) in simulator.state().into_iter().chain([ended]).chain(axes) {
        let mut shape = vec![0];
        if values.len() > 1 {
            shape.push(values.len());
        }
        let column = episode.extras.entry(name.to_owned());
        let column = column.or_insert_with(|| ExtraArray {
            shape,
            values: Vec::new(),
        });
        column.shape[0] += 1;
        column.values.extend(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_data::Dataset;

    #[test]
    #[cfg(unix)]
    fn what_a_killed_program_recorded_is_used() {
        let root = tempfile::tempdir().unwrap();
        let plan = RecordingPlan {
            world: SimulatorKind::Maze,
            policy: Policy::Mixed,
            seed: 3,
            world_seed: None,
            frames: 40,
            episode_frames: 20,
        };
        let whole = record(&plan, &root.path().join("whole"), &|_| true).unwrap();
        let out = root.path().join("out");
        let left = root.path().join(".out.Ab3456.driftless-partial");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join(".resume.json"), note(&plan)).unwrap();
        // Another reward tells it from an episode that is played again.
        let mut episode = Episode::read(&root.path().join("whole/episode_00000.npz")).unwrap();
        episode.rewards[1] = 9.0;
        episode.write(&left.join("episode_00000.npz")).unwrap();
        // Not whole: it is played again.
        std::fs::write(left.join("episode_00001.npz"), "half").unwrap();

        let manifest = record(&plan, &out, &|_| true).unwrap();
        assert_eq!(manifest.episodes[1], whole.episodes[1]);
        assert_eq!(manifest.episodes[0].frames, whole.episodes[0].frames);
        let read = Dataset::read(&out).unwrap();
        assert_eq!(read.episodes[0], episode);
        assert!(!left.exists() && !out.join(".resume.json").exists());
    }
}
