//! Training steps on the CPU compared with candle's: same random draws, losses and gradients.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::context::RunContext;
use super::dynamics::DynamicsTask;
use super::frame_store::FrameStore;
use super::layout::RunLayout;
use super::optimizer::Optimizer;
use super::ranks::Ranks;
use super::settings::TrainSettings;
use super::task::{Gradient, StepOutput, Task};
use super::tokenizer::TokenizerTask;
use super::tokenizer::backgrounds::Backgrounds;
use driftless_data::layout::array::{COS, SIN, X, Y};
use driftless_data::{ActionSpec, AxisSpec};
use driftless_data::{DatasetInfo, Episode, ExtraArray};
use driftless_flow::path::Path;
use driftless_flow::prediction::Prediction;
use driftless_model::checkpoint::{TOKENIZER, write_tensors};
use driftless_model::config::MemoryConfig;
use driftless_model::params::Params;
use driftless_model::tokenizer::Tokenizer;

/// A run on noise: 3 episodes of 40 frames, 4×6 cells of 4×4 pixels.
struct World {
    run: RunContext,
    store: FrameStore,
    _folder: tempfile::TempDir,
}

fn settings() -> TrainSettings {
    let mut s = TrainSettings::default();
    let (t, d) = (&mut s.tokenizer_shape, &mut s.dynamics_shape);
    (t.patch, t.width, t.hidden, t.blocks, t.channels) = (4, 9, 10, 2, 3);
    (d.stem_width, d.width, d.depth, d.heads, d.mlp) = (8, 24, 3, 2, 20);
    (d.context, d.registers, d.outcome) = (5, 1, 7);
    (
        s.tokenizer.batch_size,
        s.dynamics.batch_size,
        s.dynamics.sequence_length,
    ) = (10, 3, 8);
    s.dynamics.action_dropout = 0.3;
    s
}

impl World {
    fn new(settings: TrainSettings) -> Self {
        Self::with_axes(settings, &[])
    }

    /// With axes of these names.
    fn with_axes(settings: TrainSettings, axes: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let action = |name: &str| ActionSpec {
            name: name.into(),
            keys: Vec::new(),
        };
        let info = DatasetInfo {
            name: "Noise".into(),
            fps: 15.0,
            image: [16, 24],
            actions: ["noop", "left", "right"].map(action).to_vec(),
            axes: axes.iter().map(|name| AxisSpec::named(name)).collect(),
        };
        let world = settings.world(&info).unwrap();
        let mut store = FrameStore::new(info, folder.path(), 1 << 30);
        store.read_poses(true);
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for scene in 0..3 {
            let frames = 40;
            // On a circle, a bit more than once round.
            let angle = |t: usize| t as f32 / 6.0;
            let extra = |f: &dyn Fn(f32) -> f32| ExtraArray {
                shape: vec![frames],
                values: (0..frames).map(|t| f(angle(t))).collect(),
            };
            let poses = [
                (X, extra(&|a| 2.0 * a.sin())),
                (Y, extra(&|a| -2.0 * a.cos())),
                (COS, extra(&f32::cos)),
                (SIN, extra(&f32::sin)),
            ];
            let pixels = frames * world.image_len();
            // Mostly the same image, so that each scene has a background.
            let images = (0..pixels).map(|i| {
                if rng.random_bool(0.2) {
                    rng.random()
                } else {
                    ((i % world.image_len() + 80 * scene) % 251) as u8
                }
            });
            let mut episode = Episode {
                height: 16,
                width: 24,
                images: images.collect(),
                actions: (0..frames).map(|_| rng.random_range(0..3)).collect(),
                rewards: (0..frames).map(|_| rng.random_range(-1.0..1.0)).collect(),
                extras: poses.map(|(name, of)| (name.to_owned(), of)).into(),
            };
            let mut played = episode.played();
            for action in &mut played {
                let axes = action.axes.iter_mut().take(axes.len());
                axes.for_each(|axis| *axis = rng.random_range(-1.0..1.0));
            }
            episode.set_played(&played, axes.len());
            store.push(&episode, "noise.npz".as_ref()).unwrap();
        }
        Self {
            run: RunContext {
                layout: RunLayout::new(folder.path()),
                settings,
                world,
                device: Device::Cpu,
                ranks: Ranks::default(),
            },
            store,
            _folder: folder,
        }
    }

