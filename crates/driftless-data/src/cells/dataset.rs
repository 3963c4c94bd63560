//! A dataset in memory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{CellInfo, TRUTH, TruthInfo, array, truth_shard};
use crate::fs::read_text;
use crate::npz::NpzReader;
use crate::{Error, PathError as _, Result};

/// The pictures of a dataset with what they show.
#[derive(Clone, Debug)]
pub struct CellDataset {
    /// Compounds, plates and channels.
    pub info: CellInfo,
    /// u8 [N, H, W, C].
    pub images: Vec<u8>,
    /// Index of the compound of each picture; `None` for controls.
    pub compound: Vec<Option<usize>>,
    /// Dose of each picture; 0 for controls.
    pub dose: Vec<f32>,
    /// Index of the plate of each picture.
    pub plate: Vec<usize>,
    /// Whether training may see it.
    pub train: Vec<bool>,
    folder: PathBuf,
}

/// What only a simulator knows.
#[derive(Clone, Debug)]
pub struct CellTruth {
    /// The drugs' dose responses.
    pub info: TruthInfo,
    /// The same cell without treatment, u8 [N, H, W, C] in the order of the dataset.
    pub controls: Vec<u8>,
    /// The cell's parameters, [N, P].
    pub parameters: Vec<f32>,
    /// Number of cells in each picture, \[N\]; `None` in recordings from before it was kept.
    pub cells: Option<Vec<u8>>,
}

/// Why training has not seen the condition of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeldOut {
    /// It has: compound, dose and plate.
    Seen,
    /// The compound is new.
    Compound,
    /// The dose is new for a compound that is not.
    Dose,
    /// The plate is new, but neither compound nor dose.
    Plate,
}

impl HeldOut {
    /// All, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Seen, Self::Compound, Self::Dose, Self::Plate];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Compound => "held-out compounds",
            Self::Dose => "held-out doses",
            Self::Plate => "held-out plates",
        }
    }
}

impl CellDataset {
    /// Reads a dataset folder.
    ///
    /// # Errors
    /// Returns an error if a file is missing or damaged, or if a number in it is out of range; it
    /// names the file, the array and the row.
    pub fn read(folder: &Path) -> Result<Self> {
        let info = CellInfo::read(folder)?;
        let mut data = Self {
            images: Vec::new(),
            compound: Vec::new(),
            dose: Vec::new(),
            plate: Vec::new(),
            train: Vec::new(),
            folder: folder.to_path_buf(),
            info,
        };
        let shards = data.info.shards.clone();
        for shard in &shards {
            data.read_shard(&folder.join(&shard.file), shard.pictures)?;
        }
        if data.is_empty() {
            return Err(Error::invalid(folder, "no pictures, expected at least one"));
        }
        Ok(data)
    }

