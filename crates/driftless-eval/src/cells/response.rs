//! Reads EC50 back from dose series.

use std::collections::BTreeMap;

use driftless_data::cells::HeldOut;
use driftless_transport::Transporter;

use super::DoseReport;
use super::dose::{Response, fit_hill};
use super::measured::{CONTROL, MADE, Measure, Measured, REAL};
use super::standard::means;

/// EC50 of every compound, read from the features of its dose series on the plates of the training.
pub(super) fn responses(
    measure: &Measure,
    transporter: &Transporter,
    samples: &[Measured],
) -> Vec<DoseReport> {
    let mut series: BTreeMap<usize, Vec<&Measured>> = BTreeMap::new();
    for m in samples.iter().filter(|m| m.sample.kind != HeldOut::Plate) {
        series.entry(m.sample.compound).or_default().push(m);
    }
    let report = |(compound, samples): (&usize, &Vec<&Measured>)| {
        let name = &measure.data.info.compounds[*compound].name;
        let known = transporter.config().compound(name);
        let known = known.map(|i| &transporter.config().compounds[i]);
        let truth = measure.truth.map(|truth| &truth.info.drugs[*compound]);
        DoseReport {
            compound: name.clone(),
            trained: known.is_some_and(|known| known.trained),
            truth: truth.map(|drug| f64::from(drug.ec50)),
            made: ec50(samples, MADE),
            real: ec50(samples, REAL),
        }
    };
    series.iter().map(report).collect()
}

/// The effect of a dose is the mean shift from the controls along that of the highest dose.
fn ec50(samples: &[&Measured], set: usize) -> Option<f64> {
    let shift = |m: &Measured| -> Vec<f64> {
        let [control, treated] = [CONTROL, set].map(|set| means(&m.features[set]));
        treated.iter().zip(control).map(|(a, b)| a - b).collect()
    };
    let mut shifts: Vec<(f64, Vec<f64>)> = samples
        .iter()
        .map(|m| (f64::from(m.sample.dose), shift(m)))
        .collect();
    shifts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (_, top) = shifts.last()?.clone();
    let effect = |shift: &[f64]| shift.iter().zip(&top).map(|(a, b)| a * b).sum();
    let responses: Vec<Response> = shifts
        .iter()
        .map(|(dose, shift)| Response {
            dose: *dose,
            effect: effect(shift),
        })
        .collect();
    fit_hill(&responses)
}
