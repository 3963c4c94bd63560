//! Named arrays in a zip archive, as `numpy.savez` writes them.
//!
//! A file comes from anywhere: an array is allocated only after its header, the archive's entry
//! and the file's size agree about its length.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use crate::PathError as _;
use crate::fs::write_atomic;
use crate::{Error, Result};

/// The longest header that is read; NumPy's own stay below a few hundred bytes.
const MAX_HEADER: usize = 1 << 16;
/// The largest array that is read.
const MAX_ARRAY: u64 = 4 << 30;
/// Deflate cannot shrink data further than this.
const MAX_RATIO: u64 = 1040;
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// What the elements of an array are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// One byte, zero or not.
    Bool,
    /// Signed integer of 1, 2, 4 or 8 bytes.
    Int(usize),
    /// Unsigned integer of 1, 2, 4 or 8 bytes.
    Uint(usize),
    /// Floating-point number of 4 or 8 bytes.
    Float(usize),
    /// Anything else, in NumPy's own words; such arrays cannot be read.
    Other(String),
}

impl Dtype {
    /// From NumPy's `descr`, for example `<f4`.
    fn parse(descr: &str) -> Self {
        let (kind, size) = match descr.strip_prefix(['<', '|', '=']) {
            Some(rest) => rest.split_at_checked(1).unwrap_or(("", "")),
            None => ("", ""),
        };
        match (kind, size.parse()) {
            ("b", Ok(1)) => Self::Bool,
            ("i", Ok(size @ (1 | 2 | 4 | 8))) => Self::Int(size),
            ("u", Ok(size @ (1 | 2 | 4 | 8))) => Self::Uint(size),
            ("f", Ok(size @ (4 | 8))) => Self::Float(size),
            _ => Self::Other(descr.to_string()),
        }
    }

    /// Bytes of an element; none where it cannot be read.
    fn size(&self) -> Option<usize> {
        match self {
            Self::Bool => Some(1),
            Self::Int(size) | Self::Uint(size) | Self::Float(size) => Some(*size),
            Self::Other(_) => None,
        }
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool => write!(f, "bool"),
            Self::Int(size) => write!(f, "int{}", size * 8),
            Self::Uint(size) => write!(f, "uint{}", size * 8),
            Self::Float(size) => write!(f, "float{}", size * 8),
            Self::Other(descr) => write!(f, "`{descr}`"),
        }
    }
}

/// What stands before an array's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Header {
    dtype: Dtype,
    /// As declared: not to be trusted before it is compared with the bytes at hand.
    shape: Vec<u64>,
    fortran: bool,
}

/// An array, complete in memory, its elements still bytes.
#[derive(Clone, Debug)]
pub struct Array {
    /// What the elements are.
    pub dtype: Dtype,
    /// Lengths of the axes, slowest first.
    pub shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    /// The elements of a uint8 array; none for another dtype.
    pub fn into_u8(self) -> Option<Vec<u8>> {
        (self.dtype == Dtype::Uint(1)).then_some(self.bytes)
    }

    /// The elements of an int32 or int64 array; none for another dtype.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        match self.dtype {
            Dtype::Int(4) => Some(self.map(|b| i64::from(i32::from_le_bytes(b)))),
            Dtype::Int(8) => Some(self.map(i64::from_le_bytes)),
            _ => None,
        }
    }

    /// The elements of any readable array as f32; none for [`Dtype::Other`].
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        match self.dtype {
            Dtype::Bool => Some(self.map(|[b]| f32::from(u8::from(b != 0)))),
            Dtype::Int(1) => Some(self.map(|b| f32::from(i8::from_le_bytes(b)))),
            Dtype::Int(2) => Some(self.map(|b| f32::from(i16::from_le_bytes(b)))),
            Dtype::Int(4) => Some(self.map(|b| i32::from_le_bytes(b) as f32)),
            Dtype::Int(8) => Some(self.map(|b| i64::from_le_bytes(b) as f32)),
            Dtype::Uint(1) => Some(self.map(|b| f32::from(u8::from_le_bytes(b)))),
            Dtype::Uint(2) => Some(self.map(|b| f32::from(u16::from_le_bytes(b)))),
            Dtype::Uint(4) => Some(self.map(|b| u32::from_le_bytes(b) as f32)),
            Dtype::Uint(8) => Some(self.map(|b| u64::from_le_bytes(b) as f32)),
            Dtype::Float(4) => Some(self.map(f32::from_le_bytes)),
            Dtype::Float(8) => Some(self.map(|b| f64::from_le_bytes(b) as f32)),
            Dtype::Int(_) | Dtype::Uint(_) | Dtype::Float(_) | Dtype::Other(_) => None,
        }
    }

    fn map<const N: usize, T>(&self, f: impl Fn([u8; N]) -> T) -> Vec<T> {
        self.bytes.as_chunks().0.iter().copied().map(f).collect()
    }
}

