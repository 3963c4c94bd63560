//! What is captured, on disk as it is captured: a journal ([`driftless_data::journal`]) from which the dataset is made,
//! at the end of the capture or after a crash.
//!
//! Integers and floats are little endian:
//!
//! - [`HEADER`], first: a [`TapeHeader`] as JSON
//! - [`EPISODE`], before its first frame: why it begins (u8), frames lost before it (u32)
//! - [`FRAME`]: held keys (u128), time since the start of the capture in seconds (f64), seconds after it was due (f32),
//!   motion of the mouse (2 × f32), image as bytes

use std::path::{Path, PathBuf};

use driftless_data::PathError as _;
use driftless_data::journal::{Journal, JournalReader, Record};
use serde::{Deserialize, Serialize};

use crate::key::MAX_KEYS;
use crate::{KeySet, Result};

/// Most frames per second.
pub(crate) const MAX_FPS: f32 = 240.0;
/// Version of the records.
const VERSION: u32 = 1;
/// What is captured. Its number is that of no record of a played session.
const HEADER: u8 = 32;
/// The beginning of an episode.
const EPISODE: u8 = 33;
/// A frame.
const FRAME: u8 = 34;

/// Bytes of a frame before its image.
const FRAME_HEAD: usize = 16 + 8 + 4 + 8;

/// A key as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapeKey {
    /// Its name in the game.
    pub name: String,
    /// The key that plays it.
    pub play: String,
}

/// What a capture is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TapeHeader {
    /// Version of the records.
    pub version: u32,
    /// Folder of the dataset.
    pub target: PathBuf,
    /// The world's name.
    pub name: String,
    /// Title of the window.
    pub window: String,
    /// Frames per second.
    pub fps: f32,
    /// Height and width of the frames in pixels.
    pub size: [usize; 2],
    /// The recorded keys, in the order of the bits in a frame.
    pub keys: Vec<TapeKey>,
    /// Whether the mouse's motion was recorded.
    pub mouse: bool,
    /// The map from keys to actions, in TOML; `None` if each combination becomes an action.
    pub actions: Option<String>,
}

impl TapeHeader {
    /// A header for a dataset in `target`.
    pub(crate) fn new(target: &Path) -> Self {
        Self {
            version: VERSION,
            // Whoever recovers it may be in another folder.
            target: std::path::absolute(target).unwrap_or_else(|_| target.to_path_buf()),
            name: String::new(),
            window: String::new(),
            fps: 0.0,
            size: [0, 0],
            keys: Vec::new(),
            mouse: false,
            actions: None,
        }
    }
}

impl TapeHeader {
    /// Whether frames can be of this form.
    fn is_whole(&self) -> bool {
        let Self {
            fps, size, keys, ..
        } = self;
        *fps > 0.0 && *fps <= MAX_FPS && !size.contains(&0) && keys.len() <= MAX_KEYS
    }

    /// Whether all keys that were held are among the recorded ones.
    fn has_keys(&self, held: KeySet) -> bool {
        held.indices().all(|i| i < self.keys.len())
    }
}

/// Why an episode begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// The capture began.
    Start,
    /// It went on after a pause.
    Pause,
    /// The window had the focus again.
    Focus,
    /// Frames were lost before it.
    Lost,
    /// The episode before it was long enough.
    Length,
}

impl Cut {
    const ALL: [Self; 5] = [
        Self::Start,
        Self::Pause,
        Self::Focus,
        Self::Lost,
        Self::Length,
    ];
}

/// A frame as it is written and read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TapeFrame {
    pub held: KeySet,
    /// Seconds since the start of the capture.
    pub time: f64,
    /// Seconds after it was due.
    pub late: f32,
    pub mouse: [f32; 2],
    /// u8 RGB `[H, W, 3]`.
    pub image: Vec<u8>,
}

/// A record that has been read.
#[derive(Debug, PartialEq)]
pub(crate) enum Entry {
    Episode { cut: Cut, lost: u32 },
    Frame(TapeFrame),
}

/// Creates the journal of a capture in `folder`.
///
/// # Errors
/// Returns an error if the folder cannot be written.
pub(crate) fn create(folder: &Path, header: &TapeHeader) -> Result<Journal> {
    let name = header.target.file_name().unwrap_or_default();
    let name: String = name.to_string_lossy().chars().take(50).collect();
    let payload = serde_json::to_vec(header);
    let payload = payload.map_err(|e| driftless_data::Error::encode("JSON", e))?;
    let journal = Journal::create(folder, &name)?;
    let kind = HEADER;
    journal.append(&Record { kind, payload });
    Ok(journal)
}

/// The record of an episode's beginning.
pub(crate) fn episode(cut: Cut, lost: u32) -> Record {
    let number = Cut::ALL.iter().position(|one| *one == cut);
    let mut payload = vec![number.and_then(|n| u8::try_from(n).ok()).unwrap_or(0)];
    payload.extend(lost.to_le_bytes());
    let kind = EPISODE;
    Record { kind, payload }
}

/// The record of a frame.
pub(crate) fn frame(frame: &TapeFrame) -> Record {
    let mut payload = Vec::with_capacity(FRAME_HEAD + frame.image.len());
    payload.extend(frame.held.0.to_le_bytes());
    payload.extend(frame.time.to_le_bytes());
    payload.extend(frame.late.to_le_bytes());
    payload.extend(frame.mouse.iter().flat_map(|by| by.to_le_bytes()));
    payload.extend(&frame.image);
    let kind = FRAME;
    Record { kind, payload }
}

