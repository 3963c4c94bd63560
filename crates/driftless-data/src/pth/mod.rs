//! Reads the weights in a PyTorch file (`.pth`, `.pt`): a state dict of tensors, as `torch.save` writes it, today a zip
//! archive and before 2020 a row of pickles. The pickle is read as data; nothing in it is executed.

mod pickle;
mod rebuild;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;

use half::f16;
use zip::ZipArchive;

use self::values::{Pickle, Tensor, Value};
use crate::fs::{open_source, read_source};
use crate::{Error, PathError as _, Result};

/// The largest file that is read.
const MAX_FILE: u64 = 4 << 30;
/// The largest entry of a zip archive with the pickle in it.
const MAX_PICKLE: u64 = 64 << 20;
/// The first pickle of a file from before 2020 is this number.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
const ZIP: &[u8] = b"PK\x03\x04";
/// What checkpoints call their state dict.
const STATE_DICTS: [&str; 3] = ["state_dict", "model", "dynamics"];

/// A tensor of 32-bit floats, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct PthTensor {
    /// Its sides, slowest first.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: Vec<f32>,
}

/// An option that a model was trained with.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A number, whole or not.
    Number(f64),
    /// Whether something is so.
    Flag(bool),
    /// A text.
    Text(String),
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Text(text) => write!(f, "`{text}`"),
        }
    }
}

/// Reads all tensors of floats (16, 32 or 64 bits) of a state dict by their names. Others, such as counters of
/// integers, are left out.
///
/// # Errors
/// Returns an error if the file is larger than 4 GiB, is none of PyTorch's, is cut off, or holds no tensor.
pub fn read(path: &Path) -> Result<BTreeMap<String, PthTensor>> {
    let wrong = |what: String| wrong(path, &what);
    let (state, storages) = match archive(path)? {
        Some(file) => from_zip(file),
        None => from_pickles(&read_source(path, MAX_FILE)?),
    }
    .map_err(wrong)?;
    let mut tensors = BTreeMap::new();
    let mut budget = MAX_FILE as usize;
    for (name, tensor) in state_dict(&state) {
        let Some(data) = storages.get(&tensor.storage.key) else {
            return Err(wrong(format!("the values of `{name}` are missing")));
        };
        if let Some(values) =
            values(&tensor, data, &mut budget).map_err(|e| wrong(format!("`{name}` {e}")))?
        {
            let shape = tensor.shape.clone();
            tensors.insert(name, PthTensor { shape, values });
        }
    }
    if tensors.is_empty() {
        let call = state.objects.unknown_call.as_ref();
        let call = call.map(|name| format!("; it calls `{name}`, which was not executed"));
        return Err(wrong(format!(
            "it holds no tensors by name, expected a state dict{}",
            call.unwrap_or_default()
        )));
    }
    Ok(tensors)
}

fn wrong(path: &Path, what: &str) -> Error {
    Error::invalid(path, format!("cannot be read as PyTorch weights: {what}"))
}

/// The names of all tensors of a state dict, of whatever type. Of an archive only the pickle is read, not the values.
///
/// # Errors
/// As [`read`], but that the values may be missing and a state dict may hold no tensor.
pub fn names(path: &Path) -> Result<Vec<String>> {
    let Some(file) = archive(path)? else {
        return Ok(read(path)?.into_keys().collect());
    };
    let zip = ZipArchive::new(BufReader::new(file)).map_err(|e| e.to_string());
    let state = zip.and_then(|mut zip| pickle_of(&mut zip));
    let (state, _) = state.map_err(|what| wrong(path, &what))?;
    let tensors = state_dict(&state).into_iter();
    Ok(tensors.map(|(name, _)| name).collect())
}

/// What a model was trained with, by its options' names: the numbers, flags and texts of the dict that a checkpoint
/// keeps as `args` beside its state dict. Empty if there is none.
///
/// # Errors
/// As [`names`], and of a file in the format of PyTorch before 1.6, whose options are not read.
pub fn arguments(path: &Path) -> Result<BTreeMap<String, Argument>> {
    let Some(file) = archive(path)? else {
        return Err(wrong(
            path,
            "it is in the format of PyTorch before 1.6, whose options are not read",
        ));
    };
    let zip = ZipArchive::new(BufReader::new(file)).map_err(|e| e.to_string());
    let state = zip.and_then(|mut zip| pickle_of(&mut zip));
    let (state, _) = state.map_err(|what| wrong(path, &what))?;
    let Some(arguments) = inner_dict(&state, "args") else {
        return Ok(BTreeMap::new());
    };
    let argument = |(name, value): &(Value, Value)| {
        let Value::Text(name) = name else { return None };
        let value = match value {
            Value::Int(value) => Argument::Number(*value as f64),
            Value::Float(value) => Argument::Number(*value),
            Value::Flag(value) => Argument::Flag(*value),
            Value::Text(value) => Argument::Text(value.to_string()),
            _ => return None,
        };
        Some((name.to_string(), value))
    };
    Ok(arguments.iter().filter_map(argument).collect())
}

