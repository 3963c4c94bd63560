//! A few frames in a row.

/// Past frames to start from, with the action that led to each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    /// u8 RGB, `[T, H, W, 3]`.
    pub images: Vec<u8>,
    /// `[T]`; `actions[t]` led to frame t.
    pub actions: Vec<u32>,
}

impl Clip {
    /// Frames in the clip.
    pub fn frames(&self) -> usize {
        self.actions.len()
    }
}
