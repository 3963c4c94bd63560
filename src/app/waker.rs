//! Wakes the window from other threads.

use std::sync::{Arc, Mutex, PoisonError};

use eframe::egui::{Context, ViewportId};

use crate::workspace::Notify;

/// Requests a repaint of the currently open window from any thread.
#[derive(Clone, Default)]
pub(super) struct Waker(Arc<Mutex<Context>>);

impl Waker {
    pub fn wake(&self) {
        let context = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        context.request_repaint_of(ViewportId::ROOT);
    }

    /// Wakes this window from now on.
    pub fn attach(&self, to: &Context) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = to.clone();
    }

    /// The waker as a callback for background work.
    pub fn notify(&self) -> Notify {
        let waker = self.clone();
        Arc::new(move || waker.wake())
    }
}
