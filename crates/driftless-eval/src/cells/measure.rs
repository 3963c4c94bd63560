//! Makes pictures and measures them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use candle_core::Tensor;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use driftless_data::cells::{CellDataset, CellTruth, FEATURES, HeldOut, features};
use driftless_transport::{Condition, TransportParams, Transporter};

use super::classifier::Classifier;
use super::dose::{Response, fit_hill};
use super::samples::{Sample, control, draw, make, strong_dose};
use super::{
    CellEvalOptions, CellReport, DoseReport, FeatureReport, GroupReport, MainEffects, frechet,
    kernel_distance, wasserstein,
};
use crate::Result;

/// Pictures for the measures of the velocity field.
const PROBES: usize = 24;
/// Pictures that are timed.
const TIMED: usize = 9;

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
    let mut measure = Measure {
        data,
        truth: truth.as_ref(),
        of_compound: &of_compound,
        classifier: None,
        strong: strong_dose(data),
    };
    // What the classifier learns from.
    let (rows, labels): (Vec<usize>, Vec<usize>) = (0..data.len())
        .filter(|row| data.train[*row] && data.dose[*row] >= measure.strong)
        .filter_map(|row| Some((row, measure.label(row)?)))
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
    if can_classify {
        let mut tick = || {
            done += 1;
            progress(done, total);
        };
        measure.classifier = Some(Classifier::train(
            data,
            (&rows, &labels),
            mechanisms.len(),
            (training, options.seed),
            &mut tick,
        )?);
    }
    let mut groups = Vec::new();
    for kind in HeldOut::ALL {
        let of_kind: Vec<&Sample> = samples
            .iter()
            .filter(|sample| sample.kind == kind && sample.dose >= measure.strong)
            .collect();
        if !of_kind.is_empty() {
            groups.push(measure.group(kind, &of_kind)?);
        }
    }
    let seen = groups
        .iter()
        .find(|group| group.held_out == HeldOut::Seen.name());
    let (same, other) = measure.other_plates(transporter, &samples, options)?;
    Ok(CellReport {
        kind: "transport",
        pictures,
        classifier_accuracy: seen.and_then(|group| group.accuracy_ceiling),
        doses: measure.doses(transporter, &samples),
        milliseconds: milliseconds(transporter, &samples, options)?,
        reverse_error: reverse_error(transporter, &samples, options)?,
        swap_cosine: swap_cosine(transporter, &samples)?,
        other_plate_gap: other,
        same_plate_gap: same,
        groups,
    })
}

struct Measure<'a> {
    data: &'a CellDataset,
    truth: Option<&'a CellTruth>,
    of_compound: &'a [Option<usize>],
    classifier: Option<Classifier>,
    /// Doses from here on are measured.
    strong: f32,
}

/// The features of pictures: one row of numbers each.
type Features = Vec<Vec<f32>>;

