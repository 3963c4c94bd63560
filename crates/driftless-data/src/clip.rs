//! A few frames in a row.

use crate::Action;

/// Consecutive frames, each with the action that led to it. A rollout starts from such a clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// u8 RGB, `[T, H, W, 3]`.
    pub images: Vec<u8>,
    /// `[T]`; `actions[t]` led to `images[t]`.
    pub actions: Vec<Action>,
}

impl Clip {
    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.actions.len()
    }
}
