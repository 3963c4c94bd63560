//! The thread that reads and changes the dataset, one job after another.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};

use driftless_data::edit::{self, Change};
use driftless_data::fs::unused_path;
use driftless_data::listing::{self, ListedFile};
use driftless_data::{ActionSpec, DatasetInfo, Episode};

use crate::workspace::Notify;
use crate::workspace::background_task::next_answer;
use crate::{Error, Result};

/// What is done to the episode in a file of the dataset.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Edit {
    /// Keep these frames.
    Cut(Range<usize>),
    /// Begin a second episode with this frame.
    Split(usize),
    Remove,
    HoldOut,
}

/// A new dataset with other actions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Remapping {
    pub actions: Vec<ActionSpec>,
    /// What becomes of each action.
    pub map: Vec<u32>,
}

/// What the page asks the thread for.
enum Job {
    Read(String),
    Edit(String, Edit),
    Undo,
    Remap(Remapping),
}

/// The dataset as it is now.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    pub info: DatasetInfo,
    pub files: Vec<ListedFile>,
    /// Changes that can be undone.
    pub changes: usize,
}

/// What the thread sends back.
pub(super) enum Answer {
    /// The dataset as it is now, and what was done to it.
    Listed(Box<Listing>, Option<String>),
    /// The episode in a file, or why it cannot be read.
    Read(String, std::result::Result<Arc<Episode>, String>),
    /// How many episodes are copied.
    Copied(usize),
    /// The dataset with other actions is written.
    Remapped(PathBuf),
    /// A job failed; the dataset is as it was.
    Failed(String),
    /// The thread has ended; nothing follows.
    Ended,
}

/// The thread; it ends when this is dropped.
pub(super) struct Worker {
    jobs: Sender<Job>,
    answers: Receiver<Answer>,
    cancelled: Arc<AtomicBool>,
}

