use super::*;

fn within(tolerance: f64) -> Adaptive {
    Adaptive {
        tolerance,
        absolute: tolerance,
        max_steps: 1000,
    }
}

#[test]
fn it_reaches_the_closed_form_within_its_tolerance_both_ways() {
    let rng = &mut rng(3);
    let gaussian = Mixture::random(1, 8, rng);
    for path in PATHS {
        let noise = gaussian.samples_at(path, 0.0, 16, rng).unwrap();
        let data = gaussian.carried(path, &noise, 0.0, 1.0).unwrap();
        for (from, to, start, end) in [(0.0, 1.0, &noise, &data), (1.0, 0.0, &data, &noise)] {
            let mut evaluations = Vec::new();
            for tolerance in [1e-9, 1e-6, 1e-3] {
                let field = &mut velocity(&gaussian, path);
                let solution = within(tolerance).solve(from, to, start, field).unwrap();
                // The tolerance is that of a step; a whole way may add up a few.
                let scale = 1.0 + distance(end, &end.zeros_like().unwrap());
                let off = distance(&solution.state, end) / scale;
                assert!(off < 5.0 * tolerance, "{path:?} {from} {tolerance} {off}");
                evaluations.push(solution.evaluations);
            }
            assert!(evaluations.is_sorted_by(|a, b| a > b), "{evaluations:?}");
        }
    }
}

#[test]
fn the_error_estimate_is_blind_to_what_order_4_integrates_exactly() {
    let places = [0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0];
    let estimate = |power: i32| -> f64 {
        let terms = places.iter().zip(crate::solver::adaptive::ERROR);
        terms
            .map(|(c, weight): (&f64, f64)| weight * c.powi(power))
            .sum()
    };
    for power in 0..4 {
        assert!(estimate(power).abs() < 1e-15, "{power}");
    }
    assert!(estimate(4).abs() > 1e-4);
}

#[test]
fn evaluations_are_counted_as_they_are_asked() {
    let gaussian = Mixture::gaussian(&[1.0], &[0.05]);
    let mut asked = 0;
    let start = point(0.8).reshape((1, 1)).unwrap();
    let solution = within(1e-8).solve(0.0, 1.0, &start, &mut |z, tau| {
        asked += 1;
        gaussian.velocity(Path::Linear, z, tau)
    });
    let solution = solution.unwrap();
    assert_eq!(solution.evaluations, asked);
    assert_eq!(asked, 2 + 6 * (solution.accepted + solution.rejected));
    assert!(solution.rejected > 0);
}

#[test]
fn steps_are_small_where_the_field_is_steep() {
    // Narrow data on the linear path: most happens at the very end.
    let gaussian = Mixture::gaussian(&[0.0], &[0.01]);
    let start = point(1.0).reshape((1, 1)).unwrap();
    let mut late = 0;
    let solution = within(1e-6).solve(0.0, 1.0, &start, &mut |z, tau| {
        late += usize::from(tau > 0.9);
        gaussian.velocity(Path::Linear, z, tau)
    });
    assert!(late * 2 > solution.unwrap().evaluations);
}

#[test]
fn nothing_to_do_takes_few_steps() {
    let still = &mut |z: &Tensor, _| -> Result<_> { Ok(z.zeros_like()?) };
    let solution = within(1e-6).solve(0.0, 1.0, &point(3.0), still).unwrap();
    assert_eq!(solution.state.to_vec1::<f64>().unwrap(), [3.0]);
    assert!(solution.accepted < 10);
}

#[test]
fn it_says_so_when_it_cannot() {
    // z′ = −10⁴ (z − cos 2πτ): stability alone takes thousands of explicit steps.
    let stiff = |z: &Tensor, tau: f64| {
        let target = (std::f64::consts::TAU * tau).cos();
        Ok(z.affine(-1e4, 1e4 * target)?)
    };
    let few = Adaptive {
        max_steps: 50,
        ..within(1e-6)
    };
    let error = few
        .solve(0.0, 1.0, &point(0.0), &mut { stiff })
        .err()
        .unwrap();
    let crate::Error::Flow(FlowError::Tolerance {
        steps,
        tau,
        tolerance,
    }) = error
    else {
        panic!("{error}");
    };
    assert_eq!((steps, tolerance), (50, 1e-6));
    assert!((0.0..0.1).contains(&tau), "{tau}");
    let many = Adaptive {
        max_steps: 20_000,
        ..within(1e-6)
    };
    let solution = many.solve(0.0, 0.1, &point(0.0), &mut { stiff }).unwrap();
    let end = solution.state.to_vec1::<f64>().unwrap()[0];
    assert!((end - (0.1 * std::f64::consts::TAU).cos()).abs() < 1e-3);
    // A pole in the way: steps shrink until floating point has no smaller ones.
    let pole = &mut |z: &Tensor, tau: f64| -> Result<_> { Ok((z * (1.0 / (0.5 - tau)))?) };
    assert!(many.solve(0.0, 1.0, &point(1.0), pole).is_err());
}

#[test]
fn bad_settings_are_refused() {
    let still = &mut |z: &Tensor, _| -> Result<_> { Ok(z.zeros_like()?) };
    let good = within(1e-3);
    let start = point(1.0);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let solver = Adaptive {
            tolerance: bad,
            ..good
        };
        let error = said(solver.solve(0.0, 1.0, &start, still));
        assert!(error.starts_with("the relative tolerance is "), "{error}");
        let solver = Adaptive {
            absolute: bad,
            ..good
        };
        let error = said(solver.solve(0.0, 1.0, &start, still));
        assert!(error.starts_with("the absolute tolerance is "), "{error}");
    }
    let solver = Adaptive {
        max_steps: 0,
        ..good
    };
    let error = said(solver.solve(0.0, 1.0, &start, still));
    assert_eq!(
        error,
        "the number of steps allowed is 0, expected more than 0"
    );
    for (from, to) in [(0.0, 1.5), (-0.5, 1.0), (0.5, 0.5)] {
        let error = said(good.solve(from, to, &start, still));
        assert!(error.starts_with("the τ grid ["), "{error}");
    }
}
