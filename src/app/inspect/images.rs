//! The panel's images as data: colours and layouts, without drawing.

use eframe::egui::{Color32, ColorImage, Key, Pos2, Rect, Vec2, pos2, vec2};

use driftless_engine::Attention;
use driftless_sim::Inspection;

use crate::app::theme::Palette;

/// Values are clamped to this many standard deviations; latents are standardized.
pub(super) const MAX_ABS: f32 = 3.0;

/// The diverging colour of a value in ±[`MAX_ABS`]: cold below 0, warm above.
pub(super) fn diverging(palette: &Palette, value: f32) -> Color32 {
    let end = if value < 0.0 {
        palette.cold
    } else {
        palette.warm
    };
    let fraction = (value.abs() / MAX_ABS).min(1.0);
    palette
        .backdrop
        .lerp_to_gamma(end, if fraction.is_finite() { fraction } else { 1.0 })
}

/// The colour of a weight relative to the largest; by its square root, so that small ones show.
pub(super) fn heat(palette: &Palette, fraction: f32) -> Color32 {
    palette
        .backdrop
        .lerp_to_gamma(palette.accent, fraction.clamp(0.0, 1.0).sqrt())
}

/// The channels of a latent stacked vertically, `[channels · grid height, grid width]`; `None` if
/// the sizes do not match.
pub(super) fn channels(palette: &Palette, inspection: &Inspection) -> Option<ColorImage> {
    let [height, width] = inspection.grid;
    if inspection.latent.is_empty()
        || inspection.latent.len() != height * width * inspection.channels
    {
        return None;
    }
    let channel = |c: usize| {
        inspection
            .latent
            .iter()
            .skip(c)
            .step_by(inspection.channels)
    };
    let pixels = (0..inspection.channels).flat_map(channel);
    let pixels = pixels.map(|&value| diverging(palette, value)).collect();
    Some(ColorImage::new(
        [width, height * inspection.channels],
        pixels,
    ))
}

/// Columns and tile size for `count` tiles of the grid's shape, as large as fit into `room`.
pub(super) fn tiles(count: usize, grid: [usize; 2], room: Vec2, gap: f32) -> (usize, Vec2) {
    let [height, width] = grid.map(|side| side.max(1) as f32);
    let sized = (1..=count.max(1)).map(|columns| {
        let side = |room: f32, n: usize| ((room + gap) / n as f32 - gap).max(1.0);
        let rows = count.max(1).div_ceil(columns);
        let scale = (side(room.x, columns) / width).min(side(room.y, rows) / height);
        (columns, vec2(width, height) * scale)
    });
    let best = sized.max_by(|(_, a), (_, b)| a.x.total_cmp(&b.x));
    best.unwrap_or((1, room))
}

/// The minimum and maximum of a channel.
pub(super) fn range(inspection: &Inspection, channel: usize) -> [f32; 2] {
    let values = inspection
        .latent
        .iter()
        .skip(channel)
        .step_by(inspection.channels.max(1));
    values.fold([f32::INFINITY, f32::NEG_INFINITY], |[min, max], &x| {
        [min.min(x), max.max(x)]
    })
}

/// A token's attention over frames, the latest last. The first row is the mean over layers and
/// heads, then one row per head, layer by layer. Empty without time-attention layers.
pub(super) fn over_time(attention: &Attention, token: usize) -> Vec<Vec<f32>> {
    let layers = 0..attention.time_layers.len();
    let heads = layers.flat_map(|layer| (0..attention.heads).map(move |head| (layer, head)));
    let rows: Vec<Vec<f32>> = heads
        .filter_map(|(layer, head)| attention.over_time(layer, head, token))
        .map(|weights| weights.iter().rev().copied().collect())
        .collect();
    let Some(mean) = mean(&rows) else {
        return rows;
    };
    std::iter::once(mean).chain(rows).collect()
}

/// A token's attention over the tokens of its frame in a layer, averaged over heads; `None` if layer
/// or token do not exist.
pub(super) fn over_space(attention: &Attention, layer: usize, token: usize) -> Option<Vec<f32>> {
    let rows = (0..attention.heads).filter_map(|head| attention.over_space(layer, head, token));
    mean(&rows.collect::<Vec<_>>())
}

/// The mean of equally long rows; `None` without rows.
fn mean<T: AsRef<[f32]>>(rows: &[T]) -> Option<Vec<f32>> {
    let mut sum = vec![0.0; rows.first()?.as_ref().len()];
    for row in rows {
        for (sum, x) in sum.iter_mut().zip(row.as_ref()) {
            *sum += x / rows.len() as f32;
        }
    }
    Some(sum)
}

/// A heat map of weights relative to the largest; `None` if empty or ragged.
pub(super) fn heat_map(palette: &Palette, rows: &[Vec<f32>]) -> Option<ColorImage> {
    let width = rows.first().map_or(0, Vec::len);
    if width == 0 || rows.iter().any(|row| row.len() != width) {
        return None;
    }
    let max = largest(rows.iter().flatten());
    let pixels = rows
        .iter()
        .flatten()
        .map(|&x| heat(palette, x / max))
        .collect();
    Some(ColorImage::new([width, rows.len()], pixels))
}