/// An `.npz` file opened for reading.
pub struct Archive {
    path: PathBuf,
    zip: ZipArchive<BufReader<File>>,
}

impl Archive {
    /// Opens the file and reads its table of contents.
    ///
    /// # Errors
    /// The file cannot be opened, or is no zip archive (a truncated one has lost its table).
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|e| match e {
            ZipError::Io(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
                Error::io(path, source)
            }
            other => Error::invalid(
                path,
                format!("not an .npz file, or a truncated one: {}", one_line(&other)),
            ),
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            zip,
        })
    }

    /// The arrays' names, sorted.
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
    /// The array is missing, its dtype cannot be read, its header lies about its length, or its
    /// bytes are corrupt.
    pub fn array(&mut self, name: &str) -> Result<Array> {
        self.readable_array(name)?
            .map_err(|dtype| self.error(name, format!("dtype is {dtype}, expected plain numbers")))
    }

    /// Reads the array `name`; the inner error is a dtype that this version does not read.
    ///
    /// # Errors
    /// As [`Archive::array`], but for the dtype.
    pub fn readable_array(&mut self, name: &str) -> Result<std::result::Result<Array, Dtype>> {
        let held = self.names();
        if held.iter().all(|other| other != name) {
            let held = held.join(", ");
            return Err(self.error(name, format!("missing; the file holds: {held}")));
        }
        read_entry(&mut self.zip, name).map_err(|what| self.error(name, what))
    }

    /// An [`Error::Invalid`] about one array of this file.
    pub fn error(&self, name: &str, what: impl std::fmt::Display) -> Error {
        Error::invalid(&self.path, format!("array `{name}`: {what}"))
    }
}

/// Reads one entry of the archive; the error says what is wrong with it.
fn read_entry(
    zip: &mut ZipArchive<BufReader<File>>,
    name: &str,
) -> std::result::Result<std::result::Result<Array, Dtype>, String> {
    let mut file = zip
        .by_name(&format!("{name}.npy"))
        .map_err(|e| format!("cannot be read: {}", one_line(&e)))?;
    let (declared, packed) = (file.size(), file.compressed_size());
    let (header, used) = read_header(&mut file)?;
    let Some(item) = header.dtype.size() else {
        return Ok(Err(header.dtype));
    };
    let wanted = header
        .shape
        .iter()
        .try_fold(item as u64, |bytes, &side| bytes.checked_mul(side));
    let shape_text = format!("shape {:?} of {}", header.shape, header.dtype);
    let at_hand = declared.saturating_sub(used);
    let Some(wanted) = wanted.filter(|&wanted| wanted == at_hand) else {
        return Err(format!(
            "its header says {shape_text}, but {at_hand} bytes follow"
        ));
    };
    if declared > packed.saturating_mul(MAX_RATIO).saturating_add(MAX_RATIO) {
        return Err(format!(
            "corrupt: {packed} stored bytes cannot unpack to {declared}"
        ));
    }
    if wanted > MAX_ARRAY {
        return Err(format!("{wanted} bytes long, expected at most {MAX_ARRAY}"));
    }
    if header.fortran && header.shape.len() > 1 {
        return Err("stored in Fortran order, expected C order".into());
    }
    let too_large = |_| format!("{shape_text} does not fit into memory");
    let length = usize::try_from(wanted).map_err(|_| format!("{shape_text} is too large"))?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(too_large)?;
    // One byte more than expected: the archive's checksum is compared at the end of the entry.
    file.take(wanted + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("corrupt: {}", one_line(&e)))?;
    if bytes.len() != length {
        return Err(format!("{} bytes long, expected {length}", bytes.len()));
    }
    Ok(Ok(Array {
        dtype: header.dtype,
        // Each side is at most the product, unless a side is zero and the array empty.
        shape: header
            .shape
            .iter()
            .map(|&side| usize::try_from(side).unwrap_or(usize::MAX))
            .collect(),
        bytes,
    }))
}

