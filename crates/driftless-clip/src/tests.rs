//! Tests of the network as a whole, with random weights.

use candle_core::{Device, Tensor};

use driftless_model::params::Params;

use crate::config::{ClipConfig, ClipSampling, ClipShape, FORMAT_VERSION, step_index};
use crate::network::{ClipInput, ClipNetwork, TextBatch};

/// A small network for clips of 3 frames of 2 × 4 cells.
fn config() -> ClipConfig {
    ClipConfig {
        format: FORMAT_VERSION,
        lengths: vec![3, 5],
        grid: [2, 4],
        channels: 3,
        actions: 2,
        action_network: None,
        network: ClipShape {
            merge: 2,
            width: 24,
            depth: 2,
            heads: 2,
            mlp: 16,
            text_blocks: 1,
            text_words: 4,
        },
        sampling: ClipSampling::default(),
        examples: Vec::new(),
        text_encoder: None,
        vocabulary: ["left", "red", "right"].map(str::to_owned).to_vec(),
    }
}

fn noise(dims: &[usize], seed: f32) -> Tensor {
    let count: usize = dims.iter().product();
    let value = |i: usize| ((i * i + 7 * i) as f32 * 0.61 + seed).sin();
    Tensor::from_vec(
        (0..count).map(value).collect::<Vec<_>>(),
        dims,
        &Device::Cpu,
    )
    .unwrap()
}

/// A network whose gates and output are not zero, as after some training.
fn trained(config: &ClipConfig) -> ClipNetwork {
    let params = Params::seeded(1, &Device::Cpu);
    ClipNetwork::new(&params, config).unwrap();
    let vars = params.finish().unwrap();
    let tensors = vars.iter().map(|(name, var)| {
        let is_zero = name.starts_with("modulation.") || name.starts_with("token.out");
        let tensor = if is_zero {
            (noise(var.dims(), 0.3) * 0.3).unwrap()
        } else {
            var.as_tensor().clone()
        };
        (name.clone(), tensor)
    });
    let params = Params::from_tensors("test".as_ref(), tensors.collect(), &Device::Cpu);
    ClipNetwork::new(&params, config).unwrap()
}

fn input(frames: usize, prompt: &[u32], tau: f32, steps: usize) -> ClipInput {
    let device = &Device::Cpu;
    ClipInput {
        z: noise(&[1, frames, 26], 0.1),
        given: Tensor::zeros((1, frames), candle_core::DType::F32, device).unwrap(),
        tau: Tensor::new(&[tau], device).unwrap(),
        steps: Tensor::new(&[step_index(steps)], device).unwrap(),
        text: TextBatch::new(&[prompt.to_vec()], 4, device).unwrap(),
    }
}

fn distance(a: &Tensor, b: &Tensor) -> f32 {
    let gap = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
    gap.max(0).unwrap().to_scalar().unwrap()
}

#[test]
fn everything_the_network_is_told_matters() {
    let network = trained(&config());
    let plain = network.forward(&input(3, &[3, 4], 0.5, 20)).unwrap();
    assert_eq!(plain.dims(), [1, 3, 26]);
    let mut with_first = input(3, &[3, 4], 0.5, 20);
    with_first.given = Tensor::new(&[[1_f32, 0.0, 0.0]], &Device::Cpu).unwrap();
    let changed = |at: usize| {
        let mut change = vec![0_f32; 3 * 26];
        change[at] = 1.0;
        let change = Tensor::from_vec(change, (1, 3, 26), &Device::Cpu).unwrap();
        let input = input(3, &[3, 4], 0.5, 20);
        ClipInput {
            z: (&input.z + change).unwrap(),
            ..input
        }
    };
    let others = [
        ("an action", changed(26 + 25)),
        ("a word", input(3, &[3, 5], 0.5, 20)),
        ("the order of words", input(3, &[4, 3], 0.5, 20)),
        ("the number of words", input(3, &[3, 4, 4], 0.5, 20)),
        ("the level", input(3, &[3, 4], 0.6, 20)),
        ("the step size", input(3, &[3, 4], 0.5, 4)),
        ("a given frame", with_first),
    ];
    for (what, other) in others {
        let gap = distance(&plain, &network.forward(&other).unwrap());
        assert!(gap > 1e-4, "{what}: {gap}");
    }
    let same = network.forward(&input(3, &[3, 4], 0.5, 50)).unwrap();
    assert_eq!(
        distance(&plain, &same),
        0.0,
        "small steps share an embedding"
    );
}

