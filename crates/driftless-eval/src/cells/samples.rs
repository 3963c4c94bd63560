//! Draws the conditions that are measured, and makes their pictures.

use std::collections::BTreeMap;

use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use driftless_data::PathError as _;
use driftless_data::cells::{CellDataset, CellTruth, HeldOut};
use driftless_transport::{Condition, Transporter};

use super::CellEvalOptions;
use crate::{Error, Result};

/// Pictures that are made at once.
const AT_ONCE: usize = 32;
/// Real treated cells that stand beside each picture.
const REFERENCE: usize = 4;

/// A compound at a dose, among the pictures of one kind.
pub(super) struct Sample {
    pub kind: HeldOut,
    /// Index in the dataset.
    pub compound: usize,
    pub dose: f32,
    /// Real treated cells that training has not seen.
    pub rows: Vec<usize>,
    /// What they and made pictures are compared with: other treated cells, of the same wells if these
    /// have any.
    pub reference: Vec<usize>,
    /// Real cells on the plates of `rows` at the same dose, each under any trained compound.
    pub mean_drug: Vec<usize>,
    /// The controls that pictures are made from, one for each of `rows`.
    pub controls: Vec<u8>,
    pub conditions: Vec<Condition>,
    /// The pictures that were made of them.
    pub made: Vec<u8>,
}

/// All conditions that are measured, without the pictures made of them.
///
/// # Errors
/// Returns an error if the dataset does not fit the checkpoint, or if a plate has no controls.
pub(super) fn draw(
    transporter: &Transporter,
    data: &CellDataset,
    truth: Option<&CellTruth>,
    options: &CellEvalOptions,
) -> Result<Vec<Sample>> {
    let names = known(transporter, data)?;
    let kinds = data.held_out();
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut groups: BTreeMap<(HeldOut, usize, u32), [Vec<usize>; 2]> = BTreeMap::new();
    for row in 0..data.len() {
        if let Some(compound) = data.compound[row] {
            let key = (kinds[row], compound, data.dose[row].to_bits());
            let [unseen, seen] = groups.entry(key).or_default();
            if data.train[row] { seen } else { unseen }.push(row);
        }
    }
    let trained = |compound: &usize| transporter.config().compounds[names[*compound]].trained;
    let mut treated: BTreeMap<(usize, u32), Vec<usize>> = BTreeMap::new();
    for row in (0..data.len()).filter(|&row| data.compound[row].as_ref().is_some_and(trained)) {
        let key = (data.plate[row], data.dose[row].to_bits());
        treated.entry(key).or_default().push(row);
    }
    let mut samples = Vec::new();
    for ((kind, compound, dose), [mut unseen, mut seen]) in groups {
        // Dose responses are read on the plates of the training.
        if kind == HeldOut::Plate && f32::from_bits(dose) < strong_dose(data) {
            continue;
        }
        unseen.shuffle(&mut rng);
        seen.shuffle(&mut rng);
        if seen.is_empty() {
            // Never trained on: half of it is what the other half is compared with.
            seen = unseen.split_off(unseen.len() / 2);
        }
        unseen.truncate(options.pictures);
        let reference = reference(data, &unseen, &seen);
        if unseen.len().min(reference.len()) < 2 {
            continue;
        }
        let mut sample = Sample {
            kind,
            compound,
            dose: f32::from_bits(dose),
            controls: Vec::new(),
            conditions: Vec::new(),
            made: Vec::new(),
            mean_drug: Vec::new(),
            rows: unseen,
            reference,
        };
        for &row in &sample.rows {
            let plate = data.plate[row];
            let of_plate = treated.get(&(plate, dose)).map_or(&[][..], Vec::as_slice);
            sample.mean_drug.extend(of_plate.choose(&mut rng));
            sample.conditions.push(Condition {
                compound: Some(names[compound]),
                dose: sample.dose,
                plate: transporter.config().plate(&data.info.plates[plate].name),
            });
            match truth {
                Some(truth) => {
                    let len = data.info.picture_len();
                    sample
                        .controls
                        .extend(&truth.controls[row * len..(row + 1) * len]);
                }
                None => {
                    let control = control(data, plate, &mut rng)?;
                    sample.controls.extend_from_slice(data.picture(control));
                }
            }
        }
        samples.push(sample);
    }
    if samples.is_empty() {
        let what = "no treated cells are kept from training, expected some to measure with";
        return Err(Error::invalid(data.folder(), what));
    }
    Ok(samples)
}

