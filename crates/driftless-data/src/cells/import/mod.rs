//! Imports pictures of cells as the field lays them out: a table with one row per picture, beside files.
//!
//! BBBC021, RxRx1 and crops of JUMP all come as a table (compound, dose, plate, well) beside one file a
//! picture, or one a channel. `picture.rs` reads the files, `table.rs` the table.

mod picture;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::picture::Picture;
use self::table::{Descriptors, Row, Table};
use super::{CELLS_FORMAT, CellInfo, CellRow, CellWriter, Compound, INFO, MAX_SIDE, Plate, Shard};
use crate::fs::write_json;
use crate::staging::StagingFolder;
use crate::{Error, PathError as _, Result};

/// Pictures in a shard.
const SHARD: usize = 2048;
/// Pictures from which the brightness range of each channel is measured.
const SAMPLE: usize = 256;
/// A picture with a larger share of pixels at the largest value is saturated.
const SATURATED: f64 = 0.25;

/// What to import.
#[derive(Clone, Debug)]
pub struct CellImport {
    /// The table.
    pub table: PathBuf,
    /// A second table with a descriptor for each compound.
    pub compounds: Option<PathBuf>,
    /// Folder of the dataset to write, new or empty.
    pub out: PathBuf,
    /// For display; by default the table's name.
    pub name: Option<String>,
    /// Height and width of the pictures; larger ones are area-averaged.
    pub size: [usize; 2],
    /// Skip pictures that cannot be used, and say so, instead of failing.
    pub skip_bad: bool,
}

/// What was imported.
#[derive(Clone, Debug, Serialize)]
pub struct CellImportReport {
    /// Pictures written.
    pub pictures: usize,
    /// Untreated ones among them.
    pub controls: usize,
    /// Compounds.
    pub compounds: usize,
    /// Plates.
    pub plates: usize,
    /// What is unusual, a line each; among it the pictures that were skipped.
    pub remarks: Vec<String>,
}

