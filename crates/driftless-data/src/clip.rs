//! A few frames in a row.

/// Consecutive frames, each with the action that led to it. A rollout starts from such a clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    /// u8 RGB, `[T, H, W, 3]`.
    pub images: Vec<u8>,
    /// `[T]`; `actions[t]` led to `images[t]`.
    pub actions: Vec<u32>,
}

impl Clip {
    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.actions.len()
    }
}
