//! `cells.json` and `truth.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{INFO, MAX_CHANNELS, MAX_SIDE};
use crate::fs::read_text;
use crate::{Error, PathError as _, Result};

/// The version of `cells.json`.
pub const CELLS_FORMAT: u32 = 1;

/// A dataset's compounds, doses, plates and shards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellInfo {
    /// [`CELLS_FORMAT`].
    pub format: u32,
    /// For display.
    pub name: String,
    /// Height and width in pixels.
    pub image: [usize; 2],
    /// What each channel shows, 1 to 6 names.
    pub channels: Vec<String>,
    /// For display, `µM` for example.
    pub dose_unit: String,
    /// All compounds; a picture names one by its index.
    pub compounds: Vec<Compound>,
    /// All plates, or batches: pictures of one share stain, light and focus.
    pub plates: Vec<Plate>,
    /// The files with the pictures.
    pub shards: Vec<Shard>,
}

/// A compound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compound {
    /// Its name.
    pub name: String,
    /// A fingerprint or an embedding; equally long for all compounds.
    pub descriptor: Vec<f32>,
    /// Its mechanism of action, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
}

/// A plate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plate {
    /// Its name.
    pub name: String,
}

/// A file with pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// File name.
    pub file: String,
    /// Number of pictures.
    pub pictures: usize,
}

/// What a simulator knows of its drugs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TruthInfo {
    /// Names of the columns of `parameters`.
    pub parameters: Vec<String>,
    /// One entry for each compound.
    pub drugs: Vec<DrugTruth>,
}

/// The true dose response of a compound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrugTruth {
    /// The compound's name.
    pub name: String,
    /// Dose of half the effect.
    pub ec50: f32,
    /// Hill slope.
    pub hill: f32,
}

impl CellInfo {
    /// Reads `cells.json` of a dataset folder.
    ///
    /// # Errors
    /// Returns an error if the file is missing, or if it is not valid.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(INFO);
        let text = read_text(&path)?;
        let info: Self =
            serde_json::from_str(&text).map_err(|e| Error::invalid(&path, e.to_string()))?;
        info.check().map_err(|what| Error::invalid(&path, what))?;
        Ok(info)
    }

    /// Length of a compound's descriptor.
    pub fn descriptor_len(&self) -> usize {
        self.compounds.first().map_or(0, |c| c.descriptor.len())
    }

    /// Bytes of a picture.
    pub fn picture_len(&self) -> usize {
        self.image[0] * self.image[1] * self.channels.len()
    }

    /// Says what is wrong, and what was expected.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        if self.format != CELLS_FORMAT {
            let format = self.format;
            return Err(format!("format is {format}, expected {CELLS_FORMAT}"));
        }
        let sides = 8..=MAX_SIDE;
        if !self.image.iter().all(|side| sides.contains(side)) {
            let [height, width] = self.image;
            return Err(format!(
                "image is {height}×{width}, expected sides of 8 to {MAX_SIDE}"
            ));
        }
        let channels = self.channels.len();
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(format!("{channels} channels, expected 1 to {MAX_CHANNELS}"));
        }
        if self.compounds.is_empty() || self.plates.is_empty() {
            return Err("no compounds or no plates, expected at least one of each".to_owned());
        }
        let len = self.descriptor_len();
        for compound in &self.compounds {
            let Compound {
                name, descriptor, ..
            } = compound;
            if descriptor.len() != len || !descriptor.iter().all(|x| x.is_finite()) {
                let found = descriptor.len();
                return Err(format!(
                    "compounds: the descriptor of `{name}` has {found} numbers, expected {len} finite ones"
                ));
            }
        }
        for shard in &self.shards {
            let plain = Path::new(&shard.file).file_name();
            if plain.is_none_or(|name| name != shard.file.as_str()) {
                let file = &shard.file;
                return Err(format!(
                    "shards: `{file}`, expected the name of a file in the folder"
                ));
            }
        }
        Ok(())
    }
}
