//! Sinusoidal positions (Vaswani et al., *Attention Is All You Need*, 2017, section 3.5) of frames and of their tokens,
//! which are added to the tokens.

/// The period of the slowest wave, over 2π.
const BASE: f32 = 10_000.0;

/// What is added to the tokens of each frame.
pub(crate) struct Positions {
    width: usize,
    /// [frames, width].
    frames: Vec<f32>,
    /// [tokens, width].
    tokens: Vec<f32>,
}

impl Positions {
    /// For so many frames and tokens a frame. If `scaled`, they are divided by √width.
    pub(crate) fn new([frames, tokens]: [usize; 2], width: usize, scaled: bool) -> Self {
        let scale = if scaled {
            1.0 / (width as f32).sqrt()
        } else {
            1.0
        };
        let table = |count| {
            let mut table = sinusoids(count, width);
            table.iter_mut().for_each(|x| *x *= scale);
            table
        };
        Self {
            width,
            frames: table(frames),
            tokens: table(tokens),
        }
    }

    /// Adds the positions of the frame at `frame` to its tokens `[tokens, width]`.
    pub(crate) fn add(&self, frame: usize, x: &mut [f32]) {
        let frame = &self.frames[frame * self.width..][..self.width];
        let tokens = self.tokens.chunks_exact(self.width);
        for (x, token) in x.chunks_exact_mut(self.width).zip(tokens) {
            for ((x, frame), token) in x.iter_mut().zip(frame).zip(token) {
                *x += frame + token;
            }
        }
    }
}

/// Waves of falling frequency in turn as sine and cosine, `[count, width]`. In single precision, as the published
/// program has them.
fn sinusoids(count: usize, width: usize) -> Vec<f32> {
    let frequency = |i: usize| {
        let power = -(2.0 * (i / 2) as f32) / width as f32;
        (power * BASE.ln()).exp()
    };
    let frequencies: Vec<f32> = (0..width).map(frequency).collect();
    let row = |position: usize| {
        let angles = frequencies.iter().map(move |f| position as f32 * f);
        angles.enumerate().map(|(i, angle)| match i % 2 {
            0 => angle.sin(),
            _ => angle.cos(),
        })
    };
    (0..count).flat_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_are_sines_and_cosines_in_turn() {
        let table = sinusoids(3, 4);
        assert_eq!(table[..4], [0.0, 1.0, 0.0, 1.0]);
        let expected = [2_f32.sin(), 2_f32.cos(), 0.02_f32.sin(), 0.02_f32.cos()];
        for (found, expected) in table[8..].iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn frames_and_tokens_are_told_apart() {
        let positions = Positions::new([2, 2], 4, true);
        let at = |frame| {
            let mut x = [0.0; 8];
            positions.add(frame, &mut x);
            x
        };
        // Scaled by 1/√4, cosines of both tables at 0 add to 1.
        assert_eq!(at(0)[..4], [0.0, 1.0, 0.0, 1.0]);
        assert!(at(0)[4..] != at(0)[..4] && at(1)[..4] != at(0)[..4]);
    }
}
