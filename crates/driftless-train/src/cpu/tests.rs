//! Gradients compared with candle's automatic ones, for many shapes.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::attention_temporal::FrameCounts;
use super::dynamics::{DynamicsNetwork, Frame};
use super::parameters::{Weights, with_numbers};
use super::sequence_buffers::SequenceBuffers;
use super::simd;
use driftless_data::{Action, ActionSpec, AxisSpec};
use driftless_model::config::{
    DynamicsConfig, FORMAT_VERSION, FlowConfig, MemoryConfig, TokenizerConfig, WorldConfig,
};
use driftless_model::dynamics::{ActionTensors, Dynamics, DynamicsInput, step_size_count};
use driftless_model::memory::{MemoryInput, TokenInputs};
use driftless_model::params::Params;

/// A world with four actions.
pub(super) fn world(
    cells: [usize; 2],
    tokenizer: TokenizerConfig,
    dynamics: DynamicsConfig,
) -> WorldConfig {
    let action = |name: &str| ActionSpec {
        name: name.into(),
        keys: Vec::new(),
    };
    WorldConfig {
        format: FORMAT_VERSION,
        name: "test".into(),
        fps: 15.0,
        image: cells.map(|n| n * tokenizer.patch),
        actions: ["noop", "up", "down", "fire"].map(action).to_vec(),
        axes: Vec::new(),
        tokenizer,
        dynamics,
        flow: FlowConfig::default(),
        sampling: driftless_model::config::SamplingConfig::default(),
    }
}

