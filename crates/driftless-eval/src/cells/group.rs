//! Measures over the conditions of one kind.

use std::collections::BTreeMap;

use driftless_data::cells::{FEATURES, HeldOut};

use super::measured::{ANY, CONTROL, MADE, Measure, Measured, REAL, REFERENCE, SETS};
use super::samples::Sample;
use super::standard::{Features, changed, distances};
use super::{FeatureReport, GroupReport, MainEffects, frechet, kernel_distance};
use crate::Result;

/// Conditions of one kind.
pub(super) struct Group<'a> {
    pub measure: &'a Measure<'a>,
    pub kind: HeldOut,
    pub samples: &'a [&'a Measured<'a>],
}

/// All pictures of a compound, whatever their dose: few pictures are always far from others.
#[derive(Default)]
struct OfCompound {
    sets: [Features; SETS],
    other_controls: Features,
}

/// Sums over compounds of one feature's distances to the reference.
#[derive(Clone, Default)]
struct Sums {
    /// Of controls, made and real pictures, and pictures under any compound.
    all: [f64; SETS - 1],
    /// Over the compounds that change the feature: their number, and the gaps that made and real pictures
    /// close.
    changed: (usize, [f64; 2]),
}

impl Group<'_> {
    /// # Errors
    /// Returns an error if the classifier fails.
    pub fn report(&self) -> Result<GroupReport> {
        let mut compounds: BTreeMap<usize, OfCompound> = BTreeMap::new();
        for m in self.samples {
            let all = compounds.entry(m.sample.compound).or_default();
            for (all, set) in all.sets.iter_mut().zip(&m.features) {
                all.extend_from_slice(set);
            }
            all.other_controls.extend_from_slice(&m.other_controls);
        }
        let (sums, main) = sums(compounds.values());
        let gap = |sums: &Sums, set: usize| 1.0 - sums.all[set] / sums.all[0].max(1e-12);
        let mean = |set: usize| {
            sums.iter().map(|sums| gap(sums, set)).sum::<f64>() / sums.len().max(1) as f64
        };
        let share = |sum: f64, count: usize| (count > 0).then(|| sum / count as f64);
        let count = compounds.len() as f64;
        let feature = |(f, s): (usize, &Sums)| FeatureReport {
            feature: feature_name(f),
            control: s.all[0] / count,
            made: s.all[1] / count,
            real: s.all[2] / count,
            gap_closed: gap(s, 1),
            ceiling: gap(s, 2),
            changed_by: s.changed.0,
            changed_gap_closed: share(s.changed.1[0], s.changed.0),
            changed_ceiling: share(s.changed.1[1], s.changed.0),
        };
        let mut report = GroupReport {
            held_out: self.kind.name(),
            conditions: self.samples.len(),
            main_effects: main,
            gap_closed: mean(1),
            ceiling: mean(2),
            mean_drug: mean(3),
            features: sums.iter().enumerate().map(feature).collect(),
            ..GroupReport::default()
        };
        self.classify(&mut report)?;
        self.compare_cells(&mut report);
        Ok(report)
    }

    /// What the classifier says of the sets.
    fn classify(&self, report: &mut GroupReport) -> Result<()> {
        let Some(classifier) = &self.measure.classifier else {
            return Ok(());
        };
        let top = self.samples.iter().map(|m| m.sample.dose);
        let top = top.fold(0.0, f32::max);
        let mut compounds: BTreeMap<usize, [Features; SETS]> = BTreeMap::new();
        let (mut right, mut counts) = ([0_usize; SETS], [0_usize; SETS]);
        let (mut right_top, mut counts_top) = ([0_usize; SETS], [0_usize; SETS]);
        for m in self.samples {
            let label = self.measure.of_compound[m.sample.compound];
            let all = compounds.entry(m.sample.compound).or_default();
            for (i, set) in self.measure.sets(m.sample).iter().enumerate() {
                let (features, classes) = classifier.classify(set)?;
                let hits = classes.iter().filter(|class| Some(**class) == label);
                let hits = hits.count();
                right[i] += hits;
                counts[i] += classes.len();
                if m.sample.dose == top {
                    right_top[i] += hits;
                    counts_top[i] += classes.len();
                }
                all[i].extend(features);
            }
        }
        let share = |i: usize| Some(right[i] as f64 / counts[i].max(1) as f64);
        let share_top = |i: usize| Some(right_top[i] as f64 / counts_top[i].max(1) as f64);
        report.accuracy = share(MADE);
        report.accuracy_floor = share(CONTROL);
        report.accuracy_ceiling = share(REAL);
        report.accuracy_mean_drug = share(ANY);
        report.accuracy_highest_dose = share_top(MADE);
        report.accuracy_highest_dose_ceiling = share_top(REAL);
        let count = compounds.len().max(1) as f64;
        let mut whole: [Features; SETS] = Default::default();
        let mut each = [0.0; 2];
        for sets in compounds.into_values() {
            for (sum, set) in each.iter_mut().zip([MADE, REAL]) {
                *sum += frechet(&sets[set], &sets[REFERENCE]);
            }
            for (whole, set) in whole.iter_mut().zip(sets) {
                whole.extend(set);
            }
        }
        let [reference, control, made, real, _] = &whole;
        report.frechet = Some(frechet(made, reference));
        report.frechet_control = Some(frechet(control, reference));
        report.frechet_real = Some(frechet(real, reference));
        report.frechet_per_compound = Some(each[0] / count);
        report.frechet_per_compound_real = Some(each[1] / count);
        report.kernel = Some(kernel_distance(made, reference));
        report.kernel_real = Some(kernel_distance(real, reference));
        Ok(())
    }

    /// How far made cells are from the same cells treated, if that is known.
    fn compare_cells(&self, report: &mut GroupReport) {
        if self.measure.truth.is_none() {
            return;
        }
        let real = |rows: &[usize]| self.measure.pictures(rows);
        let error = |of: &dyn Fn(&Sample) -> Vec<u8>| {
            let each = self.samples.iter().map(|m| m.sample);
            let sum: f64 = each.map(|s| rms(&of(s), &real(&s.rows))).sum();
            Some(sum / self.samples.len() as f64)
        };
        report.cell_error = error(&|s| s.made.clone());
        report.cell_error_control = error(&|s| s.controls.clone());
        report.cell_error_other = error(&|s| {
            let others = s.reference.iter().cycle().take(s.rows.len());
            real(&others.copied().collect::<Vec<_>>())
        });
    }
}

