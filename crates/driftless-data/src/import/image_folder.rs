//! A folder of images with a CSV file: columns `file`, `action` and optionally `episode`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::frame_resampler::FrameResampler;
use super::raw_action::RawAction;
use super::{ActionPairing, RawEpisode, RecordingSource, per_transition, push_encoded};
use crate::fs::{read_source, read_text};
use crate::media::MAX_IMAGE_FILE;
use crate::{Error, PathError as _, Result};

/// Images in the order of a CSV file, grouped into episodes.
pub struct ImageFolder {
    /// The folder that file names are relative to.
    folder: PathBuf,
    episodes: Vec<ImageEpisode>,
}

/// The rows of one episode.
#[derive(Debug)]
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
        let text = read_text(&csv)?;
        let csv_error = |e: csv::Error| Error::invalid(&csv, format!("CSV: {e}"));
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .delimiter(delimiter(&text))
            .from_reader(text.as_bytes());
        let header = reader.headers().map_err(csv_error)?.clone();
        let column = |name: &str| {
            let mut columns = header.iter();
            columns.position(|column| column.eq_ignore_ascii_case(name))
        };
        let required = |name: &str| {
            column(name).ok_or_else(|| {
                let found: Vec<&str> = header.iter().collect();
                let what = format!(
                    "no column `{name}` in the header ({}), expected file, action and optionally episode, \
                     separated by commas, semicolons or tabs",
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
            numeric &= action.is_empty() || action.parse::<f64>().is_ok_and(f64::is_finite);
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
            let path = self.image_path(name);
            let bytes = read_source(&path, MAX_IMAGE_FILE)?;
            push_encoded(&bytes, &path, frames)?;
        }
        let actions = per_transition(rows.actions.iter().collect(), pairing)
            .into_iter()
            .map(|action| match (action.parse(), action.parse()) {
                (Ok(number), _) if rows.numeric => Ok(RawAction::Number(number)),
                (_, Ok(decimal)) if rows.numeric => Ok(RawAction::Vector(vec![decimal])),
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
            remarks: Vec::new(),
        })
    }
}

impl ImageFolder {
    /// The path of an image by its name in the CSV file, which Windows writes with backslashes.
    fn image_path(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        if name.contains('\\') && !path.exists() {
            return self.folder.join(name.replace('\\', "/"));
        }
        path
    }
}

/// What separates the columns: the one of `;`, tab and `,` that is most frequent in the header.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let count = |separator: &u8| header.bytes().filter(|byte| byte == separator).count();
    let separators = [b';', b'\t', b','];
    // The last of equals: a comma, if there is none at all.
    separators.into_iter().max_by_key(count).unwrap_or(b',')
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
    fn separators_case_and_backslashes_vary() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("shots")).unwrap();
        std::fs::write(folder.path().join("shots/0.png"), "").unwrap();
        // What macOS leaves beside a file on a foreign disk.
        std::fs::write(folder.path().join("._a.csv"), [0, 5, 22, 7]).unwrap();
        for rows in [
            "file,action\nshots\\0.png,left\n",
            "file;action\r\nshots/0.png;left\r\n",
            "Action\tFILE\nleft\tshots/0.png\n",
            "\u{feff}File,Action\nshots/0.png,left\n",
        ] {
            std::fs::write(folder.path().join("a.csv"), rows).unwrap();
            let source = ImageFolder::open(folder.path()).unwrap();
            let rows = &source.episodes[0];
            assert_eq!(rows.actions, ["left"]);
            assert!(source.image_path(&rows.files[0]).is_file(), "{rows:?}");
        }
        std::fs::write(folder.path().join("a.csv"), "picture|action\n").unwrap();
        let message = ImageFolder::open(folder.path()).err().unwrap().to_string();
        assert!(message.contains("semicolons or tabs"), "{message}");
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
