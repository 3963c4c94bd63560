//! Draws cells under drugs: `cargo run --release -p driftless-worlds --example cells -- cells.png`.
//!
//! Each row is a drug, each column a dose, from none to the highest; all show the same cell. Red is
//! actin, green tubulin, blue DNA.

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::path::PathBuf;

use driftless_data::cells::false_colours;
use driftless_data::contact_sheet::ContactSheet;
use driftless_worlds::cells::{CellWorld, DOSES, Treatment};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("cells.png"), PathBuf::from);
    let world = CellWorld::new(0);
    let mut rows = Vec::new();
    for drug in 0..16 {
        let mut row = Vec::new();
        for cell in [drug as u64 + 1, drug as u64 + 40] {
            let cell = world.cell(cell);
            for dose in [0.0].into_iter().chain(DOSES) {
                let treatment = Some(Treatment { drug, dose });
                let picture = world.picture(&cell, treatment, drug % 12);
                row.extend(false_colours(&picture, 3));
            }
        }
        rows.push(row);
    }
    let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
    ContactSheet::new(&rows, [64, 64])?.write(&out)?;
    println!("wrote {}", out.display());
    Ok(())
}
