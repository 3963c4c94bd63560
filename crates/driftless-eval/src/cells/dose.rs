//! Reads EC50 back from the measured effects of a dose series.

/// The effect of a dose, in any unit; 0 is that of no dose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response {
    /// The dose.
    pub dose: f64,
    /// Its effect.
    pub effect: f64,
}

/// The dose of half the largest effect: least squares of the equation of Hill,
/// A doseʰ/(EC50ʰ + doseʰ), over EC50 in steps of a fiftieth of a decade, up to half a decade beyond the
/// doses, and h from 0.5 to 4; A is exact. `None` for fewer than three doses or if no positive effect
/// fits.
pub fn fit_hill(responses: &[Response]) -> Option<f64> {
    if responses.len() < 3 {
        return None;
    }
    let logs = responses.iter().map(|r| r.dose.log10());
    let low = logs.clone().fold(f64::INFINITY, f64::min) - 0.5;
    let high = logs.fold(f64::NEG_INFINITY, f64::max) + 0.5;
    let steps = ((high - low) * 50.0).ceil() as usize;
    let mut best: Option<(f64, f64)> = None;
    for step in 0..=steps {
        let ec50 = 10f64.powf(low + step as f64 / 50.0);
        for slope in (2..=16).map(|s| f64::from(s) / 4.0) {
            let share = |dose: f64| 1.0 / (1.0 + (ec50 / dose).powf(slope));
            let sums = responses.iter().fold([0.0; 2], |[cross, square], r| {
                let share = share(r.dose);
                [cross + share * r.effect, square + share * share]
            });
            let amplitude = sums[0] / sums[1];
            if amplitude <= 0.0 || !amplitude.is_finite() {
                continue;
            }
            let errors = responses
                .iter()
                .map(|r| (amplitude * share(r.dose) - r.effect).powi(2));
            let error: f64 = errors.sum();
            if best.is_none_or(|(least, _)| error < least) {
                best = Some((error, ec50));
            }
        }
    }
    best.map(|(_, ec50)| ec50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ec50_of_exact_curves_is_read_back() {
        for (ec50, slope) in [(0.12, 1.0), (0.7, 2.0), (2.5, 1.5)] {
            let responses = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0].map(|dose: f64| Response {
                dose,
                effect: 3.0 / (1.0 + (ec50 / dose).powf(slope)),
            });
            let found = fit_hill(&responses).unwrap();
            assert!((found / ec50).log10().abs() < 0.03, "{ec50}: {found}");
        }
    }

    #[test]
    fn no_effect_has_no_ec50() {
        let flat = [0.1, 1.0, 10.0].map(|dose| Response { dose, effect: -1.0 });
        assert_eq!(fit_hill(&flat), None);
        assert_eq!(fit_hill(&flat[..2]), None);
    }
}
