//! Reads EC50 back from the measured effects of a dose series.

/// The effect of a dose, in any unit; 0 is that of no dose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response {
    /// The dose.
    pub dose: f64,
    /// Its effect.
    pub effect: f64,
}

/// The dose of half the largest effect: least squares of the equation of Hill with an offset,
/// B + A doseʰ/(EC50ʰ + doseʰ), over EC50 in steps of a fiftieth of a decade, up to half a decade beyond
/// the doses, and h from 0.5 to 4; A > 0 and B are exact. The offset is what a network changes at any dose,
/// however small. `None` for fewer than four doses or if no positive effect fits.
pub fn fit_hill(responses: &[Response]) -> Option<f64> {
    if responses.len() < 4 {
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
            let shares = responses
                .iter()
                .map(|r| 1.0 / (1.0 + (ec50 / r.dose).powf(slope)));
            let error = error_of_line(shares.zip(responses.iter().map(|r| r.effect)));
            if let Some(error) = error
                && best.is_none_or(|(least, _)| error < least)
            {
                best = Some((error, ec50));
            }
        }
    }
    best.map(|(_, ec50)| ec50)
}

/// The squared error of the best line y = A x + B; `None` unless it rises.
fn error_of_line(points: impl Iterator<Item = (f64, f64)> + Clone) -> Option<f64> {
    let count = points.clone().count() as f64;
    let mean = |of: fn((f64, f64)) -> f64| points.clone().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let (mut square, mut cross) = (0.0, 0.0);
    for (at, value) in points.clone() {
        square += (at - x).powi(2);
        cross += (at - x) * (value - y);
    }
    let rise = cross / square;
    let errors = points.map(|(at, value)| (y + rise * (at - x) - value).powi(2));
    (rise > 0.0 && rise.is_finite()).then(|| errors.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ec50_of_exact_curves_is_read_back() {
        for (ec50, slope) in [(0.12, 1.0), (0.7, 2.0), (2.5, 1.5)] {
            let responses = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0].map(|dose: f64| Response {
                dose,
                effect: 3.0 / (1.0 + (ec50 / dose).powf(slope)) - 0.7,
            });
            let found = fit_hill(&responses).unwrap();
            assert!((found / ec50).log10().abs() < 0.03, "{ec50}: {found}");
        }
    }

    #[test]
    fn no_effect_has_no_ec50() {
        let with = |effect: fn(f64) -> f64| {
            [0.1, 0.3, 1.0, 10.0].map(|dose| Response {
                dose,
                effect: effect(dose),
            })
        };
        assert_eq!(fit_hill(&with(|_| -1.0)), None);
        assert_eq!(fit_hill(&with(|dose| -dose)), None);
        assert_eq!(fit_hill(&with(|dose| dose)[..3]), None);
    }
}
