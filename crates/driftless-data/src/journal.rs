//! An append-only file that holds what is being recorded, while it is being recorded.
//!
//! A thread writes it, so that the one that records never waits for a disk. What was appended survives the end
//! of the program within a moment, and that of the system within [`SYNC_INTERVAL`]. When the recording has been
//! written to its place, the journal is removed; one that is left, and not locked, is what remains of a killed
//! program.
//!
//! The format: [`MAGIC`], then records: kind (u8), length of the payload (u32), CRC-32C of all three but itself
//! (u32), payload. Little endian. The first record that is not whole ends it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::fs::open_source;
use crate::{Error, PathError as _, Result};

/// What every journal starts with: the format and its version.
pub const MAGIC: &[u8; 8] = b"DRIFTJ\x00\x01";
/// The longest time between two flushes to the disk itself.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(5);
/// Extension of a journal.
pub const EXTENSION: &str = "journal";

/// Bytes of a record before its payload.
const HEAD: usize = 9;
/// Largest accepted payload in bytes: a frame of 16,384 × 16,384 pixels.
const MAX_PAYLOAD: u32 = 3 << 28;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is; the writer chooses the numbers.
    pub kind: u8,
    /// The content.
    pub payload: Vec<u8>,
}

impl Record {
    /// The record as bytes.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.payload.len());
        bytes.push(self.kind);
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        bytes.extend(length.to_le_bytes());
        bytes.extend(self.checksum().to_le_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// CRC-32C of kind, length and payload.
    fn checksum(&self) -> u32 {
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        let sum = crc32c::crc32c(&[self.kind]);
        let sum = crc32c::crc32c_append(sum, &length.to_le_bytes());
        crc32c::crc32c_append(sum, &self.payload)
    }
}

/// What the writing thread is told.
enum Task {
    Write(Vec<u8>),
    Sync,
}

/// A journal that is being written. Dropping it writes what is left and leaves the file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
    failure: Arc<Mutex<Option<std::io::Error>>>,
}

impl Journal {
    /// Creates a journal in `folder`, which is created if it is missing. `name` is the beginning of its
    /// name.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be written, or no thread can be started.
    pub fn create(folder: &Path, name: &str) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let (mut file, path) = new_file(folder, name)?;
        // Where files cannot be locked, a journal in use looks like one that was left.
        if cfg!(unix) {
            let _ = file.try_lock();
        }
        let (tasks, queue) = channel();
        let failure = Arc::new(Mutex::new(None));
        let failed = Arc::clone(&failure);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || {
                let written = file
                    .write_all(MAGIC)
                    .and_then(|()| write_tasks(&mut file, &queue));
                if let Err(error) = written {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            })
            .map_err(|e| Error::io(&path, e))?;
        Ok(Self {
            path,
            tasks: Some(tasks),
            thread: Some(thread),
            failure,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a record. [`Journal::failure`] tells later if that failed.
    pub fn append(&self, record: &Record) {
        self.send(Task::Write(record.encode()));
    }

    /// Flushes what was appended to the disk soon, without waiting for it.
    pub fn sync(&self) {
        self.send(Task::Sync);
    }

    fn send(&self, task: Task) {
        if let Some(tasks) = &self.tasks {
            // The thread has ended if it failed, which `failure` tells.
            let _ = tasks.send(task);
        }
    }

    /// Why nothing is written any more, if so: once.
    pub fn failure(&self) -> Option<Error> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take().map(|error| Error::io(&self.path, error))
    }

    /// Removes the file: what it holds is in its place, or is not wanted.
    ///
    /// # Errors
    /// Returns an error if the file cannot be removed.
    pub fn remove(mut self) -> Result<()> {
        self.close();
        std::fs::remove_file(&self.path).map_err(|e| Error::io(&self.path, e))
    }

    fn close(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            // The thread does not panic.
            let _ = thread.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

/// Creates the file of a journal under a name that is free.
fn new_file(folder: &Path, name: &str) -> Result<(File, PathBuf)> {
    let mut number = 0_u32;
    loop {
        let id = std::process::id();
        let path = folder.join(format!("{name}.{id}-{number}.{EXTENSION}"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && number < 10_000 => {
                number += 1;
            }
            Err(e) => return Err(Error::io(&path, e)),
        }
    }
}

/// Writes until there is nobody left to ask for it.
fn write_tasks(file: &mut File, queue: &Receiver<Task>) -> std::io::Result<()> {
    // When the oldest write that is not on the disk itself was made.
    let mut unsynced: Option<Instant> = None;
    loop {
        let left = unsynced.map_or(SYNC_INTERVAL, |since| {
            SYNC_INTERVAL.saturating_sub(since.elapsed())
        });
        match queue.recv_timeout(left) {
            Ok(Task::Write(bytes)) => {
                file.write_all(&bytes)?;
                unsynced.get_or_insert_with(Instant::now);
                if left > Duration::ZERO {
                    continue;
                }
            }
            Ok(Task::Sync) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if unsynced.take().is_some() {
            file.sync_data()?;
        }
    }
}

/// The journals in `folder` that no running program writes, by name.
pub fn abandoned(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == EXTENSION))
        .filter(|path| open_source(path).is_ok_and(|file| !cfg!(unix) || file.try_lock().is_ok()))
        .collect();
    found.sort();
    found
}

/// A journal that is being read. It is locked, so that nobody else takes it over.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    file: BufReader<File>,
    /// Bytes after the current position.
    left: u64,
}

impl JournalReader {
    /// Opens a journal.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is no journal, or is being written.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open_source(path)?;
        if cfg!(unix) && matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            let what = "is still being recorded, or recovered, by another process";
            return Err(Error::invalid(path, what));
        }
        let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
        let mut file = BufReader::new(file);
        let mut magic = [0; MAGIC.len()];
        if file.read_exact(&mut magic).is_err() || magic != *MAGIC {
            let what = "is not a journal of a recording, or of another version of the program";
            return Err(Error::invalid(path, what));
        }
        Ok(Self {
            path: path.to_path_buf(),
            file,
            left: length.saturating_sub(magic.len() as u64),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Kind, payload's length and checksum of the next record, if its payload can follow.
    fn head(&mut self) -> Option<(u8, u32, u32)> {
        let mut head = [0; HEAD];
        if self.left < HEAD as u64 {
            return None;
        }
        self.file.read_exact(&mut head).ok()?;
        self.left -= HEAD as u64;
        let [kind, l0, l1, l2, l3, c0, c1, c2, c3] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let fits = length <= MAX_PAYLOAD && u64::from(length) <= self.left;
        fits.then(|| {
            self.left -= u64::from(length);
            (kind, length, u32::from_le_bytes([c0, c1, c2, c3]))
        })
    }

    /// The kinds of all further records, without reading what is in them.
    pub fn kinds(mut self) -> Vec<u8> {
        let mut kinds = Vec::new();
        while let Some((kind, length, _)) = self.head() {
            kinds.push(kind);
            if self.file.seek_relative(length.into()).is_err() {
                break;
            }
        }
        kinds
    }

    /// Starts again at the first record.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn rewind(&mut self) -> Result<()> {
        let start = MAGIC.len() as u64;
        let length = self.file.get_ref().metadata();
        let length = length.map_err(|e| Error::io(&self.path, e))?.len();
        self.file
            .seek(SeekFrom::Start(start))
            .map_err(|e| Error::io(&self.path, e))?;
        self.left = length.saturating_sub(start);
        Ok(())
    }

    /// Removes the file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be removed.
    pub fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|e| Error::io(&self.path, e))
    }
}

