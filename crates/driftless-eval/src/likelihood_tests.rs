use std::collections::BTreeMap;

use candle_core::Device;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use driftless_engine::Solver;
use driftless_engine::testing::{
    actions, edge_case_configs, reference_sampler, small_config, world,
};
use driftless_flow::likelihood::Divergence;
use driftless_flow::path::Path;
use driftless_flow::prediction::Prediction;
use driftless_model::dynamics::{ActionTensors, Dynamics, DynamicsInput, step_index};
use driftless_model::params::Params;

use super::*;

fn episode(config: &WorldConfig, frames: usize) -> Episode {
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    let [height, width] = config.image;
    let mut episode = Episode {
        height,
        width,
        images: (0..frames * config.image_len())
            .map(|_| rng.random())
            .collect(),
        actions: Vec::new(),
        rewards: vec![0.0; frames],
        extras: BTreeMap::new(),
    };
    episode.set_played(&actions(config, frames, 22), config.axes.len());
    episode
}

fn real_queries(episode: &Episode, range: Range<usize>) -> Vec<FrameQuery<'_>> {
    let query = |t: usize| FrameQuery {
        frame: t,
        action: episode.action(t),
        image: episode.frame(t),
    };
    range.map(query).collect()
}

const FEW_STEPS: LikelihoodOptions = LikelihoodOptions {
    level: None,
    steps: 3,
    probes: 2,
    context_signal: 0.9,
    seed: 5,
};

fn run(
    world: &WorldModel,
    episode: &Episode,
    queries: &[FrameQuery],
    options: &LikelihoodOptions,
) -> Vec<FrameSurprise> {
    measure(world, episode, queries, options, &mut |_| ()).unwrap()
}

fn numbers(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_close(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 2e-4 * (1.0 + b.abs()), "{what}: {a} {b}");
    }
}

/// x̂ of the velocity that likelihoods are computed with.
fn clean(conditioned: &ConditionedFrames, config: &WorldConfig, z: &Tensor, tau: f64) -> Vec<f32> {
    let v = conditioned.velocity(z, tau).unwrap();
    let level = Tensor::full(tau as f32, (1, 1, 1, 1), &Device::Cpu).unwrap();
    let at = config.flow.path.coefficients(&level).unwrap();
    numbers(&Prediction::V.convert(Prediction::X, &v, z, &at).unwrap())
}

#[test]
fn context_matches_the_engine() {
    for (name, config) in edge_case_configs() {
        let world_ = world(&config);
        let window = config.dynamics.context;
        let episode = episode(&config, window + 1);
        let params = SamplerParams {
            solver: Solver::Euler,
            steps: 4,
            seed: 5,
            ..SamplerParams::default()
        };
        let mut engine = reference_sampler(world(&config));
        engine.reset(&episode.clip(0..window), &params).unwrap();
        engine.record_passes(true);
        engine.step(2, &params).unwrap();
        let signal = f64::from(params.context_signal);
        let mut cache = ContextCache::new(&world_, &episode, signal, 5).unwrap();
        cache.advance(window, window).unwrap();
        let conditioned = cache.condition(&[window], &[2.into()]).unwrap();
        let [gh, gw] = config.grid();
        for pass in engine.passes() {
            let shape = (1, gh, gw, config.tokenizer.channels);
            let z = Tensor::from_vec(pass.z.clone(), shape, &Device::Cpu).unwrap();
            assert_close(
                &clean(&conditioned, &config, &z, f64::from(pass.tau)),
                &pass.x,
                name,
            );
        }
    }
}

