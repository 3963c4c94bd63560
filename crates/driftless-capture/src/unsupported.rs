//! Where capturing does not work.

use crate::source::{CaptureSource, SourceOptions, WindowInfo};
use crate::{Error, Result};

fn unsupported() -> Error {
    let what = "capturing a window works on Linux with X11 (or Xwayland), not on this system";
    Error::Unsupported(what.into())
}

/// The windows of a display.
///
/// # Errors
/// Always: this system is not supported.
pub fn windows(_: Option<&str>) -> Result<Vec<WindowInfo>> {
    Err(unsupported())
}

/// Watches a window.
///
/// # Errors
/// Always: this system is not supported.
pub fn open(_: &SourceOptions) -> Result<Box<dyn CaptureSource>> {
    Err(unsupported())
}
