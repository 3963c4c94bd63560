//! Follows a run's `log.jsonl` while the trainer writes it.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::PathBuf;

use driftless_data::PathError as _;
use driftless_train::LogEntry;

use crate::{Error, Result};

/// Reads the lines appended to a log since the last read.
#[derive(Debug)]
pub struct LogTail {
    path: PathBuf,
    /// Bytes read so far.
    offset: u64,
}

impl LogTail {
    /// Starts at the beginning of the file at `path`, which need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, offset: 0 }
    }

    /// The entries completed since the last call. Lines of another format are skipped, because
    /// watching a run must not fail on them.
    ///
    /// # Errors
    /// Returns an error if the file exists but cannot be read.
    pub fn read(&mut self) -> Result<Vec<LogEntry>> {
        let io_error = |e| Error::io(&self.path, e);
        let mut file = match File::open(&self.path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened.map_err(io_error)?,
        };
        file.seek(SeekFrom::Start(self.offset)).map_err(io_error)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io_error)?;
        // The trainer is still writing what follows the last line break.
        let line_end = bytes.iter().rposition(|byte| *byte == b'\n');
        let complete = &bytes[..line_end.map_or(0, |at| at + 1)];
        self.offset += complete.len() as u64;
        let parse = |line: &[u8]| serde_json::from_slice(line).ok();
        Ok(complete
            .split(|byte| *byte == b'\n')
            .filter_map(parse)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use driftless_train::RunLayout;

    use super::*;

    fn line(step: u64) -> String {
        format!(
            r#"{{"stage":"tokenizer","step":{step},"loss":0.5,"rate":0.1,"frames_per_s":90.0,"seconds":2.0}}"#
        )
    }

    #[test]
    fn reads_only_new_complete_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = RunLayout::new(folder.path()).log();
        let mut tail = LogTail::new(path.clone());
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
    fn skips_unknown_lines() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!("{}\nnot json\n{{\"stage\":\"x\"}}\n{}\n", line(1), line(21));
        std::fs::write(file.path(), text).unwrap();
        let entries = LogTail::new(file.path().into()).read().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[1].loss, entries[1].frames_per_s), (0.5, 90.0));
    }
}