/// Imports. `tick` gets what is done and the total, and cancels by returning `false`.
///
/// # Errors
/// Returns an error that names the table's row and column if something cannot be read, if a plate with
/// treated cells has no control, if the folder cannot be written, or if `tick` cancels
/// ([`Error::Interrupted`]).
pub fn run(
    import: &CellImport,
    tick: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<CellImportReport> {
    let table = Table::read(&import.table)?;
    let descriptors = import
        .compounds
        .as_deref()
        .map(Descriptors::read)
        .transpose()?;
    let names = Names::of(&table);
    let mut remarks = check_plates(&table)?;
    let compounds = describe(import, &table, &names.compounds, descriptors.as_ref())?;
    let sides = import.size.iter();
    if sides.into_iter().any(|side| !(8..=MAX_SIDE).contains(side)) {
        return Err(Error::Argument(format!(
            "--size needs sides of 8 to {MAX_SIDE} for cells"
        )));
    }
    let staging = StagingFolder::new(&import.out)?;
    let written = write_pictures(import, &table, &names, staging.path(), tick)?;
    remarks.extend(written.skipped);
    let file = import.table.file_stem().unwrap_or_default();
    let own_name = || file.to_string_lossy().into_owned();
    let channels = table.channels.iter();
    let plates = in_order(&names.plates).into_iter();
    let info = CellInfo {
        format: CELLS_FORMAT,
        name: import.name.clone().unwrap_or_else(own_name),
        image: import.size,
        channels: channels.map(|(name, _)| name.clone()).collect(),
        dose_unit: "µM".to_owned(),
        compounds,
        plates: plates.map(|name| Plate { name }).collect(),
        shards: written.shards,
    };
    info.check()
        .map_err(|what| Error::invalid(&import.table, what))?;
    write_json(&staging.path().join(INFO), &info)?;
    staging.finish()?;
    Ok(CellImportReport {
        pictures: written.pictures,
        controls: written.controls,
        compounds: names.compounds.len(),
        plates: names.plates.len(),
        remarks,
    })
}

/// The index of each compound and plate, in the order in which the table names them.
struct Names {
    compounds: BTreeMap<String, usize>,
    plates: BTreeMap<String, usize>,
}

impl Names {
    fn of(table: &Table) -> Self {
        let (mut compounds, mut plates) = (BTreeMap::new(), BTreeMap::new());
        for row in &table.rows {
            let count = plates.len();
            plates.entry(row.plate.clone()).or_insert(count);
            if let Some(compound) = &row.compound {
                let count = compounds.len();
                compounds.entry(compound.clone()).or_insert(count);
            }
        }
        Self { compounds, plates }
    }

    /// What a row says of its picture.
    fn row(&self, row: &Row) -> CellRow {
        let compound = row.compound.as_ref();
        CellRow {
            compound: compound.and_then(|name| self.compounds.get(name).copied()),
            dose: row.dose,
            plate: self.plates.get(&row.plate).copied().unwrap_or_default(),
            train: row.train,
        }
    }
}

/// The pictures that were written.
#[derive(Default)]
struct Written {
    shards: Vec<Shard>,
    pictures: usize,
    controls: usize,
    /// A line for each that was not.
    skipped: Vec<String>,
}

/// Reads the pictures of all rows and writes them in shards.
fn write_pictures(
    import: &CellImport,
    table: &Table,
    names: &Names,
    folder: &Path,
    tick: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Written> {
    let ranges = brightness(import, table)?;
    let shape = [import.size[0], import.size[1], table.channels.len()];
    let mut written = Written::default();
    let mut writer = CellWriter::new(shape);
    for (done, row) in table.rows.iter().enumerate() {
        if !tick(done, table.rows.len()) {
            return Err(Error::Interrupted);
        }
        let read = table.picture(row).and_then(|picture| {
            let usable = check_picture(table, row, &picture);
            usable.and_then(|()| table.resized(row, &picture, import.size))
        });
        let picture = match read {
            Ok(picture) => picture,
            Err(error) if import.skip_bad => {
                written.skipped.push(format!("skipped: {error}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        writer.push(names.row(row), &picture.bytes(&ranges));
        written.pictures += 1;
        written.controls += usize::from(row.compound.is_none());
        if writer.len() == SHARD {
            let full = std::mem::replace(&mut writer, CellWriter::new(shape));
            let shard = full.write(folder, written.shards.len())?;
            written.shards.push(shard);
        }
    }
    if !writer.is_empty() {
        let shard = writer.write(folder, written.shards.len())?;
        written.shards.push(shard);
    }
    if written.pictures == 0 {
        return Err(Error::invalid(&import.table, "no picture could be used"));
    }
    Ok(written)
}

/// Names by their index.
fn in_order(names: &BTreeMap<String, usize>) -> Vec<String> {
    let mut all: Vec<(&String, &usize)> = names.iter().collect();
    all.sort_by_key(|(_, index)| **index);
    all.into_iter().map(|(name, _)| name.clone()).collect()
}

/// A plate with treated cells needs a control; one without treated cells is only remarked.
fn check_plates(table: &Table) -> Result<Vec<String>> {
    let mut seen: BTreeMap<&str, [bool; 2]> = BTreeMap::new();
    for row in &table.rows {
        seen.entry(&row.plate).or_default()[usize::from(row.compound.is_some())] = true;
    }
    let mut remarks = Vec::new();
    for (plate, [has_controls, has_treated]) in seen {
        if !has_controls {
            let row = table.rows.iter().find(|row| row.plate == plate);
            let line = row.map_or(0, |row| row.line);
            return Err(table.error(
                line,
                "control",
                &format!("plate `{plate}` has no control, expected at least one"),
            ));
        }
        if !has_treated {
            remarks.push(format!("plate `{plate}` has only controls"));
        }
    }
    Ok(remarks)
}

/// The compounds with their descriptors: those of the second table, or else one number each.
fn describe(
    import: &CellImport,
    table: &Table,
    names: &BTreeMap<String, usize>,
    descriptors: Option<&Descriptors>,
) -> Result<Vec<Compound>> {
    let count = names.len();
    if count == 0 {
        return Err(Error::invalid(
            &import.table,
            "column `compound`: no treated cell, expected some",
        ));
    }
    let compound = |(index, name): (usize, String)| match descriptors {
        None => Ok(Compound {
            descriptor: (0..count)
                .map(|i| f32::from(u8::from(i == index)))
                .collect(),
            mechanism: None,
            name,
        }),
        Some(descriptors) => descriptors.of(&name).ok_or_else(|| {
            let row = table
                .rows
                .iter()
                .find(|row| row.compound.as_ref() == Some(&name));
            let line = row.map_or(0, |row| row.line);
            let what = format!("`{name}` is not in {}", descriptors.path.display());
            table.error(line, "compound", &what)
        }),
    };
    in_order(names)
        .into_iter()
        .enumerate()
        .map(compound)
        .collect()
}

/// The range of each channel that becomes 0 to 255: for bytes 0 to 255, else between the thousandths at
/// either end, over pictures spread over the table.
fn brightness(import: &CellImport, table: &Table) -> Result<Vec<[f32; 2]>> {
    let step = table.rows.len().div_ceil(SAMPLE).max(1);
    let mut values: Vec<Vec<f32>> = vec![Vec::new(); table.channels.len()];
    let mut is_bytes = true;
    for row in table.rows.iter().step_by(step) {
        let picture = match table.picture(row) {
            Ok(picture) => picture,
            // Said again, and skipped, when its turn comes.
            Err(_) if import.skip_bad => continue,
            Err(error) => return Err(error),
        };
        is_bytes &= picture.white == 255.0;
        for (c, values) in values.iter_mut().enumerate() {
            values.extend(picture.channel(c).step_by(7));
        }
    }
    let range = |values: &mut Vec<f32>| {
        if is_bytes || values.is_empty() {
            return [0.0, 255.0];
        }
        values.sort_by(f32::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
        let (low, high) = (at(0.001), at(0.999));
        [low, high.max(low + 1.0)]
    };
    Ok(values.iter_mut().map(range).collect())
}

/// Refuses pictures that show nothing.
fn check_picture(table: &Table, row: &Row, picture: &Picture) -> Result<()> {
    for (c, (name, column)) in table.channels.iter().enumerate() {
        let wrong = |what: String| Err(table.error(row.line, column, &what));
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        let (mut white, mut count) = (0_usize, 0_usize);
        for value in picture.channel(c) {
            (low, high) = (low.min(value), high.max(value));
            white += usize::from(value >= picture.white);
            count += 1;
        }
        if low == high {
            return wrong(format!("channel {name} is empty: every pixel is {low}"));
        }
        let share = white as f64 / count.max(1) as f64;
        if share > SATURATED {
            let percent = 100.0 * share;
            return wrong(format!(
                "channel {name} is saturated: {percent:.0} % of it is at {high}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
