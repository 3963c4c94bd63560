//! The table of pictures, and the table of compounds.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::picture::Picture;
use super::rejects::Rejects;
use crate::cells::{Compound, MAX_CHANNELS};
use crate::fs::open_source;
use crate::{Error, PathError as _, Result};

/// Prefix of the columns with one file a channel.
const CHANNEL: &str = "channel_";
/// The columns of a table of pictures, besides the files.
const COLUMNS: [&str; 6] = ["compound", "dose", "plate", "well", "control", "split"];
/// Those that cannot be left out.
const NEEDED: [&str; 3] = ["compound", "dose", "plate"];

/// A table of pictures.
pub(super) struct Table {
    path: PathBuf,
    /// Name of each channel, and the column with its file.
    pub channels: Vec<(String, String)>,
    pub rows: Vec<Row>,
    /// Whether one file holds all channels.
    whole: bool,
    /// What all pictures share with the first.
    like: Option<Like>,
}

/// What the pictures of a table have in common.
#[derive(Clone, Copy)]
struct Like {
    size: [usize; 2],
    channels: usize,
    /// The largest value that a pixel can have.
    white: f32,
}

impl Like {
    fn of(picture: &Picture) -> Self {
        Self {
            size: picture.size,
            channels: picture.channels,
            white: picture.white,
        }
    }

    /// How a picture differs, if it does, and what was expected.
    fn differs(&self, picture: &Picture) -> Option<String> {
        let ([h, w], [height, width]) = (picture.size, self.size);
        let (found, expected) = if picture.channels != self.channels {
            let channels = self.channels;
            (
                format!("{} channels", picture.channels),
                channels.to_string(),
            )
        } else if picture.size != self.size {
            (format!("{h}×{w} pixels"), format!("{height}×{width}"))
        } else if picture.white != self.white {
            let values = format!("values up to {}", picture.white);
            (values, format!("up to {}", self.white))
        } else {
            return None;
        };
        Some(format!(
            "{found}, expected {expected} as in the first picture"
        ))
    }
}

/// A row of the table.
pub(super) struct Row {
    /// Its line in the file.
    pub line: u64,
    files: Vec<PathBuf>,
    /// `None` for a control.
    pub compound: Option<String>,
    pub dose: f32,
    pub plate: String,
    pub train: bool,
}