impl Iterator for JournalReader {
    type Item = Record;

    /// The next whole record.
    fn next(&mut self) -> Option<Record> {
        let (kind, length, checksum) = self.head()?;
        let mut payload = vec![0; length as usize];
        self.file.read_exact(&mut payload).ok()?;
        let record = Record { kind, payload };
        if record.checksum() != checksum {
            // Nothing after it can be trusted either.
            self.left = 0;
            return None;
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, length: usize) -> Record {
        let payload = (0..length).map(|i| (i as u8).wrapping_mul(kind)).collect();
        Record { kind, payload }
    }

    fn records() -> Vec<Record> {
        vec![record(1, 20), record(2, 0), record(3, 3000), record(2, 1)]
    }

    fn write(folder: &Path) -> PathBuf {
        let journal = Journal::create(folder, "a").unwrap();
        records().iter().for_each(|record| journal.append(record));
        journal.sync();
        journal.path().to_path_buf()
    }

    #[test]
    fn records_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path());
        let reader = JournalReader::open(&path).unwrap();
        assert_eq!(reader.collect::<Vec<_>>(), records());
        let mut reader = JournalReader::open(&path).unwrap();
        assert_eq!(reader.next().unwrap(), records()[0]);
        reader.rewind().unwrap();
        assert_eq!(reader.kinds(), [1, 2, 3, 2]);
        assert_eq!(abandoned(folder.path()), [path.clone()]);
        JournalReader::open(&path).unwrap().remove().unwrap();
        assert!(abandoned(folder.path()).is_empty());
    }

    #[test]
    fn a_torn_end_loses_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        let ends: Vec<usize> = records()
            .iter()
            .scan(MAGIC.len(), |end, record| {
                *end += HEAD + record.payload.len();
                Some(*end)
            })
            .collect();
        for length in MAGIC.len()..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let read: Vec<_> = JournalReader::open(&path).unwrap().collect();
            let whole = ends.iter().filter(|&&end| end <= length).count();
            assert_eq!(read, records()[..whole], "{length}");
        }
        for at in MAGIC.len()..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x40;
            std::fs::write(&path, &bytes).unwrap();
            let read: Vec<_> = JournalReader::open(&path).unwrap().collect();
            let whole = ends.iter().filter(|&&end| end <= at).count();
            assert_eq!(read, records()[..whole], "{at}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_journal_in_use_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::create(folder.path(), "a").unwrap();
        journal.append(&record(1, 9));
        assert!(abandoned(folder.path()).is_empty());
        let error = JournalReader::open(journal.path()).unwrap_err().to_string();
        assert!(error.contains("still being recorded"), "{error}");
        let second = Journal::create(folder.path(), "a").unwrap();
        assert_ne!(second.path(), journal.path());
        second.remove().unwrap();
        journal.remove().unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.journal");
        for bytes in [&b""[..], b"DRIFTJ\x00\x02rest"] {
            std::fs::write(&path, bytes).unwrap();
            let error = JournalReader::open(&path).unwrap_err().to_string();
            assert!(error.contains("a.journal: is not a journal"), "{error}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_full_disk_is_told_once() {
        // What is written to this device fails as on a full disk.
        let mut file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (tasks, queue) = channel();
        tasks.send(Task::Write(vec![1])).unwrap();
        drop(tasks);
        let error = write_tasks(&mut file, &queue).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }
}
