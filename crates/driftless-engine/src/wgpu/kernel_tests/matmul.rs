//! MatrixRef products with every tile variant, and the residual block built on them.

use super::super::kernel_args::Activation;
use super::super::operations::CellBlock;
use super::super::tuning::TILE_VARIANTS;
use super::super::weights::MatrixRef;
use super::*;

#[test]
fn matmul_matches_reference() {
    let Some(gpu) = gpu() else { return };
    check_matmul(&gpu, TOLERANCE);
}

#[test]
fn half_matmul_matches_reference() {
    let Some(gpu) = gpu() else { return };
    let Ok(half) = gpu.with_half() else { return };
    check_matmul(&half, 5e-3);
}

fn check_matmul(gpu: &Gpu, tolerance: f32) {
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
        for activation in [Activation::None, Activation::Silu, Activation::SwiGlu] {
            for add in [false, true] {
                let outputs =
                    outputs + usize::from(activation == Activation::SwiGlu) * (outputs % 2);
                let mut t = KernelTest::new(n as u64);
                let w = t.random(outputs * inputs);
                let b = t.random(outputs);
                let matrix = t.weights.matrix(outputs, inputs, |o, i| w[o * inputs + i]);
                let matrix = MatrixRef {
                    bias: t.weights.push(&b),
                    ..matrix
                };
                let (x_at, x) = t.random_region(m * inputs);
                let width = if activation == Activation::SwiGlu {
                    outputs / 2
                } else {
                    outputs
                };
                let before = if add {
                    t.random(m * width)
                } else {
                    vec![0.0; m * width]
                };
                let outs = TILE_VARIANTS.map(|_| {
                    if add {
                        t.region_of(&before)
                    } else {
                        t.nan_region(m * width)
                    }
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
                        *y += match activation {
                            Activation::None => sums[o],
                            Activation::Silu => silu(sums[o]),
                            Activation::SwiGlu => silu(sums[2 * o]) * sums[2 * o + 1],
                        };
                    }
                }
                let from = RowLayout::contiguous(x_at, inputs as u32);
                let written = outs[0] as usize..t.regions.len as usize;
                let after = t.run(gpu, 8, written, &|r| {
                    for (variant, out) in outs.into_iter().enumerate() {
                        let rows = [from, RowLayout::contiguous(out, width as u32)];
                        r.matmul_with_tiles(variant, matrix, m as u32, rows, activation, add);
                    }
                });
                for (variant, out) in TILE_VARIANTS.iter().zip(outs) {
                    let what =
                        format!("{m}×{outputs}×{inputs} {activation:?} add {add}, {variant:?}");
                    assert_within(tolerance, &what, &after[region(out, m * width)], &expected);
                }
            }
        }
    }
}

#[test]
fn matmul_gathers_and_scatters_blocks() {
    let Some(gpu) = gpu() else { return };
    for (seed, (grid, side, c)) in [([4u32, 6u32], 2u32, 3u32), ([8, 8], 4, 8)]
        .into_iter()
        .enumerate()
    {
        let cells = (grid[0] * grid[1]) as usize;
        let mut t = KernelTest::new(seed as u64);
        let (plane, x) = t.random_region(cells * c as usize);
        let blocks = cells / (side * side) as usize;
        let inputs = (side * side * c) as usize;
        let w = t.random(inputs * inputs);
        let matrix = t.weights.matrix(inputs, inputs, |o, i| w[o * inputs + i]);
        let out = t.nan_region(cells * c as usize);
        let (from, to) = (
            RowLayout::blocks(plane, grid, side, c),
            RowLayout::blocks(out, grid, side, c),
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
            r.matmul(matrix, blocks as u32, from, to);
        });
        assert_close("blocks", &after[written], &expected);
    }
}

#[test]
fn cell_block_matches_model() {
    let Some(gpu) = gpu() else { return };
    for (seed, (grid, width)) in [([4usize, 6usize], 10usize), ([8, 8], 64)]
        .into_iter()
        .enumerate()
    {
        let device = candle_core::Device::Cpu;
        let params = driftless_model::params::Params::seeded(seed as u64, &device);
        let net = driftless_model::layers::CellBlock::new(&params, "b", width).unwrap();
        let mut t = KernelTest::new(seed as u64);
        let exported = driftless_model::export::ExportedCellBlock::new(&net).unwrap();
        let block = CellBlock::new(&mut t.weights, &exported);
        let cells = grid[0] * grid[1];
        let (x_at, x) = t.random_region(cells * width);
        let hidden = t.nan_region(cells * width);
        let padded_cells = t.region_of(&vec![0.0; (grid[0] + 2) * (grid[1] + 2) * width]);
        let end = t.regions.len as usize;
        let shape = (1, grid[0], grid[1], width);
        let expected = candle_core::Tensor::from_vec(x, shape, &device).unwrap();
        let expected = net.forward(&expected).unwrap().flatten_all().unwrap();
        let expected: Vec<f32> = expected.to_vec1().unwrap();
        let size = grid.map(|side| side as u32);
        let after = t.run(&gpu, 8, x_at as usize..end, &|r| {
            r.cell_block(&block, size, x_at, padded_cells, hidden);
        });
        assert_close("block", &after[region(x_at, cells * width)], &expected);
    }
}
