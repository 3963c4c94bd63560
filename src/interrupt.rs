//! Ctrl-C and a termination signal, turned into a request to stop.

use std::sync::OnceLock;

static HANDLER: OnceLock<()> = OnceLock::new();

/// From now on Ctrl-C and a termination signal do not end the program, but
/// [request](driftless_data::interrupt::request) long work to stop.
pub fn watch() {
    HANDLER.get_or_init(|| {
        if let Err(error) = ctrlc::set_handler(driftless_data::interrupt::request) {
            tracing::warn!("Ctrl-C ends the program at once: {error}");
        }
    });
}
