//! Makes pictures and measures them.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use driftless_data::cells::{CellDataset, HeldOut};
use driftless_transport::Transporter;

use super::classifier::Classifier;
use super::flow::{milliseconds, reverse_error, swap_cosine};
use super::group::Group;
use super::measured::{CONTROL, MADE, Measure, Measured, REFERENCE};
use super::response::responses;
use super::samples::{control, draw, make, strong_dose};
use super::standard::{Standard, distances};
use super::{CellEvalOptions, CellReport};
use crate::Result;

/// Makes pictures for every compound and dose and measures them. Calls `progress` with what is done and
/// the total.
///
/// # Errors
/// Returns an error if the dataset does not fit the checkpoint, or if a parameter is out of its range.
pub fn run(
    transporter: &Transporter,
    data: &CellDataset,
    options: &CellEvalOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<CellReport> {
    let truth = data.read_truth()?;
    let mut samples = draw(transporter, data, truth.as_ref(), options)?;
    let (mechanisms, of_compound) = data.mechanisms();
    let strong = strong_dose(data);
    // What the classifier learns from.
    let (rows, labels): (Vec<usize>, Vec<usize>) = (0..data.len())
        .filter(|row| data.train[*row] && data.dose[*row] >= strong)
        .filter_map(|row| Some((row, of_compound[data.compound[row]?]?)))
        .unzip();
    let can_classify = mechanisms.len() > 1 && !rows.is_empty();
    let training = if can_classify {
        options.classifier_steps
    } else {
        0
    };
    let pictures: usize = samples.iter().map(|sample| sample.rows.len()).sum();
    let total = pictures + training;
    let mut done = 0;
    for sample in &mut samples {
        sample.made = make(transporter, &sample.controls, &sample.conditions, options)?;
        done += sample.rows.len();
        progress(done, total);
    }
    let mut classifier = None;
    if can_classify {
        let mut tick = || {
            done += 1;
            progress(done, total);
        };
        classifier = Some(Classifier::train(
            data,
            (&rows, &labels),
            mechanisms.len(),
            (training, options.seed),
            &mut tick,
        )?);
    }
    let measure = Measure {
        data,
        truth: truth.as_ref(),
        of_compound,
        classifier,
        standard: Standard::new(data),
    };
    let measured: Vec<Measured> = samples.iter().map(|s| measure.measured(s)).collect();
    let mut groups = Vec::new();
    for kind in HeldOut::ALL {
        let of_kind: Vec<&Measured> = measured
            .iter()
            .filter(|m| m.sample.kind == kind && m.sample.dose >= strong)
            .collect();
        if !of_kind.is_empty() {
            let group = Group {
                measure: &measure,
                kind,
                samples: &of_kind,
            };
            groups.push(group.report()?);
        }
    }
    let seen = groups
        .iter()
        .find(|group| group.held_out == HeldOut::Seen.name());
    let (same, other) = other_plates(&measure, transporter, &measured, options)?;
    Ok(CellReport {
        kind: "transport",
        pictures,
        classifier_accuracy: seen.and_then(|group| group.accuracy_ceiling),
        doses: responses(&measure, transporter, &measured),
        milliseconds: milliseconds(transporter, &samples, options)?,
        reverse_error: reverse_error(transporter, &samples, options)?,
        swap_cosine: swap_cosine(transporter, &samples)?,
        other_plate_gap: other,
        same_plate_gap: same,
        groups,
    })
}

/// Gap closed at the seen conditions of the highest dose, from controls of their own and of other
/// plates; `None` if there is only one plate.
fn other_plates(
    measure: &Measure,
    transporter: &Transporter,
    samples: &[Measured],
    options: &CellEvalOptions,
) -> Result<(Option<f64>, Option<f64>)> {
    let plates = measure.data.info.plates.len();
    let seen = samples.iter().filter(|m| m.sample.kind == HeldOut::Seen);
    let top = seen.clone().map(|m| m.sample.dose).fold(0.0, f32::max);
    let chosen: Vec<&Measured> = seen.filter(|m| m.sample.dose == top).collect();
    if plates < 2 || chosen.is_empty() {
        return Ok((None, None));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut sums: Vec<[f64; 3]> = Vec::new();
    for Measured {
        sample, features, ..
    } in chosen
    {
        let mut controls = Vec::new();
        for &row in &sample.rows {
            let other = (measure.data.plate[row] + rng.random_range(1..plates)) % plates;
            let from = control(measure.data, other, &mut rng)?;
            controls.extend_from_slice(measure.data.picture(from));
        }
        let made = make(transporter, &controls, &sample.conditions, options)?;
        let made = measure
            .standard
            .features(&made, &measure.plates(&sample.rows));
        let sets = [&features[CONTROL], &features[MADE], &made];
        for (i, set) in sets.into_iter().enumerate() {
            let each = distances(set, &features[REFERENCE]);
            sums.resize(each.len(), [0.0; 3]);
            for (sum, distance) in sums.iter_mut().zip(each) {
                sum[i] += distance;
            }
        }
    }
    let gap = |i: usize| {
        let each = sums.iter().map(|sum| 1.0 - sum[i] / sum[0].max(1e-12));
        Some(each.sum::<f64>() / sums.len().max(1) as f64)
    };
    Ok((gap(1), gap(2)))
}