/// Some of `pool` for each of `rows`, of the same plate; without such, any.
fn reference(data: &CellDataset, rows: &[usize], pool: &[usize]) -> Vec<usize> {
    let mut left: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &row in pool {
        left.entry(data.plate[row]).or_default().push(row);
    }
    let mut chosen = Vec::new();
    for row in rows {
        if let Some(of_plate) = left.get_mut(&data.plate[*row]) {
            chosen.extend(of_plate.drain(of_plate.len().saturating_sub(REFERENCE)..));
        }
    }
    if chosen.len() < rows.len() {
        chosen = pool.iter().take(REFERENCE * rows.len()).copied().collect();
    }
    chosen
}

/// The geometric middle of the doses of the training: from here on, doses are strong.
pub(super) fn strong_dose(data: &CellDataset) -> f32 {
    let doses = data.training_doses();
    match (doses.first(), doses.last()) {
        (Some(least), Some(most)) => (least * most).sqrt(),
        _ => 0.0,
    }
}

/// Makes the pictures of one sample.
///
/// # Errors
/// Returns an error if a parameter is out of its range.
pub(super) fn make(
    transporter: &Transporter,
    controls: &[u8],
    conditions: &[Condition],
    options: &CellEvalOptions,
) -> Result<Vec<u8>> {
    let len = transporter.config().picture_len();
    let mut made = Vec::with_capacity(controls.len());
    let chunks = controls
        .chunks(AT_ONCE * len)
        .zip(conditions.chunks(AT_ONCE));
    for (i, (controls, conditions)) in chunks.enumerate() {
        let seed = options.seed.wrapping_add(i as u64);
        made.extend(transporter.transport(controls, conditions, &options.params, seed)?);
    }
    Ok(made)
}

/// A control of a plate, if possible one that was kept from training.
pub(super) fn control(data: &CellDataset, plate: usize, rng: &mut ChaCha8Rng) -> Result<usize> {
    let of = |row: &usize| data.compound[*row].is_none() && data.plate[*row] == plate;
    let all: Vec<usize> = (0..data.len()).filter(of).collect();
    let kept: Vec<usize> = all
        .iter()
        .copied()
        .filter(|row| !data.train[*row])
        .collect();
    let from = if kept.is_empty() { all } else { kept };
    if from.is_empty() {
        let name = &data.info.plates[plate].name;
        return Err(Error::invalid(
            data.folder(),
            format!("plate `{name}` has no controls"),
        ));
    }
    Ok(from[rng.random_range(0..from.len())])
}

/// The checkpoint's index of each compound of the dataset.
fn known(transporter: &Transporter, data: &CellDataset) -> Result<Vec<usize>> {
    let (config, info) = (transporter.config(), &data.info);
    if config.image != info.image || config.channels.len() != info.channels.len() {
        let [[h, w], [ch, cw]] = [info.image, config.image];
        let what = format!(
            "pictures are {h}×{w} with {} channels, the checkpoint's {ch}×{cw} with {}",
            info.channels.len(),
            config.channels.len()
        );
        return Err(Error::invalid(data.folder(), what));
    }
    let index = |compound: &driftless_data::cells::Compound| {
        config.compound(&compound.name).ok_or_else(|| {
            let what = format!("compound `{}` is unknown to the checkpoint", compound.name);
            Error::invalid(data.folder(), what)
        })
    };
    info.compounds.iter().map(index).collect()
}
