//! What is to be seen: a cell, a drug, its dose, the plates, and how the flow is followed.

use driftless_flow::solver::Method;
use driftless_transport::{Condition, Route, TransportConfig, TransportParams};

use super::specimens::KnownPlate;

/// Decades that the dose slider goes beyond the training range, at either end.
const DECADES_BEYOND: f32 = 1.0;
/// Decades beyond the training range in which the network still tells doses apart, as a share of the
/// range's own ([`TransportConfig::row`]).
const TOLD_APART: f32 = 1.0 / 6.0;
/// Most states of the strip.
const MOST_STATES: usize = 11;

/// What is to be seen. Two equal wishes give the same pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wish {
    pub cell: u64,
    /// Index of the plate of the treated cell.
    pub plate: usize,
    /// Index of the control's plate; `None` is the same.
    pub source: Option<usize>,
    /// Index of the drug; `None` is no drug.
    pub compound: Option<usize>,
    pub dose: f32,
    pub params: TransportParams,
    pub seed: u64,
    /// Whether the treated cell is carried back.
    pub reverse: bool,
}

impl Wish {
    /// The first wish: a trained drug at its highest trained dose.
    pub fn first(config: &TransportConfig) -> Self {
        Self {
            cell: 0,
            plate: 0,
            source: None,
            compound: config.compounds.iter().position(|known| known.trained),
            dose: config.doses[1],
            params: TransportParams::of(config),
            seed: 0,
            reverse: false,
        }
    }

    /// The plate of the control.
    pub fn source_plate(&self) -> usize {
        self.source.unwrap_or(self.plate)
    }

    /// Whether the control is of another plate than the treated cell.
    pub fn crosses_plates(&self) -> bool {
        self.source_plate() != self.plate
    }

    /// What the network is asked for.
    pub fn condition(&self, plates: &[KnownPlate]) -> Condition {
        Condition {
            compound: self.compound,
            dose: self.dose,
            plate: plates.get(self.plate).and_then(|plate| plate.trained),
        }
    }

    /// Pieces of the way: between them are the states that are shown. They share the steps equally if
    /// steps allow it.
    pub fn pieces(&self) -> usize {
        pieces(self.params.steps)
    }

    /// Evaluations of the network for one picture, whose start may be known.
    pub fn evaluations(&self, has_start: bool) -> usize {
        let p = &self.params;
        let stages = match p.method {
            Method::Euler => 1,
            Method::Midpoint | Method::Heun => 2,
            Method::DormandPrince => 6,
        };
        let pieces = self.pieces();
        let way = pieces * p.steps.div_ceil(pieces) * stages;
        let guided = if p.guidance == 1.0 { 1 } else { 2 };
        let inverted = match p.route {
            Route::Invert if !has_start => p.steps * stages,
            Route::Invert | Route::Forward => 0,
        };
        let ways = if self.reverse { 2 } else { 1 };
        inverted + ways * way * guided
    }
}

/// The largest number of pieces that divides the steps, or as many as are shown if that is too few.
fn pieces(steps: usize) -> usize {
    let steps = steps.max(1);
    let most = steps.min(MOST_STATES - 1);
    let divisor = (1..=most).rev().find(|n| steps.is_multiple_of(*n));
    divisor.filter(|n| *n >= most.min(4)).unwrap_or(most)
}

/// Ends of the dose slider.
pub(super) fn dose_ends(config: &TransportConfig) -> [f32; 2] {
    let [least, most] = config.doses;
    let beyond = 10_f32.powf(DECADES_BEYOND);
    [least / beyond, most * beyond]
}

/// What to say about a dose outside of the training range.
pub(super) fn dose_warning(config: &TransportConfig, dose: f32) -> Option<String> {
    if config.is_dose_trained(dose) {
        return None;
    }
    let [least, most] = config.doses;
    let unit = &config.dose_unit;
    let beyond = 10_f32.powf(TOLD_APART * (most / least).log10());
    let told_apart = [least / beyond, most * beyond];
    let [from, to] = config.doses.map(figure);
    let mut text =
        format!("Outside of the training range, {from} to {to} {unit}: played all the same");
    if !(told_apart[0]..=told_apart[1]).contains(&dose) {
        let counts = figure(dose.clamp(told_apart[0], told_apart[1]));
        text.push_str(&format!(", and counts as {counts} {unit}"));
    }
    text.push('.');
    Some(text)
}

/// A dose with two significant digits.
pub(super) fn figure(dose: f32) -> String {
    let digits = (1.0 - dose.log10().floor()).clamp(0.0, 8.0) as usize;
    let text = format!("{dose:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Doses in equal ratios over the training range; a single one if that is all there is.
pub(super) fn dose_series(config: &TransportConfig, count: usize) -> Vec<f32> {
    let [least, most] = config.doses;
    let count = if most > least { count } else { 1 };
    let last = count.saturating_sub(1).max(1) as f32;
    let at = |i: usize| least * (most / least).powf(i as f32 / last);
    (0..count).map(at).collect()
}

/// The compounds whose name or mechanism has every word that is typed.
pub(super) fn matching(config: &TransportConfig, typed: &str) -> Vec<usize> {
    let words: Vec<_> = typed.split_whitespace().map(str::to_lowercase).collect();
    let fits = |index: &usize| {
        let compound = &config.compounds[*index].compound;
        let mechanism = compound.mechanism.as_deref().unwrap_or_default();
        let text = format!("{} {mechanism}", compound.name).to_lowercase();
        words.iter().all(|word| text.contains(word))
    };
    (0..config.compounds.len()).filter(fits).collect()
}
