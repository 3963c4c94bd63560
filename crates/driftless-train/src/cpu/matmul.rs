//! The matrix product c = a·b or c += a·b, on which all layers are built. The sums of a tile of c stay
//! in registers.
//!
//! `a` is read number by number and `b` in vectors along its rows, in place and with any strides. So
//! one kernel computes y = x Wᵀ (with a packed weight as `b`), dx = dy W, dW = dyᵀ x (with `a`
//! read down its columns), the small products of attention, and 3×3 convolutions, whose rows are
//! parts of a padded grid.

#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "loads and stores through pointers, within bounds that the caller checks"
)]
mod avx512;
mod packed;
#[cfg(test)]
mod tests;

pub(super) use self::packed::multiply_down;
use super::simd::vectorized;
#[cfg(target_arch = "x86_64")]
use super::simd::{InstructionSet, instruction_set};
use driftless_model::simd::fma;

/// Width of a panel of `b`, and of the largest tile.
pub(super) const PANEL: usize = 32;
/// Height of a packed panel of `a`, and of the largest tile.
const HEIGHT: usize = 12;
/// Numbers per vector.
pub(super) const LANES: usize = 16;

/// Where the rows of `a` start.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rows<'a> {
    /// Row i at `i · stride`.
    Every(usize),
    /// Row i at the i-th index.
    At(&'a [usize]),
    /// Interleaved in panels of [`HEIGHT`] rows, which are this far apart.
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
            // The last row of a panel may start after the first row of the next.
            Self::Panels(_) => (0..count).map(|i| self.start(i)).max().unwrap_or(0),
        }
    }
}

/// One of three nested loops over the terms of a sum: `count` iterations with these strides in `a`
/// and `b`.
#[derive(Clone, Copy, Debug)]
pub(super) struct SumLoop {
    pub count: usize,
    pub a: usize,
    pub b: usize,
}

impl SumLoop {
    /// A loop of one iteration.
    pub const ONE: Self = Self {
        count: 1,
        a: 0,
        b: 0,
    };
}

/// c[i, j] = Σ a[rows(i) + …] · b[panel(j) + …] over three nested loops.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    /// Rows and columns of `c`.
    pub size: [usize; 2],
    pub a: &'a [f32],
    pub rows: Rows<'a>,
    pub b: &'a [f32],
    /// Distance between two panels of `b` (32 columns each): 32 if `b` is row-major.
    pub panel: usize,
    /// Outer, middle and inner loop.
    pub sum: [SumLoop; 3],
    /// Distance between two rows of `c`.
    pub stride: usize,
    /// Whether to add the product to `c`.
    pub add: bool,
}

/// A single loop over `count` terms with strides `a` and `b`.
pub(super) fn single_loop(count: usize, a: usize, b: usize) -> [SumLoop; 3] {
    [SumLoop::ONE, SumLoop::ONE, SumLoop { count, a, b }]
}

/// Computes a product.
pub(super) fn multiply(p: &Product, c: &mut [f32]) {
    if check(p, c.len()) {
        kernel(p, c);
    }
}

/// Checks that the loops access no index out of bounds; false if `c` is empty.
fn check(p: &Product, len: usize) -> bool {
    let [m, n] = p.size;
    if m == 0 || n == 0 {
        return false;
    }
    assert!(p.sum.iter().all(|l| l.count > 0), "an empty sum");
    let reach =
        |of: fn(&SumLoop) -> usize| -> usize { p.sum.iter().map(|l| (l.count - 1) * of(l)).sum() };
    let a = p.rows.last(m) + reach(|l| l.a);
    assert!(a < p.a.len(), "rows outside of the left factor");
    let b = (n - 1) / PANEL * p.panel + (n - 1) % PANEL + reach(|l| l.b);
    // A full panel may reach further than that of the last column.
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
    if instruction_set() == InstructionSet::Avx512 {
        // SAFETY: `instruction_set` detected the feature, and `check` bounds all indices.
        #[expect(unsafe_code, reason = "calls what is compiled for detected features")]
        return unsafe { avx512::multiply(p, c) };
    }
    narrow(p, c);
}

vectorized!(fn narrow = narrow_body(p: &Product, c: &mut [f32]));
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
        // SAFETY: `check` bounds all indices of the tile.
        #[expect(unsafe_code, reason = "no bounds checks in the innermost loop")]
        unsafe {
            i += match m - i {
                4.. => tile::<FMA, 4, W>(p, c, i, column),
                _ => tile::<FMA, 1, W>(p, c, i, column),
            };
        }
    }
    W
}

/// `R` rows from `i` on times `W` columns from `column` on, within one panel; returns `R`.
///
/// # Safety
/// [`check`] returned true, and the tile is inside `c`.
#[expect(unsafe_code, reason = "no bounds checks in the innermost loop")]
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
                // SAFETY: `check` bounds the indices of `a` and `b`. Checked access is slower by a
                // fifth (measured with AVX2).
                let lanes = unsafe { p.b.get_unchecked(b..b + W) };
                for r in 0..R {
                    // SAFETY: `check` bounds the index of `a` for every row of the tile.
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
