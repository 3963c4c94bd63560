//! Every kernel against a plain loop, over odd shapes. Outputs hold NaN before the run, and everything a
//! kernel must not write is compared afterwards.

mod attention;
mod matmul;

use std::ops::Range;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::kernel_args::{
    EmbedConditioningArgs, FinishFrameArgs, FrameParams, NONE, PassParams, RowLayout,
};
use super::kernels::{Kernel, KernelPipelines, workgroups};
use super::operations::{ArenaLayout, RmsNorm, SampleOperation};
use super::program::{Program, ProgramBuffers, ProgramBuilder};
use super::weights::Weights;
use super::*;
use crate::noise;
use crate::noise::NoisePurpose;
use crate::testing::gpu;

const TOLERANCE: f32 = 1e-4;

/// Arena, weights and parameters for running kernels.
struct KernelTest {
    rng: ChaCha8Rng,
    weights: Weights,
    regions: ArenaLayout,
    arena: Vec<f32>,
    frame: FrameParams,
    passes: Vec<PassParams>,
}

impl KernelTest {
    fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            weights: Weights::default(),
            regions: ArenaLayout::default(),
            arena: Vec::new(),
            frame: bytemuck::Zeroable::zeroed(),
            passes: Vec::new(),
        }
    }

    fn random(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| self.rng.random_range(-1.0..1.0))
            .collect()
    }

    /// Allocates a region of random values; returns its offset and the values.
    fn random_region(&mut self, count: usize) -> (u32, Vec<f32>) {
        let numbers = self.random(count);
        (self.region_of(&numbers), numbers)
    }

    fn region_of(&mut self, numbers: &[f32]) -> u32 {
        let at = self.regions.allocate(numbers.len());
        self.arena.resize(at as usize, f32::NAN);
        self.arena.extend_from_slice(numbers);
        at
    }

    /// Allocates a region of NaN.
    fn nan_region(&mut self, count: usize) -> u32 {
        self.region_of(&vec![f32::NAN; count])
    }

    /// Runs the dispatches that `f` records; returns the arena. Asserts that nothing outside `written` changed.
    fn run(
        mut self,
        gpu: &Gpu,
        head_size: usize,
        written: Range<usize>,
        f: &dyn Fn(&mut ProgramBuilder),
    ) -> Vec<f32> {
        self.arena.resize(self.regions.len as usize + 64, f32::NAN);
        let kernels = KernelPipelines::new(gpu, head_size);
        let buffer = |label, bytes: &[u8]| {
            let buffer = gpu.storage(label, bytes.len() / 4).unwrap();
            gpu.queue.write_buffer(&buffer, 0, bytes);
            buffer
        };
        let weights = self.weights.upload(gpu).unwrap();
        let panels = self.weights.upload_panels(gpu).unwrap();
        let arena = buffer("arena", bytemuck::cast_slice(&self.arena));
        self.passes.push(bytemuck::Zeroable::zeroed());
        let frame = [
            bytemuck::bytes_of(&self.frame),
            bytemuck::cast_slice(&self.passes),
        ];
        let frame = buffer("frame", &frame.concat());
        let buffers = ProgramBuffers {
            weights: &weights,
            panels: &panels,
            arena: &arena,
            frame: &frame,
        };
        let program = Program::record(gpu, &kernels, buffers, f).unwrap();
        let bytes = size_of_val(&self.arena[..]) as u64;
        let staging = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes,
            usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = gpu
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        program.encode(&mut encoder, None);
        encoder.copy_buffer_to_buffer(&arena, 0, &staging, 0, bytes);
        let submission = gpu.queue.submit([encoder.finish()]);
        let mut after = self.arena.clone();
        gpu.read(&staging, submission, bytemuck::cast_slice_mut(&mut after))
            .unwrap();
        for (i, (before, after)) in self.arena.iter().zip(&after).enumerate() {
            let same = before.to_bits() == after.to_bits();
            assert!(same || written.contains(&i), "wrote to {i} of {written:?}");
        }
        after
    }
}

fn region(at: u32, len: usize) -> Range<usize> {
    at as usize..at as usize + len
}

fn assert_close(what: &str, got: &[f32], expected: &[f32]) {
    assert_within(TOLERANCE, what, got, expected);
}

