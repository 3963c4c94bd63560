//! What a person played as a dataset: every reset begins another episode.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use crate::{Error, Result};
use driftless_data::fs::write_json;
use driftless_data::staging::Staging;
use driftless_data::{Episode, Extra};
use driftless_sim::{OF_SESSION, Session, recorded_seed};
use driftless_worlds::Kind;
use driftless_worlds::record::{Line, MANIFEST_VERSION, Manifest};

/// Frames of the shortest episode that is kept: an action leads from the first to the second.
const SHORTEST: usize = 2;

/// Writes the new or empty folder `out`, which is there in the end, whole, or not at all.
///
/// # Errors
/// Nothing was played, `out` holds something, or it cannot be written.
pub fn write(session: Session, world: Kind, out: &Path) -> Result<Manifest> {
    let path = session.path().to_path_buf();
    let played = session.into_episode();
    let mut episodes = episodes(&played);
    episodes.retain(|range| range.len() >= SHORTEST);
    if episodes.is_empty() {
        let what = "nothing was played: expected at least one frame after a start";
        return Err(Error::Argument(what.into()));
    }
    let info = world.open(0).info();
    let staging = Staging::new(out)?;
    let (mut lines, mut counts) = (Vec::new(), vec![0_usize; info.actions.len()]);
    for (index, range) in episodes.into_iter().enumerate() {
        let seed = recorded_seed(&path, &played, range.start)?;
        let episode = part(&played, range);
        for action in &episode.actions {
            if let Some(count) = counts.get_mut(*action as usize) {
                *count += 1;
            }
        }
        let line = line(format!("episode_{index:05}.npz"), seed, &episode);
        episode.write(&staging.path().join(&line.file))?;
        lines.push(line);
    }
    let frames: usize = lines.iter().map(|line| line.frames).sum();
    let manifest = Manifest {
        version: MANIFEST_VERSION,
        driftless: env!("CARGO_PKG_VERSION"),
        world: world.name(),
        policy: "person",
        seed: lines.first().map_or(0, |line| line.seed),
        episode_frames: lines.iter().map(|line| line.frames).max().unwrap_or(0),
        frames,
        action_share: counts.iter().map(|&n| n as f64 / frames as f64).collect(),
        episodes: lines,
    };
    write_json(&staging.path().join("manifest.json"), &manifest)?;
    write_json(&staging.path().join("dataset.json"), &info)?;
    staging.finish()?;
    Ok(manifest)
}

fn line(file: String, seed: u64, episode: &Episode) -> Line {
    let ended = episode.extras.get("is_terminal");
    let ended = ended.and_then(|extra| extra.values.last());
    Line {
        file,
        frames: episode.frames(),
        policy: "person",
        seed,
        reward: episode.rewards.iter().map(|&r| f64::from(r)).sum(),
        ended: ended.is_some_and(|&ended| ended != 0.0),
    }
}

/// From each reset to the next.
fn episodes(played: &Episode) -> Vec<Range<usize>> {
    let number = played.extras.get("number");
    let starts = |t: &usize| number.is_some_and(|n| n.values.get(*t) == Some(&0.0));
    let mut at: Vec<usize> = (0..played.frames()).filter(starts).collect();
    at.push(played.frames());
    at.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

fn part(played: &Episode, range: Range<usize>) -> Episode {
    let clip = played.clip(range.clone());
    let extra = |extra: &Extra| {
        let width = extra.values.len() / played.frames().max(1);
        let mut shape = extra.shape.clone();
        if let Some(length) = shape.first_mut() {
            *length = range.len();
        }
        Extra {
            shape,
            values: extra.values[range.start * width..range.end * width].to_vec(),
        }
    };
    let extras: BTreeMap<String, Extra> = played
        .extras
        .iter()
        .filter(|(name, _)| !OF_SESSION.contains(&name.as_str()))
        .map(|(name, values)| (name.clone(), extra(values)))
        .collect();
    Episode {
        height: played.height,
        width: played.width,
        images: clip.images,
        actions: clip.actions,
        rewards: played.rewards[range].to_vec(),
        extras,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::workspace::Game;
    use driftless_data::Dataset;
    use driftless_data::npz::Archive;
    use driftless_engine::{SamplerParams, Seat};
    use driftless_sim::{Command, Frame, Options, Pace, Sim};

    /// Plays frame by frame, as the window does while it records.
    fn played(commands: &[Command]) -> Session {
        let options = Options {
            player: Game::simulator(Kind::Maze).player,
            seat: Seat::Own,
            from: None,
            context: 0,
            actions: Arc::default(),
            params: SamplerParams::default(),
            free_seed: true,
            ends_restart: true,
            pace: Pace::Unlimited,
            paused: true,
            record: Some("unused".into()),
        };
        let sim = Sim::spawn(options, None, || {}).unwrap();
        let wait = Duration::from_secs(60);
        sim.frames().recv_timeout(wait).unwrap();
        for command in commands {
            sim.send(command.clone());
            if matches!(command, Command::Step | Command::Reset) {
                let _: Frame = sim.frames().recv_timeout(wait).unwrap();
            }
        }
        sim.finish().session.unwrap()
    }

    fn held(action: u32) -> Command {
        let since = std::time::Instant::now();
        Command::Held { action, since }
    }

    #[test]
    fn every_reset_begins_an_episode_and_actions_lead_to_their_frames() {
        use Command::{Reset, Step};
        let commands = [Step, held(3), Step, Step, Reset, Reset, held(1), Step];
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("maze");
        let manifest = write(played(&commands), Kind::Maze, &out).unwrap();
        let dataset = Dataset::read(&out).unwrap();
        let actions: Vec<_> = dataset.episodes.iter().map(|e| &e.actions).collect();
        // The start between the two resets was left at once, and is no episode.
        assert_eq!(actions, [&vec![0, 0, 3, 3], &vec![0, 1]]);
        assert_eq!((manifest.frames, manifest.episodes.len()), (6, 2));
        assert_eq!(dataset.info, Kind::Maze.open(0).info());
        let mut file = Archive::open(&dataset.files[1]).unwrap();
        let first = file.array("is_first").unwrap().to_f32();
        assert_eq!(first.unwrap(), [1.0, 0.0]);
    }

    #[test]
    fn each_episode_is_the_simulators_own_from_the_seed_in_the_manifest() {
        let commands = [held(3), Command::Step, Command::Reset, Command::Step];
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("maze");
        let manifest = write(played(&commands), Kind::Maze, &out).unwrap();
        let dataset = Dataset::read(&out).unwrap();
        assert_ne!(manifest.episodes[0].seed, manifest.episodes[1].seed);
        for (line, episode) in manifest.episodes.iter().zip(&dataset.episodes) {
            let mut world = Kind::Maze.open(line.seed);
            assert!(episode.frame(0) == world.image());
            world.step(episode.actions[1]).unwrap();
            assert!(episode.frame(1) == world.image());
            assert_eq!(episode.extras["x"].shape, [2]);
            assert!(!episode.extras.contains_key("number"));
        }
    }

    #[test]
    fn a_recording_without_a_step_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("maze");
        let error = write(played(&[Command::Reset]), Kind::Maze, &out).unwrap_err();
        assert!(error.to_string().contains("nothing was played"));
        assert!(!out.exists());
    }
}
