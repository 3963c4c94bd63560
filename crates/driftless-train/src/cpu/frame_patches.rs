//! Frames as the tokenizer's patches, and the loss of the pixels.

use super::row_ops::dot;
use super::simd::vectorized;
use crate::tokenizer::backgrounds::{Backgrounds, FOREGROUND_THRESHOLD};
use crate::tokenizer::foreground::SURROUNDINGS;
use driftless_model::config::WorldConfig;
use driftless_model::tokenizer::from_brightness;

/// Converts frames to patches, and weighs their pixels in the loss.
pub(super) struct FramePatches {
    size: [usize; 2],
    patch: usize,
    /// Row and column of each pixel, in the order of patches.
    positions: Vec<[usize; 2]>,
    /// The value in [−1, 1] of each byte.
    values: [f32; 256],
    backgrounds: Backgrounds,
    /// Each background as patches.
    background_patches: Vec<f32>,
    /// In the order of patches.
    weights: PixelWeights,
}

/// What the pixels weigh in the loss, in addition to 1.
pub(crate) struct PixelWeights {
    /// The additional weight of foreground at each pixel, [H, W].
    pub foreground: Vec<f32>,
    /// The additional weight of background pixels around the foreground.
    pub surroundings: f32,
    /// The additional weight of pixels that differ from the frame before.
    pub change: f32,
}

/// The bytes of a frame, and of the one before it if changes have a weight.
#[derive(Clone, Copy)]
pub(super) struct FrameAndPrevious<'a> {
    pub frame: &'a [u8],
    pub previous: Option<&'a [u8]>,
}

/// The loss of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FrameLoss {
    /// Σ w e² with the error e and the weight w.
    pub weighted: f64,
    /// Σ e².
    pub plain: f64,
    /// The largest Σ w e² of a patch.
    pub worst_patch: f32,
}

/// A shift of a frame by pixels down and to the right; edges are repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shift {
    pub down: isize,
    pub right: isize,
}

impl FramePatches {
    pub(super) fn new(
        config: &WorldConfig,
        backgrounds: &Backgrounds,
        mut weights: PixelWeights,
    ) -> Self {
        let (size, patch) = (config.image, config.tokenizer.patch);
        let [_, across] = config.grid();
        let positions: Vec<[usize; 2]> = (0..size[0] * size[1])
            .map(|i| {
                let (cell, pixel) = (i / (patch * patch), i % (patch * patch));
                let (row, column) = (cell / across * patch, cell % across * patch);
                [row + pixel / patch, column + pixel % patch]
            })
            .collect();
        weights.foreground = positions
            .iter()
            .map(|[y, x]| weights.foreground[y * size[1] + x])
            .collect();
        let mut pictures = Self {
            size,
            patch,
            values: std::array::from_fn(|byte| from_brightness(byte as f32)),
            backgrounds: backgrounds.clone(),
            background_patches: vec![0.0; backgrounds.bytes().len()],
            weights,
            positions,
        };
        let len = pictures.len();
        let mut patches = std::mem::take(&mut pictures.background_patches);
        let images = backgrounds.bytes().chunks_exact(len);
        for (image, out) in images.zip(patches.chunks_exact_mut(len)) {
            pictures.patches(image, None, Shift::default(), out);
        }
        pictures.background_patches = patches;
        pictures
    }

    /// Numbers per frame.
    pub(super) fn len(&self) -> usize {
        self.positions.len() * 3
    }

    /// Converts the bytes of a frame to patches. Patches with 0 in `visible` are hidden before the
    /// shift.
    pub(super) fn patches(
        &self,
        image: &[u8],
        visible: Option<&[f32]>,
        shift: Shift,
        out: &mut [f32],
    ) {
        let [height, width] = self.size;
        let across = width / self.patch;
        let moved = |at: usize, by: isize, size: usize| match by {
            0 => at,
            _ => at.saturating_add_signed(-by).min(size - 1),
        };
        let (triples, _) = out.as_chunks_mut::<3>();
        for (out, [y, x]) in triples.iter_mut().zip(&self.positions) {
            let (y, x) = (moved(*y, shift.down, height), moved(*x, shift.right, width));
            let at = (y * width + x) * 3;
            *out = [0, 1, 2].map(|c| self.values[usize::from(image[at + c])]);
            if let Some(visible) = visible {
                let factor = visible[y / self.patch * across + x / self.patch];
                *out = out.map(|value| value * factor);
            }
        }
    }

