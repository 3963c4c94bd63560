//! Turns a recorded simulator session into a dataset. Each reset starts a new episode.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use driftless_data::fs::write_json;
use driftless_data::journal::Journal;
use driftless_data::layout::dataset;
use driftless_data::staging::StagingFolder;
use driftless_data::{Episode, ExtraArray};
use driftless_sim::{SESSION_ARRAYS, Session, recorded_seed};
use driftless_worlds::SimulatorKind;
use driftless_worlds::record::{MANIFEST_VERSION, ManifestEpisode, RecordingManifest};

use crate::{Error, Result};

/// Frames of the shortest episode to keep: one action needs the frames before and after it.
pub(super) const MIN_FRAMES: usize = 2;

/// Writes the new or empty folder `out`, completely or not at all, and removes the session's journal.
///
/// # Errors
/// Returns an error if the session has no episode of two frames or more, or if `out` is not empty or
/// cannot be written; in the latter case the journal stays.
pub fn write_dataset(
    mut session: Session,
    world: SimulatorKind,
    out: &Path,
) -> Result<RecordingManifest> {
    let journal = session.take_journal();
    let written = write_episodes(session, world, out);
    let is_empty = matches!(written, Err(Error::Data(driftless_data::Error::Empty(_))));
    match (written, journal) {
        (Err(error), Some(_)) if !is_empty => {
            Err(driftless_sim::Error::Kept(error.to_string()).into())
        }
        (written, journal) => {
            // A journal that cannot be removed is offered once more.
            let _ = journal.map(Journal::remove);
            written
        }
    }
}

fn write_episodes(session: Session, world: SimulatorKind, out: &Path) -> Result<RecordingManifest> {
    let path = session.path().to_path_buf();
    let recorded = session.into_episode();
    let mut ranges = episode_ranges(&recorded);
    ranges.retain(|range| range.len() >= MIN_FRAMES);
    if ranges.is_empty() {
        let what = "the recording is empty: expected at least one frame after a start";
        return Err(driftless_data::Error::Empty(what.into()).into());
    }
    let info = world.open(0).info();
    let staging = StagingFolder::new(out)?;
    let (mut lines, mut action_counts) = (Vec::new(), vec![0_usize; info.actions.len()]);
    for (index, range) in ranges.into_iter().enumerate() {
        let seed = recorded_seed(&path, &recorded, range.start)?;
        let episode = cut(&recorded, range);
        for action in &episode.actions {
            if let Some(count) = action_counts.get_mut(*action as usize) {
                *count += 1;
            }
        }
        let line = manifest_line(dataset::episode(index), seed, &episode);
        episode.write(&staging.path().join(&line.file))?;
        lines.push(line);
    }
    let frames: usize = lines.iter().map(|line| line.frames).sum();
    let manifest = RecordingManifest {
        version: MANIFEST_VERSION,
        driftless: env!("CARGO_PKG_VERSION"),
        world: world.name(),
        policy: "person",
        seed: lines.first().map_or(0, |line| line.seed),
        episode_frames: lines.iter().map(|line| line.frames).max().unwrap_or(0),
        frames,
        action_share: action_counts
            .iter()
            .map(|&count| count as f64 / frames as f64)
            .collect(),
        episodes: lines,
    };
    write_json(&staging.path().join(dataset::MANIFEST), &manifest)?;
    write_json(&staging.path().join(dataset::INFO), &info)?;
    staging.finish()?;
    Ok(manifest)
}

fn manifest_line(file: String, seed: u64, episode: &Episode) -> ManifestEpisode {
    let last = episode.is_terminal().and_then(<[f32]>::last);
    ManifestEpisode {
        file,
        frames: episode.frames(),
        policy: "person",
        seed,
        reward: episode.rewards.iter().map(|&r| f64::from(r)).sum(),
        ended: last.is_some_and(|&ended| ended != 0.0),
    }
}

