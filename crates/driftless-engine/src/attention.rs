//! Where a frame's tokens looked, for a person who looks into the model.

/// With which softmax weights the tokens of a finished frame mixed what they looked at, in the pass that
/// wrote the frame's keys and values. Such a pass ends behind the last layer that attends over time,
/// so later layers are not in it. How tokens hold cells: [`driftless_model::dynamics`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attention {
    /// Tokens of a frame.
    pub tokens: usize,
    /// Heads of every layer.
    pub heads: usize,
    /// Frames that a token saw, its own included.
    pub frames: usize,
    /// The layers that attend over time, counted from 0.
    pub time_layers: Vec<usize>,
    /// `[time layers, tokens, heads, frames]`: a token at itself, then 1, 2, … frames back.
    pub(super) time: Vec<f32>,
    /// `[layers, heads, tokens, tokens]`: a token at all tokens of its frame.
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

    /// Layers of the pass, each of which attends over the tokens of the frame.
    pub fn layers(&self) -> usize {
        self.space.len() / (self.heads * self.tokens * self.tokens).max(1)
    }

    /// The weights of a token over its own frames, `[frames]`: itself first, then 1, 2, … frames back.
    /// `layer` counts those in [`Attention::time_layers`]; none of a layer, head or token that there is not.
    pub fn over_time(&self, layer: usize, head: usize, token: usize) -> Option<&[f32]> {
        if head >= self.heads || token >= self.tokens {
            return None;
        }
        let at = ((layer * self.tokens + token) * self.heads + head) * self.frames;
        self.time.get(at..at + self.frames)
    }

    /// The weights of a token over the tokens of its frame, `[tokens]`; none of a layer, head or token
    /// that there is not.
    pub fn over_space(&self, layer: usize, head: usize, token: usize) -> Option<&[f32]> {
        if head >= self.heads || token >= self.tokens {
            return None;
        }
        let at = ((layer * self.heads + head) * self.tokens + token) * self.tokens;
        self.space.get(at..at + self.tokens)
    }
}
