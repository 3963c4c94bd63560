//! The matrix product that everything else is made of: c (+)= a·b with the sums of a tile in registers.
//!
//! `a` is read number by number and `b` in vectors along a row, both in place and with any strides.
//! So one loop serves y = x Wᵀ (`b` a packed weight), dx = dy W, dW = dyᵀ x (`a` read down its
//! columns), the small products of attention, and 3×3 convolutions, whose rows are pieces of a
//! padded grid.

use std::cell::RefCell;

use super::buffer::Buffer;
use super::lanes::{Lanes, lanes, vectorised};
use crate::model::simd::fma;

/// Columns of a panel: what a tile is wide.
pub(super) const PANEL: usize = 32;
/// Rows of a panel of the left factor: what the largest tile is high.
const HEIGHT: usize = 12;
/// From so many numbers of the left factor on, packing it pays.
const PACKED: usize = 1 << 13;
/// Numbers in a vector.
pub(super) const LANES: usize = 16;

/// Where the rows of the left factor start.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rows<'a> {
    /// Row i at `i · stride`.
    Every(usize),
    /// Row i at its own place.
    At(&'a [usize]),
    /// Rows side by side in panels of [`HEIGHT`], so far apart.
    Panels(usize),
}

impl Rows<'_> {
    #[inline(always)]
    fn start(&self, i: usize) -> usize {
        match self {
            Self::Every(stride) => i * stride,
            Self::At(starts) => starts.get(i).copied().unwrap_or(0),
            Self::Panels(stride) => i / HEIGHT * stride + i % HEIGHT,
        }
    }

    fn last(&self, count: usize) -> usize {
        match self {
            Self::Every(stride) => (count - 1) * stride,
            Self::At(starts) => {
                assert!(count <= starts.len(), "more rows than starts");
                starts.iter().take(count).copied().max().unwrap_or(0)
            }
            // The last row of a panel may lie behind the first one of the next.
            Self::Panels(_) => (0..count).map(|i| self.start(i)).max().unwrap_or(0),
        }
    }
}

/// One level of the sum: `count` terms (or runs of terms), so far apart in `a` and in `b`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub count: usize,
    pub a: usize,
    pub b: usize,
}

impl Level {
    /// A level of one element.
    pub const ONE: Self = Self {
        count: 1,
        a: 0,
        b: 0,
    };
}

/// c[i, j] (+)= Σ a[rows(i) + …] · b[panel(j) + …] over three nested levels of the sum.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    /// Rows and columns of `c`.
    pub size: [usize; 2],
    pub a: &'a [f32],
    pub rows: Rows<'a>,
    pub b: &'a [f32],
    /// From one panel of `b` (32 columns) to the next: 32 where `b` is row-major.
    pub panel: usize,
    /// Outer, middle and inner level.
    pub sum: [Level; 3],
    /// From one row of `c` to the next.
    pub stride: usize,
    /// Whether `c` keeps what it holds, and the product is added.
    pub add: bool,
}

/// Sums over one level: `count` numbers, `a` and `b` apart.
pub(super) fn plain(count: usize, a: usize, b: usize) -> [Level; 3] {
    [Level::ONE, Level::ONE, Level { count, a, b }]
}

/// Computes a product into `c`.
pub(super) fn multiply(p: &Product, c: &mut [f32]) {
    if check(p, c.len()) {
        kernel(p, c);
    }
}

thread_local! {
    /// A left factor in panels.
    static PANELS: RefCell<Buffer> = RefCell::default();
}

