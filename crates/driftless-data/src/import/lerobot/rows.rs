//! The Parquet files of a LeRobot dataset.

use std::path::Path;

use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::super::frame_resampler::FrameResampler;
use super::super::push_encoded;
use super::super::raw_action::RawAction;
use super::chunks::ParquetFile;
use super::episode::{EPISODE_COLUMN, LerobotEpisode, REWARD_COLUMN, SharedFiles};
use crate::fs::open_source;
use crate::guard::catch_panic;
use crate::{Error, PathError as _, Result};

/// What is read from the rows of a file.
pub struct RowColumns<'a> {
    /// The column with the actions.
    pub action: &'a str,
    /// The column with the images, if they are not in a video.
    pub image: Option<&'a str>,
    /// Only the rows of this episode.
    pub episode: Option<usize>,
}

/// The rows of an episode.
#[derive(Default)]
pub struct EpisodeRows {
    pub actions: Vec<RawAction>,
    /// Empty if the file has no rewards.
    pub rewards: Vec<f32>,
}

fn parquet_error(path: &Path, error: &ParquetError) -> Error {
    let text = error.to_string().replace(['\n', '\r'], " ");
    Error::invalid(path, format!("parquet: {text}"))
}

/// Calls `visit` with the index and the columns `names` of every row, except for those of the row groups
/// that `skip` leaves out. Other columns, images of other cameras for example, are not decoded.
fn for_each_row(
    path: &Path,
    names: &[&str],
    skip: impl Fn(&RowGroupMetaData) -> bool,
    visit: impl FnMut(usize, &Row) -> Result<()>,
) -> Result<()> {
    // The library panics over some damaged files; what `visit` has collected is then dropped.
    catch_panic(path, || visit_rows(path, names, skip, visit))
}

/// As [`for_each_row`], but a damaged file may make it panic.
fn visit_rows(
    path: &Path,
    names: &[&str],
    skip: impl Fn(&RowGroupMetaData) -> bool,
    mut visit: impl FnMut(usize, &Row) -> Result<()>,
) -> Result<()> {
    let to_error = |e| parquet_error(path, &e);
    let reader = SerializedFileReader::new(ParquetFile(open_source(path)?)).map_err(to_error)?;
    let schema = reader.metadata().file_metadata().schema();
    let found = |name: &str| schema.get_fields().iter().any(|f| f.name() == name);
    if let Some(missing) = names.first().filter(|name| !found(name)) {
        let columns: Vec<&str> = schema.get_fields().iter().map(|f| f.name()).collect();
        let what = format!(
            "no column `{missing}`; there are {}: choose the actions with --action-key",
            columns.join(", ")
        );
        return Err(Error::invalid(path, what));
    }
    let used = schema.get_fields().iter();
    let used = used
        .filter(|f| names.contains(&f.name()))
        .cloned()
        .collect();
    let used = Type::group_type_builder(schema.name())
        .with_fields(used)
        .build()
        .map_err(to_error)?;
    let mut index = 0;
    for number in 0..reader.num_row_groups() {
        let group = reader.get_row_group(number).map_err(to_error)?;
        if skip(group.metadata()) {
            continue;
        }
        for row in group.get_row_iter(Some(used.clone())).map_err(to_error)? {
            visit(index, &row.map_err(to_error)?)?;
            index += 1;
        }
    }
    Ok(())
}

/// Reads the actions and rewards of a file, and its images, if they are in it.
///
/// # Errors
/// Returns an error that names the row and the column if one cannot be read, or if there is no column with
/// the actions.
pub fn read_rows(
    path: &Path,
    columns: &RowColumns<'_>,
    frames: &mut FrameResampler,
) -> Result<EpisodeRows> {
    let mut names = vec![columns.action, REWARD_COLUMN];
    names.extend(columns.image);
    names.extend(columns.episode.map(|_| EPISODE_COLUMN));
    let is_elsewhere = |group: &RowGroupMetaData| {
        columns
            .episode
            .is_some_and(|episode| !may_hold(group, episode as i64))
    };
    let mut rows = EpisodeRows::default();
    for_each_row(path, &names, is_elsewhere, |index, row| {
        let missing = |name: &str, expected: &str| {
            let what = format!("row {index}: column `{name}`: expected {expected}");
            Error::invalid(path, what)
        };
        if let Some(episode) = columns.episode {
            let found = column(row, EPISODE_COLUMN).and_then(integer);
            let found = found.ok_or_else(|| missing(EPISODE_COLUMN, "a whole number"))?;
            if found != episode as i64 {
                return Ok(());
            }
        }
        let action = column(row, columns.action)
            .and_then(raw_action)
            .ok_or_else(|| missing(columns.action, "an integer or finite numbers"))?;
        rows.actions.push(action);
        let reward = column(row, REWARD_COLUMN).and_then(finite_number);
        rows.rewards.extend(reward.map(|reward| reward as f32));
        if let Some(name) = columns.image {
            let bytes = column(row, name)
                .and_then(encoded_image)
                .ok_or_else(|| missing(name, "an encoded image"))?;
            push_encoded(bytes, path, frames)?;
        }
        Ok(())
    })?;
    if rows.actions.is_empty() {
        let what = match columns.episode {
            Some(episode) => format!("holds no row of episode {episode}"),
            None => "holds no rows".to_owned(),
        };
        return Err(Error::invalid(path, what));
    }
    Ok(rows)
}

