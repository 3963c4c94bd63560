//! Imports pictures of cells as the field lays them out: a table with one row per picture, beside files.
//!
//! BBBC021, RxRx1 and crops of JUMP all come as a table (compound, dose, plate, well) beside one file a
//! picture, or one a channel. `picture.rs` reads the files, `table.rs` the table; `rejects.rs` keeps what
//! cannot be used.

mod picture;
mod rejects;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::picture::Picture;
use self::rejects::Rejects;
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
/// How much the aspect of pictures may change before it is said.
const ASPECT: f64 = 0.02;
/// Side of a network's patches, unless its settings have another.
const PATCH: usize = 8;

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
    /// Skip rows and pictures that cannot be used, and say so, instead of failing.
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
    let mut rejects = Rejects::new(import.skip_bad);
    let mut table = Table::read(&import.table, &mut rejects)?;
    let descriptors = import
        .compounds
        .as_deref()
        .map(Descriptors::read)
        .transpose()?;
    let sides = import.size.iter();
    if sides.into_iter().any(|side| !(8..=MAX_SIDE).contains(side)) {
        return Err(Error::Argument(format!(
            "--size needs sides of 8 to {MAX_SIDE} for cells"
        )));
    }
    if let Some(descriptors) = &descriptors {
        table.retain(&mut rejects, |table, row| descriptors.check(table, row))?;
    }
    let mut remarks = check_plates(&mut table, &mut rejects)?;
    let brightness = Brightness::measure(&table, import.skip_bad)?;
    if import.skip_bad {
        // A plate may lose its controls, and then its treated cells.
        let total = table.rows.len();
        table.retain(&mut rejects, |table, row| match row.compound {
            _ if !tick(0, total) => Err(Error::Interrupted),
            None => usable(import, table, row, &brightness).map(drop),
            Some(_) => Ok(()),
        })?;
        remarks = check_plates(&mut table, &mut rejects)?;
    }
    remarks.extend(about_size(table.size(), import.size));
    let names = Names::of(&table);
    if names.compounds.is_empty() {
        let what = format!("column `compound`: {}", rejects.nothing("treated cell"));
        return Err(Error::invalid(&import.table, what));
    }
    let compounds = describe(&names.compounds, descriptors.as_ref());
    let staging = StagingFolder::new(&import.out)?;
    let written = Pictures {
        import,
        table: &table,
        names: &names,
        brightness: &brightness,
    }
    .write(staging.path(), &mut rejects, tick)?;
    let skipped = rejects.said.iter().map(|why| format!("skipped: {why}"));
    remarks.extend(skipped);
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
}

/// The pictures of all rows, and what is needed to write them.
struct Pictures<'a> {
    import: &'a CellImport,
    table: &'a Table,
    names: &'a Names,
    brightness: &'a Brightness,
}