/// Computes a product whose `a` is read down its columns (row i starts at `a[i]`), as the gradients of
/// weights are. A large `a` is first packed into panels: read in place, each tile would touch a page
/// for every term of its sum.
pub(super) fn multiply_down(p: &Product, c: &mut [f32]) {
    let [outer, middle, inner] = p.sum;
    let (m, terms) = (p.size[0], outer.count * middle.count * inner.count);
    if m * terms < PACKED || !check(p, c.len()) {
        return multiply(p, c);
    }
    PANELS.with_borrow_mut(|panels| {
        let stride = terms * HEIGHT;
        let len = m.div_ceil(HEIGHT) * stride;
        if panels.len() < len {
            *panels = Buffer::new(len);
        }
        for (panel, first) in panels.chunks_exact_mut(stride).zip((0..m).step_by(HEIGHT)) {
            let height = HEIGHT.min(m - first);
            let mut rows = panel.chunks_exact_mut(HEIGHT);
            for o in 0..outer.count {
                for q in 0..middle.count {
                    let start = first + o * outer.a + q * middle.a;
                    for (k, row) in rows.by_ref().take(inner.count).enumerate() {
                        let from = &p.a[start + k * inner.a..][..height];
                        match <&[f32; HEIGHT]>::try_from(from) {
                            Ok(whole) => row.copy_from_slice(whole),
                            Err(_) => row[..height].copy_from_slice(from),
                        }
                    }
                }
            }
        }
        let level = |level: Level, a: usize| Level { a, ..level };
        let packed = Product {
            a: panels,
            rows: Rows::Panels(stride),
            sum: [
                level(outer, middle.count * inner.count * HEIGHT),
                level(middle, inner.count * HEIGHT),
                level(inner, HEIGHT),
            ],
            ..*p
        };
        multiply(&packed, c);
    });
}

/// Whether there is anything to do; after this every index of the loops lies inside.
fn check(p: &Product, len: usize) -> bool {
    let [m, n] = p.size;
    if m == 0 || n == 0 {
        return false;
    }
    assert!(p.sum.iter().all(|l| l.count > 0), "an empty sum");
    let reach =
        |of: fn(&Level) -> usize| -> usize { p.sum.iter().map(|l| (l.count - 1) * of(l)).sum() };
    let a = p.rows.last(m) + reach(|l| l.a);
    assert!(a < p.a.len(), "rows outside of the left factor");
    let b = (n - 1) / PANEL * p.panel + (n - 1) % PANEL + reach(|l| l.b);
    // A full panel may reach further than the last column's.
    let full = match n / PANEL {
        0 => 0,
        panels => (panels - 1) * p.panel + PANEL - 1 + reach(|l| l.b),
    };
    assert!(
        b.max(full) < p.b.len(),
        "columns outside of the right factor"
    );
    assert!(n <= p.stride || m == 1, "rows of the target overlap");
    assert!((m - 1) * p.stride + n <= len, "a target of another size");
    true
}

fn kernel(p: &Product, c: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if lanes() == Lanes::Wide {
        // SAFETY: `lanes` detected the feature, and `check` has seen to the sizes.
        #[allow(unsafe_code)]
        return unsafe { avx512::multiply(p, c) };
    }
    narrow(p, c);
}

vectorised!(fn narrow = narrow_body(p: &Product, c: &mut [f32]));
#[inline(always)]
fn narrow_body<const FMA: bool>(p: &Product, c: &mut [f32]) {
    let n = p.size[1];
    let mut column = 0;
    while column < n {
        column += match n - column {
            LANES.. => strip::<FMA, LANES>(p, c, column),
            8.. => strip::<FMA, 8>(p, c, column),
            4.. => strip::<FMA, 4>(p, c, column),
            _ => strip::<FMA, 1>(p, c, column),
        };
    }
}

/// All rows times `W` columns from `column` on; returns `W`.
#[inline(always)]
fn strip<const FMA: bool, const W: usize>(p: &Product, c: &mut [f32], column: usize) -> usize {
    let m = p.size[0];
    let mut i = 0;
    while i < m {
        // SAFETY: `check` has seen to it that all of the tile's indices lie inside.
        #[allow(unsafe_code)]
        unsafe {
            i += match m - i {
                4.. => tile::<FMA, 4, W>(p, c, i, column),
                _ => tile::<FMA, 1, W>(p, c, i, column),
            };
        }
    }
    W
}

