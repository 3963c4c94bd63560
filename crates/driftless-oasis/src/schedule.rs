//! The noise levels of diffusion in a thousand steps, and DDIM (Song et al., *Denoising Diffusion Implicit Models*,
//! 2021) between them.

use driftless_published::{Error, Result};

/// Noise levels, from 0 to 999.
pub const LEVELS: usize = 1000;
/// Where the sigmoid schedule begins and ends.
const SIGMOID: [f64; 2] = [-3.0, 3.0];
/// Most variance that a level adds.
const MAX_BETA: f64 = 0.999;

/// ᾱ, the share of the clean latent in the variance, of each noise level.
pub(crate) struct Schedule {
    alphas: Vec<f32>,
}

/// One step of the sampler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The noise level that the latent has.
    pub level: usize,
    /// The level that it is taken to; `None` for clean.
    pub next: Option<usize>,
}

impl Schedule {
    /// The sigmoid schedule (Jabri et al., *Scalable Adaptive Computation for Iterative Generation*, 2022, figure 8).
    pub(crate) fn sigmoid() -> Self {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        // The ends are single precision in the published program.
        let ends = SIGMOID.map(|x| f64::from(sigmoid(x) as f32));
        let kept = |i: usize| {
            let t = i as f64 / LEVELS as f64;
            let x = t * (SIGMOID[1] - SIGMOID[0]) + SIGMOID[0];
            (ends[1] - sigmoid(x)) / (ends[1] - ends[0])
        };
        let beta = |i: usize| (1.0 - kept(i + 1) / kept(i)).clamp(0.0, MAX_BETA) as f32;
        let mut product = 1.0;
        let alphas = (0..LEVELS).map(|i| {
            product *= f64::from(1.0 - beta(i));
            product as f32
        });
        Self {
            alphas: alphas.collect(),
        }
    }

    /// The latent at the next level of `step`, from its velocity √ᾱ ε − √(1 − ᾱ) x (Salimans and Ho, *Progressive
    /// Distillation for Fast Sampling of Diffusion Models*, 2022).
    pub(crate) fn step(&self, step: Step, latent: &mut [f32], velocity: &[f32]) {
        let alpha = self.alphas[step.level];
        let (signal, noise) = (alpha.sqrt(), (1.0 - alpha).sqrt());
        let next = step.next.map_or(1.0, |level| self.alphas[level]);
        let (next_signal, next_noise) = (next.sqrt(), (1.0 - next).sqrt());
        for (x, v) in latent.iter_mut().zip(velocity) {
            let (clean, epsilon) = (signal * *x - noise * v, noise * *x + signal * v);
            *x = next_signal * clean + next_noise * epsilon;
        }
    }
}

/// The steps from noise to a clean latent, evenly spaced.
///
/// # Errors
/// Returns an error if there are none, or more than levels.
pub(crate) fn steps(count: usize) -> Result<Vec<Step>> {
    if !(1..=LEVELS).contains(&count) {
        return Err(Error::Argument(format!(
            "steps {count}: expected 1 to {LEVELS}"
        )));
    }
    // −1 to 999 in even steps, in single precision from the nearer end, without what is behind the point: the levels of
    // the published program.
    let (first, last) = (-1.0, LEVELS as f32 - 1.0);
    let apart = (last - first) / count as f32;
    let level = |i: usize| {
        let exact = if 2 * i < count {
            first + apart * i as f32
        } else {
            last - apart * (count - i) as f32
        };
        exact as usize
    };
    let step = |i: usize| Step {
        level: level(i),
        next: (i > 1).then(|| level(i - 1)),
    };
    Ok((1..=count).rev().map(step).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_evenly_spaced() {
        let of = |count| {
            let levels = steps(count).unwrap();
            levels.iter().map(|step| step.level).collect::<Vec<_>>()
        };
        assert_eq!(of(10), [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]);
        assert_eq!(of(3), [999, 665, 332]);
        assert_eq!(of(1), [999]);
        assert_eq!(steps(3).unwrap()[2].next, None);
        assert_eq!(steps(3).unwrap()[0].next, Some(665));
        assert!(steps(0).is_err() && steps(LEVELS + 1).is_err());
        assert_eq!(of(LEVELS)[LEVELS - 1], 0);
    }

    #[test]
    fn half_of_the_variance_is_noise_in_the_middle() {
        let alphas = Schedule::sigmoid().alphas;
        assert!((alphas[499] - 0.5).abs() < 1e-5);
        assert!(alphas[0] > 0.999 && alphas[999] < 1e-6);
        assert!(alphas.is_sorted_by(|a, b| a > b));
    }

    #[test]
    fn true_velocity_leads_to_the_clean_latent() {
        let schedule = Schedule::sigmoid();
        let (clean, epsilon) = (0.3, -1.7);
        let mix = |level: usize| {
            let alpha = schedule.alphas[level];
            alpha.sqrt() * clean + (1.0 - alpha).sqrt() * epsilon
        };
        let mut x = [mix(999)];
        for step in steps(7).unwrap() {
            assert!((x[0] - mix(step.level)).abs() < 1e-5);
            let alpha = schedule.alphas[step.level];
            let velocity = alpha.sqrt() * epsilon - (1.0 - alpha).sqrt() * clean;
            schedule.step(step, &mut x, &[velocity]);
        }
        assert!((x[0] - clean).abs() < 1e-5);
    }
}