impl Pictures<'_> {
    /// Reads the pictures and writes them in shards.
    fn write(
        &self,
        folder: &Path,
        rejects: &mut Rejects,
        tick: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Written> {
        let (import, table) = (self.import, self.table);
        let shape = [import.size[0], import.size[1], table.channels.len()];
        let mut written = Written::default();
        let mut writer = CellWriter::new(shape);
        for (done, row) in table.rows.iter().enumerate() {
            if !tick(done, table.rows.len()) {
                return Err(Error::Interrupted);
            }
            let read = usable(import, table, row, self.brightness);
            let Some(picture) = rejects.keep(read)? else {
                continue;
            };
            writer.push(self.names.row(row), &picture.bytes(&self.brightness.ranges));
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
        if written.pictures == written.controls {
            let what = rejects.nothing("treated cell");
            return Err(Error::invalid(&import.table, what));
        }
        Ok(written)
    }
}

/// The picture of a row at the size of the dataset.
fn usable(
    import: &CellImport,
    table: &Table,
    row: &Row,
    brightness: &Brightness,
) -> Result<Picture> {
    let picture = table.picture(row)?;
    check_picture(table, row, &picture, brightness)?;
    table.resized(row, &picture, import.size)
}

/// What to say of the size of the dataset.
fn about_size([h, w]: [usize; 2], [height, width]: [usize; 2]) -> Vec<String> {
    let mut remarks = Vec::new();
    let stretch = (h * width) as f64 / (w * height).max(1) as f64;
    if (stretch - 1.0).abs() > ASPECT {
        remarks.push(format!(
            "pictures of {h}×{w} are squeezed into {height}×{width}; a --size of the same aspect keeps the shapes of cells"
        ));
    }
    if [height, width]
        .iter()
        .any(|side| !side.is_multiple_of(PATCH))
    {
        remarks.push(format!(
            "--size {height}x{width}: training expects multiples of {PATCH}, or another network.patch in its settings"
        ));
    }
    remarks
}

/// Names by their index.
fn in_order(names: &BTreeMap<String, usize>) -> Vec<String> {
    let mut all: Vec<(&String, &usize)> = names.iter().collect();
    all.sort_by_key(|(_, index)| **index);
    all.into_iter().map(|(name, _)| name.clone()).collect()
}

/// A plate with treated cells needs a control; one without treated cells is only remarked.
fn check_plates(table: &mut Table, rejects: &mut Rejects) -> Result<Vec<String>> {
    let plates = |controls: bool| -> BTreeSet<String> {
        let rows = table.rows.iter();
        let rows = rows.filter(|row| row.compound.is_none() == controls);
        rows.map(|row| row.plate.clone()).collect()
    };
    let (with_controls, with_treated) = (plates(true), plates(false));
    table.retain(rejects, |table, row| {
        if with_controls.contains(&row.plate) {
            return Ok(());
        }
        let what = format!(
            "plate `{}` has no control, expected at least one",
            row.plate
        );
        Err(table.error(row.line, "control", &what))
    })?;
    let only_controls = with_controls.difference(&with_treated);
    let remark = |plate: &String| format!("plate `{plate}` has only controls");
    Ok(only_controls.map(remark).collect())
}

/// The compounds with their descriptors: those of the second table, or else one number each.
fn describe(names: &BTreeMap<String, usize>, descriptors: Option<&Descriptors>) -> Vec<Compound> {
    let one = |index: usize| {
        let numbers = 0..names.len();
        numbers.map(move |i| f32::from(u8::from(i == index)))
    };
    let compound = |(index, name): (usize, String)| {
        let known = descriptors.and_then(|descriptors| descriptors.of(&name));
        known.unwrap_or_else(|| Compound {
            descriptor: one(index).collect(),
            mechanism: None,
            name,
        })
    };
    let names = in_order(names).into_iter().enumerate();
    names.map(compound).collect()
}

/// How bright the pictures of a dataset are.
struct Brightness {
    /// The range of each channel that becomes 0 to 255: for bytes 0 to 255, else between the thousandths at
    /// either end.
    ranges: Vec<[f32; 2]>,
    /// The largest value of each channel: for bytes 255, else the largest that was seen. Many cameras have
    /// fewer bits than their files.
    largest: Vec<f32>,
}

impl Brightness {
    /// Measures pictures spread over the table; those that cannot be read are said when their turn comes, if
    /// they may be skipped.
    fn measure(table: &Table, skip_bad: bool) -> Result<Self> {
        let channels = table.channels.len();
        let step = table.rows.len().div_ceil(SAMPLE).max(1);
        let mut values: Vec<Vec<f32>> = vec![Vec::new(); channels];
        let mut largest = vec![0.0_f32; channels];
        let mut is_bytes = true;
        for row in table.rows.iter().step_by(step) {
            let picture = match table.picture(row) {
                Ok(picture) => picture,
                Err(_) if skip_bad => continue,
                Err(error) => return Err(error),
            };
            is_bytes &= picture.white == 255.0;
            for (c, values) in values.iter_mut().enumerate() {
                values.extend(picture.channel(c).step_by(7));
                largest[c] = picture.channel(c).fold(largest[c], f32::max);
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
        if is_bytes {
            largest.fill(255.0);
        }
        Ok(Self {
            ranges: values.iter_mut().map(range).collect(),
            largest,
        })
    }
}

/// Refuses pictures that show nothing.
fn check_picture(
    table: &Table,
    row: &Row,
    picture: &Picture,
    brightness: &Brightness,
) -> Result<()> {
    for (c, (_, column)) in table.channels.iter().enumerate() {
        let wrong = |what: String| {
            let what = format!("{} {what}", table.channel(c));
            Err(table.error(row.line, column, &what))
        };
        let (low, high) = picture
            .channel(c)
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        if low == high {
            return wrong(format!("shows nothing: every pixel is {low}"));
        }
        let at_most = picture.channel(c).filter(|value| *value == high).count();
        let share = at_most as f64 / picture.channel(c).count().max(1) as f64;
        if high >= brightness.largest[c] && share > SATURATED {
            let percent = 100.0 * share;
            return wrong(format!(
                "is saturated: {percent:.0} % of it is at {high}, expected at most {:.0} % at the largest value",
                100.0 * SATURATED
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
