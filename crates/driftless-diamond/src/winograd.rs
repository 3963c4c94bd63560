//! 3×3 convolution by Winograd's minimal filtering F(4×4, 3×3) (Lavin and Gray, *Fast Algorithms for Convolutional
//! Neural Networks*, 2016, section 4.1.2): 36 products for 16 outputs instead of 144.
//!
//! A tile of 6×6 inputs d becomes Bᵀ d B; a kernel g becomes G g Gᵀ when the weights are loaded; their products, summed
//! over the input channels, are 36 matrix products over many tiles; Aᵀ m A is the tile's 4×4 outputs.

use driftless_engine::kernels::{LANES, MatmulArgs, PackedMatrix, RowLayout, WriteMode, multiply};
use driftless_model::simd::{dispatch_avx512, fma};

use crate::map::{Padded, TileScratch, line_start};

/// Side of a tile's outputs.
pub(crate) const OUT: usize = 4;
/// Side of a tile's inputs.
const IN: usize = 6;
/// Elements of a transformed tile.
const POINTS: usize = IN * IN;

/// A vector on a cache line of its own.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Lanes([f32; LANES]);

const ZERO: Lanes = Lanes([0.0; LANES]);

/// Transformed kernels.
pub(crate) struct Kernels {
    inputs: usize,
    outputs: usize,
    /// For each of the 36 points, the matrix `[outputs, inputs]`.
    points: Vec<PackedMatrix>,
}

/// The tiles of a few rows of tiles, and where their outputs go.
pub(crate) struct Tiles<'a> {
    pub padded: &'a Padded,
    /// First row of tiles, and their number.
    pub first: usize,
    pub count: usize,
    /// Width of the output in pixels, and its channels.
    pub width: usize,
    pub channels: usize,
    pub bias: &'a [f32],
    /// Added to the outputs: their elements, laid out as they are.
    pub residual: Option<&'a [f32]>,
    /// Whether what the output holds is added to as well.
    pub adds: bool,
}

impl Kernels {
    /// Transforms `weight` [outputs][inputs][3][3]. Inputs and outputs are padded to multiples of [`LANES`].
    pub(crate) fn new(weight: &[f32], outputs: usize, inputs: usize) -> Self {
        let padded = [outputs, inputs].map(|n| n.next_multiple_of(LANES));
        let transformed: Vec<[f64; POINTS]> = weight
            .as_chunks::<9>()
            .0
            .iter()
            .map(transform_kernel)
            .collect();
        let matrix = |point: usize| {
            PackedMatrix::pack(padded[0], padded[1], |o, i| {
                if o < outputs && i < inputs {
                    transformed[o * inputs + i][point] as f32
                } else {
                    0.0
                }
            })
        };
        Self {
            inputs: padded[1],
            outputs: padded[0],
            points: (0..POINTS).map(matrix).collect(),
        }
    }

    /// Convolves some rows of tiles into `y`, the pixels that they produce, and adds the sums of each channel and of
    /// its squares to `sums`.
    pub(crate) fn convolve(
        &self,
        tiles: &Tiles,
        scratch: &mut TileScratch,
        y: &mut [f32],
        sums: &mut [[f64; 2]],
    ) {
        let count = tiles.count * tiles.width.div_ceil(OUT);
        let TileScratch { inputs, products } = scratch;
        let inputs = aligned(inputs, POINTS * count * self.inputs);
        let products = aligned(products, POINTS * count * self.outputs);
        transform_inputs(tiles, inputs);
        let (ins, outs) = (count * self.inputs, count * self.outputs);
        for (point, matrix) in self.points.iter().enumerate() {
            let product = MatmulArgs {
                x: &inputs[point * ins..(point + 1) * ins],
                rows: RowLayout::contiguous(count, self.inputs),
                panels: matrix.panels_from(0),
                inputs: self.inputs,
                outputs: self.outputs,
                stride: self.outputs,
                mode: WriteMode::Set,
            };
            multiply(&product, &mut products[point * outs..(point + 1) * outs]);
        }
        transform_outputs(tiles, products, self.outputs, y, sums);
    }
}

