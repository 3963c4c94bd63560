//! Guarantees of the sampling loop, on the CPU and reference backends.

use super::*;
use crate::Sampler;
use crate::rollout::redraw;
use crate::testing::{cpu_sampler, memory_config, reference_sampler};

pub(super) fn engines(config: &WorldConfig) -> Vec<Sampler> {
    vec![
        cpu_sampler(&world(config)),
        reference_sampler(world(config)),
    ]
}

/// Plays frames; returns the bits of each latent, and each image.
fn play(engine: &mut Sampler, frames: usize, first: usize) -> Vec<(Vec<u32>, Vec<u8>)> {
    let actions = actions(&engine.world().clone(), first + frames, 9);
    (first..first + frames)
        .map(|frame| {
            engine.step(actions[frame], &varying_params(frame)).unwrap();
            let bits = engine
                .latent()
                .unwrap()
                .iter()
                .map(|x| x.to_bits())
                .collect();
            (bits, engine.image().unwrap().to_vec())
        })
        .collect()
}

#[test]
fn same_seed_replays_exactly() {
    let config = small_config();
    let start = clip(&config, 4);
    for mut engine in engines(&config) {
        engine.reset(&start, &varying_params(0)).unwrap();
        let first = play(&mut engine, 30, 0);
        engine.reset(&start, &varying_params(0)).unwrap();
        assert!(first == play(&mut engine, 30, 0), "{}", engine.name());
        let other = SamplerParams {
            seed: 1,
            ..varying_params(0)
        };
        engine.reset(&start, &other).unwrap();
        engine.step(0, &other).unwrap();
        let same = first[0].1 == engine.image().unwrap();
        assert!(!same, "{}: the seed does nothing", engine.name());
    }
}

#[test]
fn snapshots_replay_exactly() {
    let config = small_config();
    for mut engine in engines(&config) {
        engine.reset(&clip(&config, 1), &varying_params(0)).unwrap();
        let size = engine.snapshot().unwrap().state.len();
        for first in [0, 20, 40] {
            play(&mut engine, 20, first);
            let snapshot = engine.snapshot().unwrap();
            let latent = engine.latent().unwrap().to_vec();
            assert_eq!(snapshot.frame, 1 + first as u64 + 20);
            assert_eq!(snapshot.state.len(), size);
            let once = play(&mut engine, 15, first + 20);
            engine.restore(&snapshot).unwrap();
            assert_eq!(engine.latent().unwrap(), latent);
            assert_eq!(engine.image().unwrap(), snapshot.image);
            assert_eq!(engine.snapshot().unwrap(), snapshot);
            assert!(
                once == play(&mut engine, 15, first + 20),
                "{}",
                engine.name()
            );
            engine.restore(&snapshot).unwrap();
        }
    }
}

#[test]
fn foreign_snapshot_is_rejected() {
    let (config, mut larger) = (small_config(), small_config());
    larger.dynamics.context += 1;
    for (mut engine, mut other) in engines(&config).into_iter().zip(engines(&larger)) {
        engine.reset(&clip(&config, 2), &varying_params(0)).unwrap();
        other.reset(&clip(&larger, 2), &varying_params(0)).unwrap();
        let before = engine.snapshot().unwrap();
        let error = engine
            .restore(&other.snapshot().unwrap())
            .unwrap_err()
            .to_string();
        assert!(error.contains("another world"), "{error}");
        assert_eq!(engine.snapshot().unwrap(), before);
    }
}

#[test]
fn reset_uses_the_last_context_frames() {
    let config = small_config();
    let long = clip(&config, 12);
    let len = config.image_len();
    let fits = Clip {
        images: long.images[7 * len..].to_vec(),
        actions: long.actions[7..].to_vec(),
    };
    for mut engine in engines(&config) {
        engine.reset(&long, &varying_params(0)).unwrap();
        assert_eq!(engine.image().unwrap(), &long.images[11 * len..]);
        let latents = engine.encode(&long.images[11 * len..]).unwrap();
        // Another batch size may round differently.
        assert!(largest_difference(engine.latent().unwrap(), &latents) < 1e-5);
        assert_eq!(engine.snapshot().unwrap().frame, 5);
        let first = play(&mut engine, 8, 0);
        engine.reset(&fits, &varying_params(0)).unwrap();
        assert!(first == play(&mut engine, 8, 0), "{}", engine.name());
    }
}

#[test]
fn context_and_action_matter() {
    let config = small_config();
    let start = clip(&config, 5);
    for mut engine in engines(&config) {
        let mut after = |context: usize, action: u32| -> Vec<f32> {
            let params = SamplerParams {
                context,
                ..Default::default()
            };
            engine.reset(&start, &SamplerParams::default()).unwrap();
            engine.step(action, &params).unwrap();
            engine.latent().unwrap().to_vec()
        };
        let all = after(usize::MAX, 0);
        assert_eq!(all, after(5, 0), "the world's context is the limit");
        for shorter in 1..5 {
            assert_ne!(
                all,
                after(shorter, 0),
                "a context of {shorter} changes nothing"
            );
        }
        assert_ne!(all, after(usize::MAX, 1), "the action changes nothing");
    }
}

