//! The words that a network knows.

use std::collections::{BTreeMap, HashMap};

use crate::prompt::Prompt;

/// Most words of a prompt that any network reads.
pub const MAX_WORDS: usize = 64;

/// Stands after the last word.
pub const PADDING: u32 = 0;
/// Stands for no prompt.
pub(crate) const NO_PROMPT: u32 = 1;
/// Stands for a word that the network does not know.
pub(crate) const UNKNOWN: u32 = 2;
/// Stands for a token that a text encoder has read: its embedding is added to what becomes of the token's state. A
/// network with an encoder knows no words, so that the place is free.
pub(crate) const ENCODED: u32 = UNKNOWN;
/// Embeddings before that of the first word.
pub(crate) const SPECIAL: usize = 3;

/// Words with their embeddings' indices.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    indices: HashMap<String, u32>,
}

impl Vocabulary {
    /// A vocabulary with these words, in the order of their embeddings.
    pub fn new(words: &[String]) -> Self {
        let indices = words.iter().enumerate();
        Self {
            indices: indices
                .map(|(i, word)| (word.clone(), (SPECIAL + i) as u32))
                .collect(),
        }
    }

    /// The words of some texts that occur at least `least` times, in alphabetical order.
    pub fn of_texts<'a>(texts: impl Iterator<Item = &'a str>, least: usize) -> Vec<String> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for text in texts {
            for word in words(text) {
                *counts.entry(word).or_default() += 1;
            }
        }
        let frequent = counts.into_iter().filter(|(_, count)| *count >= least);
        frequent.map(|(word, _)| word).collect()
    }

    /// The first `most` words of a text. A text without words is no prompt.
    pub fn read(&self, text: &str, most: usize) -> Prompt {
        let mut read = Prompt::default();
        for word in words(text) {
            if read.indices.len() == most {
                read.left_out += 1;
                continue;
            }
            let index = self.indices.get(&word).copied();
            read.indices.push(index.unwrap_or(UNKNOWN));
            if index.is_none() && !read.unknown.contains(&word) {
                read.unknown.push(word);
            }
        }
        if read.indices.is_empty() {
            read.indices.push(NO_PROMPT);
        }
        read
    }
}

/// Whether a text says anything.
pub(crate) fn has_words(text: &str) -> bool {
    words(text).next().is_some()
}

/// The words of a text in lower case, ё read as е: runs of letters and digits.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.to_lowercase().replace('ё', "е"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_both_languages() {
        let texts = ["Turn left, then LEFT.", "Поверни налево; жёлтый шар"];
        let known = Vocabulary::of_texts(texts.into_iter(), 1);
        assert_eq!(
            known,
            ["left", "then", "turn", "желтый", "налево", "поверни", "шар"]
        );
        assert_eq!(Vocabulary::of_texts(texts.into_iter(), 2), ["left"]);
        let read = Vocabulary::new(&known).read("turn ЖЕЛТЫЙ dragon, dragon!", 8);
        assert_eq!(read.indices, [5, 6, UNKNOWN, UNKNOWN]);
        assert_eq!(read.unknown, ["dragon"]);
        assert_eq!(read.left_out, 0);
    }

    #[test]
    fn long_and_empty_prompts_are_read() {
        let vocabulary = Vocabulary::new(&["a".to_owned()]);
        let long = vocabulary.read("a b a a", 2);
        assert_eq!((long.indices.as_slice(), long.left_out), (&[3, 2][..], 2));
        for empty in ["", " ,. \n"] {
            assert_eq!(vocabulary.read(empty, 2).indices, [NO_PROMPT]);
        }
    }
}
