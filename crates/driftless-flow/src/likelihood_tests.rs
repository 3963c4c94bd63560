use candle_core::{D, DType, Device};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::super::closed::Mixture;
use super::*;
use crate::Error;

const EXPLODING: Path = Path::Exploding {
    least: 0.05,
    most: 50.0,
};

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn adaptive(tolerance: f64) -> Integrator {
    Integrator::Adaptive(Adaptive {
        tolerance,
        absolute: tolerance,
        max_steps: 10_000,
    })
}

fn fixed(method: Method, steps: usize) -> Integrator {
    Integrator::Fixed {
        method,
        grid: Grid::Uniform,
        steps,
    }
}

const fn probes(probes: usize, kind: Probe) -> Divergence {
    Divergence::Hutchinson { probes, kind }
}

/// Log likelihoods of samples of a mixture at a level, and the true ones in nats.
fn of_mixture(
    mixture: &Mixture,
    (path, from): (Path, f64),
    items: usize,
    integrator: &Integrator,
    divergence: Divergence,
    seed: u64,
) -> (Vec<LogLikelihood>, Vec<f64>) {
    let mut rng = rng(seed);
    let z = mixture.samples_at(path, from, items, &mut rng).unwrap();
    let velocity = |z: &Tensor, tau: f64| mixture.velocity(path, z, tau);
    let own = log_likelihood(&velocity, &z, path, from, integrator, divergence, &mut rng);
    let truth = mixture.log_density(path, &z, from).unwrap();
    (own.unwrap(), truth.to_vec1().unwrap())
}

fn worst((own, truth): (Vec<LogLikelihood>, Vec<f64>)) -> f64 {
    let gaps = own.iter().zip(truth).map(|(own, t)| (own.nats - t).abs());
    gaps.fold(0.0, f64::max)
}

#[test]
fn exact_log_likelihoods_are_those_of_gaussians_and_mixtures() {
    eprintln!("path    level  D   Gaussian  mixture (largest error of 6 samples, nats)");
    let integrator = adaptive(1e-7);
    for path in [Path::Linear, Path::Cosine] {
        for from in [0.999, 1.0] {
            for d in [1, 2, 4, 16] {
                let [gaussian, mixture] = [1, 3].map(|components| {
                    let mixture = Mixture::random(components, d, &mut rng(d as u64));
                    let exact = Divergence::Exact;
                    worst(of_mixture(&mixture, (path, from), 6, &integrator, exact, 7))
                });
                let name = format!("{path:?}");
                eprintln!("{name:7} {from:5} {d:2}   {gaussian:8.1e}  {mixture:7.1e}");
                assert!(gaussian < 1e-5 && mixture < 1e-5);
            }
        }
    }
}

#[test]
fn on_the_exploding_path_the_error_is_that_of_the_start() {
    for d in [1, 4] {
        let mixture = Mixture::random(3, d, &mut rng(1));
        let (mean, covariance) = mixture.moments();
        let square: f64 = (0..d).map(|i| covariance[i][i] + mean[i] * mean[i]).sum();
        let exact = Divergence::Exact;
        let gap = worst(of_mixture(
            &mixture,
            (EXPLODING, 1.0),
            6,
            &adaptive(1e-7),
            exact,
            8,
        ));
        eprintln!("exploding, σ(0) = 50, D = {d}: {gap:.1e} nats");
        assert!(gap < 3.0 * square.sqrt() / 50.0, "{gap} {square}");
    }
}

#[test]
fn fixed_steps_do_as_well_where_they_are_enough() {
    let mixture = Mixture::random(3, 2, &mut rng(2));
    let at = (Path::Linear, 0.999);
    for (method, steps, within) in [
        (Method::DormandPrince, 24, 1e-3),
        (Method::Midpoint, 200, 1e-2),
        (Method::Euler, 400, 0.2),
    ] {
        let gap = worst(of_mixture(
            &mixture,
            at,
            6,
            &fixed(method, steps),
            Divergence::Exact,
            9,
        ));
        eprintln!("{method:?}, {steps} steps: {gap:.1e} nats");
        assert!(gap < within, "{method:?} {gap}");
    }
}

#[test]
fn estimates_lie_within_their_standard_errors() {
    let mixture = Mixture::random(3, 4, &mut rng(3));
    let (at, integrator) = ((Path::Linear, 0.999), fixed(Method::DormandPrince, 8));
    for kind in [Probe::Rademacher, Probe::Gaussian] {
        let (own, truth) = of_mixture(&mixture, at, 12, &integrator, probes(128, kind), 13);
        let errors: Vec<f64> = own.iter().map(|o| o.standard_error.unwrap()).collect();
        let gaps = own.iter().zip(&truth).map(|(own, truth)| own.nats - truth);
        let gaps: Vec<f64> = gaps.collect();
        let scores: Vec<f64> = gaps.iter().zip(&errors).map(|(g, e)| g / e).collect();
        eprintln!("{kind:?}, 128 probes: gaps in standard errors {scores:.2?}");
        assert!(errors.iter().all(|e| *e > 1e-3), "nothing was estimated");
        assert!(scores.iter().all(|s| s.abs() < 3.0));
        // χ² of 12 lies between these 99 times in 100.
        let square: f64 = scores.iter().map(|s| s * s).sum();
        assert!((3.07..28.3).contains(&square), "{square}");
        let spread = errors.iter().map(|e| e * e).sum::<f64>().sqrt();
        let mean = gaps.iter().sum::<f64>() / spread;
        assert!(mean.abs() < 3.0, "the estimate is biased: {mean}");
    }
}

