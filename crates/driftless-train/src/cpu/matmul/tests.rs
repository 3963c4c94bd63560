//! Products of many shapes compared with plain loops.

use super::packed::{PACKED, multiply_down};
use super::*;
use crate::cpu::simd;

fn values(count: usize, salt: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * 7919 + salt * 104_729) % 211) as f32 / 100.0 - 1.0)
        .collect()
}

/// Compares with plain loops. The slices are exactly as long as the product may read.
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
    simd::tests::each(|lanes| {
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
        sum: single_loop(k, 1, n),
        stride: n + 3,
        add,
    };
    check(&product);
    // The same with `a` read down its columns.
    check(&Product {
        rows: Rows::Every(1),
        sum: single_loop(k, m, n),
        ..product
    });
}

#[test]
fn packing_changes_no_bit() {
    for (m, n) in [(12, 40), (31, 33), (100, 64)] {
        let level = |count, a, b| SumLoop { count, a, b };
        let sum = [
            level(3, 60 * m, 55 * n),
            level(5, 9 * m, 11 * n),
            level(8, m, n),
        ];
        let reach: usize = 2 * 60 + 4 * 9 + 7;
        let (a, b) = (values((reach + 1) * m, 1), values(170 * n, 2));
        // Large enough by repeating the terms.
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
        simd::tests::each(|lanes| {
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
fn odd_sizes_match_plain_loops() {
    for m in 1..=27 {
        plain_product(m, 37, 5, false);
    }
    for n in 1..=70 {
        plain_product(3, n, 7, true);
    }
    plain_product(13, 64, 1, false);
}

#[test]
fn any_rows_and_nested_loops_match() {
    let starts = [7, 0, 12, 3, 3];
    let level = |count, a, b| SumLoop { count, a, b };
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
fn out_of_bounds_sum_panics() {
    let (a, b) = (values(4, 1), values(7, 2));
    let product = Product {
        size: [1, 2],
        a: &a,
        rows: Rows::Every(4),
        b: &b,
        panel: PANEL,
        sum: single_loop(4, 1, 2),
        stride: 2,
        add: false,
    };
    multiply(&product, &mut [0.0; 2]);
}
