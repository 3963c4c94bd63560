//! What the heads learn from: λ-returns, PMPO for the policy, cross-entropies for the others.

use candle_core::{D, Tensor};
use candle_nn::ops::log_softmax;

use crate::{Result, TwoHot};

/// λ-returns of a rollout of n frames: R_t = r_{t+1} + γ c_{t+1} ((1 − λ) v_{t+1} + λ R_{t+1}) for t < n, and
/// R_n = v_n (Sutton and Barto, *Reinforcement Learning*, 2nd edition, eq. 12.2, with predicted continuation).
///
/// `rewards[t]` and `continues[t]` came with frame t + 1, `values[t]` is of frame t, so `values` holds one more.
/// Returns R_0 … R_{n−1}.
pub fn lambda_returns(
    rewards: &[f32],
    continues: &[f32],
    values: &[f32],
    discount: f32,
    lambda: f32,
) -> Vec<f32> {
    let mut next = values.last().copied().unwrap_or(0.0);
    let mut returns = vec![0.0; rewards.len()];
    for t in (0..rewards.len()).rev() {
        let ahead = (1.0 - lambda) * values[t + 1] + lambda * next;
        next = rewards[t] + discount * continues[t] * ahead;
        returns[t] = next;
    }
    returns
}

/// Discounted sums of the rewards after each frame of an episode, G_t = r_{t+1} + γ c_{t+1} G_{t+1}, and which of
/// them count: an episode that was cut off does not tell the returns of its last `cut` frames.
///
/// `rewards[t]` and `ends[t]` came with frame t; both and the result are `[T]`.
pub fn recorded_returns(
    rewards: &[f32],
    ends: &[f32],
    discount: f32,
    cut: usize,
) -> (Vec<f32>, Vec<f32>) {
    let frames = rewards.len();
    let mut returns = vec![0.0; frames];
    let mut weights = vec![1.0; frames];
    // First frame from which on no end is recorded.
    let open = ends.iter().rposition(|end| *end > 0.5).map_or(0, |t| t + 1);
    let known = frames.saturating_sub(cut).max(open);
    weights[known..].fill(0.0);
    for t in (0..frames.saturating_sub(1)).rev() {
        returns[t] = rewards[t + 1] + discount * (1.0 - ends[t + 1]) * returns[t + 1];
    }
    // After its end, an episode has no return.
    for (weight, end) in weights.iter_mut().zip(ends) {
        *weight *= 1.0 - end;
    }
    (returns, weights)
}

/// Cross-entropy of softmax(`logits`) `[N, bins]` to the two-hot encodings of `targets` `[N]`, the weighted mean.
///
/// # Errors
/// Returns an error if the shapes are inconsistent or the device fails.
pub fn two_hot_loss(
    logits: &Tensor,
    targets: &[f32],
    weights: &[f32],
    bins: &TwoHot,
) -> Result<Tensor> {
    let mut shares = vec![0.0; targets.len() * bins.bins];
    let rows = shares.chunks_exact_mut(bins.bins);
    for ((x, weight), shares) in targets.iter().zip(weights).zip(rows) {
        bins.encode(*x, shares);
        for share in shares {
            *share *= weight;
        }
    }
    let total: f32 = weights.iter().sum();
    let shares = Tensor::from_vec(shares, (targets.len(), bins.bins), logits.device())?;
    let log = log_softmax(logits, D::Minus1)?;
    let sum = (log * shares)?.sum_all()?.neg()?;
    Ok((sum / f64::from(total.max(f32::MIN_POSITIVE)))?)
}

