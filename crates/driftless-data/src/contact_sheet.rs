//! Contact sheets: frames side by side, enlarged, as PNG files.

use std::io::Cursor;
use std::path::Path;

use crate::PathError as _;
use crate::fs::write_atomic;
use crate::{Error, Result};

/// Side of an enlarged pixel.
const SCALE: usize = 2;
/// Pixels between two frames.
const GAP: usize = 2;
/// Frames in a row.
const COLUMNS: usize = 16;
/// Rollouts that get a sheet.
const SHEETS: usize = 8;

/// Bytes of a PNG of one frame, u8 RGB `[H, W, 3]`.
///
/// # Errors
/// The length does not fit the size.
pub fn png(image: &[u8], [height, width]: [usize; 2]) -> Result<Vec<u8>> {
    let wrong = || {
        Error::Argument(format!(
            "a picture has {} bytes, expected {width} × {height} × 3",
            image.len()
        ))
    };
    let side = |side: usize| u32::try_from(side).map_err(|_| wrong());
    let picture =
        image::RgbImage::from_raw(side(width)?, side(height)?, image.to_vec()).ok_or_else(wrong)?;
    let mut bytes = Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|e| Error::Argument(format!("PNG: {e}")))?;
    Ok(bytes.into_inner())
}

/// `rollout-00.png` and so on: rows of true frames, each above the row of its predictions.
///
/// # Errors
/// The folder cannot be written.
pub fn write_rollouts(
    folder: &Path,
    truth: &[&[u8]],
    dreams: &[Vec<u8>],
    size: [usize; 2],
) -> Result<()> {
    let row_len = COLUMNS * size[0] * size[1] * 3;
    for (i, (truth, dream)) in truth.iter().zip(dreams).take(SHEETS).enumerate() {
        let pairs = truth.chunks(row_len).zip(dream.chunks(row_len));
        let rows: Vec<&[u8]> = pairs.flat_map(|(truth, dream)| [truth, dream]).collect();
        write_sheet(&folder.join(format!("rollout-{i:02}.png")), &rows, size)?;
    }
    Ok(())
}

/// `free-00.png` and so on: frames of a free run, row by row.
///
/// # Errors
/// The folder cannot be written.
pub fn write_free_runs(folder: &Path, runs: &[Vec<u8>], size: [usize; 2]) -> Result<()> {
    for (i, frames) in runs.iter().enumerate() {
        let rows: Vec<&[u8]> = frames.chunks(COLUMNS * size[0] * size[1] * 3).collect();
        write_sheet(&folder.join(format!("free-{i:02}.png")), &rows, size)?;
    }
    Ok(())
}

fn write_sheet(path: &Path, rows: &[&[u8]], size: [usize; 2]) -> Result<()> {
    Sheet::new(rows, size)?.write(path)
}

/// Rows of frames as one picture.
#[derive(Debug)]
pub struct Sheet {
    /// Bytes of a PNG file.
    pub png: Vec<u8>,
    /// Height and width in pixels.
    pub size: [usize; 2],
}

impl Sheet {
    /// Of rows of frames, each u8 RGB `[columns, H, W, 3]`, for frames of the size `[H, W]`.
    ///
    /// # Errors
    /// The picture is too large for a PNG.
    pub fn new(rows: &[&[u8]], frame: [usize; 2]) -> Result<Self> {
        let (sheet, size) = sheet(rows, frame);
        let png = png(&sheet, size)?;
        Ok(Self { png, size })
    }

    /// Writes the PNG; makes the folder.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
        write_atomic(path, &self.png)
    }
}

/// Rows of frames, enlarged, with gaps in white; returns the picture and its height and width.
fn sheet(rows: &[&[u8]], [height, width]: [usize; 2]) -> (Vec<u8>, [usize; 2]) {
    let frame = height * width * 3;
    let columns = rows.iter().map(|row| row.len() / frame).max().unwrap_or(0);
    let pitch = [height * SCALE + GAP, width * SCALE + GAP];
    let size = [(rows.len() * pitch[0]).max(1), (columns * pitch[1]).max(1)];
    let mut sheet = vec![255; size[0] * size[1] * 3];
    for (y, line) in sheet.chunks_exact_mut(size[1] * 3).enumerate() {
        let (row, dy) = (y / pitch[0], y % pitch[0] / SCALE);
        for (x, pixel) in line.chunks_exact_mut(3).enumerate() {
            let (column, dx) = (x / pitch[1], x % pitch[1] / SCALE);
            let at = column * frame + (dy * width + dx) * 3;
            let inside = dy < height && dx < width;
            let source = rows.get(row).and_then(|row| row.get(at..at + 3));
            if let Some(source) = source.filter(|_| inside) {
                pixel.copy_from_slice(source);
            }
        }
    }
    (sheet, size)
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_sheet_shows_every_frame_in_its_place() {
        // Two rows of 2 × 1 frames: (grey 10, grey 20), (grey 30).
        let (top, bottom) = ([[10_u8; 6], [20; 6]].concat(), vec![30_u8; 6]);
        let (sheet, [h, w]) = sheet(&[&top, &bottom], [2, 1]);
        assert_eq!([h, w], [2 * (2 * SCALE + GAP), 2 * (SCALE + GAP)]);
        let at = |y: usize, x: usize| sheet[(y * w + x) * 3];
        assert_eq!((at(0, 0), at(0, SCALE + GAP)), (10, 20));
        assert_eq!(at(2 * SCALE + GAP, 0), 30);
        assert_eq!(at(2 * SCALE + GAP, SCALE + GAP), 255, "no fourth frame");
    }

    #[test]
    fn sheets_are_pngs_of_the_stated_size() {
        let folder = tempfile::tempdir().unwrap();
        let frames = vec![7_u8; 20 * 4 * 4 * 3];
        write_rollouts(
            folder.path(),
            &[&frames],
            std::slice::from_ref(&frames),
            [4, 4],
        )
        .unwrap();
        let picture = image::open(folder.path().join("rollout-00.png")).unwrap();
        let side = (4 * SCALE + GAP) as u32;
        assert_eq!((picture.width(), picture.height()), (16 * side, 4 * side));
    }

    #[test]
    fn a_frame_of_another_size_is_refused() {
        assert!(png(&[0; 10], [2, 2]).is_err());
    }
}
