//! Plates: what microscope and staining do to a picture. It is the same for all wells of a plate.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{CHANNELS, SIZE};

/// A plate's nuisance.
#[derive(Clone, Debug, PartialEq)]
pub struct Plate {
    /// Brightness of each stain.
    pub gain: [f32; 3],
    /// Background of each channel, as a share of white.
    pub offset: [f32; 3],
    /// Standard deviation of the blur in pixels.
    pub blur: f32,
    /// Loss of light in the corners, as a share.
    pub vignette: f32,
    /// Photons of a white pixel: fewer make more shot noise.
    pub photons: f32,
}

impl Plate {
    pub(super) fn new(rng: &mut ChaCha8Rng) -> Self {
        let mut between = |low: f32, high: f32| low + (high - low) * rng.random::<f32>();
        Self {
            gain: std::array::from_fn(|_| between(0.75, 1.3)),
            offset: std::array::from_fn(|_| between(0.015, 0.09)),
            blur: between(0.55, 1.0),
            vignette: between(0.0, 0.35),
            photons: between(180.0, 600.0),
        }
    }

    /// The bytes [64, 64, 3] of the light of three channels, [3][64·64]. `shot` are standard normal
    /// numbers, one for each byte.
    pub(super) fn photograph(&self, light: [Vec<f32>; 3], shot: &[f32]) -> Vec<u8> {
        let mut picture = vec![0; SIZE * SIZE * CHANNELS.len()];
        let kernel = gaussian(self.blur);
        let half = (SIZE - 1) as f32 / 2.0;
        for (channel, mut light) in light.into_iter().enumerate() {
            blur(&kernel, &mut light);
            for (at, light) in light.iter().enumerate() {
                let (y, x) = ((at / SIZE) as f32 - half, (at % SIZE) as f32 - half);
                let corner = (x * x + y * y) / (2.0 * half * half);
                let light = light * self.gain[channel] * (1.0 - self.vignette * corner);
                let light = light + self.offset[channel];
                // A Poisson count is near its normal approximation at these brightnesses.
                let noise = (light / self.photons).sqrt() * shot[at * CHANNELS.len() + channel];
                let value = ((light + noise) * 255.0).round().clamp(0.0, 255.0);
                picture[at * CHANNELS.len() + channel] = value as u8;
            }
        }
        picture
    }
}

/// Half of a Gaussian kernel, from its middle on.
fn gaussian(deviation: f32) -> [f32; 5] {
    let weight = |i: usize| (-0.5 * (i as f32 / deviation).powi(2)).exp();
    let sum: f32 = weight(0) + 2.0 * (1..5).map(weight).sum::<f32>();
    std::array::from_fn(|i| weight(i) / sum)
}

/// Blurs along both axes; edges are repeated.
fn blur(kernel: &[f32; 5], light: &mut Vec<f32>) {
    for along_rows in [true, false] {
        let at = |line: usize, i: isize| {
            let i = i.clamp(0, SIZE as isize - 1) as usize;
            if along_rows {
                line * SIZE + i
            } else {
                i * SIZE + line
            }
        };
        let mut out = vec![0.0; light.len()];
        for line in 0..SIZE {
            for i in 0..SIZE as isize {
                let mut sum = kernel[0] * light[at(line, i)];
                for (k, weight) in kernel.iter().enumerate().skip(1) {
                    let k = k as isize;
                    sum += weight * (light[at(line, i - k)] + light[at(line, i + k)]);
                }
                out[at(line, i)] = sum;
            }
        }
        *light = out;
    }
}
