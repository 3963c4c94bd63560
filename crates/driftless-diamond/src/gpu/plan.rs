//! From the weights of the network to the steps of a pass.

use driftless_engine::gpu_kernels::{
    self as gpu, HeadLayout, MatrixRef, ProgramBuilder, RowLayout,
};

use super::arena::{Arena, Map, Padded, Scratch};
use crate::Result;
use crate::attention::AttentionWeights;
use crate::blocks::{BlockWeights, ModulatedNorm};
use crate::map::COLOURS;
use crate::network_weights::NetworkWeights;
use crate::norm::{GroupNorm, groups};
use crate::unet::{LevelWeights, UNetWeights};
use crate::weights::Affine;

/// Where inputs are in the arena.
#[derive(Clone, Copy)]
pub(super) struct Inputs {
    /// `[H, W, 3 · past]`.
    pub past: u32,
    /// `[H, W, 3]`.
    pub noisy: u32,
    pub modulation: u32,
}

/// A step of a pass.
pub(super) enum Step {
    /// y ← x over so many rows and columns.
    Copy {
        shape: [u32; 2],
        x: RowLayout,
        y: RowLayout,
    },
    /// y ← W x + b over so many rows, or y ← y + W x + b.
    Product {
        matrix: MatrixRef,
        rows: u32,
        x: RowLayout,
        y: RowLayout,
        add: bool,
    },
    Norm {
        norm: gpu::GroupNorm,
        pixels: u32,
        x: RowLayout,
        y: RowLayout,
        statistics: u32,
    },
    Attention {
        heads: HeadLayout,
        pixels: u32,
        qkv: u32,
        y: u32,
    },
}

impl Step {
    pub(super) fn record(&self, r: &mut ProgramBuilder) {
        match self {
            Self::Copy { shape, x, y } => r.copy(*shape, *x, *y),
            Self::Product {
                matrix,
                rows,
                x,
                y,
                add,
            } => {
                if *add {
                    r.matmul_add(*matrix, *rows, *x, *y);
                } else {
                    r.matmul(*matrix, *rows, *x, *y);
                }
            }
            Self::Norm {
                norm,
                pixels,
                x,
                y,
                statistics,
            } => r.group_norm(norm, *pixels, [*x, *y], *statistics),
            Self::Attention {
                heads,
                pixels,
                qkv,
                y,
            } => r.attention(*heads, *pixels, *qkv, *y),
        }
    }
}

/// Collects steps, packed weights and regions of the arena.
pub(super) struct Planner {
    pub steps: Vec<Step>,
    pub weights: gpu::Weights,
    pub arena: Arena,
    /// Padded size of attention heads, if there are any.
    pub head_size: Option<usize>,
    past: Map,
    noisy: Map,
    modulation: u32,
}

impl Planner {
    /// Allocates the inputs of a network.
    pub(super) fn new(network: &NetworkWeights) -> Self {
        let mut arena = Arena::default();
        let size = network.size.map(|side| side as u32);
        let past = network.conv_in.inputs() - COLOURS;
        let (past, noisy) = (arena.tight_map(size, past), arena.tight_map(size, COLOURS));
        let modulation = arena.layout.allocate(modulation_len(&network.unet));
        Self {
            steps: Vec::new(),
            weights: gpu::Weights::default(),
            arena,
            head_size: None,
            past,
            noisy,
            modulation,
        }
    }

    pub(super) fn inputs(&self) -> Inputs {
        Inputs {
            past: self.past.offset,
            noisy: self.noisy.offset,
            modulation: self.modulation,
        }
    }

    /// Plans a pass. Returns where its output will be.
    pub(super) fn network(&mut self, network: &NetworkWeights) -> Result<Map> {
        let (past, noisy) = (self.past, self.noisy);
        let padded = self.arena.padded(past.size, network.conv_in.inputs());
        self.copy(past, padded.interior());
        self.copy(noisy, padded.interior().from_element(past.channels));
        let x = self.unet(&network.unet, padded, &network.conv_in)?;
        let norm = self.fixed_norm(&network.norm_out, true);
        let padded = self.normalized(norm, x);
        let y = self.arena.tight_map(x.size, COLOURS);
        self.convolution(&network.conv_out, padded, 1, y, false);
        Ok(y)
    }

