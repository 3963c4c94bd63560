//! Draws batches: treated cells, and controls of the same plate.

use std::collections::BTreeMap;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use driftless_data::PathError as _;
use driftless_data::cells::{CellDataset, CellTruth};
use driftless_flow::coupling::Coupling;
use driftless_flow::prediction::Prediction;
use driftless_transport::{Condition, Source, TransportConfig};

use super::TransportSettings;
use super::turns::{Thumbnail, Turn, couple, normalized};
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

/// Targets of one condition, treated cells of a well or untreated ones, and controls of their plate.
struct Well<'a> {
    controls: &'a [usize],
    targets: &'a [usize],
    condition: Condition,
}

/// A target with its source.
struct Pair {
    target: usize,
    turn: Turn,
    source: usize,
    of_source: Turn,
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
        let mut batch = TransportBatch::default();
        let mut rows = Vec::new();
        while rows.len() < self.settings.batch_size {
            let mut pairs = match self.settings.coupling {
                Coupling::MinibatchOt => self.draw_coupled(rng)?,
                Coupling::Independent | Coupling::Paired => vec![self.draw_pair(rng)?],
            };
            pairs.truncate(self.settings.batch_size - rows.len());
            for pair in &pairs {
                self.append(&mut batch, pair, rng)?;
                rows.push(pair.target);
            }
        }
        Ok((batch, rows))
    }

    /// A treated cell of any well, or a control, with a control of its plate.
    fn draw_pair(&self, rng: &mut ChaCha8Rng) -> Result<Pair> {
        let well = self.draw_well(rng)?;
        let mut pick = |from: &[usize]| from[rng.random_range(0..from.len())];
        let (target, source) = (pick(well.targets), pick(well.controls));
        let turns = [self.draw_turn(rng), self.draw_turn(rng)];
        Ok(self.pair(&well, [source, target], turns, rng))
    }

    /// The first pairs of an optimal transport between treated cells of a well and controls of its plate.
    fn draw_coupled(&self, rng: &mut ChaCha8Rng) -> Result<Vec<Pair>> {
        let well = self.draw_well(rng)?;
        let most = well.targets.len().min(well.controls.len());
        let count = self.settings.coupled_cells.min(most);
        let some = |from: &[usize], rng: &mut ChaCha8Rng| -> Vec<usize> {
            let chosen = rand::seq::index::sample(rng, from.len(), count);
            chosen.into_iter().map(|i| from[i]).collect()
        };
        let (targets, sources) = (some(well.targets, rng), some(well.controls, rng));
        let turned: Vec<Turn> = targets.iter().map(|_| self.draw_turn(rng)).collect();
        let thumbnail = |row: &usize| Thumbnail::new(self.data.picture(*row), self.config);
        let of_targets: Vec<Thumbnail> = targets
            .iter()
            .zip(&turned)
            .map(|(row, turn)| thumbnail(row).turned(*turn))
            .collect();
        let of_sources: Vec<Thumbnail> = sources.iter().map(thumbnail).collect();
        let coupled = couple(&of_sources, &of_targets, self.settings.turns);
        let pairs = targets.iter().zip(turned).zip(coupled);
        let pairs = pairs.take(self.settings.pairs_per_well);
        Ok(pairs
            .map(|((target, turn), (source, of_source))| {
                let turns = [of_source, turn];
                self.pair(&well, [sources[source], *target], turns, rng)
            })
            .collect())
    }

    fn draw_well(&self, rng: &mut ChaCha8Rng) -> Result<Well<'_>> {
        let row = self.treated[rng.random_range(0..self.treated.len())];
        let (plate, dose) = (self.data.plate[row], self.data.dose[row]);
        let compound = self.data.compound[row].unwrap_or_default();
        let lost = || Error::Internal("a well or a plate has no pictures");
        let controls = self.controls.get(&plate).ok_or_else(lost)?;
        let well = (compound, dose.to_bits(), plate);
        let treated = self.wells.get(&well).ok_or_else(lost)?;
        let is_control = rng.random_bool(self.settings.control_fraction);
        Ok(Well {
            controls,
            targets: if is_control { controls } else { treated },
            condition: Condition {
                compound: (!is_control).then_some(compound),
                dose,
                plate: self.config.plate(&self.data.info.plates[plate].name),
            },
        })
    }

    fn pair(
        &self,
        well: &Well,
        [source, target]: [usize; 2],
        [of_source, turn]: [Turn; 2],
        rng: &mut ChaCha8Rng,
    ) -> Pair {
        let hide = rng.random_bool(self.settings.plate_dropout);
        let plate = well.condition.plate.filter(|_| !hide);
        Pair {
            target,
            turn,
            source,
            of_source,
            condition: Condition {
                plate,
                ..well.condition
            },
        }
    }

    /// Adds a pair at a random transport time.
    fn append(&self, batch: &mut TransportBatch, pair: &Pair, rng: &mut ChaCha8Rng) -> Result<()> {
        let (settings, config) = (self.settings, self.config);
        let len = config.picture_len();
        let target = normalized(self.data.picture(pair.target), pair.turn, config);
        let mut source = match (&self.truth, settings.source) {
            (_, Source::Noise) => (0..len).map(|_| normal(rng)).collect(),
            (Some(truth), Source::Control) => {
                let same_cell = &truth.controls[pair.target * len..(pair.target + 1) * len];
                normalized(same_cell, pair.turn, config)
            }
            (None, Source::Control) => {
                normalized(self.data.picture(pair.source), pair.of_source, config)
            }
        };
        let is_control = settings.source == Source::Control;
        if is_control && rng.random_bool(settings.noised_fraction) {
            for x in &mut source {
                *x += settings.source_noise as f32 * normal(rng);
            }
        }
        let tau: f32 = rng.random();
        let both = || source.iter().zip(&target);
        batch
            .z
            .extend(both().map(|(z0, z1)| (1.0 - tau) * z0 + tau * z1));
        match settings.prediction {
            Prediction::X => batch.target.extend_from_slice(&target),
            _ => batch.target.extend(both().map(|(z0, z1)| z1 - z0)),
        }
        batch.tau.push(tau);
        let dropped = rng.random_bool(settings.condition_dropout);
        batch.rows.push(config.row(&pair.condition, dropped)?);
        Ok(())
    }

    fn draw_turn(&self, rng: &mut ChaCha8Rng) -> Turn {
        if self.settings.turns {
            Turn::ALL[rng.random_range(0..Turn::ALL.len())]
        } else {
            Turn::NONE
        }
    }
}

fn normal(rng: &mut ChaCha8Rng) -> f32 {
    StandardNormal.sample(rng)
}
