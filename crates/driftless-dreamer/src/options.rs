//! What a checkpoint says of itself beside its weights: the options that it was trained with.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use driftless_data::pth::{self, Argument};
use driftless_published::{Error, Result, is_safetensors};

/// Most heads of a network.
pub(crate) const MAX_HEADS: usize = 1024;

/// The options of a file; what is missing has the published program's default.
pub(crate) struct Options {
    path: PathBuf,
    arguments: BTreeMap<String, Argument>,
}

impl Options {
    /// Reads the options of a checkpoint. Files that hold weights alone have none.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let arguments = if is_safetensors(path) {
            BTreeMap::new()
        } else {
            pth::arguments(path)?
        };
        Ok(Self {
            path: path.to_path_buf(),
            arguments,
        })
    }

    /// A number of things: whole, and within `range`.
    pub(crate) fn count(
        &self,
        name: &str,
        range: RangeInclusive<usize>,
        default: usize,
    ) -> Result<usize> {
        Ok(self.given(name, range)?.unwrap_or(default))
    }

    /// A number of things, if the file tells it.
    pub(crate) fn given(&self, name: &str, range: RangeInclusive<usize>) -> Result<Option<usize>> {
        let (least, most) = range.into_inner();
        let Some(argument) = self.arguments.get(name) else {
            return Ok(None);
        };
        if let Argument::Number(value) = *argument
            && value.fract() == 0.0
            && (least as f64..=most as f64).contains(&value)
        {
            return Ok(Some(value as usize));
        }
        let what = format!(
            "option `{name}` is {argument}, expected a whole number from {least} to {most}"
        );
        Err(Error::weights(&self.path, what))
    }

    /// Whether something is so.
    pub(crate) fn flag(&self, name: &str, default: bool) -> bool {
        match self.arguments.get(name) {
            Some(Argument::Flag(flag)) => *flag,
            Some(Argument::Number(number)) => *number != 0.0,
            _ => default,
        }
    }

    /// A text, if the file tells it.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.arguments.get(name) {
            Some(Argument::Text(text)) => Some(text),
            _ => None,
        }
    }
}
