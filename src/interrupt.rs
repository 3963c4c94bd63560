//! Ctrl-C and a polite kill, as a wish that long work looks for.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);
static HANDLER: OnceLock<()> = OnceLock::new();

/// From now on Ctrl-C and a polite kill do not end the program but are noted.
pub fn watch() {
    HANDLER.get_or_init(|| {
        let handler = || ASKED.store(true, Ordering::Relaxed);
        if let Err(error) = ctrlc::set_handler(handler) {
            tracing::warn!("Ctrl-C ends the program at once: {error}");
        }
    });
}

/// Whether the program was asked to stop since [`watch`].
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
