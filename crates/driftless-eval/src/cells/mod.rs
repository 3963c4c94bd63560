//! Measures of a transport network on cells that its training has not seen.
//!
//! Every picture that is made starts at a control and is compared with a reference, real treated cells of
//! the same condition and plate. Next to each number stand a floor, the control itself, and a ceiling,
//! real treated cells in place of made ones. With a simulator's truth, each control is the very cell that
//! was treated, so that single cells can be compared too; the reference shows other cells.
//!
//! Features are in standard deviations of the controls of a picture's plate.

mod classifier;
mod distances;
mod dose;
mod flow;
mod group;
mod measure;
mod measured;
mod response;
mod samples;
mod sheet;
mod standard;
mod tables;

pub use distances::{frechet, kernel_distance, wasserstein};
pub use dose::{Response, fit_hill};
pub use measure::run;
pub use sheet::sheet;
pub use standard::{Features, Standard};
pub use tables::tables;

use serde::Serialize;

use driftless_transport::TransportParams;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct CellEvalOptions {
    /// How pictures are made.
    pub params: TransportParams,
    /// Pictures that are made for each compound and dose.
    pub pictures: usize,
    /// Steps of the classifier's training.
    pub classifier_steps: usize,
    /// Seed of noise, of what is drawn, and of the classifier.
    pub seed: u64,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct CellReport {
    /// Always `transport`.
    pub kind: &'static str,
    /// Pictures made.
    pub pictures: usize,
    /// By what training has not seen: nothing, compounds, doses, plates.
    pub groups: Vec<GroupReport>,
    /// The classifier on real treated cells, on which it was not trained; `None` without mechanisms.
    pub classifier_accuracy: Option<f64>,
    /// The dose responses, one a compound.
    pub doses: Vec<DoseReport>,
    /// Median time to carry one picture by itself, in milliseconds.
    pub milliseconds: f64,
    /// Root mean square of reverse∘forward minus the control, as a share of white.
    pub reverse_error: f64,
    /// Mean cosine of the velocities under two compounds; near 1, the condition is ignored.
    pub swap_cosine: f64,
    /// Gap closed over all features, if the sources are controls of other plates.
    pub other_plate_gap: Option<f64>,
    /// The same pictures with controls of their own plates, for comparison.
    pub same_plate_gap: Option<f64>,
}

/// Measures over the conditions of one kind, at doses in the upper half of the training range.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GroupReport {
    /// What training has not seen.
    pub held_out: &'static str,
    /// Number of conditions, each a compound at a dose.
    pub conditions: usize,
    /// What compounds do, without what they leave as it is.
    pub main_effects: MainEffects,
    /// One entry a feature.
    pub features: Vec<FeatureReport>,
    /// Over all features, each in units of its distance between control and treated.
    pub gap_closed: f64,
    /// The same for other real treated cells.
    pub ceiling: f64,
    /// The same for real cells at that dose under any trained compound: what is closed without knowing
    /// the compound.
    pub mean_drug: f64,
    /// Share of the made pictures in which the classifier sees the mechanism that was asked for.
    pub accuracy: Option<f64>,
    /// The same for the controls they were made from, and for real treated cells.
    pub accuracy_floor: Option<f64>,
    /// The same for real treated cells.
    pub accuracy_ceiling: Option<f64>,
    /// The same for real cells under any trained compound.
    pub accuracy_mean_drug: Option<f64>,
    /// [`GroupReport::accuracy`] at the highest dose alone.
    pub accuracy_highest_dose: Option<f64>,
    /// The same for real treated cells.
    pub accuracy_highest_dose_ceiling: Option<f64>,
    /// Fréchet distance of made and real pictures in the classifier's features: all together.
    pub frechet: Option<f64>,
    /// The same between controls and real treated cells.
    pub frechet_control: Option<f64>,
    /// The same between two sets of real treated cells.
    pub frechet_real: Option<f64>,
    /// Mean Fréchet distance of single compounds.
    pub frechet_per_compound: Option<f64>,
    /// The same between two sets of real treated cells.
    pub frechet_per_compound_real: Option<f64>,
    /// Kernel distance of made and real pictures in the classifier's features: all together.
    pub kernel: Option<f64>,
    /// The same between two sets of real treated cells.
    pub kernel_real: Option<f64>,
    /// Root mean square difference of the made cell and the same cell treated, as a share of white.
    pub cell_error: Option<f64>,
    /// The same for the control.
    pub cell_error_control: Option<f64>,
    /// The same for another treated cell.
    pub cell_error_other: Option<f64>,
}

/// Gap closed over the features that a compound changes. Which these are is known before any picture is
/// made, from the reference and real controls of its plates: the reference is at least half a standard
/// deviation from these, and four times as far as one half of it from the other. In other features, most of
/// the distance is that of any two sets of pictures. Means over pairs of a compound and a feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MainEffects {
    /// Number of such pairs.
    pub pairs: usize,
    /// By made pictures.
    pub gap_closed: f64,
    /// By real treated cells.
    pub ceiling: f64,
    /// By real cells under any trained compound.
    pub mean_drug: f64,
}

impl MainEffects {
    /// Counts a pair in: the distances of controls, made pictures, real treated cells and real cells under
    /// any compound to the reference.
    fn add(&mut self, [control, made, real, any]: [f64; 4]) {
        let count = self.pairs as f64;
        let mean =
            |old: f64, distance: f64| (old * count + 1.0 - distance / control) / (count + 1.0);
        *self = Self {
            pairs: self.pairs + 1,
            gap_closed: mean(self.gap_closed, made),
            ceiling: mean(self.ceiling, real),
            mean_drug: mean(self.mean_drug, any),
        };
    }
}

/// Wasserstein-1 distances of a feature, means over the compounds, in standard deviations of controls.
#[derive(Clone, Debug, Serialize)]
pub struct FeatureReport {
    /// Its name.
    pub feature: String,
    /// Between controls and real treated cells.
    pub control: f64,
    /// Between made and real treated cells.
    pub made: f64,
    /// Between other and these real treated cells.
    pub real: f64,
    /// 1 − made/control.
    pub gap_closed: f64,
    /// 1 − real/control.
    pub ceiling: f64,
    /// Compounds that change it ([`MainEffects`]).
    pub changed_by: usize,
    /// Gap closed by made pictures, a mean over these compounds.
    pub changed_gap_closed: Option<f64>,
    /// The same by real treated cells.
    pub changed_ceiling: Option<f64>,
}

/// The dose response of a compound, read back.
#[derive(Clone, Debug, Serialize)]
pub struct DoseReport {
    /// Its name.
    pub compound: String,
    /// Whether training saw it.
    pub trained: bool,
    /// The true EC50, if it is known.
    pub truth: Option<f64>,
    /// Read from pictures that were made.
    pub made: Option<f64>,
    /// Read from real pictures.
    pub real: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::MainEffects;

    #[test]
    fn main_effects_are_means_over_pairs() {
        let mut main = MainEffects::default();
        main.add([2.0, 1.0, 0.5, 2.0]);
        main.add([2.0, 0.0, 0.5, 1.0]);
        let expected = MainEffects {
            pairs: 2,
            gap_closed: 0.75,
            ceiling: 0.75,
            mean_drug: 0.25,
        };
        assert_eq!(main, expected);
    }
}