/// So many elements of a buffer, which grows if it must, beginning with a cache line.
fn aligned(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len + LANES {
        buffer.resize(len + LANES, 0.0);
    }
    let start = line_start(buffer);
    &mut buffer[start..start + len]
}

/// G g Gᵀ in double precision.
fn transform_kernel(kernel: &[f32; 9]) -> [f64; POINTS] {
    const G: [[f64; 3]; IN] = [
        [1.0 / 4.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];
    std::array::from_fn(|point| {
        let (row, column) = (point / IN, point % IN);
        let terms = (0..9).map(|k| f64::from(kernel[k]) * G[row][k / 3] * G[column][k % 3]);
        terms.sum()
    })
}

#[inline(always)]
fn load(x: &[f32], at: usize) -> Lanes {
    let mut lanes = ZERO;
    lanes.0.copy_from_slice(&x[at..at + LANES]);
    lanes
}

/// Bᵀ times a column of inputs. (Closures would not be compiled for the vectors of the caller.)
#[inline(always)]
fn input_column<const FMA: bool>(x: &[Lanes; IN]) -> [Lanes; IN] {
    let mut y = [ZERO; IN];
    for i in 0..LANES {
        let [a, b, c, d, e, f] = lane(x, i);
        let odd = fma::<FMA>(-4.0, b, d);
        let even = fma::<FMA>(-4.0, c, e);
        let (odd_half, even_half) = (2.0 * (d - b), e - c);
        y[0].0[i] = fma::<FMA>(4.0, a, fma::<FMA>(-5.0, c, e));
        y[1].0[i] = even + odd;
        y[2].0[i] = even - odd;
        y[3].0[i] = even_half + odd_half;
        y[4].0[i] = even_half - odd_half;
        y[5].0[i] = fma::<FMA>(4.0, b, fma::<FMA>(-5.0, d, f));
    }
    y
}

/// Aᵀ times a column of products.
#[inline(always)]
fn output_column<const FMA: bool>(x: &[Lanes; IN]) -> [Lanes; OUT] {
    let mut y = [ZERO; OUT];
    for i in 0..LANES {
        let [a, b, c, d, e, f] = lane(x, i);
        let (sum, difference) = (b + c, b - c);
        let (far_sum, far_difference) = (d + e, d - e);
        y[0].0[i] = a + sum + far_sum;
        y[1].0[i] = fma::<FMA>(2.0, far_difference, difference);
        y[2].0[i] = fma::<FMA>(4.0, far_sum, sum);
        y[3].0[i] = fma::<FMA>(8.0, far_difference, difference) + f;
    }
    y
}

/// One number of each vector.
#[inline(always)]
fn lane(x: &[Lanes; IN], i: usize) -> [f32; IN] {
    [
        x[0].0[i], x[1].0[i], x[2].0[i], x[3].0[i], x[4].0[i], x[5].0[i],
    ]
}

/// Six vectors of a slice, `stride` apart from `at` on.
#[inline(always)]
fn column(x: &[f32], at: usize, stride: usize) -> [Lanes; IN] {
    [
        load(x, at),
        load(x, at + stride),
        load(x, at + 2 * stride),
        load(x, at + 3 * stride),
        load(x, at + 4 * stride),
        load(x, at + 5 * stride),
    ]
}

dispatch_avx512!(fn transform_inputs = transform_inputs_body(tiles: &Tiles, out: &mut [f32]));
/// Writes `[36][tiles][inputs]`.
#[inline(always)]
fn transform_inputs_body<const FMA: bool>(tiles: &Tiles, out: &mut [f32]) {
    let (padded, data) = (tiles.padded, tiles.padded.data());
    let channels = padded.channels;
    let row = padded.size[1] * channels;
    let across = tiles.width.div_ceil(OUT);
    let point_len = tiles.count * across * channels;
    for tile in 0..tiles.count * across {
        let (ty, tx) = (tiles.first + tile / across, tile % across);
        let corner = ty * OUT * row + tx * OUT * channels;
        for c in (0..channels).step_by(LANES) {
            let mut half = [[ZERO; IN]; IN];
            for x in 0..IN {
                let from = corner + x * channels + c;
                let transformed = input_column::<FMA>(&column(data, from, row));
                for y in 0..IN {
                    half[y][x] = transformed[y];
                }
            }
            for (y, line) in half.iter().enumerate() {
                for (x, lanes) in input_column::<FMA>(line).iter().enumerate() {
                    let at = (y * IN + x) * point_len + tile * channels + c;
                    out[at..at + LANES].copy_from_slice(&lanes.0);
                }
            }
        }
    }
}

dispatch_avx512!(fn transform_outputs = transform_outputs_body(tiles: &Tiles, products: &[f32], outputs: usize, y: &mut [f32], sums: &mut [[f64; 2]]));
/// Reads `[36][tiles][outputs]`.
#[inline(always)]
fn transform_outputs_body<const FMA: bool>(
    tiles: &Tiles,
    products: &[f32],
    outputs: usize,
    y: &mut [f32],
    sums: &mut [[f64; 2]],
) {
    let across = tiles.width.div_ceil(OUT);
    let count = tiles.count * across;
    let height = y.len() / (tiles.width * tiles.channels);
    for c in (0..tiles.channels).step_by(LANES) {
        let lanes = LANES.min(tiles.channels - c);
        let mut bias = ZERO;
        bias.0[..lanes].copy_from_slice(&tiles.bias[c..c + lanes]);
        let mut sum = [ZERO; 2];
        for tile in 0..count {
            let half = half_outputs::<FMA>(products, count * outputs, tile * outputs + c);
            let [top, left] = [tile / across * OUT, tile % across * OUT];
            for dy in 0..OUT.min(height.saturating_sub(top)) {
                let line = output_column::<FMA>(&half[dy]);
                let first = (top + dy) * tiles.width + left;
                for (dx, value) in line.iter().enumerate().take(tiles.width - left) {
                    let mut value = *value;
                    add(&mut value, &bias.0);
                    finish::<FMA>(
                        tiles,
                        value,
                        (first + dx) * tiles.channels + c,
                        lanes,
                        y,
                        &mut sum,
                    );
                }
            }
        }
        for (lane, sums) in sums[c..c + lanes].iter_mut().enumerate() {
            sums[0] += f64::from(sum[0].0[lane]);
            sums[1] += f64::from(sum[1].0[lane]);
        }
    }
}

/// Aᵀ m of a tile whose products are `stride` apart from `at` on: `[row of outputs][column of products]`.
#[inline(always)]
fn half_outputs<const FMA: bool>(products: &[f32], stride: usize, at: usize) -> [[Lanes; IN]; OUT] {
    let mut half = [[ZERO; IN]; OUT];
    for x in 0..IN {
        let transformed = output_column::<FMA>(&column(products, x * stride + at, IN * stride));
        for y in 0..OUT {
            half[y][x] = transformed[y];
        }
    }
    half
}

/// Adds what is to be added, writes the pixel, and counts it.
#[inline(always)]
fn finish<const FMA: bool>(
    tiles: &Tiles,
    mut value: Lanes,
    at: usize,
    lanes: usize,
    y: &mut [f32],
    sum: &mut [Lanes; 2],
) {
    let y = &mut y[at..at + lanes];
    if let Some(residual) = tiles.residual {
        add(&mut value, &residual[at..at + lanes]);
    }
    if tiles.adds {
        add(&mut value, y);
    }
    if let Ok(y) = <&mut [f32; LANES]>::try_from(&mut *y) {
        *y = value.0;
    } else {
        y.copy_from_slice(&value.0[..lanes]);
    }
    for i in 0..LANES {
        let value = value.0[i];
        sum[0].0[i] += value;
        sum[1].0[i] = fma::<FMA>(value, value, sum[1].0[i]);
    }
}

/// Adds a vector that may be short.
#[inline(always)]
fn add(value: &mut Lanes, x: &[f32]) {
    if let Ok(x) = <&[f32; LANES]>::try_from(x) {
        for i in 0..LANES {
            value.0[i] += x[i];
        }
    } else {
        for (value, x) in value.0.iter_mut().zip(x) {
            *value += x;
        }
    }
}