/// Mean binary cross-entropy of the sigmoid of `logits` `[N, 1]` to `targets` in `[0, 1]`, weighted.
///
/// # Errors
/// Returns an error if the shapes are inconsistent or the device fails.
pub fn binary_loss(logits: &Tensor, targets: &[f32], weights: &[f32]) -> Result<Tensor> {
    let shape = (targets.len(), 1);
    let targets = Tensor::from_slice(targets, shape, logits.device())?;
    let total: f32 = weights.iter().sum();
    let weights = Tensor::from_slice(weights, shape, logits.device())?;
    // max(x, 0) − x y + ln(1 + exp(−|x|)) does not overflow.
    let soft = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
    let losses = ((logits.relu()? - (logits * targets)?)? + soft)?;
    Ok(((losses * weights)?.sum_all()? / f64::from(total.max(f32::MIN_POSITIVE)))?)
}

/// Cross-entropy of a policy's `logits` `[N, distances, A]` to the actions that were taken, `[N, distances]`,
/// those with weight 0 left out: the mean over the others.
///
/// # Errors
/// Returns an error if the shapes are inconsistent or the device fails.
pub fn cloning_loss(logits: &Tensor, actions: &[u32], weights: &[f32]) -> Result<Tensor> {
    let (n, distances, _) = logits.dims3()?;
    let device = logits.device();
    let actions = Tensor::from_slice(actions, (n, distances, 1), device)?;
    let total: f32 = weights.iter().sum();
    let weights = Tensor::from_slice(weights, (n, distances, 1), device)?;
    let log = log_softmax(logits, D::Minus1)?.gather(&actions, D::Minus1)?;
    let sum = (log * weights)?.sum_all()?.neg()?;
    Ok((sum / f64::from(total.max(f32::MIN_POSITIVE)))?)
}

/// How much each part of [`pmpo`] counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PmpoWeights {
    /// α: of the actions that went well, against 1 − α of those that did not.
    pub alpha: f64,
    /// β: of the divergence from the prior.
    pub beta: f64,
}

/// The loss of a policy and what it is made of.
pub struct PmpoLoss {
    /// The loss.
    pub loss: Tensor,
    /// Mean KL[π ‖ prior].
    pub divergence: Tensor,
    /// Mean entropy of π.
    pub entropy: Tensor,
}

/// PMPO by the signs of the advantages (Abdolmaleki et al., *Learning from Negative Feedback, or Positive
/// Feedback or Both*, 2024), with the KL that Hafner et al. (2025) use, from the policy to the prior:
/// (1 − α) mean_{A<0} ln π(a|s) − α mean_{A≥0} ln π(a|s) + β mean KL[π ‖ prior].
///
/// `logits` and `prior` are `[N, A]`; there is an action and an advantage for each row. A mean over no row is 0.
///
/// # Errors
/// Returns an error if the shapes are inconsistent or the device fails.
pub fn pmpo(
    logits: &Tensor,
    prior: &Tensor,
    actions: &[u32],
    advantages: &[f32],
    weights: PmpoWeights,
) -> Result<PmpoLoss> {
    let n = actions.len();
    let device = logits.device();
    let log = log_softmax(logits, D::Minus1)?;
    let probabilities = log.exp()?;
    let prior = log_softmax(prior, D::Minus1)?.detach();
    let good = advantages.iter().filter(|a| **a >= 0.0).count();
    let [per_good, per_bad] = [
        -weights.alpha / good.max(1) as f64,
        (1.0 - weights.alpha) / (n - good).max(1) as f64,
    ];
    let weight = |a: &f32| if *a >= 0.0 { per_good } else { per_bad } as f32;
    let signed = advantages.iter().map(weight);
    let signed = Tensor::from_vec(signed.collect::<Vec<_>>(), (n, 1), device)?;
    let taken = Tensor::from_slice(actions, (n, 1), device)?;
    let feedback = (log.gather(&taken, 1)? * signed)?.sum_all()?;
    let divergence = (&probabilities * (&log - prior)?)?.sum(1)?.mean_all()?;
    let entropy = (probabilities * log)?.sum(1)?.mean_all()?.neg()?;
    Ok(PmpoLoss {
        loss: (feedback + (&divergence * weights.beta)?)?,
        divergence,
        entropy,
    })
}

#[cfg(test)]
#[path = "objective_tests.rs"]
mod tests;