/// `R` rows from `i` on times `W` columns from `column` on, which lie in one panel; returns `R`.
///
/// # Safety
/// The sizes were checked by [`check`], and the tile lies inside of `c`.
#[allow(unsafe_code)]
#[inline(always)]
unsafe fn tile<const FMA: bool, const R: usize, const W: usize>(
    p: &Product,
    c: &mut [f32],
    i: usize,
    column: usize,
) -> usize {
    let mut sums = [[0f32; W]; R];
    let rows: [usize; R] = std::array::from_fn(|r| p.rows.start(i + r));
    let first = column / PANEL * p.panel + column % PANEL;
    let [outer, middle, inner] = p.sum;
    for o in 0..outer.count {
        for q in 0..middle.count {
            let mut a = o * outer.a + q * middle.a;
            let mut b = first + o * outer.b + q * middle.b;
            for _ in 0..inner.count {
                // SAFETY: `check` bounds the largest index of `a` and of `b`. Unchecked, since
                // checks cost a fifth of the speed (measured with AVX2).
                let lanes = unsafe { p.b.get_unchecked(b..b + W) };
                for r in 0..R {
                    // SAFETY: as above.
                    let x = unsafe { *p.a.get_unchecked(rows[r] + a) };
                    for lane in 0..W {
                        sums[r][lane] = fma::<FMA>(x, lanes[lane], sums[r][lane]);
                    }
                }
                a += inner.a;
                b += inner.b;
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        let at = (i + r) * p.stride + column;
        for (c, sum) in c[at..at + W].iter_mut().zip(sums) {
            *c = if p.add { *c + sum } else { *sum };
        }
    }
    R
}

/// The same loops with sixteen lanes and a tile of up to 12×32 numbers; compilers do not keep one
/// that large in registers by themselves.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx512 {
    use std::arch::x86_64::{
        __m512, _MM_HINT_T0, _mm_prefetch, _mm512_add_ps, _mm512_fmadd_ps, _mm512_mask_storeu_ps,
        _mm512_maskz_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
    };

    use super::{LANES, PANEL, Product};

    /// # Safety
    /// The sizes were checked by [`super::check`].
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn multiply(p: &Product, c: &mut [f32]) {
        let n = p.size[1];
        for column in (0..n).step_by(PANEL) {
            // SAFETY: passed on.
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
    /// As [`multiply`].
    #[target_feature(enable = "avx512f")]
    unsafe fn columns<const P: usize, const WHOLE: bool>(
        p: &Product,
        c: &mut [f32],
        column: usize,
    ) {
        let m = p.size[0];
        let mut i = 0;
        while i < m {
            // SAFETY: passed on.
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

    /// `R` rows times `P` vectors of columns, cut off at the last column unless `WHOLE`; returns `R`.
    ///
    /// # Safety
    /// As [`multiply`], with rows i to i + R inside.
    #[target_feature(enable = "avx512f")]
    unsafe fn tile<const R: usize, const P: usize, const WHOLE: bool>(
        p: &Product,
        c: &mut [f32],
        i: usize,
        column: usize,
    ) -> usize {
        let left = p.size[1] - column;
        let mask: [u16; P] = std::array::from_fn(|q| match WHOLE {
            true => u16::MAX,
            false => (u32::MAX >> (32 - LANES.min(left - q * LANES))) as u16,
        });
        let mut sums = [[_mm512_setzero_ps(); P]; R];
        let [outer, middle, inner] = p.sum;
        // SAFETY: `check` bounds the largest index of `a`, of `b` and of `c`; masked lanes are
        // neither read nor written.
        unsafe {
            let rows: [*const f32; R] =
                std::array::from_fn(|r| p.a.as_ptr().add(p.rows.start(i + r)));
            let first = p.b.as_ptr().add(column / PANEL * p.panel);
            if p.add {
                // The target of a weight's gradient has seldom stayed in the cache.
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
                        let lanes: [__m512; P] = std::array::from_fn(|q| {
                            _mm512_maskz_loadu_ps(mask[q], b.add(q * LANES))
                        });
                        for (row, sums) in rows.iter().zip(&mut sums) {
                            let x = _mm512_set1_ps(*row.add(a));
                            for (sum, lanes) in sums.iter_mut().zip(lanes) {
                                *sum = _mm512_fmadd_ps(x, lanes, *sum);
                            }
                        }
                        a += inner.a;
                        // Behind the last term it may point past the end, where nothing is read.
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::cpu::lanes;

    fn values(count: usize, salt: usize) -> Vec<f32> {
        (0..count)
            .map(|i| ((i * 7919 + salt * 104_729) % 211) as f32 / 100.0 - 1.0)
            .collect()
    }

    /// Compares with plain sums, on exactly as many numbers as the product may read.
    fn check(p: &Product) {
        let [m, n] = p.size;
        let old = values((m - 1) * p.stride + n, 3);
        let mut expected = old.clone();
        let [outer, middle, inner] = p.sum;
        for i in 0..m {
            for j in 0..n {
                let mut sum = 0.0;
                for o in 0..outer.count {
                    for q in 0..middle.count {
                        for k in 0..inner.count {
                            let a = p.rows.start(i) + o * outer.a + q * middle.a + k * inner.a;
                            let b = j / PANEL * p.panel + j % PANEL;
                            let b = b + o * outer.b + q * middle.b + k * inner.b;
                            sum += p.a[a] * p.b[b];
                        }
                    }
                }
                let c = &mut expected[i * p.stride + j];
                *c = if p.add { *c + sum } else { sum };
            }
        }
        lanes::tests::each(|lanes| {
            let mut c = old.clone();
            multiply(p, &mut c);
            for (c, expected) in c.iter().zip(&expected) {
                assert!(
                    (c - expected).abs() < 1e-4,
                    "{lanes:?}: {c}, not {expected}"
                );
            }
        });
    }

    fn plain_product(m: usize, n: usize, k: usize, add: bool) {
        let (a, b) = (values(m * k, 1), values(k * n, 2));
        let product = Product {
            size: [m, n],
            a: &a,
            rows: Rows::Every(k),
            b: &b,
            panel: PANEL,
            sum: plain(k, 1, n),
            stride: n + 3,
            add,
        };
        check(&product);
        // The same numbers, `a` read down its columns.
        check(&Product {
            rows: Rows::Every(1),
            sum: plain(k, m, n),
            ..product
        });
    }

    #[test]
    fn a_packed_left_factor_changes_no_bit() {
        for (m, n) in [(12, 40), (31, 33), (100, 64)] {
            let level = |count, a, b| Level { count, a, b };
            let sum = [
                level(3, 60 * m, 55 * n),
                level(5, 9 * m, 11 * n),
                level(8, m, n),
            ];
            let reach: usize = 2 * 60 + 4 * 9 + 7;
            let (a, b) = (values((reach + 1) * m, 1), values(170 * n, 2));
            // A large enough one, repeated.
            let terms = [level(200, 0, 0), sum[1], sum[2]];
            let product = Product {
                size: [m, n],
                a: &a,
                rows: Rows::Every(1),
                b: &b,
                panel: PANEL,
                sum: terms,
                stride: n,
                add: true,
            };
            assert!(m * 200 * 40 >= PACKED);
            lanes::tests::each(|lanes| {
                let (mut c, mut packed) = (values(m * n, 3), values(m * n, 3));
                multiply(&product, &mut c);
                multiply_down(&product, &mut packed);
                assert!(c == packed, "{lanes:?}, {m}x{n}");
                let product = Product { sum, ..product };
                let mut c = values(m * n, 3);
                multiply_down(&product, &mut c);
                let mut expected = values(m * n, 3);
                multiply(&product, &mut expected);
                assert!(c == expected, "{lanes:?}, {m}x{n}, nested");
            });
        }
    }

    #[test]
    fn products_of_awkward_sizes_equal_plain_sums() {
        for m in 1..=27 {
            plain_product(m, 37, 5, false);
        }
        for n in 1..=70 {
            plain_product(3, n, 7, true);
        }
        plain_product(13, 64, 1, false);
    }

    #[test]
    fn rows_anywhere_and_nested_sums_equal_plain_sums() {
        let starts = [7, 0, 12, 3, 3];
        let level = |count, a, b| Level { count, a, b };
        let (a, b) = (values(12 + 20 + 9 + 4 + 1, 1), values(300, 2));
        check(&Product {
            size: [5, 33],
            a: &a,
            rows: Rows::At(&starts),
            b: &b,
            panel: 40,
            sum: [level(2, 20, 100), level(4, 3, 10), level(3, 2, 45)],
            stride: 33,
            add: false,
        });
    }

    #[test]
    #[should_panic(expected = "columns outside")]
    fn a_sum_that_reaches_too_far_is_refused() {
        let (a, b) = (values(4, 1), values(7, 2));
        let product = Product {
            size: [1, 2],
            a: &a,
            rows: Rows::Every(4),
            b: &b,
            panel: PANEL,
            sum: plain(4, 1, 2),
            stride: 2,
            add: false,
        };
        multiply(&product, &mut [0.0; 2]);
    }
}
