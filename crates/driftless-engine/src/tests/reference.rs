//! The KV cache against no cache: every frame is computed again from all frames since the reset, through
//! `Dynamics::forward` with the attention pattern of training.

use driftless_model::dynamics::{ActionTensors, DynamicsInput, step_index};

use super::*;
use crate::noise;
use crate::noise::NoisePurpose;
use crate::testing::reference_sampler;

/// Everything since the reset: context latents with their actions and signal level.
struct History {
    latents: Vec<Vec<f32>>,
    actions: Vec<Action>,
    signal: f32,
    path: Path,
}

/// (α, σ) of a path at τ.
fn alpha_sigma(path: Path, tau: f32) -> (f32, f32) {
    match path {
        Path::Cosine => {
            let (alpha, sigma) = (std::f32::consts::FRAC_PI_2 * tau).sin_cos();
            (alpha, sigma)
        }
        _ => (tau, 1.0 - tau),
    }
}

impl History {
    /// Adds a frame: noises its clean latent for the context.
    fn push(&mut self, clean: &[f32], action: Action, seed: u64) {
        let mut noise = vec![0.0; clean.len()];
        noise::fill(
            &mut noise,
            seed,
            self.latents.len() as u64,
            NoisePurpose::Context,
        );
        let (alpha, sigma) = alpha_sigma(self.path, self.signal);
        let noised = |(x, e): (&f32, &f32)| alpha * x + sigma * e;
        self.latents
            .push(clean.iter().zip(&noise).map(noised).collect());
        self.actions.push(action);
    }

    /// The network's output for the next frame. The input is a clean and a noised copy of n + 1 frames; no
    /// token attends to the last clean frame.
    ///
    /// Also returns reward and end logit of the last frame, if the world has an outcome head.
    fn predict(
        &self,
        world: &WorldModel,
        z: &[f32],
        action: Action,
        tau: f32,
        steps: u32,
    ) -> (Vec<f32>, Option<[f32; 2]>) {
        let (config, n) = (&world.config, self.latents.len());
        let ([gh, gw], c) = (config.grid(), config.tokenizer.channels);
        let stem = config.dynamics.stem_frames;
        let (cells, f) = (config.cells(), 2 * (n + 1));
        let finest = step_index(config.dynamics.k_max, config.dynamics.k_max);
        let unseen = vec![7.0; z.len()];
        let clean = |t: usize| self.latents.get(t).unwrap_or(&unseen);
        let (mut latents, mut past) = (Vec::new(), Vec::new());
        for frame in 0..f {
            let t = frame % (n + 1);
            latents.extend_from_slice(if frame < n + 1 { clean(t) } else { z });
            for cell in 0..cells {
                for back in 1..=stem {
                    match t.checked_sub(back) {
                        Some(t) => past.extend_from_slice(&clean(t)[cell * c..(cell + 1) * c]),
                        None => past.extend(std::iter::repeat_n(0.0, c)),
                    }
                }
            }
        }
        let per_frame = |clean: f32, noised: f32| -> Vec<f32> {
            (0..f)
                .map(|i| if i < n + 1 { clean } else { noised })
                .collect()
        };
        let grid = |values: Vec<f32>, c: usize| {
            Tensor::from_vec(values, (1, f, gh, gw, c), &Device::Cpu).unwrap()
        };
        let mut actions = self.actions.clone();
        actions.push(action);
        let input = DynamicsInput {
            memory: None,
            latents: grid(latents, c),
            past: grid(past, stem * c),
            actions: ActionTensors::new(
                &actions.repeat(2),
                [1, f],
                config.axes.len(),
                &Device::Cpu,
            )
            .unwrap(),
            signal: Tensor::from_vec(per_frame(self.signal, tau), (1, f), &Device::Cpu).unwrap(),
            steps: Tensor::from_vec(
                per_frame(finest as f32, steps as f32)
                    .iter()
                    .map(|s| *s as u32)
                    .collect(),
                (1, f),
                &Device::Cpu,
            )
            .unwrap(),
        };
        let dynamics = &world.dynamics;
        let predicted = dynamics
            .forward(&input, dynamics.time_pattern(n + 1), n + 1)
            .unwrap();
        let x = predicted.prediction.get(0).unwrap().get(n).unwrap();
        let outcome = predicted.outcome.map(|outcome| {
            let last = outcome.get(0).unwrap().get(n - 1).unwrap();
            last.to_vec1().unwrap().try_into().unwrap()
        });
        (x.flatten_all().unwrap().to_vec1().unwrap(), outcome)
    }
}

fn compare(name: &str, config: &WorldConfig, steps: usize, context_frames: usize) {
    let net = world(config);
    let mut engine = reference_sampler(world(config));
    let params = SamplerParams {
        steps,
        seed: 4,
        ..Default::default()
    };
    let start = clip(config, context_frames);
    engine.reset(&start, &params).unwrap();
    let mut history = History {
        latents: Vec::new(),
        actions: Vec::new(),
        signal: params.context_signal,
        path: config.flow.path,
    };
    let used = context_frames.min(config.dynamics.context);
    let images = &start.images[(context_frames - used) * config.image_len()..];
    let latents = engine.encode(images).unwrap();
    let used_actions = &start.actions[context_frames - used..];
    for (latent, &action) in latents.chunks(config.latent_len()).zip(used_actions) {
        history.push(latent, action, params.seed);
    }
    let step = step_index(steps, config.dynamics.k_max);
    for (frame, &action) in actions(config, 64, 8).iter().enumerate() {
        let outcome = engine.outcome();
        engine.step(action, &params).unwrap();
        let mut z = vec![0.0; config.latent_len()];
        noise::fill(
            &mut z,
            params.seed,
            history.latents.len() as u64,
            NoisePurpose::Initial,
        );
        for k in 0..steps {
            let tau = (k as f32 / steps as f32).max(config.flow.min_signal_level() as f32);
            let (output, reward_and_end) = history.predict(&net, &z, action, tau, step);
            assert_eq!(outcome.is_some(), config.dynamics.outcome > 0, "{name}");
            for (outcome, [reward, logit]) in outcome.iter().zip(reward_and_end) {
                let end = 1.0 / (1.0 + (-logit).exp());
                let off = (outcome.reward - reward)
                    .abs()
                    .max((outcome.end - end).abs());
                assert!(
                    off < 1e-4,
                    "{name}: outcome before frame {frame} off by {off}"
                );
            }
            let (alpha, sigma) = alpha_sigma(config.flow.path, tau);
            let (next_alpha, next_sigma) =
                alpha_sigma(config.flow.path, (k + 1) as f32 / steps as f32);
            for (z, output) in z.iter_mut().zip(output) {
                let x = match config.flow.prediction {
                    Prediction::V => *z + (1.0 - tau) * output,
                    _ => output,
                };
                let noise = (*z - alpha * x) / sigma;
                *z = next_alpha * x + next_sigma * noise;
            }
        }
        let difference = largest_difference(&z, engine.latent().unwrap());
        assert!(
            difference < 1e-4,
            "{name}: frame {frame} differs by {difference}"
        );
        history.push(&z, action, params.seed);
    }
}

#[test]
fn cache_matches_full_forward() {
    for (name, config) in edge_case_configs() {
        compare(name, &config, 2, 3);
    }
    compare("K = 1 after one frame", &small_config(), 1, 1);
    compare("K = 4 after a long context", &small_config(), 4, 9);
}
