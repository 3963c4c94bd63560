//! Median and 95th percentile of timings.

use std::time::Duration;

use serde::Serialize;

/// Duration of something that was measured many times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Timing {
    /// Median in milliseconds.
    pub median_ms: f64,
    /// 95th percentile in milliseconds.
    pub p95_ms: f64,
}

impl Timing {
    /// Summarizes measurements; zeros if there are none.
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        let times = times.into_iter().map(|time| time.as_secs_f64() * 1e3);
        let mut sorted: Vec<f64> = times.collect();
        sorted.sort_by(f64::total_cmp);
        Self {
            median_ms: median(&sorted),
            p95_ms: percentile(&sorted, 95),
        }
    }
}

/// Median of sorted values; 0 if there are none.
fn median(sorted: &[f64]) -> f64 {
    let at = |i: usize| sorted.get(i).copied().unwrap_or(0.0);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => at(n / 2),
        n => (at(n / 2 - 1) + at(n / 2)) / 2.0,
    }
}

/// The smallest of the sorted values that at least `percent` % do not exceed; 0 if there are none.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(ms: impl IntoIterator<Item = u64>) -> (f64, f64) {
        let timing = Timing::of(ms.into_iter().map(Duration::from_millis));
        (timing.median_ms, timing.p95_ms)
    }

    #[test]
    fn median_and_p95_of_1_to_100() {
        assert_eq!(timing((1..=100).rev()), (50.5, 95.0));
    }

    #[test]
    fn p95_ignores_one_in_twenty() {
        let with_slow = |slow: usize| (0..20).map(move |i| if i < slow { 900 } else { 7 });
        assert_eq!(timing(with_slow(1)), (7.0, 7.0));
        assert_eq!(timing(with_slow(2)), (7.0, 900.0));
    }

    #[test]
    fn one_or_no_time() {
        assert_eq!(timing([3]), (3.0, 3.0));
        assert_eq!(timing([]), (0.0, 0.0));
    }
}
