//! Compares a fused operation, values and gradients, with its composed form.

use candle_core::{Device, Tensor, Var};
use rand::{Rng, SeedableRng};

pub fn random(shape: &[usize], seed: u64) -> Var {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Var::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    let d = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
    d.max(0).unwrap().to_scalar().unwrap()
}

/// Compares values and gradients of a fused function and its composed form.
pub fn assert_same(inputs: &[&Var], fused: impl Fn() -> Tensor, composed: impl Fn() -> Tensor) {
    let (a, b) = (fused(), composed());
    assert_eq!(a.dims(), b.dims());
    assert!(largest_difference(&a, &b) < 2e-5, "values differ");
    // Weight each output differently, so that errors do not cancel.
    let weight = random(a.dims(), 99);
    let grads = |y: &Tensor| {
        (y * weight.as_tensor())
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
    };
    let (ga, gb) = (grads(&a).unwrap(), grads(&b).unwrap());
    for (i, v) in inputs.iter().enumerate() {
        let (a, b) = (ga.get(v).unwrap(), gb.get(v).unwrap());
        let difference = largest_difference(a, b);
        assert!(
            difference < 1e-4,
            "gradient of input {i} differs by {difference}"
        );
    }
}