    /// Writes a tokenizer with random weights.
    fn with_tokenizer(self) -> Self {
        let params = Params::seeded(5, &Device::Cpu);
        Tokenizer::new(&params, &self.run.world).unwrap();
        let vars = params.finish().unwrap();
        let weights = vars.into_iter().map(|(k, v)| (k, v.as_tensor().clone()));
        std::fs::create_dir_all(self.run.layout.checkpoint()).unwrap();
        let path = self.run.layout.checkpoint().join(TOKENIZER);
        write_tensors(&path, &weights.collect()).unwrap();
        self
    }
}

/// Perturbs every parameter, so that no gradient vanishes.
fn shake(vars: &BTreeMap<String, Var>) {
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    for (name, var) in vars {
        let noise = (0..var.elem_count()).map(|_| rng.random_range(-0.2f32..0.2));
        let noise = Tensor::from_vec(noise.collect(), var.dims(), &Device::Cpu).unwrap();
        // Standard deviations stay positive.
        let noise = match name.as_str() {
            "latent.std" => noise.abs().unwrap(),
            _ => noise,
        };
        var.set(&(var.as_tensor() + noise).unwrap()).unwrap();
    }
}

/// Compares the results of the same step.
fn compare(ours: &StepOutput, candle: &StepOutput, vars: &BTreeMap<String, Var>, what: &str) {
    let near = |a: f64, b: f64| (a - b).abs() <= 2e-5 * b.abs().max(1e-3);
    assert!(
        near(ours.loss, candle.loss),
        "{what}: loss {} instead of {}",
        ours.loss,
        candle.loss
    );
    let scalar = |t: &Tensor| f64::from(t.to_scalar::<f32>().unwrap());
    assert_eq!(ours.batch.frames, candle.batch.frames, "{what}");
    assert_eq!(ours.batch.errors.len(), candle.batch.errors.len(), "{what}");
    for (a, b) in ours.batch.errors.iter().zip(&candle.batch.errors) {
        assert!(
            a.frame == b.frame && near(f64::from(a.error), f64::from(b.error)),
            "{what}: {a:?} instead of {b:?}"
        );
    }
    assert_eq!(ours.metrics.len(), candle.metrics.len(), "{what}");
    for ((name, a), (other, b)) in ours.metrics.iter().zip(&candle.metrics) {
        assert_eq!(name, other, "{what}");
        let (a, b) = (scalar(a), scalar(b));
        assert!(near(a, b), "{what}: {name} {a} instead of {b}");
    }
    let (Gradient::Flat(ours), Gradient::PerTensor(candle)) = (&ours.gradient, &candle.gradient)
    else {
        panic!("{what}: unexpected kind of gradient");
    };
    let numbers = |t: &Tensor| -> Vec<f32> { t.flatten_all().unwrap().to_vec1().unwrap() };
    let square = |x: f32| f64::from(x).powi(2);
    let known = vars.values().filter_map(|var| candle.get(var));
    let whole: f64 = known.flat_map(&numbers).map(square).sum();
    for (name, var) in vars {
        let ours = ours.layout.find(name, &ours.values).unwrap();
        let Some(candle) = candle.get(var) else {
            assert!(ours.iter().all(|g| *g == 0.0), "{what}: {name}");
            continue;
        };
        let candle = numbers(candle);
        let off: f64 = ours.iter().zip(&candle).map(|(a, b)| square(a - b)).sum();
        let size: f64 = candle.iter().copied().map(square).sum();
        // What standardizing cancels (the encoder's last bias) is rounding in both.
        let least = 1e-7 * whole.sqrt();
        assert!(
            off.sqrt() < 1e-5 * size.sqrt() + least,
            "{what}: the gradient of {name} is off by {:.1e} of {:.1e}",
            off.sqrt(),
            size.sqrt()
        );
    }
}

fn dynamics(settings: TrainSettings, steps: &[u64], what: &str) {
    compare_steps(World::new(settings), steps, what);
}

fn compare_steps(world: World, steps: &[u64], what: &str) {
    let world = world.with_tokenizer();
    let (mut task, vars) = DynamicsTask::new(&world.run, (&world.store).into(), &mut ()).unwrap();
    shake(&vars);
    let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
    for step in steps {
        let rng = || {
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            rng.set_stream(*step);
            rng
        };
        // Before the other: it does not change by which errors sequences are drawn.
        let slow = task.losses(*step, &mut rng()).unwrap();
        let slow = slow.backward(&mut theirs).unwrap();
        let fast = task.step(*step, &mut rng(), &mut ours).unwrap();
        compare(&fast, &slow, &vars, &format!("{what}, step {step}"));
    }
}