pub(super) fn random(shape: &[usize], rng: &mut ChaCha8Rng) -> Tensor {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Perturbs every parameter, so that no gradient vanishes.
pub(super) fn shake(vars: &BTreeMap<String, Var>, rng: &mut ChaCha8Rng) {
    for var in vars.values() {
        let noise = (random(var.dims(), rng) * 0.2).unwrap();
        var.set(&(var.as_tensor() + noise).unwrap()).unwrap();
    }
}

pub(super) fn numbers(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// ‖a − b‖/‖b‖.
pub(super) fn relative(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |x: f32| f64::from(x).powi(2);
    let off: f64 = a.iter().zip(b).map(|(a, b)| square(a - b)).sum();
    let size: f64 = b.iter().map(|b| square(*b)).sum();
    (off / size.max(1e-20)).sqrt()
}

/// A random sequence of `length` clean frames and `copies` noised copies.
struct Sequence {
    latents: Tensor,
    past: Tensor,
    actions: Vec<Action>,
    axes: usize,
    signal: Vec<f32>,
    steps: Vec<u32>,
    memory: Option<MemoryInput>,
    all: FrameCounts,
}

impl Sequence {
    fn new(config: &WorldConfig, length: usize, copies: usize, rng: &mut ChaCha8Rng) -> Self {
        let (d, [gh, gw]) = (&config.dynamics, config.grid());
        let c = config.tokenizer.channels;
        let count = length * (1 + copies);
        let actions = config.actions.len() as u32 + u32::from(d.unknown_action);
        let steps = step_size_count(d.k_max) as u32;
        Self {
            latents: random(&[1, count, gh, gw, c], rng),
            past: random(&[1, count, gh, gw, c * d.stem_frames], rng),
            actions: (0..count)
                .map(|_| {
                    let mut action = Action::from(rng.random_range(0..actions));
                    for axis in action.axes.iter_mut().take(config.axes.len()) {
                        *axis = rng.random_range(-1.0..1.0);
                    }
                    action
                })
                .collect(),
            axes: config.axes.len(),
            signal: (0..count).map(|_| rng.random_range(0.0..1.0)).collect(),
            steps: (0..count).map(|_| rng.random_range(0..steps)).collect(),
            memory: d.memory.as_ref().map(|memory| {
                let m = memory.frames;
                // The first frame recalls nothing, some others fewer than they could.
                let filled = |i: usize| f32::from(u8::from(i >= m && i % 5 != 4));
                let filled: Vec<f32> = (0..length * m).map(filled).collect();
                let inputs = TokenInputs::per_token(d.merge, c);
                let tokens = random(&[1, length, m, config.latent_tokens(), inputs], rng);
                MemoryInput {
                    // Half of their inputs are zero or small.
                    tokens: tokens.affine(0.5, 0.0).unwrap(),
                    filled: Tensor::from_vec(filled, (1, length, m), &Device::Cpu).unwrap(),
                }
            }),
            all: FrameCounts { length, count },
        }
    }

    fn input(&self) -> DynamicsInput {
        let shape = (1, self.all.count);
        let u32s = |x: &[u32]| Tensor::from_vec(x.to_vec(), shape, &Device::Cpu).unwrap();
        DynamicsInput {
            latents: self.latents.clone(),
            past: self.past.clone(),
            actions: ActionTensors::new(
                &self.actions,
                [1, self.all.count],
                self.axes,
                &Device::Cpu,
            )
            .unwrap(),
            signal: Tensor::from_vec(self.signal.clone(), shape, &Device::Cpu).unwrap(),
            steps: u32s(&self.steps),
            memory: self.memory.clone(),
        }
    }

    fn load(&self, network: &DynamicsNetwork, t: &mut SequenceBuffers) {
        let (latents, past) = (numbers(&self.latents), numbers(&self.past));
        let (each, before) = (latents.len() / self.all.count, past.len() / self.all.count);
        for at in 0..self.all.count {
            let frame = Frame {
                latent: &latents[at * each..(at + 1) * each],
                past: &past[at * before..(at + 1) * before],
                action: self.actions[at],
                signal: self.signal[at],
                step: self.steps[at],
            };
            network.load(at, &frame, t).unwrap();
        }
        let (Some(memory), Some(state)) = (&self.memory, &mut t.memory) else {
            return;
        };
        state.in_use = true;
        let parts = [&memory.tokens, &memory.filled].map(numbers);
        for time in 0..self.all.length {
            let [tokens, filled] = parts.each_ref().map(|part| {
                let len = part.len() / self.all.length;
                &part[time * len..(time + 1) * len]
            });
            state.load(&network.sizes, time, tokens, filled);
        }
    }
}

fn compare(cells: [usize; 2], channels: usize, d: DynamicsConfig, length: usize, copies: usize) {
    let tokenizer = TokenizerConfig {
        channels,
        ..TokenizerConfig::default()
    };
    compare_worlds(&world(cells, tokenizer, d), length, copies);
}

fn compare_worlds(config: &WorldConfig, length: usize, copies: usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    config.check().unwrap();
    let params = Params::seeded(3, &Device::Cpu);
    let dynamics = Dynamics::new(&params, config).unwrap();
    let vars = params.finish().unwrap();
    shake(&vars, &mut rng);
    let sequence = Sequence::new(config, length, copies, &mut rng);
    let time = dynamics.time_pattern(length);
    let predicted = dynamics.forward(&sequence.input(), time, length).unwrap();
    let dy = random(predicted.prediction.dims(), &mut rng);
    let mut loss = (&predicted.prediction * &dy).unwrap().sum_all().unwrap();
    let mut doutcome = None;
    if let Some(outcome) = &predicted.outcome {
        let weight = random(outcome.dims(), &mut rng);
        loss = (loss + (outcome * &weight).unwrap().sum_all().unwrap()).unwrap();
        doutcome = Some(weight);
    }
    let expected = loss.backward().unwrap();

    simd::tests::each(|lanes| {
        let network = DynamicsNetwork::new(config, &vars).unwrap();
        let mut weights = Weights::new(&network.layout);
        weights.refresh(&network.layout, &vars).unwrap();
        let mut t = network.buffers(sequence.all);
        let mut gradient = vec![0f32; network.layout.len()];
        // Twice in the same buffers, to check that the first pass leaves nothing behind.
        for _ in 0..2 {
            gradient.fill(0.0);
            sequence.load(&network, &mut t);
            network.encode_memory(&weights, &mut t);
            network.forward(&weights, 0..length, &mut t);
            network.forward(&weights, length..sequence.all.count, &mut t);
            let first = t.output.len() / (1 + copies);
            let output = relative(&t.output[first..], &numbers(&predicted.prediction));
            assert!(output < 1e-5, "{lanes:?}: outputs differ by {output:.1e}");
            t.doutput[first..].copy_from_slice(&numbers(&dy));
            if let (Some(state), Some(weight)) = (&mut t.outcome, &doutcome) {
                let outcome = numbers(predicted.outcome.as_ref().unwrap());
                let off = relative(&state.outcome, &outcome);
                assert!(off < 1e-5, "{lanes:?}: outcomes differ by {off:.1e}");
                state.gradient.copy_from_slice(&numbers(weight));
            }
            network.backward(&weights, &mut gradient, &mut t);
        }
        for (name, var) in &vars {
            let ours = network.layout.find(name, &gradient).unwrap();
            match expected.get(var) {
                Some(theirs) => {
                    let theirs = theirs.contiguous().unwrap();
                    let off = with_numbers(&theirs, |theirs| relative(ours, theirs)).unwrap();
                    assert!(off < 1e-5, "{lanes:?}: {name} differs by {off:.1e}");
                }
                None => assert!(ours.iter().all(|g| *g == 0.0), "{lanes:?}: {name}"),
            }
        }
    });
}

fn small() -> DynamicsConfig {
    DynamicsConfig {
        stem_width: 12,
        width: 24,
        depth: 3,
        heads: 2,
        mlp: 20,
        context: 5,
        registers: 1,
        outcome: 9,
        ..DynamicsConfig::default()
    }
}

#[test]
fn axes() {
    let mut config = world([4, 6], TokenizerConfig::default(), small());
    config.axes = ["wheel", "gas", "brake"].map(AxisSpec::named).to_vec();
    compare_worlds(&config, 7, 2);
}

#[test]
fn small_shape() {
    compare([4, 6], 3, small(), 7, 2);
}

fn with_memory(frames: usize, shape: &DynamicsConfig) -> DynamicsConfig {
    DynamicsConfig {
        memory: Some(MemoryConfig {
            frames,
            field_of_view: 72.0,
            reach: 4.0,
            capacity: 64,
        }),
        ..shape.clone()
    }
}

#[test]
fn small_shape_with_memory() {
    compare([4, 6], 3, with_memory(3, &small()), 7, 2);
    let late = DynamicsConfig {
        depth: 5,
        time_every: 3,
        merge: 1,
        ..small()
    };
    compare([2, 5], 5, with_memory(1, &late), 6, 1);
}

#[test]
fn shipped_shape_with_memory() {
    compare([8, 8], 8, with_memory(4, &DynamicsConfig::default()), 16, 2);
}

fn with_delta_state(shape: &DynamicsConfig) -> DynamicsConfig {
    DynamicsConfig {
        delta_state: true,
        ..shape.clone()
    }
}

#[test]
fn delta_states() {
    compare([4, 6], 3, with_delta_state(&small()), 7, 2);
    let late = DynamicsConfig {
        depth: 5,
        time_every: 3,
        merge: 1,
        ..small()
    };
    compare([2, 5], 5, with_delta_state(&late), 20, 1);
    compare([4, 6], 3, with_delta_state(&with_memory(2, &small())), 7, 2);
    compare(
        [8, 8],
        8,
        with_delta_state(&DynamicsConfig::default()),
        16,
        2,
    );
}

#[test]
fn odd_widths_and_windows() {
    let odd = DynamicsConfig {
        merge: 1,
        stem_width: 7,
        stem_frames: 1,
        width: 33,
        heads: 3,
        mlp: 19,
        depth: 2,
        time_every: 1,
        context: 3,
        registers: 0,
        k_max: 4,
        unknown_action: false,
        outcome: 0,
        memory: None,
        delta_state: false,
    };
    compare([3, 5], 5, odd.clone(), 18, 1);
    let no_past = DynamicsConfig {
        stem_frames: 0,
        merge: 3,
        context: 40,
        ..odd
    };
    compare([3, 6], 1, no_past, 4, 3);
}

#[test]
fn no_temporal_attention() {
    let blind = DynamicsConfig {
        depth: 2,
        time_every: 3,
        ..small()
    };
    compare([2, 4], 4, blind, 5, 1);
}

#[test]
fn layers_after_temporal_attention() {
    let late = DynamicsConfig {
        depth: 5,
        time_every: 3,
        registers: 3,
        ..small()
    };
    compare([4, 4], 3, late, 6, 2);
}

#[test]
fn shipped_shape() {
    compare([8, 8], 8, DynamicsConfig::default(), 16, 2);
}

#[test]
fn gradient_matches_finite_differences() {
    check_by_differences(small());
    check_by_differences(with_memory(2, &small()));
    check_by_differences(with_delta_state(&small()));
}

fn check_by_differences(shape: DynamicsConfig) {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let config = world(
        [2, 4],
        TokenizerConfig {
            channels: 3,
            ..TokenizerConfig::default()
        },
        shape,
    );
    let params = Params::seeded(3, &Device::Cpu);
    Dynamics::new(&params, &config).unwrap();
    let vars = params.finish().unwrap();
    shake(&vars, &mut rng);
    let sequence = Sequence::new(&config, 6, 1, &mut rng);
    let network = DynamicsNetwork::new(&config, &vars).unwrap();
    let mut weights = Weights::new(&network.layout);
    let mut t = network.buffers(sequence.all);
    let dy = numbers(&random(&[t.output.len()], &mut rng));
    let mut gradient = vec![0f32; network.layout.len()];
    let half = dy.len() / 2;
    // Σ dy·y, and the sum of rewards and ends.
    let mut loss = |backward: bool, gradient: &mut [f32]| -> f64 {
        weights.refresh(&network.layout, &vars).unwrap();
        sequence.load(&network, &mut t);
        network.encode_memory(&weights, &mut t);
        network.forward(&weights, 0..12, &mut t);
        let frames = t.output[half..].iter().zip(&dy[half..]);
        let mut sum: f64 = frames.map(|(y, dy)| f64::from(y * dy)).sum();
        let state = t.outcome.as_mut().unwrap();
        sum += state.outcome.iter().map(|x| f64::from(*x)).sum::<f64>();
        state.gradient.fill(1.0);
        t.doutput[half..].copy_from_slice(&dy[half..]);
        if backward {
            network.backward(&weights, gradient, &mut t);
        }
        sum
    };
    loss(true, &mut gradient);
    for (name, var) in &vars {
        let direction = random(var.dims(), &mut rng);
        let mine = network.layout.find(name, &gradient).unwrap();
        let slope: f64 = numbers(&direction)
            .iter()
            .zip(mine)
            .map(|(d, g)| f64::from(d * g))
            .sum();
        let start = var.as_tensor().copy().unwrap();
        let step = 2e-3;
        let mut at = |by: f64| {
            var.set(&(&start + (&direction * by).unwrap()).unwrap())
                .unwrap();
            loss(false, &mut [])
        };
        let measured = (at(step) - at(-step)) / (2.0 * step);
        var.set(&start).unwrap();
        assert!(
            (measured - slope).abs() < 0.01 * slope.abs().max(1.0),
            "{name}: measured {measured}, computed {slope}"
        );
    }
}
