//! A folder of images with a CSV file: columns `file`, `action` and optionally `episode`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::actions::RawAction;
use super::frame_resampler::FrameResampler;
use super::{ActionPairing, RawEpisode, RecordingSource, per_transition, push_encoded};
use crate::{Error, PathError as _, Result};

/// Images in the order of a CSV file, grouped into episodes.
pub struct ImageFolder {
    /// The folder that file names are relative to.
    folder: PathBuf,
    episodes: Vec<ImageEpisode>,
}

/// The rows of one episode.
struct ImageEpisode {
    name: String,
    files: Vec<String>,
    /// As written; may be empty where the pairing does not use it.
    actions: Vec<String>,
    /// Whether every action in the whole file is a number.
    numeric: bool,
}

impl ImageFolder {
    /// Reads the CSV file at `path`, or the only one in the folder at `path`.
    ///
    /// # Errors
    /// Returns an error if the folder does not have exactly one `.csv`, or the file is not valid
    /// CSV or lacks a column.
    pub fn open(path: &Path) -> Result<Self> {
        let csv = find_csv(path)?;
        let file = std::fs::File::open(&csv).map_err(|e| Error::io(&csv, e))?;
        let csv_error = |e: csv::Error| Error::invalid(&csv, format!("CSV: {e}"));
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(file);
        let header = reader.headers().map_err(csv_error)?.clone();
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
        let mut episodes: Vec<ImageEpisode> = Vec::new();
        let mut index_of: HashMap<String, usize> = HashMap::new();
        let mut numeric = true;
        for row in reader.records() {
            let row = row.map_err(csv_error)?;
            let field = |column: usize| row.get(column).unwrap_or_default().to_string();
            let name = episode.map_or_else(|| stem.to_string(), field);
            let index = *index_of.entry(name).or_insert_with_key(|name| {
                episodes.push(ImageEpisode {
                    name: name.clone(),
                    files: Vec::new(),
                    actions: Vec::new(),
                    numeric: true,
                });
                episodes.len() - 1
            });
            let (rows, action) = (&mut episodes[index], field(action));
            numeric &= action.is_empty() || action.parse::<i64>().is_ok();
            rows.files.push(field(file));
            rows.actions.push(action);
        }
        for rows in &mut episodes {
            rows.numeric = numeric;
        }
        let folder = csv.parent().unwrap_or(Path::new("")).to_path_buf();
        Ok(Self { folder, episodes })
    }
}

impl RecordingSource for ImageFolder {
    fn fps(&self) -> Option<f32> {
        None
    }

    fn episode_names(&self) -> Vec<String> {
        self.episodes.iter().map(|rows| rows.name.clone()).collect()
    }

    fn default_pairing(&self) -> ActionPairing {
        ActionPairing::LedTo
    }

    fn read(
        &mut self,
        episode: usize,
        pairing: ActionPairing,
        frames: &mut FrameResampler,
    ) -> Result<RawEpisode> {
        let rows = &self.episodes[episode];
        for name in &rows.files {
            let path = self.folder.join(name);
            let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
            push_encoded(&bytes, &path, frames)?;
        }
        let actions = per_transition(rows.actions.iter().collect(), pairing)
            .into_iter()
            .map(|action| match action.parse() {
                Ok(number) if rows.numeric => Ok(RawAction::Number(number)),
                _ if action.is_empty() => Err(Error::invalid(
                    self.folder.join(&rows.name),
                    "a row has no action, expected one for every transition to a next frame",
                )),
                _ => Ok(RawAction::Name(action.clone())),
            })
            .collect::<Result<_>>()?;
        Ok(RawEpisode {
            actions,
            rewards: Vec::new(),
            terminal: false,
        })
    }
}

/// `path` itself, or the only `.csv` file in the folder `path`.
fn find_csv(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    match super::files_with_extension(path, "csv")?.as_slice() {
        [only] => Ok(only.clone()),
        found => {
            let what = format!(
                "holds {} .csv files, expected one with the columns file and action",
                found.len()
            );
            Err(Error::invalid(path, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn episodes_keep_the_order_of_their_first_rows() {
        let folder = tempfile::tempdir().unwrap();
        let rows = "file,action,episode\n0.png,1,b\n1.png,2,a\n2.png,3,b\n";
        std::fs::write(folder.path().join("frames.csv"), rows).unwrap();
        let source = ImageFolder::open(folder.path()).unwrap();
        assert_eq!(source.episode_names(), ["b", "a"]);
        assert_eq!(source.episodes[0].files, ["0.png", "2.png"]);
        assert_eq!(source.episodes[0].actions, ["1", "3"]);
        assert_eq!(source.episodes[1].files, ["1.png"]);
    }

    #[test]
    fn many_episodes_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let mut rows = String::from("file,action,episode\n");
        // Enough for a search through all episodes at every row to be noticed.
        for episode in 0..100_000 {
            rows.push_str(&format!("{episode}.png,0,{episode}\n"));
        }
        std::fs::write(folder.path().join("frames.csv"), rows).unwrap();
        let source = ImageFolder::open(folder.path()).unwrap();
        assert_eq!(source.episodes.len(), 100_000);
    }
}
