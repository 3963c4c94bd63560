//! Tensors by name in a file of either kind: `safetensors`, of which one tensor after another is read, or PyTorch's, in
//! which nothing is executed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use driftless_data::fs::open_source;
use driftless_data::{PathError as _, pth};
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde_json::Value;

use crate::{Error, Result};

/// The extension of `safetensors` files.
const SAFETENSORS: &str = "safetensors";
/// Extensions of PyTorch's files.
const TORCH: [&str; 2] = ["pt", "pth"];
/// The longest header of a `safetensors` file, as its own library has it.
const MAX_HEADER: u64 = 100_000_000;
/// What is in the header besides tensors.
const METADATA: &str = "__metadata__";

/// A tensor of 32-bit floats, in row-major order.
pub struct Tensor {
    /// Its sides, slowest first.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: Vec<f32>,
}

/// A file's tensors that nobody has taken yet.
pub(crate) struct Tensors {
    pub path: PathBuf,
    source: Source,
}

enum Source {
    Safetensors(Safetensors),
    Torch(BTreeMap<String, pth::PthTensor>),
}

/// An open file and what its header lists.
struct Safetensors {
    file: File,
    /// Where the values begin.
    start: u64,
    entries: BTreeMap<String, TensorInfo>,
}

/// Whether a file's name ends as one that holds weights.
pub fn has_weights(path: &Path) -> bool {
    is_safetensors(path) || TORCH.iter().any(|known| has_extension(path, known))
}

/// Whether a file's name ends as that of a `safetensors` file.
pub fn is_safetensors(path: &Path) -> bool {
    has_extension(path, SAFETENSORS)
}

fn has_extension(path: &Path, known: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case(known))
}

/// The names of a file's tensors. Their values are not read.
///
/// # Errors
/// Returns an error if the file is damaged.
pub fn names(path: &Path) -> Result<Vec<String>> {
    if is_safetensors(path) {
        let file = Safetensors::open(path)?;
        return Ok(file.entries.into_keys().collect());
    }
    Ok(pth::names(path)?)
}

impl Tensors {
    /// Opens a file of weights.
    ///
    /// # Errors
    /// Returns an error if it cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let source = if is_safetensors(path) {
            Source::Safetensors(Safetensors::open(path)?)
        } else {
            Source::Torch(pth::read(path)?)
        };
        let path = path.to_path_buf();
        Ok(Self { path, source })
    }

    /// Leaves out a prefix that all names have.
    pub(crate) fn strip_prefix(&mut self, prefix: &str) {
        match &mut self.source {
            Source::Safetensors(file) => strip(&mut file.entries, prefix),
            Source::Torch(tensors) => strip(tensors, prefix),
        }
    }

    /// The sides of a tensor that is left.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        match &self.source {
            Source::Safetensors(file) => Some(&file.entries.get(name)?.shape),
            Source::Torch(tensors) => Some(&tensors.get(name)?.shape),
        }
    }

    /// Names of the tensors that are left.
    pub(crate) fn names(&self) -> Vec<&str> {
        match &self.source {
            Source::Safetensors(file) => file.entries.keys().map(String::as_str).collect(),
            Source::Torch(tensors) => tensors.keys().map(String::as_str).collect(),
        }
    }

    /// Takes a tensor, if there is one of this name.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or if the tensor does not hold floats.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<Tensor>> {
        match &mut self.source {
            Source::Safetensors(file) => file.take(&self.path, name),
            Source::Torch(tensors) => Ok(tensors.remove(name).map(|tensor| Tensor {
                shape: tensor.shape,
                values: tensor.values,
            })),
        }
    }
}

/// Leaves out a prefix if all names have it.
fn strip<T>(tensors: &mut BTreeMap<String, T>, prefix: &str) {
    if tensors.keys().all(|name| name.starts_with(prefix)) {
        let short = |(name, tensor): (String, T)| (name[prefix.len()..].to_owned(), tensor);
        *tensors = std::mem::take(tensors).into_iter().map(short).collect();
    }
}

impl Safetensors {
    fn open(path: &Path) -> Result<Self> {
        let wrong = |what: &str| {
            let what = format!("cannot be read as safetensors: {what}");
            Error::invalid(path, what)
        };
        let io = |e| Error::io(path, e);
        let mut file = open_source(path)?;
        let size = file.metadata().map_err(io)?.len();
        let mut len = [0; 8];
        file.read_exact(&mut len).map_err(|_| wrong("cut off"))?;
        let len = u64::from_le_bytes(len);
        if len > MAX_HEADER || len > size.saturating_sub(8) {
            return Err(wrong("its header is longer than the file"));
        }
        let mut header = Vec::new();
        let read = (&mut file).take(len).read_to_end(&mut header);
        if read.map_err(io)? as u64 != len {
            return Err(wrong("cut off"));
        }
        let header: BTreeMap<String, Value> =
            serde_json::from_slice(&header).map_err(|e| wrong(&format!("its header: {e}")))?;
        let start = 8 + len;
        let mut entries = BTreeMap::new();
        for (name, value) in header.into_iter().filter(|(name, _)| name != METADATA) {
            let info: TensorInfo = serde_json::from_value(value)
                .map_err(|e| wrong(&format!("`{name}` in its header: {e}")))?;
            check_entry(&info, size - start).map_err(|what| wrong(&format!("`{name}` {what}")))?;
            entries.insert(name, info);
        }
        Ok(Self {
            file,
            start,
            entries,
        })
    }

    fn take(&mut self, path: &Path, name: &str) -> Result<Option<Tensor>> {
        let Some(info) = self.entries.remove(name) else {
            return Ok(None);
        };
        let io = |e| Error::io(path, e);
        let (first, end) = info.data_offsets;
        let mut bytes = vec![0; end - first];
        let at = SeekFrom::Start(self.start + first as u64);
        self.file.seek(at).map_err(io)?;
        self.file.read_exact(&mut bytes).map_err(io)?;
        let Some(values) = floats(&bytes, info.dtype) else {
            let what = format!("`{name}` holds {:?}, expected floats", info.dtype);
            return Err(Error::weights(path, what));
        };
        let shape = info.shape;
        Ok(Some(Tensor { shape, values }))
    }
}

/// Checks that a tensor's values lie in the file and are as many as its sides say.
fn check_entry(info: &TensorInfo, available: u64) -> std::result::Result<(), &'static str> {
    let (first, end) = info.data_offsets;
    let bits = info
        .shape
        .iter()
        .try_fold(info.dtype.bitsize(), |bits, side| bits.checked_mul(*side))
        .ok_or("is too large")?;
    if end < first || (end - first).checked_mul(8) != Some(bits) {
        return Err("has another number of values than its sides say");
    }
    if end as u64 > available {
        return Err("reaches beyond the end: the file is cut off");
    }
    Ok(())
}

/// The values of a tensor; `None` if they are not floats.
fn floats(bytes: &[u8], kind: Dtype) -> Option<Vec<f32>> {
    let pairs = || bytes.as_chunks().0.iter();
    Some(match kind {
        Dtype::F32 => {
            let words = bytes.as_chunks().0.iter();
            words.map(|b| f32::from_le_bytes(*b)).collect()
        }
        Dtype::F64 => {
            let words = bytes.as_chunks().0.iter();
            words.map(|b| f64::from_le_bytes(*b) as f32).collect()
        }
        Dtype::F16 => pairs().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        Dtype::BF16 => pairs().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        _ => return None,
    })
}
