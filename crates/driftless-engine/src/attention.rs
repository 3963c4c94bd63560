//! Recorded attention weights of a frame, for the inspection view.

/// Softmax weights of the pass that wrote a frame's keys and values. That pass stops after the last
/// layer with temporal attention, so later layers are missing. [`driftless_model::dynamics`] describes how
/// tokens map to cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attention {
    /// Tokens per frame.
    pub tokens: usize,
    /// Heads per layer.
    pub heads: usize,
    /// Frames that a token attends to, its own included.
    pub frames: usize,
    /// Indices, from 0, of the layers with temporal attention.
    pub time_layers: Vec<usize>,
    /// `[time layers, tokens, heads, frames]`: a token to itself now, then 1, 2, … frames back.
    pub(super) time: Vec<f32>,
    /// `[layers, heads, tokens, tokens]`: a token to all tokens of its frame.
    pub(super) space: Vec<f32>,
}

impl Attention {
    pub(super) fn new(tokens: usize, heads: usize, frames: usize) -> Self {
        Self {
            tokens,
            heads,
            frames,
            ..Self::default()
        }
    }

    /// Number of recorded layers; each has spatial attention.
    pub fn layers(&self) -> usize {
        self.space.len() / (self.heads * self.tokens * self.tokens).max(1)
    }

    /// Temporal attention weights of a token, `[frames]`: itself now, then 1, 2, … frames back. `layer`
    /// is an index into [`Attention::time_layers`]. `None` if an index is out of range.
    pub fn over_time(&self, layer: usize, head: usize, token: usize) -> Option<&[f32]> {
        if head >= self.heads || token >= self.tokens {
            return None;
        }
        let at = ((layer * self.tokens + token) * self.heads + head) * self.frames;
        self.time.get(at..at + self.frames)
    }

    /// Spatial attention weights of a token over the tokens of its frame, `[tokens]`. `None` if an index
    /// is out of range.
    pub fn over_space(&self, layer: usize, head: usize, token: usize) -> Option<&[f32]> {
        if head >= self.heads || token >= self.tokens {
            return None;
        }
        let at = ((layer * self.heads + head) * self.tokens + token) * self.tokens;
        self.space.get(at..at + self.tokens)
    }
}