/// Reads an array's header; also returns its length in bytes.
fn read_header(file: &mut impl Read) -> std::result::Result<(Header, u64), String> {
    let mut take = |length: usize| {
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)
            .map(|()| bytes)
            .map_err(|e| format!("header cannot be read: {}", one_line(&e)))
    };
    let start = take(8)?;
    if !start.starts_with(MAGIC) {
        return Err("not a NumPy array".into());
    }
    let width = if start.get(6) == Some(&1) { 2 } else { 4 };
    let length = take(width)?
        .iter()
        .rev()
        .fold(0_usize, |length, &byte| length << 8 | usize::from(byte));
    if length > MAX_HEADER {
        return Err(format!(
            "header is {length} bytes long, expected at most {MAX_HEADER}"
        ));
    }
    let text = String::from_utf8_lossy(&take(length)?).into_owned();
    let header = parse_header(&text).ok_or("header is not one of NumPy's")?;
    Ok((header, (8 + width + length) as u64))
}

/// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse_header(text: &str) -> Option<Header> {
    let after = |key: &str| {
        let (_, rest) = text.split_once(&format!("'{key}':"))?;
        Some(rest.trim_start())
    };
    let descr = after("descr")?;
    let dtype = match descr.strip_prefix('\'') {
        Some(rest) => Dtype::parse(rest.split_once('\'')?.0),
        None => Dtype::Other("a record".into()),
    };
    let (shape, _) = after("shape")?.strip_prefix('(')?.split_once(')')?;
    let shape = shape
        .split(',')
        .map(str::trim)
        .filter(|side| !side.is_empty())
        .map(|side| side.parse().ok())
        .collect::<Option<Vec<u64>>>()?;
    Some(Header {
        dtype,
        shape,
        fortran: after("fortran_order")?.starts_with("True"),
    })
}

/// A message without line breaks.
fn one_line(message: &impl std::fmt::Display) -> String {
    message.to_string().replace(['\n', '\r'], " ")
}

/// A number that an array can be written of.
pub trait Element: Copy {
    /// NumPy's name of the dtype.
    const DESCR: &str;
    /// Appends the element, little-endian.
    fn put(self, bytes: &mut Vec<u8>);
}

impl Element for bool {
    const DESCR: &str = "|b1";
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self));
    }
}

impl Element for u8 {
    const DESCR: &str = "|u1";
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.push(self);
    }
}

impl Element for i32 {
    const DESCR: &str = "<i4";
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

impl Element for f32 {
    const DESCR: &str = "<f4";
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

/// Collects arrays in memory, and writes them as one `.npz` file.
pub struct Writer {
    path: PathBuf,
    zip: ZipWriter<Cursor<Vec<u8>>>,
}

impl Writer {
    /// A file to be written at `path` by [`Writer::save`].
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            zip: ZipWriter::new(Cursor::new(Vec::new())),
        }
    }

    /// Adds an array of `shape`, compressed.
    ///
    /// # Errors
    /// The shape does not hold as many elements as there are values.
    pub fn add<T: Element>(&mut self, name: &str, shape: &[usize], values: &[T]) -> Result<()> {
        let room = shape
            .iter()
            .try_fold(1_usize, |n, &side| n.checked_mul(side));
        if room != Some(values.len()) {
            return Err(Error::Argument(format!(
                "array `{name}`: {} values do not fill shape {shape:?}",
                values.len()
            )));
        }
        let mut bytes = header_bytes(T::DESCR, shape);
        bytes.reserve(size_of_val(values));
        for value in values {
            value.put(&mut bytes);
        }
        let options = SimpleFileOptions::default().large_file(bytes.len() >= u32::MAX as usize);
        self.zip
            .start_file(format!("{name}.npy"), options)
            .map_err(std::io::Error::from)
            .and_then(|()| self.zip.write_all(&bytes))
            .map_err(|e| Error::io(&self.path, e))
    }

    /// Writes the file under a temporary name in the same folder, then renames it.
    ///
    /// # Errors
    /// The folder cannot be written to, or the disk is full; an older file stays as it was.
    pub fn save(self) -> Result<()> {
        let path = self.path;
        let bytes = self
            .zip
            .finish()
            .map_err(|e| Error::io(&path, e.into()))?
            .into_inner();
        write_atomic(&path, &bytes)
    }
}

/// The bytes before an array's numbers; its end is a multiple of 64, as NumPy aligns it.
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