/// Opens a file of at most [`MAX_FILE`] bytes if it is a zip archive.
fn archive(path: &Path) -> Result<Option<File>> {
    let io = |e| Error::io(path, e);
    let mut file = open_source(path)?;
    let mut start = Vec::new();
    (&mut file)
        .take(ZIP.len() as u64)
        .read_to_end(&mut start)
        .map_err(io)?;
    if start != ZIP {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    if file.metadata().map_err(io)?.len() > MAX_FILE {
        let what = format!("is larger than {} MiB", MAX_FILE >> 20);
        return Err(Error::invalid(path, what));
    }
    Ok(Some(file))
}

/// The values of all storages, by their keys.
type Storages = BTreeMap<String, Vec<u8>>;

/// An archive: `NAME/data.pkl`, and the storages as `NAME/data/KEY`. Only those of the state dict are read: an
/// optimizer's are larger.
fn from_zip(file: File) -> pickle::Result<(Pickle, Storages)> {
    let mut left = file.metadata().map_err(|e| e.to_string())?.len();
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|e| e.to_string())?;
    let (state, folder) = pickle_of(&mut zip)?;
    let order = entry(&mut zip, &format!("{folder}byteorder"), 16).unwrap_or_default();
    if order == b"big" {
        return Err("its numbers are big-endian".into());
    }
    let mut storages = Storages::new();
    for (_, tensor) in state_dict(&state) {
        let key = &tensor.storage.key;
        let name = format!("{folder}data/{key}");
        if storages.contains_key(key) || zip.index_for_name(&name).is_none() {
            continue;
        }
        // PyTorch does not compress: all storages together are no larger than the file.
        let data = entry(&mut zip, &name, left)?;
        left -= data.len() as u64;
        storages.insert(key.clone(), data);
    }
    Ok((state, storages))
}

/// The pickle of an archive, and the folder that it is in, with a slash at its end.
fn pickle_of(zip: &mut ZipArchive<impl Read + Seek>) -> pickle::Result<(Pickle, String)> {
    let mut names = zip
        .file_names()
        .filter_map(|name| Some(name.ok()?.into_owned()));
    let is_pickle = |name: &String| name.ends_with("/data.pkl");
    let name = names.find(is_pickle).ok_or("it has no data.pkl")?;
    drop(names);
    let text = entry(zip, &name, MAX_PICKLE)?;
    let state = pickle::read(&mut &*text)?;
    Ok((state, name.trim_end_matches("data.pkl").to_owned()))
}

fn entry(zip: &mut ZipArchive<impl Read + Seek>, name: &str, most: u64) -> pickle::Result<Vec<u8>> {
    let entry = zip.by_name(name).map_err(|e| format!("{name}: {e}"))?;
    let mut data = Vec::new();
    let read = entry.take(most + 1).read_to_end(&mut data);
    read.map_err(|e| format!("{name}: {e}"))?;
    if data.len() as u64 > most {
        return Err(format!("{name} unpacks to more than {most} bytes"));
    }
    Ok(data)
}

/// A row of pickles: PyTorch's number, version, sizes of types, the state dict, and the keys of the storages. Then, for
/// each key, the number of values (i64) and the values.
fn from_pickles(mut bytes: &[u8]) -> pickle::Result<(Pickle, Storages)> {
    if !bytes.starts_with(MAGIC) {
        return Err("it is neither a zip archive nor begins with PyTorch's number".into());
    }
    for _ in 0..3 {
        pickle::read(&mut bytes)?;
    }
    let state = pickle::read(&mut bytes)?;
    let keys = pickle::read(&mut bytes)?;
    let Value::List(index) = keys.root else {
        return Err("it does not list its storages".into());
    };
    let kinds: BTreeMap<String, String> = state_dict(&state)
        .into_iter()
        .map(|(_, tensor)| (tensor.storage.key.clone(), tensor.storage.kind.clone()))
        .collect();
    let mut storages = Storages::new();
    for key in keys.sequence(index) {
        let Value::Text(key) = key else {
            return Err("a storage has no name".into());
        };
        let (count, rest) = bytes.split_first_chunk::<8>().ok_or("cut off")?;
        let kind = kinds.get(&**key).map(String::as_str);
        let element = kind
            .and_then(element_len)
            .ok_or("a storage of unknown type")?;
        let len = usize::try_from(i64::from_le_bytes(*count)).ok();
        let len = len.and_then(|count| count.checked_mul(element));
        let data = len
            .and_then(|len| rest.split_at_checked(len))
            .ok_or("cut off")?;
        storages.insert(key.to_string(), data.0.to_vec());
        bytes = data.1;
    }
    Ok((state, storages))
}

