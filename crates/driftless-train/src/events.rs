//! Event files that TensorBoard reads: scalars and pictures by step.
//!
//! A file is a row of TFRecords (length u64, masked CRC-32C of it, bytes, masked CRC-32C of them, all
//! little-endian), each the protobuf message `Event` of TensorFlow's `event.proto` and
//! `summary.proto`, of which only the fields written here are declared.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::{Error, Result};
use driftless_data::PathError as _;

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "4")]
    image: Option<Picture>,
}

#[derive(Clone, PartialEq, Message)]
struct Picture {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    /// 3 is RGB.
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded_image_string: Vec<u8>,
}

/// One event file, which is only ever appended to.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
}

impl EventFile {
    /// A new file in `folder`, named so that TensorBoard finds it and orders it behind earlier ones.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn create(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let nanoseconds = since_1970().as_nanos();
        let name = format!(
            "events.out.tfevents.{:010}.{:09}.driftless",
            nanoseconds / 1_000_000_000,
            nanoseconds % 1_000_000_000
        );
        let file = Self {
            path: folder.join(name),
        };
        file.append(&Event {
            wall_time: since_1970().as_secs_f64(),
            file_version: Some("brain.Event:2".to_owned()),
            ..Event::default()
        })?;
        Ok(file)
    }

    /// Appends named numbers.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn scalars(&self, step: u64, scalars: &[(&str, f64)]) -> Result<()> {
        let value = |&(tag, number): &(&str, f64)| Value {
            tag: tag.to_owned(),
            simple_value: Some(number as f32),
            image: None,
        };
        self.summary(step, scalars.iter().map(value).collect())
    }

    /// Appends a PNG of the given height and width.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn picture(
        &self,
        step: u64,
        tag: &str,
        png: Vec<u8>,
        [height, width]: [usize; 2],
    ) -> Result<()> {
        let image = Picture {
            height: height as i32,
            width: width as i32,
            colorspace: 3,
            encoded_image_string: png,
        };
        let value = Value {
            tag: tag.to_owned(),
            simple_value: None,
            image: Some(image),
        };
        self.summary(step, vec![value])
    }

    fn summary(&self, step: u64, value: Vec<Value>) -> Result<()> {
        self.append(&Event {
            wall_time: since_1970().as_secs_f64(),
            step: step as i64,
            file_version: None,
            summary: Some(Summary { value }),
        })
    }

    /// One write a record, so that a reader beside the run rarely sees half of one.
    fn append(&self, event: &Event) -> Result<()> {
        let failed = |e| Error::io(&self.path, e);
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .map_err(failed)?;
        file.write_all(&record(&event.encode_to_vec()))
            .map_err(failed)
    }
}

fn since_1970() -> std::time::Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// A TFRecord.
fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(bytes.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked_crc(&length).to_le_bytes());
    record.extend_from_slice(bytes);
    record.extend_from_slice(&masked_crc(bytes).to_le_bytes());
    record
}

/// CRC-32C, rotated and offset as TFRecords want it.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_those_of_tensorboards_own_writer() {
        // tensorboard 2.21.0: `RecordWriter(file).write(event.SerializeToString())` with
        // `Event(wall_time=1.5, step=40)` and the summary value `tag="loss", simple_value=0.25`.
        let event = Event {
            wall_time: 1.5,
            step: 40,
            file_version: None,
            summary: Some(Summary {
                value: vec![Value {
                    tag: "loss".into(),
                    simple_value: Some(0.25),
                    image: None,
                }],
            }),
        };
        let hex: String = record(&event.encode_to_vec())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "1a00000000000000129bd82d09000000000000f83f10282a0d0a0b0a046c6f7373150000803e32f0fc30"
        );
    }

    #[test]
    fn a_file_holds_its_version_then_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = EventFile::create(&folder.path().join("events")).unwrap();
        file.scalars(3, &[("a", 1.0), ("b", 2.0)]).unwrap();
        file.picture(4, "preview", vec![1, 2, 3], [5, 6]).unwrap();
        let bytes = std::fs::read(&file.path).unwrap();
        let (mut rest, mut events) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let event = &rest[12..12 + length];
            assert_eq!(record(event), rest[..length + 16]);
            events.push(Event::decode(event).unwrap());
            rest = &rest[length + 16..];
        }
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        let values = |i: usize| &events[i].summary.as_ref().unwrap().value;
        assert_eq!((events[1].step, values(1)[1].simple_value), (3, Some(2.0)));
        let picture = values(2)[0].image.as_ref().unwrap();
        assert_eq!((picture.height, picture.width), (5, 6));
    }
}
