use candle_core::{DType, Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::super::closed::Mixture;
use super::super::objective::step;
use super::super::solver::{Adaptive, State};
use super::*;

const EXPLODING: Path = Path::Exploding {
    least: 0.005,
    most: 200.0,
};
const PATHS: [Path; 3] = [Path::Linear, Path::Cosine, EXPLODING];
const ADAPTIVE: Adaptive = Adaptive {
    tolerance: 1e-9,
    absolute: 1e-9,
    max_steps: 10_000,
};

fn ho() -> Schedule {
    Schedule::linear(1000, 1e-4, 0.02).unwrap()
}

fn models() -> Vec<Trained> {
    let mut models = vec![
        Trained::Ddpm(ho()),
        Trained::Ddpm(Schedule::cosine(1000).unwrap()),
        Trained::VpSde(VpSde::default()),
    ];
    for path in PATHS {
        let flow = |prediction| Trained::Flow { path, prediction };
        models.extend(Prediction::ALL.map(flow));
    }
    models
}

fn mixture() -> Mixture {
    Mixture::random(3, 4, &mut ChaCha8Rng::seed_from_u64(1))
}

/// The level of the cosine path whose coefficients are √ᾱ and √(1 − ᾱ).
fn preserving(ratio: Result<f64>) -> f64 {
    Path::Cosine.level_of_ratio(ratio.unwrap()).unwrap()
}

/// The output of a perfectly trained model for x at its own time.
fn perfect(model: &Trained, mixture: &Mixture, x: &Tensor, time: f64) -> Result<Tensor> {
    match model {
        Trained::Ddpm(schedule) => {
            let tau = preserving(schedule.ratio(time));
            Ok(mixture.estimates(Path::Cosine, x, tau)?.1)
        }
        Trained::VpSde(sde) => mixture.score(Path::Cosine, x, preserving(sde.ratio(time))),
        Trained::Flow { path, prediction } => Ok(match prediction {
            Prediction::X => mixture.estimates(*path, x, time)?.0,
            Prediction::V => mixture.velocity(*path, x, time)?,
            Prediction::Eps => mixture.estimates(*path, x, time)?.1,
            Prediction::Score => mixture.score(*path, x, time)?,
        }),
    }
}

/// The largest difference, relative to numbers above 1.
fn gap(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.numbers().unwrap(), b.numbers().unwrap());
    let pairs = a.iter().zip(&b);
    pairs.fold(0.0, |most, (a, b)| {
        most.max((a - b).abs() / b.abs().max(1.0))
    })
}

#[test]
fn models_give_the_velocity_of_any_path() {
    let (mixture, mut rng) = (mixture(), ChaCha8Rng::seed_from_u64(2));
    let mut worst = 0f64;
    for path in PATHS {
        for ratio in [0.02, 0.3, 1.0, 4.0, 60.0] {
            let tau = path.level_of_ratio(ratio).unwrap();
            let z = mixture.samples_at(path, tau, 6, &mut rng).unwrap();
            let truth = mixture.velocity(path, &z, tau).unwrap();
            for model in models() {
                let mut network = |x: &Tensor, time| perfect(&model, &mixture, x, time);
                let own = model.velocity(path, &z, tau, &mut network).unwrap();
                worst = worst.max(gap(&own, &truth));
            }
        }
    }
    eprintln!("velocity of every model on every path, largest gap {worst:.1e}");
    assert!(worst < 1e-9, "{worst}");
}

