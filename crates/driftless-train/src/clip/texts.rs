//! The texts of the captions as the network reads them, each read once.

use std::collections::HashMap;

use driftless_clip::PromptReader;
use driftless_data::captions::ClipCaption;

use crate::Result;
use crate::frame_store::ByteStore;
use crate::progress::TrainProgress;

/// A text as the network reads it.
#[derive(Clone, Debug)]
pub(super) struct Text {
    /// Indices of embeddings.
    pub indices: Vec<u32>,
    /// Bytes before its states in the store, and of them.
    at: usize,
    len: usize,
}

/// All texts of a dataset.
pub(super) struct Texts {
    known: HashMap<String, Text>,
    /// States of a text encoder, f32 in native byte order; empty without one.
    states: ByteStore,
}

impl Texts {
    /// Reads the texts of captions. States of a text encoder go into `store`, which is empty.
    ///
    /// # Errors
    /// Returns an error if the text encoder or the store fails.
    pub fn read(
        captions: &[ClipCaption],
        reader: &PromptReader,
        store: ByteStore,
        progress: &mut dyn TrainProgress,
    ) -> Result<Self> {
        let mut texts = Self {
            known: HashMap::new(),
            states: store,
        };
        let mut at = 0;
        for (i, caption) in captions.iter().enumerate() {
            for text in caption.texts.values().flatten() {
                if texts.known.contains_key(text) {
                    continue;
                }
                let read = reader.read(text)?;
                let bytes: Vec<u8> = read.states.iter().flat_map(|x| x.to_ne_bytes()).collect();
                texts.states.push(&bytes)?;
                let known = Text {
                    indices: read.indices,
                    at,
                    len: bytes.len(),
                };
                at += bytes.len();
                texts.known.insert(text.clone(), known);
            }
            if at > 0 {
                progress.reading_captions(i + 1, captions.len());
            }
        }
        Ok(texts)
    }

    /// A text that was read.
    pub fn get(&self, text: &str) -> Option<&Text> {
        self.known.get(text)
    }

    /// The states of a text's tokens, [tokens, width]; empty without a text encoder.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn states(&self, text: &Text) -> Result<Vec<f32>> {
        let mut bytes = Vec::with_capacity(text.len);
        self.states.read(text.at..text.at + text.len, &mut bytes)?;
        let (numbers, _) = bytes.as_chunks();
        Ok(numbers
            .iter()
            .map(|bytes| f32::from_ne_bytes(*bytes))
            .collect())
    }
}
