//! The pictures of the panel as numbers and colours: what is drawn, without the drawing.

use eframe::egui::{Color32, ColorImage, Key, Pos2, Rect, Vec2, pos2, vec2};

use crate::app::theme;
use driftless_engine::Attention;
use driftless_sim::Inspection;

/// Latents are standardised; what lies beyond so many standard deviations looks like this many.
pub(super) const MOST: f32 = 3.0;

/// The colour of a number between −[`MOST`] and [`MOST`]: cold below 0, warm above.
pub(super) fn diverging(value: f32) -> Color32 {
    let end = if value < 0.0 {
        theme::cold()
    } else {
        theme::warm()
    };
    let share = (value.abs() / MOST).min(1.0);
    theme::backdrop().lerp_to_gamma(end, if share.is_finite() { share } else { 1.0 })
}

/// The colour of a weight that is `share` of the largest; by its root, so that small ones show.
pub(super) fn heat(share: f32) -> Color32 {
    theme::backdrop().lerp_to_gamma(theme::accent(), share.clamp(0.0, 1.0).sqrt())
}

/// The channels of a latent below one another, `[channels · grid height, grid width]`; none of a latent of
/// another size.
pub(super) fn channels(seen: &Inspection) -> Option<ColorImage> {
    let [height, width] = seen.grid;
    if seen.latent.is_empty() || seen.latent.len() != height * width * seen.channels {
        return None;
    }
    let channel = |c: usize| seen.latent.iter().skip(c).step_by(seen.channels);
    let pixels = (0..seen.channels).flat_map(channel);
    let pixels = pixels.map(|&value| diverging(value)).collect();
    Some(ColorImage::new([width, height * seen.channels], pixels))
}

/// Columns and size of so many tiles of a grid's shape, as large as fit into a room with gaps between.
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

/// The least and the largest number of a channel.
pub(super) fn range(seen: &Inspection, channel: usize) -> [f32; 2] {
    let values = seen
        .latent
        .iter()
        .skip(channel)
        .step_by(seen.channels.max(1));
    values.fold([f32::INFINITY, f32::NEG_INFINITY], |[least, most], &x| {
        [least.min(x), most.max(x)]
    })
}

/// A token's weights over frames, the latest last: the mean of all layers and heads first, then head by
/// head, layer by layer; empty where no layer attends over time.
pub(super) fn over_time(attention: &Attention, token: usize) -> Vec<Vec<f32>> {
    let layers = 0..attention.time_layers.len();
    let places = layers.flat_map(|layer| (0..attention.heads).map(move |head| (layer, head)));
    let rows: Vec<Vec<f32>> = places
        .filter_map(|(layer, head)| attention.over_time(layer, head, token))
        .map(|weights| weights.iter().rev().copied().collect())
        .collect();
    let Some(mean) = mean(&rows) else {
        return rows;
    };
    std::iter::once(mean).chain(rows).collect()
}

/// A token's weights over the tokens of its frame in a layer, the mean of its heads; none of a layer or
/// token that there is not.
pub(super) fn over_space(attention: &Attention, layer: usize, token: usize) -> Option<Vec<f32>> {
    let rows = (0..attention.heads).filter_map(|head| attention.over_space(layer, head, token));
    mean(&rows.collect::<Vec<_>>())
}

/// The mean of rows as long as the first.
fn mean<T: AsRef<[f32]>>(rows: &[T]) -> Option<Vec<f32>> {
    let mut sum = vec![0.0; rows.first()?.as_ref().len()];
    for row in rows {
        for (sum, x) in sum.iter_mut().zip(row.as_ref()) {
            *sum += x / rows.len() as f32;
        }
    }
    Some(sum)
}

/// Rows of weights as a heat map, in shares of the largest; none of nothing.
pub(super) fn heat_map(rows: &[Vec<f32>]) -> Option<ColorImage> {
    let width = rows.first().map_or(0, Vec::len);
    if width == 0 || rows.iter().any(|row| row.len() != width) {
        return None;
    }
    let most = largest(rows.iter().flatten());
    let pixels = rows.iter().flatten().map(|&x| heat(x / most)).collect();
    Some(ColorImage::new([width, rows.len()], pixels))
}

/// The largest weight; a tiny one of none.
pub(super) fn largest<'a>(weights: impl IntoIterator<Item = &'a f32>) -> f32 {
    weights
        .into_iter()
        .copied()
        .fold(f32::MIN_POSITIVE, f32::max)
}

/// A veil of colour over the frame, one pixel a token, thickest where the weights are largest; none where
/// there are fewer weights than such tokens.
pub(super) fn veil(weights: &[f32], [height, width]: [usize; 2]) -> Option<ColorImage> {
    let weights = weights.get(..height * width).filter(|w| !w.is_empty())?;
    let most = largest(weights);
    let colour = theme::accent();
    let pixel = |x: &f32| colour.gamma_multiply(0.75 * (x / most).clamp(0.0, 1.0));
    Some(ColorImage::new(
        [width, height],
        weights.iter().map(pixel).collect(),
    ))
}

/// What the tokens without cells get, in words: action, signal, registers; `latent` is the number of
/// tokens with cells.
pub(super) fn others(weights: &[f32], latent: usize) -> Vec<(&'static str, f32)> {
    let share = |from: usize, to: usize| -> f32 {
        let part = weights.get(from.min(weights.len())..to.min(weights.len()));
        part.unwrap_or_default().iter().sum()
    };
    let mut parts = vec![
        ("patches", share(0, latent)),
        ("action", share(latent, latent + 1)),
        ("signal", share(latent + 1, latent + 2)),
    ];
    if weights.len() > latent + 2 {
        parts.push(("registers", share(latent + 2, weights.len())));
    }
    parts
}

