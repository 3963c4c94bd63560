//! Linear maps on packed weights, and what is done to their outputs.

use driftless_engine::kernels::{PackedMatrix, RowLayout, Workers, WriteMode};
use driftless_model::simd::{dispatch_avx512, dot, exp, fma, sigmoid};

use crate::weights::Affine;

/// What keeps norms from dividing by 0.
const EPSILON: f32 = 1e-6;

/// W x + b.
pub struct Linear {
    matrix: PackedMatrix,
    /// Zeros if the map has none.
    bias: Vec<f32>,
}

/// What becomes of a linear map's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// x Φ(x).
    Gelu,
    /// x Φ(x) by the hyperbolic tangent (Hendrycks and Gimpel, 2016, section 2).
    GeluTanh,
    /// x σ(x).
    Silu,
}

impl Linear {
    /// The map of a checkpoint's weight and bias.
    pub fn new(affine: &Affine) -> Self {
        let outputs = affine.outputs;
        Self::chosen(affine, outputs, |o| o, |i| i)
    }

    /// The map with the first `outputs` outputs in another order, and inputs in another: output o of the result is
    /// output `output(o)` of `affine`.
    pub fn chosen(
        affine: &Affine,
        outputs: usize,
        output: impl Fn(usize) -> usize,
        input: impl Fn(usize) -> usize,
    ) -> Self {
        let inputs = affine.inputs;
        let weight = |o: usize, i: usize| affine.weight[output(o) * inputs + input(i)];
        let bias = affine.bias.as_ref();
        let bias = (0..outputs).map(|o| bias.map_or(0.0, |bias| bias[output(o)]));
        Self {
            bias: bias.collect(),
            matrix: PackedMatrix::pack(outputs, inputs, weight),
        }
    }

    /// Its inputs.
    pub fn inputs(&self) -> usize {
        self.matrix.size()[0]
    }

    /// Its outputs.
    pub fn outputs(&self) -> usize {
        self.matrix.size()[1]
    }

    /// Writes the outputs of the rows of `x` into `y` `[rows, outputs]`.
    pub fn apply(&self, workers: &Workers, x: &[f32], y: &mut [f32], activation: Activation) {
        let inputs = self.inputs();
        let rows = RowLayout::contiguous(x.len() / inputs, inputs);
        self.apply_rows(workers, x, rows, y, activation);
    }

    /// As [`Self::apply`], for rows that lie otherwise.
    pub fn apply_rows(
        &self,
        workers: &Workers,
        x: &[f32],
        rows: RowLayout,
        y: &mut [f32],
        activation: Activation,
    ) {
        self.matrix.apply(workers, x, rows, y, WriteMode::Set);
        let least = workers.least().heavy;
        workers.for_rows(y, self.outputs(), least, |_, y| {
            activate(y, &self.bias, activation);
        });
    }

    /// Writes u ⊙ SiLU(v) for each row of `x` into `y` `[rows, outputs / 2]`, where u and v are the halves of W x + b
    /// (SwiGLU: Shazeer, *GLU Variants Improve Transformer*, 2020). `products` is a buffer `[rows, outputs]`.
    pub fn apply_gated(&self, workers: &Workers, x: &[f32], products: &mut [f32], y: &mut [f32]) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let rows = RowLayout::contiguous(x.len() / inputs, inputs);
        self.matrix
            .apply(workers, x, rows, products, WriteMode::Set);
        let (products, half) = (&*products, outputs / 2);
        workers.for_rows(y, half, workers.least().heavy, |first, y| {
            gate(&products[first * outputs..], &self.bias, y);
        });
    }

    /// x ← x + g ⊙ (W h + b) for the rows of `h`; g is 1 if there is none. `products` is a buffer like `x`.
    pub fn add_to(
        &self,
        workers: &Workers,
        h: &[f32],
        gate: Option<&[f32]>,
        x: &mut [f32],
        products: &mut [f32],
    ) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let rows = RowLayout::contiguous(h.len() / inputs, inputs);
        self.matrix
            .apply(workers, h, rows, products, WriteMode::Set);
        let products = &*products;
        let least = workers.least().light;
        workers.for_rows(x, outputs, least, |first, x| {
            add_gated(&products[first * outputs..], &self.bias, gate, x);
        });
    }
}

