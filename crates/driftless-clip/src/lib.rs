//! Whole clips from prompts: all frames at once, by flow matching on the latents of a world's tokenizer.
//!
//! The network is a small CrossDiT (Kandinsky 5, arXiv 2511.14993): one signal level τ for the whole clip,
//! bidirectional attention over space and time with 3-D rotary positions, cross-attention to the prompt's
//! words, and the prompt's mean in the modulation. It predicts the clean clip x̂.
//!
//! - [`config`]: `clip.json`, beside the other files of a world's checkpoint.
//! - [`actions`]: the actions of a clip, which are predicted with its frames.
//! - [`vocabulary`]: the words that a network knows.
//! - [`text_encoder`]: readers of prompts that were trained elsewhere, in place of these words.
//! - [`prompt`], [`prompt_reader`]: prompts as a network reads them.
//! - [`network`]: the network.
//! - [`request`]: what is asked of it.
//! - [`maker`]: makes clips with a trained network.
//!
//! ```no_run
//! use driftless_clip::{ClipMaker, ClipParams, ClipRequest};
//!
//! # fn main() -> driftless_clip::Result<()> {
//! let maker = ClipMaker::read("checkpoints/maze".as_ref(), &candle_core::Device::Cpu)?;
//! let request = ClipRequest::new("walk forward, then turn left");
//! let clip = maker.make(&request, &ClipParams::of(maker.config()), &mut |_| true)?;
//! assert_eq!(clip.images.len(), 16 * 64 * 64 * 3);
//! # Ok(())
//! # }
//! ```

pub mod actions;
#[cfg(feature = "text-encoder")]
mod bert;
pub mod config;
mod error;
mod layers;
pub mod maker;
pub mod network;
pub mod prompt;
pub mod prompt_reader;
pub mod request;
pub mod rotary;
pub mod text_encoder;
pub mod vocabulary;

#[cfg(test)]
mod tests;

pub use config::{ClipConfig, ClipSampling, ClipShape};
pub use error::{Error, Result};
pub use maker::{ClipMaker, ClipProgress, MadeClip};
pub use network::{ClipInput, ClipNetwork, TextBatch};
pub use prompt::Prompt;
pub use prompt_reader::PromptReader;
pub use request::{ClipOrigin, ClipParams, ClipRequest};
pub use text_encoder::{EncodedText, TextEncoder, TextEncoderInfo};
pub use vocabulary::Vocabulary;
