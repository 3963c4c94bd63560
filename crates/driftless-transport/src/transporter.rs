//! A trained network with its routes.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use driftless_data::layout::checkpoint::CONFIG;
use driftless_flow::path::{Path as FlowPath, expand};
use driftless_flow::prediction::Prediction;
use driftless_flow::solver::{Grid, Method, solve};
use driftless_model::params::Params;

use crate::config::{Condition, ConditionRow, Route, Source, TransportConfig, WEIGHTS};
use crate::network::{ConditionBatch, TransportNetwork};
use crate::packed::PackedNetwork;
use crate::{Error, Result};

/// A velocity computed from x̂ is singular at τ = 1; flows that start there start a little earlier.
const LAST_LEVEL: f64 = 0.98;

/// How a picture is carried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransportParams {
    /// The way.
    pub route: Route,
    /// The solver.
    pub method: Method,
    /// Its steps; the route [`Route::Invert`] takes as many each way.
    pub steps: usize,
    /// v = v_∅ + guidance · (v_c − v_∅): 1 is the condition's own velocity, 0 ignores it. v_∅ is that of a
    /// hidden condition; on the route [`Route::Invert`], which starts out as an untreated cell, it is that
    /// of an untreated cell.
    pub guidance: f64,
    /// Standard deviation of the noise that is added to the control, in units of the pictures'.
    pub source_noise: f32,
}

impl TransportParams {
    /// The defaults of a checkpoint.
    pub fn of(config: &TransportConfig) -> Self {
        let s = &config.sampling;
        Self {
            route: s.route,
            method: s.method,
            steps: s.steps,
            guidance: s.guidance,
            source_noise: s.source_noise,
        }
    }
}

/// A trained network.
pub struct Transporter {
    config: TransportConfig,
    pub(crate) network: TransportNetwork,
    packed: PackedNetwork,
}

impl Transporter {
    /// Reads a checkpoint folder, onto the CPU.
    ///
    /// # Errors
    /// Returns an error if a file is missing, damaged, of another kind, or does not match the
    /// configuration.
    pub fn read(folder: &Path) -> Result<Self> {
        let config = TransportConfig::read(&folder.join(CONFIG))?;
        let params = Params::read(&folder.join(WEIGHTS), &Device::Cpu)?;
        let network = TransportNetwork::new(&params, &config)?;
        params.finish()?;
        Self::new(config, network)
    }

    /// A network with the parameters that it has now, on the CPU.
    ///
    /// # Errors
    /// Returns an error if the network is on another device.
    pub fn new(config: TransportConfig, network: TransportNetwork) -> Result<Self> {
        let packed = PackedNetwork::new(&network)?;
        Ok(Self {
            config,
            network,
            packed,
        })
    }

    /// What is known about it.
    pub fn config(&self) -> &TransportConfig {
        &self.config
    }

    /// Carries pictures of untreated cells, u8 [B, H, W, C], to treated ones, one condition each.
    /// Noise comes from the seed.
    ///
    /// # Errors
    /// Returns an error if the pictures do not match the conditions, or if a condition or a parameter is
    /// out of its range.
    pub fn transport(
        &self,
        controls: &[u8],
        conditions: &[Condition],
        params: &TransportParams,
        seed: u64,
    ) -> Result<Vec<u8>> {
        let states = self.states(controls, conditions, params, seed, 1)?;
        match states.last() {
            Some(last) => self.pictures(last),
            None => Ok(Vec::new()),
        }
    }

    /// The states along the way from τ = 0 to 1, `pieces` + 1 of them, each [B, H, W, C].
    ///
    /// # Errors
    /// As [`Transporter::transport`].
    pub fn states(
        &self,
        controls: &[u8],
        conditions: &[Condition],
        params: &TransportParams,
        seed: u64,
        pieces: usize,
    ) -> Result<Vec<Tensor>> {
        let start = self.start(controls, conditions, params, seed)?;
        self.follow(start, conditions, params, pieces, [0.0, 1.0])
    }

    /// The state at τ = 0, [B, H, W, C], from which the flow goes forward.
    ///
    /// # Errors
    /// As [`Transporter::transport`].
    pub fn start(
        &self,
        controls: &[u8],
        conditions: &[Condition],
        params: &TransportParams,
        seed: u64,
    ) -> Result<Tensor> {
        let control = self.of_conditions(controls, conditions)?;
        match (params.route, self.config.flow.source) {
            (Route::Forward, Source::Control) => {
                Ok((&control + (noise(&control, seed)? * f64::from(params.source_noise))?)?)
            }
            (Route::Forward, Source::Noise) => noise(&control, seed),
            (Route::Invert, _) => {
                // Guidance away from an untreated cell changes nothing about one.
                let plain = TransportParams {
                    guidance: 1.0,
                    ..*params
                };
                self.carry(&control, &untreated(conditions), &plain, [1.0, 0.0])
            }
        }
    }

    /// The states on the way back from treated cells, u8 [B, H, W, C], to untreated ones: from τ = 1 to
    /// 0, `pieces` + 1 of them. The route does not matter: the way back is that of [`Route::Forward`].
    ///
    /// # Errors
    /// As [`Transporter::transport`].
    pub fn reverse(
        &self,
        treated: &[u8],
        conditions: &[Condition],
        params: &TransportParams,
        pieces: usize,
    ) -> Result<Vec<Tensor>> {
        let start = self.of_conditions(treated, conditions)?;
        self.follow(start, conditions, params, pieces, [1.0, 0.0])
    }