impl Measure<'_> {
    fn label(&self, row: usize) -> Option<usize> {
        self.of_compound[self.data.compound[row]?]
    }

    fn features(&self, pictures: &[u8]) -> Features {
        let info = &self.data.info;
        let each = pictures.chunks_exact(info.picture_len());
        each.map(|picture| features(picture, info.image, info.channels.len()))
            .collect()
    }

    fn pictures(&self, rows: &[usize]) -> Vec<u8> {
        rows.iter()
            .flat_map(|row| self.data.picture(*row))
            .copied()
            .collect()
    }

    fn group(&self, kind: HeldOut, samples: &[&Sample]) -> Result<GroupReport> {
        // Pictures of a compound at all its doses together: few pictures are always far from others.
        let mut compounds: BTreeMap<usize, [Features; 5]> = BTreeMap::new();
        for sample in samples {
            let all = compounds.entry(sample.compound).or_default();
            for (all, set) in all.iter_mut().zip(self.sets(sample)) {
                all.extend(self.features(&set));
            }
        }
        let mut sums: Vec<[f64; 4]> = Vec::new();
        let mut main = MainEffects::default();
        for [reference, sets @ ..] in compounds.values() {
            let each = sets.each_ref().map(|set| distances(set, reference));
            for f in 0..each[0].len() {
                let here = each.each_ref().map(|set| set[f]);
                main.add(here);
                sums.resize(sums.len().max(f + 1), [0.0; 4]);
                for (sum, distance) in sums[f].iter_mut().zip(here) {
                    *sum += distance / compounds.len() as f64;
                }
            }
        }
        let gap = |sum: &[f64; 4], set: usize| 1.0 - sum[set] / sum[0].max(1e-12);
        let mean = |set: usize| {
            sums.iter().map(|sum| gap(sum, set)).sum::<f64>() / sums.len().max(1) as f64
        };
        let mut report = GroupReport {
            held_out: kind.name(),
            conditions: samples.len(),
            main_effects: main,
            gap_closed: mean(1),
            ceiling: mean(2),
            mean_drug: mean(3),
            features: sums
                .iter()
                .enumerate()
                .map(|(f, sum)| FeatureReport {
                    feature: feature_name(f),
                    control: sum[0],
                    made: sum[1],
                    real: sum[2],
                    gap_closed: gap(sum, 1),
                    ceiling: gap(sum, 2),
                })
                .collect(),
            accuracy: None,
            accuracy_floor: None,
            accuracy_ceiling: None,
            accuracy_mean_drug: None,
            frechet: None,
            frechet_control: None,
            frechet_real: None,
            frechet_per_compound: None,
            frechet_per_compound_real: None,
            kernel: None,
            kernel_real: None,
            cell_error: None,
            cell_error_control: None,
            cell_error_other: None,
        };
        self.classify(samples, &mut report)?;
        if self.truth.is_some() {
            let error = |of: &dyn Fn(&Sample) -> Vec<u8>| {
                let each = samples.iter().map(|s| rms(&of(s), &self.pictures(&s.rows)));
                Some(each.sum::<f64>() / samples.len() as f64)
            };
            report.cell_error = error(&|s| s.made.clone());
            report.cell_error_control = error(&|s| s.controls.clone());
            report.cell_error_other = error(&|s| {
                let others = s.reference.iter().cycle().take(s.rows.len());
                self.pictures(&others.copied().collect::<Vec<_>>())
            });
        }
        Ok(report)
    }

    /// The reference, controls, made pictures, real treated cells, and real cells under any compound.
    fn sets(&self, sample: &Sample) -> [Vec<u8>; 5] {
        [
            self.pictures(&sample.reference),
            sample.controls.clone(),
            sample.made.clone(),
            self.pictures(&sample.rows),
            self.pictures(&sample.mean_drug),
        ]
    }

    /// What the classifier says of the sets.
    fn classify(&self, samples: &[&Sample], report: &mut GroupReport) -> Result<()> {
        let Some(classifier) = &self.classifier else {
            return Ok(());
        };
        let mut compounds: BTreeMap<usize, [Features; 5]> = BTreeMap::new();
        let (mut right, mut counts) = ([0_usize; 5], [0_usize; 5]);
        for sample in samples {
            let label = self.of_compound[sample.compound];
            let all = compounds.entry(sample.compound).or_default();
            for (i, set) in self.sets(sample).iter().enumerate() {
                let (features, classes) = classifier.classify(set)?;
                let hits = classes.iter().filter(|class| Some(**class) == label);
                right[i] += hits.count();
                counts[i] += classes.len();
                all[i].extend(features);
            }
        }
        let share = |i: usize| Some(right[i] as f64 / counts[i].max(1) as f64);
        report.accuracy_floor = share(1);
        report.accuracy = share(2);
        report.accuracy_ceiling = share(3);
        report.accuracy_mean_drug = share(4);
        let mut whole: [Features; 5] = Default::default();
        let mut per_compound = [0.0; 2];
        for sets in compounds.into_values() {
            for (sum, set) in per_compound.iter_mut().zip([2, 3]) {
                *sum += frechet(&sets[set], &sets[0]);
            }
            for (whole, set) in whole.iter_mut().zip(sets) {
                whole.extend(set);
            }
        }
        let count = samples
            .iter()
            .map(|s| s.compound)
            .collect::<BTreeSet<_>>()
            .len();
        let [reference, control, made, real, _] = &whole;
        report.frechet = Some(frechet(made, reference));
        report.frechet_control = Some(frechet(control, reference));
        report.frechet_real = Some(frechet(real, reference));
        let [made_each, real_each] = per_compound.map(|sum| Some(sum / count.max(1) as f64));
        (
            report.frechet_per_compound,
            report.frechet_per_compound_real,
        ) = (made_each, real_each);
        report.kernel = Some(kernel_distance(made, reference));
        report.kernel_real = Some(kernel_distance(real, reference));
        Ok(())
    }

    /// EC50 of every compound, read from the features of its dose series. The effect is the mean shift
    /// from the controls, in their standard deviations, along that of the highest dose.
    fn doses(&self, transporter: &Transporter, samples: &[Sample]) -> Vec<DoseReport> {
        let mut series: BTreeMap<usize, Vec<&Sample>> = BTreeMap::new();
        for sample in samples
            .iter()
            .filter(|sample| sample.kind != HeldOut::Plate)
        {
            series.entry(sample.compound).or_default().push(sample);
        }
        let report = |(compound, samples): (&usize, &Vec<&Sample>)| {
            let shift = |of: &dyn Fn(&Sample) -> Vec<u8>| self.ec50(samples, of);
            let name = &self.data.info.compounds[*compound].name;
            let known = transporter.config().compound(name);
            let known = known.map(|i| &transporter.config().compounds[i]);
            DoseReport {
                compound: name.clone(),
                trained: known.is_some_and(|known| known.trained),
                truth: self
                    .truth
                    .map(|truth| f64::from(truth.info.drugs[*compound].ec50)),
                made: shift(&|sample| sample.made.clone()),
                real: shift(&|sample| self.pictures(&sample.rows)),
            }
        };
        series.iter().map(report).collect()
    }

    fn ec50(&self, samples: &[&Sample], of: &dyn Fn(&Sample) -> Vec<u8>) -> Option<f64> {
        let mut shifts: Vec<(f32, Vec<f64>)> = Vec::new();
        for sample in samples {
            let (controls, treated) = (self.features(&sample.controls), self.features(&of(sample)));
            let shift = (0..controls.first()?.len()).map(|f| {
                let (mean, deviation) = moments(controls.iter().map(|x| x[f]));
                (moments(treated.iter().map(|x| x[f])).0 - mean) / deviation.max(1e-6)
            });
            shifts.push((sample.dose, shift.collect()));
        }
        shifts.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (_, top) = shifts.last()?.clone();
        let responses: Vec<Response> = shifts
            .iter()
            .map(|(dose, shift)| Response {
                dose: f64::from(*dose),
                effect: shift.iter().zip(&top).map(|(a, b)| a * b).sum(),
            })
            .collect();
        fit_hill(&responses)
    }

    /// Gap closed at the seen conditions of the highest dose, from controls of their own and of other
    /// plates; `None` if there is only one plate.
    fn other_plates(
        &self,
        transporter: &Transporter,
        samples: &[Sample],
        options: &CellEvalOptions,
    ) -> Result<(Option<f64>, Option<f64>)> {
        let plates = self.data.info.plates.len();
        let seen = samples.iter().filter(|sample| sample.kind == HeldOut::Seen);
        let top = seen.clone().map(|sample| sample.dose).fold(0.0, f32::max);
        let chosen: Vec<&Sample> = seen.filter(|sample| sample.dose == top).collect();
        if plates < 2 || chosen.is_empty() {
            return Ok((None, None));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let mut sums: Vec<[f64; 3]> = Vec::new();
        for sample in chosen {
            let mut controls = Vec::new();
            for &row in &sample.rows {
                let other = (self.data.plate[row] + rng.random_range(1..plates)) % plates;
                let from = control(self.data, other, &mut rng)?;
                controls.extend_from_slice(self.data.picture(from));
            }
            let made = make(transporter, &controls, &sample.conditions, options)?;
            let real = self.features(&self.pictures(&sample.reference));
            let sets = [&sample.controls, &sample.made, &made];
            for (i, set) in sets.into_iter().enumerate() {
                for (f, distance) in distances(&self.features(set), &real)
                    .into_iter()
                    .enumerate()
                {
                    sums.resize(sums.len().max(f + 1), [0.0; 3]);
                    sums[f][i] += distance;
                }
            }
        }
        let gap = |i: usize| {
            let each = sums.iter().map(|sum| 1.0 - sum[i] / sum[0].max(1e-12));
            Some(each.sum::<f64>() / sums.len().max(1) as f64)
        };
        Ok((gap(1), gap(2)))
    }
}

