//! Renders images from a colour function, with supersampling.

/// Height and width of every simulator's frames in pixels.
pub const IMAGE_SIDE: usize = 64;
/// Samples along each side of a pixel. The pixel's colour is their mean.
pub const SAMPLES: usize = 3;

/// Red, green and blue in [0, 1].
pub type Colour = [f32; 3];

/// Fills `image`, u8 RGB `[IMAGE_SIDE, IMAGE_SIDE, 3]`. `colour` takes the column and the row of a
/// sample, both in `0..IMAGE_SIDE * SAMPLES`, rows from the top.
pub fn render(image: &mut [u8], colour: impl Fn(usize, usize) -> Colour) {
    const WEIGHT: f32 = 1.0 / (SAMPLES * SAMPLES) as f32;
    for (i, pixel) in image.chunks_exact_mut(3).enumerate() {
        let (left, top) = (i % IMAGE_SIDE * SAMPLES, i / IMAGE_SIDE * SAMPLES);
        let mut sum = [0.0; 3];
        for i in 0..SAMPLES * SAMPLES {
            let sample = colour(left + i % SAMPLES, top + i / SAMPLES);
            for (sum, value) in sum.iter_mut().zip(sample) {
                *sum += value * WEIGHT;
            }
        }
        for (byte, value) in pixel.iter_mut().zip(sum) {
            *byte = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        }
    }
}

/// A sample's column or row as a coordinate in [-1, 1], 0 at the image centre.
pub fn from_centre(sample: usize) -> f32 {
    (sample as f32 + 0.5) / (IMAGE_SIDE * SAMPLES) as f32 * 2.0 - 1.0
}

/// Linear interpolation: `a` if `share` is 0, `b` if it is 1.
pub fn mix(a: Colour, b: Colour, share: f32) -> Colour {
    let share = share.clamp(0.0, 1.0);
    [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * share)
}

/// Scales the brightness: brighter above 1, darker below.
pub fn lit(colour: Colour, light: f32) -> Colour {
    colour.map(|value| value * light)
}

/// 0 at `from` and before, 1 at `to` and beyond, a smooth cubic between them.
pub fn smoothstep(from: f32, to: f32, x: f32) -> f32 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_the_mean_of_samples() {
        let mut image = vec![0; IMAGE_SIDE * IMAGE_SIDE * 3];
        render(&mut image, |column, row| {
            let left = column % SAMPLES == 0;
            [f32::from(left), 0.0, f32::from(row < SAMPLES)]
        });
        assert_eq!(image[..3], [85, 0, 255]);
        assert_eq!(image[IMAGE_SIDE * 3..IMAGE_SIDE * 3 + 3], [85, 0, 0]);
    }

    #[test]
    fn coordinates_are_symmetric() {
        let last = IMAGE_SIDE * SAMPLES - 1;
        for sample in 0..=last {
            let both = from_centre(sample) + from_centre(last - sample);
            assert!(both.abs() < 1e-6, "{sample}: {both}");
        }
    }
}