    /// The states between two transport times. The steps are shared out among the pieces, at least one
    /// each.
    fn follow(
        &self,
        start: Tensor,
        conditions: &[Condition],
        params: &TransportParams,
        pieces: usize,
        [from, to]: [f64; 2],
    ) -> Result<Vec<Tensor>> {
        let mut states = vec![start];
        let levels = Grid::Uniform.levels(pieces, from, to)?;
        let steps = params.steps.div_ceil(pieces).max(1);
        let params = TransportParams { steps, ..*params };
        for pair in levels.windows(2) {
            let last = &states[states.len() - 1];
            let next = self.carry(last, conditions, &params, [pair[0], pair[1]])?;
            states.push(next);
        }
        Ok(states)
    }

    /// Pictures as the network's numbers, one for each condition.
    fn of_conditions(&self, pictures: &[u8], conditions: &[Condition]) -> Result<Tensor> {
        let z = self.tensor(pictures)?;
        let (given, wanted) = (z.dim(0)?, conditions.len());
        if given != wanted {
            return Err(Error::Argument(format!(
                "{given} pictures for {wanted} conditions"
            )));
        }
        Ok(z)
    }

    /// Follows the flow from one transport time to another, either way; z is [B, H, W, C].
    ///
    /// # Errors
    /// Returns an error if a condition or a parameter is out of its range.
    pub fn carry(
        &self,
        z: &Tensor,
        conditions: &[Condition],
        params: &TransportParams,
        [from, to]: [f64; 2],
    ) -> Result<Tensor> {
        let rows = |conditions: &[Condition], dropped: bool| -> Result<ConditionBatch> {
            let rows = conditions.iter().map(|c| self.config.row(c, dropped));
            let rows = rows.collect::<Result<Vec<ConditionRow>>>()?;
            ConditionBatch::new(&rows, &Device::Cpu)
        };
        let shown = rows(conditions, false)?;
        let base = match params.route {
            Route::Forward => rows(conditions, true)?,
            Route::Invert => rows(&untreated(conditions), false)?,
        };
        let singular = self.config.flow.prediction == Prediction::X;
        let clamp = |tau: f64| {
            if singular && (from > to || params.method != Method::Euler) {
                tau.min(LAST_LEVEL)
            } else {
                tau
            }
        };
        let [from, to] = [clamp(from), clamp(to)];
        if from == to {
            return Ok(z.clone());
        }
        let grid = Grid::Uniform.levels(params.steps, from, to)?;
        let mut velocity = |z: &Tensor, tau: f64| -> Result<Tensor> {
            let with = self.velocity(z, tau, &shown)?;
            if params.guidance == 1.0 {
                return Ok(with);
            }
            let without = self.velocity(z, tau, &base)?;
            Ok((&without + ((with - &without)? * params.guidance)?)?)
        };
        solve(params.method, &grid, z, &mut velocity)
    }

    /// The velocity of the flow at one transport time.
    ///
    /// # Errors
    /// Returns an error if the shapes do not match.
    pub fn velocity(&self, z: &Tensor, tau: f64, conditions: &ConditionBatch) -> Result<Tensor> {
        let times = Tensor::full(tau as f32, z.dim(0)?, &Device::Cpu)?;
        self.network.check_shapes(z, &times)?;
        let conditions = self.network.layer_conditions(&times, conditions)?;
        let values: Vec<f32> = z.flatten_all()?.to_vec1()?;
        let predicted = self.packed.forward(&values, &conditions);
        let predicted = Tensor::from_vec(predicted, z.dims(), &Device::Cpu)?;
        let at = FlowPath::Linear.coefficients(&expand(&times, z)?)?;
        let prediction = self.config.flow.prediction;
        Ok(prediction.convert(Prediction::V, &predicted, z, &at)?)
    }

    /// The conditions as the network's input.
    ///
    /// # Errors
    /// Returns an error if a condition is out of its range.
    pub fn conditions(&self, conditions: &[Condition]) -> Result<ConditionBatch> {
        let rows = conditions.iter().map(|c| self.config.row(c, false));
        ConditionBatch::new(&rows.collect::<Result<Vec<_>>>()?, &Device::Cpu)
    }

    /// Bytes [B, H, W, C] as the network's numbers.
    ///
    /// # Errors
    /// Returns an error if the bytes are not whole pictures.
    pub fn tensor(&self, pictures: &[u8]) -> Result<Tensor> {
        let (len, [height, width]) = (self.config.picture_len(), self.config.image);
        if !pictures.len().is_multiple_of(len) {
            let bytes = pictures.len();
            return Err(Error::Argument(format!(
                "{bytes} bytes, expected pictures of {len}"
            )));
        }
        let channels = self.config.channels.len();
        let norm = &self.config.normalization;
        let values: Vec<f32> = pictures
            .iter()
            .enumerate()
            .map(|(i, byte)| (f32::from(*byte) - norm.mean[i % channels]) / norm.std[i % channels])
            .collect();
        let shape = (pictures.len() / len, height, width, channels);
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// The network's numbers as bytes.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn pictures(&self, z: &Tensor) -> Result<Vec<u8>> {
        let values: Vec<f32> = z.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        let norm = &self.config.normalization;
        let channels = self.config.channels.len();
        let byte = |(i, value): (usize, &f32)| {
            let byte = value * norm.std[i % channels] + norm.mean[i % channels];
            byte.round().clamp(0.0, 255.0) as u8
        };
        Ok(values.iter().enumerate().map(byte).collect())
    }
}

/// The same plates without a compound.
fn untreated(conditions: &[Condition]) -> Vec<Condition> {
    let each = conditions.iter().map(|c| Condition {
        compound: None,
        dose: 0.0,
        ..*c
    });
    each.collect()
}

/// Standard normal noise of the shape of z.
fn noise(z: &Tensor, seed: u64) -> Result<Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..z.elem_count())
        .map(|_| StandardNormal.sample(&mut rng))
        .collect();
    Ok(Tensor::from_vec(values, z.dims(), z.device())?)
}
