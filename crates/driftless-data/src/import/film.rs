//! Frames on their way in: shrunk to one size by area averages, and thinned to every n-th.

/// Collects the frames of one episode.
pub struct Film {
    /// Height and width of the frames to come.
    size: [usize; 2],
    /// Keep frame 0 and every so many after it; at least 1.
    every: usize,
    /// Frames so far, those dropped included.
    seen: usize,
    images: Vec<u8>,
    shrink: Option<Shrink>,
}

impl Film {
    /// No frames yet; `size` is height and width.
    pub fn new(size: [usize; 2], every: usize) -> Self {
        Self {
            size,
            every: every.max(1),
            seen: 0,
            images: Vec::new(),
            shrink: None,
        }
    }

    /// Height and width to which frames are brought.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// How many frames have been shown, those dropped included.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Whether the next frame will be kept; the pixels of another need not be decoded.
    pub fn wants_next(&self) -> bool {
        self.seen.is_multiple_of(self.every)
    }

    /// Passes over a frame.
    pub fn skip(&mut self) {
        self.seen += 1;
    }

    /// Takes the next frame, RGB `[height, width, 3]`, if it is one to keep.
    pub fn push(&mut self, [height, width]: [usize; 2], rgb: &[u8]) {
        if self.wants_next() {
            if [height, width] == self.size {
                self.images.extend_from_slice(rgb);
            } else {
                let size = self.size;
                let fits = |shrink: &Shrink| shrink.from == [height, width];
                let shrink = match self.shrink.take().filter(fits) {
                    Some(shrink) => shrink,
                    None => Shrink::new([height, width], size),
                };
                shrink.apply(rgb, &mut self.images);
                self.shrink = Some(shrink);
            }
        }
        self.skip();
    }

    /// Takes the last frame once more; at least one must have been kept, and none is dropped.
    pub fn again(&mut self) {
        let [height, width] = self.size;
        let start = self.images.len().saturating_sub(height * width * 3);
        self.images.extend_from_within(start..);
        self.seen += 1;
    }

    /// Forgets the frames from number `end` on.
    pub fn cut(&mut self, end: usize) {
        self.seen = self.seen.min(end);
        let [height, width] = self.size;
        let kept = self.seen.div_ceil(self.every);
        self.images.truncate(kept * height * width * 3);
    }

    /// The frames kept, `[T, H, W, 3]`.
    pub fn into_images(self) -> Vec<u8> {
        self.images
    }
}

/// For one target pixel of an axis: the first source pixel that it covers, and every one's share.
type Cover = (usize, Vec<f32>);

/// Area averaging from one size to another.
struct Shrink {
    from: [usize; 2],
    rows: Vec<Cover>,
    columns: Vec<Cover>,
}

impl Shrink {
    fn new(from: [usize; 2], to: [usize; 2]) -> Self {
        Self {
            from,
            rows: covers(from[0], to[0]),
            columns: covers(from[1], to[1]),
        }
    }

    /// Appends the small frame.
    fn apply(&self, rgb: &[u8], out: &mut Vec<u8>) {
        let stride = self.from[1] * 3;
        let mut line = vec![0.0_f32; stride];
        for (top, shares) in &self.rows {
            line.fill(0.0);
            for (row, share) in rgb[top * stride..].chunks_exact(stride).zip(shares) {
                for (sum, &value) in line.iter_mut().zip(row) {
                    *sum += share * f32::from(value);
                }
            }
            for (left, shares) in &self.columns {
                for channel in 0..3 {
                    let pixels = line[left * 3 + channel..].iter().step_by(3);
                    let sum: f32 = pixels.zip(shares).map(|(value, share)| value * share).sum();
                    out.push(sum.round() as u8);
                }
            }
        }
    }
}

/// Which of `source` pixels each of `target` covers; the shares of a target sum to 1.
fn covers(source: usize, target: usize) -> Vec<Cover> {
    let scale = source as f64 / target as f64;
    let cover = |i: usize| {
        let (low, high) = (i as f64 * scale, (i + 1) as f64 * scale);
        let first = (low as usize).min(source - 1);
        let end = (high.ceil() as usize).clamp(first + 1, source);
        let share = |j: usize| (high.min((j + 1) as f64) - low.max(j as f64)).max(0.0) / scale;
        (first, (first..end).map(|j| share(j) as f32).collect())
    };
    (0..target).map(cover).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shrunk(from: [usize; 2], to: [usize; 2], rgb: &[u8]) -> Vec<u8> {
        let mut film = Film::new(to, 1);
        film.push(from, rgb);
        film.into_images()
    }

    /// Grey pixels as RGB.
    fn grey(values: &[u8]) -> Vec<u8> {
        values.iter().flat_map(|&value| [value; 3]).collect()
    }

    #[test]
    fn a_small_pixel_is_the_mean_of_those_that_it_covers() {
        let rgb = grey(&[0, 100, 200, 100, 40, 60, 10, 30]);
        assert_eq!(shrunk([2, 4], [1, 2], &rgb), grey(&[50, 85]));
    }

    #[test]
    fn a_pixel_on_an_edge_counts_by_its_part() {
        // Three pixels to two: each covers one and a half.
        assert_eq!(shrunk([1, 3], [1, 2], &grey(&[90, 30, 0])), grey(&[70, 10]));
        assert_eq!(shrunk([3, 1], [2, 1], &grey(&[90, 30, 0])), grey(&[70, 10]));
    }

    #[test]
    fn one_colour_stays_that_colour_at_any_size() {
        for (from, to) in [([9, 7], [4, 5]), ([3, 2], [8, 8]), ([64, 64], [64, 64])] {
            let rgb = [13, 250, 77].repeat(from[0] * from[1]);
            assert_eq!(shrunk(from, to, &rgb), [13, 250, 77].repeat(to[0] * to[1]));
        }
    }

    #[test]
    fn every_third_frame_is_kept_from_the_first_on() {
        let mut film = Film::new([1, 1], 3);
        for value in 0..7 {
            film.push([1, 1], &[value; 3]);
        }
        assert_eq!(film.seen(), 7);
        assert_eq!(film.into_images(), grey(&[0, 3, 6]));
    }
}