/// The cell of a grid under a place in a picture.
pub(super) fn cell_at(picture: Rect, [height, width]: [usize; 2], at: Pos2) -> Option<usize> {
    if !picture.contains(at) || picture.area() <= 0.0 || height * width == 0 {
        return None;
    }
    let share = (at - picture.min) / picture.size();
    let along = |share: f32, count: usize| ((share * count as f32) as usize).min(count - 1);
    Some(along(share.y, height) * width + along(share.x, width))
}

/// Where the cell of a grid, or the `merge`² cells of its token, lies in a picture.
pub(super) fn place(picture: Rect, [height, width]: [usize; 2], cell: usize, merge: usize) -> Rect {
    let (width, height, merge) = (width.max(1), height.max(1), merge.max(1));
    let side = picture.size() / vec2(width as f32, height as f32);
    let (row, column) = (cell / width / merge * merge, cell % width / merge * merge);
    let corner = picture.min + side * vec2(column as f32, row as f32);
    Rect::from_min_max(pos2(corner.x, corner.y), corner + side * merge as f32)
}

/// The cell next to one in the direction of an arrow key, which stays in the grid; none of another key.
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
    use crate::app::inspect::tests::seen;

    const GRID: [usize; 2] = [4, 6];

    #[test]
    fn colours_are_symmetric_around_nothing_and_stop_at_the_ends() {
        assert_eq!(diverging(0.0), diverging(-0.0));
        assert_eq!(diverging(0.0), heat(0.0));
        assert_ne!(diverging(1.0), diverging(-1.0));
        assert_eq!(diverging(MOST), diverging(10.0 * MOST));
        assert_eq!(diverging(-MOST), theme::cold());
        assert_eq!((heat(1.0), heat(2.0)), (theme::accent(), theme::accent()));
        assert_eq!(diverging(f32::NAN), theme::warm());
    }

    #[test]
    fn channels_are_tiles_below_one_another() {
        let (mut seen, _) = seen();
        let sheet = channels(&seen).unwrap();
        assert_eq!(sheet.size, [6, 4 * 3]);
        let (cell, channel) = (9, 2);
        let value = seen.latent[cell * 3 + channel];
        assert_eq!(sheet.pixels[channel * 24 + cell], diverging(value));
        let [least, most] = range(&seen, channel);
        assert!(least <= value && value <= most && least < most);
        seen.latent.pop();
        assert!(channels(&seen).is_none());
    }

    #[test]
    fn tiles_are_as_large_as_fit() {
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
    fn the_first_row_over_time_is_the_mean_and_the_latest_frame_is_last() {
        let (_, attention) = seen();
        let token = 4;
        let rows = over_time(&attention, token);
        assert_eq!(rows.len(), 1 + 3 * 3);
        let first = attention.over_time(0, 0, token).unwrap();
        assert_eq!(rows[1].last(), first.first());
        let column: f32 = rows[1..].iter().map(|row| row[2]).sum();
        assert!((rows[0][2] - column / 9.0).abs() < 1e-6);
        let map = heat_map(&rows).unwrap();
        assert_eq!(map.size, [4, 10]);
        assert!(map.pixels.contains(&heat(1.0)));
        assert!(over_time(&Attention::default(), 0).is_empty());
        assert!(heat_map(&[]).is_none());
    }

    #[test]
    fn the_weights_over_a_frame_are_told_in_parts_that_make_a_whole() {
        let (seen, attention) = seen();
        let weights = over_space(&attention, 1, 3).unwrap();
        assert_eq!(weights.len(), attention.tokens);
        let parts = others(&weights, 6);
        let names: Vec<_> = parts.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["patches", "action", "signal", "registers"]);
        let sum: f32 = parts.iter().map(|(_, share)| share).sum();
        assert!((sum - 1.0).abs() < 1e-5);
        assert!((parts[2].1 - weights[7]).abs() < 1e-6);
        assert_eq!(veil(&weights, seen.tokens()).unwrap().size, [3, 2]);
        assert!(veil(&weights[..5], seen.tokens()).is_none());
        assert_eq!(others(&[0.5, 0.25, 0.25], 1).len(), 3);
        assert!(over_space(&attention, 3, 0).is_none());
    }

    #[test]
    fn a_click_and_the_outline_agree_on_where_a_cell_is() {
        let picture = Rect::from_min_size(pos2(10.0, 20.0), vec2(120.0, 80.0));
        for cell in 0..24 {
            let centre = place(picture, GRID, cell, 1).center();
            assert_eq!(cell_at(picture, GRID, centre), Some(cell));
        }
        assert_eq!(cell_at(picture, GRID, picture.max), Some(23));
        assert_eq!(cell_at(picture, GRID, pos2(9.0, 30.0)), None);
        // Row 3, column 5 is in the last token.
        let token = Rect::from_min_max(pos2(90.0, 60.0), picture.max);
        assert_eq!(place(picture, GRID, 23, 2), token);
    }

    #[test]
    fn arrows_go_from_cell_to_cell_and_stop_at_the_border() {
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
    fn a_cells_token_is_the_one_whose_square_holds_it() {
        let (seen, _) = seen();
        assert_eq!((seen.grid, seen.merge, seen.tokens()), (GRID, 2, [2, 3]));
        let tokens: Vec<usize> = (0..24).map(|cell| seen.token(cell)).collect();
        let top = [0, 0, 1, 1, 2, 2];
        assert_eq!(
            tokens,
            [top, top, top.map(|t| t + 3), top.map(|t| t + 3)].concat()
        );
    }
}
