//! 3×3 and 1×1 convolutions on feature maps.

use driftless_engine::kernels::{PackedMatrix, RowLayout, SharedSlice, WriteMode};
use driftless_model::simd::{dispatch_avx512, fma, sigmoid};

use crate::map::{Compute, Map, Padded, PaddedShape, channels, interior_rows};
use crate::norm::ChannelAffine;
use crate::weights::Affine;
use crate::winograd::{Kernels, OUT, Tiles};

/// Fewest output pixels with which Winograd's products are worth reading four times as many weights.
const WINOGRAD_PIXELS: usize = 256;
/// Tiles that are multiplied at a time, where a row of them has no more.
const TILES: usize = 32;

/// What a convolution reads: maps as one, channel after channel, on their way through an affine map and SiLU.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub maps: &'a [&'a Map],
    pub affine: Option<&'a ChannelAffine>,
    /// SiLU after the affine map.
    pub silu: bool,
    /// Pixels are doubled in both directions: nearest neighbours.
    pub doubled: bool,
}

impl<'a> Source<'a> {
    /// The maps as they are.
    pub(crate) fn plain(maps: &'a [&'a Map]) -> Self {
        Self {
            maps,
            affine: None,
            silu: false,
            doubled: false,
        }
    }

    /// The maps normalized, then SiLU.
    pub(crate) fn activated(maps: &'a [&'a Map], affine: &'a ChannelAffine) -> Self {
        Self {
            affine: Some(affine),
            silu: true,
            ..Self::plain(maps)
        }
    }

    fn size(&self) -> [usize; 2] {
        let factor = if self.doubled { 2 } else { 1 };
        let size = self.maps.first().map_or([0; 2], |map| map.size);
        size.map(|side| factor * side)
    }
}

/// What a convolution's outputs are added to.
pub(crate) enum Onto<'a> {
    /// Nothing.
    Zero,
    /// A map of the same shape.
    Map(&'a Map),
    /// What is in the buffer of the result.
    Buffer(Map),
}

/// A 3×3 convolution with padding 1.
pub(crate) struct Conv3x3 {
    outputs: usize,
    stride: usize,
    bias: Vec<f32>,
    weights: Weights3x3,
}

enum Weights3x3 {
    Winograd(Kernels),
    /// The matrix `[outputs, 3 · 3 · inputs]`, with inputs padded as [`Padded`] is.
    Direct(PackedMatrix),
}