/// Whether a row group may hold rows of an episode, by the statistics of its column.
fn may_hold(group: &RowGroupMetaData, episode: i64) -> bool {
    let mut columns = group.columns().iter();
    let column = columns.find(|column| column.column_path().string() == EPISODE_COLUMN);
    match column.and_then(|column| column.statistics()) {
        Some(Statistics::Int64(values)) => {
            let (low, high) = (values.min_opt(), values.max_opt());
            low.is_none_or(|&low| low <= episode) && high.is_none_or(|&high| episode <= high)
        }
        _ => true,
    }
}

/// Reads a table of episodes of version 3. Its columns are named like paths.
///
/// # Errors
/// Returns an error that names the row and the column if one is missing.
pub fn read_episode_table(path: &Path, image_key: &str) -> Result<Vec<LerobotEpisode>> {
    let video = |name: &str| format!("videos/{image_key}/{name}");
    let (chunk, file, start) = (
        video("chunk_index"),
        video("file_index"),
        video("from_timestamp"),
    );
    let names = [
        EPISODE_COLUMN,
        "data/chunk_index",
        "data/file_index",
        &chunk,
        &file,
        &start,
    ];
    let mut episodes = Vec::new();
    for_each_row(
        path,
        &names,
        |_| false,
        |index, row| {
            let number = |name: &str| {
                let value = column(row, name).and_then(integer);
                let value = value.and_then(|value| usize::try_from(value).ok());
                value.ok_or_else(|| {
                    let what = format!("row {index}: column `{name}`: expected a whole number");
                    Error::invalid(path, what)
                })
            };
            // Datasets with images in their rows have no columns for videos.
            let optional = |name: &str| column(row, name).map_or(Ok(0), |_| number(name));
            episodes.push(LerobotEpisode {
                index: number(EPISODE_COLUMN)?,
                shared: Some(SharedFiles {
                    data: [number("data/chunk_index")?, number("data/file_index")?],
                    video: [optional(&chunk)?, optional(&file)?],
                    video_start: column(row, &start).and_then(finite_number).unwrap_or(0.0),
                }),
            });
            Ok(())
        },
    )?;
    Ok(episodes)
}

fn column<'a>(row: &'a Row, name: &str) -> Option<&'a Field> {
    let (_, field) = row.get_column_iter().find(|(found, _)| *found == name)?;
    Some(field)
}

/// The value of a numeric or boolean field, if it is finite.
fn finite_number(field: &Field) -> Option<f64> {
    let value = match *field {
        Field::Float(value) => f64::from(value),
        Field::Double(value) => value,
        Field::Bool(value) => f64::from(u8::from(value)),
        _ => integer(field)? as f64,
    };
    value.is_finite().then_some(value)
}

/// The value of an integer field.
fn integer(field: &Field) -> Option<i64> {
    match *field {
        Field::Byte(value) => Some(value.into()),
        Field::Short(value) => Some(value.into()),
        Field::Int(value) => Some(value.into()),
        Field::Long(value) => Some(value),
        Field::UByte(value) => Some(value.into()),
        Field::UShort(value) => Some(value.into()),
        Field::UInt(value) => Some(value.into()),
        _ => None,
    }
}

/// An action: an integer or a vector of numbers.
fn raw_action(field: &Field) -> Option<RawAction> {
    if let Some(value) = integer(field) {
        return Some(RawAction::Number(value));
    }
    match field {
        Field::ListInternal(list) => match list.elements() {
            [only] if integer(only).is_some() => integer(only).map(RawAction::Number),
            elements => {
                let values: Option<Vec<f64>> = elements.iter().map(finite_number).collect();
                values.map(RawAction::Vector)
            }
        },
        _ => finite_number(field).map(|value| RawAction::Vector(vec![value])),
    }
}

/// The encoded file in an image cell, which is a struct of `bytes` and `path`.
fn encoded_image(field: &Field) -> Option<&[u8]> {
    match field {
        Field::Group(row) => match column(row, "bytes")? {
            Field::Bytes(bytes) => Some(bytes.data()),
            _ => None,
        },
        _ => None,
    }
}
