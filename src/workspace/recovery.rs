//! Recordings that a killed program has left: what their journals hold, and what becomes of it.

use std::path::{Path, PathBuf};

use driftless_capture::TapeSummary;
use driftless_data::PathError as _;
use driftless_data::fs::unused_path;
use driftless_data::journal::{JournalReader, abandoned};
use driftless_data::staging::StagingFolder;
use driftless_sim::{JournalSummary, Session};
use driftless_worlds::SimulatorKind;

use super::UserPaths;
use super::recording::{MIN_FRAMES, write_dataset};
use crate::{Error, Result};

/// A recording that was not written to its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The file that holds it.
    pub journal: PathBuf,
    /// Where it was to be written.
    pub target: PathBuf,
    /// The world's name.
    pub world: String,
    /// Frames that it holds.
    pub frames: usize,
    /// What it becomes.
    pub kind: RecordingKind,
}

/// What a recording becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingKind {
    /// An episode.
    Episode,
    /// A dataset of a simulator.
    Simulator(SimulatorKind),
    /// A dataset of a captured window.
    Capture,
}

/// The recordings that killed programs have left. Journals with too little to be written are removed; those that
/// cannot be read are left alone, with a warning.
pub fn unfinished(paths: &UserPaths) -> Vec<Unfinished> {
    let journals = abandoned(&paths.unfinished());
    let read = |journal: &PathBuf| match Unfinished::read(journal) {
        Ok(found) if found.frames >= found.least_frames() => Some(found),
        Ok(_) => {
            let _ = JournalReader::open(journal).map(JournalReader::remove);
            None
        }
        Err(error) => {
            tracing::warn!("{error}");
            None
        }
    };
    journals.iter().filter_map(read).collect()
}

impl Unfinished {
    /// Reads what a journal says about itself.
    ///
    /// # Errors
    /// Returns an error if it is no journal, or is being written.
    pub fn read(journal: &Path) -> Result<Self> {
        if let Some(TapeSummary { header, frames }) =
            TapeSummary::read(JournalReader::open(journal)?)?
        {
            return Ok(Self {
                journal: journal.to_path_buf(),
                target: header.target,
                world: header.name,
                frames,
                kind: RecordingKind::Capture,
            });
        }
        let summary = JournalSummary::read(JournalReader::open(journal)?)?;
        let kind = match summary.options.dataset_of.as_deref() {
            None => RecordingKind::Episode,
            Some(name) => {
                let simulator = SimulatorKind::from_name(name).ok_or_else(|| {
                    let what = format!("is of a simulator {name}, which is unknown");
                    Error::invalid(journal, what)
                })?;
                RecordingKind::Simulator(simulator)
            }
        };
        Ok(Self {
            journal: journal.to_path_buf(),
            target: summary.options.path,
            world: summary.world,
            frames: summary.frames,
            kind,
        })
    }

    /// Frames of the shortest recording that can be written.
    fn least_frames(&self) -> usize {
        match self.kind {
            RecordingKind::Episode => 1,
            RecordingKind::Simulator(_) => MIN_FRAMES,
            RecordingKind::Capture => driftless_capture::MIN_FRAMES,
        }
    }

    /// What it is, in a few words.
    pub fn describe(&self) -> String {
        format!("{} frames of {}", self.frames, self.world)
    }

