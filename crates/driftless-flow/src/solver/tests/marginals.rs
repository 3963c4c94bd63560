use super::*;

const COUNT: usize = 2000;

/// Where the SDE carries samples of the path's start.
fn carried(mixture: &Mixture, path: Path, churn: f64, grid: &[f64], seed: u64) -> Tensor {
    let rng = &mut rng(seed);
    let start = mixture.samples_at(path, grid[0], COUNT, rng).unwrap();
    let estimates = &mut |z: &Tensor, tau| mixture.flow(path, z, tau);
    solve_sde(path, churn, grid, &start, estimates, rng).unwrap()
}

fn two_clusters() -> Mixture {
    let means: [&[f64]; 2] = [&[-1.5, 0.5], &[1.5, -0.3]];
    let deviations: [&[f64]; 2] = [&[0.5, 0.8], &[0.7, 0.4]];
    Mixture::new(&[0.35, 0.65], &means, &deviations).turned(&mut rng(20))
}

/// The coordinate of every row along a direction, sorted.
fn along(rows: &Tensor, direction: [f64; 2]) -> Vec<f64> {
    let rows: Vec<Vec<f64>> = rows.to_vec2().unwrap();
    let mut along: Vec<f64> = rows
        .iter()
        .map(|row| row[0] * direction[0] + row[1] * direction[1])
        .collect();
    along.sort_by(f64::total_cmp);
    along
}

/// The two-sample Kolmogorov-Smirnov statistic of sorted numbers, over its 0.1 % quantile
/// 1.95 √((n + m)/nm).
fn kolmogorov_smirnov(a: &[f64], b: &[f64]) -> f64 {
    let below = |of: &[f64], x: f64| of.partition_point(|y| *y <= x) as f64 / of.len() as f64;
    let gaps = a
        .iter()
        .chain(b)
        .map(|&x| (below(a, x) - below(b, x)).abs());
    let (n, m) = (a.len() as f64, b.len() as f64);
    gaps.fold(0.0, f64::max) / (1.95 * ((n + m) / (n * m)).sqrt())
}

const DIRECTIONS: [[f64; 2]; 4] = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.8, -0.6]];

/// Refuses samples that differ from `truth` in distribution along four directions.
fn assert_same(samples: &Tensor, truth: &Tensor, what: &str) {
    for direction in DIRECTIONS {
        let statistic = kolmogorov_smirnov(&along(samples, direction), &along(truth, direction));
        assert!(statistic < 1.0, "{what} {direction:?}: {statistic}");
    }
}

/// Refuses samples of another mean or covariance, by more than 4 standard errors and the bias that
/// a step of Euler's method may have.
fn assert_moments(samples: &Tensor, mixture: &Mixture, what: &str) {
    let (mean, covariance) = mixture.moments();
    let rows: Vec<Vec<f64>> = samples.to_vec2().unwrap();
    let check = |of: &dyn Fn(&[f64]) -> f64, expected: f64, what: String| {
        let values: Vec<f64> = rows.iter().map(|row| of(row)).collect();
        let average = values.iter().sum::<f64>() / COUNT as f64;
        let variance = values.iter().map(|x| (x - average).powi(2)).sum::<f64>() / COUNT as f64;
        let error = 4.0 * (variance / COUNT as f64).sqrt() + 0.02;
        assert!(
            (average - expected).abs() < error,
            "{what}: {average} {expected}"
        );
    };
    for i in 0..2 {
        check(&|row| row[i], mean[i], format!("{what} mean {i}"));
        for j in 0..=i {
            let product = |row: &[f64]| (row[i] - mean[i]) * (row[j] - mean[j]);
            check(
                &product,
                covariance[i][j],
                format!("{what} covariance {i} {j}"),
            );
        }
    }
}

#[test]
fn the_sde_ends_at_the_data_whatever_its_churn() {
    let mixture = two_clusters();
    let truth = mixture.samples(20_000, &mut rng(21)).unwrap();
    for (i, path) in PATHS.into_iter().enumerate() {
        // On the exploding path what is left is the data under noise of σ = 0.05.
        let grid = Grid::Uniform.levels(150, 0.0, 1.0).unwrap();
        for (j, churn) in [0.0, 0.5, 1.0, 2.0].into_iter().enumerate() {
            let what = format!("{path:?} churn {churn}");
            let end = carried(&mixture, path, churn, &grid, (30 + 10 * i + j) as u64);
            assert_moments(&end, &mixture, &what);
            assert_same(&end, &truth, &what);
        }
    }
}

#[test]
fn the_sde_has_the_marginals_of_the_path_on_the_way_and_backwards() {
    let mixture = two_clusters();
    for path in PATHS {
        for (from, to) in [(0.0, 0.6), (1.0, 0.4)] {
            let grid = Grid::Uniform.levels(150, from, to).unwrap();
            let there = carried(&mixture, path, 1.0, &grid, 51);
            let truth = mixture.samples_at(path, to, 20_000, &mut rng(52)).unwrap();
            assert_same(&there, &truth, &format!("{path:?} {from} to {to}"));
        }
    }
}

