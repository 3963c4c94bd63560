//! Games of a batch, and frames that no one looks at.

use std::num::NonZeroUsize;

use super::*;
use crate::testing::{cpu_sampler, delta_configs, memory_config, reference_sampler};
use crate::{Batch, Result, Sampler};

const GAMES: usize = 5;
const FRAMES: usize = 12;

fn seeded(seed: u64) -> SamplerParams {
    SamplerParams {
        seed,
        steps: 2,
        ..SamplerParams::default()
    }
}

fn configs() -> Vec<(&'static str, WorldConfig)> {
    let [delta, _] = delta_configs();
    let memories = [("memory", memory_config()), ("delta state", delta)];
    edge_case_configs().into_iter().chain(memories).collect()
}

#[test]
fn batch_equals_single_samplers() {
    for (name, config) in configs() {
        let world = world(&config);
        let single: Vec<_> = (0..GAMES as u64)
            .map(|seed| {
                let mut engine = cpu_sampler(&world);
                engine.reset(&clip(&config, 3), &seeded(seed)).unwrap();
                for action in actions(&config, FRAMES, seed) {
                    engine.step(action, &seeded(seed)).unwrap();
                }
                engine.snapshot().unwrap()
            })
            .collect();
        for threads in [1, 2, 7] {
            let threads = NonZeroUsize::new(threads).unwrap();
            let mut batch = Batch::of(&cpu_sampler(&world), GAMES, threads).unwrap();
            let seeds: Vec<u64> = (0..GAMES as u64).collect();
            let reset = batch.advance(|i, game| game.reset(&clip(&config, 3), &seeded(i as u64)));
            reset.unwrap();
            for frame in 0..FRAMES {
                let of_game = |seed: &u64| actions(&config, FRAMES, *seed)[frame];
                let actions: Vec<_> = seeds.iter().map(of_game).collect();
                batch.step(&actions, &seeds, &seeded(0)).unwrap();
            }
            let together = batch.advance(|_, game| game.snapshot()).unwrap();
            assert!(together == single, "{name}: {threads} threads");
        }
    }
}

#[test]
fn batch_names_what_is_missing() {
    let config = small_config();
    let sampler = cpu_sampler(&world(&config));
    let mut batch = Batch::of(&sampler, 2, NonZeroUsize::MIN).unwrap();
    let error = batch
        .step(&[Action::IDLE], &[0, 1], &seeded(0))
        .unwrap_err();
    assert_eq!(error.to_string(), "1 actions and 2 seeds for 2 games");
    assert!(batch.step(&[Action::IDLE; 2], &[0, 1], &seeded(0)).is_err());
    let reference = reference_sampler(world(&config));
    assert!(Batch::of(&reference, 2, NonZeroUsize::MIN).is_err());
}

#[test]
fn undrawn_frames_are_drawn_when_asked_for() {
    let config = small_config();
    for mut engine in sampling::engines(&config) {
        let mut play =
            |step: fn(&mut Sampler, Action, &SamplerParams) -> Result<crate::StageTimes>| {
                engine.reset(&clip(&config, 2), &seeded(4)).unwrap();
                for action in actions(&config, FRAMES, 4) {
                    step(&mut engine, action, &seeded(4)).unwrap();
                }
                let image = engine.image().unwrap().to_vec();
                (engine.snapshot().unwrap(), image)
            };
        let drawn = play(Sampler::step);
        let undrawn = play(Sampler::step_undrawn);
        assert!(drawn == undrawn, "{}", engine.name());
    }
}

#[test]
fn recording_tokens_keeps_frames() {
    for (name, config) in configs() {
        let [mut plain, mut recording] = [0; 2].map(|_| cpu_sampler(&world(&config)));
        recording.record_tokens(true).unwrap();
        let [a, b] = [&mut plain, &mut recording].map(|engine| {
            engine.reset(&clip(&config, 3), &varying_params(0)).unwrap();
            for (frame, &action) in actions(&config, 16, 5).iter().enumerate() {
                engine.step(action, &varying_params(frame)).unwrap();
            }
            engine.snapshot().unwrap()
        });
        assert!(a == b, "{name}");
        assert_eq!(plain.tokens(), None);
        let width = config.dynamics.width;
        assert_eq!(recording.tokens().unwrap().len(), config.tokens() * width);
        recording.restore(&a).unwrap();
        assert_eq!(recording.tokens(), None);
    }
}

#[test]
fn backends_record_equal_tokens() {
    for (name, config) in edge_case_configs() {
        let mut fast = cpu_sampler(&world(&config));
        let mut reference = reference_sampler(world(&config));
        let [a, b] = [&mut fast, &mut reference].map(|engine| {
            engine.record_tokens(true).unwrap();
            engine.reset(&clip(&config, 3), &seeded(0)).unwrap();
            engine.step(1, &seeded(0)).unwrap();
            engine.tokens().unwrap().to_vec()
        });
        let difference = largest_difference(&a, &b);
        assert!(difference < 1e-3, "{name}: {difference}");
    }
}
