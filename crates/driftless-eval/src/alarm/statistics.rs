//! Scores of signals, and how well scores agree with the truth.

/// Smallest signal, so that it has a logarithm.
const SMALLEST: f64 = 1e-6;

/// Mean and standard deviation of a signal's logarithm over frames that are right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LogScale {
    /// Mean.
    pub mean: f64,
    /// Standard deviation, above 0.
    pub deviation: f64,
}

impl LogScale {
    /// Of signals.
    pub fn of(signals: &[f64]) -> Self {
        let logs: Vec<f64> = signals.iter().map(|x| x.max(SMALLEST).ln()).collect();
        let count = logs.len().max(1) as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let variance = logs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        Self {
            mean,
            deviation: variance.sqrt().max(SMALLEST),
        }
    }

    /// How many deviations a signal's logarithm lies above the mean.
    pub fn score(self, signal: f64) -> f64 {
        (signal.max(SMALLEST).ln() - self.mean) / self.deviation
    }
}

/// Ranks from 0; equal values share the mean of theirs.
pub(super) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let tied = order[start..]
            .iter()
            .take_while(|&&i| values[i] == values[order[start]])
            .count();
        for &i in &order[start..start + tied] {
            ranks[i] = start as f64 + (tied - 1) as f64 / 2.0;
        }
        start += tied;
    }
    ranks
}

/// Pearson's correlation; 0 where one side is constant.
pub(super) fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len().max(1) as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sums = a.iter().zip(b).map(|(a, b)| (a - mean_a, b - mean_b));
    let [ab, aa, bb] = sums.fold([0.0; 3], |[ab, aa, bb], (a, b)| {
        [ab + a * b, aa + a * a, bb + b * b]
    });
    let scale: f64 = (aa * bb).sqrt();
    if scale > 0.0 { ab / scale } else { 0.0 }
}

/// Probability that a wrong frame's score exceeds a right one's (Mann and Whitney); `None` without both.
pub(super) fn auroc(scored: &[(f64, bool)]) -> Option<f64> {
    let scores: Vec<f64> = scored.iter().map(|(score, _)| *score).collect();
    let wrong = scored.iter().filter(|(_, wrong)| *wrong).count() as f64;
    let right = scored.len() as f64 - wrong;
    let ranks = ranks(&scores);
    let sum: f64 = ranks
        .iter()
        .zip(scored)
        .filter(|(_, (_, wrong))| *wrong)
        .map(|(r, _)| r)
        .sum();
    (wrong > 0.0 && right > 0.0).then(|| (sum - wrong * (wrong - 1.0) / 2.0) / (wrong * right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_relative_to_the_scale() {
        let e = std::f64::consts::E;
        let scale = LogScale::of(&[1.0, e * e]);
        assert!((scale.mean - 1.0).abs() < 1e-12 && (scale.deviation - 1.0).abs() < 1e-12);
        assert!((scale.score(e.powi(4)) - 3.0).abs() < 1e-12);
        assert!(scale.score(0.0).is_finite() && LogScale::of(&[2.0]).score(3.0).is_finite());
    }

    #[test]
    fn ranks_and_area_match_their_definitions() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [2.5, 0.0, 2.5, 1.0]);
        let scored = [(1.0, false), (2.0, true), (3.0, false), (4.0, true)];
        // Of the four pairs, three are in order.
        assert_eq!(auroc(&scored), Some(0.75));
        assert_eq!(auroc(&[(1.0, true)]), None);
    }
}
