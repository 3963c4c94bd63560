//! Whether a transport network changes cells by the right amount, in a minute where `driftless eval` takes
//! many: three unseen cells of each trained compound at its highest dose, carried in several ways.
//!
//! `cargo run --release -p driftless-eval --example cell_shifts -- checkpoints/cells data/cells`
//!
//! Features are in standard deviations of the plate's controls. A compound's *shift* in a feature is the
//! mean over its cells of treated minus control, of the same cell: the dataset needs a truth. *Size* is the
//! slope of made shifts over true ones (1 is right), *correlation* that of both, *closed* is
//! 1 − Σ|made − true|/Σ|true|.

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::path::Path;

use driftless_data::cells::{CellDataset, FEATURES};
use driftless_eval::cells::{Features, Standard};
use driftless_transport::{Condition, Route, TransportParams, Transporter};

type Error = Box<dyn std::error::Error>;

/// Cells of each compound.
const CELLS: usize = 3;

fn main() -> Result<(), Error> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [checkpoint, dataset] = paths.as_slice() else {
        return Err("expected a checkpoint and a dataset of cells".into());
    };
    let transporter = Transporter::read(Path::new(checkpoint))?;
    let data = CellDataset::read(Path::new(dataset))?;
    let truth = data.read_truth()?.ok_or("the dataset has no truth")?;
    let rows = rows(&transporter, &data);
    let len = data.info.picture_len();
    let control = |row: &usize| &truth.controls[row * len..(row + 1) * len];
    let controls: Vec<u8> = rows.iter().flat_map(control).copied().collect();
    let treated: Vec<u8> = rows
        .iter()
        .flat_map(|row| data.picture(*row))
        .copied()
        .collect();
    let condition = |row: &usize| Condition {
        compound: data.compound[*row],
        dose: data.dose[*row],
        plate: transporter
            .config()
            .plate(&data.info.plates[data.plate[*row]].name),
    };
    let conditions: Vec<Condition> = rows.iter().map(condition).collect();
    let plates: Vec<usize> = rows.iter().map(|row| data.plate[*row]).collect();
    let standard = Standard::new(&data);
    let before = standard.features(&controls, &plates);
    let shifts = |pictures: &[u8]| shifts(&before, &standard.features(pictures, &plates));
    let real = shifts(&treated);
    println!("{} cells of {} compounds", rows.len(), real.len());
    for (route, guidance) in [
        (Route::Forward, 1.0),
        (Route::Forward, 1.5),
        (Route::Invert, 1.0),
        (Route::Invert, 1.25),
        (Route::Invert, 1.5),
        (Route::Invert, 2.0),
    ] {
        let params = TransportParams {
            route,
            guidance,
            ..TransportParams::of(transporter.config())
        };
        let made = transporter.transport(&controls, &conditions, &params, 0)?;
        print(
            &format!("{route:?}, guidance {guidance}"),
            &shifts(&made),
            &real,
        );
    }
    Ok(())
}

/// Unseen cells of the trained compounds at the highest dose, spread over the plates of the training.
fn rows(transporter: &Transporter, data: &CellDataset) -> Vec<usize> {
    let config = transporter.config();
    let mut chosen = Vec::new();
    for (compound, known) in config.compounds.iter().enumerate() {
        let fits = |row: &usize| {
            let plate = &data.info.plates[data.plate[*row]].name;
            data.compound[*row] == Some(compound)
                && data.dose[*row] == config.doses[1]
                && !data.train[*row]
                && config.plate(plate).is_some()
        };
        let all: Vec<usize> = (0..data.len()).filter(fits).collect();
        if known.trained && all.len() >= CELLS {
            chosen.extend(all.iter().step_by(all.len() / CELLS).take(CELLS));
        }
    }
    chosen
}

/// The shift of each compound in each feature.
fn shifts(before: &Features, after: &Features) -> Vec<Vec<f64>> {
    let cells: Vec<Vec<f64>> = before
        .iter()
        .zip(after)
        .map(|(before, after)| {
            let each = after.iter().zip(before);
            each.map(|(after, before)| f64::from(after - before))
                .collect()
        })
        .collect();
    let mean = |cells: &[Vec<f64>]| -> Vec<f64> {
        let of = |f: usize| cells.iter().map(|cell| cell[f]).sum::<f64>() / cells.len() as f64;
        (0..cells[0].len()).map(of).collect()
    };
    cells.chunks_exact(CELLS).map(mean).collect()
}

fn print(name: &str, made: &[Vec<f64>], real: &[Vec<f64>]) {
    let pairs: Vec<(f64, f64)> = made
        .iter()
        .flatten()
        .copied()
        .zip(real.iter().flatten().copied())
        .collect();
    let sum = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
    let (cross, square) = (sum(|p| p.0 * p.1), sum(|p| p.1 * p.1));
    let correlation = cross / (square * sum(|p| p.0 * p.0)).sqrt();
    let closed = 1.0 - sum(|p| (p.0 - p.1).abs()) / sum(|p| p.1.abs());
    println!(
        "{name}: size {:.2}, correlation {correlation:.2}, closed {closed:.3}",
        cross / square
    );
    for (f, feature) in FEATURES
        .iter()
        .enumerate()
        .take(made.first().map_or(0, Vec::len))
    {
        let column = made.iter().zip(real).map(|(m, r)| (m[f], r[f]));
        let cross: f64 = column.clone().map(|(m, r)| m * r).sum();
        let size = cross / column.map(|(_, r)| r * r).sum::<f64>();
        println!("  {feature:26} size {size:5.2}");
    }
}
