//! Columns of parquet files.

use std::fs::File;
use std::sync::Arc;

use image::{ImageFormat, Rgb, RgbImage};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

use super::super::raw_action::RawAction;
use super::*;

/// Writes the values of one column.
type WriteColumn<'a> = &'a dyn Fn(&mut SerializedColumnWriter) -> parquet::errors::Result<usize>;

const IMAGE: &str = "optional group camera { optional binary bytes; }";

/// A dataset with one episode, read back.
struct Fixture(tempfile::TempDir);

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let info = serde_json::json!({
            "codebase_version": "v2.1", "fps": 10.0, "chunks_size": 1000,
            "data_path": "{episode_index:06d}.parquet",
            "features": {"camera": {"dtype": "image"}},
        });
        std::fs::create_dir(folder.path().join("meta")).unwrap();
        std::fs::write(folder.path().join(INFO_FILE), info.to_string()).unwrap();
        std::fs::write(folder.path().join(EPISODES_FILE), "{\"episode_index\": 0}").unwrap();
        Self(folder)
    }

    /// Reads an episode with these columns, given as their schema and their leaves.
    fn read(&self, schema: &str, columns: &[WriteColumn]) -> Result<RawEpisode> {
        let file = File::create(self.0.path().join("000000.parquet")).unwrap();
        let schema = parse_message_type(&format!("message rows {{ {schema} }}")).unwrap();
        let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::default()).unwrap();
        let mut rows = writer.next_row_group().unwrap();
        for write in columns {
            let mut column = rows.next_column().unwrap().unwrap();
            write(&mut column).unwrap();
            column.close().unwrap();
        }
        rows.close().unwrap();
        writer.close().unwrap();
        let mut dataset = LerobotDataset::open(self.0.path(), SourceKeys::default()).unwrap();
        let mut frames = FrameResampler::new([1, 1], 1);
        dataset.read(0, ActionPairing::TakenAt, &mut frames)
    }

    /// Reads an episode of three rows with images, and the given column `action`.
    fn actions(&self, schema: &str, write: WriteColumn) -> Result<Vec<RawAction>> {
        let images = |column: &mut SerializedColumnWriter| write_images(column, &[&png(1, 1); 3]);
        let episode = self.read(&format!("{schema} {IMAGE}"), &[write, &images])?;
        Ok(episode.actions)
    }
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = RgbImage::from_pixel(width, height, Rgb([9; 3]));
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn write_images(
    column: &mut SerializedColumnWriter,
    images: &[&Vec<u8>],
) -> parquet::errors::Result<usize> {
    let images: Vec<_> = images
        .iter()
        .map(|&png| ByteArray::from(png.clone()))
        .collect();
    let levels = vec![2; images.len()];
    column
        .typed::<ByteArrayType>()
        .write_batch(&images, Some(&levels), None)
}

#[test]
fn integers_are_discrete_actions() {
    let fixture = Fixture::new();
    let expected = [4, 0].map(RawAction::Number);
    let long = fixture.actions("required int64 action;", &|column| {
        column
            .typed::<Int64Type>()
            .write_batch(&[4, 0, 7], None, None)
    });
    assert_eq!(long.unwrap(), expected);
    for kind in [
        "INTEGER(8,true)",
        "INTEGER(16,true)",
        "INTEGER(8,false)",
        "INTEGER(32,false)",
    ] {
        let schema = format!("required int32 action ({kind});");
        let small = fixture.actions(&schema, &|column| {
            column
                .typed::<Int32Type>()
                .write_batch(&[4, 0, 7], None, None)
        });
        assert_eq!(small.unwrap(), expected, "{kind}");
    }
    // A list of one integer is that integer.
    let list = "required group action (LIST) { repeated group list { required int64 element; } }";
    let lists = fixture.actions(list, &|column| {
        let column = column.typed::<Int64Type>();
        column.write_batch(&[4, 0, 7], Some(&[1; 3]), Some(&[0; 3]))
    });
    assert_eq!(lists.unwrap(), expected);
}

