//! Reads and writes NumPy's `.npz` files: named arrays in a zip archive.
//!
//! Files are not trusted: memory for an array is allocated only after its header, the zip entry and
//! the file size agree on its length.

mod array;

use std::io::{BufReader, Cursor, Read, Seek, Write};
use std::path::{Path, PathBuf};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use crate::fs::{open_source, read_source, write_atomic};
use crate::{Error, PathError as _, Result};

pub use array::{NpyArray, NpyDtype};

/// Longest accepted array header in bytes; NumPy's own are a few hundred bytes at most.
const MAX_HEADER: usize = 1 << 16;
/// Largest accepted array in bytes.
const MAX_ARRAY: u64 = 4 << 30;
/// Largest accepted array of texts in bytes.
const MAX_TEXTS: u64 = 64 << 20;
/// The highest compression ratio that deflate can reach.
pub const MAX_RATIO: u64 = 1040;
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Header of an `.npy` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NpyHeader {
    dtype: NpyDtype,
    /// Whether the most significant byte comes first.
    big_endian: bool,
    /// As declared; not to be trusted until compared with the size of the entry.
    shape: Vec<u64>,
    fortran: bool,
}

impl NpyHeader {
    /// Length of the data in bytes according to the header; `None` if it overflows.
    fn data_len(&self, element_len: usize) -> Option<u64> {
        self.shape
            .iter()
            .try_fold(element_len as u64, |bytes, &side| bytes.checked_mul(side))
    }
}

/// What an archive is read from.
trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// The entries of an archive.
type Entries = ZipArchive<BufReader<Box<dyn Source>>>;

/// An `.npz` file opened for reading.
pub struct NpzReader {
    path: PathBuf,
    zip: Entries,
}

impl NpzReader {
    /// Opens a file and reads its zip directory.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened or is not a complete zip archive.
    pub fn open(path: &Path) -> Result<Self> {
        Self::new(path, open_source(path)?)
    }

    /// Reads the zip directory of an archive that is part of something else, or in memory. `path` names it in
    /// errors.
    ///
    /// # Errors
    /// Returns an error if it is not a complete zip archive.
    pub fn new(path: &Path, source: impl Read + Seek + Send + 'static) -> Result<Self> {
        let source: Box<dyn Source> = Box::new(source);
        let zip = ZipArchive::new(BufReader::new(source)).map_err(|e| match e {
            ZipError::Io(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
                Error::io(path, source)
            }
            ZipError::Io(_) | ZipError::InvalidArchive(_) => {
                Error::invalid(path, "not an .npz file, or truncated")
            }
            other => Error::invalid(path, format!("cannot be read: {}", one_line(&other))),
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            zip,
        })
    }

