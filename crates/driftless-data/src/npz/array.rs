//! Arrays in memory: element types, and the conversion of elements to plain numbers.

use half::f16;

/// Element type of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NpyDtype {
    /// One byte, false if zero.
    Bool,
    /// Signed integer of 1, 2, 4 or 8 bytes.
    Int(usize),
    /// Unsigned integer of 1, 2, 4 or 8 bytes.
    Uint(usize),
    /// Floating-point number of 2, 4 or 8 bytes.
    Float(usize),
    /// Any other type, as NumPy spells it; such arrays cannot be read.
    Other(String),
}

impl NpyDtype {
    /// Parses NumPy's `descr`, for example `<f4`; also returns whether it is big-endian.
    pub(super) fn parse(descr: &str) -> (Self, bool) {
        let (kind, size) = match descr.strip_prefix(['<', '>', '|', '=']) {
            Some(rest) => rest.split_at_checked(1).unwrap_or(("", "")),
            None => ("", ""),
        };
        let dtype = match (kind, size.parse()) {
            ("b", Ok(1)) => Self::Bool,
            ("i", Ok(size @ (1 | 2 | 4 | 8))) => Self::Int(size),
            ("u", Ok(size @ (1 | 2 | 4 | 8))) => Self::Uint(size),
            ("f", Ok(size @ (2 | 4 | 8))) => Self::Float(size),
            _ => Self::Other(descr.to_string()),
        };
        (dtype, descr.starts_with('>'))
    }

    /// Size of an element in bytes; `None` for [`NpyDtype::Other`].
    pub(super) fn size(&self) -> Option<usize> {
        match self {
            Self::Bool => Some(1),
            Self::Int(size) | Self::Uint(size) | Self::Float(size) => Some(*size),
            Self::Other(_) => None,
        }
    }

    /// Size of an element in bytes, if it is a text: of four bytes a character (`<U`, Unicode) or one (`S`).
    pub(super) fn text_size(&self) -> Option<usize> {
        let Self::Other(descr) = self else {
            return None;
        };
        let (width, length) = match descr.strip_prefix("<U") {
            Some(length) => (4, length),
            None => (1, descr.strip_prefix("|S")?),
        };
        let length: usize = length.parse().ok()?;
        length.checked_mul(width).filter(|&size| size > 0)
    }
}

