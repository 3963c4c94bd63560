//! Matrix products against a plain loop, and their parts against the whole.

use super::*;

fn values(count: usize, salt: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * 7919 + salt * 104_729) % 211) as f32 / 100.0 - 1.0)
        .collect()
}

fn check_product(rows: RowLayout, inputs: usize, outputs: usize, stride: usize, mode: WriteMode) {
    let x = values(rows.extent(inputs), 1);
    let weight = values(outputs * inputs, 2);
    let padded = outputs.div_ceil(LANES) * LANES;
    let mut panels = vec![0f32; padded * inputs];
    for (at, w) in weight.iter().enumerate() {
        let (o, i) = (at / inputs, at % inputs);
        panels[(o / LANES * inputs + i) * LANES + o % LANES] = *w;
    }
    let product = MatmulArgs {
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
            *y = sum + if mode == WriteMode::Add { *y } else { 0.0 };
        }
    }
    for kernel in [multiply_part, portable, portable_body::<false>] {
        let compute = |parts: &Parts| {
            let mut y = old.clone();
            let shared = SharedSlice::new(&mut y);
            for index in 0..parts.count() {
                kernel(&product, &shared, &parts.part(&product, index));
            }
            y
        };
        let y = compute(&Parts::new(&product, 1, 1));
        for (y, expected) in y.iter().zip(&expected) {
            assert!((y - expected).abs() < 1e-4, "{y}, expected {expected}");
        }
        for (columns, blocks) in [(1, 2), (2, 1), (3, 3)] {
            let panels = outputs.div_ceil(LANES).div_ceil(columns);
            let parts = Parts {
                columns: outputs.div_ceil(LANES).div_ceil(panels),
                blocks,
                panels,
            };
            assert!(y == compute(&parts), "{columns} columns, {blocks} blocks");
        }
    }
}

#[test]
fn parts_share_the_work() {
    let parts = |count: usize, inputs: usize, outputs: usize, threads: usize| {
        let (x, panels) = (
            vec![0.0; count * inputs],
            vec![0.0; outputs.div_ceil(LANES) * inputs * LANES],
        );
        let product = MatmulArgs {
            x: &x,
            rows: RowLayout::contiguous(count, inputs),
            panels: &panels,
            inputs,
            outputs,
            stride: outputs,
            mode: WriteMode::Set,
        };
        let parts = Parts::new(&product, threads, 1 << 17);
        (parts.columns, parts.blocks)
    };
    assert_eq!(parts(68, 384, 1152, 1), (1, 1), "one thread");
    assert_eq!(parts(68, 384, 1152, 2), (2, 1), "columns");
    assert_eq!(parts(256, 576, 64, 3), (2, 4), "few columns");
    assert_eq!(parts(1, 8, 384, 2), (1, 1), "not worth sharing");
}

#[test]
fn shares_are_even() {
    assert_eq!(share(10, 2, 9), 5);
    assert_eq!(share(9, 2, 9), 5);
    assert_eq!(share(7, 3, 9), 3);
    assert_eq!(share(12, 8, 100), 2);
    assert_eq!(share(10, 2, 1), 10, "one task");
    assert_eq!(share(1, 4, 100), 1);
}

#[test]
fn threads_agree() {
    let (rows, inputs, outputs) = (37, 190, 203);
    let (x, panels) = (values(rows * inputs, 1), values(208 * inputs, 2));
    let product = MatmulArgs {
        x: &x,
        rows: RowLayout::contiguous(rows, inputs),
        panels: &panels,
        inputs,
        outputs,
        stride: outputs,
        mode: WriteMode::Add,
    };
    let compute = |threads: usize| {
        let mut y = values(rows * outputs, 3);
        multiply_on(&Workers::new(threads).unwrap(), &product, &mut y);
        y
    };
    let alone = compute(1);
    for threads in [2, 3, 5] {
        assert!(compute(threads) == alone, "{threads} threads");
    }
}

#[test]
fn odd_sizes_match_reference() {
    for count in 1..=20 {
        check_product(RowLayout::contiguous(count, 7), 5, 37, 40, WriteMode::Set);
    }
    for outputs in 1..=50 {
        check_product(
            RowLayout::contiguous(3, 19),
            19,
            outputs,
            outputs,
            WriteMode::Add,
        );
    }
    check_product(RowLayout::contiguous(4, 3), 0, 5, 5, WriteMode::Set);
}

#[test]
fn grid_blocks_match_reference() {
    check_product(RowLayout::blocks([4, 6], 2, 5), 20, 17, 17, WriteMode::Set);
    check_product(RowLayout::blocks([6, 3], 3, 1), 9, 16, 16, WriteMode::Add);
}
