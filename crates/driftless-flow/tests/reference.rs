//! Compares the flow library with public ones. The reference values in crates/driftless-flow/tests/data/flow_*.json come
//! from scripts/reference/flow.py; docs/flow.md says what is compared and with which tolerance.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

#[path = "reference/solvers.rs"]
mod solvers;

use std::f64::consts::TAU;
use std::fmt::Display;

use candle_core::{Device, Tensor};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use driftless_flow::Result;
use driftless_flow::coupling::Coupling;
use driftless_flow::ddpm::{Trained, VpSde};
use driftless_flow::likelihood::{Divergence, Integrator, Probe, log_likelihood};
use driftless_flow::path::{Coefficients, Path};
use driftless_flow::prediction::Prediction;
use driftless_flow::solver::{Adaptive, Grid, Method, solve};

fn read(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let text = std::fs::read_to_string(path.join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn list(value: &Value) -> &[Value] {
    let list = value.as_array().unwrap();
    assert!(!list.is_empty());
    list
}

/// All numbers of a nested list, flattened.
fn numbers(value: &Value) -> Vec<f64> {
    match value.as_f64() {
        Some(number) => vec![number],
        None => list(value).iter().flat_map(numbers).collect(),
    }
}

/// A matrix from a list of rows.
fn tensor(value: &Value) -> Tensor {
    let rows = list(value).len();
    Tensor::from_vec(numbers(value), (rows, ()), &Device::Cpu).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn path(value: &Value) -> Path {
    serde_json::from_value(value.clone()).unwrap()
}

/// The coefficients at many signal levels, one row each.
fn coefficients(path: Path, levels: &Value) -> Coefficients<Tensor> {
    path.coefficients(&tensor(levels)).unwrap()
}

/// The script's data distribution, a mixture of isotropic Gaussians, and its marginals on affine paths.
struct Mixture {
    weights: Vec<f64>,
    means: Vec<Tensor>,
    deviations: Vec<f64>,
}

impl Mixture {
    fn read(file: &Value) -> Self {
        let mixture = &file["mixture"];
        let mean = |row: &Value| Tensor::from_vec(numbers(row), (1, ()), &Device::Cpu).unwrap();
        Self {
            weights: numbers(&mixture["weights"]),
            means: list(&mixture["means"]).iter().map(mean).collect(),
            deviations: numbers(&mixture["deviations"]),
        }
    }

    /// The mean over the components, given z, of growth (z − α m) / variance + push · m, where
    /// `moved(s)` is (growth, push) of a component with standard deviation s.
    fn mean(
        &self,
        (alpha, sigma): (f64, f64),
        z: &Tensor,
        moved: impl Fn(f64) -> (f64, f64),
    ) -> Result<Tensor> {
        let (mut logs, mut means) = (Vec::new(), Vec::new());
        for ((weight, mean), s) in self.weights.iter().zip(&self.means).zip(&self.deviations) {
            let variance = (alpha * s).powi(2) + sigma.powi(2);
            let offset = z.broadcast_sub(&(mean * alpha)?)?;
            let volume = 0.5 * z.dim(1)? as f64 * (TAU * variance).ln();
            let square = offset.sqr()?.sum_keepdim(1)?;
            logs.push(square.affine(-0.5 / variance, weight.ln() - volume)?);
            let (growth, push) = moved(*s);
            means.push((offset * (growth / variance))?.broadcast_add(&(mean * push)?)?);
        }
        let shares = candle_nn::ops::softmax(&Tensor::cat(&logs, 1)?, 1)?;
        let mut sum = z.zeros_like()?;
        for (k, mean) in means.iter().enumerate() {
            sum = (sum + mean.broadcast_mul(&shares.narrow(1, k, 1)?)?)?;
        }
        Ok(sum)
    }

    fn velocity(&self, path: Path, z: &Tensor, tau: f64) -> Result<Tensor> {
        let at = path.at(tau)?;
        self.mean((at.alpha, at.sigma), z, |s| {
            let growth = at.alpha_dot * at.alpha * s * s + at.sigma_dot * at.sigma;
            (growth, at.alpha_dot)
        })
    }

    fn score(&self, shares: (f64, f64), z: &Tensor) -> Result<Tensor> {
        self.mean(shares, z, |_| (-1.0, 0.0))
    }
}

/// The largest difference from the reference values, relative where these are larger than 1.
struct Gap {
    what: &'static str,
    largest: f64,
    at: String,
}

impl Gap {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            largest: 0.0,
            at: "nothing compared".to_owned(),
        }
    }

    fn compare(&mut self, at: impl Display, ours: &[f64], theirs: &Value) {
        let theirs = numbers(theirs);
        assert_eq!(ours.len(), theirs.len(), "{}: {at}", self.what);
        for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
            let difference = (a - b).abs() / b.abs().max(1.0);
            assert!(difference.is_finite(), "{}: {at} [{i}]", self.what);
            if difference >= self.largest {
                self.largest = difference;
                self.at = format!("{at} [{i}]: {a}, not {b}");
            }
        }
    }

    fn within(self, bound: f64) {
        let Self { what, largest, at } = self;
        eprintln!("{what}: {largest:.1e} ({at})");
        assert!(largest <= bound, "{what}: {largest:e}, {at}");
    }
}

