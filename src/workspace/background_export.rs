//! Writes frames to a file in the background.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use driftless_data::{Episode, export};

use super::{BackgroundTask, Notify};
use crate::Result;

/// Shortest time between two progress notifications.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(50);

/// A thread that writes an episode; dropping it cancels the export.
#[derive(Debug)]
pub struct BackgroundExport {
    /// `None` once its result was taken.
    task: Option<BackgroundTask<PathBuf>>,
    frames_done: Arc<AtomicUsize>,
    frames_total: usize,
}

impl BackgroundExport {
    /// Starts to write `path` in the format of its extension, as [`export::write()`] does, but replaces no file. `notify`
    /// is called on progress and at the end.
    ///
    /// # Errors
    /// Returns an error if no thread can be started. All other errors, a missing ffmpeg included, are
    /// returned by [`BackgroundExport::take_result`].
    pub fn start(
        episode: impl Into<Arc<Episode>>,
        path: PathBuf,
        scale: u32,
        fps: f32,
        notify: Notify,
    ) -> Result<Self> {
        let episode = episode.into();
        let frames_total = episode.frames();
        let frames_done = Arc::new(AtomicUsize::new(0));
        let (counter, on_progress) = (Arc::clone(&frames_done), Arc::clone(&notify));
        let task = BackgroundTask::start(notify, move |cancelled| {
            let mut last_notified = Instant::now();
            let mut watch = |frames| {
                counter.store(frames, Ordering::Relaxed);
                if last_notified.elapsed() >= NOTIFY_INTERVAL {
                    last_notified = Instant::now();
                    on_progress();
                }
                !cancelled.is_cancelled()
            };
            export::write_with_progress(&episode, &path, scale, fps, false, &mut watch)?;
            Ok(path)
        })?;
        Ok(Self {
            task: Some(task),
            frames_done,
            frames_total,
        })
    }

    /// Frames written, and the total.
    pub fn progress(&self) -> (usize, usize) {
        (self.frames_done.load(Ordering::Relaxed), self.frames_total)
    }

    /// Cancels the export. It stops after the current frame with [`driftless_data::Error::Interrupted`] and
    /// leaves no file.
    pub fn cancel(&self) {
        if let Some(task) = &self.task {
            task.cancel();
        }
    }

    /// The result, once, when the export is done: the path written, or the error.
    pub fn take_result(&mut self) -> Option<Result<PathBuf>> {
        let result = self.task.as_ref()?.take()?;
        self.task = None;
        Some(result)
    }

    /// Cancels the export and waits up to two seconds for it to clean up. For a program that exits.
    pub fn cancel_and_wait(mut self) {
        if let Some(task) = self.task.take() {
            task.cancel_and_wait();
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

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn grey(t: usize) -> u8 {
        (t as u8).wrapping_mul(40)
    }

    /// Frames of 3×2 pixels, each of one grey level.
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

    /// An export, and a channel that receives its notifications.
    fn start(frames: usize, path: &Path) -> (BackgroundExport, Receiver<()>) {
        let (notified, notifications) = unbounded();
        let notify: Notify = Arc::new(move || {
            let _ = notified.send(());
        });
        let export = BackgroundExport::start(episode(frames), path.into(), 2, 20.0, notify);
        (export.unwrap(), notifications)
    }

    fn wait(export: &mut BackgroundExport, notifications: &Receiver<()>) -> Result<PathBuf> {
        loop {
            if let Some(result) = export.take_result() {
                return result;
            }
            notifications.recv_timeout(TIMEOUT).expect("a notification");
        }
    }

    #[test]
    fn gif_holds_the_frames() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.gif");
        let (mut export, notifications) = start(4, &path);
        assert_eq!(wait(&mut export, &notifications).unwrap(), path);
        assert_eq!(export.progress(), (4, 4));
        assert!(export.take_result().is_none(), "the result came twice");
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
    fn png_files_equal_the_frames() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pictures");
        let (mut export, notifications) = start(3, &path);
        wait(&mut export, &notifications).unwrap();
        assert_eq!(path.read_dir().unwrap().count(), 3);
        for t in 0..3 {
            let file = path.join(format!("{t:06}.png"));
            let picture = image::open(file).unwrap().into_rgb8();
            assert_eq!(picture.dimensions(), (6, 4));
            assert!(picture.as_raw().iter().all(|&value| value == grey(t)));
        }
    }

    /// An export that is too long to finish before it is cancelled.
    fn long(path: &Path) -> (BackgroundExport, Receiver<()>) {
        let (export, notifications) = start(1_000_000, path);
        let started = Instant::now();
        while export.progress().0 == 0 {
            assert!(started.elapsed() < TIMEOUT, "the export does not start");
            std::thread::sleep(Duration::from_millis(1));
        }
        (export, notifications)
    }

    #[test]
    fn cancelling_leaves_nothing() {
        for name in ["clip.gif", "pictures"] {
            let folder = tempfile::tempdir().unwrap();
            let (mut export, notifications) = long(&folder.path().join(name));
            export.cancel();
            let result = wait(&mut export, &notifications);
            assert!(
                matches!(result, Err(Error::Data(driftless_data::Error::Interrupted))),
                "{result:?}"
            );
            assert_eq!(folder.path().read_dir().unwrap().count(), 0, "{name}");
        }
    }

    #[test]
    fn dropping_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.gif");
        std::fs::write(&path, "older").unwrap();
        for ended in [true, false] {
            let (export, notifications) = long(&path);
            if ended {
                export.cancel_and_wait();
            } else {
                drop(export);
            }
            // The thread drops its callback when it ends.
            let disconnected = std::iter::repeat_with(|| notifications.recv_timeout(TIMEOUT))
                .find(std::result::Result::is_err);
            assert_eq!(disconnected, Some(Err(RecvTimeoutError::Disconnected)));
            let left = folder.path().read_dir().unwrap().count();
            assert_eq!(left, 1, "ended: {ended}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "older");
        }
    }

    #[test]
    fn unwritable_path_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let (mut export, notifications) = start(2, &folder.path().join("missing/clip.gif"));
        let error = wait(&mut export, &notifications).unwrap_err().to_string();
        assert!(error.contains("missing"), "{error}");
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn short_export_notifies() {
        let folder = tempfile::tempdir().unwrap();
        let (notified, notifications) = bounded(1);
        let notify: Notify = Arc::new(move || {
            let _ = notified.try_send(());
        });
        let path = folder.path().join("clip.npz");
        let mut export =
            BackgroundExport::start(episode(1), path.clone(), 1, 20.0, notify).unwrap();
        notifications.recv_timeout(TIMEOUT).unwrap();
        assert_eq!(export.take_result().unwrap().unwrap(), path);
        assert_eq!(Episode::read(&path).unwrap().images, episode(1).images);
    }
}
