//! Which tokens attend to each other.

/// Which tokens attend to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionPattern {
    /// All tokens of a frame attend to each other.
    Space,
    /// A token attends to the same token of other frames. The frames are one or more copies of the
    /// same `frames` time steps. The first copy is the clean context, with causal attention; a
    /// frame of a later copy attends to the clean frames of earlier time steps and to itself.
    /// Frames at a distance of `window` or more are masked.
    Time {
        /// Number of time steps, T.
        frames: usize,
        /// Window in frames, including the current one, W.
        window: usize,
    },
}

impl AttentionPattern {
    /// Number of attention parameters per head: the scale, and a bias for each distance.
    pub fn parameters(self) -> usize {
        match self {
            Self::Space => 1,
            Self::Time { window, .. } => 1 + window,
        }
    }

    /// Distance in frames from query `i` back to key `j`; `None` if masked.
    pub fn distance(self, i: usize, j: usize) -> Option<usize> {
        match self {
            Self::Space => Some(0),
            Self::Time { frames, window } => {
                let (step, clean) = (i % frames, i < frames);
                let distance = if i == j {
                    0
                } else if j < frames && (j < step || (clean && j == step)) {
                    step - j
                } else {
                    return None;
                };
                (distance < window).then_some(distance)
            }
        }
    }

    /// Length of the attended sequences in a [B, F, S] batch.
    pub(super) fn length(self, f: usize, s: usize) -> usize {
        match self {
            Self::Space => s,
            Self::Time { .. } => f,
        }
    }
}