/// Frame ranges of the episodes: from each reset to the next.
fn episode_ranges(recorded: &Episode) -> Vec<Range<usize>> {
    let number = recorded.extras.get("number");
    let is_start = |t: &usize| number.is_some_and(|n| n.values.get(*t) == Some(&0.0));
    let mut bounds: Vec<usize> = (0..recorded.frames()).filter(is_start).collect();
    bounds.push(recorded.frames());
    bounds.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

/// A part of the recording, without the arrays that only sessions have.
fn cut(recorded: &Episode, range: Range<usize>) -> Episode {
    let clip = recorded.clip(range.clone());
    let cut_extra = |extra: &ExtraArray| {
        let width = extra.values.len() / recorded.frames().max(1);
        let mut shape = extra.shape.clone();
        if let Some(length) = shape.first_mut() {
            *length = range.len();
        }
        ExtraArray {
            shape,
            values: extra.values[range.start * width..range.end * width].to_vec(),
        }
    };
    let extras: BTreeMap<String, ExtraArray> = recorded
        .extras
        .iter()
        .filter(|(name, _)| !SESSION_ARRAYS.contains(&name.as_str()))
        .map(|(name, extra)| (name.clone(), cut_extra(extra)))
        .collect();
    Episode {
        height: recorded.height,
        width: recorded.width,
        images: clip.images,
        actions: recorded.actions[range.clone()].to_vec(),
        rewards: recorded.rewards[range].to_vec(),
        extras,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::workspace::PlayableWorld;
    use driftless_data::Dataset;
    use driftless_data::npz::NpzReader;
    use driftless_sim::{
        Command, EpisodeCommand, Frame, InputCommand, PlaybackCommand, SimOptions, SimThread,
    };

    /// Plays frame by frame, as the window does while it records.
    fn record(commands: &[Command]) -> Session {
        let options = SimOptions {
            random_seed: true,
            paused: true,
            record: Some("unused".into()),
            ..SimOptions::new(PlayableWorld::simulator(SimulatorKind::Maze).player)
        };
        let sim = SimThread::spawn(options, None, || {}).unwrap();
        let timeout = Duration::from_secs(60);
        sim.frames().recv_timeout(timeout).unwrap();
        for command in commands {
            sim.send(command.clone());
            if [STEP, RESET].contains(command) {
                let _: Frame = sim.frames().recv_timeout(timeout).unwrap();
            }
        }
        sim.finish().session.unwrap()
    }

    const STEP: Command = Command::Playback(PlaybackCommand::Step);
    const RESET: Command = Command::Episode(EpisodeCommand::Reset);

    fn held(action: u32) -> Command {
        let since = std::time::Instant::now();
        InputCommand::Hold {
            action: action.into(),
            changed_at: since,
        }
        .into()
    }

    #[test]
    fn resets_split_episodes() {
        let commands = [STEP, held(3), STEP, STEP, RESET, RESET, held(1), STEP];
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("maze");
        let manifest = write_dataset(record(&commands), SimulatorKind::Maze, &out).unwrap();
        let dataset = Dataset::read(&out).unwrap();
        let actions: Vec<_> = dataset.episodes.iter().map(|e| &e.actions).collect();
        // The start between the two resets has a single frame, which is too short for an episode.
        assert_eq!(actions, [&vec![0, 0, 3, 3], &vec![0, 1]]);
        assert_eq!((manifest.frames, manifest.episodes.len()), (6, 2));
        assert_eq!(dataset.info, SimulatorKind::Maze.open(0).info());
        let mut file = NpzReader::open(&dataset.files[1]).unwrap();
        let first = file.array("is_first").unwrap().to_f32();
        assert_eq!(first.unwrap(), [1.0, 0.0]);
    }

    #[test]
    fn manifest_seeds_reproduce_frames() {
        let commands = [held(3), STEP, RESET, STEP];
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("maze");
        let manifest = write_dataset(record(&commands), SimulatorKind::Maze, &out).unwrap();
        let dataset = Dataset::read(&out).unwrap();
        assert_ne!(manifest.episodes[0].seed, manifest.episodes[1].seed);
        for (line, episode) in manifest.episodes.iter().zip(&dataset.episodes) {
            let mut world = SimulatorKind::Maze.open(line.seed);
            assert!(episode.frame(0) == world.image());
            world.step(episode.actions[1].into()).unwrap();
            assert!(episode.frame(1) == world.image());
            assert_eq!(episode.extras["x"].shape, [2]);
            assert!(!episode.extras.contains_key("number"));
        }
    }

    #[test]
    fn empty_recording_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("maze");
        let error = write_dataset(record(&[RESET]), SimulatorKind::Maze, &out).unwrap_err();
        assert!(error.to_string().contains("recording is empty"));
        assert!(!out.exists());
    }
}
