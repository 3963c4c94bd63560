//! A short job in a thread of its own, with one result.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError, bounded};

use super::Notify;
use crate::{Error, Result};

/// Tells a job that its result is no longer needed. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Sets the flag.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the flag is set.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A job that runs in a thread; dropping it cancels the job.
#[derive(Debug)]
pub struct BackgroundTask<T> {
    result: Receiver<Result<T>>,
    cancelled: CancelFlag,
}

impl<T: Send + 'static> BackgroundTask<T> {
    /// Starts `work`; `notify` is called when it is done.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn start(
        notify: Notify,
        work: impl FnOnce(&CancelFlag) -> Result<T> + Send + 'static,
    ) -> Result<Self> {
        let (sender, result) = bounded(1);
        let cancelled = CancelFlag::default();
        let flag = cancelled.clone();
        std::thread::Builder::new()
            .name("task".into())
            .spawn(move || {
                // The receiver may be gone.
                let _ = sender.send(work(&flag));
                notify();
            })
            .map_err(|e| Error::no_thread(&e))?;
        Ok(Self { result, cancelled })
    }

    /// The result, once, when the job is done. A job that panicked gives an error.
    pub fn take(&self) -> Option<Result<T>> {
        match self.result.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(Error::Thread(
                "a background job stopped unexpectedly".into(),
            ))),
        }
    }

    /// Cancels the job; its result still arrives.
    pub fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// Cancels the job and waits up to two seconds for it to finish.
    pub fn cancel_and_wait(self) {
        self.cancelled.cancel();
        let _ = self.result.recv_timeout(Duration::from_secs(2));
    }
}

impl<T> Drop for BackgroundTask<T> {
    fn drop(&mut self) {
        self.cancelled.cancel();
    }
}

/// The next of the answers that a thread sends, if one has arrived; `ended` once the thread is gone.
pub fn next_answer<T>(answers: &Receiver<T>, ended: T) -> Option<T> {
    match answers.try_recv() {
        Ok(answer) => Some(answer),
        Err(TryRecvError::Empty) => None,
        Err(TryRecvError::Disconnected) => Some(ended),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Notify {
        Arc::new(|| {})
    }

    fn wait<T: Send + 'static>(task: &BackgroundTask<T>) -> Result<T> {
        loop {
            if let Some(result) = task.take() {
                return result;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn result_arrives_and_notifies() {
        let notified = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&notified);
        let notify: Notify = Arc::new(move || flag.store(true, Ordering::SeqCst));
        let task = BackgroundTask::start(notify, |_| Ok(7)).unwrap();
        assert_eq!(wait(&task).unwrap(), 7);
        while !notified.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn panic_becomes_an_error() {
        let task = BackgroundTask::<()>::start(quiet(), |_| panic!("no")).unwrap();
        assert!(wait(&task).is_err());
    }

    #[test]
    fn dropping_cancels_the_job() {
        let (sender, cancelled_job) = bounded(1);
        let task = BackgroundTask::<()>::start(quiet(), move |cancelled| {
            while !cancelled.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let _ = sender.send(());
            Ok(())
        });
        drop(task.unwrap());
        cancelled_job.recv().unwrap();
    }
}
