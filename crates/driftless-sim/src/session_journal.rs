//! What a session writes to its journal, frame by frame, and how it is read back.
//!
//! Records of [`driftless_data::journal`]; integers are u32, numbers f32, both little endian, and a string or a
//! list has its length in front:
//!
//! - [`TARGET`], first: format version, path of the recording, name of the simulator whose dataset it becomes or
//!   an empty string, path is to be replaced (0 or 1)
//! - [`WORLD`]: name, engines, height, width; again when another engine takes over
//! - [`START`]: clip index, actions, images as bytes and, if any is not at rest, all axes of the actions as a list
//! - [`NOTE`]: clip index, JSON
//! - [`FRAME`]: action, reward, count of further arrays, for each its name and values, image as bytes

use std::path::{Path, PathBuf};

use serde_json::Value;

use driftless_data::journal::{Journal, JournalReader, Record};
use driftless_data::{Action, Clip, MAX_AXES, PathError as _};

use crate::{Error, Result};

/// Version of the records.
const VERSION: u32 = 1;
/// Where the recording is to be written.
pub(super) const TARGET: u8 = 1;
/// World and engines.
pub(super) const WORLD: u8 = 2;
/// A starting clip.
pub(super) const START: u8 = 3;
/// A frame.
pub(super) const FRAME: u8 = 4;
/// How a starting clip came about.
pub(super) const NOTE: u8 = 5;

/// Where a recording goes, and where it is kept until it is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordOptions {
    /// The file, or the folder of a dataset.
    pub path: PathBuf,
    /// Whether a file that exists there is replaced.
    pub overwrite: bool,
    /// Folder of the journal that survives the end of the program; `None` keeps it in memory only.
    pub journal: Option<PathBuf>,
    /// Name of the simulator whose frames become a dataset in the folder `path`; `None` for an episode.
    pub dataset_of: Option<String>,
}

impl<P: Into<PathBuf>> From<P> for RecordOptions {
    fn from(path: P) -> Self {
        let path = path.into();
        Self {
            path,
            ..Self::default()
        }
    }
}

/// Creates the journal of a recording.
///
/// # Errors
/// Returns an error if its folder cannot be written.
pub(super) fn create(folder: &Path, options: &RecordOptions) -> Result<Journal> {
    let name = options.path.file_name().unwrap_or_default();
    let name: String = name.to_string_lossy().chars().take(50).collect();
    let journal = Journal::create(folder, &name)?;
    let mut payload = Encoder::default();
    payload.int(VERSION);
    // Whoever recovers it may be in another folder.
    let path = std::path::absolute(&options.path).unwrap_or_else(|_| options.path.clone());
    payload.text(&path.to_string_lossy());
    payload.text(options.dataset_of.as_deref().unwrap_or_default());
    payload.int(options.overwrite.into());
    journal.append(&payload.record(TARGET));
    Ok(journal)
}

pub(super) fn world(name: &str, engines: &str, [height, width]: [usize; 2]) -> Record {
    let mut payload = Encoder::default();
    payload.text(name);
    payload.text(engines);
    payload.int(height as u32);
    payload.int(width as u32);
    payload.record(WORLD)
}

pub(super) fn start(index: usize, clip: &Clip) -> Record {
    let mut payload = Encoder::default();
    payload.int(index as u32);
    payload.int(clip.actions.len() as u32);
    let actions = clip.actions.iter();
    actions.for_each(|action| payload.int(action.index));
    payload.bytes(&clip.images);
    let axes: Vec<f32> = clip.actions.iter().flat_map(|action| action.axes).collect();
    if axes.iter().any(|value| *value != 0.0) {
        payload.int(axes.len() as u32);
        axes.iter().for_each(|&value| payload.number(value));
    }
    payload.record(START)
}

pub(super) fn note(index: usize, note: &Value) -> Record {
    let mut payload = Encoder::default();
    payload.int(index as u32);
    payload.text(&note.to_string());
    payload.record(NOTE)
}

/// A frame as it is written and read.
#[derive(Debug, PartialEq)]
pub(super) struct FrameRecord {
    pub action: u32,
    pub reward: f32,
    pub extras: Vec<(String, Vec<f32>)>,
    pub image: Vec<u8>,
}

/// Begins the record of a frame of `count` further arrays, each added by [`Encoder::array`], with the image
/// last.
pub(super) fn frame(action: u32, reward: f32, count: usize) -> Encoder {
    let mut payload = Encoder::default();
    payload.int(action);
    payload.number(reward);
    payload.int(count as u32);
    payload
}

/// The payload of a record in the making.
#[derive(Default)]
pub(super) struct Encoder(Vec<u8>);

