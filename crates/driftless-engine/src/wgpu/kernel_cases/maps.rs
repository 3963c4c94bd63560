//! Feature maps: group normalization, convolutions with a stride, doubled sizes.

use super::super::kernel_args::{Activation, RowLayout};
use super::super::operations::GroupNorm;
use super::{CaseInputs, ExpectedRegion, KernelCase, at};

/// All cases of this file.
pub fn cases() -> Vec<KernelCase> {
    let mut cases = norms();
    cases.extend([([5, 7], 1), ([5, 7], 2), ([6, 4], 2)].map(convolution));
    cases.push(doubled());
    cases
}

/// Group normalization of one pixel, of odd channels, and of more pixels than fit into one block.
pub fn norms() -> Vec<KernelCase> {
    [
        ([1, 1], 3, 1, true),
        ([5, 7], 66, 2, false),
        ([33, 37], 8, 2, true),
    ]
    .map(norm)
    .into()
}

/// Of rows within wider ones, into the interior of a padded grid whose border stays NaN.
fn norm((grid, channels, groups, silu): ([u32; 2], usize, usize, bool)) -> KernelCase {
    const GAIN: f32 = 1.0;
    let (pixels, width) = ((grid[0] * grid[1]) as usize, channels / groups);
    let mut t = CaseInputs::new(channels as u64);
    let wide = channels + 3;
    let (x_at, x) = t.random_region(pixels * wide);
    // Far from zero, where sums of squares would cancel.
    let x: Vec<f32> = x.iter().map(|x| x + 30.0).collect();
    t.arena[x_at as usize..][..x.len()].copy_from_slice(&x);
    let (affine, parameters) = t.random_region(2 * channels);
    let norm = GroupNorm {
        channels: channels as u32,
        groups: groups as u32,
        affine,
        gain: GAIN,
        silu,
    };
    let statistics = t.nan_region(norm.scratch_len(pixels as u32));
    let y = t.nan_region((grid[0] + 2) as usize * (grid[1] + 2) as usize * channels);
    let inside = RowLayout::interior(y, grid, channels as u32);
    let mut values = vec![f32::NAN; ((grid[0] + 2) * (grid[1] + 2)) as usize * channels];
    let mut blocks = Vec::new();
    for group in 0..groups {
        let of_pixels = |pixels: std::ops::Range<usize>| {
            let rows = pixels.map(|pixel| &x[pixel * wide + group * width..][..width]);
            rows.flatten().map(|x| f64::from(*x)).collect::<Vec<f64>>()
        };
        let block = GroupNorm::block(pixels as u32) as usize;
        for first in (0..pixels).step_by(block) {
            let (mean, squares) = moments(&of_pixels(first..(first + block).min(pixels)));
            blocks.extend([mean as f32, squares as f32]);
        }
        let (mean, squares) = moments(&of_pixels(0..pixels));
        let scale = (squares / (pixels * width) as f64 + 1e-5).sqrt().recip();
        for pixel in 0..pixels {
            for c in group * width..(group + 1) * width {
                let normal = (f64::from(x[pixel * wide + c]) - mean) * scale;
                let y_of = normal as f32 * (GAIN + parameters[c]) + parameters[channels + c];
                let to = at(inside, pixel as u32, c as u32) - y as usize;
                values[to] = if silu {
                    y_of / (1.0 + (-y_of).exp())
                } else {
                    y_of
                };
            }
        }
    }
    let expected = vec![
        ExpectedRegion {
            at: statistics,
            values: blocks,
        },
        ExpectedRegion { at: y, values },
    ];
    let name = format!("group norm, {pixels} pixels, {groups} groups of {width}");
    t.case(name, 8, expected, move |r| {
        let from = RowLayout::contiguous(x_at, wide as u32);
        r.group_norm(&norm, pixels as u32, [from, inside], statistics);
    })
}

/// The mean, and the sum of squared deviations from it.
fn moments(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|x| (x - mean).powi(2)).sum())
}

/// A 3×3 convolution of a grid with a border of zeros, as a product with its neighbourhoods.
fn convolution((grid, stride): ([u32; 2], u32)) -> KernelCase {
    const INPUTS: usize = 4;
    const OUTPUTS: usize = 5;
    let [height, width] = grid.map(|side| side as usize);
    let size = grid.map(|side| side.div_ceil(stride));
    let mut t = CaseInputs::new(u64::from(stride));
    let w = t.random(OUTPUTS * 9 * INPUTS);
    let weight = |o: usize, i: usize| w[o * 9 * INPUTS + i];
    let matrix = t.weights.matrix(OUTPUTS, 9 * INPUTS, weight);
    let x = t.random(height * width * INPUTS);
    let mut padded = vec![0.0; (height + 2) * (width + 2) * INPUTS];
    for (row, x) in x.chunks_exact(width * INPUTS).enumerate() {
        let start = ((row + 1) * (width + 2) + 1) * INPUTS;
        padded[start..start + x.len()].copy_from_slice(x);
    }
    let x_at = t.region_of(&padded);
    let count = (size[0] * size[1]) as usize;
    let y = t.nan_region(count * OUTPUTS);
    let mut values = Vec::new();
    for pixel in 0..count as u32 {
        let [row, column] = [pixel / size[1], pixel % size[1]].map(|n| (n * stride) as usize);
        for o in 0..OUTPUTS {
            let mut sum = 0.0;
            for k in 0..9 {
                let corner = (row + k / 3) * (width + 2) + column + k % 3;
                for i in 0..INPUTS {
                    sum += weight(o, k * INPUTS + i) * padded[corner * INPUTS + i];
                }
            }
            values.push(sum);
        }
    }
    let expected = vec![ExpectedRegion { at: y, values }];
    let name = format!("convolution of {height}×{width}, stride {stride}");
    t.case(name, 8, expected, move |r| {
        let from = RowLayout::neighbourhoods(x_at, grid, INPUTS as u32).every(stride);
        let rows = [from, RowLayout::contiguous(y, OUTPUTS as u32)];
        r.matmul_with_tiles(0, matrix, count as u32, rows, Activation::None, false);
    })
}

/// A grid copied into the interior of one of twice its size, each cell four times.
fn doubled() -> KernelCase {
    let (grid, c) = ([3u32, 5u32], 4u32);
    let mut t = CaseInputs::new(8);
    let (x_at, x) = t.random_region((grid[0] * grid[1] * c) as usize);
    let [height, width] = grid.map(|side| 2 * side);
    let len = ((height + 2) * (width + 2) * c) as usize;
    let y = t.nan_region(len);
    let mut values = vec![f32::NAN; len];
    for (pixel, to) in values.chunks_exact_mut(c as usize).enumerate() {
        let [row, column] = [pixel as u32 / (width + 2), pixel as u32 % (width + 2)];
        if (1..=height).contains(&row) && (1..=width).contains(&column) {
            let from = ((row - 1) / 2 * grid[1] + (column - 1) / 2) * c;
            to.copy_from_slice(&x[from as usize..][..c as usize]);
        }
    }
    let expected = vec![ExpectedRegion { at: y, values }];
    t.case("doubled grid".to_owned(), 8, expected, move |r| {
        let from = RowLayout::contiguous(x_at, c);
        let to = RowLayout::doubled(y, grid, c);
        r.copy([grid[0] * grid[1], 4 * c], from, to);
    })
}
