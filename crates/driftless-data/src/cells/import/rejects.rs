//! Rows that cannot be used.

use crate::{Error, Result};

/// What becomes of rows that cannot be used: the first ends the import, or all are left out and said.
pub(super) struct Rejects {
    left_out: bool,
    /// Why each row was left out.
    pub said: Vec<String>,
}

impl Rejects {
    pub fn new(left_out: bool) -> Self {
        Self {
            left_out,
            said: Vec::new(),
        }
    }

    /// What was made of a row, or `None` if it is left out.
    ///
    /// # Errors
    /// Returns the error, unless rows may be left out.
    pub fn keep<T>(&mut self, made: Result<T>) -> Result<Option<T>> {
        match made {
            Ok(made) => Ok(Some(made)),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(error) if self.left_out => {
                self.said.push(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Says that nothing of a kind is left, and why the first was left out.
    pub fn nothing(&self, what: &str) -> String {
        match self.said.first() {
            Some(why) => {
                format!("no {what} could be used; the first was left out because of {why}")
            }
            None => format!("no {what}, expected some"),
        }
    }
}