#[test]
fn path_coefficients_and_derivatives() {
    let mut gap = Gap::new("coefficients");
    for case in list(&read("flow_paths.json")["paths"]) {
        let (path, name) = (path(&case["path"]), &case["scheduler"]);
        let many = coefficients(path, &case["t"]);
        let one = numbers(&case["t"]).into_iter().map(|t| path.at(t).unwrap());
        let one: Vec<_> = one.collect();
        type Of<'a> = (&'a str, &'a Tensor, fn(&Coefficients<f64>) -> f64);
        let all: [Of; 4] = [
            ("alpha_t", &many.alpha, |c| c.alpha),
            ("sigma_t", &many.sigma, |c| c.sigma),
            ("d_alpha_t", &many.alpha_dot, |c| c.alpha_dot),
            ("d_sigma_t", &many.sigma_dot, |c| c.sigma_dot),
        ];
        for (key, many, pick) in all {
            let one: Vec<_> = one.iter().map(pick).collect();
            gap.compare(format!("{name} {key}"), &one, &case[key]);
            gap.compare(format!("{name} {key} of tensors"), &flat(many), &case[key]);
        }
    }
    gap.within(1e-14);
}

#[test]
fn levels_of_ratios() {
    let mut gap = Gap::new("level of a ratio α/σ");
    for case in list(&read("flow_paths.json")["paths"]) {
        let path = path(&case["path"]);
        let ratios = numbers(&case["snr"]).into_iter();
        let levels: Vec<_> = ratios.map(|r| path.level_of_ratio(r).unwrap()).collect();
        gap.compare(&case["scheduler"], &levels, &case["snr_inverse"]);
    }
    gap.within(1e-13);
}

#[test]
fn path_samples_and_velocities() {
    let mut gap = Gap::new("samples and their velocities");
    for case in list(&read("flow_paths.json")["paths"]) {
        let (path, name, sample) = (path(&case["path"]), &case["scheduler"], &case["sample"]);
        let (x_0, x_1) = (tensor(&sample["x_0"]), tensor(&sample["x_1"]));
        let z = path.interpolate(&x_0, &x_1, &tensor(&sample["t"])).unwrap();
        gap.compare(format!("{name} x_t"), &flat(&z), &sample["x_t"]);
        let at = coefficients(path, &sample["t"]);
        let v = Prediction::V.of((&x_1, &x_0), &at).unwrap();
        gap.compare(format!("{name} dx_t"), &flat(&v), &sample["dx_t"]);
    }
    gap.within(1e-14);
}

#[test]
fn prediction_conversions() {
    let mut gap = Gap::new("conversions between x, ε and v");
    let quantities = [
        ("target", Prediction::X),
        ("epsilon", Prediction::Eps),
        ("velocity", Prediction::V),
    ];
    for case in list(&read("flow_paths.json")["paths"]) {
        let (path, name, sample) = (path(&case["path"]), &case["scheduler"], &case["sample"]);
        let at = coefficients(path, &sample["t"]);
        let (z, guess) = (tensor(&sample["x_t"]), tensor(&sample["guess"]));
        for (from_name, from) in quantities {
            for (to_name, to) in quantities {
                if from == to {
                    continue;
                }
                let key = format!("{from_name}_to_{to_name}");
                let ours = from.convert(to, &guess, &z, &at).unwrap();
                gap.compare(format!("{name} {key}"), &flat(&ours), &sample[&key]);
            }
        }
    }
    // Their formula differs, and divides by α and σ down to 0.02.
    gap.within(1e-13);
}

#[test]
fn scores_are_log_density_gradients() {
    let mut gap = Gap::new("score, x̂ and ε̂ of a marginal velocity");
    for case in list(&read("flow_paths.json")["paths"]) {
        let (path, name, mixture) = (path(&case["path"]), &case["scheduler"], &case["mixture"]);
        let at = coefficients(path, &mixture["t"]);
        let (z, v) = (tensor(&mixture["x"]), tensor(&mixture["velocity"]));
        for (key, to) in [
            ("target", Prediction::X),
            ("epsilon", Prediction::Eps),
            ("score", Prediction::Score),
        ] {
            let ours = Prediction::V.convert(to, &v, &z, &at).unwrap();
            gap.compare(format!("{name} {key}"), &flat(&ours), &mixture[key]);
        }
        let score = tensor(&mixture["score"]);
        let back = Prediction::Score.convert(Prediction::V, &score, &z, &at);
        let back = flat(&back.unwrap());
        gap.compare(
            format!("{name} score to velocity"),
            &back,
            &mixture["velocity"],
        );
    }
    // Sums of exponentials, divided twice by σ down to 0.02.
    gap.within(1e-12);
}

