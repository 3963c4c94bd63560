//! Updates, schedules and clipping.

use candle_core::Device;

use super::*;
use driftless_model::params::{Init, Params};

fn settings(muon_learning_rate: f64) -> OptimizerSettings {
    OptimizerSettings {
        steps: 100,
        learning_rate: 0.05,
        muon_learning_rate,
        warmup_steps: 10,
        decay_fraction: 0.5,
        weight_decay: 0.0,
        grad_clip: 1e9,
        ema_decay: 0.9,
    }
}

fn network() -> BTreeMap<String, Var> {
    let p = Params::seeded(1, &Device::Cpu);
    p.get("layer.weight", &[6, 9], Init::FanIn).unwrap();
    p.get("gain", &[9], Init::Constant(1.0)).unwrap();
    p.finish().unwrap()
}

fn loss(vars: &BTreeMap<String, Var>) -> Tensor {
    let x = vars["gain"]
        .as_tensor()
        .broadcast_mul(vars["layer.weight"].as_tensor());
    (x.unwrap() - 0.7)
        .unwrap()
        .sqr()
        .unwrap()
        .mean_all()
        .unwrap()
}

#[test]
fn schedule_warms_up_and_decays_linearly() {
    let o = Optimizer::new(&network(), &settings(0.0)).unwrap();
    let at = |step| o.schedule_factor(step);
    assert!((at(0) - 0.1).abs() < 1e-9 && (at(4) - 0.5).abs() < 1e-9);
    assert!((at(30) - 1.0).abs() < 1e-9);
    assert!((at(75) - 0.5).abs() < 1e-9 && (at(99) - 0.02).abs() < 1e-9);
}

#[test]
fn first_adamw_step_has_the_learning_rate() {
    let vars = network();
    let mut o = Optimizer::new(&vars, &settings(0.0)).unwrap();
    let before = vars["gain"].as_tensor().to_vec1::<f32>().unwrap();
    o.update(&loss(&vars).backward().unwrap(), 0, |_| false)
        .unwrap();
    let after = vars["gain"].as_tensor().to_vec1::<f32>().unwrap();
    for (a, b) in before.iter().zip(after) {
        assert!(((a - b).abs() - 0.005).abs() < 1e-5, "{a} to {b}");
    }
}

#[test]
fn both_rules_minimize_a_quadratic_loss() {
    for muon_rate in [0.0, 0.3] {
        let vars = network();
        let mut o = Optimizer::new(&vars, &settings(muon_rate)).unwrap();
        let start: f32 = loss(&vars).to_scalar().unwrap();
        for step in 0..100 {
            o.update(&loss(&vars).backward().unwrap(), step, |_| false)
                .unwrap();
        }
        let end: f32 = loss(&vars).to_scalar().unwrap();
        assert!(end < start * 0.05, "muon {muon_rate}: {start} to {end}");
    }
}

/// Singular values of the result: the iteration maps each σ of the normalized input to
/// p(p(p(p(p(σ))))) with p(σ) = aσ + bσ³ + cσ⁵ and keeps the singular vectors.
#[test]
fn orthogonalization_maps_singular_values() {
    // U diag(s) Vᵀ with rotations U and V, padded to 2 × 3.
    let (u, v, singular) = (0.4f64, 1.1f64, [3.0f64, 0.5]);
    let product = |s: [f64; 2]| -> Vec<f32> {
        let u = [[u.cos(), -u.sin()], [u.sin(), u.cos()]];
        let v = [[v.cos(), v.sin(), 0.0], [-v.sin(), v.cos(), 0.0]];
        (0..6)
            .map(|i| {
                (0..2)
                    .map(|k| u[i / 3][k] * s[k] * v[k][i % 3])
                    .sum::<f64>() as f32
            })
            .collect()
    };
    let norm = singular[0].hypot(singular[1]);
    let expected = product(singular.map(|s| {
        let p = |s: f64| 3.4445 * s - 4.7750 * s.powi(3) + 2.0315 * s.powi(5);
        let s = (0..5).fold(s / norm, |s, _| p(s));
        assert!((0.65..1.25).contains(&s), "{s}");
        s
    }));
    let wide = Tensor::from_vec(product(singular), (2, 3), &Device::Cpu).unwrap();
    let tall = wide.t().unwrap().contiguous().unwrap();
    let wide = orthogonalize(&wide).unwrap();
    let tall = orthogonalize(&tall).unwrap().t().unwrap();
    for found in [wide, tall] {
        let found = found.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-3, "{found} {expected}");
        }
    }
}

#[test]
fn restored_optimizer_continues_exactly() {
    let run = |vars: &BTreeMap<String, Var>, o: &mut Optimizer, steps: std::ops::Range<u64>| {
        for step in steps {
            o.update(&loss(vars).backward().unwrap(), step, |_| false)
                .unwrap();
        }
    };
    let whole = network();
    let mut o = Optimizer::new(&whole, &settings(0.02)).unwrap();
    run(&whole, &mut o, 0..20);
    let parts = network();
    let mut first = Optimizer::new(&parts, &settings(0.02)).unwrap();
    run(&parts, &mut first, 0..9);
    let (state, other) = (first.state(), network());
    let copied = state
        .iter()
        .map(|(k, v)| (k.clone(), v.copy().unwrap()))
        .collect();
    let mut second = Optimizer::new(&other, &settings(0.02)).unwrap();
    second.restore(&copied).unwrap();
    run(&other, &mut second, 9..20);
    for name in ["gain", "layer.weight"] {
        let bits = |v: &BTreeMap<String, Var>| {
            v[name]
                .as_tensor()
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap()
        };
        assert_eq!(bits(&whole), bits(&other), "{name}");
    }
}

#[test]
fn infinite_gradient_changes_nothing() {
    let vars = network();
    let mut o = Optimizer::new(&vars, &settings(0.0)).unwrap();
    let before = vars["gain"].as_tensor().to_vec1::<f32>().unwrap();
    let invalid = (loss(&vars) * f64::NAN).unwrap();
    let error = o
        .update(&invalid.backward().unwrap(), 0, |_| false)
        .unwrap_err();
    assert!(matches!(error, Error::Diverged(_)));
    assert_eq!(before, vars["gain"].as_tensor().to_vec1::<f32>().unwrap());
}