#[test]
fn dynamics_plain_and_shortcut_steps() {
    dynamics(settings(), &[0, 1, 2, 3], "default");
}

#[test]
fn dynamics_axes() {
    let world = World::with_axes(settings(), &["wheel", "gas"]);
    compare_steps(world, &[0, 1, 12_000], "axes");
}

#[test]
fn dynamics_self_generated_context() {
    // The last 0.4 of 16,000 steps; even steps have no shortcut targets.
    dynamics(settings(), &[12_000, 12_002], "self-generated context");
}

#[test]
fn dynamics_hard_sequences() {
    let mut s = settings();
    s.dynamics.hard_fraction = 0.7;
    dynamics(s, &[0, 1, 2], "hard sequences");
}

#[test]
fn dynamics_change_weight() {
    let mut s = settings();
    s.dynamics.change_weight = 5.0;
    dynamics(s, &[0, 1, 2, 12_000], "change weight");
}

fn with_memory() -> TrainSettings {
    let mut s = settings();
    s.dynamics_shape.memory = Some(MemoryConfig {
        frames: 3,
        field_of_view: 90.0,
        reach: 3.0,
        capacity: 100,
    });
    s
}

#[test]
fn dynamics_memory() {
    dynamics(with_memory(), &[0, 1, 2, 12_000], "memory");
}

fn with_delta_state() -> TrainSettings {
    let mut s = settings();
    s.dynamics_shape.delta_state = true;
    s.dynamics.sequence_length = 14;
    s.dynamics.delta_state.noisy_context_fraction = 0.5;
    s
}

#[test]
fn dynamics_delta_state() {
    dynamics(with_delta_state(), &[0, 1, 2, 12_000], "delta state");
    let mut both = with_memory();
    both.dynamics_shape.delta_state = true;
    dynamics(both, &[0, 1], "delta state and memory");
}

#[test]
fn dynamics_predictions_and_paths() {
    for path in [Path::Linear, Path::Cosine] {
        for prediction in [Prediction::X, Prediction::V, Prediction::Eps] {
            for space in [Prediction::X, Prediction::V, Prediction::Eps] {
                let mut s = settings();
                s.dynamics.path = path;
                s.dynamics.prediction = prediction;
                s.dynamics.loss_space = Some(space);
                // Levels near 1 are ill-conditioned in other spaces.
                s.dynamics.off_grid_fraction = 0.0;
                let what = format!("{path:?}, {prediction:?} in {space:?}");
                dynamics(s, &[0, 1], &what);
            }
        }
    }
}

#[test]
fn dynamics_long_sequences_no_outcomes() {
    let mut s = settings();
    s.dynamics_shape.outcome = 0;
    s.dynamics_shape.unknown_action = false;
    s.dynamics.noised_copies = 1;
    s.dynamics.shortcut_every = 3;
    (
        s.dynamics.long_sequence_every,
        s.dynamics.long_sequence_length,
    ) = (2, 20);
    dynamics(s, &[0, 1, 2, 5], "long");
}

fn tokenizer(settings: TrainSettings, what: &str) {
    let world = World::new(settings);
    let frames = world.store.sample_evenly(usize::MAX).unwrap();
    assert!(Backgrounds::of(&frames, world.run.world.image_len()).count() > 1);
    let (mut task, vars) = TokenizerTask::new(&world.run, (&world.store).into()).unwrap();
    shake(&vars);
    let o = &world.run.settings.tokenizer.optimizer;
    let mut optimizer = Optimizer::new(&vars, o).unwrap();
    let mut mean_squares = BTreeMap::new();
    for step in [0, 1, o.steps - 1] {
        let rng = || ChaCha8Rng::seed_from_u64(step);
        task.before_step(step, &mut optimizer).unwrap();
        // First the one that does not change which frames are drawn.
        let slow = task.losses(0, &mut rng()).unwrap();
        let slow = slow.backward(&mut mean_squares).unwrap();
        let fast = task.step(step, &mut rng(), &mut mean_squares).unwrap();
        compare(&fast, &slow, &vars, &format!("{what}, step {step}"));
    }
}

