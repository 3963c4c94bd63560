//! Records a dataset of cells: plates with controls and treated wells, and the truth apart.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use driftless_data::cells::{
    CELLS_FORMAT, CellInfo, CellRow, CellWriter, Compound, DrugTruth, INFO, Plate, Shard, TRUTH,
    TruthInfo,
};
use driftless_data::fs::write_json;
use driftless_data::staging::StagingFolder;

use super::{
    CHANNELS, CellWorld, DOSES, HELD_OUT_DOSES, HELD_OUT_PLATES, MECHANISMS, PARAMETERS, SIZE,
    Treatment,
};
use crate::{Error, Result};

/// Of the pictures in a condition that training sees, one in so many is kept from it.
const TEST_EVERY: usize = 8;
/// Most pictures of one kind on a plate.
const MOST: usize = 10_000;

/// What to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellPlan {
    /// Drugs, plates and cells depend only on it.
    pub seed: u64,
    /// Treated cells of each drug and dose on each plate.
    pub cells: usize,
    /// Untreated cells on each plate.
    pub controls: usize,
}

impl Default for CellPlan {
    fn default() -> Self {
        Self {
            seed: 0,
            cells: 16,
            controls: 256,
        }
    }
}

impl CellPlan {
    /// Pictures on each plate.
    pub fn pictures_per_plate(&self) -> usize {
        self.controls + super::DRUGS * DOSES.len() * self.cells
    }
}

/// Records into `out`, a new or empty folder, one shard a plate. Calls `tick` with the number of
/// pictures of each finished plate, from several threads; it cancels by returning `false`.
///
/// # Errors
/// Returns an error if the plan is out of range, if `out` is not empty or cannot be written, or if
/// `tick` cancels ([`driftless_data::Error::Interrupted`]).
pub fn record(
    plan: &CellPlan,
    out: &Path,
    tick: &(dyn Fn(usize) -> bool + Sync),
) -> Result<CellInfo> {
    let range = 1..=MOST;
    if !range.contains(&plan.cells) || !range.contains(&plan.controls) {
        return Err(Error::Argument(format!(
            "{} treated cells in a well and {} controls on a plate cannot be recorded, expected \
             1 to {MOST} of each",
            plan.cells, plan.controls
        )));
    }
    let world = CellWorld::new(plan.seed);
    let staging = StagingFolder::new(out)?;
    let cancelled = AtomicBool::new(false);
    let shards: Vec<Shard> = (0..world.plates.len())
        .into_par_iter()
        .map(|plate| {
            let stopped = || driftless_data::Error::Interrupted;
            if cancelled.load(Ordering::Relaxed) {
                return Err(stopped().into());
            }
            let shard = plate_pictures(plan, &world, plate).write(staging.path(), plate)?;
            if !tick(shard.pictures) {
                cancelled.store(true, Ordering::Relaxed);
                return Err(stopped().into());
            }
            Ok(shard)
        })
        .collect::<Result<_>>()?;
    let info = CellInfo {
        format: CELLS_FORMAT,
        name: "Cells".to_owned(),
        image: [SIZE; 2],
        channels: CHANNELS.map(str::to_owned).to_vec(),
        dose_unit: "µM".to_owned(),
        compounds: world.drugs.iter().map(compound).collect(),
        plates: (1..=world.plates.len())
            .map(|i| Plate {
                name: format!("P{i:02}"),
            })
            .collect(),
        shards,
    };
    write_json(&staging.path().join(INFO), &info)?;
    write_json(&staging.path().join(TRUTH), &truth(&world))?;
    staging.finish()?;
    Ok(info)
}

fn compound(drug: &super::Drug) -> Compound {
    Compound {
        name: drug.name.clone(),
        descriptor: drug.descriptor(),
        mechanism: Some(MECHANISMS[drug.main_mechanism()].name.to_owned()),
    }
}

fn truth(world: &CellWorld) -> TruthInfo {
    let drugs = world.drugs.iter().map(|drug| DrugTruth {
        name: drug.name.clone(),
        ec50: drug.ec50,
        hill: drug.hill,
    });
    TruthInfo {
        parameters: PARAMETERS.map(str::to_owned).to_vec(),
        drugs: drugs.collect(),
    }
}

/// The pictures of a plate: its controls, then its treated cells by drug and dose. Every picture has
/// a cell of its own.
fn plate_pictures(plan: &CellPlan, world: &CellWorld, plate: usize) -> CellWriter {
    let mut writer = CellWriter::new([SIZE, SIZE, CHANNELS.len()]);
    let plate_is_seen = !HELD_OUT_PLATES.contains(&plate);
    let first = (plate * plan.pictures_per_plate()) as u64;
    let mut push = |treatment: Option<Treatment>, train: bool| {
        let cell = world.cell(first + writer.len() as u64);
        let image = world.picture(&cell, treatment, plate);
        let row = CellRow {
            compound: treatment.map(|t| t.drug),
            dose: treatment.map_or(0.0, |t| t.dose),
            plate,
            train,
        };
        writer.push(row, &image);
        writer.push_cell_count(cell.count());
        let parameters = world.parameters(&cell, treatment);
        match treatment {
            None => writer.push_truth(&image, &parameters.0),
            Some(_) => writer.push_truth(&world.picture(&cell, None, plate), &parameters.0),
        }
    };
    let is_test = |i: usize| i % TEST_EVERY == TEST_EVERY - 1;
    for i in 0..plan.controls {
        push(None, plate_is_seen && !is_test(i));
    }
    for (drug, known) in world.drugs.iter().enumerate() {
        for (index, dose) in DOSES.into_iter().enumerate() {
            let seen = plate_is_seen && !known.held_out && !HELD_OUT_DOSES.contains(&index);
            for i in 0..plan.cells {
                push(Some(Treatment { drug, dose }), seen && !is_test(i));
            }
        }
    }
    writer
}
