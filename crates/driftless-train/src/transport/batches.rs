//! Draws batches: treated cells, and controls of the same plate.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use driftless_data::PathError as _;
use driftless_data::cells::{CellDataset, CellTruth};
use driftless_flow::coupling::Coupling;
use driftless_flow::prediction::Prediction;
use driftless_transport::{Condition, Source, TransportConfig};

use super::TransportSettings;
use crate::cpu::transport_trainer::TransportBatch;
use crate::{Error, Result};

/// The pictures that training may see, by plate and well.
pub(super) struct Batches<'a> {
    data: &'a CellDataset,
    truth: Option<CellTruth>,
    settings: &'a TransportSettings,
    config: &'a TransportConfig,
    /// Controls of each plate.
    controls: BTreeMap<usize, Vec<usize>>,
    treated: Vec<usize>,
    /// Treated pictures by compound, bits of the dose, and plate.
    wells: BTreeMap<(usize, u32, usize), Vec<usize>>,
}

/// A target with its source.
struct Pair {
    target: usize,
    source: usize,
    condition: Condition,
}

impl<'a> Batches<'a> {
    /// # Errors
    /// Returns an error if there is no treated cell to train on, if a plate has no controls, or if cells
    /// are to be paired and there is no truth.
    pub fn new(
        data: &'a CellDataset,
        settings: &'a TransportSettings,
        config: &'a TransportConfig,
    ) -> Result<Self> {
        let truth = match settings.coupling {
            Coupling::Paired => Some(data.read_truth()?.ok_or_else(|| {
                let what = "has no truth.json: only a simulator's cells can be paired, expected coupling independent or minibatch_ot";
                Error::invalid(data.folder(), what)
            })?),
            _ => None,
        };
        let mut batches = Self {
            data,
            truth,
            settings,
            config,
            controls: BTreeMap::new(),
            treated: Vec::new(),
            wells: BTreeMap::new(),
        };
        for row in (0..data.len()).filter(|&row| data.train[row]) {
            let plate = data.plate[row];
            match data.compound[row] {
                None => batches.controls.entry(plate).or_default().push(row),
                Some(compound) => {
                    let well = (compound, data.dose[row].to_bits(), plate);
                    batches.treated.push(row);
                    batches.wells.entry(well).or_default().push(row);
                }
            }
        }
        if batches.treated.is_empty() {
            let what = "no treated cell is in the training split, expected some";
            return Err(Error::invalid(data.folder(), what));
        }
        let plates = batches.treated.iter().map(|row| data.plate[*row]);
        if let Some(plate) = plates
            .into_iter()
            .find(|p| !batches.controls.contains_key(p))
        {
            let name = &data.info.plates[plate].name;
            let what =
                format!("plate `{name}` has treated cells but no controls in the training split");
            return Err(Error::invalid(data.folder(), what));
        }
        Ok(batches)
    }

