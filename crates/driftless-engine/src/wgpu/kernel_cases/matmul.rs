//! Matrix products with every tile variant.

use super::super::kernel_args::{Activation, RowLayout};
use super::super::tile_variants::TILE_VARIANTS;
use super::super::weights::MatrixRef;
use super::{CaseInputs, ExpectedRegion, KernelCase, at};

/// Three shapes, each with another activation, and products of blocks of a grid.
pub fn quick_cases() -> Vec<KernelCase> {
    let mut cases = vec![
        product([20, 130, 33], Activation::SwiGlu, true),
        product([33, 64, 64], Activation::Silu, false),
        product([67, 66, 100], Activation::None, true),
    ];
    cases.extend(blocks_of_grids());
    cases
}

/// Every shape with every activation, added or not.
#[cfg(test)]
pub fn all_cases() -> Vec<KernelCase> {
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
    let mut cases = blocks_of_grids();
    for size in sizes {
        for activation in [Activation::None, Activation::Silu, Activation::SwiGlu] {
            cases.extend([false, true].map(|add| product(size, activation, add)));
        }
    }
    cases
}

fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

/// A product of `m` rows by a matrix, with each tile variant into a region of its own.
fn product([m, outputs, inputs]: [usize; 3], activation: Activation, add: bool) -> KernelCase {
    let gated = activation == Activation::SwiGlu;
    let outputs = outputs + usize::from(gated) * (outputs % 2);
    let width = if gated { outputs / 2 } else { outputs };
    let mut t = CaseInputs::new((m * outputs + inputs) as u64);
    let w = t.random(outputs * inputs);
    let b = t.random(outputs);
    let matrix = t.weights.matrix(outputs, inputs, |o, i| w[o * inputs + i]);
    let matrix = MatrixRef {
        bias: t.weights.push(&b),
        ..matrix
    };
    let (x_at, x) = t.random_region(m * inputs);
    let mut values = if add {
        t.random(m * width)
    } else {
        vec![0.0; m * width]
    };
    let outs = TILE_VARIANTS.map(|_| {
        if add {
            t.region_of(&values)
        } else {
            t.nan_region(m * width)
        }
    });
    for (x, y) in x.chunks_exact(inputs).zip(values.chunks_exact_mut(width)) {
        let sum = |o: usize| {
            let terms = x.iter().zip(&w[o * inputs..]).map(|(x, w)| x * w);
            terms.sum::<f32>() + b[o]
        };
        for (o, y) in y.iter_mut().enumerate() {
            *y += match activation {
                Activation::None => sum(o),
                Activation::Silu => silu(sum(o)),
                Activation::SwiGlu => silu(sum(2 * o)) * sum(2 * o + 1),
            };
        }
    }
    let expected = outs.map(|at| ExpectedRegion {
        at,
        values: values.clone(),
    });
    let added = if add { " added" } else { "" };
    let name = format!("product {m}×{outputs}×{inputs} {activation:?}{added}, all tiles");
    t.case(name, 8, expected.into(), move |r| {
        let from = RowLayout::contiguous(x_at, inputs as u32);
        for (variant, out) in outs.into_iter().enumerate() {
            let rows = [from, RowLayout::contiguous(out, width as u32)];
            r.matmul_with_tiles(variant, matrix, m as u32, rows, activation, add);
        }
    })
}

fn blocks_of_grids() -> Vec<KernelCase> {
    vec![blocks([4, 6], 2, 3), blocks([8, 8], 4, 8)]
}

/// A product whose rows are blocks of `side`×`side` cells of a grid, gathered and scattered in place.
fn blocks(grid: [u32; 2], side: u32, c: u32) -> KernelCase {
    let count = (grid[0] * grid[1] * c) as usize;
    let mut t = CaseInputs::new(u64::from(c));
    let (plane, x) = t.random_region(count);
    let inputs = (side * side * c) as usize;
    let rows = (count / inputs) as u32;
    let w = t.random(inputs * inputs);
    let matrix = t.weights.matrix(inputs, inputs, |o, i| w[o * inputs + i]);
    let out = t.nan_region(count);
    let from = RowLayout::blocks(plane, grid, side, c);
    let to = RowLayout::blocks(out, grid, side, c);
    let mut values = vec![0.0; count];
    for r in 0..rows {
        for o in 0..inputs {
            let terms =
                (0..inputs).map(|i| x[at(from, r, i as u32) - plane as usize] * w[o * inputs + i]);
            values[at(to, r, o as u32) - out as usize] = terms.sum();
        }
    }
    let name = format!("product of {side}×{side} blocks of {c} channels");
    let expected = vec![ExpectedRegion { at: out, values }];
    t.case(name, 8, expected, move |r| r.matmul(matrix, rows, from, to))
}
