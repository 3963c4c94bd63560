//! Errors of objects and of what surrounds them, on true latents and on predicted ones.

use serde::Serialize;

use driftless_data::Episode;
use driftless_data::metrics::SquaredError;
use driftless_engine::rollout::evenly_spaced;
use driftless_engine::{Sampler, SamplerParams};

use super::objects::edit::median_image;
use super::options::{EvalOptions, EvalProgress};
use crate::Result;

/// Pixels of an object differ from the episode's median by more than this in a channel, u8.
const OBJECT_DIFFERENCE: u8 = 12;
/// Pixels up to this far from an object, in rows and columns, are its surroundings.
const SURROUNDINGS: usize = 8;
/// Larger objects, as a share of the frame, mean that the camera moves.
const MAX_OBJECT_SHARE: f64 = 0.25;

/// PSNR over whole frames and over parts of them, in dB.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegionReport {
    /// Number of frames.
    pub frames: usize,
    /// Over the frame.
    pub frame: Option<f64>,
    /// Over the pixels that differ from the episode's median frame.
    pub objects: Option<f64>,
    /// Over the other pixels within 8 rows and columns of those.
    pub surroundings: Option<f64>,
}

/// The part of a frame that a pixel belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Region {
    Background,
    Surroundings,
    Object,
}

/// Finds the regions of frames of episodes, and adds up their errors.
pub(crate) struct RegionErrors {
    medians: Vec<Vec<u8>>,
    size: [usize; 2],
    frames: usize,
    object_pixels: usize,
    frame: SquaredError,
    objects: SquaredError,
    surroundings: SquaredError,
}

impl RegionErrors {
    /// No errors yet, for frames of these episodes.
    pub fn new(episodes: &[Episode]) -> Self {
        let size = episodes.first().map_or([0; 2], |e| [e.height, e.width]);
        Self {
            medians: episodes.iter().map(median_image).collect(),
            size,
            frames: 0,
            object_pixels: 0,
            frame: SquaredError::default(),
            objects: SquaredError::default(),
            surroundings: SquaredError::default(),
        }
    }

    /// Adds the errors of a frame of the episode with this index.
    pub fn add(&mut self, episode: usize, truth: &[u8], image: &[u8]) {
        let Some(median) = self.medians.get(episode) else {
            return;
        };
        let regions = regions(truth, median, self.size);
        self.frames += 1;
        self.frame.add(truth, image);
        let pixels = truth.chunks_exact(3).zip(image.chunks_exact(3));
        for ((a, b), region) in pixels.zip(regions) {
            match region {
                Region::Background => {}
                Region::Surroundings => self.surroundings.add(a, b),
                Region::Object => {
                    self.object_pixels += 1;
                    self.objects.add(a, b);
                }
            }
        }
    }

    /// The results; `None` if the objects cover so much that the camera must have moved.
    pub fn report(&self) -> Option<RegionReport> {
        let pixels = (self.frames * self.size[0] * self.size[1]) as f64;
        let is_still = self.object_pixels as f64 <= MAX_OBJECT_SHARE * pixels;
        is_still.then(|| RegionReport {
            frames: self.frames,
            frame: self.frame.psnr(),
            objects: self.objects.psnr(),
            surroundings: self.surroundings.psnr(),
        })
    }
}

/// The region of each pixel of a frame.
fn regions(image: &[u8], median: &[u8], [height, width]: [usize; 2]) -> Vec<Region> {
    let mut regions = vec![Region::Background; height * width];
    let pixels = image.chunks_exact(3).zip(median.chunks_exact(3));
    let is_object = |(a, b): (&[u8], &[u8])| {
        let mut channels = a.iter().zip(b);
        channels.any(|(a, b)| a.abs_diff(*b) > OBJECT_DIFFERENCE)
    };
    for (i, pixel) in pixels.enumerate() {
        if !is_object(pixel) {
            continue;
        }
        let (y, x) = (i / width, i % width);
        let rows = y.saturating_sub(SURROUNDINGS)..(y + SURROUNDINGS + 1).min(height);
        let (left, right) = (
            x.saturating_sub(SURROUNDINGS),
            (x + SURROUNDINGS + 1).min(width),
        );
        for row in rows {
            for near in regions
                .iter_mut()
                .take(row * width + right)
                .skip(row * width + left)
            {
                if *near == Region::Background {
                    *near = Region::Surroundings;
                }
            }
        }
        if let Some(region) = regions.get_mut(i) {
            *region = Region::Object;
        }
    }
    regions
}

