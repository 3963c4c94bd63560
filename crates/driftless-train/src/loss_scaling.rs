//! Combines the losses of a step into one.
//!
//! Dreamer 4 divides each loss by its running root mean square (Hafner et al., 2025, section 3.2).
//! Here the main loss keeps its size and the others are scaled to it. The two differ by a common
//! factor, which does not matter to the optimizers: their steps do not depend on the loss's scale.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::Result;

/// Decay of the running mean squares.
const DECAY: f64 = 0.99;
/// Lower bound of the root mean squares.
const MIN_RMS: f64 = 1e-8;
/// Name of the main loss.
pub(super) const MAIN: &str = "main";

/// A loss that counts `weight` times as much as the main one, whatever its units.
pub(super) struct AuxiliaryLoss {
    pub name: &'static str,
    pub loss: Tensor,
    pub weight: f64,
}

/// L₁ + Σ wᵢ (r₁/rᵢ) Lᵢ with the running root mean squares r of the steps before. Updates their
/// squares.
///
/// # Errors
/// Returns an error if the device fails.
pub(super) fn combine(
    main: &Tensor,
    auxiliary: &[AuxiliaryLoss],
    mean_squares: &mut BTreeMap<String, f64>,
) -> Result<Tensor> {
    if auxiliary.is_empty() {
        return Ok(main.clone());
    }
    let value = |loss: &Tensor| -> Result<f64> { Ok(f64::from(loss.to_scalar::<f32>()?)) };
    let mut values = vec![(MAIN, value(main)?)];
    for other in auxiliary {
        values.push((other.name, value(&other.loss)?));
    }
    initialize(mean_squares, &values);
    let mut sum = main.clone();
    for other in auxiliary {
        let scale = scale(mean_squares, other.name, other.weight);
        sum = (sum + (&other.loss * scale)?)?;
    }
    update(mean_squares, &values);
    Ok(sum)
}

/// Whether the running mean squares of the main loss and of `names` are known.
pub(super) fn is_initialized(mean_squares: &BTreeMap<String, f64>, names: &[&str]) -> bool {
    mean_squares.contains_key(MAIN) && names.iter().all(|name| mean_squares.contains_key(*name))
}

/// w r₁/r: the factor of an auxiliary loss.
pub(super) fn scale(mean_squares: &BTreeMap<String, f64>, name: &str, weight: f64) -> f64 {
    let rms = |name: &str| {
        let square = mean_squares.get(name);
        square.map_or(MIN_RMS, |square| square.sqrt().max(MIN_RMS))
    };
    weight * rms(MAIN) / rms(name)
}

/// Starts the running mean squares of losses that were not seen before.
pub(super) fn initialize(mean_squares: &mut BTreeMap<String, f64>, values: &[(&str, f64)]) {
    for (name, value) in values {
        let square = value.powi(2);
        mean_squares.entry((*name).to_owned()).or_insert(square);
    }
}

/// Updates the running mean squares with the losses of a step.
pub(super) fn update(mean_squares: &mut BTreeMap<String, f64>, values: &[(&str, f64)]) {
    for (name, value) in values {
        let square = value.powi(2);
        let running = mean_squares.entry((*name).to_owned()).or_insert(square);
        *running = DECAY * *running + (1.0 - DECAY) * square;
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn combined(main: f32, reward: f32, mean_squares: &mut BTreeMap<String, f64>) -> f32 {
        let scalar = |x: f32| Tensor::new(x, &Device::Cpu).unwrap();
        let reward = AuxiliaryLoss {
            name: "reward",
            loss: scalar(reward),
            weight: 0.1,
        };
        let sum = combine(&scalar(main), &[reward], mean_squares).unwrap();
        sum.to_scalar::<f32>().unwrap()
    }

    #[test]
    fn weights_do_not_depend_on_units() {
        for units in [1e-4, 1.0, 1e5] {
            let mut squares = BTreeMap::new();
            for _ in 0..5 {
                let sum = combined(2.0, 3.0 * units, &mut squares);
                assert!((sum - 2.2).abs() < 1e-4, "{sum}");
            }
        }
    }

    #[test]
    fn running_size_follows_the_loss() {
        let mut squares = BTreeMap::new();
        combined(1.0, 1.0, &mut squares);
        let after = |squares: &mut _| combined(1.0, 0.5, squares);
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
    fn zero_loss_adds_nothing() {
        assert_eq!(combined(0.5, 0.0, &mut BTreeMap::new()), 0.5);
    }
}