/// The sums of each feature, and what is left if only features count that a compound changes.
fn sums<'a>(compounds: impl Iterator<Item = &'a OfCompound>) -> (Vec<Sums>, MainEffects) {
    let (mut sums, mut main): (Vec<Sums>, _) = (Vec::new(), MainEffects::default());
    for compound in compounds {
        let [reference, sets @ ..] = &compound.sets;
        let each = sets.each_ref().map(|set| distances(set, reference));
        let is_changed = changed(reference, &compound.other_controls);
        sums.resize(each[0].len(), Sums::default());
        for (f, sums) in sums.iter_mut().enumerate() {
            let here = each.each_ref().map(|set| set[f]);
            for (sum, distance) in sums.all.iter_mut().zip(here) {
                *sum += distance;
            }
            if is_changed[f] && here[0] > 0.0 {
                main.add(here);
                let (count, gaps) = &mut sums.changed;
                *count += 1;
                for (sum, distance) in gaps.iter_mut().zip([here[1], here[2]]) {
                    *sum += 1.0 - distance / here[0];
                }
            }
        }
    }
    (sums, main)
}

/// The name of a feature of a picture with any number of channels.
fn feature_name(index: usize) -> String {
    match FEATURES.get(index) {
        Some(name) => (*name).to_owned(),
        None => {
            let part = ["area", "intensity", "fine texture", "coarse texture"][index % 4];
            format!("channel {} {part}", index / 4)
        }
    }
}

/// Root mean square difference of bytes, as a share of white.
fn rms(a: &[u8], b: &[u8]) -> f64 {
    let each = a
        .iter()
        .zip(b)
        .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    (each.sum::<f64>() / a.len().max(1) as f64).sqrt() / 255.0
}
