//! Turns Ctrl-C and SIGTERM into a request to stop, which long-running work checks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static HANDLER: OnceLock<()> = OnceLock::new();
static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Installs the handler: from now on Ctrl-C and SIGTERM do not end the process, but make
/// [`requested`] true.
pub fn watch() {
    HANDLER.get_or_init(|| {
        let request = || REQUESTED.store(true, Ordering::Relaxed);
        if let Err(error) = ctrlc::set_handler(request) {
            tracing::warn!("Ctrl-C will end the program without saving: {error}");
        }
    });
}

/// Whether the user asked to stop since [`watch`].
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
