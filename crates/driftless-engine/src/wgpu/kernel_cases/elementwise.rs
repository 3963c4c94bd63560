//! Norms, embeddings, affine maps, the sampler's operations and the end of a frame.

use super::super::kernel_args::{EmbedConditioningArgs, FinishFrameArgs, NONE, RowLayout};
use super::super::kernels::{Kernel, workgroups};
use super::super::operations::{RmsNorm, SampleOperation};
use super::{CaseInputs, ExpectedRegion, KernelCase, at};
use crate::noise;
use crate::noise::NoisePurpose;

/// All cases of this file.
pub fn cases() -> Vec<KernelCase> {
    let mut cases = norms();
    cases.extend([(NONE, NONE), (3, 4)].map(conditioning));
    cases.push(affine());
    cases.push(sampler_operations());
    let ends = [(0, None), (1, None), (3, None), (3, Some(f32::NAN))];
    cases.extend(ends.map(|(frames, wrong)| finish_frame(frames, wrong)));
    cases
}

/// RMSNorm over widths below, at and above the workgroup's size.
pub fn norms() -> Vec<KernelCase> {
    [1usize, 7, 64, 200].into_iter().map(norm).collect()
}

fn norm(width: usize) -> KernelCase {
    let mut t = CaseInputs::new(width as u64);
    let gain = t.random(width);
    let norm = RmsNorm {
        width: width as u32,
        gain: t.weights.push(&gain),
    };
    let (x_at, x) = t.random_region(5 * width);
    let y = t.nan_region(5 * width);
    let rows = x.chunks_exact(width).flat_map(|row| {
        let square = row.iter().map(|x| x * x).sum::<f32>() / width as f32;
        let scale = (square + 1e-6).sqrt().recip();
        row.iter().zip(&gain).map(move |(x, g)| x * scale * g)
    });
    let expected = ExpectedRegion {
        at: y,
        values: rows.collect(),
    };
    let rows = move |at| RowLayout::contiguous(at, width as u32);
    t.case(
        format!("norm, width {width}"),
        8,
        vec![expected],
        move |r| {
            r.rms_norm(norm, 5, rows(x_at), rows(y));
        },
    )
}

/// Embeddings added to all rows, or to one row each.
fn conditioning(rows_of: (u32, u32)) -> KernelCase {
    const AXES: usize = 3;
    let (rows, width) = (6usize, 10usize);
    let mut t = CaseInputs::new(1);
    t.frame.action = 2;
    t.passes = vec![bytemuck::Zeroable::zeroed(); 2];
    (t.passes[1].tau, t.passes[1].step_index) = (0.37, 1);
    let tables = [3, 16, 4, AXES].map(|n| t.random(n * width));
    let [action, signal, step_size, axes] = tables.clone().map(|table| t.weights.push(&table));
    t.frame.axes[..AXES].copy_from_slice(&[0.5, -1.0, 0.25]);
    let (start, numbers) = t.random_region(rows * width);
    let y = t.nan_region(rows * width);
    let args = EmbedConditioningArgs {
        start,
        y,
        rows: rows as u32,
        width: width as u32,
        action,
        signal,
        step_size,
        action_row: rows_of.0,
        signal_row: rows_of.1,
        pass_index: 1,
        axes,
        axis_count: AXES as u32,
    };
    let mut values = numbers;
    for (at, value) in values.iter_mut().enumerate() {
        let (row, i) = ((at / width) as u32, at % width);
        if [NONE, row].contains(&rows_of.0) {
            let row = &tables[3][i * AXES..(i + 1) * AXES];
            let turned = 0.5 * row[0] - row[1] + 0.25 * row[2];
            *value += tables[0][2 * width + i] + turned;
        }
        if [NONE, row].contains(&rows_of.1) {
            let waves = (0..16).map(|k| {
                let wave = (0.37 * (k as f32 * std::f32::consts::PI)).cos();
                tables[1][i * 16 + k] * wave
            });
            *value += tables[2][width + i] + waves.sum::<f32>();
        }
    }
    let name = if rows_of.0 == NONE {
        "conditioning of all rows"
    } else {
        "conditioning of single rows"
    };
    let expected = vec![ExpectedRegion { at: y, values }];
    t.case(name.to_owned(), 8, expected, move |r| {
        let count = workgroups((rows * width) as u32);
        r.push(Kernel::EmbedConditioning, &args, [count, 1]);
    })
}