fn assert_within(tolerance: f32, what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let size = expected.iter().fold(0f32, |a, x| a.max(x.abs())).max(1e-3);
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let off = (got - expected).abs() / size;
        assert!(
            off <= tolerance,
            "{what}: element {i} is {got}, expected {expected}"
        );
    }
}

fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

/// Arena index of element `i` of row `r`.
fn at(rows: RowLayout, r: u32, i: u32) -> usize {
    let start = rows.offset + (r / rows.run) * rows.outer + (r % rows.run) * rows.inner;
    (start + (i / rows.segment) * rows.stride + i % rows.segment) as usize
}

#[test]
fn rms_norm_matches_reference() {
    let Some(mut gpu) = gpu() else { return };
    let sizes = [1usize, 7, 64, 200].into_iter();
    let modes = if gpu.subgroups {
        vec![true, false]
    } else {
        vec![false]
    };
    for (width, subgroups) in sizes.flat_map(|n| modes.iter().map(move |mode| (n, *mode))) {
        gpu.subgroups = subgroups;
        let mut t = KernelTest::new(width as u64);
        let gain = t.random(width);
        let norm = RmsNorm {
            width: width as u32,
            gain: t.weights.push(&gain),
        };
        let (x_at, x) = t.random_region(5 * width);
        let y = t.nan_region(5 * width);
        let expected: Vec<f32> = x
            .chunks_exact(width)
            .flat_map(|row| {
                let square = row.iter().map(|x| x * x).sum::<f32>() / width as f32;
                let scale = (square + 1e-6).sqrt().recip();
                row.iter().zip(&gain).map(move |(x, g)| x * scale * g)
            })
            .collect();
        let rows = |at| RowLayout::contiguous(at, width as u32);
        let after = t.run(&gpu, 8, region(y, 5 * width), &|r| {
            r.rms_norm(norm, 5, rows(x_at), rows(y));
        });
        assert_close("norm", &after[region(y, 5 * width)], &expected);
    }
}

#[test]
fn conditioning_goes_to_its_rows() {
    let Some(gpu) = gpu() else { return };
    for rows_of in [(NONE, NONE), (3, 4)] {
        let (rows, width) = (6usize, 10usize);
        let mut t = KernelTest::new(1);
        t.frame.action = 2;
        t.passes = vec![bytemuck::Zeroable::zeroed(); 2];
        (t.passes[1].tau, t.passes[1].step_index) = (0.37, 1);
        let tables = [3, 16, 4].map(|n| t.random(n * width));
        let [action, signal, step] = tables.clone().map(|table| t.weights.push(&table));
        let (start, numbers) = t.random_region(rows * width);
        let y = t.nan_region(rows * width);
        let args = EmbedConditioningArgs {
            start,
            y,
            rows: rows as u32,
            width: width as u32,
            action,
            signal,
            step_size: step,
            action_row: rows_of.0,
            signal_row: rows_of.1,
            pass_index: 1,
            unused: [0; 2],
        };
        let mut expected = numbers;
        for (at, value) in expected.iter_mut().enumerate() {
            let (row, i) = ((at / width) as u32, at % width);
            if [NONE, row].contains(&rows_of.0) {
                *value += tables[0][2 * width + i];
            }
            if [NONE, row].contains(&rows_of.1) {
                let waves = (0..16).map(|k| {
                    let wave = (0.37 * (k as f32 * std::f32::consts::PI)).cos();
                    tables[1][i * 16 + k] * wave
                });
                *value += tables[2][width + i] + waves.sum::<f32>();
            }
        }
        let written = region(y, rows * width);
        let after = t.run(&gpu, 8, written.clone(), &|r| {
            let count = workgroups((rows * width) as u32);
            r.push(Kernel::EmbedConditioning, &args, [count, 1]);
        });
        assert_close("condition", &after[written], &expected);
    }
}