#[test]
fn three_views_reach_the_same_samples() {
    let mixture = mixture();
    let (schedule, sde) = (ho(), VpSde::default());
    let ddpm = Trained::Ddpm(schedule.clone());
    // From the DDPM's step 990 to its step 0, which are in the range of all three.
    let shown = |path| {
        let [from, to] = [990.0, 0.0].map(|i| ddpm.level_of_time(i, path).unwrap());
        (from, to)
    };
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (from, _) = shown(Path::Cosine);
    let start = mixture.samples_at(Path::Cosine, from.tau, 16, &mut rng);
    let start = start.unwrap();
    // Every end is converted to the variance-preserving scale.
    let along = |path: Path, velocity: &mut dyn FnMut(&Tensor, f64) -> Result<Tensor>| {
        let (from, to) = shown(path);
        let start = (&start * from.scale).unwrap();
        let end = ADAPTIVE.solve(from.tau, to.tau, &start, velocity).unwrap();
        (end.state / to.scale).unwrap()
    };
    let truth = along(Path::Linear, &mut |z, tau| {
        mixture.velocity(Path::Linear, z, tau)
    });

    let report = |name: &str, end: &Tensor, within: f64| {
        let gap = gap(end, &truth);
        eprintln!("{name:46} {gap:.1e}");
        assert!(gap < within, "{name} {gap}");
        gap
    };
    eprintln!("16 samples in 4 dimensions against flow matching on the linear path, largest gap");
    let times = [990.0, 0.0].map(|i| sde.time_of_ratio(schedule.ratio(i).unwrap()).unwrap());
    let end = ADAPTIVE.solve(times[0], times[1], &start, &mut |x: &Tensor, t| {
        let score = mixture.score(Path::Cosine, x, preserving(sde.ratio(t)))?;
        sde.diffusion(t)?.derivative(x, &score)
    });
    report("VP-SDE, its own ODE in t", &end.unwrap().state, 1e-6);
    let ddim = |stride| {
        let name = format!("DDPM, its own DDIM in {} steps", 990 / stride);
        report(&name, &ddim(&mixture, &schedule, &start, stride), 0.2)
    };
    let (few, many) = (ddim(10), ddim(1));
    assert!(few / many > 5.0, "DDIM is of order 1: {few} {many}");
    for path in PATHS {
        for model in [&ddpm, &Trained::VpSde(sde)] {
            let mut network = |x: &Tensor, time| perfect(model, &mixture, x, time);
            let end = along(path, &mut |z, tau| {
                model.velocity(path, z, tau, &mut network)
            });
            let kind = match model {
                Trained::Ddpm(_) => "DDPM",
                _ => "VP-SDE",
            };
            report(&format!("{kind} as a velocity, {path:?}"), &end, 1e-6);
        }
    }
}

/// Song et al., *Denoising Diffusion Implicit Models* (2021), eq. 12 with η = 0, from step 990 to 0.
fn ddim(mixture: &Mixture, schedule: &Schedule, start: &Tensor, stride: usize) -> Tensor {
    let mut x = start.clone();
    for i in (stride..=990).rev().step_by(stride) {
        let tau = preserving(schedule.ratio(i as f64));
        let noise = mixture.estimates(Path::Cosine, &x, tau).unwrap().1;
        x = ddim_step(schedule, &x, &noise, i, i - stride);
    }
    x
}

fn ddim_step(schedule: &Schedule, x: &Tensor, noise: &Tensor, from: usize, to: usize) -> Tensor {
    let [a, b] = [from, to].map(|i| schedule.alpha_bar(i as f64).unwrap());
    let clean = (x - (noise * (1.0 - a).sqrt()).unwrap()).unwrap();
    let clean = (clean / a.sqrt()).unwrap();
    ((clean * b.sqrt()).unwrap() + (noise * (1.0 - b).sqrt()).unwrap()).unwrap()
}

#[test]
fn ddim_step_matches_path_step() {
    let mixture = mixture();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for schedule in [ho(), Schedule::cosine(50).unwrap()] {
        let model = Trained::Ddpm(schedule.clone());
        let last = schedule.steps() - 1;
        for (i, j) in [(last - 1, last / 2), (last / 2, last / 2 - 1), (3, 0)] {
            let tau = preserving(schedule.ratio(i as f64));
            let x = mixture.samples_at(Path::Cosine, tau, 5, &mut rng).unwrap();
            let (clean, noise) = mixture.estimates(Path::Cosine, &x, tau).unwrap();
            let there = ddim_step(&schedule, &x, &noise, i, j);
            for path in PATHS {
                let [from, to] = [i, j].map(|i| model.level_of_time(i as f64, path).unwrap());
                let level = |tau: f64| Tensor::full(tau, (5, 1), &Device::Cpu).unwrap();
                let (z, clean) = (x.unsqueeze(1).unwrap(), clean.unsqueeze(1).unwrap());
                let z = (z * from.scale).unwrap();
                let z = step(path, &z, &clean, &level(from.tau), &level(to.tau)).unwrap();
                let own = (z.squeeze(1).unwrap() / to.scale).unwrap();
                let gap = gap(&own, &there);
                assert!(gap < 1e-9, "{path:?} {i} {j} {gap}");
            }
        }
    }
}

