//! Writes a dataset shard by shard.

use std::path::Path;

use super::info::Shard;
use super::{array, shard, truth_shard};
use crate::npz::NpzWriter;
use crate::{Error, Result};

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CellRow {
    /// Index of the compound; `None` for a control.
    pub compound: Option<usize>,
    /// Dose; 0 for a control.
    pub dose: f32,
    /// Index of the plate.
    pub plate: usize,
    /// Whether training may see it.
    pub train: bool,
}

/// Collects the pictures of one shard.
pub struct CellWriter {
    picture: [usize; 3],
    rows: Vec<CellRow>,
    images: Vec<u8>,
    controls: Vec<u8>,
    parameters: Vec<f32>,
    cells: Vec<u8>,
}

impl CellWriter {
    /// A shard of pictures [height, width, channels].
    pub fn new(picture: [usize; 3]) -> Self {
        Self {
            picture,
            rows: Vec::new(),
            images: Vec::new(),
            controls: Vec::new(),
            parameters: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a picture.
    pub fn push(&mut self, row: CellRow, image: &[u8]) {
        self.rows.push(row);
        self.images.extend_from_slice(image);
    }

    /// Adds the truth of the last picture: the same cell without treatment, and its parameters.
    pub fn push_truth(&mut self, control: &[u8], parameters: &[f32]) {
        self.controls.extend_from_slice(control);
        self.parameters.extend_from_slice(parameters);
    }

    /// Adds how many cells the last picture shows, 255 for more; they are kept with its truth.
    pub fn push_cell_count(&mut self, cells: usize) {
        self.cells.push(u8::try_from(cells).unwrap_or(u8::MAX));
    }

    /// Writes shard number `index` into `folder`, and its truth if there is one.
    ///
    /// # Errors
    /// Returns an error if the pictures have other sizes, or if a file cannot be written.
    pub fn write(self, folder: &Path, index: usize) -> Result<Shard> {
        let n = self.rows.len();
        let [height, width, channels] = self.picture;
        let shape = [n, height, width, channels];
        let name = shard(index);
        let mut npz = NpzWriter::new(&folder.join(&name));
        npz.add(array::IMAGE, &shape, &self.images)?;
        let index_of = |i: Option<usize>| match i.map(i32::try_from) {
            None => Ok(-1),
            Some(Ok(i)) => Ok(i),
            Some(Err(_)) => Err(Error::Shape("too many compounds or plates".into())),
        };
        let each = |of: &dyn Fn(&CellRow) -> Option<usize>| {
            let values = self.rows.iter().map(|row| index_of(of(row)));
            values.collect::<Result<Vec<i32>>>()
        };
        npz.add(array::COMPOUND, &[n], &each(&|row| row.compound)?)?;
        npz.add(array::PLATE, &[n], &each(&|row| Some(row.plate))?)?;
        let doses: Vec<f32> = self.rows.iter().map(|row| row.dose).collect();
        npz.add(array::DOSE, &[n], &doses)?;
        let train: Vec<bool> = self.rows.iter().map(|row| row.train).collect();
        npz.add(array::TRAIN, &[n], &train)?;
        npz.save()?;
        if !self.controls.is_empty() {
            let mut npz = NpzWriter::new(&folder.join(truth_shard(index)));
            npz.add(array::CONTROL, &shape, &self.controls)?;
            let columns = self.parameters.len() / n.max(1);
            npz.add(array::PARAMETERS, &[n, columns], &self.parameters)?;
            if !self.cells.is_empty() {
                npz.add(array::CELLS, &[n], &self.cells)?;
            }
            npz.save()?;
        }
        Ok(Shard {
            file: name,
            pictures: n,
        })
    }
}
