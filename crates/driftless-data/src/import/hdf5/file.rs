//! An HDF5 file, read with bounds: what it says about sizes is only a promise.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use rust_hdf5::format::messages::datatype::DatatypeMessage;
use rust_hdf5::{H5Dataset, H5File};

use super::super::frame_resampler::FrameResampler;
use super::super::image_layout::ImageLayout;
use super::super::push_encoded;
use crate::fs::open_source;
use crate::npz::MAX_RATIO;
use crate::{Error, PathError as _, Result};

/// Raw frames read at a time.
const FRAMES_PER_READ: usize = 64;
/// Largest accepted chunk of a dataset in bytes, uncompressed.
const MAX_CHUNK: u64 = 256 << 20;
/// Most numbers that are read from a dataset of actions or rewards.
const MAX_NUMBERS: u64 = 1 << 24;
/// Largest accepted single image in bytes.
const MAX_IMAGE: usize = 256 << 20;

/// An open HDF5 file.
pub struct Hdf5File {
    path: PathBuf,
    file: H5File,
    /// The most bytes that a dataset of this file can hold.
    max_bytes: u64,
    /// Names of all datasets.
    names: BTreeSet<String>,
    /// Names of the datasets in each group.
    children: HashMap<String, Vec<String>>,
}

impl Hdf5File {
    /// Opens a file.
    ///
    /// # Errors
    /// Returns an error if the file is missing or not HDF5.
    pub fn open(path: &Path) -> Result<Self> {
        let size = open_source(path)?
            .metadata()
            .map_err(|e| Error::io(path, e))?
            .len();
        let file = H5File::options()
            .no_locking()
            .open(path)
            .map_err(|e| Error::invalid(path, format!("not a readable HDF5 file: {e}")))?;
        // Listed once: the file's datasets can only be listed all together.
        let names: BTreeSet<String> = file
            .dataset_names()
            .iter()
            .map(|name| name.trim_start_matches('/').to_owned())
            .collect();
        let mut children: HashMap<String, Vec<String>> = HashMap::new();
        for name in &names {
            if let Some((group, child)) = name.rsplit_once('/') {
                let children = children.entry(group.to_owned()).or_default();
                children.push(child.to_owned());
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            file,
            max_bytes: size.saturating_mul(MAX_RATIO),
            names,
            children,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error about one dataset or group of this file.
    pub fn error(&self, name: &str, what: impl std::fmt::Display) -> Error {
        Error::invalid(&self.path, format!("`{name}`: {what}"))
    }

    /// Whether there is a dataset of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Names of the datasets in a group.
    pub fn names_below(&self, group: &str) -> &[String] {
        self.children.get(group).map_or(&[], Vec::as_slice)
    }

    /// Paths of the groups `prefixN` in `parent` (empty for the root), ordered by number.
    ///
    /// # Errors
    /// Returns an error if the groups cannot be listed.
    pub fn numbered_groups(&self, parent: &str, prefix: &str) -> Result<Vec<String>> {
        let root = self.file.root_group();
        let group = match parent {
            "" => root,
            _ => match root.group(parent) {
                Ok(group) => group,
                Err(_) => return Ok(Vec::new()),
            },
        };
        let what = |e| Error::invalid(&self.path, format!("not a readable HDF5 file: {e}"));
        let number = |name: &str| name.strip_prefix(prefix)?.parse::<u64>().ok();
        let mut groups: Vec<(u64, String)> = group
            .group_names()
            .map_err(what)?
            .into_iter()
            .filter_map(|name| Some((number(&name)?, name)))
            .collect();
        groups.sort();
        let path = |(_, name): (u64, String)| match parent {
            "" => name,
            _ => format!("{parent}/{name}"),
        };
        Ok(groups.into_iter().map(path).collect())
    }

    /// Opens a dataset whose size the file can hold, and which keeps its values in this file.
    fn dataset(&self, name: &str) -> Result<H5Dataset> {
        let dataset = self.file.dataset(name).map_err(|e| self.error(name, e))?;
        let bytes = |shape: &[usize]| {
            let element = dataset.element_size().max(1) as u64;
            let mut sides = shape.iter();
            sides.try_fold(element, |n, &side| n.checked_mul(side as u64))
        };
        let shape = dataset.shape();
        if bytes(&shape).is_none_or(|bytes| bytes > self.max_bytes) {
            let what = format!("shape {shape:?} is larger than the file can hold");
            return Err(self.error(name, what));
        }
        // The library allocates a whole chunk for whatever is read from it.
        let chunk = dataset.chunk_dims().unwrap_or_default();
        if bytes(&chunk).is_none_or(|bytes| bytes > MAX_CHUNK) {
            let what = format!(
                "chunks of shape {chunk:?} are larger than {} MiB",
                MAX_CHUNK >> 20
            );
            return Err(self.error(name, what));
        }
        let is_elsewhere = dataset
            .external_files()
            .is_ok_and(|files| !files.is_empty())
            || dataset
                .virtual_mappings()
                .is_ok_and(|maps| !maps.is_empty());
        if is_elsewhere {
            return Err(self.error(
                name,
                "keeps its values in other files, expected them in this one",
            ));
        }
        Ok(dataset)
    }

    /// The dataset `name`, if it holds images, or else the only one in the group `name` that does.
    ///
    /// # Errors
    /// Returns an error if there is none, or several.
    pub fn find_images(&self, name: &str) -> Result<String> {
        if self.has(name) {
            return Ok(name.to_owned());
        }
        let (mut found, mut failed) = (Vec::new(), None);
        for key in self.names_below(name) {
            match self.dataset(&format!("{name}/{key}")) {
                Ok(dataset) if ImageEncoding::of(&dataset).is_some() => found.push(key),
                Ok(_) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match found.as_slice() {
            [only] => Ok(format!("{name}/{only}")),
            [] => Err(failed.unwrap_or_else(|| {
                let what = "no images (uint8 [T, H, W, 3] or JPEG) among the observations";
                self.error(name, what)
            })),
            several => {
                let keys: Vec<&str> = several.iter().map(|key| key.as_str()).collect();
                let what = format!(
                    "several image observations ({}): choose one with --image-key",
                    keys.join(", ")
                );
                Err(self.error(name, what))
            }
        }
    }

    /// Pushes the images of a dataset, one per row; returns a remark if something was guessed.
    ///
    /// # Errors
    /// Returns an error if the dataset holds no images or cannot be read.
    pub fn push_images(&self, name: &str, frames: &mut FrameResampler) -> Result<Option<String>> {
        let dataset = self.dataset(name)?;
        let shape = dataset.shape();
        let hdf5_error = |e| self.error(name, e);
        match ImageEncoding::of(&dataset) {
            Some(ImageEncoding::Jpeg) => {
                let files = dataset.read_vlen_bytes().map_err(hdf5_error)?;
                let mut files = files.iter();
                files.try_for_each(|bytes| push_encoded(bytes, &self.path, frames))?;
                Ok(None)
            }
            Some(ImageEncoding::FixedLengthJpeg) => {
                let bytes = dataset.read_raw::<u8>().map_err(hdf5_error)?;
                let mut files = bytes.chunks_exact(shape[1].max(1));
                files.try_for_each(|bytes| push_encoded(bytes, &self.path, frames))?;
                Ok(None)
            }
            Some(ImageEncoding::Raw(layout)) => {
                let row_len: usize = shape.iter().skip(1).product();
                if row_len > MAX_IMAGE {
                    return Err(self.error(name, format!("images of shape {:?}", &shape[1..])));
                }
                let mut starts = vec![0; shape.len()];
                let mut counts = shape.clone();
                let mut rgb = Vec::new();
                let per_read = FRAMES_PER_READ.min(MAX_IMAGE / row_len.max(1)).max(1);
                for start in (0..shape[0]).step_by(per_read) {
                    (starts[0], counts[0]) = (start, per_read.min(shape[0] - start));
                    let bytes = dataset
                        .read_slice::<u8>(&starts, &counts)
                        .map_err(hdf5_error)?;
                    for row in bytes.chunks_exact(row_len.max(1)) {
                        layout.read(row, &mut rgb);
                        frames.push(layout.size, &rgb);
                    }
                }
                Ok(layout.remark())
            }
            None => {
                let what = format!(
                    "shape {shape:?}, expected images: uint8 [T, H, W, 3], grey, channels first, a stack of \
                     them, or JPEG"
                );
                Err(self.error(name, what))
            }
        }
    }

    /// Pushes the image that a whole dataset holds.
    ///
    /// # Errors
    /// As [`Hdf5File::push_images`].
    pub fn push_image(&self, name: &str, frames: &mut FrameResampler) -> Result<()> {
        let dataset = self.dataset(name)?;
        let shape = dataset.shape();
        let is_bytes = ElementType::of(&dataset).is_ok_and(|of| matches!(of, ElementType::U8));
        let layout = ImageLayout::of(&shape).filter(|_| is_bytes);
        let layout = layout.ok_or_else(|| {
            self.error(name, format!("shape {shape:?}, expected uint8 [H, W, 3]"))
        })?;
        let row = dataset.read_raw::<u8>().map_err(|e| self.error(name, e))?;
        if row.len() != shape.iter().product::<usize>() {
            return Err(self.error(name, format!("{} bytes for shape {shape:?}", row.len())));
        }
        let mut rgb = Vec::new();
        layout.read(&row, &mut rgb);
        frames.push(layout.size, &rgb);
        Ok(())
    }

    /// Reads a numeric dataset.
    ///
    /// # Errors
    /// Returns an error if it cannot be read, is too long, or a value is not finite.
    pub fn numbers(&self, name: &str) -> Result<NumericDataset> {
        let dataset = self.dataset(name)?;
        if dataset.total_elements() as u64 > MAX_NUMBERS {
            let what = format!(
                "{} numbers, expected at most {MAX_NUMBERS}",
                dataset.total_elements()
            );
            return Err(self.error(name, what));
        }
        let hdf5_error = |e| self.error(name, e);
        let element = ElementType::of(&dataset).map_err(hdf5_error)?;
        let values: Vec<f64> = match element {
            ElementType::U8 | ElementType::Integer => {
                let values = dataset.read_numeric_as::<i64>().map_err(hdf5_error)?;
                values.into_iter().map(|value| value as f64).collect()
            }
            ElementType::Bool => {
                let values = dataset.read_raw::<u8>().map_err(hdf5_error)?;
                values.into_iter().map(f64::from).collect()
            }
            ElementType::ByteStrings | ElementType::Other => {
                dataset.read_numeric_as::<f64>().map_err(hdf5_error)?
            }
        };
        if values.iter().any(|value| !value.is_finite()) {
            return Err(self.error(name, "holds a value that is not finite"));
        }
        let integer = matches!(element, ElementType::U8 | ElementType::Integer);
        let row_len = dataset.shape().iter().skip(1).product::<usize>().max(1);
        Ok(NumericDataset {
            values,
            row_len,
            integers: integer,
        })
    }
}

/// The values of an HDF5 dataset.
pub struct NumericDataset {
    /// Step by step.
    pub values: Vec<f64>,
    /// Values per step.
    pub row_len: usize,
    /// Whether they are stored as integers.
    pub integers: bool,
}

/// The element types that are told apart; the only place that knows how the HDF5 library names them.
#[derive(Clone, Copy)]
enum ElementType {
    U8,
    /// An integer of another size.
    Integer,
    /// NumPy stores booleans as an enumeration of bytes.
    Bool,
    /// Sequences of bytes, each of its own length.
    ByteStrings,
    /// Floats, and what cannot be read.
    Other,
}

impl ElementType {
    fn of(dataset: &H5Dataset) -> rust_hdf5::Result<Self> {
        let of = |datatype: &DatatypeMessage| match datatype {
            DatatypeMessage::FixedPoint {
                size: 1,
                signed: false,
                ..
            } => Self::U8,
            DatatypeMessage::FixedPoint { .. } => Self::Integer,
            DatatypeMessage::Enum { .. } => Self::Bool,
            _ => Self::Other,
        };
        Ok(match dataset.datatype()? {
            DatatypeMessage::VarLenSequence { base } => match of(&base) {
                Self::U8 => Self::ByteStrings,
                _ => Self::Other,
            },
            datatype => of(&datatype),
        })
    }
}

/// How images are stored, one per row.
enum ImageEncoding {
    /// As bytes.
    Raw(ImageLayout),
    /// JPEG files of varying length.
    Jpeg,
    /// JPEG files that all have the same length, u8 `[T, length]`.
    FixedLengthJpeg,
}

impl ImageEncoding {
    /// The encoding of `dataset`; `None` if it does not hold images.
    fn of(dataset: &H5Dataset) -> Option<Self> {
        const JPEG_MAGIC: [u8; 2] = [0xff, 0xd8];
        let element = ElementType::of(dataset).ok()?;
        match (element, dataset.shape().as_slice()) {
            (ElementType::ByteStrings, [_]) => Some(Self::Jpeg),
            (ElementType::U8, [t, length]) if *t > 0 && *length > 1 => {
                let start = dataset.read_slice::<u8>(&[0, 0], &[1, 2]).ok()?;
                (start == JPEG_MAGIC).then_some(Self::FixedLengthJpeg)
            }
            (ElementType::U8, [_, image @ ..]) => {
                let layout = ImageLayout::of(image)?;
                Some(Self::Raw(layout))
            }
            _ => None,
        }
    }
}
