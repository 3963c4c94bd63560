//! What is foreground in the frames of a dataset, and how rare it is.

use candle_core::Tensor;
use rayon::prelude::*;

use driftless_model::tokenizer::images_to_tensor;

use crate::Result;
use crate::context::RunContext;
use crate::frame_store::FrameStore;

/// Foreground pixels differ from the background by more than this (of a range of 2) in a channel.
pub(crate) const FOREGROUND_THRESHOLD: f64 = 0.1;
/// Frames from which the frequency of the foreground is computed.
pub(super) const FREQUENCY_FRAMES: usize = 2048;
/// Upper bound of a pixel's rarity weight.
const MAX_RARITY: f32 = 10.0;
/// Background pixels up to this far from the foreground, in rows and columns, are its surroundings.
pub(crate) const SURROUNDINGS: usize = 8;

/// The median over frames of `len` bytes, byte by byte.
pub(super) fn median_frame(bytes: &[u8], len: usize) -> Vec<u8> {
    let count = bytes.len() / len;
    let mut column = vec![0u8; count];
    (0..len)
        .map(|i| {
            for (frame, value) in column.iter_mut().enumerate() {
                *value = bytes[frame * len + i];
            }
            column.sort_unstable();
            column[count / 2]
        })
        .collect()
}

/// 1 where a pixel is foreground, else 0: [N, H, W, 3] → [N, H, W, 1].
pub(super) fn foreground(images: &Tensor, background: &Tensor) -> Result<Tensor> {
    Ok(images
        .broadcast_sub(background)?
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

/// Fraction of the frames in which each pixel is foreground, [1, H, W, 1].
pub(super) fn foreground_frequency(
    bytes: &[u8],
    background: &Tensor,
    run: &RunContext,
) -> Result<Tensor> {
    let parts = bytes
        .chunks(run.world.image_len() * 64)
        .map(|frames| {
            let images = images_to_tensor(frames, run.world.image, &run.device)?;
            Ok(foreground(&images, background)?.sum_keepdim(0)?)
        })
        .collect::<Result<Vec<_>>>()?;
    let count = bytes.len() / run.world.image_len();
    Ok((Tensor::cat(&parts, 0)?.sum_keepdim(0)? / count.max(1) as f64)?)
}

/// Cumulative sum of the frames' rarity 1/f, where f is the frequency of the frame's rarest
/// foreground pixel; 0 for a frame without foreground.
pub(super) fn cumulative_rarity(
    store: &FrameStore,
    background: &[u8],
    frequencies: &[f32],
) -> Result<Vec<f64>> {
    let min_frequency = 1.0 / FREQUENCY_FRAMES as f32;
    let threshold = (FOREGROUND_THRESHOLD * 127.5) as u8;
    let rarity = |image: &mut Vec<u8>, at: usize| -> Result<f64> {
        image.clear();
        store.read(at..at + 1, image)?;
        let foreground = image
            .chunks_exact(3)
            .zip(background.chunks_exact(3))
            .zip(frequencies)
            .filter(|((a, b), _)| a.iter().zip(*b).any(|(a, b)| a.abs_diff(*b) > threshold));
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
pub(super) fn pixel_rarity(frequency: &Tensor) -> Result<Tensor> {
    let values = frequency.flatten_all()?.to_vec1::<f32>()?;
    let nonzero: Vec<f32> = values.iter().copied().filter(|f| *f > 0.0).collect();
    let mean = nonzero.iter().sum::<f32>() / nonzero.len().max(1) as f32;
    let weight = |f: &f32| (mean / f.max(1e-9)).sqrt().clamp(1.0, MAX_RARITY);
    let weights = values.iter().map(weight).collect();
    Ok(Tensor::from_vec(
        weights,
        frequency.dims(),
        frequency.device(),
    )?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use candle_core::Device;

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
        let sums = cumulative_rarity(&store, &[0; 6], &[0.5, 0.125]).unwrap();
        assert_eq!(sums, [0.0, 2.0, 10.0]);
    }

    #[test]
    fn pixel_rarity_is_bounded() {
        let f = Tensor::new(&[0.0f32, 0.4, 0.1, 0.0001], &Device::Cpu).unwrap();
        let weights: Vec<f32> = pixel_rarity(&f).unwrap().to_vec1().unwrap();
        let mean = 0.5001f32 / 3.0;
        assert_eq!(weights[1], 1.0);
        assert!((weights[2] - (mean / 0.1).sqrt()).abs() < 1e-5);
        assert_eq!((weights[0], weights[3]), (MAX_RARITY, MAX_RARITY));
    }

    #[test]
    fn median_ignores_outliers() {
        let frames = [[9u8, 1], [9, 200], [9, 1], [77, 1], [9, 1]].concat();
        assert_eq!(median_frame(&frames, 2), [9, 1]);
    }
}
