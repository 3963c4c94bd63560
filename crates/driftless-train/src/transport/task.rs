//! The training task of a transport network, as the step loop sees it.

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::{Device, Var};
use rand_chacha::ChaCha8Rng;

use driftless_data::cells::{CellDataset, false_colours};
use driftless_data::contact_sheet::ContactSheet;
use driftless_model::checkpoint::write_tensors;
use driftless_model::params::Params;
use driftless_transport::config::WEIGHTS;
use driftless_transport::{
    Condition, TransportConfig, TransportNetwork, TransportParams, Transporter,
};

use super::TransportSettings;
use super::batches::Batches;
use crate::cpu::transport_trainer::TransportTrainer;
use crate::optimizer::{FlatGradient, Optimizer};
use crate::task::{BatchReport, Gradient, StepOutput, Task};
use crate::train_loop::TrainData;
use crate::{Result, RunLayout, TrainStage};

/// Cells in a row of a preview.
const COLUMNS: usize = 12;

/// The training of the network.
pub(super) struct TransportTask<'a> {
    layout: &'a RunLayout,
    batches: Batches<'a>,
    trainer: TransportTrainer,
    vars: BTreeMap<String, Var>,
    batch_size: u64,
}

impl<'a> TransportTask<'a> {
    /// A new network; also its parameters.
    ///
    /// # Errors
    /// Returns an error if the dataset has nothing to train on.
    pub fn new(
        layout: &'a RunLayout,
        data: &'a CellDataset,
        settings: &'a TransportSettings,
        config: &'a TransportConfig,
    ) -> Result<(Self, BTreeMap<String, Var>)> {
        let params = Params::seeded(settings.seed, &Device::Cpu);
        TransportNetwork::new(&params, config)?;
        let vars = params.finish()?;
        let task = Self {
            layout,
            batches: Batches::new(data, settings, config)?,
            trainer: TransportTrainer::new(config, &vars)?,
            vars: vars.clone(),
            batch_size: settings.batch_size as u64,
        };
        Ok((task, vars))
    }
}

impl Task for TransportTask<'_> {
    fn stage(&self) -> TrainStage {
        TrainStage::Transport
    }

    fn frames_per_step(&self, _step: u64) -> u64 {
        self.batch_size
    }

    fn step(
        &mut self,
        _step: u64,
        rng: &mut ChaCha8Rng,
        _mean_squares: &mut BTreeMap<String, f64>,
    ) -> Result<StepOutput> {
        let started = Instant::now();
        let (batch, rows) = self.batches.draw(rng)?;
        let fetch_time = started.elapsed();
        let losses = self.trainer.step(&self.vars, &batch)?;
        Ok(StepOutput {
            loss: losses.iter().sum::<f64>() / losses.len() as f64,
            gradient: Gradient::Flat(FlatGradient {
                layout: self.trainer.layout(),
                values: self.trainer.gradient().to_vec(),
            }),
            metrics: Vec::new(),
            batch: BatchReport {
                frames: rows,
                fetch_time,
                errors: Vec::new(),
            },
        })
    }

    fn has_finite_loss(&mut self, rng: &mut ChaCha8Rng) -> Result<bool> {
        let (batch, _) = self.batches.draw(rng)?;
        let losses = self.trainer.step(&self.vars, &batch)?;
        Ok(losses.iter().all(|loss| loss.is_finite()))
    }

    fn export(&self, _step: u64, optimizer: &Optimizer) -> Result<()> {
        let path = self.layout.checkpoint().join(WEIGHTS);
        Ok(write_tensors(&path, &optimizer.ema_weights())?)
    }
}

/// Previews of a run: pairs of rows, controls above what the saved checkpoint makes of them.
pub(super) struct Previews<'a> {
    pub layout: &'a RunLayout,
    pub data: &'a CellDataset,
    pub config: &'a TransportConfig,
}

impl TrainData for Previews<'_> {
    fn preview(&self, _stage: TrainStage) -> Result<ContactSheet> {
        let transporter = Transporter::read(&self.layout.checkpoint())?;
        let params = TransportParams::of(self.config);
        let data = self.data;
        let controls: Vec<usize> = (0..data.len())
            .filter(|&row| data.compound[row].is_none())
            .take(COLUMNS)
            .collect();
        let mut pictures = Vec::new();
        for row in &controls {
            pictures.extend_from_slice(data.picture(*row));
        }
        let colours = |pictures: &[u8]| false_colours(pictures, data.info.channels.len());
        let mut rows = vec![colours(&pictures)];
        let plate = controls
            .first()
            .map(|row| &data.info.plates[data.plate[*row]].name);
        for compound in (0..data.info.compounds.len()).take(6) {
            let condition = Condition {
                compound: Some(compound),
                dose: self.config.doses[1],
                plate: plate.and_then(|name| self.config.plate(name)),
            };
            let conditions = vec![condition; controls.len()];
            rows.push(colours(&transporter.transport(
                &pictures,
                &conditions,
                &params,
                0,
            )?));
        }
        let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        Ok(ContactSheet::new(&rows, self.config.image)?)
    }

    fn names(&self, pictures: &[usize]) -> Vec<String> {
        let name = |row: &usize| {
            let plate = &self.data.info.plates[self.data.plate[*row]].name;
            format!("picture {row} of plate {plate}")
        };
        pictures.iter().map(name).collect()
    }
}
