//! Muon's Newton–Schulz iteration, as `orthogonalize` in [`crate::optimizer`].
//!
//! It works on the tall matrix Y (X or Xᵀ), for which no product needs a transpose: G = Yᵀ Y, then
//! Y ← a Y + Y (b G + c G²).

use super::buffer::Buffer;
use super::matmul::{PANEL, Product, Rows, multiply, single_loop};
use super::row_ops::{axpy, scale};
use super::update_rules::sum_of_squares;

/// The coefficients of Jordan et al.
const COEFFICIENTS: (f32, f32, f32) = (3.4445, -4.7750, 2.0315);
const ITERATIONS: usize = 5;

/// Buffers for matrices of any size.
#[derive(Default)]
pub(crate) struct Orthogonalizer {
    y: Buffer,
    next: Buffer,
    gram: Buffer,
    square: Buffer,
}

fn grow(buffer: &mut Buffer, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        *buffer = Buffer::new(len);
    }
    &mut buffer[..len]
}

impl Orthogonalizer {
    /// Orthogonalizes the matrix x [rows, columns] in place.
    pub(crate) fn orthogonalize(&mut self, rows: usize, columns: usize, x: &mut [f32]) {
        let (tall, short) = (rows.max(columns), rows.min(columns));
        let mut y = grow(&mut self.y, tall * short);
        let mut next = grow(&mut self.next, tall * short);
        let gram = grow(&mut self.gram, short * short);
        let square = grow(&mut self.square, short * short);
        if rows >= columns {
            y.copy_from_slice(x);
        } else {
            transpose(rows, columns, x, y);
        }
        let norm = sum_of_squares(y).sqrt() as f32;
        scale(1.0 / (norm + 1e-7), y);
        let (a, b, c) = COEFFICIENTS;
        for _ in 0..ITERATIONS {
            let product = |size, a, rows, b, inner| Product {
                size,
                a,
                rows,
                b,
                panel: PANEL,
                sum: inner,
                stride: short,
                add: false,
            };
            let sum = single_loop(tall, short, short);
            let p = product([short, short], y, Rows::Every(1), y, sum);
            multiply(&p, gram);
            let inner = single_loop(short, 1, short);
            let p = product([short, short], gram, Rows::Every(short), gram, inner);
            multiply(&p, square);
            scale(c, square);
            axpy(b, gram, square);
            let p = product([tall, short], y, Rows::Every(short), square, inner);
            multiply(&p, next);
            axpy(a, y, next);
            std::mem::swap(&mut y, &mut next);
        }
        if rows >= columns {
            x.copy_from_slice(y);
        } else {
            transpose(columns, rows, y, x);
        }
    }
}

/// Transposes x [rows, columns].
fn transpose(rows: usize, columns: usize, x: &[f32], out: &mut [f32]) {
    /// Side of a square block that fits into the cache.
    const SIDE: usize = 16;
    for top in (0..rows).step_by(SIDE) {
        for left in (0..columns).step_by(SIDE) {
            for r in top..rows.min(top + SIDE) {
                for c in left..columns.min(left + SIDE) {
                    out[c * rows + r] = x[r * columns + c];
                }
            }
        }
    }
}
