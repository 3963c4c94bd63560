//! From facts to words, in any of the languages.

use rand_chacha::ChaCha8Rng;

use super::clauses::Grouped;
use super::fact::Fact;
use super::{english, russian};

/// The most words of a caption.
pub const MAX_WORDS: usize = 32;
/// Tries to find a text that is short enough, and unlike those before it.
const TRIES: usize = 24;

/// A language of captions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Language {
    /// English.
    English,
    /// Russian.
    Russian,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::English, Self::Russian];

    /// Its code (ISO 639-1).
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Russian => "ru",
        }
    }
}

/// Up to `count` different texts that say these facts and nothing else, each of at most [`MAX_WORDS`] words.
/// Phases of a motion must be in order.
pub fn texts(
    language: Language,
    facts: &[Fact],
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<String> {
    let grouped = Grouped::of(facts);
    let mut texts: Vec<String> = Vec::new();
    for _ in 0..TRIES * count {
        if texts.len() == count {
            break;
        }
        let text = match language {
            Language::English => english::text(&grouped, rng),
            Language::Russian => russian::text(&grouped, rng),
        };
        let words = text.split_whitespace().count();
        if (1..=MAX_WORDS).contains(&words) && !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}
