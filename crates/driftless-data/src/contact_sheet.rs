//! Contact sheets: rows of enlarged frames as PNG files.

use std::io::Cursor;
use std::path::Path;

use crate::fs::write_atomic;
use crate::{Error, PathError as _, Result};

/// Magnification.
const SCALE: usize = 2;
/// Pixels between two frames.
const GAP: usize = 2;
/// Frames per row.
const COLUMNS: usize = 16;
/// Most rollouts that get a sheet.
const SHEETS: usize = 8;

/// Encodes a frame, u8 RGB `[H, W, 3]`, as a PNG.
///
/// # Errors
/// Returns an error if the length does not match the size.
pub fn png(image: &[u8], [height, width]: [usize; 2]) -> Result<Vec<u8>> {
    let wrong = || {
        Error::Shape(format!(
            "the image has {} bytes, expected {width} × {height} × 3",
            image.len()
        ))
    };
    let side = |side: usize| u32::try_from(side).map_err(|_| wrong());
    let picture =
        image::RgbImage::from_raw(side(width)?, side(height)?, image.to_vec()).ok_or_else(wrong)?;
    let mut bytes = Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|e| Error::encode("PNG", e))?;
    Ok(bytes.into_inner())
}

/// Writes `rollout-00.png` and so on: rows of real frames, each above the row of its predictions.
///
/// # Errors
/// Returns an error if the folder cannot be written.
pub fn write_rollouts(
    folder: &Path,
    real: &[&[u8]],
    predictions: &[Vec<u8>],
    size: [usize; 2],
) -> Result<()> {
    let row_len = COLUMNS * size[0] * size[1] * 3;
    for (i, (real, predicted)) in real.iter().zip(predictions).take(SHEETS).enumerate() {
        let pairs = real.chunks(row_len).zip(predicted.chunks(row_len));
        let rows: Vec<&[u8]> = pairs
            .flat_map(|(real, predicted)| [real, predicted])
            .collect();
        write_sheet(&folder.join(format!("rollout-{i:02}.png")), &rows, size)?;
    }
    Ok(())
}

/// Writes `free-00.png` and so on: frames of a free run, row by row.
///
/// # Errors
/// Returns an error if the folder cannot be written.
pub fn write_free_runs(folder: &Path, runs: &[Vec<u8>], size: [usize; 2]) -> Result<()> {
    for (i, frames) in runs.iter().enumerate() {
        let rows: Vec<&[u8]> = frames.chunks(COLUMNS * size[0] * size[1] * 3).collect();
        write_sheet(&folder.join(format!("free-{i:02}.png")), &rows, size)?;
    }
    Ok(())
}

fn write_sheet(path: &Path, rows: &[&[u8]], size: [usize; 2]) -> Result<()> {
    ContactSheet::new(rows, size)?.write(path)
}

/// A contact sheet: rows of frames in one image.
#[derive(Debug)]
pub struct ContactSheet {
    /// The encoded PNG.
    pub png: Vec<u8>,
    /// Height and width in pixels.
    pub size: [usize; 2],
}

impl ContactSheet {
    /// Makes a sheet of rows, each u8 RGB `[columns, H, W, 3]`, of frames of size `[H, W]`.
    ///
    /// # Errors
    /// Returns an error if the sheet is too large for a PNG.
    pub fn new(rows: &[&[u8]], frame: [usize; 2]) -> Result<Self> {
        let (sheet, size) = draw(rows, frame);
        let png = png(&sheet, size)?;
        Ok(Self { png, size })
    }

    /// Writes the PNG, and creates its folder if necessary.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
        write_atomic(path, &self.png)
    }
}

/// Rows of enlarged frames with white gaps. Returns the image and its height and width.
fn draw(rows: &[&[u8]], [height, width]: [usize; 2]) -> (Vec<u8>, [usize; 2]) {
    let frame = height * width * 3;
    let columns = rows.iter().map(|row| row.len() / frame).max().unwrap_or(0);
    let cell = [height * SCALE + GAP, width * SCALE + GAP];
    let size = [(rows.len() * cell[0]).max(1), (columns * cell[1]).max(1)];
    let mut sheet = vec![255; size[0] * size[1] * 3];
    for (y, line) in sheet.chunks_exact_mut(size[1] * 3).enumerate() {
        let (row, dy) = (y / cell[0], y % cell[0] / SCALE);
        for (x, pixel) in line.chunks_exact_mut(3).enumerate() {
            let (column, dx) = (x / cell[1], x % cell[1] / SCALE);
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
    fn sheet_shows_every_frame() {
        // Two rows of 2 × 1 frames: (grey 10, grey 20), (grey 30).
        let (top, bottom) = ([[10_u8; 6], [20; 6]].concat(), vec![30_u8; 6]);
        let (sheet, [h, w]) = draw(&[&top, &bottom], [2, 1]);
        assert_eq!([h, w], [2 * (2 * SCALE + GAP), 2 * (SCALE + GAP)]);
        let at = |y: usize, x: usize| sheet[(y * w + x) * 3];
        assert_eq!((at(0, 0), at(0, SCALE + GAP)), (10, 20));
        assert_eq!(at(2 * SCALE + GAP, 0), 30);
        assert_eq!(at(2 * SCALE + GAP, SCALE + GAP), 255, "no fourth frame");
    }

    #[test]
    fn sheets_are_png_files() {
        let folder = tempfile::tempdir().unwrap();
        let frames = vec![7_u8; 20 * 4 * 4 * 3];
        write_rollouts(
            folder.path(),
            &[&frames],
            std::slice::from_ref(&frames),
            [4, 4],
        )
        .unwrap();
        let image = image::open(folder.path().join("rollout-00.png")).unwrap();
        let side = (4 * SCALE + GAP) as u32;
        assert_eq!((image.width(), image.height()), (16 * side, 4 * side));
    }

    #[test]
    fn wrong_frame_size_is_an_error() {
        assert!(png(&[0; 10], [2, 2]).is_err());
    }
}