#[test]
fn affine_handles_any_row_layout() {
    let Some(gpu) = gpu() else { return };
    let (grid, c) = ([3u32, 5u32], 7u32);
    let cells = grid[0] * grid[1];
    let count = (cells * c) as usize;
    let mut t = KernelTest::new(4);
    let (shift, scale) = (t.random(count), t.random(c as usize));
    let (x_at, x) = t.random_region(count);
    let padded_cells = (grid[0] + 2) * (grid[1] + 2) * c;
    let y = t.nan_region(padded_cells as usize);
    let [shift_at, scale_at] = [&shift, &scale].map(|numbers| t.weights.push(numbers));
    let inside = RowLayout::interior(y, grid, c);
    let after = t.run(&gpu, 8, region(y, padded_cells as usize), &|r| {
        r.affine(
            [cells, c],
            RowLayout::contiguous(x_at, c),
            inside,
            shift_at,
            scale_at,
        );
    });
    let mut untouched = padded_cells as usize;
    for cell in 0..cells {
        for i in 0..c {
            let n = (cell * c + i) as usize;
            let expected = (x[n] + shift[n]) * scale[i as usize];
            assert!((after[at(inside, cell, i)] - expected).abs() < 1e-5);
            untouched -= 1;
        }
    }
    let border = after[region(y, padded_cells as usize)]
        .iter()
        .filter(|x| x.is_nan());
    assert_eq!(border.count(), untouched);
}

#[test]
fn sampler_operations_match_cpu() {
    let Some(gpu) = gpu() else { return };
    let count = 98;
    let mut t = KernelTest::new(5);
    t.frame.seed = [7, 9];
    t.frame.number = [3, 1];
    (t.frame.temperature, t.frame.alpha, t.frame.sigma) = (0.5, 0.9, 0.1);
    t.passes = vec![bytemuck::Zeroable::zeroed(); 2];
    (t.passes[1].z_scale, t.passes[1].output_scale) = (0.25, 0.75);
    let (x_at, x) = t.random_region(count);
    let [start, context] = [t.nan_region(count), t.nan_region(count)];
    let end = t.regions.len as usize;
    let after = t.run(&gpu, 8, start as usize..end, &|r| {
        r.sample(
            SampleOperation::InitialNoise,
            [start, x_at],
            count as u32,
            0,
        );
        r.sample(SampleOperation::Step, [start, x_at], count as u32, 1);
        r.sample(
            SampleOperation::ContextNoise,
            [context, x_at],
            count as u32,
            0,
        );
    });
    let words = |low: u64, high: u64| high << 32 | low;
    let noise_of = |purpose| {
        let mut out = vec![0.0; count];
        noise::fill(&mut out, words(7, 9), words(3, 1), purpose);
        out
    };
    let stepped: Vec<f32> = noise_of(NoisePurpose::Initial)
        .iter()
        .zip(&x)
        .map(|(z, x)| 0.25 * (0.5 * z) + 0.75 * x)
        .collect();
    assert_close("step", &after[region(start, count)], &stepped);
    let blurred: Vec<f32> = noise_of(NoisePurpose::Context)
        .iter()
        .zip(&x)
        .map(|(z, x)| 0.9 * x + 0.1 * z)
        .collect();
    assert_close("context", &after[region(context, count)], &blurred);
}

#[test]
fn oversized_buffer_error_gives_the_size() {
    let Some(gpu) = gpu() else { return };
    let error = gpu.storage("weights", usize::MAX / 8).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("weights") && text.contains("bytes"), "{text}");
}

#[test]
fn finish_frame_keeps_past_if_not_finite() {
    let Some(gpu) = gpu() else { return };
    for (frames, wrong) in [(0, None), (1, None), (3, None), (3, Some(f32::NAN))] {
        let (cells, channels) = (70usize, 5usize);
        let (count, row) = (cells * channels, frames * channels);
        let mut t = KernelTest::new(6);
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
        let mut expected = past.clone();
        if wrong.is_none() && frames > 0 {
            for (cell, past) in expected.chunks_exact_mut(row).enumerate() {
                past.rotate_right(channels);
                past[..channels].copy_from_slice(&context[cell * channels..][..channels]);
            }
        }
        let written = past_at as usize..finite as usize + 1;
        let after = t.run(&gpu, 8, written, &|r| {
            r.push(Kernel::FinishFrame, &args, [1, 1]);
        });
        assert_eq!(after[region(past_at, cells * row)], expected);
        assert_eq!(after[finite as usize], f32::from(u8::from(wrong.is_none())));
        match wrong {
            None => assert_eq!(after[region(last, count)], latent),
            Some(_) => assert!(after[region(last, count)].iter().all(|x| x.is_nan())),
        }
    }
}