    /// Names of the arrays, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .zip
            .file_names()
            .filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_string()))
            .collect();
        names.sort();
        names
    }

    /// Reads the array `name`.
    ///
    /// # Errors
    /// Returns an error if the array is missing, its dtype is not supported, its header and length
    /// disagree, or its data is corrupt.
    pub fn array(&mut self, name: &str) -> Result<NpyArray> {
        self.readable_array(name)?.map_err(|dtype| {
            self.error(
                name,
                format!("dtype is {dtype}, expected booleans, integers or floats"),
            )
        })
    }

    /// Reads the array `name`; the inner error is an unsupported dtype.
    ///
    /// # Errors
    /// As [`NpzReader::array`], except for the dtype.
    pub fn readable_array(
        &mut self,
        name: &str,
    ) -> Result<std::result::Result<NpyArray, NpyDtype>> {
        self.entry(name, NpyDtype::size)
    }

    /// Reads the array `name`, whose elements have the size `size`; the inner error is a dtype without one.
    fn entry(
        &mut self,
        name: &str,
        size: fn(&NpyDtype) -> Option<usize>,
    ) -> Result<std::result::Result<NpyArray, NpyDtype>> {
        let Some(index) = self.zip.index_for_name(&format!("{name}.npy")) else {
            let names = self.names().join(", ");
            return Err(self.error(name, format!("missing; the file has: {names}")));
        };
        read_entry(&mut self.zip, index, size).map_err(|what| self.error(name, what))
    }

    /// Reads the array `name` of texts, NumPy's `<U` or `S`: its shape and its elements, in C order.
    ///
    /// # Errors
    /// Returns an error if the array is missing, holds no texts or more than 64 MiB of them, is not valid
    /// Unicode (`S`: UTF-8), its header and length disagree, or its data is corrupt.
    pub fn texts(&mut self, name: &str) -> Result<(Vec<usize>, Vec<String>)> {
        if self.unpacked_len(name) > MAX_TEXTS {
            return Err(self.error(name, format!("has more than {} MiB", MAX_TEXTS >> 20)));
        }
        let read = self.entry(name, NpyDtype::text_size)?;
        let array = read.map_err(|dtype| {
            self.error(name, format!("dtype is {dtype}, expected texts (U or S)"))
        })?;
        let texts = array.to_texts();
        let texts = texts.ok_or_else(|| self.error(name, "is not valid Unicode text"))?;
        Ok((array.shape, texts))
    }

    /// Length in bytes of the array `name` without compression, header included, as the archive says;
    /// 0 if it is missing. Reading checks it.
    pub fn unpacked_len(&mut self, name: &str) -> u64 {
        let index = self.zip.index_for_name(&format!("{name}.npy"));
        let file = index.and_then(|index| self.zip.by_index_raw(index).ok());
        file.map_or(0, |file| file.size())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An [`Error::Invalid`] about one array of this file.
    pub fn error(&self, name: &str, what: impl std::fmt::Display) -> Error {
        Error::invalid(&self.path, format!("array `{name}`: {what}"))
    }
}

/// Reads one entry of the archive. The inner error is an unsupported dtype.
fn read_entry(
    zip: &mut Entries,
    index: usize,
    size: fn(&NpyDtype) -> Option<usize>,
) -> std::result::Result<std::result::Result<NpyArray, NpyDtype>, String> {
    let mut file = zip
        .by_index(index)
        .map_err(|e| format!("cannot be read: {}", one_line(&e)))?;
    let (unpacked_len, packed_len) = (file.size(), file.compressed_size());
    let (header, header_len) = read_header(&mut file)?;
    let Some(element_len) = size(&header.dtype) else {
        return Ok(Err(header.dtype));
    };
    let shape_text = format!("shape {:?} of {}", header.shape, header.dtype);
    let data_len = unpacked_len.saturating_sub(header_len);
    if header.data_len(element_len) != Some(data_len) {
        return Err(format!(
            "its header says {shape_text}, but {data_len} bytes follow"
        ));
    }
    check_data_len(data_len, unpacked_len, packed_len)?;
    let length = usize::try_from(data_len).map_err(|_| format!("{shape_text} is too large"))?;
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length)
        .map_err(|_| format!("{shape_text} does not fit into memory"))?;
    // Try to read one byte more: the zip checksum is verified only at the end of the entry.
    file.take(data_len + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("corrupt: {}", one_line(&e)))?;
    if bytes.len() != length {
        return Err(format!("{} bytes long, expected {length}", bytes.len()));
    }
    assemble(&header, element_len, bytes)
        .ok_or_else(|| format!("{shape_text} does not fit into memory"))
        .map(Ok)
}

