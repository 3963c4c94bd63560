//! A wish to stop.

use std::sync::Arc;

/// Whether what goes on should be given up: a person has asked to stop, for example.
pub type Stop = Arc<dyn Fn() -> bool + Send + Sync>;