#[test]
fn solvers_converge() {
    let config = small_config();
    let start = clip(&config, 4);
    for mut engine in engines(&config) {
        let mut after = |solver, steps, tolerance| {
            let params = SamplerParams {
                solver,
                steps,
                tolerance,
                ..Default::default()
            };
            engine.reset(&start, &params).unwrap();
            engine.step(1, &params).unwrap();
            engine.latent().unwrap().to_vec()
        };
        let euler = after(Solver::Euler, 1, 0.1);
        assert_eq!(euler, after(Solver::Midpoint, 1, 0.1));
        assert_eq!(euler, after(Solver::Heun, 1, 0.1));
        // From k_max steps on, shortcut steps are Euler steps on the finest velocity.
        let four = largest_difference(
            &after(Solver::Euler, 4, 0.1),
            &after(Solver::Shortcut, 4, 0.1),
        );
        assert!(four < 1e-5, "{four}");
        let fine = after(Solver::Midpoint, 256, 0.1);
        let gap = |latent: &[f32]| largest_difference(&fine, latent);
        let (coarse, finer) = (after(Solver::Heun, 8, 0.1), after(Solver::Heun, 64, 0.1));
        assert!(
            gap(&finer) < 0.5 * gap(&coarse),
            "{} {}",
            gap(&finer),
            gap(&coarse)
        );
        assert!(gap(&euler) > 1e-3, "the solvers do not differ");
    }
}

#[test]
fn paths_converge() {
    for trained in [Path::Linear, Path::Cosine] {
        let mut config = small_config();
        config.flow.path = trained;
        let start = clip(&config, 4);
        for mut engine in engines(&config) {
            let mut after = |path, steps| {
                let params = SamplerParams {
                    solver: Solver::Midpoint,
                    path,
                    steps,
                    ..Default::default()
                };
                engine.record_passes(true);
                engine.reset(&start, &params).unwrap();
                engine.step(1, &params).unwrap();
                let levels: Vec<f32> = engine.passes().iter().map(|pass| pass.tau).collect();
                (engine.latent().unwrap().to_vec(), levels)
            };
            let same = match trained {
                Path::Cosine => SamplingPath::Cosine,
                _ => SamplingPath::Linear,
            };
            assert_eq!(after(SamplingPath::Own, 6), after(same, 6));
            let (fine, _) = after(SamplingPath::Own, 1000);
            let other = match trained {
                Path::Cosine => SamplingPath::Linear,
                _ => SamplingPath::Cosine,
            };
            let (coarse, levels) = after(other, 6);
            assert_ne!(levels, after(SamplingPath::Own, 6).1);
            let gap = |latent: &[f32]| largest_difference(&fine, latent);
            let (coarse, finer) = (gap(&coarse), gap(&after(other, 1000).0));
            assert!(finer < 0.05 * coarse, "{other} {coarse} {finer}");
        }
    }
}

#[test]
fn tighter_tolerance_takes_more_passes() {
    let config = small_config();
    let start = clip(&config, 4);
    for mut engine in engines(&config) {
        let mut passes = |tolerance| {
            let params = SamplerParams {
                solver: Solver::Adaptive,
                tolerance,
                ..Default::default()
            };
            engine.record_passes(true);
            engine.reset(&start, &params).unwrap();
            engine.step(1, &params).map(|_| engine.passes().len())
        };
        let (loose, tight) = (passes(0.3).unwrap(), passes(1e-3).unwrap());
        assert!(loose < tight, "{loose} {tight}");
    }
}

#[test]
fn noise_prediction_starts_above_zero() {
    let mut config = small_config();
    config.flow.prediction = Prediction::Eps;
    let params = SamplerParams {
        steps: 2,
        ..Default::default()
    };
    let mut guesses = Vec::new();
    for mut engine in engines(&config) {
        engine.record_passes(true);
        engine.reset(&clip(&config, 4), &params).unwrap();
        engine.step(1, &params).unwrap();
        let levels: Vec<f32> = engine.passes().iter().map(|pass| pass.tau).collect();
        assert_eq!(levels, [1.0 / 32.0, 0.5]);
        let first = &engine.passes()[0];
        // x̂ = (z − σ ε̂)/α: with small predictions, z/α dominates.
        let stretched = first
            .x
            .iter()
            .zip(&first.z)
            .filter(|(x, z)| x.abs() > z.abs());
        assert!(2 * stretched.count() > first.x.len());
        guesses.push(first.x.clone());
    }
    let largest = guesses[0].iter().fold(1.0f32, |most, x| most.max(x.abs()));
    assert!(largest_difference(&guesses[0], &guesses[1]) < 1e-4 * largest);
}

