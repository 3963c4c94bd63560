//! A sheet of pictures: cells, what a network makes of them, and the truth.

use driftless_data::cells::{CellDataset, HeldOut, false_colours};
use driftless_data::contact_sheet::ContactSheet;
use driftless_transport::Transporter;

use super::CellEvalOptions;
use super::samples::{Sample, draw, make};
use crate::Result;

/// Compounds in a row.
const COLUMNS: usize = 12;

/// One cell for every compound at its highest dose. Rows come in threes: the control, the cell that is
/// made of it, and a real treated cell, which is the same cell if the dataset has a truth.
///
/// # Errors
/// Returns an error if the dataset does not fit the checkpoint, or if a parameter is out of its range.
pub fn sheet(
    transporter: &Transporter,
    data: &CellDataset,
    options: &CellEvalOptions,
) -> Result<ContactSheet> {
    let truth = data.read_truth()?;
    let len = data.info.picture_len();
    let mut samples = draw(transporter, data, truth.as_ref(), options)?;
    samples.retain(|s| matches!(s.kind, HeldOut::Seen | HeldOut::Compound));
    let top = samples.iter().map(|s| s.dose).fold(0.0, f32::max);
    samples.retain(|s| s.dose == top);
    samples.sort_by_key(|s| s.compound);
    let mut rows = Vec::new();
    for samples in samples.chunks(COLUMNS) {
        let controls: Vec<u8> = samples
            .iter()
            .flat_map(|s: &Sample| s.controls[..len].iter().copied())
            .collect();
        let conditions: Vec<_> = samples.iter().map(|s| s.conditions[0]).collect();
        let made = make(transporter, &controls, &conditions, options)?;
        let real = samples.iter().flat_map(|s| data.picture(s.rows[0]));
        let real: Vec<u8> = real.copied().collect();
        for row in [controls, made, real] {
            rows.push(false_colours(&row, data.info.channels.len()));
        }
    }
    let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
    Ok(ContactSheet::new(&rows, data.info.image)?)
}
