//! Matrix product of a few rows with packed panels, with the sums of a tile in registers.
//!
//! With M of 20 to 64 rows, a general GEMM spends its time on packing. Here the panels are packed when the
//! weights are loaded and the rows are read in place, so only fused multiply-adds remain.

use std::ops::Range;

use driftless_model::simd::{dispatch, fma};

use super::row_layout::{RowLayout, WriteMode};
use super::shared_slice::SharedSlice;
use super::workers::{TASKS_PER_THREAD, Workers};

/// Outputs per panel.
pub const LANES: usize = 16;
/// Most rows that are multiplied at a time: with two panels, their sums fill most of AVX-512's registers.
const TILE_ROWS: usize = 12;

/// Arguments of one product, y ← x·W or y ← y + x·W.
pub struct MatmulArgs<'a> {
    /// What holds the rows.
    pub x: &'a [f32],
    /// Where the rows are in `x`.
    pub rows: RowLayout,
    /// `[outputs / 16][inputs][16]`.
    pub panels: &'a [f32],
    /// Elements of a row.
    pub inputs: usize,
    /// Elements of a row of y.
    pub outputs: usize,
    /// Distance between rows of y.
    pub stride: usize,
    /// Whether y is overwritten or added to.
    pub mode: WriteMode,
}

/// Computes a product into `y`. Panics if the sizes in `p` do not match the slices.
pub fn multiply(p: &MatmulArgs, y: &mut [f32]) {
    multiply_shared(p, &SharedSlice::new(y));
}

/// As [`multiply`], for several threads with different outputs of one slice: writes only the `outputs`
/// elements of each row, `stride` apart.
pub fn multiply_shared(p: &MatmulArgs, y: &SharedSlice<f32>) {
    if p.check(y.len()) {
        multiply_part(p, y, &Part::whole(p));
    }
}

/// As [`multiply`], on all threads.
pub(super) fn multiply_on(workers: &Workers, p: &MatmulArgs, y: &mut [f32]) {
    let y = SharedSlice::new(y);
    if !p.check(y.len()) {
        return;
    }
    let parts = Parts::new(p, workers.threads(), workers.least().product);
    workers.run(parts.count(), |index| {
        multiply_part(p, &y, &parts.part(p, index));
    });
}

impl MatmulArgs<'_> {
    /// Whether there is something to compute. Panics if the sizes do not match the slices, with
    /// `available` elements in y.
    fn check(&self, available: usize) -> bool {
        if self.rows.count == 0 || self.outputs == 0 {
            return false;
        }
        assert!(
            self.inputs.is_multiple_of(self.rows.segments),
            "the row segments do not divide the inputs"
        );
        // With this, later rows start later and the last row ends last.
        assert!(
            (self.rows.run - 1) * self.rows.inner <= self.rows.outer,
            "row starts are not increasing"
        );
        assert!(
            self.rows.extent(self.inputs) <= self.x.len(),
            "rows exceed the input slice"
        );
        let panels = self.outputs.div_ceil(LANES) * self.inputs * LANES;
        assert!(
            panels <= self.panels.len(),
            "panels are smaller than the matrix"
        );
        let last = (self.rows.count - 1) * self.stride + self.outputs;
        assert!(
            last <= available && self.outputs <= self.stride,
            "the output has the wrong size"
        );
        true
    }
}

/// The rows and outputs of y that one task computes. The first output is a multiple of [`LANES`].
struct Part {
    rows: Range<usize>,
    outputs: Range<usize>,
}

impl Part {
    fn whole(p: &MatmulArgs) -> Self {
        Self {
            rows: 0..p.rows.count,
            outputs: 0..p.outputs,
        }
    }
}

/// How a product is cut into parts: into columns first, because then each weight is read by one thread,
/// and into blocks of rows if there are too few columns.
struct Parts {
    columns: usize,
    blocks: usize,
    /// Panels per column.
    panels: usize,
}

impl Parts {
    /// Panels that the kernels multiply at a time.
    const PANELS: usize = 2;

    /// Parts for `threads` threads, each of at least `least` multiply-adds.
    fn new(p: &MatmulArgs, threads: usize, least: usize) -> Self {
        let all = p.outputs.div_ceil(LANES);
        let whole = Self {
            columns: 1,
            blocks: 1,
            panels: all,
        };
        let work = p.rows.count * p.inputs * p.outputs;
        if threads == 1 || work < 2 * least {
            return whole;
        }
        let pairs = all.div_ceil(Self::PANELS);
        let pairs_per_task = share(pairs, threads, (work / least).max(1));
        let columns = pairs.div_ceil(pairs_per_task);
        let blocks = if columns < threads {
            (threads * TASKS_PER_THREAD).min(work / least) / columns
        } else {
            1
        };
        Self {
            columns,
            blocks: blocks.clamp(1, p.rows.count.div_ceil(TILE_ROWS)),
            panels: pairs_per_task * Self::PANELS,
        }
    }