#[test]
fn other_numbers_are_vectors() {
    let fixture = Fixture::new();
    let one = |value: f64| RawAction::Vector(vec![value]);
    let floats = fixture.actions("required float action;", &|column| {
        column
            .typed::<FloatType>()
            .write_batch(&[0.5, -1.0, 0.0], None, None)
    });
    assert_eq!(floats.unwrap(), [one(0.5), one(-1.0)]);
    let doubles = fixture.actions("required double action;", &|column| {
        column
            .typed::<DoubleType>()
            .write_batch(&[0.5, -1.0, 0.0], None, None)
    });
    assert_eq!(doubles.unwrap(), [one(0.5), one(-1.0)]);
    let flags = fixture.actions("required boolean action;", &|column| {
        column
            .typed::<BoolType>()
            .write_batch(&[true, false, true], None, None)
    });
    assert_eq!(flags.unwrap(), [one(1.0), one(0.0)]);
    let list = "required group action (LIST) { repeated group list { required float element; } }";
    let lists = fixture.actions(list, &|column| {
        let column = column.typed::<FloatType>();
        let values = [0.5, 1.0, 2.0, 3.0, 4.0, 5.0];
        column.write_batch(&values, Some(&[1; 6]), Some(&[0, 1, 0, 1, 0, 1]))
    });
    let expected = [[0.5, 1.0], [2.0, 3.0]].map(|pair| RawAction::Vector(pair.into()));
    assert_eq!(lists.unwrap(), expected);
}

#[test]
fn unusable_actions_name_row_and_column() {
    let fixture = Fixture::new();
    let message =
        |schema: &str, write: WriteColumn| fixture.actions(schema, write).unwrap_err().to_string();
    let infinite = message("required float action;", &|column| {
        column
            .typed::<FloatType>()
            .write_batch(&[0.5, f32::INFINITY, 0.0], None, None)
    });
    let absent = message("optional int64 action;", &|column| {
        column
            .typed::<Int64Type>()
            .write_batch(&[1, 2], Some(&[1, 0, 1]), None)
    });
    for message in [infinite, absent] {
        let expected =
            "000000.parquet: row 1: column `action`: expected an integer or finite numbers";
        assert!(message.ends_with(expected), "{message}");
    }
    let text = message("required binary action (UTF8);", &|column| {
        let left = ByteArray::from("left");
        column
            .typed::<ByteArrayType>()
            .write_batch(&[left.clone(), left.clone(), left], None, None)
    });
    let other = message("required int64 other;", &|column| {
        column
            .typed::<Int64Type>()
            .write_batch(&[1, 2, 3], None, None)
    });
    assert!(text.contains("row 0: column `action`"), "{text}");
    assert!(
        other.contains("no column `action`; there are other"),
        "{other}"
    );
}

#[test]
fn rewards_are_complete_or_absent() {
    let fixture = Fixture::new();
    let schema = format!("required int64 action; optional float next.reward; {IMAGE}");
    let read = |rewards: &[f32], levels: &[i16]| {
        fixture.read(
            &schema,
            &[
                &|column| {
                    column
                        .typed::<Int64Type>()
                        .write_batch(&[1, 2, 3], None, None)
                },
                &|column| {
                    column
                        .typed::<FloatType>()
                        .write_batch(rewards, Some(levels), None)
                },
                &|column| write_images(column, &[&png(1, 1); 3]),
            ],
        )
    };
    assert_eq!(
        read(&[0.5, -1.0, 2.0], &[1; 3]).unwrap().rewards,
        [0.5, -1.0]
    );
    assert!(read(&[], &[0; 3]).unwrap().rewards.is_empty());
    let message = read(&[0.5, 1.0], &[1, 0, 1]).err().unwrap().to_string();
    assert!(
        message.ends_with("column `next.reward`: some rows have no value"),
        "{message}"
    );
}

#[test]
fn images_are_decoded_within_limits() {
    let fixture = Fixture::new();
    let read = |image: &Vec<u8>| {
        let schema = format!("required int64 action; {IMAGE}");
        let episode = fixture.read(
            &schema,
            &[
                &|column| column.typed::<Int64Type>().write_batch(&[1, 2], None, None),
                &|column| write_images(column, &[&png(1, 1), image]),
            ],
        );
        episode.err().map(|error| error.to_string())
    };
    assert_eq!(read(&png(16_384, 1)), None);
    for (image, expected) in [
        (png(16_385, 1), "not a readable image"),
        (b"no image".to_vec(), "not a readable image"),
        (png(1, 1)[..40].to_vec(), "not a readable image"),
    ] {
        let message = read(&image).unwrap();
        assert!(
            message.contains("000000.parquet") && message.contains(expected),
            "{message}"
        );
    }
    let missing = fixture.read(
        "required int64 action; optional binary camera;",
        &[
            &|column| column.typed::<Int64Type>().write_batch(&[1], None, None),
            &|column| {
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&[], Some(&[0]), None)
            },
        ],
    );
    let message = missing.err().unwrap().to_string();
    assert!(
        message.ends_with("row 0: column `camera`: expected an encoded image"),
        "{message}"
    );
}
