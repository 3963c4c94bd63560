//! Frames as the tokenizer's patches, and the loss of the pixels.

use super::row_ops::dot;
use super::simd::vectorized;
use driftless_model::config::WorldConfig;

/// Foreground pixels differ from the background by more than this (of a range of 2) in a channel.
const FOREGROUND: f32 = 0.1;

/// Converts frames to patches, and weighs their pixels in the loss.
pub(super) struct FramePatches {
    size: [usize; 2],
    patch: usize,
    /// Row and column of each pixel, in the order of patches.
    places: Vec<[usize; 2]>,
    /// The value in [−1, 1] of each byte.
    values: [f32; 256],
    /// The background as patches, and the additional weight of foreground at each pixel.
    background: Vec<f32>,
    rarity: Vec<f32>,
}

/// A shift of a frame by pixels down and to the right; edges are repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shift {
    pub down: isize,
    pub right: isize,
}

impl FramePatches {
    /// `background` is the bytes of a frame, `rarity` the additional weight of foreground at each
    /// pixel.
    pub(super) fn new(config: &WorldConfig, background: &[u8], rarity: &[f32]) -> Self {
        let (size, patch) = (config.image, config.tokenizer.patch);
        let [_, across] = config.grid();
        let places: Vec<[usize; 2]> = (0..size[0] * size[1])
            .map(|i| {
                let (cell, pixel) = (i / (patch * patch), i % (patch * patch));
                let (row, column) = (cell / across * patch, cell % across * patch);
                [row + pixel / patch, column + pixel % patch]
            })
            .collect();
        let rarity = places.iter().map(|[y, x]| rarity[y * size[1] + x]);
        let rarity = rarity.collect();
        let mut pictures = Self {
            size,
            patch,
            values: std::array::from_fn(|byte| byte as f32 / 127.5 - 1.0),
            background: vec![0.0; places.len() * 3],
            rarity,
            places,
        };
        let mut patches = vec![0.0; pictures.len()];
        pictures.patches(background, None, Shift::default(), &mut patches);
        pictures.background = patches;
        pictures
    }

    /// Numbers per frame.
    pub(super) fn len(&self) -> usize {
        self.places.len() * 3
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
        for (out, [y, x]) in triples.iter_mut().zip(&self.places) {
            let (y, x) = (moved(*y, shift.down, height), moved(*x, shift.right, width));
            let at = (y * width + x) * 3;
            *out = [0, 1, 2].map(|c| self.values[usize::from(image[at + c])]);
            if let Some(visible) = visible {
                let factor = visible[y / self.patch * across + x / self.patch];
                *out = out.map(|value| value * factor);
            }
        }
    }

    /// The loss of a frame's patches: Σ w e² and Σ e² with the error e and the weight w, which is
    /// 1 + rarity for foreground and otherwise 1. Writes the gradient of `share` times the first sum
    /// into `gradient`; overwrites `target`.
    pub(super) fn loss(
        &self,
        patches: &[f32],
        target: &mut [f32],
        share: f32,
        gradient: &mut [f32],
    ) -> [f64; 2] {
        let (weights, _) = gradient.as_chunks_mut::<3>();
        let (targets, _) = target.as_chunks::<3>();
        let (background, _) = self.background.as_chunks::<3>();
        let pixels = targets.iter().zip(background).zip(&self.rarity);
        for (weight, ((target, background), rarity)) in weights.iter_mut().zip(pixels) {
            let far = target
                .iter()
                .zip(background)
                .any(|(a, b)| (a - b).abs() > FOREGROUND);
            *weight = [if far { 1.0 + rarity } else { 1.0 }; 3];
        }
        let [weighted, plain] = weighted_error(2.0 * share, patches, target, gradient);
        [f64::from(weighted), f64::from(plain)]
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
