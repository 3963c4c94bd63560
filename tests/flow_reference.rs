//! The flow library against public ones: the numbers in tests/data/flow_*.json come from
//! scripts/reference/flow.py. docs/flow.md tells what is compared, and how close it is.

#![allow(clippy::unwrap_used)]

use std::fmt::Display;

use candle_core::{Device, Tensor};
use driftless::flow::path::{Coefficients, Path};
use driftless::flow::prediction::Prediction;
use serde_json::Value;

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

/// All numbers in a nested list.
fn numbers(value: &Value) -> Vec<f64> {
    match value.as_f64() {
        Some(number) => vec![number],
        None => list(value).iter().flat_map(numbers).collect(),
    }
}

/// A list of rows.
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

/// The coefficients at many levels, each a row of its own.
fn coefficients(path: Path, levels: &Value) -> Coefficients<Tensor> {
    path.coefficients(&tensor(levels)).unwrap()
}

/// The largest difference between our numbers and theirs, relative to theirs where those are
/// larger than 1.
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
fn coefficients_and_their_derivatives() {
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
fn samples_on_the_path_and_their_velocities() {
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
fn conversions_between_data_noise_and_velocity() {
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
    // Written another way, and divided by α and σ down to 0.02.
    gap.within(1e-13);
}

#[test]
fn scores_are_the_gradients_of_the_log_density() {
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
    // Sums of exponentials, divided by σ down to 0.02 twice.
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
