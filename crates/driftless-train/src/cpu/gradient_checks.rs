//! What tests compare gradients with: candle's, and finite differences.

use std::collections::BTreeMap;
use std::fmt::Debug;

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::parameters::Layout;

/// Standard normal numbers.
pub(crate) fn numbers(count: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    (0..count).map(|_| StandardNormal.sample(rng)).collect()
}

/// Adds noise to parameters: new ones have zeros where a gradient could hide.
pub(crate) fn shake(vars: &BTreeMap<String, Var>, by: f64, rng: &mut ChaCha8Rng) {
    for var in vars.values() {
        let noise = numbers(var.elem_count(), rng);
        let noise = Tensor::from_vec(noise, var.dims(), &Device::Cpu).unwrap();
        let shaken = (var.as_tensor() + (noise * by).unwrap()).unwrap();
        var.set(&shaken).unwrap();
    }
}

/// Checks that the gradient of each parameter is candle's, within 1e-4 of its norm.
pub(crate) fn assert_same_gradient(
    vars: &BTreeMap<String, Var>,
    (layout, gradient): (&Layout, &[f32]),
    expected: &GradStore,
    set: impl Debug,
) {
    for (name, var) in vars {
        let ours = layout.find(name, gradient).unwrap();
        let theirs = expected.get(var).unwrap().flatten_all().unwrap();
        let theirs: Vec<f32> = theirs.to_vec1().unwrap();
        let size = theirs.iter().map(|x| x * x).sum::<f32>().sqrt();
        let off = ours.iter().zip(&theirs).map(|(a, b)| (a - b).powi(2));
        let off = off.sum::<f32>().sqrt();
        assert!(
            size > 0.0 && off < 1e-4 * size,
            "{set:?}: {name} is off by {off} of {size}"
        );
    }
}

/// How finite differences are taken, and how near they must be.
pub(crate) struct Differences {
    pub step: f64,
    /// Of the slope, or of `least` if the slope is smaller.
    pub tolerance: f64,
    pub least: f64,
}

impl Differences {
    /// Checks, for each parameter in a random direction, that the slope of `loss` is that of the gradient.
    pub(crate) fn assert_slopes(
        &self,
        vars: &BTreeMap<String, Var>,
        (layout, gradient): (&Layout, &[f32]),
        rng: &mut ChaCha8Rng,
        loss: &mut dyn FnMut() -> f64,
    ) {
        for (name, var) in vars {
            let direction = numbers(var.elem_count(), rng);
            let own = layout.find(name, gradient).unwrap().iter();
            let slope: f64 = own.zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
            let direction = Tensor::from_vec(direction, var.dims(), &Device::Cpu).unwrap();
            let start = var.as_tensor().copy().unwrap();
            let mut at = |by: f64| {
                let moved = (&start + (&direction * by).unwrap()).unwrap();
                var.set(&moved).unwrap();
                loss()
            };
            let measured = (at(self.step) - at(-self.step)) / (2.0 * self.step);
            var.set(&start).unwrap();
            assert!(
                (measured - slope).abs() < self.tolerance * slope.abs().max(self.least),
                "{name}: measured {measured}, computed {slope}"
            );
        }
    }
}