/// The name of a feature of a picture with any number of channels.
fn feature_name(index: usize) -> String {
    match FEATURES.get(index) {
        Some(name) => (*name).to_owned(),
        None => {
            let part = ["mean", "texture", "area"][index % 3];
            format!("channel {} {part}", index / 3)
        }
    }
}

/// The Wasserstein-1 distance of each feature.
fn distances(a: &Features, b: &Features) -> Vec<f64> {
    let column = |x: &Features, f: usize| x.iter().map(|x| x[f]).collect::<Vec<f32>>();
    let count = a.first().map_or(0, Vec::len);
    (0..count)
        .map(|f| wasserstein(&column(a, f), &column(b, f)))
        .collect()
}

/// Mean and standard deviation.
fn moments(x: impl Iterator<Item = f32> + Clone) -> (f64, f64) {
    let count = x.clone().count().max(1) as f64;
    let mean = x.clone().map(f64::from).sum::<f64>() / count;
    let variance = x.map(|x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// Root mean square difference of bytes, as a share of white.
fn rms(a: &[u8], b: &[u8]) -> f64 {
    let each = a
        .iter()
        .zip(b)
        .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    (each.sum::<f64>() / a.len().max(1) as f64).sqrt() / 255.0
}

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
fn milliseconds(
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
fn reverse_error(
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
fn swap_cosine(transporter: &Transporter, samples: &[Sample]) -> Result<f64> {
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
