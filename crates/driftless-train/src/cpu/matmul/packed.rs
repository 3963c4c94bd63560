//! Products with `a` read down its columns.

use std::cell::RefCell;

use super::{HEIGHT, Product, Rows, SumLoop, check, multiply};
use crate::cpu::buffer::Buffer;

/// Size of `a` from which packing is worth it.
pub(super) const PACKED: usize = 1 << 13;

thread_local! {
    /// The packed `a`.
    static PANELS: RefCell<Buffer> = RefCell::default();
}

/// Computes a product with `a` read down its columns (row i starts at `a[i]`), as for the gradients of
/// weights. A large `a` is first packed into panels; otherwise each tile would touch a memory page per
/// term.
pub(in crate::cpu) fn multiply_down(p: &Product, c: &mut [f32]) {
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
        let level = |level: SumLoop, a: usize| SumLoop { a, ..level };
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