    fn count(&self) -> usize {
        self.columns * self.blocks
    }

    fn part(&self, p: &MatmulArgs, index: usize) -> Part {
        let (column, block) = (index / self.blocks, index % self.blocks);
        let first = column * self.panels * LANES;
        let tiles = p.rows.count.div_ceil(TILE_ROWS);
        let row = |block: usize| (tiles * block / self.blocks * TILE_ROWS).min(p.rows.count);
        Part {
            rows: row(block)..row(block + 1),
            outputs: first..(first + self.panels * LANES).min(p.outputs),
        }
    }
}

/// How many of `items` equal items to put into a task, so that the thread with most of them has as few as
/// possible, in as few tasks as possible but at most `tasks`.
pub(super) fn share(items: usize, threads: usize, tasks: usize) -> usize {
    let least = items.div_ceil(tasks).max(1);
    let most = items.div_ceil(threads).max(least);
    let makespan = |size: &usize| items.div_ceil(*size).div_ceil(threads) * size;
    (least..=most).rev().min_by_key(makespan).unwrap_or(most)
}

/// Computes a part of a product whose sizes are checked.
fn multiply_part(p: &MatmulArgs, y: &SharedSlice<f32>, part: &Part) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: AVX-512F was just detected, the sizes are checked, and the parts do not overlap.
        #[expect(unsafe_code, reason = "calls what is compiled for detected features")]
        return unsafe { avx512::multiply(p, y.as_ptr(), part) };
    }
    portable(p, y, part);
}

dispatch!(fn portable = portable_body(p: &MatmulArgs, y: &SharedSlice<f32>, part: &Part));
#[inline(always)]
fn portable_body<const FMA: bool>(p: &MatmulArgs, y: &SharedSlice<f32>, part: &Part) {
    for column in part.outputs.clone().step_by(LANES) {
        let mut r = part.rows.start;
        while r < part.rows.end {
            if r + 4 <= part.rows.end {
                tile::<FMA, 4>(p, y, r, column);
                r += 4;
            } else {
                tile::<FMA, 1>(p, y, r, column);
                r += 1;
            }
        }
    }
}

/// Multiplies rows `r` to `r + R` by the panel at `column`.
#[inline(always)]
fn tile<const FMA: bool, const R: usize>(
    p: &MatmulArgs,
    y: &SharedSlice<f32>,
    r: usize,
    column: usize,
) {
    let (panel, _) = p.panels[column * p.inputs..].as_chunks::<LANES>();
    let length = p.inputs / p.rows.segments;
    let mut sums = [[0f32; LANES]; R];
    for segment in 0..p.rows.segments {
        let from = segment * p.rows.stride;
        let x: [&[f32]; R] = std::array::from_fn(|i| {
            let at = p.rows.start(r + i) + from;
            &p.x[at..at + length]
        });
        let panel = &panel[segment * length..(segment + 1) * length];
        for (k, weights) in panel.iter().enumerate() {
            for i in 0..R {
                for lane in 0..LANES {
                    sums[i][lane] = fma::<FMA>(x[i][k], weights[lane], sums[i][lane]);
                }
            }
        }
    }
    let (width, add) = (LANES.min(p.outputs - column), p.mode == WriteMode::Add);
    for (i, sums) in sums.into_iter().enumerate() {
        let at = (r + i) * p.stride + column;
        // SAFETY: no other task writes these outputs of this row.
        #[expect(unsafe_code, reason = "each task writes its own outputs")]
        let y = unsafe { y.slice_mut(at, width) };
        // A copy of variable length would keep the sums in memory, so the lanes are stored one by one.
        let write = |y: &mut f32, sum: f32| *y = if add { *y + sum } else { sum };
        match <&mut [f32; LANES]>::try_from(&mut *y) {
            Ok(y) => {
                for (y, sum) in y.iter_mut().zip(sums) {
                    write(y, sum);
                }
            }
            Err(_) => {
                for (lane, sum) in sums.into_iter().enumerate() {
                    if let Some(y) = y.get_mut(lane) {
                        write(y, sum);
                    }
                }
            }
        }
    }
}

/// The same loops with explicit 16-lane vectors; compilers do not keep a tile this large in registers.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "loads and stores through pointers, within bounds that the caller asserts"
)]
mod avx512 {
    use std::arch::x86_64::{
        __m512, _MM_HINT_T0, _mm_prefetch, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
        _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
    };

    use super::{LANES, MatmulArgs, Part, TILE_ROWS, WriteMode};

