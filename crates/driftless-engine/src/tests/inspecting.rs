//! Looking into the model: attention, re-encoding and surprise.

use super::*;
use crate::{Attention, CandleEngine, CpuEngine, Engine, reencoding_error};

/// Every row of weights, over time and over space.
fn rows(attention: &Attention) -> Vec<&[f32]> {
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
fn engines_tell_the_same_attention_and_every_row_of_it_sums_to_one() {
    for (name, config) in shapes() {
        let mut fast = CpuEngine::new(&world(&config)).unwrap();
        let mut reference = CandleEngine::new(world(&config)).unwrap();
        let start = clip(&config, 3);
        for engine in [&mut fast as &mut dyn Engine, &mut reference] {
            engine.inspect(true);
            engine.reset(&start, &changing(0)).unwrap();
        }
        for (frame, &action) in actions(&config, 24, 5).iter().enumerate() {
            let params = changing(frame);
            let d = &config.dynamics;
            // The context clip counts as far as it fits.
            let before = frame + 3.min(d.context);
            let seen = (params.context.min(d.context) - 1).min(before) + 1;
            let [a, b] = [&mut fast as &mut dyn Engine, &mut reference].map(|engine| {
                engine.step(action, &params).unwrap();
                engine.attention().unwrap().unwrap()
            });
            assert_eq!((a.tokens, a.heads, a.frames), (b.tokens, b.heads, b.frames));
            assert_eq!(
                (a.tokens, a.heads, a.frames),
                (config.tokens(), d.heads, seen)
            );
            let layers = (0..d.depth).filter(|layer| (layer + 1) % d.time_every == 0);
            assert_eq!(a.time_layers, layers.collect::<Vec<_>>(), "{name}");
            assert_eq!(a.time_layers, b.time_layers, "{name}");
            let last = a.time_layers.last().copied().unwrap_or(0);
            assert_eq!((a.layers(), b.layers()), (last + 1, last + 1), "{name}");
            for (a, b) in rows(&a).iter().zip(rows(&b)) {
                let difference = largest_difference(a, b);
                assert!(difference < 1e-4, "{name}: frame {frame}: {difference}");
                assert!((a.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{name}");
            }
        }
    }
}

#[test]
fn frames_are_the_same_to_the_bit_while_somebody_looks() {
    for (name, config) in shapes() {
        let engines = || -> [Box<dyn Engine>; 2] {
            [
                Box::new(CpuEngine::new(&world(&config)).unwrap()),
                Box::new(CandleEngine::new(world(&config)).unwrap()),
            ]
        };
        for (mut alone, mut looked_at) in engines().into_iter().zip(engines()) {
            looked_at.inspect(true);
            for engine in [&mut alone, &mut looked_at] {
                engine.reset(&clip(&config, 3), &changing(0)).unwrap();
                for (frame, &action) in actions(&config, 16, 5).iter().enumerate() {
                    engine.step(action, &changing(frame)).unwrap();
                }
            }
            let [a, b] = [&mut alone, &mut looked_at].map(|engine| engine.snapshot().unwrap());
            assert!(a == b, "{name} on {}", alone.name());
            assert_eq!(alone.attention().unwrap(), None);
        }
    }
}

/// With a scale of 0 only the biases are left: −n ln 2 for a frame n back, and none in space.
#[test]
fn weights_of_known_logits_are_known() {
    let config = plain();
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
    let mut engine = CpuEngine::new(&world).unwrap();
    engine.inspect(true);
    engine
        .reset(&clip(&config, 4), &SamplerParams::default())
        .unwrap();
    let attention = engine.attention().unwrap().unwrap();
    // 1, ½, ¼ and ⅛ of 15/8.
    let time = [8.0, 4.0, 2.0, 1.0].map(|weight| weight / 15.0);
    let space = vec![1.0 / config.tokens() as f32; config.tokens()];
    for row in rows(&attention) {
        let expected = match row.len() == time.len() {
            true => &time[..],
            false => &space[..],
        };
        assert!(largest_difference(row, expected) < 1e-6, "{row:?}");
    }
}

#[test]
fn attention_is_of_the_last_frame_or_of_none() {
    let config = plain();
    let engines: [Box<dyn Engine>; 2] = [
        Box::new(CpuEngine::new(&world(&config)).unwrap()),
        Box::new(CandleEngine::new(world(&config)).unwrap()),
    ];
    for mut engine in engines {
        let params = SamplerParams::default();
        engine.reset(&clip(&config, 2), &params).unwrap();
        engine.inspect(true);
        assert_eq!(engine.attention().unwrap(), None, "nobody had asked yet");
        engine.step(1, &params).unwrap();
        let first = engine.attention().unwrap();
        assert!(first.is_some());
        let snapshot = engine.snapshot().unwrap();
        engine.step(2, &params).unwrap();
        assert_ne!(engine.attention().unwrap(), first);
        engine.restore(&snapshot).unwrap();
        assert_eq!(engine.attention().unwrap(), None);
        engine.step(2, &params).unwrap();
        engine.inspect(false);
        assert_eq!(engine.attention().unwrap(), None);
    }
}

#[test]
fn a_place_that_is_not_there_has_no_weights() {
    let config = plain();
    let mut engine = CpuEngine::new(&world(&config)).unwrap();
    engine.inspect(true);
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
fn re_encoding_compares_the_picture_with_the_latent_that_it_was_drawn_from() {
    let config = plain();
    let mut engine = CpuEngine::new(&world(&config)).unwrap();
    let params = SamplerParams::default();
    engine.reset(&clip(&config, 2), &params).unwrap();
    assert_eq!(reencoding_error(&mut engine).unwrap(), 0.0);
    engine.step(1, &params).unwrap();
    let image = engine.image().unwrap().to_vec();
    let again = engine.encode(&image).unwrap();
    let squares = again.iter().zip(engine.latent().unwrap());
    let mean = squares.map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / again.len() as f32;
    let found = reencoding_error(&mut engine).unwrap();
    assert!(
        found > 0.01 && (found - mean.sqrt()).abs() < 1e-5 * found,
        "{found}"
    );
}

#[test]
fn a_surprise_is_the_error_of_one_pass_and_leaves_the_game_as_it_is() {
    for prediction in [Prediction::X, Prediction::V] {
        let mut config = plain();
        config.flow.prediction = prediction;
        let (mut asked, mut alone) = (
            CpuEngine::new(&world(&config)).unwrap(),
            CpuEngine::new(&world(&config)).unwrap(),
        );
        let mut reference = CandleEngine::new(world(&config)).unwrap();
        let params = SamplerParams::default();
        let given = clip(&config, 9).images[8 * config.image_len()..].to_vec();
        assert!(
            asked.surprise(&given, 1, &params).is_err(),
            "before a reset"
        );
        for engine in [&mut asked as &mut dyn Engine, &mut alone, &mut reference] {
            engine.reset(&clip(&config, 4), &params).unwrap();
        }
        let found = asked.surprise(&given, 1, &params).unwrap().unwrap();
        let other = reference.surprise(&given, 1, &params).unwrap().unwrap();
        assert!(
            found > 0.01 && (found - other).abs() < 1e-4 * found,
            "{found} {other}"
        );
        assert_ne!(asked.surprise(&given, 2, &params).unwrap(), Some(found));
        assert!(asked.surprise(&given[3..], 1, &params).is_err());
        assert!(asked.surprise(&given, 3, &params).is_err());
        asked.step(1, &params).unwrap();
        alone.step(1, &params).unwrap();
        assert!(asked.snapshot().unwrap() == alone.snapshot().unwrap());
    }
}

/// In the shipped Pong, the frame that came next beside the one eight frames later.
#[test]
fn a_wrong_frame_surprises_more_than_the_true_one() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let world = World::read(&root.join("checkpoints/pong"), &Device::Cpu).unwrap();
    let context = world.config.dynamics.context;
    let mut engine = CpuEngine::new(&world).unwrap();
    let episode =
        driftless_data::Episode::read(&root.join("assets/pong/episode_00000.npz")).unwrap();
    let params = SamplerParams::default();
    let mut right = 0;
    let places: Vec<usize> = (context..episode.frames() - 8)
        .step_by(8)
        .take(16)
        .collect();
    for &t in &places {
        engine
            .reset(&episode.clip(t - context..t), &params)
            .unwrap();
        let action = episode.actions[t];
        let [own, later] = [t, t + 8].map(|at| {
            let found = engine.surprise(episode.frame(at), action, &params);
            found.unwrap().unwrap()
        });
        right += usize::from(own < later);
    }
    assert!(
        right * 10 >= places.len() * 9,
        "{right} of {}",
        places.len()
    );
}