impl std::fmt::Display for NpyDtype {
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

/// An array in memory, in C order, its elements still encoded as little-endian bytes.
#[derive(Clone, Debug)]
pub struct NpyArray {
    /// Element type.
    pub dtype: NpyDtype,
    /// Lengths of the axes, slowest first.
    pub shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl NpyArray {
    /// An array of little-endian `bytes` in C order.
    pub(super) fn new(dtype: NpyDtype, shape: Vec<usize>, bytes: Vec<u8>) -> Self {
        Self {
            dtype,
            shape,
            bytes,
        }
    }

    /// The elements of a uint8 array; `None` for other dtypes.
    pub fn into_u8(self) -> Option<Vec<u8>> {
        (self.dtype == NpyDtype::Uint(1)).then_some(self.bytes)
    }

    /// The elements of an array of booleans or integers; `None` for other dtypes. What is above the
    /// largest i64 becomes that.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        match self.dtype {
            NpyDtype::Bool => Some(self.decode(|[b]| i64::from(b != 0))),
            NpyDtype::Int(1) => Some(self.decode(|b| i64::from(i8::from_le_bytes(b)))),
            NpyDtype::Int(2) => Some(self.decode(|b| i64::from(i16::from_le_bytes(b)))),
            NpyDtype::Int(4) => Some(self.decode(|b| i64::from(i32::from_le_bytes(b)))),
            NpyDtype::Int(8) => Some(self.decode(i64::from_le_bytes)),
            NpyDtype::Uint(1) => Some(self.decode(|b| i64::from(u8::from_le_bytes(b)))),
            NpyDtype::Uint(2) => Some(self.decode(|b| i64::from(u16::from_le_bytes(b)))),
            NpyDtype::Uint(4) => Some(self.decode(|b| i64::from(u32::from_le_bytes(b)))),
            NpyDtype::Uint(8) => {
                let number = |b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX);
                Some(self.decode(number))
            }
            NpyDtype::Int(_) | NpyDtype::Uint(_) | NpyDtype::Float(_) | NpyDtype::Other(_) => None,
        }
    }

    /// The elements converted to f64; `None` for [`NpyDtype::Other`].
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        match self.dtype {
            NpyDtype::Float(2) => Some(self.decode(|b| f64::from(f16::from_le_bytes(b)))),
            NpyDtype::Float(4) => Some(self.decode(|b| f64::from(f32::from_le_bytes(b)))),
            NpyDtype::Float(8) => Some(self.decode(f64::from_le_bytes)),
            _ => {
                let values = self.to_i64()?;
                Some(values.into_iter().map(|value| value as f64).collect())
            }
        }
    }

    /// The elements converted to f32; `None` for [`NpyDtype::Other`].
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        match self.dtype {
            NpyDtype::Bool => Some(self.decode(|[b]| f32::from(u8::from(b != 0)))),
            NpyDtype::Int(1) => Some(self.decode(|b| f32::from(i8::from_le_bytes(b)))),
            NpyDtype::Int(2) => Some(self.decode(|b| f32::from(i16::from_le_bytes(b)))),
            NpyDtype::Int(4) => Some(self.decode(|b| i32::from_le_bytes(b) as f32)),
            NpyDtype::Int(8) => Some(self.decode(|b| i64::from_le_bytes(b) as f32)),
            NpyDtype::Uint(1) => Some(self.decode(|b| f32::from(u8::from_le_bytes(b)))),
            NpyDtype::Uint(2) => Some(self.decode(|b| f32::from(u16::from_le_bytes(b)))),
            NpyDtype::Uint(4) => Some(self.decode(|b| u32::from_le_bytes(b) as f32)),
            NpyDtype::Uint(8) => Some(self.decode(|b| u64::from_le_bytes(b) as f32)),
            NpyDtype::Float(2) => Some(self.decode(|b| f32::from(f16::from_le_bytes(b)))),
            NpyDtype::Float(4) => Some(self.decode(f32::from_le_bytes)),
            NpyDtype::Float(8) => Some(self.decode(|b| f64::from_le_bytes(b) as f32)),
            NpyDtype::Int(_) | NpyDtype::Uint(_) | NpyDtype::Float(_) | NpyDtype::Other(_) => None,
        }
    }

    /// The elements of an array of texts; `None` for other dtypes, or where one is not valid.
    pub(super) fn to_texts(&self) -> Option<Vec<String>> {
        let size = self.dtype.text_size()?;
        let is_wide = self.dtype != NpyDtype::Other(format!("|S{size}"));
        let text = |bytes: &[u8]| {
            if !is_wide {
                let text = std::str::from_utf8(bytes).ok()?;
                return Some(text.trim_end_matches('\0').to_owned());
            }
            let codes = bytes
                .as_chunks()
                .0
                .iter()
                .map(|&code| u32::from_le_bytes(code));
            let text: Option<String> = codes.map(char::from_u32).collect();
            Some(text?.trim_end_matches('\0').to_owned())
        };
        self.bytes.chunks_exact(size).map(text).collect()
    }

    fn decode<const N: usize, T>(&self, f: impl Fn([u8; N]) -> T) -> Vec<T> {
        self.bytes.as_chunks().0.iter().copied().map(f).collect()
    }
}

/// Reorders the elements of an array from Fortran order (first axis fastest) to C order (last axis
/// fastest); `None` if the copy does not fit into memory.
pub(super) fn to_c_order(bytes: &[u8], shape: &[usize], element_len: usize) -> Option<Vec<u8>> {
    let mut ordered = Vec::new();
    ordered.try_reserve_exact(bytes.len()).ok()?;
    // Distance between neighbours along each axis, in elements.
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1_usize;
    for &side in shape {
        strides.push(stride);
        stride = stride.checked_mul(side)?;
    }
    let mut index = vec![0; shape.len()];
    for _ in 0..stride {
        let at: usize = index.iter().zip(&strides).map(|(i, s)| i * s).sum();
        let at = at * element_len;
        ordered.extend_from_slice(bytes.get(at..at + element_len)?);
        for (i, side) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *side {
                break;
            }
            *i = 0;
        }
    }
    Some(ordered)
}