/// Compares with a training step of one clean and one noised copy, [1, T, ..].
#[test]
fn batches_match_training() {
    for (name, config) in edge_case_configs() {
        let world = world(&config);
        let (frames, first) = (2 * BATCH + 5, config.dynamics.context);
        let (episode, device) = (episode(&config, frames), &Device::Cpu);
        let (signal, tau) = (0.9, 0.4);
        let mut all = ContextCache::new(&world, &episode, signal, 1).unwrap();
        all.advance(0, frames).unwrap();
        let (past, context) = all.whole(frames).unwrap();
        let z =
            context
                .zeros_like()
                .unwrap()
                .normal_like(&mut noise::rng(3, 0, NoisePurpose::Initial));
        let z = z.unwrap();
        let twice = |a: &Tensor, b: &Tensor| Tensor::cat(&[a, b], 1).unwrap();
        let row = |x: &Tensor| x.unsqueeze(0).unwrap();
        let actions = episode.played();
        let axes = config.axes.len();
        let actions = ActionTensors::new(&actions, [1, frames], axes, device).unwrap();
        let level = |tau: f64| Tensor::full(tau as f32, (1, frames), device).unwrap();
        let input = DynamicsInput {
            memory: None,
            latents: twice(&row(&context), &row(&z)),
            past: twice(&row(&past), &row(&past)),
            actions: ActionTensors::cat(&[&actions, &actions]).unwrap(),
            signal: twice(&level(signal), &level(tau)),
            steps: Tensor::full(
                step_index(usize::MAX, config.dynamics.k_max),
                (1, 2 * frames),
                device,
            )
            .unwrap(),
        };
        let output = world
            .dynamics
            .forward(&input, world.dynamics.time_pattern(frames), frames);
        let output = output.unwrap().prediction.squeeze(0).unwrap();
        let level = Tensor::full(tau as f32, (1, 1, 1, 1), device).unwrap();
        let at = config.flow.path.coefficients(&level).unwrap();
        let prediction = config.flow.prediction;
        let truth = prediction.convert(Prediction::X, &output, &z, &at).unwrap();
        // In batches with old frames dropped, as in `measure`.
        let mut cache = ContextCache::new(&world, &episode, signal, 1).unwrap();
        for from in (first..frames).step_by(7) {
            let indices: Vec<usize> = (from..frames.min(from + 7)).collect();
            let (from, count) = (indices[0], indices.len());
            cache.advance(from, from + count - 1).unwrap();
            let actions = &episode.played()[from..from + count];
            let conditioned = cache.condition(&indices, actions).unwrap();
            let part = |x: &Tensor| x.narrow(0, from, count).unwrap();
            let x = clean(&conditioned, &config, &part(&z), tau);
            assert_close(&x, &numbers(&part(&truth)), name);
        }
    }
}

#[test]
fn untrained_network_has_a_known_density() {
    // An untrained dynamics predicts x̂ = 0: z ~ N(0, σ²).
    let config = small_config();
    let mut world = world(&config);
    world.dynamics = Dynamics::new(&Params::seeded(1, &Device::Cpu), &config).unwrap();
    let episode = episode(&config, 7);
    let queries = real_queries(&episode, 5..7);
    let options = LikelihoodOptions {
        steps: 40,
        ..FEW_STEPS
    };
    let found = run(&world, &episode, &queries, &options);
    let cache = ContextCache::new(&world, &episode, 1.0, 0).unwrap();
    for (query, found) in queries.iter().zip(found) {
        let x = cache.encode(query.image).unwrap();
        let (noise, _) = draw_noise(&x, &[*query], &options).unwrap();
        let z = ((x * 0.75).unwrap() + (&noise * 0.25).unwrap()).unwrap();
        let mean_square = |t: &Tensor| -> f64 {
            let numbers = t.numbers().unwrap();
            numbers.iter().map(|x| x * x).sum::<f64>() / numbers.len() as f64
        };
        let bits_of = |square: f64| 0.5 * (square + (TAU * 0.0625).ln()) / LN_2;
        let bits = bits_of(mean_square(&z) / 0.0625);
        assert!(
            (found.bits_per_dimension - bits).abs() < 2e-3,
            "{found:?} {bits}"
        );
        let excess = bits - bits_of(mean_square(&noise));
        assert!((found.excess - excess).abs() < 2e-3, "{found:?} {excess}");
        let nats = -bits * LN_2 * config.latent_len() as f64;
        assert!((found.nats - nats).abs() < 0.1, "{found:?} {nats}");
        assert_eq!(found.frame, query.frame);
        assert_eq!(found.action, query.action.index);
        // ∂v/∂z is diagonal.
        assert!(found.standard_error.unwrap() < 1e-3);
    }
}