    /// Writes the recording to `out`, or else to its place, or beside it under a free name, and removes the
    /// journal. Returns where it is.
    ///
    /// # Errors
    /// Returns an error if the journal is damaged, or if the recording cannot be written; the journal then
    /// stays.
    pub fn recover(&self, out: Option<&Path>) -> Result<PathBuf> {
        let mut reader = JournalReader::open(&self.journal)?;
        let out = match out {
            Some(out) => out.to_path_buf(),
            None => unused_path(&self.target),
        };
        if let Some(parent) = out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
        }
        match self.kind {
            RecordingKind::Episode => Session::recover(&mut reader)?.into_episode().write(&out)?,
            RecordingKind::Simulator(kind) => {
                let session = Session::recover(&mut reader)?;
                StagingFolder::check(&out)?;
                write_dataset(session, kind, &out)?;
            }
            RecordingKind::Capture => {
                driftless_capture::write_dataset(&mut reader, &out, &mut |_, _| {})?;
            }
        }
        reader.remove()?;
        Ok(out)
    }

    /// Deletes the recording.
    ///
    /// # Errors
    /// Returns an error if it is being written or recovered, or cannot be deleted.
    pub fn discard(&self) -> Result<()> {
        Ok(JournalReader::open(&self.journal)?.remove()?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use driftless_capture::{
        CaptureActions, CapturePlan, CaptureSource, ChosenKey, Clock, KeySet, Moment, Picture,
        WindowState, record,
    };
    use driftless_data::{Dataset, Episode};
    use driftless_sim::{
        Command, EpisodeCommand, PlaybackCommand, RecordOptions, SimOptions, SimThread,
    };

    use super::*;
    use crate::workspace::PlayableWorld;

    const STEP: Command = Command::Playback(PlaybackCommand::Step);
    const RESET: Command = Command::Episode(EpisodeCommand::Reset);

    /// Plays a maze frame by frame and forgets to write the recording, as a killed program does.
    fn abandon(paths: &UserPaths, record: RecordOptions, commands: &[Command]) -> Session {
        let record = RecordOptions {
            journal: Some(paths.unfinished()),
            ..record
        };
        let options = SimOptions {
            paused: true,
            random_seed: true,
            record: Some(record),
            ..SimOptions::new(PlayableWorld::simulator(SimulatorKind::Maze).player)
        };
        let sim = SimThread::spawn(options, None, || {}).unwrap();
        let timeout = Duration::from_secs(60);
        sim.frames().recv_timeout(timeout).unwrap();
        for command in commands {
            sim.send(command.clone());
            sim.frames().recv_timeout(timeout).unwrap();
        }
        sim.finish().session.unwrap()
    }

    fn paths() -> (tempfile::TempDir, UserPaths) {
        let root = tempfile::tempdir().unwrap();
        let paths = UserPaths::resolve(Some(root.path().into())).unwrap();
        (root, paths)
    }

    #[test]
    fn recovered_episode_is_the_recorded_one() {
        let (root, paths) = paths();
        let target = root.path().join("a.npz");
        let mut session = abandon(&paths, (&target).into(), &[STEP, STEP, RESET, STEP]);
        assert!(unfinished(&paths).is_empty() || !cfg!(unix));
        drop(session.take_journal());
        let found = unfinished(&paths);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].frames, found[0].world.as_str()), (5, "Maze"));
        std::fs::write(&target, "mine").unwrap();
        let out = found[0].recover(None).unwrap();
        assert_eq!(out, root.path().join("a-2.npz"));
        assert_eq!(std::fs::read(&target).unwrap(), b"mine");
        assert_eq!(Episode::read(&out).unwrap(), {
            let whole = root.path().join("whole.npz");
            session.into_episode().write(&whole).unwrap();
            Episode::read(&whole).unwrap()
        });
        assert!(unfinished(&paths).is_empty());
    }

    #[test]
    fn recovered_dataset_has_its_episodes() {
        let (root, paths) = paths();
        let record = RecordOptions {
            path: root.path().join("data/maze"),
            dataset_of: Some("maze".into()),
            ..RecordOptions::default()
        };
        drop(abandon(&paths, record, &[STEP, RESET, STEP, STEP]));
        let found = unfinished(&paths);
        assert_eq!(found[0].kind, RecordingKind::Simulator(SimulatorKind::Maze));
        let out = found[0].recover(None).unwrap();
        let dataset = Dataset::read(&out).unwrap();
        let lengths: Vec<_> = dataset.episodes.iter().map(Episode::frames).collect();
        assert_eq!(lengths, [2, 3]);
        assert!(unfinished(&paths).is_empty());
    }

    /// A window that shows three frames.
    struct ThreeFrames(usize);

    impl CaptureSource for ThreeFrames {
        fn look(&mut self, picture: &mut Picture) -> driftless_capture::Result<Moment> {
            self.0 += 1;
            (picture.width, picture.height, picture.rgb) = (1, 1, vec![self.0 as u8; 3]);
            let state = match self.0 {
                1..=3 => WindowState::Focused,
                _ => WindowState::Closed,
            };
            Ok(Moment {
                state,
                held: KeySet(1),
                mouse: [0.0; 2],
                stop: false,
                pauses: 0,
            })
        }
    }

    /// A clock that stands still.
    struct NoTime;

    impl Clock for NoTime {
        fn now(&self) -> Duration {
            Duration::ZERO
        }

        fn wait_until(&self, _: Duration) {}
    }

    #[test]
    fn recovered_capture_is_a_dataset() {
        let (root, paths) = paths();
        let plan = CapturePlan {
            out: root.path().join("game"),
            journal: paths.unfinished(),
            name: "Game".into(),
            window: "Game 1.0".into(),
            fps: 200.0,
            size: [1, 1],
            keys: ChosenKey::parse_list("Left").unwrap(),
            mouse: false,
            actions: CaptureActions::default(),
            length: None,
            episode_frames: 100,
        };
        record(&mut ThreeFrames(0), &NoTime, &plan, &mut |_| true).unwrap();
        let found = unfinished(&paths);
        assert_eq!(found[0].describe(), "3 frames of Game");
        let out = found[0].recover(None).unwrap();
        assert_eq!(out, plan.out);
        let dataset = Dataset::read(&out).unwrap();
        assert_eq!(dataset.info.actions[1].keys, ["ArrowLeft"]);
        assert_eq!(
            dataset.episodes.iter().map(Episode::frames).sum::<usize>(),
            3
        );
        assert!(unfinished(&paths).is_empty());
    }

    #[test]
    fn written_and_discarded_recordings_leave_no_journal() {
        let (root, paths) = paths();
        let target = root.path().join("a.npz");
        let session = abandon(&paths, (&target).into(), &[STEP]);
        assert_eq!(session.write().unwrap(), Some(target.clone()));
        abandon(&paths, (&target).into(), &[STEP]).discard();
        assert_eq!(paths.unfinished().read_dir().unwrap().count(), 0);

        drop(abandon(&paths, (&target).into(), &[STEP]));
        unfinished(&paths)[0].discard().unwrap();
        assert_eq!(paths.unfinished().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn failed_write_keeps_the_journal() {
        let (root, paths) = paths();
        let target = root.path().join("missing/a.npz");
        let session = abandon(&paths, (&target).into(), &[STEP]);
        let error = session.write().unwrap_err().to_string();
        assert!(error.contains("`driftless recover`"), "{error}");
        let other = root.path().join("b.npz");
        unfinished(&paths)[0].recover(Some(&other)).unwrap();
        assert_eq!(Episode::read(&other).unwrap().frames(), 2);
    }

    #[test]
    fn damaged_journals_are_left_alone() {
        let (_root, paths) = paths();
        std::fs::create_dir_all(paths.unfinished()).unwrap();
        let other = paths.unfinished().join("b.journal");
        std::fs::write(&other, "not one").unwrap();
        assert!(unfinished(&paths).is_empty() && other.exists());
    }
}
