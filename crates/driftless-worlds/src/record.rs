//! A dataset of episodes that a policy played.

use std::collections::BTreeMap;
use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::{Hand, Kind, Policy, World};
use crate::{Error, Result};
use driftless_data::fs::write_json;
use driftless_data::interrupt;
use driftless_data::staging::Staging;
use driftless_data::{Episode, Extra};

/// The version of `manifest.json`.
pub const MANIFEST_VERSION: u32 = 1;

/// What to record.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The world.
    pub world: Kind,
    /// Who plays.
    pub policy: Policy,
    /// Episode i depends on this and i alone.
    pub seed: u64,
    /// The maze or track of all episodes; without it each has another.
    pub world_seed: Option<u64>,
    /// Frames of all episodes at least; the last episode is not cut.
    pub frames: usize,
    /// Frames of an episode at most, the starting frame included.
    pub episode_frames: usize,
}

/// One episode in `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Its file.
    pub file: String,
    /// Its frames.
    pub frames: usize,
    /// `scripted` or `random`.
    pub policy: &'static str,
    /// The world's seed: `driftless play --world W --seed S` goes there.
    pub seed: u64,
    /// The sum of its rewards.
    pub reward: f64,
    /// Whether it ended by itself.
    pub ended: bool,
}

/// `manifest.json`: what was recorded, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// The program's version.
    pub driftless: &'static str,
    /// The world's name on the command line.
    pub world: &'static str,
    /// The policy's name on the command line.
    pub policy: &'static str,
    /// The seed of all.
    pub seed: u64,
    /// The largest number of frames of an episode.
    pub episode_frames: usize,
    /// Frames of all episodes.
    pub frames: usize,
    /// Share of the frames under each action.
    pub action_share: Vec<f64>,
    /// Every episode.
    pub episodes: Vec<Line>,
}

/// Records into the new or empty folder `out`, which is there in the end, whole, or not at all.
///
/// `tick` is called with an episode's frames when it is done.
///
/// # Errors
/// There is nothing to record, `out` holds something, it cannot be written, or the user asked to
/// stop ([`interrupt::request`]).
pub fn record(plan: &Plan, out: &Path, tick: &(dyn Fn(usize) + Sync)) -> Result<Manifest> {
    if plan.frames == 0 || plan.episode_frames < 2 {
        return Err(Error::Argument(format!(
            "{} frames in episodes of {} cannot be recorded, expected at least 1 and 2",
            plan.frames, plan.episode_frames
        )));
    }
    let staging = Staging::new(out)?;
    let manifest = write_all(plan, staging.path(), tick)?;
    staging.finish()?;
    Ok(manifest)
}

fn write_all(plan: &Plan, folder: &Path, tick: &(dyn Fn(usize) + Sync)) -> Result<Manifest> {
    let info = plan.world.open(0).info();
    let mut lines: Vec<Line> = Vec::new();
    let mut counts = vec![0_usize; info.actions.len()];
    let total = |lines: &[Line]| lines.iter().map(|line| line.frames).sum::<usize>();
    while total(&lines) < plan.frames {
        // As many as are needed if none ends early; then some more.
        let missing = (plan.frames - total(&lines)).div_ceil(plan.episode_frames);
        let first = lines.len();
        let more: Vec<Result<(Line, Vec<u32>)>> = (first..first + missing)
            .into_par_iter()
            .map(|index| {
                if interrupt::requested() {
                    return Err(driftless_data::Error::Interrupted.into());
                }
                let (episode, line) = play(plan, index)?;
                episode.write(&folder.join(&line.file))?;
                tick(line.frames);
                Ok((line, episode.actions))
            })
            .collect();
        for one in more {
            let (line, actions) = one?;
            for action in actions {
                counts[action as usize] += 1;
            }
            lines.push(line);
        }
    }
    let frames = total(&lines);
    let manifest = Manifest {
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
    write_json(&folder.join("manifest.json"), &manifest)?;
    write_json(&folder.join("dataset.json"), &info)?;
    Ok(manifest)
}

/// Plays episode `index`.
fn play(plan: &Plan, index: usize) -> Result<(Episode, Line)> {
    let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
    rng.set_stream(index as u64);
    let policy = plan.policy.of_episode(&mut rng);
    let own = u64::from(rng.random::<u32>());
    let seed = plan.world_seed.unwrap_or(own);
    let mut world = plan.world.open(seed);
    let mut hand = Hand::new(policy, world.as_ref(), rng.random());
    let [height, width] = world.info().image;
    let mut episode = Episode {
        height,
        width,
        images: Vec::with_capacity(plan.episode_frames * height * width * 3),
        actions: Vec::new(),
        rewards: Vec::new(),
        extras: BTreeMap::new(),
    };
    append(&mut episode, world.as_ref(), 0);
    while episode.frames() < plan.episode_frames && !world.ended() {
        let action = hand.act(world.as_ref());
        world.step(action)?;
        append(&mut episode, world.as_ref(), action);
    }
    let line = Line {
        file: format!("episode_{index:05}.npz"),
        frames: episode.frames(),
        policy: policy.name(),
        seed,
        reward: episode.rewards.iter().map(|&r| f64::from(r)).sum(),
        ended: world.ended(),
    };
    Ok((episode, line))
}

/// Adds the world's frame to an episode, with reward and true state.
fn append(episode: &mut Episode, world: &dyn World, action: u32) {
    episode.images.extend_from_slice(world.image());
    episode.actions.push(action);
    episode.rewards.push(world.reward());
    let ended = ("is_terminal", vec![f32::from(world.ended())]);
    for (name, values) in world.state().into_iter().chain([ended]) {
        let mut shape = vec![0];
        if values.len() > 1 {
            shape.push(values.len());
        }
        let column = episode.extras.entry(name.to_owned());
        let column = column.or_insert_with(|| Extra {
            shape,
            values: Vec::new(),
        });
        column.shape[0] += 1;
        column.values.extend(values);
    }
}
