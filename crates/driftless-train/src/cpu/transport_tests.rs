use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use driftless_data::cells::Compound;
use driftless_flow::prediction::Prediction;
use driftless_flow::solver::Method;
use driftless_model::params::Params;
use driftless_transport::config::{
    FORMAT_VERSION, FlowShape, KIND, KnownCompound, NetworkShape, Normalization, Sampling,
};
use driftless_transport::network::ConditionBatch;
use driftless_transport::{Condition, Route, Source, TransportNetwork};

use super::*;
use crate::cpu::gradient_checks::{Differences, assert_same_gradient, numbers, shake};
use crate::cpu::simd;

fn config() -> TransportConfig {
    let compound = |name: &str, descriptor: &[f32]| KnownCompound {
        compound: Compound {
            name: name.into(),
            descriptor: descriptor.to_vec(),
            mechanism: None,
        },
        trained: true,
    };
    TransportConfig {
        format: FORMAT_VERSION,
        kind: KIND.into(),
        name: "Test".into(),
        image: [8, 12],
        channels: vec!["DNA".into(), "actin".into()],
        dose_unit: "µM".into(),
        doses: [0.1, 10.0],
        compounds: vec![
            compound("a", &[1.0, 0.0, 0.5]),
            compound("b", &[0.0, 1.0, 0.0]),
        ],
        plates: vec!["P1".into(), "P2".into()],
        normalization: Normalization {
            mean: vec![20.0, 30.0],
            std: vec![25.0, 35.0],
        },
        network: NetworkShape {
            patch: 4,
            overlap: 1,
            width: 24,
            depth: 2,
            heads: 3,
            mlp: 20,
        },
        flow: FlowShape {
            source: Source::Control,
            prediction: Prediction::V,
            source_noise: 0.5,
        },
        sampling: Sampling {
            route: Route::Forward,
            method: Method::Heun,
            steps: 4,
            guidance: 1.0,
            source_noise: 0.0,
        },
    }
}

fn batch(config: &TransportConfig, n: usize, rng: &mut ChaCha8Rng) -> TransportBatch {
    let row = |i: usize| {
        let condition = Condition {
            compound: [Some(0), None, Some(1)][i % 3],
            dose: 0.3 * (i + 1) as f32,
            plate: [None, Some(1), Some(0)][i / 2 % 3],
        };
        config.row(&condition, i % 4 == 3).unwrap()
    };
    let len = config.picture_len();
    TransportBatch {
        z: numbers(n * len, rng),
        target: numbers(n * len, rng),
        tau: (0..n).map(|i| i as f32 / n as f32).collect(),
        rows: (0..n).map(row).collect(),
    }
}

/// Random parameters; new ones have zeros where a gradient could hide.
fn parameters(
    config: &TransportConfig,
    rng: &mut ChaCha8Rng,
) -> (TransportNetwork, BTreeMap<String, Var>) {
    let params = Params::seeded(3, &Device::Cpu);
    let network = TransportNetwork::new(&params, config).unwrap();
    let vars = params.finish().unwrap();
    shake(&vars, 0.1, rng);
    (network, vars)
}

#[test]
fn loss_and_gradient_are_those_of_the_network() {
    let (config, mut rng) = (config(), ChaCha8Rng::seed_from_u64(5));
    config.check().unwrap();
    let (network, vars) = parameters(&config, &mut rng);
    let n = 9;
    let batch = batch(&config, n, &mut rng);
    let shape = (n, 8, 12, 2);
    let tensor = |values: &[f32]| Tensor::from_vec(values.to_vec(), shape, &Device::Cpu).unwrap();
    let tau = Tensor::new(batch.tau.clone(), &Device::Cpu).unwrap();
    let conditions = ConditionBatch::new(&batch.rows, &Device::Cpu).unwrap();
    let predicted = network
        .forward(&tensor(&batch.z), &tau, &conditions)
        .unwrap();
    let error = (predicted - tensor(&batch.target)).unwrap().sqr().unwrap();
    let loss = error.mean_all().unwrap();
    let expected = loss.backward().unwrap();
    let loss = f64::from(loss.to_scalar::<f32>().unwrap());
    simd::tests::each(|set| {
        let mut trainer = TransportTrainer::new(&config, &vars).unwrap();
        // Twice, to check that the first step leaves nothing behind.
        for _ in 0..2 {
            let losses = trainer.step(&vars, &batch).unwrap();
            let mean = losses.iter().sum::<f64>() / n as f64;
            assert!((mean - loss).abs() < 1e-5 * loss, "{set:?}: {mean} {loss}");
        }
        let gradient_of = (&*trainer.layout(), trainer.gradient());
        assert_same_gradient(&vars, gradient_of, &expected, set);
    });
}

#[test]
fn gradient_matches_finite_differences() {
    let (config, mut rng) = (config(), ChaCha8Rng::seed_from_u64(6));
    let (_, vars) = parameters(&config, &mut rng);
    let batch = batch(&config, 5, &mut rng);
    let mut trainer = TransportTrainer::new(&config, &vars).unwrap();
    trainer.step(&vars, &batch).unwrap();
    let (layout, gradient) = (trainer.layout(), trainer.gradient().to_vec());
    let differences = Differences {
        step: 2e-3,
        tolerance: 0.02,
        least: 0.05,
    };
    let gradient = (&*layout, &gradient[..]);
    differences.assert_slopes(&vars, gradient, &mut rng, &mut || {
        trainer.step(&vars, &batch).unwrap().iter().sum::<f64>() / 5.0
    });
}

#[test]
fn threads_do_not_change_the_gradient() {
    let (config, mut rng) = (config(), ChaCha8Rng::seed_from_u64(7));
    let (_, vars) = parameters(&config, &mut rng);
    let batch = batch(&config, 12, &mut rng);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut trainer = TransportTrainer::new(&config, &vars).unwrap();
            let losses = trainer.step(&vars, &batch).unwrap();
            (losses, trainer.gradient().to_vec())
        })
    };
    assert_eq!(on(1), on(3));
}
