//! What is foreground in the frames of a dataset, and how rare it is.

use candle_core::Tensor;
use rayon::prelude::*;

use super::backgrounds::{Backgrounds, FOREGROUND_THRESHOLD, is_foreground};
use crate::Result;
use crate::frame_store::FrameStore;

/// Frames from which the frequency of the foreground is computed.
pub(super) const FREQUENCY_FRAMES: usize = 2048;
/// Upper bound of a pixel's rarity weight.
const MAX_RARITY: f32 = 10.0;
/// Background pixels up to this far from the foreground, in rows and columns, are its surroundings.
pub(crate) const SURROUNDINGS: usize = 8;

/// 1 where a pixel is foreground, else 0: images and their backgrounds [N, H, W, 3] → [N, H, W, 1].
pub(super) fn foreground(images: &Tensor, backgrounds: &Tensor) -> Result<Tensor> {
    Ok((images - backgrounds)?
        .abs()?
        .max_keepdim(3)?
        .gt(FOREGROUND_THRESHOLD)?
        .to_dtype(images.dtype())?)
}

/// The maximum over the [`SURROUNDINGS`] of each pixel, [N, H, W, 1], of values of at least 0.
pub(super) fn dilated(values: &Tensor) -> Result<Tensor> {
    let (n, h, w, _) = values.dims4()?;
    let padded = values
        .reshape((n, 1, h, w))?
        .pad_with_zeros(2, SURROUNDINGS, SURROUNDINGS)?
        .pad_with_zeros(3, SURROUNDINGS, SURROUNDINGS)?;
    let side = 2 * SURROUNDINGS + 1;
    let largest = padded.max_pool2d_with_stride((side, side), (1, 1))?;
    Ok(largest.reshape((n, h, w, 1))?)
}

/// Fraction of the frames in which each pixel is foreground, [H·W].
pub(super) fn foreground_frequency(
    frames: &[u8],
    backgrounds: &Backgrounds,
    frame_len: usize,
) -> Vec<f32> {
    let mut counts = vec![0_u32; frame_len / 3];
    for frame in frames.chunks_exact(frame_len) {
        let pixels = frame
            .chunks_exact(3)
            .zip(backgrounds.of_frame(frame).chunks_exact(3));
        for (count, (pixel, background)) in counts.iter_mut().zip(pixels) {
            *count += u32::from(is_foreground(pixel, background));
        }
    }
    let frames = (frames.len() / frame_len.max(1)).max(1) as f32;
    counts.iter().map(|count| *count as f32 / frames).collect()
}

/// Cumulative sum of the frames' rarity 1/f, where f is the frequency of the frame's rarest
/// foreground pixel; 0 for a frame without foreground.
pub(super) fn cumulative_rarity(
    store: &FrameStore,
    backgrounds: &Backgrounds,
    frequencies: &[f32],
) -> Result<Vec<f64>> {
    let min_frequency = 1.0 / FREQUENCY_FRAMES as f32;
    let rarity = |image: &mut Vec<u8>, at: usize| -> Result<f64> {
        image.clear();
        store.read(at..at + 1, image)?;
        let foreground = image
            .chunks_exact(3)
            .zip(backgrounds.of_frame(image).chunks_exact(3))
            .zip(frequencies)
            .filter(|((pixel, background), _)| is_foreground(pixel, background));
        let f = foreground.fold(f32::INFINITY, |f, (_, frequency)| f.min(*frequency));
        Ok(f64::from(f.max(min_frequency).recip()))
    };
    let rarities = (0..store.frames())
        .into_par_iter()
        .map_init(Vec::new, rarity)
        .collect::<Result<Vec<_>>>()?;
    Ok(rarities
        .into_iter()
        .scan(0.0, |sum, rarity| {
            *sum += rarity;
            Some(*sum)
        })
        .collect())
}

/// Rarity weight √(mean/f) of pixels that are foreground in a fraction f of the frames, from 1 to
/// [`MAX_RARITY`]. The mean is over all pixels that are ever foreground.
pub(super) fn pixel_rarity(frequencies: &[f32]) -> Vec<f32> {
    let nonzero: Vec<f32> = frequencies.iter().copied().filter(|f| *f > 0.0).collect();
    let mean = nonzero.iter().sum::<f32>() / nonzero.len().max(1) as f32;
    let weight = |f: &f32| (mean / f.max(1e-9)).sqrt().clamp(1.0, MAX_RARITY);
    frequencies.iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    #[test]
    fn rare_foreground_makes_frames_rare() {
        // Three frames of two pixels: no foreground, a common one, and a common and a rare one.
        let images = [[0u8; 6], [90, 0, 0, 0, 0, 0], [90, 0, 0, 0, 0, 80]].concat();
        let episode = driftless_data::Episode {
            height: 1,
            width: 2,
            images,
            actions: vec![0; 3],
            rewards: vec![0.0; 3],
            extras: BTreeMap::new(),
        };
        let info = driftless_data::DatasetInfo {
            name: String::new(),
            fps: 1.0,
            image: [1, 2],
            actions: Vec::new(),
            axes: Vec::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        let mut store = FrameStore::new(info, folder.path(), 1 << 20);
        store.push(&episode, Path::new("one.npz")).unwrap();
        let black = Backgrounds::single(vec![0; 6]);
        let sums = cumulative_rarity(&store, &black, &[0.5, 0.125]).unwrap();
        assert_eq!(sums, [0.0, 2.0, 10.0]);
    }

    #[test]
    fn pixel_rarity_is_bounded() {
        let weights = pixel_rarity(&[0.0, 0.4, 0.1, 0.0001]);
        let mean = 0.5001f32 / 3.0;
        assert_eq!(weights[1], 1.0);
        assert!((weights[2] - (mean / 0.1).sqrt()).abs() < 1e-5);
        assert_eq!((weights[0], weights[3]), (MAX_RARITY, MAX_RARITY));
    }
}
