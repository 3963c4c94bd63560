//! Pictures that are asked point by point, several points a pixel.

/// Height and width of every world's frames in pixels.
pub const SIDE: usize = 64;
/// Points along a side of a pixel, whose mean is its colour.
pub const POINTS: usize = 3;

/// Red, green and blue in [0, 1].
pub type Colour = [f32; 3];

/// Fills `image`, u8 RGB `[SIDE, SIDE, 3]`. `colour` is asked for points (column, row), both in
/// `0..SIDE * POINTS`, the row from the top.
pub fn draw(image: &mut [u8], colour: impl Fn(usize, usize) -> Colour) {
    const SHARE: f32 = 1.0 / (POINTS * POINTS) as f32;
    for (i, pixel) in image.chunks_exact_mut(3).enumerate() {
        let (left, top) = (i % SIDE * POINTS, i / SIDE * POINTS);
        let mut sum = [0.0; 3];
        for point in 0..POINTS * POINTS {
            let one = colour(left + point % POINTS, top + point / POINTS);
            for (sum, one) in sum.iter_mut().zip(one) {
                *sum += one * SHARE;
            }
        }
        for (byte, value) in pixel.iter_mut().zip(sum) {
            *byte = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        }
    }
}

/// A point's place from the middle of the picture, in [-1, 1].
pub fn from_middle(point: usize) -> f32 {
    (point as f32 + 0.5) / (SIDE * POINTS) as f32 * 2.0 - 1.0
}

/// `a` where `share` is 0, `b` where it is 1.
pub fn mix(a: Colour, b: Colour, share: f32) -> Colour {
    let share = share.clamp(0.0, 1.0);
    [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * share)
}

/// Brighter above 1, darker below.
pub fn lit(colour: Colour, light: f32) -> Colour {
    colour.map(|value| value * light)
}

/// 0 below `from`, 1 above `to`, smooth between them.
pub fn smooth(from: f32, to: f32, x: f32) -> f32 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_is_the_mean_of_its_points() {
        let mut image = vec![0; SIDE * SIDE * 3];
        draw(&mut image, |column, row| {
            let left = column % POINTS == 0;
            [f32::from(left), 0.0, f32::from(row < POINTS)]
        });
        assert_eq!(image[..3], [85, 0, 255]);
        assert_eq!(image[SIDE * 3..SIDE * 3 + 3], [85, 0, 0]);
    }

    #[test]
    fn places_are_symmetric_about_the_middle() {
        let last = SIDE * POINTS - 1;
        for point in 0..=last {
            let both = from_middle(point) + from_middle(last - point);
            assert!(both.abs() < 1e-6, "{point}: {both}");
        }
    }
}
