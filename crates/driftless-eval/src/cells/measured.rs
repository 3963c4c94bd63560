//! Samples with the features of their pictures.

use driftless_data::cells::{CellDataset, CellTruth};

use super::classifier::Classifier;
use super::samples::Sample;
use super::standard::{Features, Standard};

/// What measures need to know.
pub(super) struct Measure<'a> {
    pub data: &'a CellDataset,
    pub truth: Option<&'a CellTruth>,
    /// The mechanism of each compound.
    pub of_compound: Vec<Option<usize>>,
    pub classifier: Option<Classifier>,
    pub standard: Standard<'a>,
}

/// Sets of pictures of a sample, each a row of [`Measured::features`].
pub(super) const SETS: usize = 5;
pub(super) const REFERENCE: usize = 0;
pub(super) const CONTROL: usize = 1;
pub(super) const MADE: usize = 2;
pub(super) const REAL: usize = 3;
pub(super) const ANY: usize = 4;

/// A sample with the features of its pictures.
pub(super) struct Measured<'a> {
    pub sample: &'a Sample,
    pub features: [Features; SETS],
    /// Of real controls, as many as the reference has on each plate.
    pub other_controls: Features,
}

impl Measure<'_> {
    pub fn pictures(&self, rows: &[usize]) -> Vec<u8> {
        rows.iter()
            .flat_map(|row| self.data.picture(*row))
            .copied()
            .collect()
    }

    pub fn plates(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().map(|row| self.data.plate[*row]).collect()
    }

    /// The sets of pictures of a sample.
    pub fn sets(&self, sample: &Sample) -> [Vec<u8>; SETS] {
        [
            self.pictures(&sample.reference),
            sample.controls.clone(),
            sample.made.clone(),
            self.pictures(&sample.rows),
            self.pictures(&sample.mean_drug),
        ]
    }

    pub fn measured<'s>(&self, sample: &'s Sample) -> Measured<'s> {
        let (own, reference) = (self.plates(&sample.rows), self.plates(&sample.reference));
        let any = self.plates(&sample.mean_drug);
        let sets = self.sets(sample);
        let plates = [&reference, &own, &own, &own, &any];
        Measured {
            sample,
            features: std::array::from_fn(|set| self.standard.features(&sets[set], plates[set])),
            other_controls: self.standard.controls(&reference),
        }
    }
}