#[test]
fn the_test_of_distributions_sees_a_wrong_drift() {
    // Noise without the drift that makes up for it.
    let mixture = two_clusters();
    let grid = Grid::Uniform.levels(150, 0.0, 1.0).unwrap();
    let rng = &mut rng(53);
    let start = mixture.samples_at(Path::Linear, 0.0, COUNT, rng).unwrap();
    let estimates = &mut |z: &Tensor, tau| -> Result<_> {
        let flow = mixture.flow(Path::Linear, z, tau)?;
        let noise = (flow.noise * 0.5)?;
        Ok(Estimates { noise, ..flow })
    };
    let end = solve_sde(Path::Linear, 1.0, &grid, &start, estimates, rng).unwrap();
    let truth = mixture.samples(20_000, rng).unwrap();
    let worst = DIRECTIONS
        .map(|d| kolmogorov_smirnov(&along(&end, d), &along(&truth, d)))
        .into_iter()
        .fold(0.0, f64::max);
    assert!(worst > 1.0, "{worst}");
}

#[test]
fn without_churn_it_is_eulers_method_to_the_bit() {
    let mixture = two_clusters();
    for path in PATHS {
        for shift in [1.0, 3.0] {
            let grid = Grid::Shifted { shift }.levels(20, 0.0, 1.0).unwrap();
            let start = mixture.samples_at(path, 0.0, 50, &mut rng(60)).unwrap();
            let estimates = &mut |z: &Tensor, tau| mixture.flow(path, z, tau);
            let sde = solve_sde(path, 0.0, &grid, &start, estimates, &mut rng(61)).unwrap();
            let ode = solve(Method::Euler, &grid, &start, &mut velocity(&mixture, path));
            assert_eq!(sde.numbers().unwrap(), ode.unwrap().numbers().unwrap());
        }
    }
}

#[test]
fn a_model_of_one_path_sampled_on_another_goes_the_same_way() {
    let mixture = two_clusters();
    // Levels that every path has a matching one for.
    let (from, to) = (0.1, 0.95);
    let grid = |from, to| Grid::Uniform.levels(200, from, to).unwrap();
    for learned in PATHS {
        for sampled in PATHS {
            let what = format!("{learned:?} as {sampled:?}");
            let start = mixture.samples_at(sampled, from, 20, &mut rng(70)).unwrap();
            let field = &mut |z: &Tensor, tau: f64| {
                let there = sampled.matching(tau, learned)?;
                let asked = (z * there.scale)?;
                let (clean, noise) = mixture.estimates(learned, &asked, there.tau)?;
                let at = sampled.at(tau)?;
                Tensor::combine(&[(at.alpha_dot, &clean), (at.sigma_dot, &noise)])
            };
            let levels = grid(from, to);
            let end = solve(Method::DormandPrince, &levels, &start, field).unwrap();
            let own = &mut velocity(&mixture, sampled);
            let own = solve(Method::DormandPrince, &levels, &start, own).unwrap();
            assert!(distance(&end, &own) < 1e-10, "{what}");
            // The ODE of the path learned on, between the matching levels, ends at the match.
            let (a, b) = (
                sampled.matching(from, learned),
                sampled.matching(to, learned),
            );
            let (a, b) = (a.unwrap(), b.unwrap());
            let other = solve(
                Method::DormandPrince,
                &grid(a.tau, b.tau),
                &(&start * a.scale).unwrap(),
                &mut velocity(&mixture, learned),
            );
            let matched = (end * b.scale).unwrap();
            let gap = distance(&matched, &other.unwrap());
            assert!(gap < 1e-8, "{what}: {gap}");
        }
    }
}

#[test]
fn bad_churn_grids_and_estimates_are_refused() {
    let mixture = two_clusters();
    let start = mixture
        .samples_at(Path::Linear, 0.0, 2, &mut rng(80))
        .unwrap();
    let run = |path, churn, grid: &[f64], factor: (f64, f64)| {
        let estimates = &mut |z: &Tensor, tau| {
            let flow = mixture.flow(path, z, tau)?;
            Ok(Estimates {
                velocity: (flow.velocity * factor.0)?,
                noise: (flow.noise * factor.1)?,
            })
        };
        solve_sde(path, churn, grid, &start, estimates, &mut rng(81))
    };
    let (good, nan) = ((1.0, 1.0), f64::NAN);
    for churn in [-0.1, f64::NAN, f64::INFINITY] {
        let error = said(run(Path::Linear, churn, &[0.0, 1.0], good));
        assert!(error.starts_with("the churn of the SDE is "), "{error}");
    }
    for grid in [&[0.0][..], &[0.0, 1.5], &[0.5, 0.5], &[]] {
        let error = said(run(Path::Linear, 1.0, grid, good));
        assert!(error.starts_with("the τ grid ["), "{error}");
    }
    let error = said(run(Path::Linear, 1.0, &[0.0, 1.0], (nan, 1.0)));
    assert_eq!(error, "the velocity at signal level τ = 0 is not finite");
    let error = said(run(Path::Linear, 1.0, &[0.0, 1.0], (1.0, nan)));
    assert_eq!(error, "the noise at signal level τ = 0 is not finite");
}