    /// How far ahead weights are fetched, in inputs: 1 KiB of each panel. The processor's own prefetching
    /// stops at every page, which shows where the weights do not fit into the cache.
    const AHEAD: usize = 16;

    /// # Safety
    /// The caller has checked the sizes as [`MatmulArgs::check`] does, `y` points to as many elements, and
    /// no one else uses those of the part.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn multiply(p: &MatmulArgs, y: *mut f32, part: &Part) {
        let mut column = part.outputs.start;
        while column < part.outputs.end {
            if column + LANES < part.outputs.end {
                // SAFETY: sizes as required here; column + 16 < outputs, so both panels exist.
                unsafe { columns::<2>(p, y, part, column) };
                column += 2 * LANES;
            } else {
                // SAFETY: sizes as required here; column < outputs, so the panel exists.
                unsafe { columns::<1>(p, y, part, column) };
                column += LANES;
            }
        }
    }

    /// Multiplies the part's rows by the `P` panels from `column` on.
    ///
    /// # Safety
    /// As [`multiply`], and `column` + 16 (P − 1) is below `p.outputs`.
    #[target_feature(enable = "avx512f")]
    unsafe fn columns<const P: usize>(p: &MatmulArgs, y: *mut f32, part: &Part, column: usize) {
        let mut r = part.rows.start;
        let mut tiles = part.rows.len().div_ceil(TILE_ROWS);
        while r < part.rows.end {
            // As even as possible: a tile reads its panels in the time of six rows, however few it has.
            let rows = (part.rows.end - r).div_ceil(tiles);
            tiles -= 1;
            // SAFETY: sizes as required here; `rows` is at most the remaining rows, and 12.
            unsafe {
                match rows {
                    1 => tile::<1, P>(p, y, r, column),
                    2 => tile::<2, P>(p, y, r, column),
                    3 => tile::<3, P>(p, y, r, column),
                    4 => tile::<4, P>(p, y, r, column),
                    5 => tile::<5, P>(p, y, r, column),
                    6 => tile::<6, P>(p, y, r, column),
                    7 => tile::<7, P>(p, y, r, column),
                    8 => tile::<8, P>(p, y, r, column),
                    9 => tile::<9, P>(p, y, r, column),
                    10 => tile::<10, P>(p, y, r, column),
                    11 => tile::<11, P>(p, y, r, column),
                    _ => tile::<TILE_ROWS, P>(p, y, r, column),
                }
            }
            r += rows;
        }
    }

    /// Multiplies rows r to r + R by the `P` panels from `column` on.
    ///
    /// # Safety
    /// As [`columns`], and r + R is at most `p.rows.count`.
    #[target_feature(enable = "avx512f")]
    unsafe fn tile<const R: usize, const P: usize>(
        p: &MatmulArgs,
        y: *mut f32,
        r: usize,
        column: usize,
    ) {
        let length = p.inputs / p.rows.segments;
        let mut sums = [[_mm512_setzero_ps(); P]; R];
        // SAFETY: row r + i consists of segments of `length` elements in bounds of x. Panel q starts at
        // (column + 16 q) · inputs, and its `inputs` rows of 16 are in bounds. Masked loads and stores touch
        // only the outputs that exist.
        unsafe {
            let mut panel = p.panels.as_ptr().add(column * p.inputs);
            for segment in 0..p.rows.segments {
                let x: [*const f32; R] = std::array::from_fn(|i| {
                    let at = p.rows.start(r + i) + segment * p.rows.stride;
                    p.x.as_ptr().add(at)
                });
                for k in 0..length {
                    let weights: [__m512; P] = std::array::from_fn(|q| {
                        let panel = panel.add(q * p.inputs * LANES);
                        // Fetching past the end of the weights does nothing.
                        _mm_prefetch::<_MM_HINT_T0>(panel.wrapping_add(AHEAD * LANES).cast());
                        _mm512_loadu_ps(panel)
                    });
                    panel = panel.add(LANES);
                    for (x, sums) in x.iter().zip(&mut sums) {
                        let x = _mm512_set1_ps(*x.add(k));
                        for (sum, weights) in sums.iter_mut().zip(weights) {
                            *sum = _mm512_fmadd_ps(x, weights, *sum);
                        }
                    }
                }
            }
            for (i, sums) in sums.into_iter().enumerate() {
                for (q, mut sum) in sums.into_iter().enumerate() {
                    let first = column + q * LANES;
                    let mask = (u32::MAX >> (32 - LANES.min(p.outputs - first))) as u16;
                    let y = y.add((r + i) * p.stride + first);
                    if p.mode == WriteMode::Add {
                        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, y));
                    }
                    _mm512_mask_storeu_ps(y, mask, sum);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "matmul_tests.rs"]
mod tests;
