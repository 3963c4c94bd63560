//! Turned pictures, and which control lies nearest to which treated cell, up to a turn.

use driftless_flow::coupling::greatest;
use driftless_transport::TransportConfig;

/// Side of the blocks by whose means pictures are compared.
const BLOCK: usize = 4;

/// One of the eight symmetries of a square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    down: bool,
    right: bool,
    transposed: bool,
}

impl Turn {
    pub(super) const NONE: Self = Self::of(0);
    pub(super) const ALL: [Self; 8] = [
        Self::of(0),
        Self::of(1),
        Self::of(2),
        Self::of(3),
        Self::of(4),
        Self::of(5),
        Self::of(6),
        Self::of(7),
    ];

    const fn of(bits: u8) -> Self {
        Self {
            down: bits & 1 != 0,
            right: bits & 2 != 0,
            transposed: bits & 4 != 0,
        }
    }

    /// The pixels of a picture in the order in which the turned picture shows them. Pictures that are
    /// not square are not transposed.
    fn pixels(self, [height, width]: [usize; 2]) -> impl Iterator<Item = usize> {
        let transposed = self.transposed && height == width;
        (0..height * width).map(move |at| {
            let (y, x) = (at / width, at % width);
            let (y, x) = if transposed { (x, y) } else { (y, x) };
            let y = if self.down { height - 1 - y } else { y };
            let x = if self.right { width - 1 - x } else { x };
            y * width + x
        })
    }
}

/// A turned picture, u8 [H, W, C], as the network's numbers.
pub(super) fn normalized(bytes: &[u8], turn: Turn, config: &TransportConfig) -> Vec<f32> {
    let channels = config.channels.len();
    let norm = &config.normalization;
    let mut out = Vec::with_capacity(bytes.len());
    for at in turn.pixels(config.image) {
        let pixel = bytes[at * channels..(at + 1) * channels].iter().enumerate();
        out.extend(pixel.map(|(c, byte)| (f32::from(*byte) - norm.mean[c]) / norm.std[c]));
    }
    out
}

/// Block means of a picture.
pub(super) struct Thumbnail {
    size: [usize; 2],
    channels: usize,
    values: Vec<f32>,
}

impl Thumbnail {
    /// Of a picture, u8 [H, W, C].
    pub(super) fn new(bytes: &[u8], config: &TransportConfig) -> Self {
        let channels = config.channels.len();
        let size = config.image.map(|side| side.div_ceil(BLOCK));
        let (width, picture) = (config.image[1], normalized(bytes, Turn::NONE, config));
        let mut values = vec![0.0; size[0] * size[1] * channels];
        for (at, pixel) in picture.chunks_exact(channels).enumerate() {
            let block = at / width / BLOCK * size[1] + at % width / BLOCK;
            for (sum, value) in values[block * channels..].iter_mut().zip(pixel) {
                *sum += value / (BLOCK * BLOCK) as f32;
            }
        }
        Self {
            size,
            channels,
            values,
        }
    }

    pub(super) fn turned(&self, turn: Turn) -> Self {
        let pixels = turn.pixels(self.size);
        let pixel = |at: usize| &self.values[at * self.channels..(at + 1) * self.channels];
        Self {
            values: pixels.flat_map(pixel).copied().collect(),
            ..*self
        }
    }

    fn dot(&self, other: &Self) -> f32 {
        self.values
            .iter()
            .zip(&other.values)
            .map(|(a, b)| a * b)
            .sum()
    }
}

/// The source of each target, and its turn: the optimal transport between as many sources as targets for
/// the squared distance, of which a pair takes the least over all turns. The distribution of turned
/// pictures is symmetric, so that turning a source along with the coupling does not change its
/// distribution (Klein et al., *Equivariant flow matching*, 2023).
pub(super) fn couple(
    sources: &[Thumbnail],
    targets: &[Thumbnail],
    with_turns: bool,
) -> Vec<(usize, Turn)> {
    let turns = if with_turns {
        &Turn::ALL[..]
    } else {
        &[Turn::NONE]
    };
    let n = targets.len();
    let mut best = vec![(f64::NEG_INFINITY, Turn::NONE); n * n];
    // A turn does not change a norm, nor does an assignment: only products are left of the distance.
    for (i, source) in sources.iter().enumerate() {
        for &turn in turns {
            let turned = source.turned(turn);
            for (target, best) in targets.iter().zip(best[i..].iter_mut().step_by(n)) {
                let gain = f64::from(target.dot(&turned));
                if gain > best.0 {
                    *best = (gain, turn);
                }
            }
        }
    }
    let gains: Vec<f64> = best.iter().map(|(gain, _)| *gain).collect();
    let order = greatest(&gains, n).into_iter().enumerate();
    order
        .map(|(target, source)| (source, best[target * n + source].1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thumbnail(values: &[f32]) -> Thumbnail {
        Thumbnail {
            size: [2, 2],
            channels: 1,
            values: values.to_vec(),
        }
    }

    #[test]
    fn turns_are_eight_and_keep_every_pixel() {
        let seen: std::collections::BTreeSet<Vec<usize>> = Turn::ALL
            .iter()
            .map(|t| t.pixels([3, 3]).collect())
            .collect();
        assert_eq!(seen.len(), 8);
        for turn in Turn::ALL {
            let mut pixels: Vec<usize> = turn.pixels([2, 3]).collect();
            pixels.sort_unstable();
            assert_eq!(pixels, [0, 1, 2, 3, 4, 5]);
        }
    }

    #[test]
    fn sources_are_coupled_up_to_a_turn() {
        let sources = [
            thumbnail(&[0.0, 5.0, 0.0, 0.0]),
            thumbnail(&[1.0, 1.0, 0.0, 0.0]),
        ];
        let targets = [
            thumbnail(&[0.0, 2.0, 0.0, 2.0]),
            thumbnail(&[9.0, 0.0, 0.0, 0.0]),
        ];
        let coupled = couple(&sources, &targets, true);
        assert_eq!([coupled[0].0, coupled[1].0], [1, 0]);
        for ((source, turn), target) in coupled.iter().zip(&targets) {
            let turned = sources[*source].turned(*turn);
            let along = turned.dot(target).powi(2);
            assert_eq!(along, turned.dot(&turned) * target.dot(target));
        }
        let coupled = couple(&sources, &targets, false);
        assert!(coupled.iter().all(|(_, turn)| *turn == Turn::NONE));
    }
}
