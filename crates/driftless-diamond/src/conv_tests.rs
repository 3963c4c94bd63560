//! Convolutions against plain loops, over odd shapes.

use driftless_engine::kernels::Workers;

use super::*;

/// Pseudo-random numbers in [−1, 1].
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mix = |i: usize| (i as u64 + 1 + (seed << 20)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..count)
        .map(|i| (mix(i) >> 40) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}

fn map(size: [usize; 2], channels: usize, seed: u64) -> Map {
    Map {
        size,
        channels,
        data: numbers(size[0] * size[1] * channels, seed),
        sums: Vec::new(),
    }
}

fn weights(outputs: usize, inputs: usize, side: usize) -> Affine {
    Affine {
        shape: vec![outputs, inputs, side, side],
        weight: numbers(outputs * inputs * side * side, 1),
        bias: numbers(outputs, 2),
    }
}

/// The value of pixel (y, x) of channel c, zero outside.
fn at(map: &Map, y: isize, x: isize, c: usize) -> f64 {
    let [height, width] = map.size;
    match (usize::try_from(y), usize::try_from(x)) {
        (Ok(y), Ok(x)) if y < height && x < width => {
            map.data[(y * width + x) * map.channels + c].into()
        }
        _ => 0.0,
    }
}

/// The convolution of `x` in double precision, without anything added.
fn plain(weights: &Affine, x: &Map, stride: usize) -> Vec<f64> {
    let size = x.size.map(|side| side.div_ceil(stride));
    let mut y = Vec::new();
    for pixel in 0..size[0] * size[1] {
        let [row, column] = [pixel / size[1], pixel % size[1]].map(|at| (at * stride) as isize);
        for o in 0..weights.outputs() {
            let mut sum = f64::from(weights.bias[o]);
            for i in 0..weights.inputs() {
                for k in 0..9 {
                    let weight = weights.weight[(o * weights.inputs() + i) * 9 + k];
                    let [dy, dx] = [k / 3, k % 3].map(|k| k as isize - 1);
                    sum += f64::from(weight) * at(x, row + dy, column + dx, i);
                }
            }
            y.push(sum);
        }
    }
    y
}

#[track_caller]
fn assert_map(map: &Map, expected: &[f64]) {
    assert_eq!(map.data.len(), expected.len());
    for (i, (ours, exact)) in map.data.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(*ours) - exact).abs() < 5e-5,
            "{i}: {ours}, {exact}"
        );
    }
    for (c, [sum, squares]) in map.sums.iter().enumerate() {
        let values = || expected.iter().skip(c).step_by(map.channels);
        assert!((sum - values().sum::<f64>()).abs() < 0.02, "sum {c}");
        assert!(
            (squares - values().map(|x| x * x).sum::<f64>()).abs() < 0.05,
            "squares {c}"
        );
    }
}

#[test]
fn both_forms_match_plain_loops() {
    // The first ones are Winograd's; their sides are no multiples of a tile's.
    for (size, inputs, outputs) in [
        ([17, 22], 5, 18),
        ([16, 16], 16, 16),
        ([33, 9], 3, 35),
        ([5, 7], 18, 3),
        ([8, 8], 16, 16),
    ] {
        let affine = weights(outputs, inputs, 3);
        let x = map(size, inputs, 3);
        let expected = plain(&affine, &x, 1);
        let mut compute = Compute::new(Workers::none());
        let conv = Conv3x3::new(affine, size, 1);
        let y = conv.apply(&mut compute, &Source::plain(&[&x]), Onto::Zero);
        assert_map(&y, &expected);
    }
}

#[test]
fn stride_two_halves_the_size() {
    let affine = weights(4, 6, 3);
    let x = map([32, 18], 6, 3);
    let expected = plain(&affine, &x, 2);
    let mut compute = Compute::new(Workers::none());
    let y = Conv3x3::new(affine, x.size, 2).apply(&mut compute, &Source::plain(&[&x]), Onto::Zero);
    assert_eq!(y.size, [16, 9]);
    assert_map(&y, &expected);
}

#[test]
fn residuals_and_buffers_are_added() {
    for size in [[18, 18], [6, 6]] {
        let affine = weights(3, 2, 3);
        let (x, other) = (map(size, 2, 3), map(size, 3, 4));
        let sum = plain(&affine, &x, 1).into_iter().zip(&other.data);
        let expected: Vec<f64> = sum.map(|(y, other)| y + f64::from(*other)).collect();
        let mut compute = Compute::new(Workers::none());
        let conv = Conv3x3::new(affine, size, 1);
        for onto in [Onto::Map(&other), Onto::Buffer(other.clone())] {
            assert_map(
                &conv.apply(&mut compute, &Source::plain(&[&x]), onto),
                &expected,
            );
        }
    }
}

#[test]
fn maps_are_joined_normalized_and_doubled() {
    let (a, b) = (map([9, 10], 2, 3), map([9, 10], 3, 4));
    let affine = ChannelAffine {
        gain: numbers(5, 5),
        offset: numbers(5, 6),
    };
    let mut joined = map([18, 20], 5, 0);
    for (at, value) in joined.data.iter_mut().enumerate() {
        let (pixel, c) = (at / 5, at % 5);
        let from = pixel / 20 / 2 * 10 + pixel % 20 / 2;
        let x = if c < 2 {
            a.data[2 * from + c]
        } else {
            b.data[3 * from + c - 2]
        };
        let x = affine.gain[c] * x + affine.offset[c];
        *value = x / (1.0 + (-x).exp());
    }
    let weights = weights(7, 5, 3);
    let expected = plain(&weights, &joined, 1);
    let mut compute = Compute::new(Workers::none());
    let maps = [&a, &b];
    let source = Source {
        doubled: true,
        ..Source::activated(&maps, &affine)
    };
    let conv = Conv3x3::new(weights, [18, 20], 1);
    assert_map(&conv.apply(&mut compute, &source, Onto::Zero), &expected);
}

#[test]
fn one_by_one_joins_maps() {
    let affine = weights(3, 5, 1);
    let (a, b) = (map([2, 3], 2, 3), map([2, 3], 3, 4));
    let exact = |pixel: usize, o: usize| -> f64 {
        let x = a.data[2 * pixel..][..2]
            .iter()
            .chain(&b.data[3 * pixel..][..3]);
        let weights = &affine.weight[5 * o..];
        x.zip(weights)
            .map(|(x, w)| f64::from(*x) * f64::from(*w))
            .sum()
    };
    let expected: Vec<f64> = (0..18).map(|i| exact(i / 3, i % 3)).collect();
    let affine = weights(3, 5, 1);
    let mut compute = Compute::new(Workers::none());
    let y = Conv1x1::new(affine, &[2, 3]).products(&mut compute, &[&a, &b]);
    assert_map(&y, &expected);
}