impl Conv3x3 {
    /// A convolution for inputs of `size`.
    pub(crate) fn new(affine: Affine, size: [usize; 2], stride: usize) -> Self {
        let (outputs, inputs) = (affine.outputs(), affine.inputs());
        let weights = if stride == 1 && size[0] * size[1] >= WINOGRAD_PIXELS {
            Weights3x3::Winograd(Kernels::new(&affine.weight, outputs, inputs))
        } else {
            let padded = inputs.next_multiple_of(driftless_engine::kernels::LANES);
            Weights3x3::Direct(PackedMatrix::pack(outputs, 9 * padded, |o, at| {
                let (k, i) = (at / padded, at % padded);
                if i < inputs {
                    affine.weight[(o * inputs + i) * 9 + k]
                } else {
                    0.0
                }
            }))
        };
        Self {
            outputs,
            stride,
            bias: affine.bias,
            weights,
        }
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Adds a constant to each output.
    pub(crate) fn add_bias(&mut self, bias: &[f32]) {
        for (own, bias) in self.bias.iter_mut().zip(bias) {
            *own += bias;
        }
    }

    /// The convolution of `source`, added onto something, with its sums.
    pub(crate) fn apply(&self, compute: &mut Compute, source: &Source, onto: Onto) -> Map {
        let inner = source.size();
        let shape = PaddedShape {
            outer: match self.weights {
                Weights3x3::Winograd(_) => inner.map(|side| side.next_multiple_of(OUT) + 2),
                Weights3x3::Direct(_) => inner.map(|side| side + 2),
            },
            inner,
            channels: channels(source.maps),
        };
        let mut padded = compute.padded(shape);
        fill(compute, source, inner, &mut padded);
        let size = inner.map(|side| side.div_ceil(self.stride));
        let (adds, residual, mut y) = match onto {
            Onto::Zero => (false, None, compute.map(size, self.outputs)),
            Onto::Map(map) => (false, Some(map), compute.map(size, self.outputs)),
            Onto::Buffer(map) => (true, None, map),
        };
        match &self.weights {
            Weights3x3::Winograd(kernels) => {
                self.winograd(compute, kernels, &padded, residual, adds, &mut y);
            }
            Weights3x3::Direct(matrix) => {
                let mode = if adds { WriteMode::Add } else { WriteMode::Set };
                let rows = rows_3x3(&padded, size, self.stride);
                matrix.apply(&compute.workers, padded.data(), rows, &mut y.data, mode);
                add_and_sum(&mut y, &self.bias, residual);
            }
        }
        compute.give_padded(shape, padded);
        y
    }

    fn winograd(
        &self,
        compute: &mut Compute,
        kernels: &Kernels,
        padded: &Padded,
        residual: Option<&Map>,
        adds: bool,
        y: &mut Map,
    ) {
        let [height, width] = y.size;
        let rows = height.div_ceil(OUT);
        // The same for any number of threads: the sums are added up task by task.
        let per_task = (TILES / width.div_ceil(OUT)).clamp(1, rows.div_ceil(2));
        let tasks = rows.div_ceil(per_task);
        let row_len = OUT * width * self.outputs;
        let mut sums = vec![[0.0; 2]; tasks * self.outputs];
        let (len, all) = (y.data.len(), SharedSlice::new(&mut y.data));
        let all_sums = SharedSlice::new(&mut sums);
        let Compute { workers, tiles, .. } = compute;
        workers.run_with(tiles, tasks, |scratch, task| {
            let first = task * per_task;
            let start = first * row_len;
            let end = ((first + per_task) * row_len).min(len);
            // SAFETY: each task has rows of its own.
            #[expect(unsafe_code, reason = "rows of tiles for each task")]
            let (y, sums) = unsafe {
                (
                    all.slice_mut(start, end - start),
                    all_sums.slice_mut(task * self.outputs, self.outputs),
                )
            };
            let tiles = Tiles {
                padded,
                first,
                count: per_task.min(rows - first),
                width,
                channels: self.outputs,
                bias: &self.bias,
                residual: residual.map(|map| &map.data[start..end]),
                adds,
            };
            kernels.convolve(&tiles, scratch, y, sums);
        });
        y.sums = vec![[0.0; 2]; self.outputs];
        for sums in sums.chunks(self.outputs) {
            for (total, part) in y.sums.iter_mut().zip(sums) {
                *total = [total[0] + part[0], total[1] + part[1]];
            }
        }
    }
}

/// The neighbourhoods of the pixels of a padded map.
fn rows_3x3(padded: &Padded, size: [usize; 2], stride: usize) -> RowLayout {
    let row = padded.size[1] * padded.channels;
    RowLayout {
        count: size[0] * size[1],
        run: size[1],
        outer: stride * row,
        inner: stride * padded.channels,
        segments: 3,
        stride: row,
    }
}

/// Writes the interior of `padded`.
fn fill(compute: &Compute, source: &Source, inner: [usize; 2], padded: &mut Padded) {
    let (width, channels) = (padded.size[1], padded.channels);
    let row = width * channels;
    let rows = interior_rows(inner);
    let interior = &mut padded.data_mut()[rows.start * row..rows.end * row];
    let workers = &compute.workers;
    workers.for_rows(interior, row, workers.least().heavy, |first, to| {
        for (y, to) in to.chunks_exact_mut(row).enumerate() {
            fill_row(source, first + y, inner[1], &mut to[channels..], channels);
        }
    });
}

dispatch_avx512!(fn fill_row = fill_row_body(source: &Source, y: usize, width: usize, to: &mut [f32], stride: usize));
/// Writes row `y` of the source, pixels `stride` apart.
#[inline(always)]
fn fill_row_body<const FMA: bool>(
    source: &Source,
    y: usize,
    width: usize,
    to: &mut [f32],
    stride: usize,
) {
    let shift = usize::from(source.doubled);
    let mut first = 0;
    for map in source.maps {
        let c = map.channels;
        let from = &map.data[(y >> shift) * map.size[1] * c..];
        for (x, to) in to.chunks_exact_mut(stride).take(width).enumerate() {
            let from = &from[(x >> shift) * c..][..c];
            let to = &mut to[first..first + c];
            let Some(affine) = source.affine else {
                to.copy_from_slice(from);
                continue;
            };
            let (gain, offset) = (&affine.gain[first..][..c], &affine.offset[first..][..c]);
            for i in 0..c {
                let value = fma::<FMA>(gain[i], from[i], offset[i]);
                to[i] = if source.silu {
                    value * sigmoid::<FMA>(value)
                } else {
                    value
                };
            }
        }
        first += c;
    }
}

/// Adds the bias and the residual, and counts the sums.
pub(crate) fn add_and_sum(y: &mut Map, bias: &[f32], residual: Option<&Map>) {
    let channels = y.channels;
    if let Some(residual) = residual {
        for (y, x) in y.data.iter_mut().zip(&residual.data) {
            *y += x;
        }
    }
    let mut sums = vec![[0.0; 2]; channels];
    for pixel in y.data.chunks_exact_mut(channels) {
        for ((y, bias), sums) in pixel.iter_mut().zip(bias).zip(&mut sums) {
            *y += bias;
            let value = f64::from(*y);
            *sums = [sums[0] + value, sums[1] + value * value];
        }
    }
    y.sums = sums;
}

/// A 1×1 convolution of maps that are read as one.
pub(crate) struct Conv1x1 {
    outputs: usize,
    /// One matrix for each map.
    parts: Vec<PackedMatrix>,
    pub bias: Vec<f32>,
}

impl Conv1x1 {
    /// A convolution of maps with so many channels each.
    pub(crate) fn new(affine: Affine, channels: &[usize]) -> Self {
        let (outputs, inputs) = (affine.outputs(), affine.inputs());
        let mut first = 0;
        let mut parts = Vec::new();
        for &channels in channels {
            let weight = &affine.weight;
            let part = |o: usize, i: usize| weight[o * inputs + first + i];
            parts.push(PackedMatrix::pack(outputs, channels, part));
            first += channels;
        }
        Self {
            outputs,
            parts,
            bias: affine.bias,
        }
    }

    /// The products without the bias, and without sums.
    pub(crate) fn products(&self, compute: &mut Compute, maps: &[&Map]) -> Map {
        let size = maps.first().map_or([0; 2], |map| map.size);
        let mut y = compute.map(size, self.outputs);
        let mut mode = WriteMode::Set;
        for (part, map) in self.parts.iter().zip(maps) {
            let rows = RowLayout::contiguous(map.pixels(), map.channels);
            part.apply(&compute.workers, &map.data, rows, &mut y.data, mode);
            mode = WriteMode::Add;
        }
        y
    }

    /// Adds the products and the bias to `y`, and counts the sums.
    pub(crate) fn add_to(&self, compute: &Compute, x: &Map, y: &mut Map) {
        let rows = RowLayout::contiguous(x.pixels(), x.channels);
        for part in &self.parts {
            part.apply(&compute.workers, &x.data, rows, &mut y.data, WriteMode::Add);
        }
        add_and_sum(y, &self.bias, None);
    }
}

#[cfg(test)]
#[path = "conv_tests.rs"]
mod tests;
