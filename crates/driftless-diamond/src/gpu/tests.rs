//! Networks of odd widths on a GPU and on the CPU.

use driftless_engine::kernels::Workers;
use driftless_engine::testing::{assert_near, gpu};
use driftless_engine::{Backend, Threads};

use crate::attention::AttentionWeights;
use crate::blocks::{BlockWeights, ModulatedNorm};
use crate::map::{COLOURS, Compute, Map};
use crate::network::Network;
use crate::network_weights::NetworkWeights;
use crate::norm::GroupNorm;
use crate::unet::{LevelWeights, UNetWeights};
use crate::weights::Affine;

/// Frames of 8×12 pixels.
const SIZE: [usize; 2] = [8, 12];
const PAST: usize = 2 * COLOURS;

/// Draws weights; counts what modulates the norms.
struct Draw {
    drawn: usize,
    modulation: usize,
}

impl Draw {
    /// Numbers without a pattern in [−scale, scale].
    fn numbers(&mut self, count: usize, scale: f32) -> Vec<f32> {
        let mix = |i: usize| (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let range = self.drawn..self.drawn + count;
        self.drawn = range.end;
        range
            .map(|i| scale * ((mix(i) >> 40) as f32 / (1 << 23) as f32 - 1.0))
            .collect()
    }

    fn affine(&mut self, outputs: usize, inputs: usize, side: usize) -> Affine {
        let fan_in = inputs * side * side;
        Affine {
            shape: vec![outputs, inputs, side, side],
            weight: self.numbers(outputs * fan_in, (3.0 / fan_in as f32).sqrt()),
            bias: self.numbers(outputs, 0.1),
        }
    }

    fn norm(&mut self, channels: usize) -> GroupNorm {
        let gain = self.numbers(channels, 0.3);
        GroupNorm {
            gain: gain.iter().map(|gain| 1.0 + gain).collect(),
            offset: self.numbers(channels, 0.3),
        }
    }

    /// A block of so many channels; with attention if it has heads.
    fn block(&mut self, inputs: &[usize], outputs: usize, heads: usize) -> BlockWeights {
        let channels = inputs.iter().sum();
        let norms = [channels, outputs].map(|channels| {
            self.modulation += 2 * channels;
            ModulatedNorm {
                at: self.modulation - 2 * channels,
                channels,
            }
        });
        BlockWeights {
            inputs: inputs.to_vec(),
            projection: (channels != outputs).then(|| self.affine(outputs, channels, 1)),
            norms,
            convs: [channels, outputs].map(|inputs| self.affine(outputs, inputs, 3)),
            attention: (heads > 0).then(|| AttentionWeights {
                heads,
                norm: self.norm(outputs),
                qkv: self.affine(3 * outputs, outputs, 1),
                out: self.affine(outputs, outputs, 1),
            }),
        }
    }

    /// Two sizes of 6 and 66 channels, which are one group and two; heads of 11.
    fn network(&mut self) -> NetworkWeights {
        let half = SIZE.map(|side| side / 2);
        let level = |size, resample, blocks| LevelWeights {
            size,
            resample,
            blocks,
        };
        let down = vec![
            level(SIZE, None, vec![self.block(&[6], 6, 0)]),
            level(
                half,
                Some(self.affine(6, 6, 3)),
                vec![self.block(&[6], 66, 0)],
            ),
        ];
        let middle = vec![self.block(&[66], 66, 6), self.block(&[66], 66, 6)];
        let lower = vec![self.block(&[66, 66], 66, 0), self.block(&[66, 6], 7, 0)];
        let upper = vec![self.block(&[7, 6], 9, 0), self.block(&[9, 6], 5, 0)];
        let up = vec![
            level(half, None, lower),
            level(SIZE, Some(self.affine(7, 7, 3)), upper),
        ];
        NetworkWeights {
            size: SIZE,
            conv_in: self.affine(6, PAST + COLOURS, 3),
            unet: UNetWeights { down, middle, up },
            norm_out: self.norm(5),
            conv_out: self.affine(COLOURS, 5, 3),
        }
    }
}

/// What a network predicts in two passes over a frame.
fn predicted(backend: &Backend) -> Vec<f32> {
    let mut draw = Draw {
        drawn: 0,
        modulation: 0,
    };
    let network = Network::new(draw.network(), backend).unwrap();
    let map = |channels: usize, draw: &mut Draw| Map {
        size: SIZE,
        channels,
        data: draw.numbers(SIZE[0] * SIZE[1] * channels, 1.0),
        sums: Vec::new(),
    };
    let mut compute = Compute::new(Workers::none());
    let past = map(PAST, &mut draw);
    network.begin_frame(&past);
    let mut passes = Vec::new();
    for _ in 0..2 {
        let noisy = map(COLOURS, &mut draw);
        let modulation = draw.numbers(draw.modulation, 0.5);
        let y = network.predict(&mut compute, &past, &noisy, &modulation);
        passes.extend(y.unwrap().data);
    }
    passes
}

#[test]
fn odd_widths_match_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let theirs = predicted(&Backend::Cpu(Threads::ONE));
    let ours = predicted(&Backend::Wgpu(gpu));
    let size = theirs.iter().fold(0f32, |most, x| most.max(x.abs()));
    assert!(size > 0.1, "{size}");
    assert_near(&ours, &theirs, 1e-4 * size);
}

#[test]
fn heads_of_two_sizes_are_refused() {
    let Some(gpu) = gpu() else { return };
    let mut draw = Draw {
        drawn: 0,
        modulation: 0,
    };
    let mut weights = draw.network();
    weights.unet.middle[1] = draw.block(&[66], 66, 3);
    let error = match Network::new(weights, &Backend::Wgpu(gpu)) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("use --device cpu"), "{error}");
}
