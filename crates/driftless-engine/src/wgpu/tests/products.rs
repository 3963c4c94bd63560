//! Products of matrices by every tile, and what is made of them.

use super::super::ops::Act;
use super::super::recorder::CellBlock;
use super::super::tuning::VARIANTS;
use super::super::weights::Matrix;
use super::*;

#[test]
fn products_of_any_shape_are_those_of_a_plain_loop_with_any_tiles() {
    let Some(gpu) = gpu() else { return };
    products_are_those_of_a_plain_loop(&gpu, BAR);
}

#[test]
fn products_of_matrices_in_16_bits_are_nearly_those_of_a_plain_loop() {
    let Some(gpu) = gpu() else { return };
    let Ok(half) = gpu.with_half() else { return };
    products_are_those_of_a_plain_loop(&half, 5e-3);
}

fn products_are_those_of_a_plain_loop(gpu: &Gpu, bar: f32) {
    let sizes = [
        [1, 1, 1],
        [3, 5, 7],
        [16, 64, 16],
        [20, 130, 33],
        [33, 64, 64],
        [64, 192, 128],
        [67, 66, 100],
        [150, 10, 4],
    ];
    for (n, [m, outputs, inputs]) in sizes.into_iter().enumerate() {
        for act in [Act::None, Act::Silu, Act::SwiGlu] {
            for add in [false, true] {
                let outputs = outputs + usize::from(act == Act::SwiGlu) * (outputs % 2);
                let mut t = Trial::new(n as u64);
                let w = t.numbers(outputs * inputs);
                let b = t.numbers(outputs);
                let matrix = t.weights.matrix(outputs, inputs, |o, i| w[o * inputs + i]);
                let matrix = Matrix {
                    bias: t.weights.push(&b),
                    ..matrix
                };
                let (x_at, x) = t.region(m * inputs);
                let width = if act == Act::SwiGlu {
                    outputs / 2
                } else {
                    outputs
                };
                let before = match add {
                    true => t.numbers(m * width),
                    false => vec![0.0; m * width],
                };
                let outs = VARIANTS.map(|_| match add {
                    true => t.given(&before),
                    false => t.poison(m * width),
                });
                let mut expected = before;
                for r in 0..m {
                    let sums: Vec<f32> = (0..outputs)
                        .map(|o| {
                            let row = &x[r * inputs..(r + 1) * inputs];
                            let terms = row.iter().zip(&w[o * inputs..]).map(|(x, w)| x * w);
                            terms.sum::<f32>() + b[o]
                        })
                        .collect();
                    for (o, y) in expected[r * width..(r + 1) * width].iter_mut().enumerate() {
                        *y += match act {
                            Act::None => sums[o],
                            Act::Silu => silu(sums[o]),
                            Act::SwiGlu => silu(sums[2 * o]) * sums[2 * o + 1],
                        };
                    }
                }
                let from = Rows::plain(x_at, inputs as u32);
                let written = outs[0] as usize..t.regions.len as usize;
                let after = t.run(gpu, 8, written, &|r| {
                    for (variant, out) in outs.into_iter().enumerate() {
                        let rows = [from, Rows::plain(out, width as u32)];
                        r.matmul_by(variant, matrix, m as u32, rows, act, add);
                    }
                });
                for (variant, out) in VARIANTS.iter().zip(outs) {
                    let what = format!("{m}×{outputs}×{inputs} {act:?} add {add}, {variant:?}");
                    assert_within(bar, &what, &after[region(out, m * width)], &expected);
                }
            }
        }
    }
}

#[test]
fn products_gather_patches_and_neighbourhoods_and_scatter_blocks() {
    let Some(gpu) = gpu() else { return };
    for (seed, (grid, side, c)) in [([4u32, 6u32], 2u32, 3u32), ([8, 8], 4, 8)]
        .into_iter()
        .enumerate()
    {
        let cells = (grid[0] * grid[1]) as usize;
        let mut t = Trial::new(seed as u64);
        let (plane, x) = t.region(cells * c as usize);
        let blocks = cells / (side * side) as usize;
        let inputs = (side * side * c) as usize;
        let w = t.numbers(inputs * inputs);
        let matrix = t.weights.matrix(inputs, inputs, |o, i| w[o * inputs + i]);
        let out = t.poison(cells * c as usize);
        let (from, to) = (
            Rows::blocks(plane, grid, side, c),
            Rows::blocks(out, grid, side, c),
        );
        let written = region(out, cells * c as usize);
        let mut expected = vec![0.0; cells * c as usize];
        for r in 0..blocks as u32 {
            for o in 0..inputs {
                let terms = (0..inputs)
                    .map(|i| x[at(from, r, i as u32) - plane as usize] * w[o * inputs + i]);
                expected[at(to, r, o as u32) - out as usize] = terms.sum();
            }
        }
        let after = t.run(&gpu, 8, written.clone(), &|r| {
            r.matmul(matrix, blocks as u32, from, to, Act::None, false);
        });
        assert_near("blocks", &after[written], &expected);
    }
}

#[test]
fn a_residual_block_convolves_the_normalised_grid() {
    let Some(gpu) = gpu() else { return };
    for (seed, (grid, width)) in [([4usize, 6usize], 10usize), ([8, 8], 64)]
        .into_iter()
        .enumerate()
    {
        let device = candle_core::Device::Cpu;
        let params = driftless_model::params::Params::seeded(seed as u64, &device);
        let net = driftless_model::layers::CellBlock::new(&params, "b", width).unwrap();
        let mut t = Trial::new(seed as u64);
        let block = CellBlock::new(&mut t.weights, &net).unwrap();
        let cells = grid[0] * grid[1];
        let (x_at, x) = t.region(cells * width);
        let hidden = t.poison(cells * width);
        let bordered = t.given(&vec![0.0; (grid[0] + 2) * (grid[1] + 2) * width]);
        let end = t.regions.len as usize;
        let shape = (1, grid[0], grid[1], width);
        let expected = candle_core::Tensor::from_vec(x, shape, &device).unwrap();
        let expected = net.forward(&expected).unwrap().flatten_all().unwrap();
        let expected: Vec<f32> = expected.to_vec1().unwrap();
        let size = grid.map(|side| side as u32);
        let after = t.run(&gpu, 8, x_at as usize..end, &|r| {
            r.block(&block, size, x_at, bordered, hidden);
        });
        assert_near("block", &after[region(x_at, cells * width)], &expected);
    }
}