#[test]
fn tokenizer_steps() {
    tokenizer(settings(), "default");
    let mut masked = settings();
    masked.tokenizer.max_mask_fraction = 0.6;
    masked.tokenizer.max_curvature_shift = 3;
    masked.tokenizer.batch_size = 13;
    tokenizer(masked, "masked");
    let mut changes = settings();
    changes.tokenizer.change_weight = 30.0;
    tokenizer(changes, "change weight");
}

#[test]
fn flat_update_matches() {
    for decay in [0.0, 0.1] {
        let mut s = settings();
        s.tokenizer.optimizer.weight_decay = decay;
        s.tokenizer.optimizer.warmup_steps = 1;
        // Only `step` remembers errors.
        s.tokenizer.hard_fraction = 0.0;
        let world = World::new(s);
        let train = |fast: bool| {
            let (mut task, vars) = TokenizerTask::new(&world.run, (&world.store).into()).unwrap();
            shake(&vars);
            let o = &world.run.settings.tokenizer.optimizer;
            let mut optimizer = Optimizer::new(&vars, o).unwrap();
            let mut norms = Vec::new();
            for step in 0..3 {
                let mut rng = ChaCha8Rng::seed_from_u64(step);
                let trained = if fast {
                    task.step(step, &mut rng, &mut BTreeMap::new())
                } else {
                    let losses = task.losses(0, &mut rng);
                    losses.and_then(|l| l.backward(&mut BTreeMap::new()))
                };
                let norm = match &trained.unwrap().gradient {
                    Gradient::Flat(g) => optimizer.update_flat(g, step, |_| false),
                    Gradient::PerTensor(g) => optimizer.update(g, step, |_| false),
                };
                norms.push(norm.unwrap());
            }
            (norms, optimizer.state())
        };
        let ((norms, state), (other_norms, other)) = (train(true), train(false));
        for (a, b) in norms.iter().zip(&other_norms) {
            assert!((a - b).abs() < 1e-3 * b, "norms {norms:?}, {other_norms:?}");
        }
        // The gradient of the encoder's last bias is a rounding error, which AdamW amplifies.
        let real = state
            .iter()
            .filter(|(name, _)| !name.ends_with("encoder.latent.bias"));
        for (name, tensor) in real {
            let difference = (tensor - &other[name]).unwrap().sqr().unwrap();
            let off = difference.sum_all().unwrap().to_scalar::<f32>().unwrap();
            let size = other[name].sqr().unwrap().sum_all().unwrap();
            let size = size.to_scalar::<f32>().unwrap();
            // AdamW amplifies small differences between gradients near zero.
            assert!(off <= 1e-4 * size + 1e-9, "{name} differs: {off} of {size}");
        }
    }
}

/// Weights after some steps with this many threads.
fn weights_after(threads: usize) -> Vec<(String, Vec<u32>)> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build().unwrap().install(|| {
        let mut settings = with_memory();
        settings.dynamics_shape.delta_state = true;
        let world = World::new(settings).with_tokenizer();
        let mut all = Vec::new();
        let mut train = |task: &mut dyn Task, vars: BTreeMap<String, Var>| {
            shake(&vars);
            let o = world.run.settings.tokenizer.optimizer.clone();
            let mut optimizer = Optimizer::new(&vars, &o).unwrap();
            let mut mean_squares = BTreeMap::new();
            for step in 0..4 {
                let mut rng = ChaCha8Rng::seed_from_u64(step);
                let trained = task.step(step, &mut rng, &mut mean_squares).unwrap();
                let Gradient::Flat(gradient) = &trained.gradient else {
                    panic!("not the CPU's path");
                };
                optimizer.update_flat(gradient, step, |_| false).unwrap();
            }
            for (name, tensor) in optimizer.state() {
                let numbers: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
                all.push((name, numbers.iter().map(|x| x.to_bits()).collect()));
            }
        };
        let (mut task, vars) = TokenizerTask::new(&world.run, (&world.store).into()).unwrap();
        train(&mut task, vars);
        let (mut task, vars) =
            DynamicsTask::new(&world.run, (&world.store).into(), &mut ()).unwrap();
        train(&mut task, vars);
        all
    })
}

#[test]
fn weights_do_not_depend_on_threads() {
    let one = weights_after(1);
    assert!(!one.is_empty());
    for threads in [2, 3] {
        assert!(one == weights_after(threads), "{threads} threads");
    }
}