/// The largest weight, at least the smallest positive number.
pub(super) fn largest<'a>(weights: impl IntoIterator<Item = &'a f32>) -> f32 {
    weights
        .into_iter()
        .copied()
        .fold(f32::MIN_POSITIVE, f32::max)
}

/// An overlay for the frame, one pixel per patch token, most opaque where the weights are largest;
/// `None` with fewer weights than patch tokens.
pub(super) fn attention_overlay(
    palette: &Palette,
    weights: &[f32],
    [height, width]: [usize; 2],
) -> Option<ColorImage> {
    let weights = weights.get(..height * width).filter(|w| !w.is_empty())?;
    let max = largest(weights);
    let colour = palette.accent;
    let pixel = |x: &f32| colour.gamma_multiply(0.75 * (x / max).clamp(0.0, 1.0));
    Some(ColorImage::new(
        [width, height],
        weights.iter().map(pixel).collect(),
    ))
}

/// The attention share of each kind of token; `latent` is the number of patch tokens.
pub(super) fn attention_shares(weights: &[f32], latent: usize) -> Vec<(&'static str, f32)> {
    let fraction = |from: usize, to: usize| -> f32 {
        let part = weights.get(from.min(weights.len())..to.min(weights.len()));
        part.unwrap_or_default().iter().sum()
    };
    let mut parts = vec![
        ("patches", fraction(0, latent)),
        ("action", fraction(latent, latent + 1)),
        ("signal", fraction(latent + 1, latent + 2)),
    ];
    if weights.len() > latent + 2 {
        parts.push(("registers", fraction(latent + 2, weights.len())));
    }
    parts
}

/// The grid cell under a point in a picture.
pub(super) fn cell_at(picture: Rect, [height, width]: [usize; 2], at: Pos2) -> Option<usize> {
    if !picture.contains(at) || picture.area() <= 0.0 || height * width == 0 {
        return None;
    }
    let fraction = (at - picture.min) / picture.size();
    let along = |fraction: f32, count: usize| ((fraction * count as f32) as usize).min(count - 1);
    Some(along(fraction.y, height) * width + along(fraction.x, width))
}

/// The rectangle of a grid cell, or of the `merge`² cells of its token, in a picture.
pub(super) fn cell_rect(
    picture: Rect,
    [height, width]: [usize; 2],
    cell: usize,
    merge: usize,
) -> Rect {
    let (width, height, merge) = (width.max(1), height.max(1), merge.max(1));
    let side = picture.size() / vec2(width as f32, height as f32);
    let (row, column) = (cell / width / merge * merge, cell % width / merge * merge);
    let corner = picture.min + side * vec2(column as f32, row as f32);
    Rect::from_min_max(pos2(corner.x, corner.y), corner + side * merge as f32)
}

