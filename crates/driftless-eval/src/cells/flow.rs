//! Measures of the velocity field: speed, the way back, and whether the condition matters.

use std::time::Instant;

use candle_core::Tensor;

use driftless_data::cells::HeldOut;
use driftless_transport::{Condition, TransportParams, Transporter};

use super::CellEvalOptions;
use super::samples::{Sample, make};
use crate::Result;

/// Pictures for the measures of the velocity field.
const PROBES: usize = 24;
/// Pictures that are timed.
const TIMED: usize = 9;

/// The first controls, at most [`PROBES`], spread over the conditions at the highest dose.
fn probes(samples: &[Sample], len: usize) -> (Vec<u8>, Vec<Condition>) {
    let top = samples.iter().map(|sample| sample.dose).fold(0.0, f32::max);
    let (mut controls, mut conditions) = (Vec::new(), Vec::new());
    let chosen = samples
        .iter()
        .filter(|s| s.dose == top && s.kind == HeldOut::Seen);
    for sample in chosen.take(PROBES) {
        controls.extend_from_slice(&sample.controls[..len]);
        conditions.push(sample.conditions[0]);
    }
    (controls, conditions)
}

/// Median time to carry one picture.
pub(super) fn milliseconds(
    transporter: &Transporter,
    samples: &[Sample],
    options: &CellEvalOptions,
) -> Result<f64> {
    let len = transporter.config().picture_len();
    let mut times = Vec::new();
    for sample in samples.iter().take(TIMED) {
        let started = Instant::now();
        make(
            transporter,
            &sample.controls[..len],
            &sample.conditions[..1],
            options,
        )?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

/// How far reverse∘forward ends from the control, as a share of white.
pub(super) fn reverse_error(
    transporter: &Transporter,
    samples: &[Sample],
    options: &CellEvalOptions,
) -> Result<f64> {
    let config = transporter.config();
    let (controls, conditions) = probes(samples, config.picture_len());
    if conditions.is_empty() {
        return Ok(0.0);
    }
    let params = TransportParams {
        guidance: 1.0,
        ..options.params
    };
    let start = transporter.tensor(&controls)?;
    let there = transporter.carry(&start, &conditions, &params, [0.0, 1.0])?;
    let back = transporter.carry(&there, &conditions, &params, [1.0, 0.0])?;
    let std = Tensor::new(config.normalization.std.clone(), start.device())?;
    let error = ((back - start)?.broadcast_mul(&std)? / 255.0)?
        .sqr()?
        .mean_all()?;
    Ok(f64::from(error.to_scalar::<f32>()?).sqrt())
}

/// Mean cosine of the velocities of controls at τ = ½ under their own and under the next condition.
pub(super) fn swap_cosine(transporter: &Transporter, samples: &[Sample]) -> Result<f64> {
    let (controls, conditions) = probes(samples, transporter.config().picture_len());
    if conditions.is_empty() {
        return Ok(1.0);
    }
    let mut swapped = conditions.clone();
    swapped.rotate_left(1);
    let z = transporter.tensor(&controls)?;
    let velocity = |conditions: &[Condition]| -> Result<Tensor> {
        let conditions = transporter.conditions(conditions)?;
        Ok(transporter
            .velocity(&z, 0.5, &conditions)?
            .flatten_from(1)?)
    };
    let (a, b) = (velocity(&conditions)?, velocity(&swapped)?);
    let size = |x: &Tensor| x.sqr()?.sum(1)?.sqrt();
    let cosine = ((&a * &b)?.sum(1)? / (size(&a)? * size(&b)?)?)?;
    Ok(f64::from(cosine.mean_all()?.to_scalar::<f32>()?))
}