#[test]
fn the_matchers_of_torchcfm() {
    let mut gap = Gap::new("torchcfm's samples and velocities");
    let file = read("flow_matchers.json");
    let (x_0, x_1, t) = (
        tensor(&file["x_0"]),
        tensor(&file["x_1"]),
        tensor(&file["t"]),
    );
    for (name, path) in [
        ("ConditionalFlowMatcher", Path::Linear),
        ("VariancePreservingConditionalFlowMatcher", Path::Cosine),
        ("TargetConditionalFlowMatcher", Path::Linear),
    ] {
        let theirs = &file["matchers"][name];
        let z = path.interpolate(&x_0, &x_1, &t).unwrap();
        gap.compare(format!("{name} x_t"), &flat(&z), &theirs["x_t"]);
        let at = path.coefficients(&t).unwrap();
        let v = match name {
            // From the data and x_t.
            "TargetConditionalFlowMatcher" => Prediction::X.convert(Prediction::V, &x_1, &z, &at),
            _ => Prediction::V.of((&x_1, &x_0), &at),
        };
        gap.compare(format!("{name} u_t"), &flat(&v.unwrap()), &theirs["u_t"]);
    }
    // x_t is divided by 1 − t = 0.01.
    gap.within(1e-13);
}

#[test]
fn the_vp_sde_as_a_diffusion() {
    let mut gap = Gap::new("VP-SDE: α/σ, drift, noise");
    let theirs = &read("flow_paths.json")["diffusion"];
    let sde: VpSde = serde_json::from_value(theirs["vp_sde"].clone()).unwrap();
    let times = numbers(&theirs["t"]).into_iter().map(|t| 1.0 - t);
    let times: Vec<_> = times.collect();
    let ratios: Vec<_> = times.iter().map(|&t| sde.ratio(t).unwrap()).collect();
    gap.compare("ratio", &ratios, &theirs["ratio"]);
    let all: Vec<_> = times.iter().map(|&t| sde.diffusion(t).unwrap()).collect();
    let drifts: Vec<_> = all.iter().map(|d| d.drift).collect();
    gap.compare("drift", &drifts, &theirs["drift"]);
    let noises: Vec<_> = all.iter().map(|d| d.noise).collect();
    gap.compare("noise", &noises, &theirs["noise"]);
    // Theirs computes 1 − exp(−∫β), which loses a digit or two near the data.
    gap.within(1e-12);
}

#[test]
fn velocities_on_another_path() {
    let mut gap = Gap::new("change of path: level, scale, velocity");
    let file = read("flow_transforms.json");
    let mixture = Mixture::read(&file);
    for case in list(&file["transforms"]) {
        let new = path(&case["new"]);
        let sde = case["original"].get("vp_sde");
        let sde: Option<VpSde> = sde.map(|sde| serde_json::from_value(sde.clone()).unwrap());
        let trained = match sde {
            Some(sde) => Trained::VpSde(sde),
            None => Trained::Flow {
                path: path(&case["original"]),
                prediction: Prediction::V,
            },
        };
        let mut network = |x: &Tensor, time: f64| match sde {
            Some(sde) => {
                let ratio = sde.ratio(time)?;
                let sigma = 1.0 / ratio.hypot(1.0);
                mixture.score((ratio * sigma, sigma), x)
            }
            None => mixture.velocity(path(&case["original"]), x, time),
        };
        let (mut times, mut scales, mut velocities) = (Vec::new(), Vec::new(), Vec::new());
        for (n, tau) in numbers(&case["r"]).into_iter().enumerate() {
            let asked = trained.network_input(new, tau).unwrap();
            // The SDE's time runs from data to noise.
            times.push(if sde.is_some() {
                1.0 - asked.time
            } else {
                asked.time
            });
            scales.push(1.0 / asked.scale);
            let z = tensor(&case["x"]).narrow(0, n, 1).unwrap();
            velocities.extend(flat(&trained.velocity(new, &z, tau, &mut network).unwrap()));
        }
        let name = format!("{} on {}", case["original"], case["new"]);
        gap.compare(format!("{name} t_r"), &times, &case["t_r"]);
        gap.compare(format!("{name} s_r"), &scales, &case["s_r"]);
        gap.compare(format!("{name} u_r"), &velocities, &case["u_r"]);
    }
    gap.within(1e-12);
}
