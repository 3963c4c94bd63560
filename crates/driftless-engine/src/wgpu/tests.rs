//! Every kernel against a plain loop, over random shapes; what a kernel writes is poisoned before,
//! and what it may not write is looked at after.

mod attention;
mod products;

use std::ops::Range;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::kernels::{Kernel, Kernels, groups};
use super::ops::{CloseOp, ConditionOp, FrameHead, NONE, PassValues, Rows};
use super::program::{Buffers, Program, Recorder};
use super::recorder::{Arena, Norm, Sample};
use super::weights::Weights;
use super::*;
use crate::noise;
use crate::noise::Use;
use crate::testing::gpu;

const BAR: f32 = 1e-4;

/// An arena and weights in the making, and what a frame says.
struct Trial {
    rng: ChaCha8Rng,
    weights: Weights,
    regions: Arena,
    arena: Vec<f32>,
    head: FrameHead,
    passes: Vec<PassValues>,
}

impl Trial {
    fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            weights: Weights::default(),
            regions: Arena::default(),
            arena: Vec::new(),
            head: bytemuck::Zeroable::zeroed(),
            passes: Vec::new(),
        }
    }

    fn numbers(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| self.rng.random_range(-1.0..1.0))
            .collect()
    }

    /// A region with random numbers: where it is, and they.
    fn region(&mut self, count: usize) -> (u32, Vec<f32>) {
        let numbers = self.numbers(count);
        (self.given(&numbers), numbers)
    }

    fn given(&mut self, numbers: &[f32]) -> u32 {
        let at = self.regions.take(numbers.len());
        self.arena.resize(at as usize, f32::NAN);
        self.arena.extend_from_slice(numbers);
        at
    }

    /// A region of poison.
    fn poison(&mut self, count: usize) -> u32 {
        self.given(&vec![f32::NAN; count])
    }

    /// The arena after what `f` records. Everything that was poison outside of `written` still is.
    fn run(
        mut self,
        gpu: &Gpu,
        head: usize,
        written: Range<usize>,
        f: &dyn Fn(&mut Recorder),
    ) -> Vec<f32> {
        self.arena.resize(self.regions.len as usize + 64, f32::NAN);
        let kernels = Kernels::new(gpu, head);
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
            bytemuck::bytes_of(&self.head),
            bytemuck::cast_slice(&self.passes),
        ];
        let frame = buffer("frame", &frame.concat());
        let buffers = Buffers {
            weights: &weights,
            panels: &panels,
            arena: &arena,
            frame: &frame,
        };
        let program = Program::record(gpu, &kernels, buffers, f);
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

fn assert_near(what: &str, got: &[f32], expected: &[f32]) {
    assert_within(BAR, what, got, expected);
}

fn assert_within(bar: f32, what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let size = expected.iter().fold(0f32, |a, x| a.max(x.abs())).max(1e-3);
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let off = (got - expected).abs() / size;
        assert!(
            off <= bar,
            "{what}: number {i} is {got}, expected {expected}"
        );
    }
}

fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

/// Element `i` of row `r`.
fn at(rows: Rows, r: u32, i: u32) -> usize {
    let start = rows.offset + (r / rows.run) * rows.outer + (r % rows.run) * rows.inner;
    (start + (i / rows.segment) * rows.stride + i % rows.segment) as usize
}

#[test]
fn a_norm_divides_by_the_root_mean_square() {
    let Some(mut gpu) = gpu() else { return };
    let sizes = [1usize, 7, 64, 200].into_iter();
    let ways = if gpu.subgroups {
        vec![true, false]
    } else {
        vec![false]
    };
    for (width, subgroups) in sizes.flat_map(|n| ways.iter().map(move |way| (n, *way))) {
        gpu.subgroups = subgroups;
        let mut t = Trial::new(width as u64);
        let gain = t.numbers(width);
        let norm = Norm {
            width: width as u32,
            gain: t.weights.push(&gain),
        };
        let (x_at, x) = t.region(5 * width);
        let y = t.poison(5 * width);
        let expected: Vec<f32> = x
            .chunks_exact(width)
            .flat_map(|row| {
                let square = row.iter().map(|x| x * x).sum::<f32>() / width as f32;
                let scale = (square + 1e-6).sqrt().recip();
                row.iter().zip(&gain).map(move |(x, g)| x * scale * g)
            })
            .collect();
        let rows = |at| Rows::plain(at, width as u32);
        let after = t.run(&gpu, 8, region(y, 5 * width), &|r| {
            r.norm(norm, 5, rows(x_at), rows(y));
        });
        assert_near("norm", &after[region(y, 5 * width)], &expected);
    }
}

#[test]
fn conditions_go_to_their_rows_or_to_all() {
    let Some(gpu) = gpu() else { return };
    for rows_of in [(NONE, NONE), (3, 4)] {
        let (rows, width) = (6usize, 10usize);
        let mut t = Trial::new(1);
        t.head.action = 2;
        t.passes = vec![bytemuck::Zeroable::zeroed(); 2];
        (t.passes[1].tau, t.passes[1].step) = (0.37, 1);
        let tables = [3, 16, 4].map(|n| t.numbers(n * width));
        let [action, signal, step] = tables.clone().map(|table| t.weights.push(&table));
        let (start, numbers) = t.region(rows * width);
        let y = t.poison(rows * width);
        let op = ConditionOp {
            start,
            y,
            rows: rows as u32,
            width: width as u32,
            action,
            signal,
            step,
            action_row: rows_of.0,
            signal_row: rows_of.1,
            pass: 1,
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
            let count = groups((rows * width) as u32);
            r.push(Kernel::Condition, &op, [count, 1]);
        });
        assert_near("condition", &after[written], &expected);
    }
}

