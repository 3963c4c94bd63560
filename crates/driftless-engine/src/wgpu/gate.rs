//! Keeps the engine's submissions apart from a window's work on its surface.

use std::sync::{Condvar, Mutex, PoisonError};

use wgpu::{CommandBuffer, Queue, SubmissionIndex};

/// While it is closed, engines wait before they submit.
///
/// Setting up or dropping a surface waits for the whole device (`vkDeviceWaitIdle` in wgpu-hal's
/// `Swapchain::release_resources`). Vulkan forbids to submit to any of its queues meanwhile, and wgpu does not lock
/// them; it also refuses to set up a surface when another thread submits while it waits. So a window closes the
/// gate for as long.
#[derive(Debug, Default)]
pub struct SubmissionGate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl SubmissionGate {
    /// Keeps further submissions waiting; returns when none is in progress.
    pub fn close(&self) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Lets submissions pass.
    pub fn open(&self) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.opened.notify_all();
    }

    /// Submits once the gate is open.
    pub(super) fn submit(&self, queue: &Queue, commands: CommandBuffer) -> SubmissionIndex {
        self.pass(|| queue.submit([commands]))
    }

    /// Runs `work` once the gate is open; it does not close before `work` is done.
    fn pass<T>(&self, work: impl FnOnce() -> T) -> T {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        let open = self.opened.wait_while(closed, |closed| *closed);
        let _open = open.unwrap_or_else(PoisonError::into_inner);
        work()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn closed_gate_keeps_work_waiting() {
        let gate = SubmissionGate::default();
        gate.close();
        let is_open = AtomicBool::new(false);
        let (arrived, arrives) = channel();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                arrived.send(()).unwrap();
                gate.pass(|| is_open.load(Ordering::SeqCst))
            });
            arrives.recv().unwrap();
            is_open.store(true, Ordering::SeqCst);
            gate.open();
            assert!(waiting.join().unwrap(), "submitted through a closed gate");
        });
    }

    #[test]
    fn closing_waits_for_work() {
        let gate = SubmissionGate::default();
        let (started, begins) = channel();
        let (done, ended) = channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                gate.pass(|| {
                    started.send(()).unwrap();
                    thread::yield_now();
                    done.send(()).unwrap();
                });
            });
            begins.recv().unwrap();
            gate.close();
            assert!(
                ended.try_recv().is_ok(),
                "closed in the middle of a submission"
            );
            gate.open();
        });
    }
}
