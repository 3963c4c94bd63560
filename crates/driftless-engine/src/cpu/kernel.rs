//! The matrix product: few rows times packed panels, with the sums of a tile in registers.
//!
//! With M of 20 to 64 rows a general product spends its time packing; here the panels are packed
//! at load, the rows are read in place, and what remains is one fused multiply-add after another.

use super::matrix::{Mode, Rows};
use driftless_model::simd::{dispatch, fma};

/// Outputs in a panel.
pub(super) const LANES: usize = 16;

/// One product y ← (y +) x·W.
pub(super) struct Product<'a> {
    pub(super) x: &'a [f32],
    pub(super) rows: Rows,
    /// [outputs / 16][inputs][16].
    pub(super) panels: &'a [f32],
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// From one row of y to the next.
    pub(super) stride: usize,
    pub(super) mode: Mode,
}

/// Computes a product into `y`.
pub(super) fn multiply(p: &Product, y: &mut [f32]) {
    if p.rows.count == 0 || p.outputs == 0 {
        return;
    }
    assert!(
        p.inputs.is_multiple_of(p.rows.segments),
        "rows of another width"
    );
    // Later rows then start later, so the last one reaches furthest.
    assert!(
        (p.rows.run - 1) * p.rows.inner <= p.rows.outer,
        "rows out of order"
    );
    assert!(
        p.rows.extent(p.inputs) <= p.x.len(),
        "rows outside of the slice"
    );
    let panels = p.outputs.div_ceil(LANES) * p.inputs * LANES;
    assert!(panels <= p.panels.len(), "panels of another matrix");
    let last = (p.rows.count - 1) * p.stride + p.outputs;
    assert!(
        last <= y.len() && p.outputs <= p.stride,
        "a target of another size"
    );
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature was detected just now, and the sizes checked above.
        #[allow(unsafe_code)]
        return unsafe { avx512::multiply(p, y) };
    }
    portable(p, y);
}

dispatch!(fn portable = portable_body(p: &Product, y: &mut [f32]));
#[inline(always)]
fn portable_body<const FMA: bool>(p: &Product, y: &mut [f32]) {
    for column in (0..p.outputs).step_by(LANES) {
        let mut r = 0;
        while r < p.rows.count {
            if r + 4 <= p.rows.count {
                tile::<FMA, 4>(p, y, r, column);
                r += 4;
            } else {
                tile::<FMA, 1>(p, y, r, column);
                r += 1;
            }
        }
    }
}

/// `R` rows from `r` on times the panel at `column`.
#[inline(always)]
fn tile<const FMA: bool, const R: usize>(p: &Product, y: &mut [f32], r: usize, column: usize) {
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
    let (width, add) = (LANES.min(p.outputs - column), p.mode == Mode::Add);
    for (i, sums) in sums.into_iter().enumerate() {
        let at = (r + i) * p.stride + column;
        let y = &mut y[at..at + width];
        // Lanes are named one by one: a copy of variable length would keep the sums in memory.
        let put = |y: &mut f32, sum: f32| *y = if add { *y + sum } else { sum };
        match <&mut [f32; LANES]>::try_from(&mut *y) {
            Ok(y) => {
                for (y, sum) in y.iter_mut().zip(sums) {
                    put(y, sum);
                }
            }
            Err(_) => {
                for (lane, sum) in sums.into_iter().enumerate() {
                    if let Some(y) = y.get_mut(lane) {
                        put(y, sum);
                    }
                }
            }
        }
    }
}

