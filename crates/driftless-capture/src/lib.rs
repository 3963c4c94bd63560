//! Records another program's window: every frame with the keys that were held when it was taken, as a dataset
//! ([`driftless_data`]).
//!
//! **What is recorded.** The picture of one window, and of all keys only those that were chosen, only while that window
//! has the keyboard's focus. The display sends every key while it is asked for keys; others are dropped as they come.
//! While another window has the focus, it is not asked, and no picture is taken; what lies over the window is not in its
//! picture. The tests hold this promise
//! (`tests/capture.rs`, and those of the input in `src/x11/`).
//!
//! **Which platforms.** Linux, and other Unix systems with X11 (Xwayland included); elsewhere every function says so.
//! [`CaptureSource`] is what a platform implements.
//!
//! - [`windows`], [`choose`], [`stills`]: which windows there are, and what they look like.
//! - [`open`]: watches a window.
//! - [`learn_keys`]: finds out which keys a game needs, by watching.
//! - [`count_down`]: waits before the capture, and watches its keys meanwhile.
//! - [`Marker`]: shows on the screen what is recorded.
//! - [`record`]: captures, frame by frame, into a journal.
//! - [`finish`]: makes the dataset from the journal.

mod actions;
mod before;
mod clock;
mod dataset;
mod error;
mod key;
mod recorder;
mod remarks;
mod source;
mod tape;
#[cfg(not(all(unix, not(target_os = "macos"))))]
mod unsupported;
#[cfg(all(unix, not(target_os = "macos")))]
mod x11;

#[cfg(not(all(unix, not(target_os = "macos"))))]
use unsupported as platform;
#[cfg(all(unix, not(target_os = "macos")))]
use x11 as platform;

pub use actions::CaptureActions;
pub use before::{count_down, learn_keys};
pub use clock::{Clock, Lateness, SystemClock};
pub use dataset::{
    ACTIONS_FILE, CaptureReport, CapturedEpisode, MIN_FRAMES, finish, write_dataset,
};
pub use error::{Error, Result};
pub use key::{ChosenKey, Key, KeySet};
pub use platform::{Marker, open, stills, windows};
pub use recorder::{Activity, CapturePlan, Captured, EPISODE_FRAMES, End, Progress, record};
pub use source::{
    CaptureSource, Crop, Moment, Picture, SourceOptions, WindowInfo, WindowState, choose, keys_of,
};
pub use tape::{Cut, TapeHeader, TapeKey, TapeSummary};