impl Worker {
    /// Starts the thread, which first lists the dataset.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn start(folder: &Path, notify: Notify) -> Result<Self> {
        let (jobs, received) = unbounded();
        let (sender, answers) = unbounded();
        let cancelled = Arc::new(AtomicBool::new(false));
        let thread = Thread {
            folder: folder.to_path_buf(),
            jobs: received,
            answers: sender,
            cancelled: Arc::clone(&cancelled),
            notify,
            changes: Vec::new(),
        };
        std::thread::Builder::new()
            .name("browse".into())
            .spawn(move || thread.run())
            .map_err(|e| Error::no_thread(&e))?;
        Ok(Self {
            jobs,
            answers,
            cancelled,
        })
    }

    fn send(&self, job: Job) {
        // A thread that has ended has said why.
        let _ = self.jobs.send(job);
    }

    /// Reads the episode in a file.
    pub fn read(&self, file: &str) {
        self.send(Job::Read(file.to_owned()));
    }

    /// Changes the episode in a file.
    pub fn edit(&self, file: &str, edit: Edit) {
        self.send(Job::Edit(file.to_owned(), edit));
    }

    /// Undoes the last change.
    pub fn undo(&self) {
        self.send(Job::Undo);
    }

    /// Writes a copy with other actions.
    pub fn remap(&self, remapping: Remapping) {
        self.cancelled.store(false, Ordering::Relaxed);
        self.send(Job::Remap(remapping));
    }

    /// Stops writing the copy.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// The next answer, if one has arrived.
    pub fn take(&self) -> Option<Answer> {
        next_answer(&self.answers, Answer::Ended)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// What the thread holds.
struct Thread {
    folder: PathBuf,
    jobs: Receiver<Job>,
    answers: Sender<Answer>,
    cancelled: Arc<AtomicBool>,
    notify: Notify,
    changes: Vec<Change>,
}

impl Thread {
    fn run(mut self) {
        if let Err(error) = self.list(None) {
            self.send(Answer::Failed(error.to_string()));
            return;
        }
        while let Ok(job) = self.jobs.recv() {
            if let Err(error) = self.work(job) {
                self.send(Answer::Failed(error.to_string()));
                // The files may have been changed by others.
                let _ = self.list(None);
            }
        }
    }

    fn send(&self, answer: Answer) {
        // The page may be gone.
        let _ = self.answers.send(answer);
        (self.notify)();
    }

    fn list(&self, done: Option<String>) -> Result<()> {
        let listing = Listing {
            info: DatasetInfo::read(&self.folder)?,
            files: listing::list(&self.folder)?,
            changes: self.changes.len(),
        };
        self.send(Answer::Listed(Box::new(listing), done));
        Ok(())
    }

    fn work(&mut self, job: Job) -> Result<()> {
        match job {
            Job::Read(file) => {
                let path = self.folder.join(&file);
                let episode = Episode::read(&path);
                if !path.exists() {
                    return Ok(episode.map(|_| ())?);
                }
                let episode = episode.map(Arc::new).map_err(|e| e.to_string());
                self.send(Answer::Read(file, episode));
                Ok(())
            }
            Job::Edit(file, edit) => {
                let (change, done) = self.edit(&file, edit)?;
                self.changes.push(change);
                self.list(Some(done))
            }
            Job::Undo => {
                let Some(change) = self.changes.last() else {
                    return Ok(());
                };
                change.undo()?;
                self.changes.pop();
                self.list(Some("Undone".to_owned()))
            }
            Job::Remap(remapping) => self.remap(remapping),
        }
    }

    /// Changes the episode in a file; also returns what is said then.
    fn edit(&self, file: &str, edit: Edit) -> Result<(Change, String)> {
        let folder = &self.folder;
        Ok(match edit {
            Edit::Cut(range) => {
                let done = format!("Kept frames {} to {} of {file}", range.start, range.end - 1);
                (edit::cut(folder, file, range)?, done)
            }
            Edit::Split(at) => {
                let done = format!("Divided {file} at frame {at}");
                (edit::split(folder, file, at)?, done)
            }
            Edit::Remove => {
                let done = format!("Moved {file} into the folder {}", edit::REMOVED);
                (edit::remove(folder, file)?, done)
            }
            Edit::HoldOut => {
                let other = edit::held_out_folder(folder)?;
                let name = other.file_name().unwrap_or_default();
                let done = format!("Moved {file} to {}", name.to_string_lossy());
                (edit::hold_out(folder, file, &other)?, done)
            }
        })
    }

    fn remap(&self, remapping: Remapping) -> Result<()> {
        let Remapping { actions, map } = remapping;
        let out = unused_path(&edit::beside(&self.folder, "-actions")?);
        edit::remap(&self.folder, &out, actions, &map, &mut |done| {
            self.send(Answer::Copied(done));
            !self.cancelled.load(Ordering::Relaxed)
        })?;
        self.send(Answer::Remapped(out));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use driftless_data::fs::write_json;
    use driftless_data::layout::dataset::INFO;

    use super::*;

    fn dataset(folder: &Path) {
        let info = DatasetInfo {
            name: "Game".into(),
            fps: 15.0,
            image: [1, 1],
            actions: vec![ActionSpec {
                name: "idle".into(),
                keys: Vec::new(),
            }],
            axes: Vec::new(),
        };
        write_json(&folder.join(INFO), &info).unwrap();
        for file in ["a.npz", "b.npz", "c.npz"] {
            let episode = Episode {
                height: 1,
                width: 1,
                images: vec![0; 12],
                actions: vec![0; 4],
                rewards: vec![0.0; 4],
                extras: Default::default(),
            };
            episode.write(&folder.join(file)).unwrap();
        }
    }

    #[test]
    fn files_that_others_deleted_leave_the_list() {
        let folder = tempfile::tempdir().unwrap();
        dataset(folder.path());
        let worker = Worker::start(folder.path(), Arc::new(|| ())).unwrap();
        let next = || worker.answers.recv_timeout(Duration::from_secs(60));
        assert!(matches!(next(), Ok(Answer::Listed(..))));
        let delete = |file: &str| std::fs::remove_file(folder.path().join(file)).unwrap();
        let left = |expected: &[&str]| {
            match next() {
                Ok(Answer::Failed(why)) => assert!(why.contains(".npz"), "{why}"),
                _ => panic!("expected a failure"),
            }
            match next() {
                Ok(Answer::Listed(listing, None)) => {
                    let files = listing.files.iter().map(|file| file.file.as_str());
                    assert_eq!(files.collect::<Vec<_>>(), expected);
                }
                _ => panic!("expected a list"),
            }
        };
        delete("b.npz");
        worker.read("b.npz");
        left(&["a.npz", "c.npz"]);
        delete("c.npz");
        worker.edit("c.npz", Edit::Split(2));
        left(&["a.npz"]);
    }
}
