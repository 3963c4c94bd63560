//! A run's `log.jsonl` as it grows.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde::Deserialize;

use crate::{Error, Result};
use driftless_data::PathError as _;

/// A line of the log, as far as a person watches it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Entry {
    /// `tokenizer` or `dynamics`.
    pub stage: String,
    /// Steps done.
    pub step: u64,
    /// The loss of the last of them.
    pub loss: f64,
    /// Frames trained on a second, in the last of them.
    pub frames_per_s: f64,
    /// Seconds spent in the stage's steps so far.
    pub seconds: f64,
}

/// The end of the log that has not been read yet.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    read: u64,
}

impl Tail {
    /// The whole of the file at `path`, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    /// The lines that have been completed since the last call. A line of another form is passed
    /// over: the run is not worse for it.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read(&mut self) -> Result<Vec<Entry>> {
        let wrong = |e| Error::io(&self.path, e);
        let mut file = match File::open(&self.path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened.map_err(wrong)?,
        };
        file.seek(SeekFrom::Start(self.read)).map_err(wrong)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(wrong)?;
        // What follows the last line break is still being written.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n');
        let whole = &bytes[..whole.map_or(0, |at| at + 1)];
        self.read += whole.len() as u64;
        let entry = |line: &[u8]| serde_json::from_slice(line).ok();
        Ok(whole
            .split(|byte| *byte == b'\n')
            .filter_map(entry)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn line(step: u64) -> String {
        format!(
            r#"{{"stage":"tokenizer","step":{step},"loss":0.5,"rate":0.1,"frames_per_s":90.0,"seconds":2.0}}"#
        )
    }

    #[test]
    fn only_new_whole_lines_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut tail = Tail::new(path.clone());
        assert!(tail.read().unwrap().is_empty());
        let mut file = File::create(&path).unwrap();
        let mut read = |text: &str| {
            file.write_all(text.as_bytes()).unwrap();
            let entries = tail.read().unwrap();
            entries.iter().map(|entry| entry.step).collect::<Vec<_>>()
        };
        let (first, second) = (line(1), line(21));
        let (half, rest) = second.split_at(30);
        assert_eq!(read(&format!("{first}\n{half}")), [1]);
        assert_eq!(read(rest), [0; 0]);
        assert_eq!(read("\n"), [21]);
        assert_eq!(read(""), [0; 0]);
    }

    #[test]
    fn a_line_of_another_form_is_passed_over() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!("{}\nnot json\n{{\"stage\":\"x\"}}\n{}\n", line(1), line(21));
        std::fs::write(file.path(), text).unwrap();
        let entries = Tail::new(file.path().into()).read().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[1].loss, entries[1].frames_per_s), (0.5, 90.0));
    }
}