dispatch_avx512!(fn activate = activate_body(y: &mut [f32], bias: &[f32], activation: Activation));
/// Adds the bias to each row of `y`, and activates it.
#[inline(always)]
fn activate_body<const FMA: bool>(y: &mut [f32], bias: &[f32], activation: Activation) {
    for row in y.chunks_exact_mut(bias.len()) {
        let both = row.iter_mut().zip(bias);
        match activation {
            Activation::None => both.for_each(|(y, bias)| *y += bias),
            Activation::Gelu => both.for_each(|(y, bias)| *y = gelu::<FMA>(*y + bias)),
            Activation::GeluTanh => both.for_each(|(y, bias)| *y = gelu_tanh::<FMA>(*y + bias)),
            Activation::Silu => both.for_each(|(y, bias)| {
                let x = *y + bias;
                *y = x * sigmoid::<FMA>(x);
            }),
        }
    }
}

dispatch_avx512!(fn gate = gate_body(products: &[f32], bias: &[f32], y: &mut [f32]));
/// Rows of u ⊙ SiLU(v) from rows of both halves, to which the bias is added.
#[inline(always)]
fn gate_body<const FMA: bool>(products: &[f32], bias: &[f32], y: &mut [f32]) {
    let half = bias.len() / 2;
    let (bias_u, bias_v) = bias.split_at(half);
    for (row, y) in products
        .chunks_exact(2 * half)
        .zip(y.chunks_exact_mut(half))
    {
        let (u, v) = row.split_at(half);
        for i in 0..half {
            let v = v[i] + bias_v[i];
            y[i] = (u[i] + bias_u[i]) * (v * sigmoid::<FMA>(v));
        }
    }
}

dispatch_avx512!(fn add_gated = add_gated_body(y: &[f32], bias: &[f32], gate: Option<&[f32]>, x: &mut [f32]));
#[inline(always)]
fn add_gated_body<const FMA: bool>(y: &[f32], bias: &[f32], gate: Option<&[f32]>, x: &mut [f32]) {
    let len = bias.len();
    for (x, y) in x.chunks_exact_mut(len).zip(y.chunks_exact(len)) {
        match gate {
            None => {
                for i in 0..len {
                    x[i] += y[i] + bias[i];
                }
            }
            Some(gate) => {
                for i in 0..len {
                    x[i] = fma::<FMA>(gate[i], y[i] + bias[i], x[i]);
                }
            }
        }
    }
}

/// x Φ(x), with the error function to 1.5·10⁻⁷ (Abramowitz and Stegun, 1964, 7.1.26).
#[inline(always)]
fn gelu<const FMA: bool>(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / fma::<FMA>(0.327_591_1, z, 1.0);
    let mut p = 1.061_405_4;
    for c in [-1.453_152_1, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        p = fma::<FMA>(p, t, c);
    }
    // erfc |x| / √2; the odd part is put back by the sign.
    let tail = p * t * exp::<FMA>(-z * z);
    let phi = if x < 0.0 {
        0.5 * tail
    } else {
        1.0 - 0.5 * tail
    };
    x * phi
}

#[inline(always)]
fn gelu_tanh<const FMA: bool>(x: f32) -> f32 {
    // (1 + tanh u) / 2 is the logistic function of 2u.
    const TWICE: f32 = 2.0 * 0.797_884_6;
    x * sigmoid::<FMA>(TWICE * fma::<FMA>(0.044_715 * x * x, x, x))
}

dispatch_avx512!(fn normalize = normalize_body(x: &[f32], gain: &[f32], shift: &[f32], y: &mut [f32]));
/// Layer normalization of each row (ε = 10⁻⁶), times a gain, plus a shift.
#[inline(always)]
fn normalize_body<const FMA: bool>(x: &[f32], gain: &[f32], shift: &[f32], y: &mut [f32]) {
    let len = gain.len();
    let mean_of = |sums: [f32; 16]| sums.iter().sum::<f32>() / len as f32;
    for (x, y) in x.chunks_exact(len).zip(y.chunks_exact_mut(len)) {
        let mut sums = [0.0; 16];
        for part in x.chunks(16) {
            for (sum, x) in sums.iter_mut().zip(part) {
                *sum += x;
            }
        }
        let mean = mean_of(sums);
        let mut squares = [0.0; 16];
        for part in x.chunks(16) {
            for (sum, x) in squares.iter_mut().zip(part) {
                *sum = fma::<FMA>(x - mean, x - mean, *sum);
            }
        }
        let scale = (mean_of(squares) + EPSILON).sqrt().recip();
        for i in 0..len {
            y[i] = fma::<FMA>((x[i] - mean) * scale, gain[i], shift[i]);
        }
    }
}

