//! Writes what the page shows: the way of a cell as a film, a series of doses as a sheet.

use std::path::{Path, PathBuf};

use driftless_data::Episode;
use driftless_data::cells::Compound;
use driftless_data::contact_sheet::png;
use driftless_data::fs::write_atomic;
use driftless_transport::TransportConfig;

use super::look::Look;
use super::wish::{Wish, figure};
use super::worker::{Morph, Series};
use crate::Result;
use crate::workspace::paths::{folder_name, unused_file};

/// Frames a second of a film, and frames that its ends are held.
pub(super) const FPS: f32 = 15.0;
const HOLD: usize = 8;
/// The shorter side of a film's or a sheet's picture is enlarged to at least this many pixels.
const FILM_SIDE: usize = 320;
const SHEET_SIDE: usize = 160;
/// Most bytes of a checkpoint's and a drug's name in the name of a file.
const NAMES: [usize; 2] = [40, 60];
/// Pixels between the pictures of a sheet, and of its labels.
const GAP: usize = 6;
const GLYPH: usize = 3;
const LABEL: usize = 5 * GLYPH + 2 * GAP;
/// The characters of doses, 3×5 pixels each, one row after the other.
const GLYPHS: [(char, [u8; 5]); 11] = [
    ('0', [0b111, 0b101, 0b101, 0b101, 0b111]),
    ('1', [0b010, 0b110, 0b010, 0b010, 0b111]),
    ('2', [0b111, 0b001, 0b111, 0b100, 0b111]),
    ('3', [0b111, 0b001, 0b111, 0b001, 0b111]),
    ('4', [0b101, 0b101, 0b111, 0b001, 0b001]),
    ('5', [0b111, 0b100, 0b111, 0b001, 0b111]),
    ('6', [0b111, 0b100, 0b111, 0b101, 0b111]),
    ('7', [0b111, 0b001, 0b010, 0b010, 0b010]),
    ('8', [0b111, 0b101, 0b111, 0b101, 0b111]),
    ('9', [0b111, 0b101, 0b111, 0b001, 0b111]),
    ('.', [0b000, 0b000, 0b000, 0b000, 0b010]),
];

/// How many times a film's pictures are enlarged.
pub(super) fn film_scale(size: [usize; 2]) -> u32 {
    u32::try_from(enlargement(size, FILM_SIDE)).unwrap_or(1)
}

fn enlargement([height, width]: [usize; 2], side: usize) -> usize {
    side.div_ceil(height.min(width).max(1)).max(1)
}

/// The way there and back, with its ends held.
pub(super) fn film(morph: &Morph, look: &Look, [height, width]: [usize; 2]) -> Episode {
    let states: Vec<_> = morph.states.iter().map(|state| look.rgb(state)).collect();
    let ends = |state: Option<&Vec<u8>>| state.cloned().into_iter().cycle().take(HOLD).flatten();
    let mut images: Vec<u8> = ends(states.first()).collect();
    images.extend(states.iter().flatten());
    images.extend(ends(states.last()));
    images.extend(states.iter().rev().flatten());
    let frames = images.len() / (height * width * 3).max(1);
    Episode {
        height,
        width,
        images,
        actions: vec![0; frames],
        rewards: vec![0.0; frames],
        extras: Default::default(),
    }
}

/// An unused file in a folder, named after the checkpoint, the drug and what else is given.
///
/// # Errors
/// Returns an error if the folder cannot be created.
pub(super) fn file(
    folder: &Path,
    config: &TransportConfig,
    wish: &Wish,
    what: &str,
) -> Result<PathBuf> {
    let names = [config.name.as_str(), drug_name(config, wish.compound)];
    let [name, drug] = [0, 1].map(|i| &names[i][..names[i].floor_char_boundary(NAMES[i])]);
    let name = folder_name(&format!("{name}-{drug}-{what}"));
    let name = name.unwrap_or_else(|_| format!("cells-{what}"));
    unused_file(folder, &name)
}

