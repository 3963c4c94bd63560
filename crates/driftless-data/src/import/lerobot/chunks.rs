//! A file that the Parquet library reads no further than to its end, and whose pages are no larger than they can be.

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Read, Seek as _, SeekFrom};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Reads at the end that a reader makes in good faith.
const MAX_READS_AT_END: u32 = 64;
/// Largest page in bytes, unpacked, that may be compressed to less than a [`MAX_RATIO`]th.
const MAX_PAGE: i64 = 256 << 20;
const MAX_RATIO: i64 = 32;

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
        let mut file = BufReader::new(file);
        PageSize::parse(file.fill_buf()?).check()?;
        Ok(PartReader { file, at_end: 0 })
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

/// What the header of a page says about its size. The library allocates as much before it has a value; what is at
/// odds with the file otherwise is an error of the library's.
#[derive(Debug, Default, PartialEq)]
struct PageSize {
    unpacked: i64,
    packed: i64,
    dictionary_values: i64,
}

impl PageSize {
    /// Reads the beginning of a `PageHeader`, in Thrift's compact protocol
    /// (<https://github.com/apache/parquet-format>): fields 2 and 3 are the sizes, the first field of 7 is the number
    /// of a dictionary's values. Bytes that are no such header are left to the library.
    fn parse(mut bytes: &[u8]) -> Self {
        const INTEGER: u8 = 5;
        const STRUCT: u8 = 12;
        let mut size = Self::default();
        let (mut outer, mut id) = (0, 0);
        while let Some((&head, rest)) = bytes.split_first() {
            bytes = rest;
            id = match i64::from(head >> 4) {
                0 => match integer(&mut bytes) {
                    Some(id) => id,
                    None => break,
                },
                step => id + step,
            };
            match head & 15 {
                INTEGER => {
                    let Some(value) = integer(&mut bytes) else {
                        break;
                    };
                    match (outer, id) {
                        (0, 2) => size.unpacked = value,
                        (0, 3) => size.packed = value,
                        (7, 1) => size.dictionary_values = value,
                        _ => {}
                    }
                }
                STRUCT if outer == 0 => (outer, id) = (id, 0),
                _ => break,
            }
        }
        size
    }

    fn check(&self) -> Result<()> {
        let Self {
            unpacked, packed, ..
        } = *self;
        let what = if unpacked > MAX_PAGE && unpacked / MAX_RATIO > packed {
            format!("a page of {packed} bytes says that it unpacks to {unpacked}")
        } else if self.dictionary_values > unpacked.max(0) {
            let values = self.dictionary_values;
            format!("a dictionary of {unpacked} bytes says that it holds {values} values")
        } else {
            return Ok(());
        };
        Err(ParquetError::General(what))
    }
}

/// The zigzag number that `bytes` begins with, of 32 bits; moves behind it. As the library does, it takes numbers of
/// more bytes than these need, and drops the upper bits.
fn integer(bytes: &mut &[u8]) -> Option<i64> {
    let length = bytes.iter().position(|&byte| byte < 0x80)? + 1;
    let (number, rest) = bytes.split_at(length);
    *bytes = rest;
    let parts = number.iter().zip((0..).step_by(7));
    let value = parts.fold(0_u64, |value, (&byte, shift)| {
        value | u64::from(byte & 0x7f).wrapping_shl(shift)
    });
    let number = (value >> 1) as i64 ^ -((value & 1) as i64);
    Some(i64::from(number as i32))
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

    fn number(value: i64) -> Vec<u8> {
        let mut rest = (value << 1) ^ (value >> 63);
        let mut bytes = Vec::new();
        while rest > 0x7f {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    }

    /// The header of a dictionary's page: its type, two sizes, a checksum, the number of values and their encoding.
    fn header(unpacked: i64, packed: i64, values: i64) -> Vec<u8> {
        let field = |head: u8, value| [vec![head], number(value)].concat();
        let outer = [2, unpacked, packed, 77].map(|value| field(0x15, value));
        let inner = [values, 0].map(|value| field(0x15, value));
        [outer.concat(), vec![0x3c], inner.concat(), vec![0, 0]].concat()
    }

    #[test]
    fn sizes_of_pages_are_checked() {
        let size = PageSize::parse(&header(300, 120, 70));
        let expected = PageSize {
            unpacked: 300,
            packed: 120,
            dictionary_values: 70,
        };
        assert_eq!(size, expected);
        assert_eq!(PageSize::parse(b""), PageSize::default());
        assert_eq!(PageSize::parse(&[0xff; 40]), PageSize::default());
        // Seven bytes for a number, as the fuzzer found.
        let long = b"\x15\x04\x15\x20\x15\x24\x4c\x15\xae\xe8\xa9\xd8\xeb\xb6\x08\x15\x00";
        assert_eq!(PageSize::parse(long).dictionary_values, 1_569_012_247);
        assert_eq!(PageSize::parse(&header(-5, 1, 0)).unpacked, -5);

        let open = |header: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"PAR1").unwrap();
            file.write_all(header).unwrap();
            ParquetFile(file)
                .get_read(4)
                .map(drop)
                .map_err(|e| e.to_string())
        };
        open(&header(300, 300, 75)).unwrap();
        open(&header(1 << 30, 100 << 20, 1 << 20)).unwrap();
        let error = open(&header(300, 300, i32::MAX.into())).unwrap_err();
        assert!(error.contains("2147483647 values"), "{error}");
        let error = open(&header(1 << 30, 9000, 0)).unwrap_err();
        assert!(error.contains("unpacks to 1073741824"), "{error}");
    }
}
