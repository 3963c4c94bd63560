//! A file that the Parquet library reads no further than to its end.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek as _, SeekFrom};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Reads at the end that a reader makes in good faith.
const MAX_READS_AT_END: u32 = 64;

/// A file. Readers of it fail when they are at its end and still asked for more: the library skips what it does not
/// know without looking at how much it got, and a damaged page header can have it skip 2³¹ numbers that are not there.
pub struct ParquetFile(pub File);

/// What reads a [`ParquetFile`] from somewhere on.
pub struct PartReader {
    file: BufReader<File>,
    at_end: u32,
}

impl Length for ParquetFile {
    fn len(&self) -> u64 {
        Length::len(&self.0)
    }
}

impl ChunkReader for ParquetFile {
    type T = PartReader;

    fn get_read(&self, start: u64) -> Result<PartReader> {
        let mut file = self.0.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        Ok(PartReader {
            file: BufReader::new(file),
            at_end: 0,
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // The library allocates first.
        if start.saturating_add(length as u64) > Length::len(self) {
            let what = format!("{length} bytes at {start} are not in the file");
            return Err(ParquetError::EOF(what));
        }
        self.0.get_bytes(start, length)
    }
}

impl Read for PartReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.at_end += 1;
            if self.at_end > MAX_READS_AT_END {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn reading_on_at_the_end_fails() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"PAR1").unwrap();
        let file = ParquetFile(file);
        let mut reader = file.get_read(1).unwrap();
        let mut rest = Vec::new();
        assert_eq!(reader.read_to_end(&mut rest).unwrap(), 3);
        assert_eq!(rest, b"AR1");
        let reads = (0..2 * MAX_READS_AT_END).map(|_| reader.read(&mut [0; 8]));
        let error = reads.filter_map(std::result::Result::err).next().unwrap();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(file.get_bytes(0, 4).unwrap(), b"PAR1"[..]);
        assert!(file.get_bytes(1, 4).is_err() && file.get_bytes(u64::MAX, 4).is_err());
    }
}