    /// Whether the dataset in a folder keeps pictures from training. Reads no pictures.
    ///
    /// # Errors
    /// As [`CellDataset::read`].
    pub fn keeps_some(folder: &Path) -> Result<bool> {
        for shard in CellInfo::read(folder)?.shards {
            let mut npz = NpzReader::open(&folder.join(&shard.file))?;
            let train = npz.array(array::TRAIN)?.to_f64().unwrap_or_default();
            if train.contains(&0.0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read_shard(&mut self, path: &Path, pictures: usize) -> Result<()> {
        let mut npz = NpzReader::open(path)?;
        let [height, width] = self.info.image;
        let shape = [pictures, height, width, self.info.channels.len()];
        self.images.extend(images(&mut npz, array::IMAGE, &shape)?);
        let mut column = |name: &str| -> Result<Vec<f64>> {
            let read = npz.array(name)?;
            if read.shape != [pictures] {
                let what = format!("shape is {:?}, expected [{pictures}]", read.shape);
                return Err(npz.error(name, what));
            }
            read.to_f64()
                .ok_or_else(|| npz.error(name, "expected numbers"))
        };
        let (compound, plate) = (column(array::COMPOUND)?, column(array::PLATE)?);
        let (dose, train) = (column(array::DOSE)?, column(array::TRAIN)?);
        let (compounds, plates) = (self.info.compounds.len(), self.info.plates.len());
        for row in 0..pictures {
            let wrong = |name: &str, value: f64, expected: String| {
                npz.error(name, format!("row {row} is {value}, expected {expected}"))
            };
            let is_control = compound[row] == -1.0;
            self.compound.push(if is_control {
                None
            } else {
                let found = index(compound[row], compounds);
                Some(found.ok_or_else(|| {
                    let expected = format!("-1 or 0 to {}", compounds - 1);
                    wrong(array::COMPOUND, compound[row], expected)
                })?)
            });
            self.plate.push(
                index(plate[row], plates).ok_or_else(|| {
                    wrong(array::PLATE, plate[row], format!("0 to {}", plates - 1))
                })?,
            );
            if !dose[row].is_finite() || (dose[row] == 0.0) != is_control || dose[row] < 0.0 {
                let expected = "above 0 for a treated cell, 0 for a control";
                return Err(wrong(array::DOSE, dose[row], expected.to_owned()));
            }
            self.dose.push(dose[row] as f32);
            self.train.push(train[row] != 0.0);
        }
        Ok(())
    }

    /// Reads what the simulator knows; `None` if the dataset has no truth.
    ///
    /// # Errors
    /// Returns an error if there is a truth that is damaged or does not fit the dataset.
    pub fn read_truth(&self) -> Result<Option<CellTruth>> {
        let path = self.folder.join(TRUTH);
        if !path.is_file() {
            return Ok(None);
        }
        let info: TruthInfo = serde_json::from_str(&read_text(&path)?)
            .map_err(|e| Error::invalid(&path, e.to_string()))?;
        if info.drugs.len() != self.info.compounds.len() {
            let what = format!(
                "{} drugs, expected one for each of the {} compounds",
                info.drugs.len(),
                self.info.compounds.len()
            );
            return Err(Error::invalid(&path, what));
        }
        let (mut controls, mut parameters) = (Vec::new(), Vec::new());
        let mut cells = Some(Vec::new());
        let [height, width] = self.info.image;
        for (i, shard) in self.info.shards.iter().enumerate() {
            let mut npz = NpzReader::open(&self.folder.join(truth_shard(i)))?;
            let shape = [shard.pictures, height, width, self.info.channels.len()];
            controls.extend(images(&mut npz, array::CONTROL, &shape)?);
            let read = npz.array(array::PARAMETERS)?;
            let expected = [shard.pictures, info.parameters.len()];
            let values = read.to_f32().filter(|_| read.shape == expected);
            parameters.extend(values.ok_or_else(|| {
                let what = format!("expected numbers of shape {expected:?}");
                npz.error(array::PARAMETERS, what)
            })?);
            let counted = npz.names().iter().any(|name| name == array::CELLS);
            cells = cells.filter(|_| counted);
            if let Some(cells) = &mut cells {
                let read = npz.array(array::CELLS)?;
                let fits = read.shape == [shard.pictures];
                let counts = read.into_u8().filter(|_| fits);
                cells.extend(counts.ok_or_else(|| {
                    let what = format!("expected uint8 of shape [{}]", shard.pictures);
                    npz.error(array::CELLS, what)
                })?);
            }
        }
        Ok(Some(CellTruth {
            info,
            controls,
            parameters,
            cells,
        }))
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.plate.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.plate.is_empty()
    }

    /// The bytes of a picture, [H, W, C].
    pub fn picture(&self, row: usize) -> &[u8] {
        let len = self.info.picture_len();
        &self.images[row * len..(row + 1) * len]
    }

    /// The folder it was read from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The doses that training sees, ascending.
    pub fn training_doses(&self) -> Vec<f32> {
        let rows = (0..self.len()).filter(|&i| self.train[i] && self.compound[i].is_some());
        let bits: BTreeSet<u32> = rows.map(|i| self.dose[i].to_bits()).collect();
        // Positive floats are in the order of their bits.
        bits.into_iter().map(f32::from_bits).collect()
    }

    /// What of each picture's condition training has not seen.
    pub fn held_out(&self) -> Vec<HeldOut> {
        let trained = (0..self.len()).filter(|&i| self.train[i]);
        let (mut compounds, mut plates) = (BTreeSet::new(), BTreeSet::new());
        for i in trained {
            compounds.insert(self.compound[i]);
            plates.insert(self.plate[i]);
        }
        let doses = self.training_doses();
        let of = |i: usize| match self.compound[i] {
            Some(_) if !compounds.contains(&self.compound[i]) => HeldOut::Compound,
            Some(_) if !doses.contains(&self.dose[i]) => HeldOut::Dose,
            _ if !plates.contains(&self.plate[i]) => HeldOut::Plate,
            _ => HeldOut::Seen,
        };
        (0..self.len()).map(of).collect()
    }

    /// The mechanisms of the compounds by name, in alphabetical order, and the index of each
    /// compound's.
    pub fn mechanisms(&self) -> (Vec<String>, Vec<Option<usize>>) {
        let of = |c: &super::Compound| c.mechanism.clone();
        let names: BTreeSet<String> = self.info.compounds.iter().filter_map(of).collect();
        let names: Vec<String> = names.into_iter().collect();
        let index =
            |c: &super::Compound| names.iter().position(|n| Some(n) == c.mechanism.as_ref());
        let each = self.info.compounds.iter().map(index).collect();
        (names, each)
    }
}

fn images(npz: &mut NpzReader, name: &str, shape: &[usize; 4]) -> Result<Vec<u8>> {
    let read = npz.array(name)?;
    let found = read.shape.clone();
    read.into_u8().filter(|_| found == shape).ok_or_else(|| {
        npz.error(
            name,
            format!("shape is {found:?}, expected uint8 of {shape:?}"),
        )
    })
}

/// A whole number below `count`.
fn index(value: f64, count: usize) -> Option<usize> {
    let fits = value >= 0.0 && value < count as f64 && value.fract() == 0.0;
    fits.then_some(value as usize)
}
