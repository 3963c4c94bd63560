//! Drugs: mixtures of mechanisms, with a dose response.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::morphology::{MECHANISMS, Parameters, normal};

/// Number of drugs.
pub const DRUGS: usize = 24;
/// Bits of a drug's scaffold, on which its potency depends.
const BITS: usize = 8;
/// Length of a drug's descriptor: the weights of the mechanisms, then the bits of the scaffold.
pub const DESCRIPTOR: usize = MECHANISMS.len() + BITS;
/// The drugs that training does not see: new mixtures of mechanisms that it sees in other drugs.
const HELD_OUT: [usize; 4] = [16, 18, 20, 22];

/// A drug.
#[derive(Clone, Debug, PartialEq)]
pub struct Drug {
    /// Its name.
    pub name: String,
    /// Weight of each mechanism.
    pub weights: [f32; MECHANISMS.len()],
    /// Presence of substructures, 0 or 1; log₁₀ EC50 is a sum over them.
    pub scaffold: [f32; BITS],
    /// Dose of half the effect, in µM.
    pub ec50: f32,
    /// Hill slope.
    pub hill: f32,
    /// Whether training does not see it.
    pub held_out: bool,
}

/// The share of a drug's full effect at a dose, doseʰ / (EC50ʰ + doseʰ), the equation of Hill (1910).
/// Dose and EC50 are in the same unit.
pub fn hill(dose: f32, ec50: f32, slope: f32) -> f32 {
    if dose <= 0.0 {
        return 0.0;
    }
    1.0 / (1.0 + (ec50 / dose).powf(slope))
}

impl Drug {
    /// What a dose in µM adds to the parameters of every cell.
    pub fn shift(&self, dose: f32) -> Parameters {
        let effect = hill(dose, self.ec50, self.hill);
        let mut shift = Parameters::default();
        if effect > 0.0 {
            for (mechanism, weight) in MECHANISMS.iter().zip(self.weights) {
                shift.add(effect * weight, mechanism.direction);
            }
        }
        shift
    }

    /// The mechanism with the largest weight.
    pub fn main_mechanism(&self) -> usize {
        let by_weight = |a: &usize, b: &usize| self.weights[*a].total_cmp(&self.weights[*b]);
        (0..MECHANISMS.len()).max_by(by_weight).unwrap_or_default()
    }

    /// What is known of the drug without an experiment, [`DESCRIPTOR`] numbers.
    pub fn descriptor(&self) -> Vec<f32> {
        self.weights.iter().chain(&self.scaffold).copied().collect()
    }
}

/// Three drugs of each mechanism: a pure one, one with a weak second mechanism, and a mixture.
pub(super) fn draw_all(rng: &mut ChaCha8Rng) -> Vec<Drug> {
    let count = MECHANISMS.len();
    let potency: [f32; BITS] = std::array::from_fn(|_| 0.35 * normal(rng));
    (0..DRUGS)
        .map(|i| {
            let (main, variant) = (i % count, i / count);
            let mut weights = [0.0; MECHANISMS.len()];
            match variant {
                0 => weights[main] = 1.0,
                1 => {
                    weights[main] = 1.0;
                    weights[(main + 3) % count] = 0.3;
                }
                _ => {
                    weights[main] = 0.8;
                    weights[(main + 5) % count] = 0.55;
                }
            }
            let scaffold: [f32; BITS] =
                std::array::from_fn(|_| f32::from(u8::from(rng.random::<bool>())));
            let share = potency
                .iter()
                .zip(&scaffold)
                .map(|(p, bit)| p * (bit - 0.5));
            let log = (-0.25 + share.sum::<f32>()).clamp(-0.9, 0.5);
            Drug {
                name: format!("D{:02}", i + 1),
                weights,
                scaffold,
                ec50: 10f32.powf(log),
                hill: 1.0 + rng.random::<f32>(),
                held_out: HELD_OUT.contains(&i),
            }
        })
        .collect()
}
