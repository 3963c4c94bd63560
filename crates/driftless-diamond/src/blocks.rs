//! Residual blocks that a condition modulates.

use driftless_engine::kernels::{PackedMatrix, RowLayout, Workers, WriteMode};

use crate::Result;
use crate::attention::{AttentionWeights, SelfAttention};
use crate::conv::{Conv1x1, Conv3x3, Onto, Source};
use crate::map::{Compute, Map};
use crate::norm::{ChannelAffine, check_groups, group_norm};
use crate::weights::{Affine, Weights};

/// A linear map of single vectors.
pub(crate) struct Linear {
    matrix: PackedMatrix,
    bias: Vec<f32>,
}

impl Linear {
    pub(crate) fn new(affine: &Affine) -> Self {
        Self::stacked(std::slice::from_ref(affine))
    }

    /// Several linear maps of the same inputs, one below the other.
    pub(crate) fn stacked(maps: &[Affine]) -> Self {
        let inputs = maps.first().map_or(0, Affine::inputs);
        let rows: Vec<&[f32]> = maps
            .iter()
            .flat_map(|map| map.weight.chunks_exact(inputs.max(1)))
            .collect();
        Self {
            matrix: PackedMatrix::pack(rows.len(), inputs, |o, i| rows[o][i]),
            bias: maps
                .iter()
                .flat_map(|map| map.bias.iter().copied())
                .collect(),
        }
    }

    pub(crate) fn inputs(&self) -> usize {
        self.matrix.size()[0]
    }

    pub(crate) fn outputs(&self) -> usize {
        self.matrix.size()[1]
    }

    /// W x + b for each row of `x`.
    pub(crate) fn apply(&self, workers: &Workers, x: &[f32]) -> Vec<f32> {
        let [inputs, outputs] = self.matrix.size();
        let rows = RowLayout::contiguous(x.len() / inputs, inputs);
        let mut y = vec![0.0; rows.count * outputs];
        self.matrix.apply(workers, x, rows, &mut y, WriteMode::Set);
        for row in y.chunks_exact_mut(outputs) {
            for (y, bias) in row.iter_mut().zip(&self.bias) {
                *y += bias;
            }
        }
        y
    }
}

/// The linear maps from the condition to the gains and offsets of every block, which are computed together.
#[derive(Default)]
pub(crate) struct ModulationBuilder {
    maps: Vec<Affine>,
    len: usize,
}

impl ModulationBuilder {
    /// Takes the map of a norm over `channels`. Returns where its outputs will be.
    fn add(
        &mut self,
        weights: &mut Weights,
        name: &str,
        channels: usize,
        condition: usize,
    ) -> Result<usize> {
        check_groups(weights, name, channels)?;
        let linear = format!("{name}.linear");
        let map = weights.linear(&linear, Some(condition))?;
        if map.outputs() != 2 * channels {
            let expected = format!("{} outputs", 2 * channels);
            return Err(weights.wrong(&format!("{linear}.weight"), &map.shape, &expected));
        }
        self.maps.push(map);
        self.len += 2 * channels;
        Ok(self.len - 2 * channels)
    }

    pub(crate) fn build(self) -> Linear {
        Linear::stacked(&self.maps)
    }
}

/// Group normalization of which a condition chooses gain 1 + s and offset t.
#[derive(Clone, Copy)]
pub(crate) struct ModulatedNorm {
    /// Where s and t are in the modulation.
    pub at: usize,
    pub channels: usize,
}

impl ModulatedNorm {
    fn affine(&self, maps: &[&Map], modulation: &[f32]) -> ChannelAffine {
        let (scale, shift) = modulation[self.at..][..2 * self.channels].split_at(self.channels);
        group_norm(maps, |c| [1.0 + scale[c], shift[c]])
    }
}

/// The weights of a [`ResBlock`].
pub(crate) struct BlockWeights {
    /// Channels of each map that it reads as one.
    pub inputs: Vec<usize>,
    pub projection: Option<Affine>,
    pub norms: [ModulatedNorm; 2],
    pub convs: [Affine; 2],
    pub attention: Option<AttentionWeights>,
}

impl BlockWeights {
    pub(crate) fn outputs(&self) -> usize {
        self.convs[1].outputs()
    }
}

/// Two 3×3 convolutions after normalizations, a residual, and perhaps attention.
pub(crate) struct ResBlock {
    projection: Option<Conv1x1>,
    norms: [ModulatedNorm; 2],
    convs: [Conv3x3; 2],
    attention: Option<SelfAttention>,
}

/// What all blocks of a network are made with.
pub(crate) struct BlockBuilder<'a> {
    pub weights: &'a mut Weights,
    pub modulation: ModulationBuilder,
    /// Length of the condition.
    pub condition: usize,
}

