//! The hand-written passes of the clip network against candle's, and against finite differences.

use candle_core::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use driftless_clip::config::FORMAT_VERSION;
use driftless_clip::{ClipNetwork, ClipSampling, ClipShape, TextEncoderInfo};
use driftless_flow::objective::ShortcutTarget;
use driftless_flow::path::Path;
use driftless_model::params::Params;

use super::*;
use crate::clip::task::loss;
use crate::cpu::gradient_checks::{Differences, assert_same_gradient, numbers, shake};
use crate::cpu::simd;

fn config() -> ClipConfig {
    ClipConfig {
        format: FORMAT_VERSION,
        lengths: vec![3, 5],
        grid: [2, 6],
        channels: 3,
        actions: 4,
        action_network: None,
        network: ClipShape {
            merge: 2,
            width: 24,
            depth: 2,
            heads: 2,
            mlp: 20,
            text_blocks: 2,
            text_words: 5,
        },
        sampling: ClipSampling::default(),
        examples: Vec::new(),
        text_encoder: None,
        vocabulary: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
    }
}

/// Clips with and without given frames, with prompts of all lengths, some of which learn shortcuts.
fn batch(config: &ClipConfig, n: usize, frames: usize, rng: &mut ChaCha8Rng) -> ClipBatch {
    let len = frames * config.frame_numbers();
    let mut batch = ClipBatch {
        frames,
        clean: numbers(n * len, rng),
        ..ClipBatch::default()
    };
    for i in 0..n {
        let given = [0, 1, 0, 2][i % 4];
        let mut z = numbers(len, rng);
        let own = &batch.clean[i * len..i * len + given * config.frame_numbers()];
        z[..own.len()].copy_from_slice(own);
        batch.z.extend(z);
        let mask = (0..frames).map(|frame| f32::from(u8::from(frame < given)));
        batch.given.extend(mask);
        let levels = [[0.1, 0.2, 0.4], [0.6, 0.8, 1.0]][i / 2 % 2];
        batch.tau.push(levels[0]);
        batch.weights.push([0.2 + levels[0], 1.5]);
        let target = ShortcutTarget::between(Path::Linear, levels).unwrap();
        let steps = [4, 8, 16][i % 3];
        batch
            .shortcuts
            .push((i % 2 == 1).then_some(Shortcut { steps, target }));
        batch.prompts.push((0..=i as u32 % 6).collect());
        let width = config.text_encoder.as_ref().map_or(0, |e| e.width);
        let tokens = i % config.network.text_words;
        batch.states.push(numbers(tokens * width, rng));
    }
    batch
}

/// Random parameters; new ones have zeros where a gradient could hide.
fn parameters(config: &ClipConfig, rng: &mut ChaCha8Rng) -> (ClipNetwork, BTreeMap<String, Var>) {
    let params = Params::seeded(3, &Device::Cpu);
    let network = ClipNetwork::new(&params, config).unwrap();
    let vars = params.finish().unwrap();
    shake(&vars, 0.2, rng);
    (network, vars)
}

#[test]
fn loss_and_gradient_are_those_of_the_network() {
    compare(&config());
}

#[test]
fn states_of_a_text_encoder_are_learned_from() {
    let config = ClipConfig {
        text_encoder: Some(TextEncoderInfo {
            width: 7,
            checksum: String::new(),
        }),
        ..config()
    };
    compare(&config);
}

fn compare(config: &ClipConfig) {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    config.check().unwrap();
    let (network, vars) = parameters(config, &mut rng);
    for frames in [3, 5] {
        let batch = batch(config, 9, frames, &mut rng);
        let expected = loss(&network, &batch, &Device::Cpu).unwrap();
        let gradient = expected.backward().unwrap();
        let expected = f64::from(expected.to_scalar::<f32>().unwrap());
        simd::tests::each(|set| {
            let mut trainer = ClipTrainer::new(config, &vars).unwrap();
            // Twice, to check that the first step leaves nothing behind.
            for _ in 0..2 {
                let loss = trainer.step(&vars, &batch).unwrap();
                assert!(
                    (loss - expected).abs() < 1e-5 * expected,
                    "{set:?}: {loss} {expected}"
                );
            }
            let gradient_of = (&*trainer.layout(), trainer.gradient());
            assert_same_gradient(&vars, gradient_of, &gradient, set);
        });
    }
}

#[test]
fn gradient_matches_finite_differences() {
    let (config, mut rng) = (config(), ChaCha8Rng::seed_from_u64(6));
    let (_, vars) = parameters(&config, &mut rng);
    let mut batch = batch(&config, 5, 3, &mut rng);
    // Targets of shortcuts depend on the parameters, without a gradient.
    batch.shortcuts.fill(None);
    let mut trainer = ClipTrainer::new(&config, &vars).unwrap();
    trainer.step(&vars, &batch).unwrap();
    let (layout, gradient) = (trainer.layout(), trainer.gradient().to_vec());
    let differences = Differences {
        step: 1e-3,
        tolerance: 0.03,
        least: 0.1,
    };
    let gradient = (&*layout, &gradient[..]);
    differences.assert_slopes(&vars, gradient, &mut rng, &mut || {
        trainer.step(&vars, &batch).unwrap()
    });
}

#[test]
fn threads_do_not_change_the_gradient() {
    let (config, mut rng) = (config(), ChaCha8Rng::seed_from_u64(7));
    let (_, vars) = parameters(&config, &mut rng);
    let batch = batch(&config, 13, 5, &mut rng);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let mut trainer = ClipTrainer::new(&config, &vars).unwrap();
            let loss = trainer.step(&vars, &batch).unwrap();
            (loss, trainer.gradient().to_vec())
        })
    };
    assert_eq!(on(1), on(3));
}