#[test]
fn estimates_agree_with_the_exact_divergence() {
    let config = small_config();
    let world = world(&config);
    let episode = episode(&config, 9);
    let queries = real_queries(&episode, 5..9);
    let options = LikelihoodOptions {
        probes: 64,
        ..FEW_STEPS
    };
    let estimates = run(&world, &episode, &queries, &options);
    let mut cache = ContextCache::new(
        &world,
        &episode,
        options.context_signal.into(),
        options.seed,
    )
    .unwrap();
    cache.advance(5, 8).unwrap();
    let conditioned = cache
        .condition(&[5, 6, 7, 8], &episode.played()[5..9])
        .unwrap();
    let images: Vec<u8> = queries.iter().flat_map(|a| a.image).copied().collect();
    let x = cache.encode(&images).unwrap();
    let (noise, _) = draw_noise(&x, &queries, &options).unwrap();
    let z = ((x * 0.75).unwrap() + (noise * 0.25).unwrap()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let exact = Probes::draw(Divergence::Exact, &z, &mut rng).unwrap();
    let exact = log_densities(&conditioned, &z, &config, &options, &exact).unwrap();
    for (estimate, exact) in estimates.iter().zip(exact) {
        let (error, gap) = (estimate.standard_error.unwrap(), estimate.nats - exact.nats);
        assert!(error > 1e-3, "nothing was estimated");
        assert!(gap.abs() < 3.0 * error, "{gap} {error}");
    }
}

#[test]
fn results_do_not_depend_on_the_batch() {
    for prediction in [Prediction::X, Prediction::Eps] {
        let mut config = small_config();
        config.flow.prediction = prediction;
        let world = world(&config);
        let episode = episode(&config, 30);
        let whole = run(&world, &episode, &real_queries(&episode, 5..30), &FEW_STEPS);
        let same = |a: &FrameSurprise, b: &FrameSurprise| {
            assert_eq!((a.frame, a.action), (b.frame, b.action));
            assert!((a.nats - b.nats).abs() < 1e-2, "{a:?} {b:?}");
            let gap = a.standard_error.unwrap() - b.standard_error.unwrap();
            assert!(gap.abs() < 1e-2, "{a:?} {b:?}");
        };
        for t in [5, 17, 29] {
            let alone = run(
                &world,
                &episode,
                &real_queries(&episode, t..t + 1),
                &FEW_STEPS,
            );
            same(&alone[0], &whole[t - 5]);
        }
        let part = run(
            &world,
            &episode,
            &real_queries(&episode, 11..20),
            &FEW_STEPS,
        );
        part.iter().zip(&whole[6..]).for_each(|(a, b)| same(a, b));
        // In any order, with repeated frames.
        let queries: Vec<FrameQuery> = [20, 8, 20]
            .iter()
            .flat_map(|&t| real_queries(&episode, t..t + 1))
            .collect();
        let mixed = run(&world, &episode, &queries, &FEW_STEPS);
        for (surprise, t) in mixed.iter().zip([20, 8, 20]) {
            same(surprise, &whole[t - 5]);
        }
    }
}

#[test]
fn every_world_has_likelihoods() {
    let mut all = edge_case_configs();
    all.push(("noise", small_config()));
    if let Some((_, config)) = all.last_mut() {
        config.flow.prediction = Prediction::Eps;
        config.flow.path = Path::Cosine;
    }
    for (name, config) in all {
        let world = world(&config);
        let first = config.dynamics.context;
        let episode = episode(&config, first + 2);
        let run = |seed| {
            let options = LikelihoodOptions { seed, ..FEW_STEPS };
            run(
                &world,
                &episode,
                &real_queries(&episode, first..first + 2),
                &options,
            )
        };
        let (one, other) = (run(1), run(2));
        assert_eq!(one, run(1), "{name}");
        for (a, b) in one.iter().zip(&other) {
            assert!(
                a.nats.is_finite() && a.nats != b.nats,
                "{name}: {a:?} {b:?}"
            );
        }
    }
}

#[test]
fn invalid_input_is_an_error() {
    let config = small_config();
    let world = world(&config);
    let long = episode(&config, 9);
    let error = |episode: &Episode, wanted: Option<Range<usize>>| {
        measurable_frames(&config, episode, wanted)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(measurable_frames(&config, &long, None).unwrap(), 5..9);
    assert_eq!(measurable_frames(&config, &long, Some(6..8)).unwrap(), 6..8);
    for range in [4..8, 6..10, 7..7] {
        let error = error(&long, Some(range));
        assert!(error.contains("5 ≤ A < B ≤ 9"), "{error}");
    }
    assert!(error(&episode(&config, 5), None).contains("expected at least 6"));
    let mut other = long.clone();
    other.actions[3] = 7;
    assert!(error(&other, None).contains("unknown action 7, expected 0 to 2"));
    other.height = 6;
    assert!(error(&other, None).contains("6×18 pixels, expected 12×18"));
    let mut eps = config.clone();
    eps.flow.prediction = Prediction::Eps;
    for (options, world, part) in [
        (
            LikelihoodOptions {
                level: Some(1.0),
                ..FEW_STEPS
            },
            &config,
            "level is 1, expected above 0, at most 0.99",
        ),
        (
            LikelihoodOptions {
                level: Some(0.01),
                ..FEW_STEPS
            },
            &eps,
            "expected above 0.03125",
        ),
        (
            LikelihoodOptions {
                steps: 0,
                ..FEW_STEPS
            },
            &config,
            "steps is 0",
        ),
        (
            LikelihoodOptions {
                probes: 0,
                ..FEW_STEPS
            },
            &config,
            "probes is 0",
        ),
        (
            LikelihoodOptions {
                context_signal: 0.0,
                ..FEW_STEPS
            },
            &config,
            "context signal is 0",
        ),
    ] {
        let error = options.check(world).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let invalid = FrameQuery {
        frame: 3,
        ..real_queries(&long, 6..7)[0]
    };
    let error = measure(&world, &long, &[invalid], &FEW_STEPS, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("frame 3"), "{error}");
}
