//! A prompt as a network reads it.

/// A prompt as a network reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// Indices of embeddings, one a word or a token.
    pub indices: Vec<u32>,
    /// With a text encoder, the states of its tokens, [tokens, width].
    pub states: Vec<f32>,
    /// Words that the network does not know, each once.
    pub unknown: Vec<String>,
    /// Words that were left out because the prompt is too long.
    pub left_out: usize,
}