    /// Plans the convolution before the U-Net, and the U-Net.
    fn unet(&mut self, unet: &UNetWeights, input: Padded, conv_in: &Affine) -> Result<Map> {
        // What each block of the way up reads: what comes from below, and beside it the skip.
        let blocks = unet.up.iter().flat_map(|level| {
            let size = level.size.map(|side| side as u32);
            level.blocks.iter().map(move |block| (size, block))
        });
        let joined: Vec<(Map, &[usize])> = blocks
            .map(|(size, block)| {
                let map = self.arena.map(size, block.inputs.iter().sum());
                (map, block.inputs.as_slice())
            })
            .collect();
        let from_below = |(map, inputs): &(Map, &[usize])| map.part(0, inputs[0]);
        let skip = |(map, inputs): &(Map, &[usize])| map.part(inputs[0], inputs[1]);
        let mut skips = joined.iter().rev().map(skip);
        let mut next = || skips.next().ok_or_else(missing_skip);
        let mut x = next()?;
        self.convolution(conv_in, input, 1, x, false);
        for level in &unet.down {
            if let Some(halve) = &level.resample {
                let padded = self.arena.padded(x.size, x.channels as usize);
                self.copy(x, padded.interior());
                x = next()?;
                self.convolution(halve, padded, 2, x, false);
            }
            for block in &level.blocks {
                let y = next()?;
                self.block(block, x, y)?;
                x = y;
            }
        }
        let mut inputs = joined.iter().map(from_below);
        for (i, block) in unet.middle.iter().enumerate() {
            let last = i + 1 == unet.middle.len();
            let to = if last { inputs.next() } else { None };
            let y = to.unwrap_or_else(|| self.arena.map(x.size, block.outputs()));
            self.block(block, x, y)?;
            x = y;
        }
        let mut joined = joined.iter();
        for level in &unet.up {
            x = self.up(level, x, &mut joined, &mut inputs)?;
        }
        Ok(x)
    }

