//! The token that a player must know.

use std::path::Path;

use driftless_data::fs::read_text;
use subtle::ConstantTimeEq as _;

use crate::{Error, Result};

/// The shortest token: 16 random letters cannot be guessed over a network.
const LEAST: usize = 16;
/// The longest token.
const MOST: usize = 256;

/// A token. It is not shown in logs.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Reads the file that holds the token, in one line.
    ///
    /// # Errors
    /// Returns an error if there is no such file, or if what it holds is too short, too long or not printable ASCII.
    pub fn read(path: &Path) -> Result<Self> {
        Self::new(read_text(path)?.trim()).map_err(|what| Error::token(path, what))
    }

    /// The token in a text.
    ///
    /// # Errors
    /// Returns what is wrong with it: it is too short, too long or not printable ASCII.
    pub fn new(text: &str) -> std::result::Result<Self, String> {
        if !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err("expected one line of ASCII without spaces".into());
        }
        if !(LEAST..=MOST).contains(&text.len()) {
            let length = text.len();
            return Err(format!(
                "the token has {length} characters, expected {LEAST} to {MOST}"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The token, to be sent to a server.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether this is the token. How long the comparison takes depends on the length only.
    pub fn is(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Token> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Token::read(file.path())
    }

    #[test]
    fn token_is_itself_only() {
        let token = read("correct-horse-battery\n").unwrap();
        assert!(token.is("correct-horse-battery"));
        for other in [
            "",
            "correct-horse-batterx",
            "correct-horse-battery ",
            "Correct-horse-battery",
        ] {
            assert!(!token.is(other), "{other}");
        }
    }

    #[test]
    fn weak_or_damaged_tokens_are_refused() {
        for (text, expected) in [
            ("", "has 0 characters, expected 16 to 256"),
            ("secret\n", "has 6 characters"),
            (&"x".repeat(300), "has 300 characters"),
            ("two lines of\ntoken, token", "expected one line of ASCII"),
            ("schlüssel-schlüssel", "expected one line of ASCII"),
        ] {
            let error = read(text).err().unwrap().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