#[test]
fn every_token_sees_every_other() {
    let network = trained(&config());
    let before = input(5, &[3], 0.5, 20);
    let plain = network.forward(&before).unwrap();
    // A change in the last frame reaches the first one.
    let mut change = vec![0_f32; 5 * 26];
    change[4 * 26 + 23] = 1.0;
    let change = Tensor::from_vec(change, (1, 5, 26), &Device::Cpu).unwrap();
    let after = ClipInput {
        z: (&before.z + change).unwrap(),
        ..before
    };
    let after = network.forward(&after).unwrap();
    let first = |x: &Tensor| x.narrow(1, 0, 1).unwrap();
    assert!(distance(&first(&plain), &first(&after)) > 1e-5);
}

#[test]
fn items_of_a_batch_do_not_touch() {
    let network = trained(&config());
    let (a, b) = (input(3, &[3, 4], 0.5, 20), input(3, &[5], 0.2, 4));
    let cat = |f: &dyn Fn(&ClipInput) -> Tensor| Tensor::cat(&[f(&a), f(&b)], 0).unwrap();
    let both = ClipInput {
        z: cat(&|i| (&i.z * 1.0).unwrap()),
        given: cat(&|i| i.given.clone()),
        tau: cat(&|i| i.tau.clone()),
        steps: cat(&|i| i.steps.clone()),
        text: TextBatch::new(&[vec![3, 4], vec![5]], 4, &Device::Cpu).unwrap(),
    };
    let both = network.forward(&both).unwrap();
    for (i, alone) in [a, b].iter().enumerate() {
        let alone = network.forward(alone).unwrap();
        assert!(distance(&alone, &both.narrow(0, i, 1).unwrap()) < 1e-5);
    }
}

#[test]
fn sparse_attention_leaves_out_little_mass() {
    let network = trained(&config());
    // 80 frames of 2 tokens: 3 blocks, of which the first and the last are out of each other's window.
    let input = input(80, &[3, 4], 0.5, 20);
    let full = network.forward(&input).unwrap();
    let distances = [1.0, 0.999, 0.0].map(|mass| {
        let sparse = network.forward_sparse(&input, mass).unwrap();
        distance(&full, &sparse)
    });
    assert!(distances[0] == 0.0 && distances[1] < 1e-5, "{distances:?}");
    assert!(distances[2] > 1e-5, "{distances:?}");
}

#[test]
fn longer_clips_have_a_larger_shift() {
    let config = config();
    assert_eq!(config.shift(16), 3.0);
    assert_eq!(config.shift(64), 6.0);
}

#[test]
fn values_out_of_range_are_named() {
    let wrong = |change: &dyn Fn(&mut ClipConfig)| {
        let mut config = config();
        change(&mut config);
        config.check().unwrap_err()
    };
    assert!(config().check().is_ok());
    assert!(wrong(&|c| c.lengths = vec![5, 3]).starts_with("lengths"));
    assert!(wrong(&|c| c.network.merge = 3).starts_with("network.merge"));
    assert!(wrong(&|c| c.network.heads = 5).starts_with("network.heads"));
    assert!(wrong(&|c| c.sampling.guidance = f64::NAN).starts_with("sampling.guidance"));
    let mass = wrong(&|c| c.sampling.attention_mass = 1.5);
    assert!(mass.starts_with("sampling.attention_mass"));
}