/// A drug's name.
pub(super) fn drug_name(config: &TransportConfig, compound: Option<usize>) -> &str {
    let known = compound.and_then(|index| config.compounds.get(index));
    known.map_or("no drug", |known| known.compound.name.as_str())
}

/// A drug's mechanism, if it is known.
pub(super) fn mechanism(compound: &Compound) -> &str {
    compound.mechanism.as_deref().unwrap_or("mechanism unknown")
}

/// Writes a series of doses as a PNG: the control, then one column a dose; where the simulator knows, the
/// truth below.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub(super) fn write_series(
    path: &Path,
    series: &Series,
    look: &Look,
    size: [usize; 2],
) -> Result<()> {
    let sheet = Sheet::of(series, look, size);
    write_atomic(path, &png(&sheet.rgb, sheet.size)?)?;
    Ok(())
}

/// A picture with enlarged pictures and labels in it, white where nothing is.
struct Sheet {
    rgb: Vec<u8>,
    /// Height and width.
    size: [usize; 2],
}

impl Sheet {
    fn of(series: &Series, look: &Look, size: [usize; 2]) -> Self {
        let scale = enlargement(size, SHEET_SIDE);
        let [height, width] = size.map(|side| side * scale + GAP);
        let rows: Vec<_> = [&series.made, &series.truth]
            .into_iter()
            .filter(|row| !row.is_empty())
            .collect();
        let columns = series.doses.len() + 1;
        let whole = [LABEL + rows.len() * height + GAP, columns * width + GAP];
        let mut sheet = Self {
            rgb: vec![255; whole[0] * whole[1] * 3],
            size: whole,
        };
        for (row, pictures) in rows.iter().enumerate() {
            let with_control = std::iter::once(&series.control).chain(pictures.iter());
            for (column, picture) in with_control.enumerate() {
                let at = [LABEL + row * height, GAP + column * width];
                sheet.paint(&look.rgb(picture), size, at, scale);
            }
        }
        for (column, dose) in std::iter::once(0.0)
            .chain(series.doses.iter().copied())
            .enumerate()
        {
            let text = if column == 0 {
                "0".to_owned()
            } else {
                figure(dose)
            };
            sheet.write(&text, [GAP, GAP + column * width]);
        }
        sheet
    }

    /// Paints an RGB picture, enlarged, with its upper left corner at `[y, x]`.
    fn paint(&mut self, rgb: &[u8], [height, width]: [usize; 2], [y, x]: [usize; 2], scale: usize) {
        for dy in 0..height * scale {
            for dx in 0..width * scale {
                let from = (dy / scale * width + dx / scale) * 3;
                if let Some(pixel) = rgb.get(from..from + 3) {
                    self.set([y + dy, x + dx], pixel);
                }
            }
        }
    }

    fn write(&mut self, text: &str, [y, x]: [usize; 2]) {
        for (i, letter) in text.chars().enumerate() {
            let known = GLYPHS.iter().find(|(known, _)| *known == letter);
            let Some((_, rows)) = known else { continue };
            for (dy, row) in rows.iter().enumerate() {
                for dx in (0..3).filter(|dx| row >> (2 - dx) & 1 == 1) {
                    let corner = [y + dy * GLYPH, x + (i * 4 + dx) * GLYPH];
                    for dot in 0..GLYPH * GLYPH {
                        let at = [corner[0] + dot / GLYPH, corner[1] + dot % GLYPH];
                        self.set(at, &[0; 3]);
                    }
                }
            }
        }
    }

    fn set(&mut self, [y, x]: [usize; 2], pixel: &[u8]) {
        let at = (y * self.size[1] + x) * 3;
        if x < self.size[1]
            && let Some(target) = self.rgb.get_mut(at..at + 3)
        {
            target.copy_from_slice(pixel);
        }
    }
}