/// Reads an `.npy` file of at most `max` bytes.
///
/// # Errors
/// Returns an error if the file is larger, its dtype is not supported, or its header and length
/// disagree.
pub(crate) fn read_npy(path: &Path, max: u64) -> Result<NpyArray> {
    let bytes = read_source(path, max)?;
    let wrong = |what: String| Error::invalid(path, what);
    let (header, header_len) = read_header(&mut bytes.as_slice()).map_err(wrong)?;
    let element_len = header
        .dtype
        .size()
        .ok_or_else(|| wrong(format!("dtype is {}, expected numbers", header.dtype)))?;
    let data = bytes.get(header_len as usize..).unwrap_or_default();
    if header.data_len(element_len) != Some(data.len() as u64) {
        let (shape, found) = (&header.shape, data.len());
        let what = format!("its header says shape {shape:?}, but {found} bytes follow");
        return Err(wrong(what));
    }
    assemble(&header, element_len, data.to_vec())
        .ok_or_else(|| wrong("does not fit into memory".to_owned()))
}

/// The array of a header and its data, little-endian and in C order; `None` if a copy does not fit into
/// memory.
fn assemble(header: &NpyHeader, element_len: usize, mut bytes: Vec<u8>) -> Option<NpyArray> {
    // Each axis is at most the product, unless the array is empty.
    let side = |&side: &u64| usize::try_from(side).unwrap_or(usize::MAX);
    let shape: Vec<usize> = header.shape.iter().map(side).collect();
    if header.big_endian {
        bytes
            .chunks_exact_mut(element_len)
            .for_each(<[u8]>::reverse);
    }
    if header.fortran && shape.len() > 1 {
        bytes = array::to_c_order(&bytes, &shape, element_len)?;
    }
    Some(NpyArray::new(header.dtype.clone(), shape, bytes))
}

/// Checks that an entry is not larger than its compressed size or the limit allows.
fn check_data_len(
    data_len: u64,
    unpacked_len: u64,
    packed_len: u64,
) -> std::result::Result<(), String> {
    let max_unpacked = packed_len
        .saturating_mul(MAX_RATIO)
        .saturating_add(MAX_RATIO);
    if unpacked_len > max_unpacked {
        return Err(format!(
            "corrupt: {packed_len} compressed bytes cannot unpack to {unpacked_len}"
        ));
    }
    check_array_len(data_len)
}

/// Checks that an array is not larger than what is read: nothing larger is written, either.
fn check_array_len(data_len: u64) -> std::result::Result<(), String> {
    if data_len > MAX_ARRAY {
        return Err(format!(
            "{data_len} bytes long, expected at most {MAX_ARRAY}"
        ));
    }
    Ok(())
}

/// Reads an array header; also returns its length in bytes.
fn read_header(file: &mut impl Read) -> std::result::Result<(NpyHeader, u64), String> {
    let mut read = |length: usize| {
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)
            .map(|()| bytes)
            .map_err(|e| format!("header is truncated or corrupt: {}", one_line(&e)))
    };
    let start = read(8)?;
    if !start.starts_with(MAGIC) {
        return Err("not a NumPy array".into());
    }
    let width = if start.get(6) == Some(&1) { 2 } else { 4 };
    let length = read(width)?
        .iter()
        .rev()
        .fold(0_usize, |length, &byte| length << 8 | usize::from(byte));
    if length > MAX_HEADER {
        return Err(format!(
            "header is {length} bytes long, expected at most {MAX_HEADER}"
        ));
    }
    let text = String::from_utf8_lossy(&read(length)?).into_owned();
    let header = parse_header(&text).ok_or("header is not a NumPy header")?;
    Ok((header, (8 + width + length) as u64))
}

/// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse_header(text: &str) -> Option<NpyHeader> {
    let after = |key: &str| {
        let (_, rest) = text.split_once(&format!("'{key}':"))?;
        Some(rest.trim_start())
    };
    let descr = after("descr")?;
    let (dtype, big_endian) = match descr.strip_prefix('\'') {
        Some(rest) => NpyDtype::parse(rest.split_once('\'')?.0),
        None => (NpyDtype::Other("structured".into()), false),
    };
    let (shape, _) = after("shape")?.strip_prefix('(')?.split_once(')')?;
    let shape = shape
        .split(',')
        .map(str::trim)
        .filter(|side| !side.is_empty())
        .map(|side| side.parse().ok())
        .collect::<Option<Vec<u64>>>()?;
    Some(NpyHeader {
        dtype,
        big_endian,
        shape,
        fortran: after("fortran_order")?.starts_with("True"),
    })
}