impl BlockBuilder<'_> {
    /// The block `name` for maps with so many channels, read as one.
    fn block(&mut self, name: &str, inputs: Vec<usize>) -> Result<BlockWeights> {
        let weights = &mut *self.weights;
        let channels = inputs.iter().sum();
        let part = |part: &str| format!("{name}.{part}");
        let first = weights.convolution(&part("conv1"), Some(channels), 3)?;
        let outputs = first.outputs();
        let second = weights.convolution(&part("conv2"), Some(outputs), 3)?;
        if second.outputs() != outputs {
            return Err(weights.wrong(&part("conv2.weight"), &second.shape, "a square matrix"));
        }
        let norm = |builder: &mut Self, which: &str, channels: usize| {
            let (name, condition) = (part(which), builder.condition);
            let at = builder
                .modulation
                .add(builder.weights, &name, channels, condition)?;
            Result::Ok(ModulatedNorm { at, channels })
        };
        let norms = [
            norm(self, "norm1", channels)?,
            norm(self, "norm2", outputs)?,
        ];
        let weights = &mut *self.weights;
        let mut projection = None;
        if weights.has(&part("proj.weight")) {
            let affine = weights.convolution(&part("proj"), Some(channels), 1)?;
            if affine.outputs() != outputs {
                let expected = format!("{outputs} outputs");
                return Err(weights.wrong(&part("proj.weight"), &affine.shape, &expected));
            }
            projection = Some(affine);
        } else if channels != outputs || inputs.len() != 1 {
            return Err(weights.error(format!("`{}` is missing", part("proj.weight"))));
        }
        let attention = weights.has(&part("attn.qkv_proj.weight"));
        Ok(BlockWeights {
            inputs,
            projection,
            norms,
            convs: [first, second],
            attention: attention
                .then(|| AttentionWeights::take(weights, &part("attn"), outputs))
                .transpose()?,
        })
    }

    /// The blocks `{name}.resblocks.{0, 1, …}`, each of which also reads a map with so many channels from `skips`, or
    /// one for each that the file has. `channels` are those of the input, and then of the output.
    pub(crate) fn blocks(
        &mut self,
        name: &str,
        channels: &mut usize,
        skips: Option<&[usize]>,
    ) -> Result<Vec<BlockWeights>> {
        let prefix = format!("{name}.resblocks.");
        let count = self.weights.count(&prefix);
        if count == 0 || skips.is_some_and(|skips| skips.len() != count) {
            let expected = skips.map_or(String::from("some"), |skips| skips.len().to_string());
            return Err(self
                .weights
                .error(format!("`{name}` has {count} blocks, expected {expected}")));
        }
        let mut blocks = Vec::new();
        for i in 0..count {
            let skip = skips.map(|skips| skips[i]);
            let inputs = std::iter::once(*channels).chain(skip).collect();
            let block = self.block(&format!("{prefix}{i}"), inputs)?;
            *channels = block.outputs();
            blocks.push(block);
        }
        Ok(blocks)
    }

    /// A convolution of as many channels as it reads.
    pub(crate) fn resampling(&mut self, name: &str, channels: usize) -> Result<Affine> {
        let affine = self.weights.convolution(name, Some(channels), 3)?;
        if affine.outputs() != channels {
            let expected = format!("{channels} outputs");
            return Err(self.weights.wrong(name, &affine.shape, &expected));
        }
        Ok(affine)
    }
}

impl ResBlock {
    /// A block for maps of `size`.
    pub(crate) fn new(weights: BlockWeights, size: [usize; 2]) -> Self {
        let mut convs = weights.convs.map(|conv| Conv3x3::new(conv, size, 1));
        let projection = weights.projection.map(|affine| {
            convs[1].add_bias(&affine.bias);
            Conv1x1::new(affine, &weights.inputs)
        });
        Self {
            projection,
            norms: weights.norms,
            convs,
            attention: weights.attention.map(SelfAttention::new),
        }
    }

    pub(crate) fn apply(&self, compute: &mut Compute, inputs: &[&Map], modulation: &[f32]) -> Map {
        let affine = self.norms[0].affine(inputs, modulation);
        let source = Source::activated(inputs, &affine);
        let hidden = self.convs[0].apply(compute, &source, Onto::Zero);
        let onto = match &self.projection {
            Some(projection) => Onto::Buffer(projection.products(compute, inputs)),
            None => Onto::Map(inputs[0]),
        };
        let maps = [&hidden];
        let affine = self.norms[1].affine(&maps, modulation);
        let source = Source::activated(&maps, &affine);
        let y = self.convs[1].apply(compute, &source, onto);
        compute.give(hidden);
        match &self.attention {
            Some(attention) => attention.apply(compute, y),
            None => y,
        }
    }
}
