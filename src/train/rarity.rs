//! How rare a frame's pixels are: what differs from the background, at its place, in its colour.
//!
//! A ball passes a pixel once in hundreds of frames, a paddle stands in its column all the time,
//! and a ball in the paddle's column is as rare as anywhere. So colours count, coarsely, and what
//! is near in place counts as the same place.

/// A pixel that differs from the background by more in any channel belongs to the foreground.
pub(super) const FOREGROUND: u8 = 12;
/// Levels that each channel is rounded to.
const LEVELS: usize = 4;
const COLOURS: usize = LEVELS * LEVELS * LEVELS;
/// Places up to this far away on either axis, in pixels, count as the same.
const NEAR: usize = 1;
/// No rarity counts for more than this many times the usual.
const LARGEST: f32 = 10.0;

/// How often each colour is foreground at each place of the frames it was counted on.
pub(super) struct Rarity {
    background: Vec<u8>,
    /// [H · W · colours], shares of the frames.
    often: Vec<f32>,
    /// Mean share of the frames in which a place is foreground, over places that ever are.
    usual: f32,
    /// One frame's share.
    least: f32,
}

impl Rarity {
    /// Counts over frames u8 `[H, W, 3]` of height and width `size`.
    pub fn count<'a>(
        background: Vec<u8>,
        [height, width]: [usize; 2],
        frames: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let places = height * width;
        let mut counts = vec![0f32; places * COLOURS];
        let mut any = vec![0f32; places];
        let mut total = 0f32;
        for frame in frames {
            total += 1.0;
            for (place, colour) in foreground(&background, frame) {
                counts[place * COLOURS + colour] += 1.0;
                any[place] += 1.0;
            }
        }
        let total = total.max(1.0);
        let mut often = vec![0f32; counts.len()];
        for y in 0..height {
            for x in 0..width {
                let rows = y.saturating_sub(NEAR)..=(y + NEAR).min(height - 1);
                let near: Vec<usize> = rows
                    .flat_map(|v| {
                        let columns = x.saturating_sub(NEAR)..=(x + NEAR).min(width - 1);
                        columns.map(move |u| v * width + u)
                    })
                    .collect();
                let share = 1.0 / (total * near.len() as f32);
                let here = (y * width + x) * COLOURS;
                for place in near {
                    let there = &counts[place * COLOURS..(place + 1) * COLOURS];
                    for (sum, count) in often[here..here + COLOURS].iter_mut().zip(there) {
                        *sum += count * share;
                    }
                }
            }
        }
        let ever = any.iter().filter(|count| **count > 0.0);
        let usual = any.iter().sum::<f32>() / (total * ever.count().max(1) as f32);
        Self {
            background,
            often,
            usual,
            least: 1.0 / total,
        }
    }

    /// The background, u8 `[H, W, 3]`.
    pub fn background(&self) -> &[u8] {
        &self.background
    }

    /// Weights of a frame's pixels, `[H · W]`: 1 for the background, else 1 + `foreground` · rarity.
    pub fn weights(&self, frame: &[u8], foreground_weight: f32) -> Vec<f32> {
        let mut weights = vec![1.0; frame.len() / 3];
        for (place, colour) in foreground(&self.background, frame) {
            weights[place] += foreground_weight * self.of(place, colour);
        }
        weights
    }

    /// 1/f of the frame's rarest foreground pixel; 0 for the background alone.
    pub fn of_frame(&self, frame: &[u8]) -> f64 {
        let often = foreground(&self.background, frame)
            .map(|(place, colour)| self.often[place * COLOURS + colour].max(self.least));
        f64::from(often.fold(f32::INFINITY, f32::min).recip())
    }

    /// √(usual/f), at least 1, and bounded.
    fn of(&self, place: usize, colour: usize) -> f32 {
        let f = self.often[place * COLOURS + colour].max(1e-9);
        (self.usual / f).sqrt().clamp(1.0, LARGEST)
    }
}

/// (place, coarse colour) of every foreground pixel.
fn foreground<'a>(
    background: &'a [u8],
    frame: &'a [u8],
) -> impl Iterator<Item = (usize, usize)> + 'a {
    let pixels = frame.chunks_exact(3).zip(background.chunks_exact(3));
    pixels.enumerate().filter_map(|(place, (pixel, behind))| {
        let differs = |(a, b): (&u8, &u8)| a.abs_diff(*b) > FOREGROUND;
        pixel.iter().zip(behind).any(differs).then(|| {
            let colour = pixel
                .iter()
                .fold(0, |sum, &c| sum * LEVELS + usize::from(c) * LEVELS / 256);
            (place, colour)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of 5 pixels: dark, but one colour at one place.
    fn row(at: usize, colour: [u8; 3]) -> Vec<u8> {
        let mut row = vec![0; 15];
        row[at * 3..at * 3 + 3].copy_from_slice(&colour);
        row
    }

    #[test]
    fn a_rare_colour_weighs_more_even_where_another_is_common() {
        let (ball, paddle) = ([240; 3], [0, 200, 0]);
        let frames: Vec<Vec<u8>> = (0..100)
            .map(|t| row(0, if t == 0 { ball } else { paddle }))
            .collect();
        let rarity = Rarity::count(vec![0; 15], [1, 5], frames.iter().map(Vec::as_slice));
        let weight = |frame: &[u8], at: usize| rarity.weights(frame, 2.0)[at];
        // Usual: the one place that is ever foreground always is. f is over two near places.
        let paddle = 1.0 + 2.0 * (1.0f32 / 0.495).sqrt();
        assert!((weight(&frames[1], 0) - paddle).abs() < 1e-4);
        assert_eq!(weight(&frames[0], 0), 1.0 + 2.0 * LARGEST);
        assert_eq!(weight(&frames[1], 3), 1.0);
        // Nearly the same colour, one pixel off: still the paddle.
        assert!(weight(&row(1, [0, 210, 9]), 1) < 5.0);
        // A place and colour never seen.
        assert_eq!(weight(&row(4, ball), 4), 1.0 + 2.0 * LARGEST);
    }

    #[test]
    fn a_frame_is_as_rare_as_its_rarest_pixel() {
        let (ball, paddle) = ([240; 3], [0, 200, 0]);
        let frames: Vec<Vec<u8>> = (0..8)
            .map(|t| row(if t < 2 { 4 } else { 0 }, if t < 2 { ball } else { paddle }))
            .collect();
        let rarity = Rarity::count(vec![0; 15], [1, 5], frames.iter().map(Vec::as_slice));
        let both: Vec<u8> = [&frames[0][12..], &[0; 9], &frames[7][..3]].concat();
        assert_eq!(rarity.of_frame(&frames[0]), 8.0);
        assert!((rarity.of_frame(&frames[7]) - 1.0 / 0.375).abs() < 1e-6);
        assert_eq!(rarity.of_frame(&[0; 15]), 0.0);
        // Unknown where they are: as rare as one frame.
        assert_eq!(rarity.of_frame(&both), 8.0);
    }
}