/// Reads the header of a journal; `None` if it is of something else than a capture.
///
/// # Errors
/// Returns an error if it is of a capture by another version of the program, or damaged.
pub(crate) fn read_header(journal: &mut JournalReader) -> Result<Option<TapeHeader>> {
    let Some(first) = journal.next().filter(|first| first.kind == HEADER) else {
        return Ok(None);
    };
    let header: Option<TapeHeader> = serde_json::from_slice(&first.payload).ok();
    match header.filter(|header| header.version == VERSION && header.is_whole()) {
        Some(header) => Ok(Some(header)),
        None => {
            let what = "holds a capture of another version of the program, or is damaged";
            Err(driftless_data::Error::invalid(journal.path(), what).into())
        }
    }
}

/// Reads a further record of a capture.
///
/// # Errors
/// Returns an error if its checksum holds, but not what it says.
pub(crate) fn read_entry(path: &Path, record: &Record, header: &TapeHeader) -> Result<Entry> {
    let entry = match record.kind {
        EPISODE => decode_episode(&record.payload),
        FRAME => decode_frame(&record.payload, header.size)
            .filter(|frame| header.has_keys(frame.held))
            .map(Entry::Frame),
        _ => None,
    };
    let damaged = || {
        let what = format!("a record of kind {} is damaged", record.kind);
        driftless_data::Error::invalid(path, what)
    };
    Ok(entry.ok_or_else(damaged)?)
}

fn decode_episode(payload: &[u8]) -> Option<Entry> {
    let (number, lost) = payload.split_first()?;
    let lost = u32::from_le_bytes(lost.try_into().ok()?);
    let cut = *Cut::ALL.get(usize::from(*number))?;
    Some(Entry::Episode { cut, lost })
}

fn decode_frame(payload: &[u8], [height, width]: [usize; 2]) -> Option<TapeFrame> {
    let (held, rest) = payload.split_first_chunk()?;
    let (time, rest) = rest.split_first_chunk()?;
    let (late, rest) = rest.split_first_chunk()?;
    let (x, rest) = rest.split_first_chunk()?;
    let (y, image) = rest.split_first_chunk()?;
    let expected = height.checked_mul(width)?.checked_mul(3)?;
    (image.len() == expected).then(|| TapeFrame {
        held: KeySet(u128::from_le_bytes(*held)),
        time: f64::from_le_bytes(*time),
        late: f32::from_le_bytes(*late),
        mouse: [*x, *y].map(f32::from_le_bytes),
        image: image.to_vec(),
    })
}

/// What a journal holds, without its frames.
#[derive(Clone, Debug, PartialEq)]
pub struct TapeSummary {
    /// What is captured.
    pub header: TapeHeader,
    /// Frames that it holds; the last may be damaged.
    pub frames: usize,
}

impl TapeSummary {
    /// Reads the beginning of a journal and counts its frames. `None` if it is of something else than a capture.
    ///
    /// # Errors
    /// Returns an error if it is of a capture by another version of the program, or damaged.
    pub fn read(mut journal: JournalReader) -> Result<Option<Self>> {
        let Some(header) = read_header(&mut journal)? else {
            return Ok(None);
        };
        let frames = journal
            .kinds()
            .iter()
            .filter(|&&kind| kind == FRAME)
            .count();
        Ok(Some(Self { header, frames }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> TapeKey {
        TapeKey {
            name: "Left".into(),
            play: "ArrowLeft".into(),
        }
    }

    #[test]
    fn records_are_exact_and_bounded() {
        let path = Path::new("a.journal");
        let of_size = |size| TapeHeader {
            size,
            keys: vec![key(); 3],
            ..TapeHeader::new(path)
        };
        let header = of_size([1, 2]);
        let written = TapeFrame {
            held: KeySet(5),
            time: 34.000_001,
            late: f32::MIN_POSITIVE,
            mouse: [-1.5, 0.25],
            image: vec![9, 8, 7, 6, 5, 4],
        };
        let record = frame(&written);
        let read = read_entry(path, &record, &header).unwrap();
        assert_eq!(read, Entry::Frame(written));
        assert!(read_entry(path, &record, &of_size([2, 2])).is_err());
        assert!(read_entry(path, &record, &of_size([usize::MAX, 2])).is_err());
        let fewer = TapeHeader {
            keys: vec![key(); 2],
            ..header.clone()
        };
        assert!(read_entry(path, &record, &fewer).is_err(), "a third key");
        for length in 0..record.payload.len() {
            let payload = record.payload[..length].to_vec();
            let cut = Record {
                kind: FRAME,
                payload,
            };
            assert!(read_entry(path, &cut, &header).is_err(), "{length}");
        }
        let record = episode(Cut::Length, 70_000);
        let (cut, lost) = (Cut::Length, 70_000);
        assert_eq!(
            read_entry(path, &record, &header).unwrap(),
            Entry::Episode { cut, lost }
        );
        for payload in [vec![], vec![9, 0, 0, 0, 0], vec![0, 0]] {
            let kind = EPISODE;
            assert!(read_entry(path, &Record { kind, payload }, &header).is_err());
        }
    }

    #[test]
    fn header_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let header = TapeHeader {
            fps: 20.0,
            size: [1, 2],
            ..TapeHeader::new(&folder.path().join("game"))
        };
        let journal = create(folder.path(), &header).unwrap();
        journal.append(&episode(Cut::Start, 0));
        let path = journal.path().to_path_buf();
        drop(journal);
        let found = TapeSummary::read(JournalReader::open(&path).unwrap()).unwrap();
        assert_eq!(found, Some(TapeSummary { header, frames: 0 }));

        let other = Journal::create(folder.path(), "b").unwrap();
        let (kind, payload) = (1, Vec::new());
        other.append(&Record { kind, payload });
        let path = other.path().to_path_buf();
        drop(other);
        assert_eq!(
            TapeSummary::read(JournalReader::open(&path).unwrap()).unwrap(),
            None
        );
    }
}