/// Layer normalization of the rows of `x` into `y`, times a gain, plus a shift.
pub fn layer_norm(workers: &Workers, x: &[f32], gain: &[f32], shift: &[f32], y: &mut [f32]) {
    let least = workers.least().light;
    workers.for_rows(y, gain.len(), least, |first, y| {
        normalize(&x[first * gain.len()..][..y.len()], gain, shift, y);
    });
}

dispatch_avx512!(fn scale_rows = scale_rows_body(x: &[f32], gain: &[f32], y: &mut [f32]));
/// Each row divided by its root mean square (ε = 10⁻⁶), times a gain.
#[inline(always)]
fn scale_rows_body<const FMA: bool>(x: &[f32], gain: &[f32], y: &mut [f32]) {
    let len = gain.len();
    for (x, y) in x.chunks_exact(len).zip(y.chunks_exact_mut(len)) {
        let scale = (dot::<FMA>(x, x) / len as f32 + EPSILON).sqrt().recip();
        for i in 0..len {
            y[i] = x[i] * (scale * gain[i]);
        }
    }
}

/// The rows of `x` divided by their root mean squares into `y`, times a gain (Zhang and Sennrich, *Root Mean Square
/// Layer Normalization*, 2019).
pub fn rms_norm(workers: &Workers, x: &[f32], gain: &[f32], y: &mut [f32]) {
    let least = workers.least().light;
    workers.for_rows(y, gain.len(), least, |first, y| {
        scale_rows(&x[first * gain.len()..][..y.len()], gain, y);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gelu_matches_its_definition() {
        // x Φ(x) from tables of the normal distribution.
        for (x, expected) in [
            (0.0, 0.0),
            (1.0, 0.841_344_8),
            (-1.0, -0.158_655_25),
            (2.0, 1.954_499_7),
            (-3.0, -0.004_049_694),
        ] {
            let found = gelu::<true>(x);
            assert!((found - expected).abs() < 1e-6, "{x}: {found}");
        }
    }

    #[test]
    fn tanh_gelu_matches_its_definition() {
        for i in -40..=40 {
            let x = f64::from(i) / 8.0;
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            let expected = 0.5 * x * (1.0 + u.tanh());
            assert!((f64::from(gelu_tanh::<true>(x as f32)) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn gated_outputs_match_their_definition() {
        let linear = Linear::new(&Affine {
            outputs: 4,
            inputs: 2,
            weight: vec![1.0, 0.0, 0.0, 1.0, 2.0, -1.0, 0.5, 0.5],
            bias: Some(vec![0.1, 0.2, 0.3, 0.4]),
        });
        let (mut products, mut y) = ([0.0; 8], [0.0; 4]);
        let x = [1.0, -2.0, 0.5, 0.25];
        linear.apply_gated(&Workers::none(), &x, &mut products, &mut y);
        for (x, y) in x.chunks(2).zip(y.chunks(2)) {
            let (u, v) = (
                [x[0] + 0.1, x[1] + 0.2],
                [2.0 * x[0] - x[1] + 0.3, (x[0] + x[1]) / 2.0 + 0.4],
            );
            for i in 0..2 {
                let expected = u[i] * v[i] / (1.0 + (-v[i]).exp());
                assert!((y[i] - expected).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn scaled_rows_have_the_mean_square_of_their_gain() {
        let x: Vec<f32> = (0..42).map(|i| (i * i % 23) as f32).collect();
        let mut y = vec![0.0; 42];
        rms_norm(&Workers::none(), &x, &[3.0; 21], &mut y);
        for row in y.chunks(21) {
            let mean = row.iter().map(|y| y * y).sum::<f32>() / 21.0;
            assert!((mean - 9.0).abs() < 1e-4, "{mean}");
        }
    }

    #[test]
    fn normalized_rows_have_mean_and_variance() {
        let x: Vec<f32> = (0..40).map(|i| (i * i % 23) as f32).collect();
        let mut y = vec![0.0; 40];
        normalize(&x, &[2.0; 20], &[1.0; 20], &mut y);
        for row in y.chunks(20) {
            let mean = row.iter().sum::<f32>() / 20.0;
            let variance = row.iter().map(|y| (y - mean).powi(2)).sum::<f32>() / 20.0;
            assert!((mean - 1.0).abs() < 1e-5 && (variance - 4.0).abs() < 1e-4);
        }
    }
}