/// The neighbouring cell in the direction of an arrow key, clamped to the grid; `None` for other keys.
pub(super) fn neighbour([height, width]: [usize; 2], cell: usize, key: Key) -> Option<usize> {
    let (width, height) = (width.max(1), height.max(1));
    let (row, column) = (cell / width, cell % width);
    let (row, column) = match key {
        Key::ArrowUp => (row.saturating_sub(1), column),
        Key::ArrowDown => ((row + 1).min(height - 1), column),
        Key::ArrowLeft => (row, column.saturating_sub(1)),
        Key::ArrowRight => (row, (column + 1).min(width - 1)),
        _ => return None,
    };
    Some(row * width + column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::inspect::tests::inspection;
    use crate::app::theme;

    const GRID: [usize; 2] = [4, 6];

    #[test]
    fn colours_saturate_at_the_ends() {
        assert_eq!(diverging(&theme::DARK, 0.0), diverging(&theme::DARK, -0.0));
        assert_eq!(diverging(&theme::DARK, 0.0), heat(&theme::DARK, 0.0));
        assert_ne!(diverging(&theme::DARK, 1.0), diverging(&theme::DARK, -1.0));
        assert_eq!(
            diverging(&theme::DARK, MAX_ABS),
            diverging(&theme::DARK, 10.0 * MAX_ABS)
        );
        assert_eq!(diverging(&theme::DARK, -MAX_ABS), theme::DARK.cold);
        assert_eq!(
            (heat(&theme::DARK, 1.0), heat(&theme::DARK, 2.0)),
            (theme::DARK.accent, theme::DARK.accent)
        );
        assert_eq!(diverging(&theme::DARK, f32::NAN), theme::DARK.warm);
    }

    #[test]
    fn channels_are_stacked() {
        let (mut inspection, _) = inspection();
        let sheet = channels(&theme::DARK, &inspection).unwrap();
        assert_eq!(sheet.size, [6, 4 * 3]);
        let (cell, channel) = (9, 2);
        let value = inspection.latent[cell * 3 + channel];
        assert_eq!(
            sheet.pixels[channel * 24 + cell],
            diverging(&theme::DARK, value)
        );
        let [min, max] = range(&inspection, channel);
        assert!(min <= value && value <= max && min < max);
        inspection.latent.pop();
        assert!(channels(&theme::DARK, &inspection).is_none());
    }

    #[test]
    fn tiles_fill_the_space() {
        let room = vec2(224.0, 110.0);
        let (columns, tile) = tiles(8, [8, 8], room, 4.0);
        assert_eq!((columns, tile), (4, vec2(53.0, 53.0)));
        for (count, grid) in [(1, [8, 8]), (16, [6, 8]), (5, [4, 10]), (64, [16, 16])] {
            let (columns, tile) = tiles(count, grid, room, 4.0);
            let rows = count.div_ceil(columns);
            let table = vec2(columns as f32, rows as f32) * (tile + vec2(4.0, 4.0));
            assert!(
                table.x <= room.x + 4.1 && table.y <= room.y + 4.1,
                "{count}: {table}"
            );
            assert!((tile.x * grid[0] as f32 - tile.y * grid[1] as f32).abs() < 0.1);
        }
    }

    #[test]
    fn first_time_row_is_the_mean() {
        let (_, attention) = inspection();
        let token = 4;
        let rows = over_time(&attention, token);
        assert_eq!(rows.len(), 1 + 3 * 3);
        let first = attention.over_time(0, 0, token).unwrap();
        assert_eq!(rows[1].last(), first.first());
        let column: f32 = rows[1..].iter().map(|row| row[2]).sum();
        assert!((rows[0][2] - column / 9.0).abs() < 1e-6);
        let map = heat_map(&theme::DARK, &rows).unwrap();
        assert_eq!(map.size, [4, 10]);
        assert!(map.pixels.contains(&heat(&theme::DARK, 1.0)));
        assert!(over_time(&Attention::default(), 0).is_empty());
        assert!(heat_map(&theme::DARK, &[]).is_none());
    }

    #[test]
    fn attention_shares_sum_to_one() {
        let (inspection, attention) = inspection();
        let weights = over_space(&attention, 1, 3).unwrap();
        assert_eq!(weights.len(), attention.tokens);
        let parts = attention_shares(&weights, 6);
        let names: Vec<_> = parts.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["patches", "action", "signal", "registers"]);
        let sum: f32 = parts.iter().map(|(_, fraction)| fraction).sum();
        assert!((sum - 1.0).abs() < 1e-5);
        assert!((parts[2].1 - weights[7]).abs() < 1e-6);
        assert_eq!(
            attention_overlay(&theme::DARK, &weights, inspection.tokens())
                .unwrap()
                .size,
            [3, 2]
        );
        assert!(attention_overlay(&theme::DARK, &weights[..5], inspection.tokens()).is_none());
        assert_eq!(attention_shares(&[0.5, 0.25, 0.25], 1).len(), 3);
        assert!(over_space(&attention, 3, 0).is_none());
    }

    #[test]
    fn cell_at_inverts_place() {
        let picture = Rect::from_min_size(pos2(10.0, 20.0), vec2(120.0, 80.0));
        for cell in 0..24 {
            let centre = cell_rect(picture, GRID, cell, 1).center();
            assert_eq!(cell_at(picture, GRID, centre), Some(cell));
        }
        assert_eq!(cell_at(picture, GRID, picture.max), Some(23));
        assert_eq!(cell_at(picture, GRID, pos2(9.0, 30.0)), None);
        // Row 3, column 5 is in the last token.
        let token = Rect::from_min_max(pos2(90.0, 60.0), picture.max);
        assert_eq!(cell_rect(picture, GRID, 23, 2), token);
    }

    #[test]
    fn arrows_stop_at_the_border() {
        let go = |cell, key| neighbour(GRID, cell, key);
        assert_eq!(go(7, Key::ArrowUp), Some(1));
        assert_eq!(go(1, Key::ArrowUp), Some(1));
        assert_eq!(go(7, Key::ArrowDown), Some(13));
        assert_eq!(go(23, Key::ArrowDown), Some(23));
        assert_eq!(go(7, Key::ArrowLeft), Some(6));
        assert_eq!(go(6, Key::ArrowLeft), Some(6));
        assert_eq!(go(11, Key::ArrowRight), Some(11));
        assert_eq!(go(7, Key::W), None);
    }

    #[test]
    fn token_contains_its_cells() {
        let (inspection, _) = inspection();
        assert_eq!(
            (inspection.grid, inspection.merge, inspection.tokens()),
            (GRID, 2, [2, 3])
        );
        let tokens: Vec<usize> = (0..24).map(|cell| inspection.token(cell)).collect();
        let top = [0, 0, 1, 1, 2, 2];
        assert_eq!(
            tokens,
            [top, top, top.map(|t| t + 3), top.map(|t| t + 3)].concat()
        );
    }
}