    /// The loss of the predicted `patches` of `image`. Writes the gradient of `share` times the weighted sum
    /// into `gradient`; overwrites `target` and `near`.
    pub(super) fn loss(
        &self,
        image: FrameAndPrevious,
        patches: &[f32],
        target: &mut [f32],
        share: f32,
        gradient: &mut [f32],
        near: &mut Vec<u8>,
    ) -> FrameLoss {
        self.patches(image.frame, None, Shift::default(), target);
        let background = self.backgrounds.nearest(image.frame);
        self.find_foreground(target, background, near);
        let width = self.size[1];
        let is_foreground = |position: &[usize; 2]| near[position[0] * width + position[1]] != 0;
        let (triples, _) = gradient.as_chunks_mut::<3>();
        for ((weight, position), rarity) in triples
            .iter_mut()
            .zip(&self.positions)
            .zip(&self.weights.foreground)
        {
            *weight = [if is_foreground(position) {
                1.0 + rarity
            } else {
                0.0
            }; 3];
        }
        if self.weights.surroundings > 0.0 {
            dilate(near, width);
        }
        for (weight, position) in triples.iter_mut().zip(&self.positions) {
            if weight[0] == 0.0 {
                let around = f32::from(near[position[0] * width + position[1]]);
                *weight = [1.0 + around * self.weights.surroundings; 3];
            }
        }
        if let Some(previous) = image.previous {
            self.add_change_weights(image.frame, previous, triples);
        }
        let scale = 2.0 * share;
        let [weighted, plain] = weighted_error(scale, patches, target, gradient);
        let patch = self.patch * self.patch * 3;
        let errors = target.chunks_exact(patch).zip(gradient.chunks_exact(patch));
        let worst = errors
            .map(|(error, gradient)| dot::<false>(error, gradient))
            .fold(0.0, f32::max);
        FrameLoss {
            weighted: f64::from(weighted),
            plain: f64::from(plain),
            worst_patch: worst / scale,
        }
    }

    /// Adds to the weights of the pixels that differ from the frame before, in the order of patches.
    fn add_change_weights(&self, frame: &[u8], previous: &[u8], weights: &mut [[f32; 3]]) {
        let threshold = FOREGROUND_THRESHOLD as f32;
        let value = |byte: u8| self.values[usize::from(byte)];
        for (weight, [y, x]) in weights.iter_mut().zip(&self.positions) {
            let at = (y * self.size[1] + x) * 3;
            let mut channels = frame[at..at + 3].iter().zip(&previous[at..at + 3]);
            if channels.any(|(a, b)| (value(*a) - value(*b)).abs() > threshold) {
                *weight = weight.map(|weight| weight + self.weights.change);
            }
        }
    }

    /// Writes 1 into `near` [H, W] where the patches of a frame are foreground, else 0.
    fn find_foreground(&self, patches: &[f32], background: usize, near: &mut Vec<u8>) {
        near.clear();
        near.resize(self.positions.len(), 0);
        let (patches, _) = patches.as_chunks::<3>();
        let background = &self.background_patches[background * self.len()..][..self.len()];
        let (background, _) = background.as_chunks::<3>();
        let threshold = FOREGROUND_THRESHOLD as f32;
        for ((pixel, background), [y, x]) in patches.iter().zip(background).zip(&self.positions) {
            let mut channels = pixel.iter().zip(background);
            if channels.any(|(a, b)| (a - b).abs() > threshold) {
                near[y * self.size[1] + x] = 1;
            }
        }
    }
}

/// Sets the values of `mask` [H, W] to 1 that are at most [`SURROUNDINGS`] rows and columns from a 1.
fn dilate(mask: &mut [u8], width: usize) {
    for row in mask.chunks_exact_mut(width) {
        dilate_line(row, width, |x| x);
    }
    let height = mask.len() / width;
    for column in 0..width {
        dilate_line(mask, height, |y| y * width + column);
    }
}

