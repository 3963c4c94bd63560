//! A folder of pictures with a CSV file: columns `file`, `action`, and optionally `episode`.

use std::path::{Path, PathBuf};

use super::actions::Taken;
use super::film::Film;
use super::{Pairing, Recording, Source, between, picture};
use crate::PathError as _;
use crate::{Error, Result};

/// Pictures in the order of a CSV file, by episodes.
pub struct Pictures {
    /// The folder that the files' names are relative to.
    folder: PathBuf,
    episodes: Vec<Rows>,
}

/// The rows of an episode.
struct Rows {
    name: String,
    files: Vec<String>,
    /// As written; empty in a row whose action does not matter.
    actions: Vec<String>,
    /// Whether every action of the whole file is a number.
    numbers: bool,
}

impl Pictures {
    /// Reads the CSV file at `path`, or the only one in the folder at `path`.
    ///
    /// # Errors
    /// There is none or more than one, it is no CSV, or a column is missing.
    pub fn open(path: &Path) -> Result<Self> {
        let csv = match path.is_dir() {
            false => path.to_path_buf(),
            true => match super::files(path, "csv")?.as_slice() {
                [only] => only.clone(),
                found => {
                    let what = format!(
                        "holds {} .csv files, expected one with the columns file, action",
                        found.len()
                    );
                    return Err(Error::invalid(path, what));
                }
            },
        };
        let file = std::fs::File::open(&csv).map_err(|e| Error::io(&csv, e))?;
        let wrong = |e: csv::Error| Error::invalid(&csv, format!("CSV: {e}"));
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(file);
        let header = reader.headers().map_err(wrong)?.clone();
        let column = |name: &str| header.iter().position(|column| column == name);
        let required = |name: &str| {
            column(name).ok_or_else(|| {
                let found: Vec<&str> = header.iter().collect();
                let what = format!(
                    "no column `{name}` in the header ({}), expected file, action and optionally episode",
                    found.join(", ")
                );
                Error::invalid(&csv, what)
            })
        };
        let (file, action, episode) = (required("file")?, required("action")?, column("episode"));
        let stem = csv.file_stem().unwrap_or_default().to_string_lossy();
        let mut episodes: Vec<Rows> = Vec::new();
        let mut numbers = true;
        for row in reader.records() {
            let row = row.map_err(wrong)?;
            let field = |at: usize| row.get(at).unwrap_or_default().to_string();
            let name = episode.map_or_else(|| stem.to_string(), field);
            let at = episodes.iter().position(|rows| rows.name == name);
            let at = at.unwrap_or_else(|| {
                episodes.push(Rows {
                    name,
                    files: Vec::new(),
                    actions: Vec::new(),
                    numbers: true,
                });
                episodes.len() - 1
            });
            let (rows, action) = (&mut episodes[at], field(action));
            numbers &= action.is_empty() || action.parse::<i64>().is_ok();
            rows.files.push(field(file));
            rows.actions.push(action);
        }
        for rows in &mut episodes {
            rows.numbers = numbers;
        }
        let folder = csv.parent().unwrap_or(Path::new("")).to_path_buf();
        Ok(Self { folder, episodes })
    }
}

impl Source for Pictures {
    fn fps(&self) -> Option<f32> {
        None
    }

    fn episodes(&self) -> Vec<String> {
        self.episodes.iter().map(|rows| rows.name.clone()).collect()
    }

    fn pairing(&self) -> Pairing {
        Pairing::LedTo
    }

    fn read(&mut self, episode: usize, pairing: Pairing, film: &mut Film) -> Result<Recording> {
        let rows = &self.episodes[episode];
        for name in &rows.files {
            let path = self.folder.join(name);
            let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
            picture(&bytes, &path, film)?;
        }
        let steps = between(rows.actions.iter().collect(), pairing)
            .into_iter()
            .map(|action| match action.parse() {
                Ok(number) if rows.numbers => Ok(Taken::Number(number)),
                _ if action.is_empty() => Err(Error::invalid(
                    self.folder.join(&rows.name),
                    "a row has no action, expected one wherever it leads to a picture",
                )),
                _ => Ok(Taken::Name(action.clone())),
            })
            .collect::<Result<_>>()?;
        Ok(Recording {
            steps,
            rewards: Vec::new(),
            terminal: false,
        })
    }
}