/// An affine map into the interior of a padded grid, whose border stays NaN.
fn affine() -> KernelCase {
    let (grid, c) = ([3u32, 5u32], 7u32);
    let cells = grid[0] * grid[1];
    let count = (cells * c) as usize;
    let mut t = CaseInputs::new(4);
    let (shift, scale) = (t.random(count), t.random(c as usize));
    let (x_at, x) = t.random_region(count);
    let padded_cells = (grid[0] + 2) * (grid[1] + 2) * c;
    let y = t.nan_region(padded_cells as usize);
    let [shift_at, scale_at] = [&shift, &scale].map(|numbers| t.weights.push(numbers));
    let inside = RowLayout::interior(y, grid, c);
    let mut values = vec![f32::NAN; padded_cells as usize];
    for cell in 0..cells {
        for i in 0..c {
            let n = (cell * c + i) as usize;
            values[at(inside, cell, i) - y as usize] = (x[n] + shift[n]) * scale[i as usize];
        }
    }
    let expected = vec![ExpectedRegion { at: y, values }];
    t.case("affine map".to_owned(), 8, expected, move |r| {
        let from = RowLayout::contiguous(x_at, c);
        r.affine([cells, c], from, inside, shift_at, scale_at);
    })
}

/// Initial noise with a step after it, and context noise.
fn sampler_operations() -> KernelCase {
    let count = 98;
    let mut t = CaseInputs::new(5);
    t.frame.seed = [7, 9];
    t.frame.number = [3, 1];
    (t.frame.temperature, t.frame.alpha, t.frame.sigma) = (0.5, 0.9, 0.1);
    t.passes = vec![bytemuck::Zeroable::zeroed(); 2];
    (t.passes[1].z_scale, t.passes[1].output_scale) = (0.25, 0.75);
    let (x_at, x) = t.random_region(count);
    let [start, context] = [t.nan_region(count), t.nan_region(count)];
    let words = |low: u64, high: u64| high << 32 | low;
    let blend = |purpose, of_noise: f32, of_x: f32| {
        let mut out = vec![0.0; count];
        noise::fill(&mut out, words(7, 9), words(3, 1), purpose);
        let pairs = out.iter().zip(&x);
        pairs.map(|(z, x)| of_noise * z + of_x * x).collect()
    };
    let expected = vec![
        ExpectedRegion {
            at: start,
            values: blend(NoisePurpose::Initial, 0.25 * 0.5, 0.75),
        },
        ExpectedRegion {
            at: context,
            values: blend(NoisePurpose::Context, 0.1, 0.9),
        },
    ];
    t.case("noise and steps".to_owned(), 8, expected, move |r| {
        let len = count as u32;
        r.sample(SampleOperation::InitialNoise, [start, x_at], len, 0);
        r.sample(SampleOperation::Step, [start, x_at], len, 1);
        r.sample(SampleOperation::ContextNoise, [context, x_at], len, 0);
    })
}

/// The end of a frame with `frames` past latents; one that is `wrong` must leave everything as it is.
fn finish_frame(frames: usize, wrong: Option<f32>) -> KernelCase {
    let (cells, channels) = (70usize, 5usize);
    let (count, row) = (cells * channels, frames * channels);
    let mut t = CaseInputs::new(6);
    let mut latent = t.random(count);
    if let Some(wrong) = wrong {
        latent[count - 2] = wrong;
    }
    let (clean, (context_at, context)) = (t.region_of(&latent), t.random_region(count));
    let (past_at, past) = t.random_region(cells * row);
    let (last, finite) = (t.nan_region(count), t.nan_region(1));
    let args = FinishFrameArgs {
        clean,
        context: context_at,
        latent: last,
        past: past_at,
        frames: frames as u32,
        cells: cells as u32,
        channels: channels as u32,
        finite,
    };
    let mut expected = vec![ExpectedRegion {
        at: finite,
        values: vec![f32::from(u8::from(wrong.is_none()))],
    }];
    if wrong.is_none() {
        let mut values = past;
        for (cell, past) in values.chunks_exact_mut(row.max(1)).enumerate() {
            past.rotate_right(channels);
            past[..channels].copy_from_slice(&context[cell * channels..][..channels]);
        }
        expected.push(ExpectedRegion {
            at: past_at,
            values,
        });
        expected.push(ExpectedRegion {
            at: last,
            values: latent,
        });
    }
    let what = if wrong.is_some() { ", not finite" } else { "" };
    let name = format!("end of a frame, {frames} past{what}");
    t.case(name, 8, expected, move |r| {
        r.push(Kernel::FinishFrame, &args, [1, 1]);
    })
}