/// [`dilate`] along the `len` values at the indices that `at` returns.
fn dilate_line(mask: &mut [u8], len: usize, at: impl Fn(usize) -> usize) {
    // A value set by the first pass is 2, so that the second one does not start from it.
    let mut left = 0;
    for i in 0..len {
        let value = &mut mask[at(i)];
        if *value == 1 {
            left = SURROUNDINGS;
        } else if left > 0 {
            (*value, left) = (2, left - 1);
        }
    }
    left = 0;
    for i in (0..len).rev() {
        let value = &mut mask[at(i)];
        if *value == 1 {
            left = SURROUNDINGS;
        } else if left > 0 {
            (*value, left) = (2, left - 1);
        }
    }
    for i in 0..len {
        let value = &mut mask[at(i)];
        *value = u8::from(*value != 0);
    }
}

vectorized!(
    /// Σ w e² and Σ e² with e = y − target. Replaces `weights` by the gradient `scale` w e, and
    /// `target` by e.
    fn weighted_error = weighted_error_body(scale: f32, y: &[f32], target: &mut [f32], weights: &mut [f32]) -> [f32; 2]
);
#[inline(always)]
fn weighted_error_body<const FMA: bool>(
    scale: f32,
    y: &[f32],
    target: &mut [f32],
    weights: &mut [f32],
) -> [f32; 2] {
    for ((target, y), weight) in target.iter_mut().zip(y).zip(weights.iter_mut()) {
        *target = y - *target;
        *weight *= *target;
    }
    let sums = [dot::<FMA>(weights, target), dot::<FMA>(target, target)];
    for weight in weights.iter_mut() {
        *weight *= scale;
    }
    sums
}

#[cfg(test)]
mod tests {
    use driftless_data::{ActionSpec, DatasetInfo};

    use super::*;
    use crate::TrainSettings;

    #[test]
    fn changed_pixels_weigh_more() {
        let info = DatasetInfo {
            name: String::new(),
            fps: 1.0,
            image: [16, 16],
            actions: vec![ActionSpec {
                name: "idle".to_owned(),
                keys: Vec::new(),
            }],
            axes: Vec::new(),
        };
        let config = TrainSettings::default().world(&info).unwrap();
        let pixels = 16 * 16;
        let weights = PixelWeights {
            foreground: vec![0.0; pixels],
            surroundings: 0.0,
            change: 7.0,
        };
        let frame = vec![0; 3 * pixels];
        let pictures = FramePatches::new(&config, &Backgrounds::single(frame.clone()), weights);
        let mut patches = vec![0.0; 3 * pixels];
        pictures.patches(&frame, None, Shift::default(), &mut patches);
        patches.iter_mut().for_each(|value| *value += 0.1);
        let mut previous = frame.clone();
        previous[3 * 20 + 1] = 200;
        let loss = |previous: Option<&[u8]>| {
            let frame = FrameAndPrevious {
                frame: &frame,
                previous,
            };
            let [mut target, mut gradient] = [(); 2].map(|()| vec![0.0; 3 * pixels]);
            let share = 0.5;
            let near = &mut Vec::new();
            let loss = pictures.loss(frame, &patches, &mut target, share, &mut gradient, near);
            (loss.weighted, gradient.iter().sum::<f32>())
        };
        // Three values with an error of 0.1 weigh 8 instead of 1.
        let (plain, changed) = (loss(None), loss(Some(&previous)));
        assert!((plain.0 - 0.01 * 3.0 * pixels as f64).abs() < 1e-4);
        assert!((changed.0 - plain.0 - 7.0 * 0.03).abs() < 1e-4);
        assert!((changed.1 - plain.1 - 7.0 * 0.3).abs() < 1e-3);
        assert_eq!(loss(Some(&frame)), plain);
    }

    #[test]
    fn surroundings_are_a_square() {
        let (height, width) = (20, 30);
        let mut mask = vec![0; height * width];
        mask[4 * width + 5] = 1;
        mask[19 * width + 29] = 1;
        dilate(&mut mask, width);
        for y in 0..height {
            for x in 0..width {
                let near = |row: usize, column: usize| {
                    y.abs_diff(row) <= SURROUNDINGS && x.abs_diff(column) <= SURROUNDINGS
                };
                let expected = near(4, 5) || near(19, 29);
                assert_eq!(mask[y * width + x] == 1, expected, "{y}, {x}");
            }
        }
    }
}
