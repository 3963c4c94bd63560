//! Reads prompts.

use std::sync::Arc;

use crate::config::ClipConfig;
use crate::prompt::Prompt;
use crate::text_encoder::{TextEncoder, TextEncoderInfo};
use crate::vocabulary::{ENCODED, NO_PROMPT, Vocabulary, has_words};
use crate::{Error, Result};

/// Reads prompts with the network's own vocabulary, or with the text encoder that it was trained with.
#[derive(Clone)]
pub struct PromptReader {
    vocabulary: Vocabulary,
    /// Most words or tokens.
    most: usize,
    /// The encoder that the network needs.
    needed: Option<TextEncoderInfo>,
    encoder: Option<Arc<dyn TextEncoder>>,
}

impl PromptReader {
    /// A reader for a network. One that needs a text encoder reads nothing without it.
    pub fn new(config: &ClipConfig) -> Self {
        Self {
            vocabulary: Vocabulary::new(&config.vocabulary),
            most: config.network.text_words,
            needed: config.text_encoder.clone(),
            encoder: None,
        }
    }

    /// Gives it the text encoder that it needs.
    ///
    /// # Errors
    /// Returns an error if it needs none, or another one.
    pub fn with_encoder(mut self, encoder: Arc<dyn TextEncoder>) -> Result<Self> {
        let given = encoder.info();
        let wrong = match &self.needed {
            None => "the network reads prompts with its own vocabulary, expected no text encoder"
                .to_owned(),
            Some(needed) if needed != given => format!(
                "the text encoder has checksum {}, expected {}: that which the network was trained with",
                given.checksum, needed.checksum
            ),
            Some(_) => {
                self.encoder = Some(encoder);
                return Ok(self);
            }
        };
        Err(Error::Argument(wrong))
    }

    /// Reads a prompt. A text without words is no prompt.
    ///
    /// # Errors
    /// Returns an error if the text encoder is missing or fails.
    pub fn read(&self, text: &str) -> Result<Prompt> {
        let Some(needed) = &self.needed else {
            return Ok(self.vocabulary.read(text, self.most));
        };
        let Some(encoder) = &self.encoder else {
            let what = "the network reads prompts with a text encoder, expected that of its training: `driftless \
                        film --text-encoder DIR`";
            return Err(Error::Argument(what.to_owned()));
        };
        if !has_words(text) {
            return Ok(Prompt {
                indices: vec![NO_PROMPT],
                states: vec![0.0; needed.width],
                ..Prompt::default()
            });
        }
        let read = encoder.encode(text, self.most)?;
        Ok(Prompt {
            indices: vec![ENCODED; read.states.len() / needed.width],
            states: read.states,
            unknown: Vec::new(),
            left_out: read.left_out,
        })
    }
}