    /// A batch; also the rows of its targets.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Result<(TransportBatch, Vec<usize>)> {
        let group = match self.settings.coupling {
            Coupling::MinibatchOt => self.settings.coupled_cells,
            _ => 1,
        };
        let mut batch = TransportBatch::default();
        let mut rows = Vec::new();
        while rows.len() < self.settings.batch_size {
            let pairs = self.draw_pairs(group, rng)?;
            self.append(&mut batch, &pairs, rng)?;
            rows.extend(pairs.iter().map(|pair| pair.target));
        }
        Ok((batch, rows))
    }

    /// Targets of one well, or controls of its plate, with a source each.
    fn draw_pairs(&self, count: usize, rng: &mut ChaCha8Rng) -> Result<Vec<Pair>> {
        let first = self.treated[rng.random_range(0..self.treated.len())];
        let (plate, dose) = (self.data.plate[first], self.data.dose[first]);
        let compound = self.data.compound[first].unwrap_or_default();
        let is_control = rng.random_bool(self.settings.control_fraction);
        let lost = || Error::Internal("a well or a plate has no pictures");
        let controls = self.controls.get(&plate).ok_or_else(lost)?;
        let well = self
            .wells
            .get(&(compound, dose.to_bits(), plate))
            .ok_or_else(lost)?;
        let targets = if is_control { controls } else { well };
        let name = &self.data.info.plates[plate].name;
        let pairs = (0..count).map(|i| {
            let target = match i {
                0 if !is_control => first,
                _ => targets[rng.random_range(0..targets.len())],
            };
            let hide = rng.random_bool(self.settings.plate_dropout);
            Pair {
                target,
                source: controls[rng.random_range(0..controls.len())],
                condition: Condition {
                    compound: (!is_control).then_some(compound),
                    dose,
                    plate: self.config.plate(name).filter(|_| !hide),
                },
            }
        });
        Ok(pairs.collect())
    }

    /// Adds pairs at random transport times.
    fn append(
        &self,
        batch: &mut TransportBatch,
        pairs: &[Pair],
        rng: &mut ChaCha8Rng,
    ) -> Result<()> {
        let len = self.config.picture_len();
        let (mut sources, mut targets) = (Vec::new(), Vec::new());
        for pair in pairs {
            let turn = self.draw_turn(rng);
            self.picture(self.data.picture(pair.target), turn, &mut targets);
            match (&self.truth, self.settings.source) {
                (_, Source::Noise) => sources.extend((0..len).map(|_| normal(rng))),
                (Some(truth), _) => {
                    let at = pair.target * len;
                    self.picture(&truth.controls[at..at + len], turn, &mut sources);
                }
                (None, _) => {
                    let turn = self.draw_turn(rng);
                    self.picture(self.data.picture(pair.source), turn, &mut sources);
                }
            }
        }
        let order: Vec<usize> = match self.settings.coupling {
            Coupling::MinibatchOt => {
                let tensor =
                    |values: &[f32]| Tensor::from_slice(values, (pairs.len(), len), &Device::Cpu);
                let (source, target) = (tensor(&sources)?, tensor(&targets)?);
                Coupling::MinibatchOt.order(&source, &target, rng)?
            }
            // Each source was drawn independently already, or is the target's own.
            Coupling::Independent | Coupling::Paired => (0..pairs.len()).collect(),
        };
        let settings = self.settings;
        let is_control = settings.source == Source::Control;
        for (i, pair) in pairs.iter().enumerate() {
            let source = &mut sources[order[i] * len..(order[i] + 1) * len];
            let target = &targets[i * len..(i + 1) * len];
            if is_control && rng.random_bool(settings.noised_fraction) {
                for x in source.iter_mut() {
                    *x += settings.source_noise as f32 * normal(rng);
                }
            }
            let tau: f32 = rng.random();
            let both = || source.iter().zip(target);
            batch
                .z
                .extend(both().map(|(z0, z1)| (1.0 - tau) * z0 + tau * z1));
            match settings.prediction {
                Prediction::X => batch.target.extend_from_slice(target),
                _ => batch.target.extend(both().map(|(z0, z1)| z1 - z0)),
            }
            batch.tau.push(tau);
            let dropped = rng.random_bool(settings.condition_dropout);
            batch.rows.push(self.config.row(&pair.condition, dropped)?);
        }
        Ok(())
    }

    fn draw_turn(&self, rng: &mut ChaCha8Rng) -> [bool; 3] {
        if self.settings.turns {
            rng.random()
        } else {
            [false; 3]
        }
    }

    /// Appends a picture as the network's numbers, mirrored along either axis and transposed.
    fn picture(&self, bytes: &[u8], [down, right, transposed]: [bool; 3], out: &mut Vec<f32>) {
        let ([height, width], channels) = (self.config.image, self.config.channels.len());
        let norm = &self.config.normalization;
        let transposed = transposed && height == width;
        for y in 0..height {
            for x in 0..width {
                let (y, x) = if transposed { (x, y) } else { (y, x) };
                let y = if down { height - 1 - y } else { y };
                let x = if right { width - 1 - x } else { x };
                let at = (y * width + x) * channels;
                let pixel = bytes[at..at + channels].iter().enumerate();
                out.extend(pixel.map(|(c, byte)| (f32::from(*byte) - norm.mean[c]) / norm.std[c]));
            }
        }
    }
}

fn normal(rng: &mut ChaCha8Rng) -> f32 {
    StandardNormal.sample(rng)
}