#[test]
fn the_mean_over_all_signs_is_exact() {
    let mixture = Mixture::random(3, 4, &mut rng(3));
    let z = mixture
        .samples_at(Path::Linear, 0.6, 5, &mut rng(1))
        .unwrap();
    let velocity = |z: &Tensor, tau: f64| mixture.velocity(Path::Linear, z, tau);
    let signs = |pattern: u32| {
        let sign = |i: u32| f64::from(pattern >> i & 1) * 2.0 - 1.0;
        let row: Vec<f64> = (0..4).map(sign).collect();
        Tensor::new(row, &Device::Cpu)
            .unwrap()
            .broadcast_as((5, 4))
            .unwrap()
    };
    let all = Probes(Some((0..16).map(signs).collect()));
    let estimates = all.slope(&velocity, &z, 0.6).unwrap().1;
    let exact = divergences(&velocity, &z, 0.6, Divergence::Exact, &mut rng(0)).unwrap();
    for (n, exact) in exact.into_iter().enumerate() {
        let (mean, error) = all.mean(&estimates, n);
        assert!((mean - exact).abs() < 1e-12 && error.unwrap() > 1e-3);
    }
}

#[test]
fn signs_are_exact_where_the_jacobian_is_diagonal_and_normal_probes_are_not() {
    let gaussian = Mixture::gaussian(&[1.0, -2.0, 0.5], &[0.5, 1.5, 0.8]);
    let at = (Path::Cosine, 1.0);
    let run = |divergence| of_mixture(&gaussian, at, 4, &adaptive(1e-7), divergence, 11);
    let (signs, truth) = run(probes(2, Probe::Rademacher));
    for one in &signs {
        assert!(one.standard_error.unwrap() < 1e-12);
    }
    assert!(worst((signs, truth)) < 1e-5);
    let (normal, _) = run(probes(2, Probe::Gaussian));
    assert!(normal.iter().all(|one| one.standard_error.unwrap() > 1e-3));
    let (one, _) = run(probes(1, Probe::Gaussian));
    assert!(one.iter().all(|one| one.standard_error.is_none()));
}

#[test]
fn the_standard_error_shrinks_with_the_root_of_the_probes() {
    let mixture = Mixture::random(2, 3, &mut rng(4));
    let integrator = fixed(Method::Midpoint, 6);
    let at = (Path::Linear, 0.99);
    for kind in [Probe::Rademacher, Probe::Gaussian] {
        let error = |count| {
            let (own, _) = of_mixture(&mixture, at, 256, &integrator, probes(count, kind), 12);
            let errors = own.iter().map(|one| one.standard_error.unwrap().powi(2));
            (errors.sum::<f64>() / 256.0).sqrt()
        };
        let (few, many) = (error(4), error(64));
        eprintln!("{kind:?}: standard error {few:.4} of 4 probes, {many:.4} of 64");
        assert!((few / many / 4.0 - 1.0).abs() < 0.15, "{few} {many}");
    }
}

#[test]
fn the_divergence_of_a_linear_field_is_its_trace_for_every_item() {
    let a = Tensor::new(
        &[[2.0, 1.0, -1.0], [0.5, -3.0, 4.0], [7.0, 0.0, 0.25]],
        &Device::Cpu,
    );
    let a = a.unwrap();
    let z = Tensor::zeros((5, 3), DType::F64, &Device::Cpu).unwrap();
    let z = z.normal_like(&mut rng(5)).unwrap();
    // The cubes make items differ: ∂/∂zᵢ adds 3zᵢ².
    let velocity = |z: &Tensor, _: f64| -> Result<_> { Ok((z.matmul(&a)? + z.powf(3.0)?)?) };
    let exact = divergences(&velocity, &z, 0.5, Divergence::Exact, &mut rng(0)).unwrap();
    let squares: Vec<f64> = z.sqr().unwrap().sum(D::Minus1).unwrap().to_vec1().unwrap();
    for (own, square) in exact.iter().zip(&squares) {
        assert!((own - (3.0 * square - 0.75)).abs() < 1e-12);
    }
    for (n, own) in exact.iter().enumerate() {
        let alone = z.narrow(0, n, 1).unwrap();
        let alone = divergences(&velocity, &alone, 0.5, Divergence::Exact, &mut rng(0));
        assert!((alone.unwrap()[0] - own).abs() < 1e-12);
    }
}

