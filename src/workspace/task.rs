//! Work of a moment in a thread of its own, with one result.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError, bounded};

use super::Notify;
use crate::{Error, Result};

/// Whether nobody wants the result any more.
#[derive(Clone, Debug, Default)]
pub struct Cancelled(Arc<AtomicBool>);

impl Cancelled {
    /// Nobody does.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether nobody does.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A thread at work; dropping it cancels the work.
#[derive(Debug)]
pub struct Task<T> {
    result: Receiver<Result<T>>,
    cancelled: Cancelled,
}

impl<T: Send + 'static> Task<T> {
    /// Starts `work`; `notify` is called once it is done.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        notify: Notify,
        work: impl FnOnce(&Cancelled) -> Result<T> + Send + 'static,
    ) -> Result<Self> {
        let (sender, result) = bounded(1);
        let cancelled = Cancelled::default();
        let seen = cancelled.clone();
        std::thread::Builder::new()
            .name("task".into())
            .spawn(move || {
                // Nobody may be left to take it.
                let _ = sender.send(work(&seen));
                notify();
            })
            .map_err(|e| Error::Device(format!("cannot start a thread: {e}")))?;
        Ok(Self { result, cancelled })
    }

    /// The result, once, when it is there.
    pub fn take(&self) -> Option<Result<T>> {
        match self.result.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(Error::Device(
                "the work in the background broke off".into(),
            ))),
        }
    }

    /// Cancels the work; its result still arrives.
    pub fn cancel(&self) {
        self.cancelled.set();
    }

    /// Cancels the work, and waits a moment for it to end.
    pub fn end(self) {
        self.cancelled.set();
        let _ = self.result.recv_timeout(Duration::from_secs(2));
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.cancelled.set();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Notify {
        Arc::new(|| {})
    }

    fn wait<T: Send + 'static>(task: &Task<T>) -> Result<T> {
        loop {
            if let Some(result) = task.take() {
                return result;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn the_result_arrives_and_the_listener_is_told() {
        let told = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&told);
        let notify: Notify = Arc::new(move || seen.store(true, Ordering::SeqCst));
        let task = Task::start(notify, |_| Ok(7)).unwrap();
        assert_eq!(wait(&task).unwrap(), 7);
        while !told.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn work_that_panics_is_an_error_and_not_an_endless_wait() {
        let task = Task::<()>::start(quiet(), |_| panic!("no")).unwrap();
        assert!(wait(&task).is_err());
    }

    #[test]
    fn work_sees_that_it_is_cancelled() {
        let (sender, ended) = bounded(1);
        let task = Task::<()>::start(quiet(), move |cancelled| {
            while !cancelled.is_set() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let _ = sender.send(());
            Ok(())
        });
        drop(task.unwrap());
        ended.recv().unwrap();
    }
}
