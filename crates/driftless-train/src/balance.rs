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
const MAIN: &str = "main";

/// L₁ + Σ wᵢ (r₁/rᵢ) Lᵢ with the running root mean squares r, whose squares are brought up to date.
///
/// # Errors
/// The device failed.
pub(super) fn total(losses: &Losses, squares: &mut BTreeMap<String, f64>) -> Result<Tensor> {
    if losses.further.is_empty() {
        return Ok(losses.main.clone());
    }
    let mut size = |name: &str, loss: &Tensor| -> Result<f64> {
        let square = f64::from(loss.to_scalar::<f32>()?).powi(2);
        let running = squares.entry(name.to_owned()).or_insert(square);
        *running = DECAY * *running + (1.0 - DECAY) * square;
        Ok(running.sqrt().max(LEAST))
    };
    let main = size(MAIN, &losses.main)?;
    let mut sum = losses.main.clone();
    for part in &losses.further {
        let scale = part.weight * main / size(part.name, &part.loss)?;
        sum = (sum + (&part.loss * scale)?)?;
    }
    Ok(sum)
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
        assert!(
            (first - (1.0 + 0.05 / 0.9925f32.sqrt())).abs() < 1e-5,
            "{first}"
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
