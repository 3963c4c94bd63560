//! Turns Ctrl-C and SIGTERM into a flag that long-running work checks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static HANDLER: OnceLock<()> = OnceLock::new();

/// Installs the handler: from now on Ctrl-C and SIGTERM set the flag instead of ending the process.
pub fn watch() {
    HANDLER.get_or_init(|| {
        let handler = || REQUESTED.store(true, Ordering::Relaxed);
        if let Err(error) = ctrlc::set_handler(handler) {
            tracing::warn!("Ctrl-C will end the program without saving: {error}");
        }
    });
}

/// Whether an interrupt was requested since [`watch`].
pub fn asked() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