#[test]
fn a_shift_and_a_scale_go_through_any_rows() {
    let Some(gpu) = gpu() else { return };
    let (grid, c) = ([3u32, 5u32], 7u32);
    let cells = grid[0] * grid[1];
    let count = (cells * c) as usize;
    let mut t = Trial::new(4);
    let (shift, scale) = (t.numbers(count), t.numbers(c as usize));
    let (x_at, x) = t.region(count);
    let bordered = (grid[0] + 2) * (grid[1] + 2) * c;
    let y = t.poison(bordered as usize);
    let [shift_at, scale_at] = [&shift, &scale].map(|numbers| t.weights.push(numbers));
    let inside = Rows::inside(y, grid, c);
    let after = t.run(&gpu, 8, region(y, bordered as usize), &|r| {
        r.shift([cells, c], Rows::plain(x_at, c), inside, shift_at, scale_at);
    });
    let mut left = bordered as usize;
    for cell in 0..cells {
        for i in 0..c {
            let n = (cell * c + i) as usize;
            let expected = (x[n] + shift[n]) * scale[i as usize];
            assert!((after[at(inside, cell, i)] - expected).abs() < 1e-5);
            left -= 1;
        }
    }
    let border = after[region(y, bordered as usize)]
        .iter()
        .filter(|x| x.is_nan());
    assert_eq!(border.count(), left);
}

#[test]
fn the_sampler_starts_from_the_processors_noise_and_steps_by_shares() {
    let Some(gpu) = gpu() else { return };
    let count = 98;
    let mut t = Trial::new(5);
    t.head.seed = [7, 9];
    t.head.number = [3, 1];
    (t.head.temperature, t.head.alpha, t.head.sigma) = (0.5, 0.9, 0.1);
    t.passes = vec![bytemuck::Zeroable::zeroed(); 2];
    (t.passes[1].keep, t.passes[1].take) = (0.25, 0.75);
    let (x_at, x) = t.region(count);
    let [start, kept] = [t.poison(count), t.poison(count)];
    let end = t.regions.len as usize;
    let after = t.run(&gpu, 8, start as usize..end, &|r| {
        r.sample(Sample::Start, [start, x_at], count as u32, 0);
        r.sample(Sample::Step, [start, x_at], count as u32, 1);
        r.sample(Sample::Context, [kept, x_at], count as u32, 0);
    });
    let words = |low: u64, high: u64| high << 32 | low;
    let of = |purpose| {
        let mut out = vec![0.0; count];
        noise::fill(&mut out, words(7, 9), words(3, 1), purpose);
        out
    };
    let stepped: Vec<f32> = of(Use::Start)
        .iter()
        .zip(&x)
        .map(|(z, x)| 0.25 * (0.5 * z) + 0.75 * x)
        .collect();
    assert_near("a step", &after[region(start, count)], &stepped);
    let blurred: Vec<f32> = of(Use::Context)
        .iter()
        .zip(&x)
        .map(|(z, x)| 0.9 * x + 0.1 * z)
        .collect();
    assert_near("context", &after[region(kept, count)], &blurred);
}

#[test]
fn a_world_too_large_for_a_buffer_is_refused_by_its_size() {
    let Some(gpu) = gpu() else { return };
    let error = gpu.storage("weights", usize::MAX / 8).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("weights") && text.contains("bytes"), "{text}");
}

#[test]
fn a_frames_end_moves_the_past_on_unless_the_latent_is_not_finite() {
    let Some(gpu) = gpu() else { return };
    for (frames, wrong) in [(0, None), (1, None), (3, None), (3, Some(f32::NAN))] {
        let (cells, channels) = (70usize, 5usize);
        let (count, row) = (cells * channels, frames * channels);
        let mut t = Trial::new(6);
        let mut latent = t.numbers(count);
        if let Some(wrong) = wrong {
            latent[count - 2] = wrong;
        }
        let (clean, (kept_at, kept)) = (t.given(&latent), t.region(count));
        let (past_at, past) = t.region(cells * row);
        let (last, report) = (t.poison(count), t.poison(1));
        let op = CloseOp {
            clean,
            kept: kept_at,
            latent: last,
            past: past_at,
            frames: frames as u32,
            cells: cells as u32,
            channels: channels as u32,
            report,
        };
        let mut expected = past.clone();
        if wrong.is_none() && frames > 0 {
            for (cell, past) in expected.chunks_exact_mut(row).enumerate() {
                past.rotate_right(channels);
                past[..channels].copy_from_slice(&kept[cell * channels..][..channels]);
            }
        }
        let written = past_at as usize..report as usize + 1;
        let after = t.run(&gpu, 8, written, &|r| r.push(Kernel::Close, &op, [1, 1]));
        assert_eq!(after[region(past_at, cells * row)], expected);
        assert_eq!(after[report as usize], f32::from(u8::from(wrong.is_none())));
        match wrong {
            None => assert_eq!(after[region(last, count)], latent),
            Some(_) => assert!(after[region(last, count)].iter().all(|x| x.is_nan())),
        }
    }
}