    /// Plans a level of the way up, after `x`. `joined` are what its blocks read, and `inputs` where their outputs go.
    fn up<'a>(
        &mut self,
        level: &LevelWeights,
        mut x: Map,
        joined: &mut impl Iterator<Item = &'a (Map, &'a [usize])>,
        inputs: &mut impl Iterator<Item = Map>,
    ) -> Result<Map> {
        if let Some(double) = &level.resample {
            let size = level.size.map(|side| side as u32);
            let padded = self.arena.padded(size, x.channels as usize);
            self.steps.push(Step::Copy {
                shape: [x.pixels(), 4 * padded.channels],
                x: x.rows(),
                y: padded.doubled(),
            });
            let y = inputs.next().ok_or_else(missing_skip)?;
            self.convolution(double, padded, 1, y, false);
        }
        for (i, block) in level.blocks.iter().enumerate() {
            let last = i + 1 == level.blocks.len();
            let to = if last { None } else { inputs.next() };
            let (from, _) = joined.next().ok_or_else(missing_skip)?;
            let y = to.unwrap_or_else(|| self.arena.map(from.size, block.outputs()));
            self.block(block, *from, y)?;
            x = y;
        }
        Ok(x)
    }

    /// Plans y ← block(x).
    fn block(&mut self, block: &BlockWeights, x: Map, y: Map) -> Result<()> {
        let outputs = block.outputs();
        let hidden = self.arena.scratch_map(Scratch::Hidden, y.size, outputs);
        let sum = match &block.attention {
            Some(_) => self.arena.scratch_map(Scratch::Sum, y.size, outputs),
            None => y,
        };
        let norms = block.norms.map(|norm| self.modulated_norm(norm));
        let padded = self.normalized(norms[0], x);
        self.convolution(&block.convs[0], padded, 1, hidden, false);
        match &block.projection {
            Some(projection) => self.projection(projection, x, sum.rows()),
            None => self.copy(x, sum.rows()),
        }
        let padded = self.normalized(norms[1], hidden);
        self.convolution(&block.convs[1], padded, 1, sum, true);
        match &block.attention {
            Some(attention) => self.attention(attention, sum, y),
            None => Ok(()),
        }
    }

    /// Plans y ← x̂ + W attention(x̂), with x̂ the normalized x.
    fn attention(&mut self, attention: &AttentionWeights, x: Map, y: Map) -> Result<()> {
        let channels = x.channels as usize;
        let heads = HeadLayout::new(attention.heads, channels);
        if *self.head_size.get_or_insert(heads.padded) != heads.padded {
            return Err(driftless_engine::Error::Unsupported(
                "heads of attention of different sizes are computed on the CPU only: use --device cpu"
                    .into(),
            )
            .into());
        }
        let norm = self.fixed_norm(&attention.norm, false);
        self.norm(norm, x, y.rows());
        let (pixels, padded) = (x.pixels(), heads.width());
        let weight = |affine: &Affine, o: usize, i: usize| affine.weight[o * affine.inputs() + i];
        // Heads are padded to whole vec4s.
        let source = |o: usize| Some(o / padded * channels + heads.source(o % padded)?);
        let from = |o: usize| source(o).map_or(0.0, |o| attention.qkv.bias[o]);
        let bias: Vec<f32> = (0..3 * padded).map(from).collect();
        let qkv = |o: usize, i: usize| source(o).map_or(0.0, |o| weight(&attention.qkv, o, i));
        let qkv = self
            .weights
            .matrix_with_bias(3 * padded, channels, qkv, &bias);
        let out = |o: usize, i: usize| {
            let i = heads.source(i);
            i.map_or(0.0, |i| weight(&attention.out, o, i))
        };
        let out = self
            .weights
            .matrix_with_bias(channels, padded, out, &attention.out.bias);
        let len = pixels as usize * padded;
        let at = self.arena.scratch(Scratch::Qkv, 3 * len);
        let attended = self.arena.scratch(Scratch::Attended, len);
        let rows = |at: u32, width: usize| RowLayout::contiguous(at, width as u32);
        self.product(qkv, pixels, y.rows(), rows(at, 3 * padded), false);
        self.steps.push(Step::Attention {
            heads,
            pixels,
            qkv: at,
            y: attended,
        });
        self.product(out, pixels, rows(attended, padded), y.rows(), true);
        Ok(())
    }

    /// Plans the map with a border that holds the normalized x.
    fn normalized(&mut self, norm: gpu::GroupNorm, x: Map) -> Padded {
        let padded = self.arena.padded(x.size, x.channels as usize);
        self.norm(norm, x, padded.interior());
        padded
    }

    fn norm(&mut self, norm: gpu::GroupNorm, x: Map, y: RowLayout) {
        let pixels = x.pixels();
        let len = norm.scratch_len(pixels);
        self.steps.push(Step::Norm {
            norm,
            pixels,
            x: x.rows(),
            y,
            statistics: self.arena.scratch(Scratch::Statistics, len),
        });
    }

    /// Group normalization of which the condition chooses gain and offset, and SiLU.
    fn modulated_norm(&self, norm: ModulatedNorm) -> gpu::GroupNorm {
        gpu::GroupNorm {
            channels: norm.channels as u32,
            groups: groups(norm.channels) as u32,
            affine: self.modulation + norm.at as u32,
            gain: 1.0,
            silu: true,
        }
    }

    /// Group normalization with a learned gain and offset.
    fn fixed_norm(&mut self, norm: &GroupNorm, silu: bool) -> gpu::GroupNorm {
        let channels = norm.gain.len();
        gpu::GroupNorm {
            channels: channels as u32,
            groups: groups(channels) as u32,
            affine: self.arena.constant([&norm.gain[..], &norm.offset].concat()),
            gain: 0.0,
            silu,
        }
    }

    /// Plans a 3×3 convolution of every `stride`th pixel of `x`, or adds it.
    fn convolution(&mut self, affine: &Affine, x: Padded, stride: u32, y: Map, add: bool) {
        let (inputs, padded) = (affine.inputs(), x.channels as usize);
        let weight = |o: usize, at: usize| {
            let (k, i) = (at / padded, at % padded);
            if i < inputs {
                affine.weight[(o * inputs + i) * 9 + k]
            } else {
                0.0
            }
        };
        let outputs = affine.outputs();
        let matrix = self
            .weights
            .matrix_with_bias(outputs, 9 * padded, weight, &affine.bias);
        self.product(matrix, y.pixels(), x.neighbourhoods(stride), y.rows(), add);
    }

    /// Plans a 1×1 convolution.
    fn projection(&mut self, affine: &Affine, x: Map, y: RowLayout) {
        let (outputs, inputs) = (affine.outputs(), affine.inputs());
        let weight = |o: usize, i: usize| affine.weight[o * inputs + i];
        let matrix = self
            .weights
            .matrix_with_bias(outputs, inputs, weight, &affine.bias);
        self.product(matrix, x.pixels(), x.rows(), y, false);
    }

    fn product(&mut self, matrix: MatrixRef, rows: u32, x: RowLayout, y: RowLayout, add: bool) {
        self.steps.push(Step::Product {
            matrix,
            rows,
            x,
            y,
            add,
        });
    }

    fn copy(&mut self, x: Map, y: RowLayout) {
        self.steps.push(Step::Copy {
            shape: [x.pixels(), x.channels],
            x: x.rows(),
            y,
        });
    }
}

/// Length of what modulates all norms.
fn modulation_len(unet: &UNetWeights) -> usize {
    let levels = unet.down.iter().chain(&unet.up);
    let blocks = levels.flat_map(|level| &level.blocks).chain(&unet.middle);
    let ends = blocks.flat_map(|block| block.norms.map(|norm| norm.at + 2 * norm.channels));
    ends.max().unwrap_or(0)
}

/// The weights were checked to have as many blocks on the way up as maps on the way down.
fn missing_skip() -> crate::Error {
    driftless_engine::Error::Internal("a block of the U-Net has no skip".into()).into()
}