#[test]
fn items_that_depend_on_each_other_are_one_item() {
    // Every number is pulled to the mean of all six: ∇·v = −6 (1 − 1/6).
    let velocity = |z: &Tensor, _: f64| -> Result<_> { Ok(z.mean_all()?.broadcast_sub(z)?) };
    let z = Tensor::new(&[[[1.0, 2.0], [3.0, -4.0], [0.0, 9.0]]], &Device::Cpu).unwrap();
    let own = divergences(&velocity, &z, 0.5, Divergence::Exact, &mut rng(0)).unwrap();
    assert!(own.len() == 1 && (own[0] + 5.0).abs() < 1e-12, "{own:?}");
}

#[test]
fn frames_of_any_shape_in_single_precision_have_their_bits() {
    // N(0, s²) of [2, 3] numbers: v = (τ s² − (1 − τ)) / (τ² s² + (1 − τ)²) z.
    let variance = 0.25;
    let velocity = |z: &Tensor, tau: f64| -> Result<_> {
        let noise = 1.0 - tau;
        Ok((z * ((tau * variance - noise) / (tau * tau * variance + noise * noise)))?)
    };
    let z = Tensor::zeros((3, 2, 3), DType::F32, &Device::Cpu).unwrap();
    let z = (z.normal_like(&mut rng(5)).unwrap() * 0.5).unwrap();
    for divergence in [Divergence::Exact, probes(3, Probe::Rademacher)] {
        let integrator = adaptive(1e-5);
        let path = Path::Linear;
        let own = log_likelihood(
            &velocity,
            &z,
            path,
            1.0,
            &integrator,
            divergence,
            &mut rng(6),
        );
        for (n, own) in own.unwrap().iter().enumerate() {
            let square: f64 = z
                .get(n)
                .unwrap()
                .numbers()
                .unwrap()
                .iter()
                .map(|x| x * x)
                .sum();
            let nats = -0.5 * (square / variance + 6.0 * (TAU * variance).ln());
            assert!((own.nats - nats).abs() < 1e-3, "{} {nats}", own.nats);
            assert_eq!(own.dimensions, 6);
            let bits = -nats / 6.0 / 2f64.ln();
            assert!((own.bits_per_dimension() - bits).abs() < 1e-3);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_estimate() {
    let mixture = Mixture::random(2, 3, &mut rng(4));
    let run = |seed| {
        let at = (Path::Linear, 0.9);
        let way = probes(2, Probe::Gaussian);
        of_mixture(&mixture, at, 2, &fixed(Method::Heun, 4), way, seed).0
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn nonsense_is_refused() {
    let z = Tensor::new(&[[0.5, 1.0]], &Device::Cpu).unwrap();
    let run = |velocity: &Velocity, z: &Tensor, from, divergence| {
        let integrator = fixed(Method::Heun, 4);
        let path = Path::Linear;
        match log_likelihood(
            velocity,
            z,
            path,
            from,
            &integrator,
            divergence,
            &mut rng(0),
        ) {
            Err(Error::Flow(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let still = |z: &Tensor, _: f64| Ok((z * 0.5)?);
    let exact = Divergence::Exact;
    let error = run(&still, &z, 0.5, probes(0, Probe::Gaussian));
    assert_eq!(
        error.to_string(),
        "the number of probes is 0, expected 1 or more"
    );
    for from in [-0.1, 1.5, f64::NAN] {
        assert!(matches!(
            run(&still, &z, from, exact),
            FlowError::Level { .. }
        ));
    }
    assert!(matches!(
        run(&still, &z, 0.0, exact),
        FlowError::Grid { .. }
    ));
    let bad = (&z * f64::NAN).unwrap();
    assert!(matches!(
        run(&still, &bad, 0.5, exact),
        FlowError::NotFinite { .. }
    ));
    let none = z.narrow(0, 0, 0).unwrap();
    assert!(matches!(
        run(&still, &none, 0.5, exact),
        FlowError::Shape { .. }
    ));
    let wide = |z: &Tensor, _: f64| Ok(Tensor::cat(&[z, z], 1)?);
    assert!(matches!(
        run(&wide, &z, 0.5, exact),
        FlowError::Shape { .. }
    ));
    let cut = |z: &Tensor, _: f64| Ok(z.detach());
    let error = run(&cut, &z, 0.5, exact);
    assert_eq!(
        error.to_string(),
        "the velocity at signal level τ = 0.5 does not depend on z by differentiable operations, \
         expected it to"
    );
    let singular = |z: &Tensor, tau: f64| Ok((z / (1.0 - tau))?);
    assert!(matches!(
        run(&singular, &z, 1.0, exact),
        FlowError::NotFinite { .. }
    ));
}