/// The tensors of a state dict, or of the one that a checkpoint holds beside other things.
fn state_dict(state: &Pickle) -> Vec<(String, Rc<Tensor>)> {
    let Value::Dict(index) = state.root else {
        return Vec::new();
    };
    let outer = tensors(state.dict(index));
    if !outer.is_empty() {
        return outer;
    }
    let inner = STATE_DICTS
        .iter()
        .filter_map(|name| inner_dict(state, name));
    inner
        .map(tensors)
        .find(|tensors| !tensors.is_empty())
        .unwrap_or_default()
}

/// The pairs of a dict inside of the outermost one.
fn inner_dict<'a>(state: &'a Pickle, name: &str) -> Option<&'a [(Value, Value)]> {
    let Value::Dict(index) = state.root else {
        return None;
    };
    let mut pairs = state.dict(index).iter();
    pairs.find_map(|(key, value)| match (key, value) {
        (Value::Text(key), Value::Dict(inner)) if **key == *name => Some(state.dict(*inner)),
        _ => None,
    })
}

/// The tensors of a dict, by their names.
fn tensors(pairs: &[(Value, Value)]) -> Vec<(String, Rc<Tensor>)> {
    let tensors = pairs.iter().filter_map(|pair| match pair {
        (Value::Text(name), Value::Tensor(tensor)) => Some((name.to_string(), Rc::clone(tensor))),
        _ => None,
    });
    tensors.collect()
}

/// Bytes of a value of a storage; `None` for types that PyTorch does not have.
fn element_len(kind: &str) -> Option<usize> {
    Some(match kind {
        "DoubleStorage" | "LongStorage" => 8,
        "FloatStorage" | "IntStorage" => 4,
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
        "ByteStorage" | "CharStorage" | "BoolStorage" => 1,
        _ => return None,
    })
}

/// The values of a tensor; `None` if they are not floats. `budget` is how many bytes all tensors may still take:
/// several can be views on the same storage.
fn values(tensor: &Tensor, data: &[u8], budget: &mut usize) -> pickle::Result<Option<Vec<f32>>> {
    let kind = tensor.storage.kind.as_str();
    let read: fn(&[u8]) -> f32 = match kind {
        "FloatStorage" => |b| b.try_into().map_or(f32::NAN, f32::from_le_bytes),
        "DoubleStorage" => |b| {
            b.try_into()
                .map_or(f32::NAN, |b| f64::from_le_bytes(b) as f32)
        },
        "HalfStorage" => |b| {
            b.try_into()
                .map_or(f32::NAN, |b| f16::from_le_bytes(b).to_f32())
        },
        _ => return Ok(None),
    };
    if !is_row_major(tensor) {
        return Err("is stored in an unusual order, expected a contiguous tensor".into());
    }
    let element = element_len(kind).unwrap_or(1);
    let bytes = tensor
        .shape
        .iter()
        .try_fold(element, |bytes, side| bytes.checked_mul(*side));
    let start = tensor.offset.checked_mul(element);
    let range = start
        .zip(bytes)
        .and_then(|(start, len)| Some(start..start.checked_add(len)?));
    let data = range
        .and_then(|range| data.get(range))
        .ok_or("reaches beyond its values")?;
    *budget = budget
        .checked_sub(data.len())
        .ok_or("is one of tensors that share too much")?;
    Ok(Some(data.chunks_exact(element).map(read).collect()))
}

/// Whether the strides are those of a contiguous tensor. Sides of 1 may have any.
fn is_row_major(tensor: &Tensor) -> bool {
    let mut expected = 1_usize;
    let sides = tensor.shape.iter().zip(&tensor.stride);
    tensor.shape.len() == tensor.stride.len()
        && sides.rev().all(|(&side, &stride)| {
            let fits = side == 1 || stride == expected;
            expected = expected.saturating_mul(side);
            fits
        })
}

#[cfg(test)]
#[path = "../pth_tests.rs"]
mod tests;