impl Encoder {
    fn int(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn number(&mut self, value: f32) {
        self.0.extend(value.to_le_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.int(bytes.len() as u32);
        self.0.extend(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub fn array(&mut self, name: &str, values: &[f32]) {
        self.text(name);
        self.int(values.len() as u32);
        values.iter().for_each(|&value| self.number(value));
    }

    pub fn record(self, kind: u8) -> Record {
        Record {
            kind,
            payload: self.0,
        }
    }
}

/// A payload that is being read. Every method returns `None` where it ends too early.
struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn int(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    fn number(&mut self) -> Option<f32> {
        self.int().map(f32::from_bits)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.int()?;
        self.take(length as usize)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    /// A list of numbers of 4 bytes.
    fn list(&mut self) -> Option<Vec<u32>> {
        let count = self.int()? as usize;
        let bytes = self.take(count.checked_mul(4)?)?;
        let number = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));
        bytes.chunks_exact(4).map(number).collect()
    }
}

/// A record that has been read.
pub(super) enum Entry {
    World {
        name: String,
        engines: String,
        size: [usize; 2],
    },
    Start {
        index: usize,
        clip: Clip,
    },
    Note {
        index: usize,
        note: Value,
    },
    Frame(FrameRecord),
}

/// Reads the first record.
///
/// # Errors
/// Returns an error if it is not a [`TARGET`] of this version.
pub(super) fn read_target(reader: &mut JournalReader) -> Result<RecordOptions> {
    let decode = |record: Record| {
        let mut payload = Decoder(&record.payload);
        let known = record.kind == TARGET && payload.int()? == VERSION;
        let (path, world) = (payload.text()?, payload.text()?);
        let overwrite = payload.int()? != 0;
        known.then(|| RecordOptions {
            path: path.into(),
            overwrite,
            journal: None,
            dataset_of: Some(world).filter(|world| !world.is_empty()),
        })
    };
    let first = reader.next().and_then(decode);
    first.ok_or_else(|| {
        let what = "holds no recording, or one of another version of the program";
        Error::invalid(reader.path(), what)
    })
}

/// Reads a further record.
///
/// # Errors
/// Returns an error if its checksum holds, but not what it says.
pub(super) fn read_entry(path: &Path, record: &Record) -> Result<Entry> {
    let mut payload = Decoder(&record.payload);
    let entry = match record.kind {
        WORLD => decode_world(&mut payload),
        START => decode_start(&mut payload),
        NOTE => decode_note(&mut payload),
        FRAME => decode_frame(&mut payload).map(Entry::Frame),
        _ => None,
    };
    entry.ok_or_else(|| {
        let what = format!("a record of kind {} is damaged", record.kind);
        Error::invalid(path, what)
    })
}

fn decode_world(payload: &mut Decoder) -> Option<Entry> {
    Some(Entry::World {
        name: payload.text()?,
        engines: payload.text()?,
        size: [payload.int()? as usize, payload.int()? as usize],
    })
}

fn decode_start(payload: &mut Decoder) -> Option<Entry> {
    let index = payload.int()? as usize;
    let actions = payload.list()?;
    let images = payload.bytes()?.to_vec();
    // Journals from before there were axes end here, too.
    let axes = match payload.0 {
        [] => Vec::new(),
        _ => payload.list()?,
    };
    if !axes.is_empty() && axes.len() != actions.len().checked_mul(MAX_AXES)? {
        return None;
    }
    let axes: Vec<f32> = axes.into_iter().map(f32::from_bits).collect();
    let mut axes = axes.chunks_exact(MAX_AXES);
    let actions = actions
        .into_iter()
        .map(|index| Action::with_axes(index, axes.next().unwrap_or_default()));
    let actions = actions.collect();
    let clip = Clip { images, actions };
    Some(Entry::Start { index, clip })
}

fn decode_note(payload: &mut Decoder) -> Option<Entry> {
    let index = payload.int()? as usize;
    let note = serde_json::from_str(&payload.text()?).ok()?;
    Some(Entry::Note { index, note })
}

fn decode_frame(payload: &mut Decoder) -> Option<FrameRecord> {
    let (action, reward) = (payload.int()?, payload.number()?);
    let array = |payload: &mut Decoder| {
        let name = payload.text()?;
        let values = payload.list()?.into_iter().map(f32::from_bits).collect();
        Some((name, values))
    };
    let count = payload.int()?;
    let extras = (0..count)
        .map(|_| array(payload))
        .collect::<Option<Vec<_>>>()?;
    let image = payload.bytes()?.to_vec();
    Some(FrameRecord {
        action,
        reward,
        extras,
        image,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starting_clips_keep_their_axes() {
        let path = Path::new("a.journal");
        let turned = Action::with_axes(1, &[-0.1, 1.0]);
        for second in [turned, Action::IDLE] {
            let clip = Clip {
                images: vec![1, 2, 3],
                actions: vec![Action::IDLE, second],
            };
            let mut record = start(4, &clip);
            let Entry::Start { index, clip: read } = read_entry(path, &record).unwrap() else {
                panic!("another kind");
            };
            assert_eq!((index, read), (4, clip));
            record.payload.pop();
            assert!(read_entry(path, &record).is_err());
        }
    }

    #[test]
    fn records_are_exact_and_bounded() {
        let path = Path::new("a.journal");
        let mut payload = frame(7, f32::MIN_POSITIVE, 2);
        payload.array("seed", &[1.0, -0.0]);
        payload.array("odd", &[f32::NAN]);
        payload.bytes(&[9, 8, 7]);
        let record = payload.record(FRAME);
        let Entry::Frame(read) = read_entry(path, &record).unwrap() else {
            panic!("another kind");
        };
        assert_eq!((read.action, read.reward), (7, f32::MIN_POSITIVE));
        assert_eq!(read.extras[0].1[1].to_bits(), (-0.0_f32).to_bits());
        assert!(read.extras[1].1[0].is_nan());
        assert_eq!(read.image, [9, 8, 7]);
        for length in 0..record.payload.len() {
            let payload = record.payload[..length].to_vec();
            let cut = Record {
                kind: FRAME,
                payload,
            };
            assert!(read_entry(path, &cut).is_err(), "{length}");
        }
        // Counts that no payload can hold.
        for kind in [WORLD, START, FRAME, NOTE, 9] {
            let payload = vec![0xff; 40];
            assert!(read_entry(path, &Record { kind, payload }).is_err());
        }
    }
}
