//! One loss of several parts.
//!
//! Dreamer 4 divides every part by its running root mean square (Hafner et al., 2025, section 3.2).
//! Here the main part keeps its size and the others are brought to it, which differs by a factor
//! common to all and so not to the optimisers, whose steps do not depend on the loss's scale.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::run::Losses;
use crate::Result;

/// Decay of the running mean squares.
const DECAY: f64 = 0.99;
/// No part is taken for smaller than this.
const LEAST: f64 = 1e-8;
/// Name of the main part.
pub(super) const MAIN: &str = "main";

/// L₁ + Σ wᵢ (r₁/rᵢ) Lᵢ with the running root mean squares r of the steps before, which are brought up
/// to date.
///
/// # Errors
/// The device failed.
pub(super) fn total(losses: &Losses, squares: &mut BTreeMap<String, f64>) -> Result<Tensor> {
    if losses.further.is_empty() {
        return Ok(losses.main.clone());
    }
    let size = |loss: &Tensor| -> Result<f64> { Ok(f64::from(loss.to_scalar::<f32>()?)) };
    let mut sizes = vec![(MAIN, size(&losses.main)?)];
    for part in &losses.further {
        sizes.push((part.name, size(&part.loss)?));
    }
    begin(squares, &sizes);
    let mut sum = losses.main.clone();
    for part in &losses.further {
        sum = (sum + (&part.loss * scale(squares, part.name, part.weight))?)?;
    }
    follow(squares, &sizes);
    Ok(sum)
}

/// Whether the running sizes of all these parts are known.
pub(super) fn known(squares: &BTreeMap<String, f64>, names: &[&str]) -> bool {
    squares.contains_key(MAIN) && names.iter().all(|name| squares.contains_key(*name))
}

/// w r₁/r: what a part's loss is multiplied with.
pub(super) fn scale(squares: &BTreeMap<String, f64>, name: &str, weight: f64) -> f64 {
    let running = |name: &str| squares.get(name).map_or(LEAST, |s| s.sqrt().max(LEAST));
    weight * running(MAIN) / running(name)
}

/// Parts that were never seen start at their size of now.
pub(super) fn begin(squares: &mut BTreeMap<String, f64>, sizes: &[(&str, f64)]) {
    for (name, size) in sizes {
        squares.entry((*name).to_owned()).or_insert(size.powi(2));
    }
}

/// Brings the running mean squares up to date.
pub(super) fn follow(squares: &mut BTreeMap<String, f64>, sizes: &[(&str, f64)]) {
    for (name, size) in sizes {
        let running = squares.entry((*name).to_owned()).or_insert(size.powi(2));
        *running = DECAY * *running + (1.0 - DECAY) * size.powi(2);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use candle_core::Device;

    use super::super::run::Further;
    use super::*;

    fn losses(main: f32, reward: f32) -> Losses {
        let scalar = |x: f32| Tensor::new(x, &Device::Cpu).unwrap();
        Losses {
            main: scalar(main),
            further: vec![Further {
                name: "reward",
                loss: scalar(reward),
                weight: 0.1,
            }],
            figures: Vec::new(),
            fetched: Duration::ZERO,
        }
    }

    #[test]
    fn a_part_counts_its_weight_whatever_its_units() {
        for units in [1e-4, 1.0, 1e5] {
            let mut squares = BTreeMap::new();
            for _ in 0..5 {
                let sum = total(&losses(2.0, 3.0 * units), &mut squares).unwrap();
                let sum = sum.to_scalar::<f32>().unwrap();
                assert!((sum - 2.2).abs() < 1e-4, "{sum}");
            }
        }
    }

    #[test]
    fn a_part_that_falls_counts_less_until_its_running_size_has_followed() {
        let mut squares = BTreeMap::new();
        total(&losses(1.0, 1.0), &mut squares).unwrap();
        let after = |squares: &mut _| {
            let sum = total(&losses(1.0, 0.5), squares).unwrap();
            sum.to_scalar::<f32>().unwrap()
        };
        let first = after(&mut squares);
        assert!((first - 1.05).abs() < 1e-5, "{first}");
        let second = after(&mut squares);
        assert!(
            (second - (1.0 + 0.05 / 0.9925f32.sqrt())).abs() < 1e-5,
            "{second}"
        );
        let later = (0..1000).map(|_| after(&mut squares)).last().unwrap();
        assert!((later - 1.1).abs() < 1e-4, "{later}");
    }

    #[test]
    fn a_part_that_is_zero_adds_nothing() {
        let sum = total(&losses(0.5, 0.0), &mut BTreeMap::new()).unwrap();
        assert_eq!(sum.to_scalar::<f32>().unwrap(), 0.5);
    }
}
