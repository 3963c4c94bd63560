//! Frames on their way to a file, beside the window.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Notify, Task};
use crate::Result;
use driftless_data::{Episode, export};

/// The listener is not told of frames more often than this.
const EVERY: Duration = Duration::from_millis(50);

/// A thread that writes an episode; dropping it cancels.
#[derive(Debug)]
pub struct Export {
    /// None once its result was taken.
    task: Option<Task<PathBuf>>,
    done: Arc<AtomicUsize>,
    all: usize,
}

impl Export {
    /// Starts to write what the name asks for, as [`export::write()`] does; `notify` is called now
    /// and then on the way, and at the end.
    ///
    /// # Errors
    /// The system gives no thread. What else goes wrong, a missing ffmpeg too, [`Export::finished`]
    /// tells.
    pub fn start(
        episode: impl Into<Arc<Episode>>,
        path: PathBuf,
        scale: u32,
        fps: f32,
        notify: Notify,
    ) -> Result<Self> {
        let episode = episode.into();
        let all = episode.frames();
        let done = Arc::new(AtomicUsize::new(0));
        let (count, listener) = (Arc::clone(&done), Arc::clone(&notify));
        let task = Task::start(notify, move |cancelled| {
            let mut told = Instant::now();
            let mut watch = |frames| {
                count.store(frames, Ordering::Relaxed);
                if told.elapsed() >= EVERY {
                    told = Instant::now();
                    listener();
                }
                !cancelled.is_set()
            };
            export::write_while(&episode, &path, scale, fps, &mut watch)?;
            Ok(path)
        })?;
        Ok(Self {
            task: Some(task),
            done,
            all,
        })
    }

    /// Frames done, and all of them.
    pub fn progress(&self) -> (usize, usize) {
        (self.done.load(Ordering::Relaxed), self.all)
    }

    /// Gives it up: after the frame at hand it ends with [`crate::Error::Interrupted`] and leaves
    /// nothing.
    pub fn cancel(&self) {
        if let Some(task) = &self.task {
            task.cancel();
        }
    }

    /// What became of it, once, when that is known: what was written, or why nothing was.
    pub fn finished(&mut self) -> Option<Result<PathBuf>> {
        let result = self.task.as_ref()?.take()?;
        self.task = None;
        Some(result)
    }

    /// Cancels, and waits a moment until nothing is left of it: for a program that ends.
    pub fn end(mut self) {
        if let Some(task) = self.task.take() {
            task.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crossbeam_channel::{Receiver, RecvTimeoutError, bounded, unbounded};
    use image::AnimationDecoder;

    use super::*;
    use crate::Error;

    const HANGS: Duration = Duration::from_secs(30);

    fn grey(t: usize) -> u8 {
        (t as u8).wrapping_mul(40)
    }

    /// Frames of 3×2, each of one grey.
    fn episode(frames: usize) -> Episode {
        Episode {
            height: 2,
            width: 3,
            images: (0..frames).flat_map(|t| [grey(t); 18]).collect(),
            actions: vec![0; frames],
            rewards: vec![0.0; frames],
            extras: std::collections::BTreeMap::new(),
        }
    }

    /// An export, and a word for each time its listener is told.
    fn start(frames: usize, path: &Path) -> (Export, Receiver<()>) {
        let (told, words) = unbounded();
        let notify: Notify = Arc::new(move || {
            let _ = told.send(());
        });
        let export = Export::start(episode(frames), path.into(), 2, 20.0, notify);
        (export.unwrap(), words)
    }

    fn wait(export: &mut Export, words: &Receiver<()>) -> Result<PathBuf> {
        loop {
            if let Some(result) = export.finished() {
                return result;
            }
            words.recv_timeout(HANGS).expect("a word of it");
        }
    }

    #[test]
    fn a_finished_gif_is_the_frames_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.gif");
        let (mut export, words) = start(4, &path);
        assert_eq!(wait(&mut export, &words).unwrap(), path);
        assert_eq!(export.progress(), (4, 4));
        assert!(export.finished().is_none(), "told twice");
        let file = std::io::BufReader::new(std::fs::File::open(&path).unwrap());
        let frames = image::codecs::gif::GifDecoder::new(file).unwrap();
        let frames = frames.into_frames().collect_frames().unwrap();
        assert_eq!(frames.len(), 4);
        for (t, frame) in frames.iter().enumerate() {
            assert_eq!(frame.buffer().dimensions(), (6, 4));
            assert_eq!(frame.delay().numer_denom_ms(), (50, 1));
            let shown = frame.buffer().get_pixel(5, 3).0[0];
            assert!(shown.abs_diff(grey(t)) <= 1, "{shown} at {t}");
        }
    }

    #[test]
    fn finished_pictures_equal_the_frames() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pictures");
        let (mut export, words) = start(3, &path);
        wait(&mut export, &words).unwrap();
        assert_eq!(path.read_dir().unwrap().count(), 3);
        for t in 0..3 {
            let file = path.join(format!("{t:06}.png"));
            let picture = image::open(file).unwrap().into_rgb8();
            assert_eq!(picture.dimensions(), (6, 4));
            assert!(picture.as_raw().iter().all(|&value| value == grey(t)));
        }
    }

    /// An export of so many frames that it is on its way, not over, when it is looked at.
    fn long(path: &Path) -> (Export, Receiver<()>) {
        let (export, words) = start(1_000_000, path);
        let begun = Instant::now();
        while export.progress().0 == 0 {
            assert!(begun.elapsed() < HANGS, "it does not begin");
            std::thread::sleep(Duration::from_millis(1));
        }
        (export, words)
    }

    #[test]
    fn cancelled_on_the_way_it_says_so_and_leaves_nothing() {
        for name in ["clip.gif", "pictures"] {
            let folder = tempfile::tempdir().unwrap();
            let (mut export, words) = long(&folder.path().join(name));
            export.cancel();
            let result = wait(&mut export, &words);
            assert!(
                matches!(result, Err(Error::Data(driftless_data::Error::Interrupted))),
                "{result:?}"
            );
            assert_eq!(folder.path().read_dir().unwrap().count(), 0, "{name}");
        }
    }

    #[test]
    fn dropped_or_ended_on_the_way_it_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.gif");
        std::fs::write(&path, "older").unwrap();
        for ended in [true, false] {
            let (export, words) = long(&path);
            match ended {
                true => export.end(),
                false => drop(export),
            }
            // The thread lets go of its listener when it is gone.
            let gone = std::iter::repeat_with(|| words.recv_timeout(HANGS))
                .find(std::result::Result::is_err);
            assert_eq!(gone, Some(Err(RecvTimeoutError::Disconnected)));
            let left = folder.path().read_dir().unwrap().count();
            assert_eq!(left, 1, "ended: {ended}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "older");
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (mut export, words) = start(2, &folder.path().join("missing/clip.gif"));
        let error = wait(&mut export, &words).unwrap_err().to_string();
        assert!(error.contains("missing"), "{error}");
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn the_listener_is_told_at_the_end_even_of_a_short_one() {
        let folder = tempfile::tempdir().unwrap();
        let (told, words) = bounded(1);
        let notify: Notify = Arc::new(move || {
            let _ = told.try_send(());
        });
        let path = folder.path().join("clip.npz");
        let mut export = Export::start(episode(1), path.clone(), 1, 20.0, notify).unwrap();
        words.recv_timeout(HANGS).unwrap();
        assert_eq!(export.finished().unwrap().unwrap(), path);
        assert_eq!(Episode::read(&path).unwrap().images, episode(1).images);
    }
}