#[test]
fn churn_depends_on_the_seed() {
    let config = small_config();
    let start = clip(&config, 4);
    for mut engine in engines(&config) {
        let mut after = |churn, seed| {
            let params = SamplerParams {
                solver: Solver::Euler,
                steps: 4,
                churn,
                seed,
                temperature: 0.0,
                context_signal: 1.0,
                ..Default::default()
            };
            engine.reset(&start, &params).unwrap();
            engine.step(1, &params).unwrap();
            engine.latent().unwrap().to_vec()
        };
        // Without initial noise, the seed acts through churn alone.
        assert_eq!(after(0.0, 1), after(0.0, 2));
        assert_eq!(after(0.5, 1), after(0.5, 1));
        assert_ne!(after(0.5, 1), after(0.5, 2));
        assert_ne!(after(0.5, 1), after(0.0, 1));
    }
}

#[test]
fn guidance_extrapolates_from_unknown_action() {
    let config = small_config();
    for mut engine in engines(&config) {
        let mut after = |action, guidance| {
            let params = SamplerParams {
                steps: 1,
                guidance,
                ..Default::default()
            };
            engine.reset(&clip(&config, 4), &params).unwrap();
            engine.step(action, &params).unwrap();
            engine.latent().unwrap().to_vec()
        };
        let [unconditional, conditional, doubled] =
            [0.0, 1.0, 2.0].map(|guidance| after(1, guidance));
        assert!(largest_difference(&conditional, &unconditional) > 1e-2);
        // With one step, the frame is x̂.
        let extrapolated: Vec<f32> = conditional
            .iter()
            .zip(&unconditional)
            .map(|(a, b)| 2.0 * a - b)
            .collect();
        assert!(largest_difference(&doubled, &extrapolated) < 1e-4);
        assert_eq!(unconditional, after(2, 0.0));
        assert_ne!(conditional, after(2, 1.0));
    }
}

#[test]
fn guidance_needs_unknown_action() {
    let mut config = small_config();
    config.dynamics.unknown_action = false;
    let params = SamplerParams {
        guidance: 1.5,
        ..Default::default()
    };
    for mut engine in engines(&config) {
        let error = engine.reset(&clip(&config, 4), &params).unwrap_err();
        assert!(error.to_string().contains("expected 1"), "{error}");
    }
}

#[test]
fn recorded_passes_lead_to_the_frame() {
    let config = small_config();
    for mut engine in engines(&config) {
        let params = SamplerParams::default();
        engine.reset(&clip(&config, 4), &params).unwrap();
        engine.step(1, &params).unwrap();
        assert!(engine.passes().is_empty());
        engine.record_passes(true);
        engine.step(1, &params).unwrap();
        let passes = engine.passes().to_vec();
        let levels: Vec<f32> = passes.iter().map(|pass| pass.tau).collect();
        assert_eq!(levels, [0.0, 0.25, 0.5, 0.75]);
        for pair in passes.windows(2) {
            let step = 0.25 / (1.0 - pair[0].tau);
            let next: Vec<f32> = pair[0]
                .z
                .iter()
                .zip(&pair[0].x)
                .map(|(z, x)| z + step * (x - z))
                .collect();
            assert!(largest_difference(&next, &pair[1].z) < 1e-5);
        }
        let last = passes.last().unwrap().x.clone();
        assert_eq!(last, engine.latent().unwrap());
        assert_eq!(engine.decode(&last).unwrap(), engine.image().unwrap());
        assert!(engine.decode(&last[1..]).is_err());
        engine.record_passes(false);
        assert!(engine.passes().is_empty());
    }
}

#[test]
fn redrawn_clip_is_a_rollout_of_its_first_frame() {
    let config = small_config();
    let mut engine = cpu_sampler(&world(&config));
    let len = config.image_len();
    let mut start = clip(&config, 4);
    start.actions = [0, 1, 0, 1].map(Action::from).to_vec();
    let drawn = redraw(&mut engine, &start, 5).unwrap();
    assert_eq!(drawn.len(), start.images.len());
    assert_eq!(drawn[..len], start.images[..len]);
    let params = SamplerParams {
        seed: 5,
        ..SamplerParams::of_world(&config)
    };
    let first = Clip {
        images: start.images[..len].to_vec(),
        actions: vec![Action::IDLE],
    };
    engine.reset(&first, &params).unwrap();
    for (frame, action) in drawn[len..].chunks_exact(len).zip([1, 0, 1]) {
        engine.step(action, &params).unwrap();
        assert!(engine.image().unwrap() == frame);
    }
    let other = redraw(&mut engine, &start, 6).unwrap();
    assert!(other[len..] != drawn[len..], "the seed does nothing");
}

#[test]
fn copies_play_on_alone() {
    for config in [small_config(), memory_config()] {
        let mut engine = cpu_sampler(&world(&config));
        engine.reset(&clip(&config, 4), &varying_params(0)).unwrap();
        play(&mut engine, 15, 0);
        let mut copy = engine.fork().unwrap();
        let mut other = engine.fork().unwrap();
        assert_eq!(copy.threads(), 1);
        for frame in 0..8 {
            other.step(1, &varying_params(frame)).unwrap();
        }
        let expected = play(&mut engine, 15, 15);
        assert!(expected == play(&mut copy, 15, 15));
    }
    let error = reference_sampler(world(&small_config()))
        .fork()
        .err()
        .unwrap();
    assert!(error.to_string().contains("--device cpu"), "{error}");
}