/// Errors of frames that are predicted one step ahead of true ones, spread evenly over the
/// episodes, at [`EvalOptions::main_steps`]. `None` without frames, or if the camera moves.
pub(crate) fn measure_one_step(
    engine: &mut Sampler,
    episodes: &[Episode],
    options: &EvalOptions,
    progress: &mut EvalProgress,
) -> Result<Option<RegionReport>> {
    let frames: Vec<(usize, usize)> = episodes
        .iter()
        .enumerate()
        .flat_map(|(index, episode)| {
            (options.clip_frames..episode.frames()).map(move |t| (index, t))
        })
        .collect();
    let mut errors = RegionErrors::new(episodes);
    for i in evenly_spaced(frames.len(), options.one_step) {
        let Some(&(index, t)) = frames.get(i) else {
            continue;
        };
        let Some(episode) = episodes.get(index) else {
            continue;
        };
        let params = SamplerParams {
            steps: options.main_steps(),
            seed: options.params.seed.wrapping_add(i as u64),
            ..options.params
        };
        engine.reset(&episode.clip(t - options.clip_frames..t), &params)?;
        engine.step(episode.actions.get(t).copied().unwrap_or(0), &params)?;
        errors.add(index, episode.frame(t), engine.image()?);
        progress.advance(1);
    }
    Ok(errors.report().filter(|report| report.frames > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surroundings_are_beside_objects() {
        let (height, width) = (20, 24);
        let median = vec![40; height * width * 3];
        let mut image = median.clone();
        image[(3 * width + 10) * 3 + 1] = 60;
        image[(3 * width + 11) * 3] = 40 + OBJECT_DIFFERENCE;
        let regions = regions(&image, &median, [height, width]);
        let at = |y: usize, x: usize| regions[y * width + x];
        assert_eq!(at(3, 10), Region::Object);
        assert_eq!(
            (at(3, 11), at(11, 18)),
            (Region::Surroundings, Region::Surroundings)
        );
        assert_eq!(
            (at(12, 10), at(3, 19)),
            (Region::Background, Region::Background)
        );
        let objects = regions.iter().filter(|r| **r == Region::Object).count();
        let near = regions
            .iter()
            .filter(|r| **r == Region::Surroundings)
            .count();
        assert_eq!((objects, near), (1, 12 * 17 - 1));
    }

    #[test]
    fn errors_are_counted_by_region() {
        let frame = |value| vec![value; 16 * 16 * 3];
        let mut images = [frame(0), frame(0), frame(0)].concat();
        images[2 * 16 * 16 * 3..][..3].fill(200);
        let episode = Episode {
            height: 16,
            width: 16,
            images,
            actions: vec![0; 3],
            rewards: vec![0.0; 3],
            extras: std::collections::BTreeMap::new(),
        };
        let mut errors = RegionErrors::new(std::slice::from_ref(&episode));
        let mut image = frame(0);
        image[..3].fill(190);
        image[3..6].fill(51);
        errors.add(0, episode.frame(2), &image);
        let report = errors.report().unwrap();
        let psnr = |mse: f64| Some(10.0 * (255.0_f64.powi(2) / mse).log10());
        let near = |a: Option<f64>, b: Option<f64>| (a.unwrap() - b.unwrap()).abs() < 1e-9;
        assert!(near(report.objects, psnr(100.0)), "{report:?}");
        assert!(
            near(report.surroundings, psnr(51.0 * 51.0 / 80.0)),
            "{report:?}"
        );
        errors.add(0, &frame(255), &frame(255));
        assert_eq!(errors.report(), None, "a moving camera");
    }
}
