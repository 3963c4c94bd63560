//! The same kernel with AVX-512 and tiles of up to 12×32 numbers, written with intrinsics because
//! the compiler does not keep a tile of this size in registers.

use std::arch::x86_64::{
    __m512, _MM_HINT_T0, _mm_prefetch, _mm512_add_ps, _mm512_fmadd_ps, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
};

use super::{LANES, PANEL, Product};

/// # Safety
/// [`super::check`] returned true.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn multiply(p: &Product, c: &mut [f32]) {
    let n = p.size[1];
    for column in (0..n).step_by(PANEL) {
        // SAFETY: the caller has checked `p`, and `column` is below its number of columns.
        unsafe {
            match n - column {
                PANEL.. => columns::<2, true>(p, c, column),
                17.. => columns::<2, false>(p, c, column),
                _ => columns::<1, false>(p, c, column),
            }
        }
    }
}

/// All rows times `P` vectors of columns from `column` on.
///
/// # Safety
/// As for [`multiply`].
#[target_feature(enable = "avx512f")]
unsafe fn columns<const P: usize, const WHOLE: bool>(p: &Product, c: &mut [f32], column: usize) {
    let m = p.size[0];
    let mut i = 0;
    while i < m {
        // SAFETY: the caller has checked `p`, and each tile has at most the rows that are left.
        unsafe {
            i += match m - i {
                12.. => tile::<12, P, WHOLE>(p, c, i, column),
                8.. => tile::<8, P, WHOLE>(p, c, i, column),
                4.. => tile::<4, P, WHOLE>(p, c, i, column),
                2.. => tile::<2, P, WHOLE>(p, c, i, column),
                _ => tile::<1, P, WHOLE>(p, c, i, column),
            };
        }
    }
}

/// `R` rows times `P` vectors of columns, masked at the last column unless `WHOLE`; returns `R`.
///
/// # Safety
/// As for [`multiply`], and rows i to i + R are inside.
#[target_feature(enable = "avx512f")]
unsafe fn tile<const R: usize, const P: usize, const WHOLE: bool>(
    p: &Product,
    c: &mut [f32],
    i: usize,
    column: usize,
) -> usize {
    let left = p.size[1] - column;
    let mask: [u16; P] =
        std::array::from_fn(|q| lane_mask(if WHOLE { LANES } else { left - q * LANES }));
    let mut sums = [[_mm512_setzero_ps(); P]; R];
    let [outer, middle, inner] = p.sum;
    // SAFETY: `check` bounds the indices of `a`, `b` and `c`; masked lanes are neither read nor
    // written.
    unsafe {
        let rows: [*const f32; R] = std::array::from_fn(|r| p.a.as_ptr().add(p.rows.start(i + r)));
        let first = p.b.as_ptr().add(column / PANEL * p.panel);
        if p.add {
            // The gradient of a weight is rarely still in the cache.
            for r in 0..R {
                let c = c.as_ptr().add((i + r) * p.stride + column);
                _mm_prefetch::<_MM_HINT_T0>(c.cast());
                _mm_prefetch::<_MM_HINT_T0>(c.wrapping_add(LANES).cast());
                _mm_prefetch::<_MM_HINT_T0>(c.wrapping_add(P * LANES - 1).cast());
            }
        }
        for o in 0..outer.count {
            for q in 0..middle.count {
                let mut a = o * outer.a + q * middle.a;
                let mut b = first.add(o * outer.b + q * middle.b);
                for _ in 0..inner.count {
                    let lanes: [__m512; P] =
                        std::array::from_fn(|q| _mm512_maskz_loadu_ps(mask[q], b.add(q * LANES)));
                    for (row, sums) in rows.iter().zip(&mut sums) {
                        let x = _mm512_set1_ps(*row.add(a));
                        for (sum, lanes) in sums.iter_mut().zip(lanes) {
                            *sum = _mm512_fmadd_ps(x, lanes, *sum);
                        }
                    }
                    a += inner.a;
                    // After the last term it may point past the end, where nothing is read.
                    b = b.wrapping_add(inner.b);
                }
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            for (q, mut sum) in sums.into_iter().enumerate() {
                let c = c.as_mut_ptr().add((i + r) * p.stride + column + q * LANES);
                if p.add {
                    sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask[q], c));
                }
                _mm512_mask_storeu_ps(c, mask[q], sum);
            }
        }
    }
    R
}

/// A mask of the first `lanes` lanes, or of all.
fn lane_mask(lanes: usize) -> u16 {
    (u32::MAX >> (32 - LANES.min(lanes))) as u16
}