#[test]
fn diffusion_form_reverses_the_velocity() {
    let (mixture, mut rng) = (mixture(), ChaCha8Rng::seed_from_u64(5));
    let mut worst = 0f64;
    for path in PATHS {
        for tau in (1..200).map(|i| f64::from(i) / 200.0) {
            let z = mixture.samples_at(path, tau, 8, &mut rng).unwrap();
            let score = mixture.score(path, &z, tau).unwrap();
            let derivative = path.diffusion(tau).unwrap().derivative(&z, &score);
            let against = mixture.velocity(path, &z, tau).unwrap().neg().unwrap();
            worst = worst.max(gap(&derivative.unwrap(), &against));
        }
    }
    eprintln!("f − ½ g² ∇log p against −v, 199 levels of 3 paths: largest gap {worst:.1e}");
    assert!(worst < 1e-9, "{worst}");
    let error = Path::Linear.diffusion(0.0).unwrap_err().to_string();
    assert!(error.contains("expected above 0"), "{error}");
    // The exploding path is Song et al.'s VE-SDE: f = 0, g² = d(σ²)/dt.
    let (ve, h) = (EXPLODING.diffusion(0.5).unwrap(), 1e-6);
    let square = |tau| EXPLODING.at(tau).unwrap().sigma.powi(2);
    let slope = (square(0.5 - h) - square(0.5 + h)) / (2.0 * h);
    assert!(ve.drift == 0.0 && (ve.noise / slope - 1.0).abs() < 1e-6);
}

#[test]
fn times_and_levels_round_trip() {
    for model in models() {
        for path in PATHS {
            for tau in [0.2, 0.5, 0.8] {
                let asked = model.network_input(path, tau).unwrap();
                let back = model.level_of_time(asked.time, path).unwrap();
                assert!((back.tau - tau).abs() < 1e-9, "{model:?} {path:?} {tau}");
                assert!((back.scale * asked.scale - 1.0).abs() < 1e-9);
            }
        }
    }
    // Half of the variance is noise where ∫β = ln 2, and there the linear path is at ½.
    let asked = Trained::VpSde(VpSde::default()).network_input(Path::Linear, 0.5);
    let NetworkInput { time, scale } = asked.unwrap();
    assert!((0.1 * time + 9.95 * time * time - 2f64.ln()).abs() < 1e-12);
    assert!((scale - 2f64.sqrt()).abs() < 1e-12);
}

#[test]
fn times_clamp_to_the_trained_range() {
    let z = Tensor::new(&[[0.5f32, -1.0]], &Device::Cpu).unwrap();
    for model in models() {
        for path in [Path::Linear, Path::Cosine] {
            for tau in [0.0, 1.0] {
                let mut network = |x: &Tensor, time: f64| {
                    assert!(time.is_finite() && x.dtype() == DType::F32);
                    Ok((x * 0.5)?)
                };
                let v = model.velocity(path, &z, tau, &mut network).unwrap();
                assert!(v.numbers().unwrap().iter().all(|v| v.is_finite()));
            }
        }
    }
    let time = |model: Trained, tau| model.network_input(Path::Linear, tau).unwrap().time;
    assert_eq!(time(Trained::Ddpm(ho()), 0.0), 999.0);
    assert_eq!(time(Trained::Ddpm(ho()), 1.0), 0.0);
    assert_eq!(time(Trained::VpSde(VpSde::default()), 0.0), 1.0);
    assert_eq!(time(Trained::VpSde(VpSde::default()), 1.0), LEAST_TIME);
}

#[test]
fn invalid_parameters_are_rejected() {
    for (least, most) in [
        (0.0, 1.0),
        (2.0, 1.0),
        (0.1, f64::INFINITY),
        (f64::NAN, 1.0),
    ] {
        let model = Trained::VpSde(VpSde { least, most });
        assert!(
            model.network_input(Path::Linear, 0.5).is_err(),
            "{least} {most}"
        );
    }
    for model in models() {
        assert!(model.network_input(Path::Linear, 1.5).is_err());
        for time in [-1.0, 1001.0, f64::NAN] {
            assert!(
                model.level_of_time(time, Path::Linear).is_err(),
                "{model:?} {time}"
            );
        }
    }
    assert!(VpSde::default().diffusion(2.0).is_err());
}