/// The same loops on sixteen lanes at once; compilers do not keep a tile this large in registers
/// by themselves.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx512 {
    use std::arch::x86_64::{
        __m512, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps,
        _mm512_maskz_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
    };

    use super::{LANES, Mode, Product};

    /// # Safety
    /// The sizes were checked by [`super::multiply`].
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn multiply(p: &Product, y: &mut [f32]) {
        let mut column = 0;
        while column < p.outputs {
            if column + LANES < p.outputs {
                // SAFETY: passed on.
                unsafe { columns::<2>(p, y, column) };
                column += 2 * LANES;
            } else {
                // SAFETY: passed on.
                unsafe { columns::<1>(p, y, column) };
                column += LANES;
            }
        }
    }

    /// All rows times `P` panels from `column` on.
    ///
    /// # Safety
    /// As [`multiply`].
    #[target_feature(enable = "avx512f")]
    unsafe fn columns<const P: usize>(p: &Product, y: &mut [f32], column: usize) {
        let mut r = 0;
        while r < p.rows.count {
            // SAFETY: passed on.
            unsafe {
                r += match p.rows.count - r {
                    8.. => tile::<8, P>(p, y, r, column),
                    4.. => tile::<4, P>(p, y, r, column),
                    2.. => tile::<2, P>(p, y, r, column),
                    _ => tile::<1, P>(p, y, r, column),
                };
            }
        }
    }

    /// `R` rows times `P` panels; returns `R`.
    ///
    /// # Safety
    /// As [`multiply`], with rows r to r + R and the panels at `column` inside.
    #[target_feature(enable = "avx512f")]
    unsafe fn tile<const R: usize, const P: usize>(
        p: &Product,
        y: &mut [f32],
        r: usize,
        column: usize,
    ) -> usize {
        let length = p.inputs / p.rows.segments;
        let mut sums = [[_mm512_setzero_ps(); P]; R];
        // SAFETY: row r + i spans segments of `length` numbers inside x; panel q of the tile is
        // at (column + 16 q) · inputs, and its `inputs` rows of 16 are inside.
        unsafe {
            let mut panel = p.panels.as_ptr().add(column * p.inputs);
            for segment in 0..p.rows.segments {
                let x: [*const f32; R] = std::array::from_fn(|i| {
                    let at = p.rows.start(r + i) + segment * p.rows.stride;
                    p.x.as_ptr().add(at)
                });
                for k in 0..length {
                    let weights: [__m512; P] =
                        std::array::from_fn(|q| _mm512_loadu_ps(panel.add(q * p.inputs * LANES)));
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
                    let y = y.as_mut_ptr().add((r + i) * p.stride + first);
                    if p.mode == Mode::Add {
                        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, y));
                    }
                    _mm512_mask_storeu_ps(y, mask, sum);
                }
            }
        }
        R
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize, salt: usize) -> Vec<f32> {
        (0..count)
            .map(|i| ((i * 7919 + salt * 104_729) % 211) as f32 / 100.0 - 1.0)
            .collect()
    }

    fn check(rows: Rows, inputs: usize, outputs: usize, stride: usize, mode: Mode) {
        let x = values(rows.extent(inputs), 1);
        let weight = values(outputs * inputs, 2);
        let padded = outputs.div_ceil(LANES) * LANES;
        let mut panels = vec![0f32; padded * inputs];
        for (at, w) in weight.iter().enumerate() {
            let (o, i) = (at / inputs, at % inputs);
            panels[(o / LANES * inputs + i) * LANES + o % LANES] = *w;
        }
        let product = Product {
            x: &x,
            rows,
            panels: &panels,
            inputs,
            outputs,
            stride,
            mode,
        };
        let old = values(rows.count * stride, 3);
        let length = inputs / rows.segments;
        let mut expected = old.clone();
        for r in 0..rows.count {
            for o in 0..outputs {
                let sum: f32 = (0..inputs)
                    .map(|i| {
                        let at = rows.start(r) + i / length * rows.stride + i % length;
                        x[at] * weight[o * inputs + i]
                    })
                    .sum();
                let y = &mut expected[r * stride + o];
                *y = sum + if mode == Mode::Add { *y } else { 0.0 };
            }
        }
        for kernel in [multiply, portable, portable_body::<false>] {
            let mut y = old.clone();
            kernel(&product, &mut y);
            for (y, expected) in y.iter().zip(&expected) {
                assert!((y - expected).abs() < 1e-4, "{y} instead of {expected}");
            }
        }
    }

    #[test]
    fn products_of_awkward_sizes_equal_plain_sums() {
        for count in 1..=20 {
            check(Rows::plain(count, 7), 5, 37, 40, Mode::Set);
        }
        for outputs in 1..=50 {
            check(Rows::plain(3, 19), 19, outputs, outputs, Mode::Add);
        }
        check(Rows::plain(4, 3), 0, 5, 5, Mode::Set);
    }

    #[test]
    fn blocks_of_a_grid_are_read_in_place() {
        check(Rows::blocks([4, 6], 2, 5), 20, 17, 17, Mode::Set);
        check(Rows::blocks([6, 3], 3, 1), 9, 16, 16, Mode::Add);
    }
}
