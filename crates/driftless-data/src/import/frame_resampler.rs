//! Resizes incoming frames by area averaging and keeps every n-th.

/// Collects the frames of one episode, resized and thinned.
pub struct FrameResampler {
    /// Height and width of the output in pixels.
    size: [usize; 2],
    /// Keep frame 0 and every n-th after it; at least 1.
    every: usize,
    /// Frames received so far, dropped ones included.
    received: usize,
    images: Vec<u8>,
    /// The weights for the last input size.
    scaler: Option<AreaScaler>,
}

impl FrameResampler {
    /// Starts without frames; `size` is (height, width).
    pub fn new(size: [usize; 2], every: usize) -> Self {
        Self {
            size,
            every: every.max(1),
            received: 0,
            images: Vec::new(),
            scaler: None,
        }
    }

    /// Height and width of the output in pixels.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Number of frames received, dropped ones included.
    pub fn received(&self) -> usize {
        self.received
    }

    /// Whether the next frame will be kept; otherwise [`Self::skip_next`] saves decoding it.
    pub fn keeps_next(&self) -> bool {
        self.received.is_multiple_of(self.every)
    }

    /// Counts the next frame without keeping it.
    pub fn skip_next(&mut self) {
        self.received += 1;
    }

    /// Receives the next frame, RGB `[height, width, 3]`, and keeps it if it is an n-th one.
    pub fn push(&mut self, [height, width]: [usize; 2], rgb: &[u8]) {
        if self.keeps_next() {
            if [height, width] == self.size {
                self.images.extend_from_slice(rgb);
            } else {
                let scaler = self
                    .scaler
                    .take()
                    .filter(|scaler| scaler.from == [height, width])
                    .unwrap_or_else(|| AreaScaler::new([height, width], self.size));
                scaler.apply(rgb, &mut self.images);
                self.scaler = Some(scaler);
            }
        }
        self.skip_next();
    }

    /// Repeats the last kept frame. Call only after a frame has been kept.
    pub fn repeat_last(&mut self) {
        let [height, width] = self.size;
        let start = self.images.len().saturating_sub(height * width * 3);
        self.images.extend_from_within(start..);
        self.received += 1;
    }

    /// Discards all but the first `count` received frames.
    pub fn truncate(&mut self, count: usize) {
        self.received = self.received.min(count);
        let [height, width] = self.size;
        let kept = self.received.div_ceil(self.every);
        self.images.truncate(kept * height * width * 3);
    }

    /// The kept frames, u8 RGB `[T, H, W, 3]`.
    pub fn into_images(self) -> Vec<u8> {
        self.images
    }
}

/// For one target pixel along an axis: the first source pixel it covers, and the weight of each
/// one.
type PixelWeights = (usize, Vec<f32>);

/// Area averaging from one size to another.
struct AreaScaler {
    from: [usize; 2],
    rows: Vec<PixelWeights>,
    columns: Vec<PixelWeights>,
}

impl AreaScaler {
    fn new(from: [usize; 2], to: [usize; 2]) -> Self {
        Self {
            from,
            rows: axis_weights(from[0], to[0]),
            columns: axis_weights(from[1], to[1]),
        }
    }

    /// Appends the resized frame to `out`.
    fn apply(&self, rgb: &[u8], out: &mut Vec<u8>) {
        let stride = self.from[1] * 3;
        let mut line = vec![0.0_f32; stride];
        for (top, weights) in &self.rows {
            line.fill(0.0);
            for (row, weight) in rgb[top * stride..].chunks_exact(stride).zip(weights) {
                for (sum, &value) in line.iter_mut().zip(row) {
                    *sum += weight * f32::from(value);
                }
            }
            for (left, weights) in &self.columns {
                for channel in 0..3 {
                    let pixels = line[left * 3 + channel..].iter().step_by(3);
                    let sum: f32 = pixels
                        .zip(weights)
                        .map(|(value, weight)| value * weight)
                        .sum();
                    out.push(sum.round() as u8);
                }
            }
        }
    }
}

/// The weights of `source` pixels for each of `target` pixels along an axis; they sum to 1.
fn axis_weights(source: usize, target: usize) -> Vec<PixelWeights> {
    let scale = source as f64 / target as f64;
    let weights_of = |i: usize| {
        let (low, high) = (i as f64 * scale, (i + 1) as f64 * scale);
        let first = (low as usize).min(source - 1);
        let end = (high.ceil() as usize).clamp(first + 1, source);
        let weight = |j: usize| (high.min((j + 1) as f64) - low.max(j as f64)).max(0.0) / scale;
        (first, (first..end).map(|j| weight(j) as f32).collect())
    };
    (0..target).map(weights_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resized(from: [usize; 2], to: [usize; 2], rgb: &[u8]) -> Vec<u8> {
        let mut frames = FrameResampler::new(to, 1);
        frames.push(from, rgb);
        frames.into_images()
    }

    /// Grey pixels as RGB.
    fn grey(values: &[u8]) -> Vec<u8> {
        values.iter().flat_map(|&value| [value; 3]).collect()
    }

    #[test]
    fn downscaling_averages_pixels() {
        let rgb = grey(&[0, 100, 200, 100, 40, 60, 10, 30]);
        assert_eq!(resized([2, 4], [1, 2], &rgb), grey(&[50, 85]));
    }

    #[test]
    fn edge_pixels_count_partially() {
        // Three pixels to two: each axis_weights one and a half.
        assert_eq!(
            resized([1, 3], [1, 2], &grey(&[90, 30, 0])),
            grey(&[70, 10])
        );
        assert_eq!(
            resized([3, 1], [2, 1], &grey(&[90, 30, 0])),
            grey(&[70, 10])
        );
    }

    #[test]
    fn uniform_colour_is_preserved() {
        for (from, to) in [([9, 7], [4, 5]), ([3, 2], [8, 8]), ([64, 64], [64, 64])] {
            let rgb = [13, 250, 77].repeat(from[0] * from[1]);
            assert_eq!(resized(from, to, &rgb), [13, 250, 77].repeat(to[0] * to[1]));
        }
    }

    #[test]
    fn keeps_every_third_frame() {
        let mut frames = FrameResampler::new([1, 1], 3);
        for value in 0..7 {
            frames.push([1, 1], &[value; 3]);
        }
        assert_eq!(frames.received(), 7);
        assert_eq!(frames.into_images(), grey(&[0, 3, 6]));
    }
}