/// The message with line breaks replaced by spaces.
fn one_line(message: &impl std::fmt::Display) -> String {
    message.to_string().replace(['\n', '\r'], " ")
}

/// An element type that can be written.
pub trait NpyElement: Copy {
    /// NumPy's `descr` of the dtype.
    const DESCR: &str;
    /// Appends the element in little-endian order.
    fn append(self, bytes: &mut Vec<u8>);
}

impl NpyElement for bool {
    const DESCR: &str = "|b1";
    fn append(self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self));
    }
}

impl NpyElement for u8 {
    const DESCR: &str = "|u1";
    fn append(self, bytes: &mut Vec<u8>) {
        bytes.push(self);
    }
}

impl NpyElement for i32 {
    const DESCR: &str = "<i4";
    fn append(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

impl NpyElement for f32 {
    const DESCR: &str = "<f4";
    fn append(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

/// Collects arrays in memory and writes them as one `.npz` file.
pub struct NpzWriter {
    path: PathBuf,
    zip: ZipWriter<Cursor<Vec<u8>>>,
}

impl NpzWriter {
    /// Starts a file that [`NpzWriter::save`] will write at `path`.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            zip: ZipWriter::new(Cursor::new(Vec::new())),
        }
    }

    /// Adds an array, compressed.
    ///
    /// # Errors
    /// Returns an error if `shape` and the number of values disagree, or the array is larger than what
    /// [`NpzReader::array`] reads.
    pub fn add<T: NpyElement>(&mut self, name: &str, shape: &[usize], values: &[T]) -> Result<()> {
        let count = shape
            .iter()
            .try_fold(1_usize, |n, &side| n.checked_mul(side));
        if count != Some(values.len()) {
            return Err(Error::Shape(format!(
                "array `{name}`: {} values for shape {shape:?}",
                values.len()
            )));
        }
        check_array_len(size_of_val(values) as u64).map_err(|what| {
            let what = format!("array `{name}`: {what}; shorter episodes are smaller");
            Error::invalid(&self.path, what)
        })?;
        let mut bytes = header_bytes(T::DESCR, shape);
        bytes.reserve(size_of_val(values));
        for value in values {
            value.append(&mut bytes);
        }
        let options = SimpleFileOptions::default().large_file(bytes.len() >= u32::MAX as usize);
        self.zip
            .start_file(format!("{name}.npy"), options)
            .map_err(std::io::Error::from)
            .and_then(|()| self.zip.write_all(&bytes))
            .map_err(|e| Error::io(&self.path, e))
    }

    /// Writes the file atomically: under a temporary name in the same folder, then renamed.
    ///
    /// # Errors
    /// Returns an error if the folder is not writable or the disk is full; an existing file is then
    /// unchanged.
    pub fn save(self) -> Result<()> {
        let path = self.path.clone();
        write_atomic(&path, &self.into_bytes()?)
    }

    /// The file's content.
    ///
    /// # Errors
    /// Returns an error if the archive cannot be finished.
    pub(crate) fn into_bytes(self) -> Result<Vec<u8>> {
        let bytes = self.zip.finish();
        let bytes = bytes.map_err(|e| Error::io(&self.path, e.into()))?;
        Ok(bytes.into_inner())
    }
}

/// Encodes an array header, padded to a multiple of 64 bytes as NumPy does.
fn header_bytes(descr: &str, shape: &[usize]) -> Vec<u8> {
    let shape: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    let padding = 63 - (10 + text.len()) % 64;
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

#[cfg(test)]
#[path = "npz_tests.rs"]
mod tests;
