//! Encoders of prompts that were trained elsewhere and stay as they are. The states of their tokens stand where
//! the words of the network's own vocabulary would.

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Which encoder a network was trained with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextEncoderInfo {
    /// Numbers of a token's state.
    pub width: usize,
    /// CRC-32C of its weights and its tokenizer, in hexadecimal digits.
    pub checksum: String,
}

/// A text as an encoder reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EncodedText {
    /// The state of each token, [tokens, width].
    pub states: Vec<f32>,
    /// Words at the end that were left out because the text is too long.
    pub left_out: usize,
}

/// Maps texts to states of tokens.
pub trait TextEncoder: Send + Sync {
    /// What tells it from others.
    fn info(&self) -> &TextEncoderInfo;

    /// The states of the first `most` tokens of a text.
    ///
    /// # Errors
    /// Returns an error if the text cannot be read or the device fails.
    fn encode(&self, text: &str, most: usize) -> Result<EncodedText>;
}

/// Reads the text encoder in a folder.
///
/// # Errors
/// Returns an error if the folder holds none, or if the program was built without the feature `text-encoder`.
#[cfg(feature = "text-encoder")]
pub fn read(folder: &Path, device: &Device) -> Result<Arc<dyn TextEncoder>> {
    Ok(Arc::new(crate::bert::Bert::read(folder, device)?))
}

/// Refuses: this program was built without the feature `text-encoder`.
///
/// # Errors
/// Always.
#[cfg(not(feature = "text-encoder"))]
pub fn read(_folder: &Path, _device: &Device) -> Result<Arc<dyn TextEncoder>> {
    let what =
        "this program was built without text encoders: build it with --features text-encoder";
    Err(crate::Error::Argument(what.into()))
}
