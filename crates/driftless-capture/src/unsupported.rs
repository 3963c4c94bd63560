//! Where capturing does not work.

use crate::source::{CaptureSource, Picture, SourceOptions, WindowInfo};
use crate::{Activity, Error, Result};

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

/// The pictures of windows.
///
/// # Errors
/// Always: this system is not supported.
pub fn stills(_: Option<&str>, _: &[u32]) -> Result<Vec<Option<Picture>>> {
    Err(unsupported())
}

/// A frame around a window that is recorded.
pub struct Marker(std::convert::Infallible);

impl Marker {
    /// Prepares the frame of a window.
    ///
    /// # Errors
    /// Always: this system is not supported.
    pub fn new(_: Option<&str>, _: u32) -> Result<Self> {
        Err(unsupported())
    }

    /// Shows the frame with a text.
    ///
    /// # Errors
    /// Never: there is no frame.
    pub fn show(&self, _: Activity, _: &str) -> Result<()> {
        match self.0 {}
    }
}