impl Table {
    /// Reads the table.
    ///
    /// # Errors
    /// Returns an error that names line and column.
    pub fn read(path: &Path, rejects: &mut Rejects) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(open_source(path)?);
        let bad = |e: csv::Error| Error::invalid(path, e.to_string());
        let head = columns(path, &mut reader)?;
        let (files, whole) = file_columns(path, &head)?;
        for name in NEEDED {
            if !head.iter().any(|column| column == name) {
                let found = head.join(", ");
                return Err(Error::invalid(
                    path,
                    format!("no column `{name}`; the table has: {found}"),
                ));
            }
        }
        let mut table = Self {
            path: path.to_path_buf(),
            channels: files.clone(),
            rows: Vec::new(),
            whole,
            like: None,
        };
        for record in reader.records() {
            let record = record.map_err(bad)?;
            let line = record.position().map_or(0, csv::Position::line);
            let cells: BTreeMap<&str, &str> =
                head.iter().map(String::as_str).zip(record.iter()).collect();
            let row = table.row(line, &cells, &files);
            table.rows.extend(rejects.keep(row)?);
        }
        if table.rows.is_empty() && rejects.said.is_empty() {
            return Err(Error::invalid(path, "no rows, expected one a picture"));
        }
        table.look(rejects)?;
        Ok(table)
    }

    /// Notes what the first usable picture is like.
    fn look(&mut self, rejects: &mut Rejects) -> Result<()> {
        let mut unusable = 0;
        let first = loop {
            let Some(row) = self.rows.get(unusable) else {
                return Err(Error::invalid(&self.path, rejects.nothing("picture")));
            };
            let usable = self
                .picture(row)
                .and_then(|picture| match picture.channels {
                    1..=MAX_CHANNELS => Ok(picture),
                    count => {
                        let what = format!("{count} channels, expected 1 to {MAX_CHANNELS}");
                        Err(self.error(row.line, self.column(0), &what))
                    }
                });
            match rejects.keep(usable)? {
                Some(picture) => break picture,
                None => unusable += 1,
            }
        };
        self.rows.drain(..unusable);
        self.like = Some(Like::of(&first));
        if self.whole {
            let name = |c: usize| (format!("channel {}", c + 1), "image".to_owned());
            self.channels = (0..first.channels).map(name).collect();
        }
        Ok(())
    }

    /// Height and width of the files' pictures.
    pub fn size(&self) -> [usize; 2] {
        self.like.map_or([0; 2], |like| like.size)
    }

    /// Leaves out the rows that a check refuses.
    ///
    /// # Errors
    /// Returns the first error, unless rows may be left out.
    pub fn retain(
        &mut self,
        rejects: &mut Rejects,
        mut check: impl FnMut(&Self, &Row) -> Result<()>,
    ) -> Result<()> {
        for row in std::mem::take(&mut self.rows) {
            if rejects.keep(check(self, &row))?.is_some() {
                self.rows.push(row);
            }
        }
        Ok(())
    }

    /// How messages call a channel.
    pub fn channel(&self, channel: usize) -> String {
        let name = self.channels.get(channel).map_or("", |(name, _)| name);
        if self.whole {
            name.to_owned()
        } else {
            format!("channel {name}")
        }
    }

    /// The column with a row's file of this number.
    fn column(&self, file: usize) -> &str {
        match self.channels.get(file) {
            Some((_, column)) if !self.whole => column,
            _ => "image",
        }
    }

    fn row(
        &self,
        line: u64,
        cells: &BTreeMap<&str, &str>,
        files: &[(String, String)],
    ) -> Result<Row> {
        let cell = |name: &str| cells.get(name).copied().unwrap_or("");
        let file = |(_, column): &(String, String)| match cell(column) {
            "" => Err(self.error(line, column, "is empty, expected a file")),
            file => Ok(beside(&self.path, file)),
        };
        let given = cell("compound");
        let is_control = match cell("control").to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" => true,
            "0" | "false" | "no" => false,
            "" => given.is_empty() || given.eq_ignore_ascii_case("DMSO"),
            other => {
                return Err(self.error(line, "control", &format!("is `{other}`, expected 0 or 1")));
            }
        };
        let plate = cell("plate");
        if plate.is_empty() {
            return Err(self.error(line, "plate", "is empty, expected a name"));
        }
        if !is_control && given.is_empty() {
            return Err(self.error(
                line,
                "compound",
                "is empty, expected the name of a compound",
            ));
        }
        let dose = match cell("dose").parse::<f32>() {
            _ if is_control => 0.0,
            Ok(dose) if dose > 0.0 && dose.is_finite() => dose,
            _ => {
                let what = format!("is `{}`, expected a number above 0", cell("dose"));
                return Err(self.error(line, "dose", &what));
            }
        };
        let train = match cell("split").to_ascii_lowercase().as_str() {
            "" | "train" => true,
            "test" | "val" | "valid" | "validation" | "held_out" => false,
            other => {
                let what = format!("is `{other}`, expected train, val or test");
                return Err(self.error(line, "split", &what));
            }
        };
        Ok(Row {
            line,
            files: files.iter().map(file).collect::<Result<_>>()?,
            compound: (!is_control).then(|| given.to_owned()),
            dose,
            plate: plate.to_owned(),
            train,
        })
    }

    /// An error about a cell of the table.
    pub fn error(&self, line: u64, column: &str, what: &str) -> Error {
        Error::invalid(&self.path, format!("row {line}, column `{column}`: {what}"))
    }

    /// The picture of a row: one file, or one a channel.
    ///
    /// # Errors
    /// Returns an error that names line and column if a file cannot be read or the files do not fit each
    /// other.
    pub fn picture(&self, row: &Row) -> Result<Picture> {
        let read = |(i, file): (usize, &PathBuf)| {
            let picture = Picture::read(file)
                .map_err(|e| self.error(row.line, self.column(i), &e.to_string()))?;
            if !self.whole && picture.channels != 1 {
                let what = format!("{} channels in one file, expected 1", picture.channels);
                return Err(self.error(row.line, self.column(i), &what));
            }
            Ok(picture)
        };
        let all = row
            .files
            .iter()
            .enumerate()
            .map(read)
            .collect::<Result<Vec<_>>>()?;
        let picture = Picture::merged(all)
            .map_err(|(i, what)| self.error(row.line, self.column(i), &what))?;
        if let Some(what) = self.like.and_then(|like| like.differs(&picture)) {
            return Err(self.error(row.line, self.column(0), &what));
        }
        Ok(picture)
    }

    /// A picture at another size.
    ///
    /// # Errors
    /// Returns an error that names line and column if the picture is smaller.
    pub fn resized(&self, row: &Row, picture: &Picture, size: [usize; 2]) -> Result<Picture> {
        picture
            .resized(size)
            .map_err(|what| self.error(row.line, self.column(0), &what))
    }
}

