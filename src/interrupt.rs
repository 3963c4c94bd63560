//! Turns Ctrl-C and SIGTERM into a request to stop, which long-running work checks.

use std::sync::OnceLock;

static HANDLER: OnceLock<()> = OnceLock::new();

/// Installs the handler: from now on Ctrl-C and SIGTERM do not end the process, but
/// [request](driftless_data::interrupt::request) long-running work to stop.
pub fn watch() {
    HANDLER.get_or_init(|| {
        if let Err(error) = ctrlc::set_handler(driftless_data::interrupt::request) {
            tracing::warn!("Ctrl-C will end the program without saving: {error}");
        }
    });
}
