//! Pictures of untreated cells that come with a checkpoint, so that it can be played without its
//! dataset.

use std::path::Path;

use driftless_data::npz::{NpzReader, NpzWriter};

use crate::config::TransportConfig;
use crate::{Error, Result};

/// File name of the controls in a checkpoint folder.
pub const CONTROLS: &str = "controls.npz";
const IMAGE: &str = "image";
const PLATE: &str = "plate";

/// Untreated cells of the plates of the training.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// u8 [N, H, W, C].
    pub images: Vec<u8>,
    /// Index of each picture's plate among those of the configuration.
    pub plates: Vec<usize>,
}

impl Controls {
    /// Reads the controls of a checkpoint folder; none if it has no such file.
    ///
    /// # Errors
    /// Returns an error that names file and array if it is damaged or does not fit the configuration.
    pub fn read(folder: &Path, config: &TransportConfig) -> Result<Self> {
        let path = folder.join(CONTROLS);
        if !path.is_file() {
            return Ok(Self::default());
        }
        let mut npz = NpzReader::open(&path)?;
        let plates = npz.array(PLATE)?;
        let count = plates.shape.first().copied().unwrap_or_default();
        let known = |plate: &f64| (0..config.plates.len()).find(|known| *known as f64 == *plate);
        let indices = plates
            .to_f64()
            .filter(|_| plates.shape.len() == 1)
            .and_then(|all| all.iter().map(known).collect::<Option<Vec<usize>>>())
            .ok_or_else(|| {
                let last = config.plates.len().saturating_sub(1);
                npz.error(PLATE, format!("expected one plate a picture, 0 to {last}"))
            })?;
        let images = npz.array(IMAGE)?;
        let [height, width] = config.image;
        let expected = [count, height, width, config.channels.len()];
        let found = images.shape.clone();
        let images = images.into_u8().filter(|_| found == expected);
        Ok(Self {
            images: images.ok_or_else(|| {
                let what = format!("shape is {found:?}, expected uint8 of {expected:?}");
                npz.error(IMAGE, what)
            })?,
            plates: indices,
        })
    }

    /// Writes them into a checkpoint folder.
    ///
    /// # Errors
    /// Returns an error if the pictures do not fit the configuration or the file cannot be written.
    pub fn write(&self, folder: &Path, config: &TransportConfig) -> Result<()> {
        let plates: Vec<i32> = self.plates.iter().map(|plate| *plate as i32).collect();
        let [height, width] = config.image;
        let shape = [plates.len(), height, width, config.channels.len()];
        if self.images.len() != shape.iter().product::<usize>() {
            return Err(Error::Argument(format!(
                "{} bytes, expected pictures of shape {shape:?}",
                self.images.len()
            )));
        }
        let mut npz = NpzWriter::new(&folder.join(CONTROLS));
        npz.add(IMAGE, &shape, &self.images)?;
        npz.add(PLATE, &[plates.len()], &plates)?;
        Ok(npz.save()?)
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.plates.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.plates.is_empty()
    }

    /// The bytes of a picture, [H, W, C].
    pub fn picture(&self, index: usize) -> &[u8] {
        let len = self.images.len() / self.len().max(1);
        &self.images[index * len..(index + 1) * len]
    }
}
