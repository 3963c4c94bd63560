//! Inspection: attention weights, re-encoding error and surprise.

use super::*;
use crate::testing::{cpu_sampler, reference_sampler};
use crate::{Attention, Sampler, reencoding_error};

/// Every row of attention weights, temporal then spatial.
fn weight_rows(attention: &Attention) -> Vec<&[f32]> {
    let Attention { tokens, heads, .. } = *attention;
    let each = |layers: usize| {
        (0..layers).flat_map(move |l| {
            (0..heads).flat_map(move |h| (0..tokens).map(move |token| (l, h, token)))
        })
    };
    let time = each(attention.time_layers.len())
        .map(|(l, h, token)| attention.over_time(l, h, token).unwrap());
    let space =
        each(attention.layers()).map(|(l, h, token)| attention.over_space(l, h, token).unwrap());
    time.chain(space).collect()
}

#[test]
fn backends_record_equal_attention() {
    for (name, config) in edge_case_configs() {
        let mut fast = cpu_sampler(&world(&config));
        let mut reference = reference_sampler(world(&config));
        let start = clip(&config, 3);
        for engine in [&mut fast, &mut reference] {
            engine.record_attention(true);
            engine.reset(&start, &varying_params(0)).unwrap();
        }
        for (frame, &action) in actions(&config, 24, 5).iter().enumerate() {
            let params = varying_params(frame);
            let d = &config.dynamics;
            // Only context frames that fit are used.
            let earlier = frame + 3.min(d.context);
            let attended = (params.context.min(d.context) - 1).min(earlier) + 1;
            let [a, b] = [&mut fast, &mut reference].map(|engine| {
                engine.step(action, &params).unwrap();
                engine.attention().unwrap().unwrap()
            });
            assert_eq!((a.tokens, a.heads, a.frames), (b.tokens, b.heads, b.frames));
            assert_eq!(
                (a.tokens, a.heads, a.frames),
                (config.tokens(), d.heads, attended)
            );
            let layers = (0..d.depth).filter(|layer| (layer + 1) % d.time_every == 0);
            assert_eq!(a.time_layers, layers.collect::<Vec<_>>(), "{name}");
            assert_eq!(a.time_layers, b.time_layers, "{name}");
            let last = a.time_layers.last().copied().unwrap_or(0);
            assert_eq!((a.layers(), b.layers()), (last + 1, last + 1), "{name}");
            for (a, b) in weight_rows(&a).iter().zip(weight_rows(&b)) {
                let difference = largest_difference(a, b);
                assert!(difference < 1e-4, "{name}: frame {frame}: {difference}");
                assert!((a.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{name}");
            }
        }
    }
}

#[test]
fn recording_attention_keeps_frames() {
    for (name, config) in edge_case_configs() {
        let engines = || -> [Sampler; 2] {
            [
                cpu_sampler(&world(&config)),
                reference_sampler(world(&config)),
            ]
        };
        for (mut plain_engine, mut recording) in engines().into_iter().zip(engines()) {
            recording.record_attention(true);
            for engine in [&mut plain_engine, &mut recording] {
                engine.reset(&clip(&config, 3), &varying_params(0)).unwrap();
                for (frame, &action) in actions(&config, 16, 5).iter().enumerate() {
                    engine.step(action, &varying_params(frame)).unwrap();
                }
            }
            let [a, b] =
                [&mut plain_engine, &mut recording].map(|engine| engine.snapshot().unwrap());
            assert!(a == b, "{name} on {}", plain_engine.name());
            assert_eq!(plain_engine.attention().unwrap(), None);
        }
    }
}

/// With a logit scale of 0 only the biases remain: −n ln 2 for n frames back, and 0 within a frame.
#[test]
fn attention_of_known_logits() {
    let config = small_config();
    let (heads, context) = (config.dynamics.heads, config.dynamics.context);
    let mut world = world(&config);
    for layer in &mut world.dynamics.layers {
        let biases = (0..context).map(|n| -(n as f32) * std::f32::consts::LN_2);
        let row: Vec<f32> = std::iter::once(0.0).chain(biases).collect();
        let rows = Tensor::from_vec(row.repeat(heads), (heads, 1 + context), &Device::Cpu);
        layer.time.as_mut().unwrap().parameters = rows.unwrap();
        layer.space.parameters =
            Tensor::zeros((heads, 1), candle_core::DType::F32, &Device::Cpu).unwrap();
    }
    let mut engine = cpu_sampler(&world);
    engine.record_attention(true);
    engine
        .reset(&clip(&config, 4), &SamplerParams::default())
        .unwrap();
    let attention = engine.attention().unwrap().unwrap();
    // 1, ½, ¼ and ⅛, divided by their sum of 15/8.
    let time = [8.0, 4.0, 2.0, 1.0].map(|weight| weight / 15.0);
    let space = vec![1.0 / config.tokens() as f32; config.tokens()];
    for row in weight_rows(&attention) {
        let expected = if row.len() == time.len() {
            &time[..]
        } else {
            &space[..]
        };
        assert!(largest_difference(row, expected) < 1e-6, "{row:?}");
    }
}

#[test]
fn attention_belongs_to_the_last_frame() {
    let config = small_config();
    let engines: [Sampler; 2] = [
        cpu_sampler(&world(&config)),
        reference_sampler(world(&config)),
    ];
    for mut engine in engines {
        let params = SamplerParams::default();
        engine.reset(&clip(&config, 2), &params).unwrap();
        engine.record_attention(true);
        assert_eq!(
            engine.attention().unwrap(),
            None,
            "recording starts with the next frame"
        );
        engine.step(1, &params).unwrap();
        let first = engine.attention().unwrap();
        assert!(first.is_some());
        let snapshot = engine.snapshot().unwrap();
        engine.step(2, &params).unwrap();
        assert_ne!(engine.attention().unwrap(), first);
        engine.restore(&snapshot).unwrap();
        assert_eq!(engine.attention().unwrap(), None);
        engine.step(2, &params).unwrap();
        engine.record_attention(false);
        assert_eq!(engine.attention().unwrap(), None);
    }
}

#[test]
fn attention_indices_are_checked() {
    let config = small_config();
    let mut engine = cpu_sampler(&world(&config));
    engine.record_attention(true);
    engine
        .reset(&clip(&config, 1), &SamplerParams::default())
        .unwrap();
    let attention = engine.attention().unwrap().unwrap();
    let (layers, heads, tokens) = (3, 3, config.tokens());
    assert!(
        attention
            .over_time(layers - 1, heads - 1, tokens - 1)
            .is_some()
    );
    for (layer, head, token) in [(layers, 0, 0), (0, heads, 0), (0, 0, tokens)] {
        assert_eq!(attention.over_time(layer, head, token), None);
        assert_eq!(attention.over_space(layer, head, token), None);
    }
}

#[test]
fn reencoding_error_matches_definition() {
    let config = small_config();
    let mut engine = cpu_sampler(&world(&config));
    let params = SamplerParams::default();
    engine.reset(&clip(&config, 2), &params).unwrap();
    assert_eq!(reencoding_error(&mut engine).unwrap(), 0.0);
    engine.step(1, &params).unwrap();
    let image = engine.image().unwrap().to_vec();
    let again = engine.encode(&image).unwrap();
    let squares = again.iter().zip(engine.latent().unwrap());
    let mean = squares.map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / again.len() as f32;
    let error = reencoding_error(&mut engine).unwrap();
    assert!(
        error > 0.01 && (error - mean.sqrt()).abs() < 1e-5 * error,
        "{error}"
    );
}

#[test]
fn surprise_leaves_state_unchanged() {
    for prediction in [Prediction::X, Prediction::V] {
        let mut config = small_config();
        config.flow.prediction = prediction;
        let (mut engine, mut control) =
            (cpu_sampler(&world(&config)), cpu_sampler(&world(&config)));
        let mut reference = reference_sampler(world(&config));
        let params = SamplerParams::default();
        let image = clip(&config, 9).images[8 * config.image_len()..].to_vec();
        assert!(
            engine.surprise(&image, 1, &params).is_err(),
            "before a reset"
        );
        for each in [&mut engine, &mut control, &mut reference] {
            each.reset(&clip(&config, 4), &params).unwrap();
        }
        let surprise = engine.surprise(&image, 1, &params).unwrap();
        let expected = reference.surprise(&image, 1, &params).unwrap();
        assert!(
            surprise > 0.01 && (surprise - expected).abs() < 1e-4 * surprise,
            "{surprise} {expected}"
        );
        assert_ne!(engine.surprise(&image, 2, &params).unwrap(), surprise);
        assert!(engine.surprise(&image[3..], 1, &params).is_err());
        assert!(engine.surprise(&image, 3, &params).is_err());
        engine.step(1, &params).unwrap();
        control.step(1, &params).unwrap();
        assert!(engine.snapshot().unwrap() == control.snapshot().unwrap());
    }
}

/// In the shipped Pong: the true next frame against the one eight frames later.
#[test]
fn wrong_frames_are_more_surprising() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let world = WorldModel::read(&root.join("checkpoints/pong"), &Device::Cpu).unwrap();
    let context = world.config.dynamics.context;
    let mut engine = cpu_sampler(&world);
    let episode =
        driftless_data::Episode::read(&root.join("assets/pong/episode_00000.npz")).unwrap();
    let params = SamplerParams::default();
    let mut correct = 0;
    let frames: Vec<usize> = (context..episode.frames() - 8)
        .step_by(8)
        .take(16)
        .collect();
    for &t in &frames {
        engine
            .reset(&episode.clip(t - context..t), &params)
            .unwrap();
        let action = episode.actions[t];
        let [next, later] =
            [t, t + 8].map(|at| engine.surprise(episode.frame(at), action, &params).unwrap());
        correct += usize::from(next < later);
    }
    assert!(
        correct * 10 >= frames.len() * 9,
        "{correct} of {}",
        frames.len()
    );
}