/// The names of a table's columns, each there once.
fn columns(path: &Path, reader: &mut csv::Reader<impl Read>) -> Result<Vec<String>> {
    let head = reader.headers();
    let head = head.map_err(|e| Error::invalid(path, e.to_string()))?;
    let head: Vec<String> = head.iter().map(str::to_owned).collect();
    if let [only] = &head[..] {
        let others = [(';', "semicolons"), ('\t', "tabs")];
        let other = others
            .iter()
            .find(|(separator, _)| only.contains(*separator));
        if let Some((_, name)) = other {
            let what = format!("columns are separated by {name}, expected commas");
            return Err(Error::invalid(path, what));
        }
    }
    let twice = |(i, name): &(usize, &String)| head[..*i].contains(name);
    if let Some((_, name)) = head.iter().enumerate().find(twice) {
        let what = format!("column `{name}` is there twice, expected once");
        return Err(Error::invalid(path, what));
    }
    Ok(head)
}

/// The columns with files: `channel_NAME` for each channel, or `image` with all of them.
fn file_columns(path: &Path, head: &[String]) -> Result<(Vec<(String, String)>, bool)> {
    let named = |column: &String| Some((column.strip_prefix(CHANNEL)?.to_owned(), column.clone()));
    let channels: Vec<_> = head.iter().filter_map(named).collect();
    let has_image = head.iter().any(|column| column == "image");
    let unknown = head.iter().find(|column| {
        let name = column.as_str();
        !COLUMNS.contains(&name) && name != "image" && !name.starts_with(CHANNEL)
    });
    if let Some(name) = unknown {
        let known = COLUMNS.join(", ");
        let what = format!("unknown column `{name}`, expected image or channel_NAME, and {known}");
        return Err(Error::invalid(path, what));
    }
    if channels.iter().any(|(name, _)| name.is_empty()) {
        let what = format!("column `{CHANNEL}` names no channel, expected {CHANNEL}NAME");
        return Err(Error::invalid(path, what));
    }
    match (has_image, channels.len()) {
        (true, 0) => Ok((vec![("image".to_owned(), "image".to_owned())], true)),
        (false, 1..=MAX_CHANNELS) => Ok((channels, false)),
        (_, found) => {
            let what = format!(
                "{found} columns {CHANNEL}NAME{}, expected 1 to {MAX_CHANNELS} of them, or one column `image`",
                if has_image { " beside `image`" } else { "" }
            );
            Err(Error::invalid(path, what))
        }
    }
}

/// A table of compounds: `compound`, `mechanism` if known, and a column for each number of the descriptor.
pub(super) struct Descriptors {
    path: PathBuf,
    all: BTreeMap<String, Compound>,
}

impl Descriptors {
    /// Reads the table.
    ///
    /// # Errors
    /// Returns an error that names line and column.
    pub fn read(path: &Path) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(open_source(path)?);
        let bad = |e: csv::Error| Error::invalid(path, e.to_string());
        let head = columns(path, &mut reader)?;
        let mut all = BTreeMap::new();
        for record in reader.records() {
            let record = record.map_err(bad)?;
            let line = record.position().map_or(0, csv::Position::line);
            let wrong = |column: &str, what: String| {
                Error::invalid(path, format!("row {line}, column `{column}`: {what}"))
            };
            let mut compound = Compound {
                name: String::new(),
                descriptor: Vec::new(),
                mechanism: None,
            };
            for (column, cell) in head.iter().zip(record.iter()) {
                match column.as_str() {
                    "compound" => compound.name = cell.to_owned(),
                    "mechanism" => compound.mechanism = (!cell.is_empty()).then(|| cell.to_owned()),
                    _ => compound.descriptor.push(
                        cell.parse()
                            .ok()
                            .filter(|x: &f32| x.is_finite())
                            .ok_or_else(|| {
                                wrong(column, format!("is `{cell}`, expected a number"))
                            })?,
                    ),
                }
            }
            if compound.name.is_empty() || compound.descriptor.is_empty() {
                let what = "is empty, expected a name and at least one column of numbers";
                return Err(wrong("compound", what.to_owned()));
            }
            if let Some(other) = all.insert(compound.name.clone(), compound) {
                return Err(wrong(
                    "compound",
                    format!("`{}` is there twice", other.name),
                ));
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            all,
        })
    }

    /// Checks that the compound of a row is known.
    ///
    /// # Errors
    /// Returns an error that names line and column.
    pub fn check(&self, table: &Table, row: &Row) -> Result<()> {
        match &row.compound {
            Some(name) if !self.all.contains_key(name) => {
                let what = format!("`{name}` is not in {}", self.path.display());
                Err(table.error(row.line, "compound", &what))
            }
            _ => Ok(()),
        }
    }

    /// The compound of a name.
    pub fn of(&self, name: &str) -> Option<Compound> {
        self.all.get(name).cloned()
    }
}

/// A path in a table, which is relative to the table's folder.
fn beside(table: &Path, file: &str) -> PathBuf {
    table.parent().unwrap_or(Path::new("")).join(file)
}
