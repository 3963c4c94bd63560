//! Frames do not depend on the number of threads.

use super::workers::TaskSize;
use super::*;
use crate::testing::{actions, clip, edge_case_configs, world};
use crate::tests::varying_params;
use crate::{Outcome, Sampler, SamplerParams};

/// Everything is shared, however small.
const EVERYTHING: TaskSize = TaskSize {
    light: 1,
    heavy: 1,
    product: 1,
};

fn sampler(world: &WorldModel, threads: usize) -> Sampler {
    let mut network = CpuNetwork::new(world, Threads::ONE).unwrap();
    network.set_workers(Workers::with_tasks(threads, EVERYTHING).unwrap());
    assert_eq!(network.count(), threads);
    Sampler::new(Box::new(network), world.config.clone())
}

/// All that a player sees of a session: latents, images, outcomes, attention, the last state.
type Session = (
    Vec<Vec<f32>>,
    Vec<Vec<u8>>,
    Vec<Option<Outcome>>,
    Option<Attention>,
    Vec<f32>,
);

fn play(engine: &mut Sampler, record_attention: bool) -> Session {
    let config = engine.world().clone();
    engine.record_attention(record_attention);
    engine.reset(&clip(&config, 4), &varying_params(0)).unwrap();
    let (mut latents, mut images, mut outcomes) = (vec![], vec![], vec![]);
    for (frame, &action) in actions(&config, 24, 5).iter().enumerate() {
        engine.step(action, &varying_params(frame)).unwrap();
        latents.push(engine.latent().unwrap().to_vec());
        images.push(engine.image().unwrap().to_vec());
        outcomes.push(engine.outcome());
    }
    let attention = engine.attention().unwrap();
    let state = engine.snapshot().unwrap().state;
    (latents, images, outcomes, attention, state)
}

#[test]
fn frames_do_not_depend_on_threads() {
    let memory = ("memory", crate::testing::memory_config());
    let [delta, _] = crate::testing::delta_configs();
    let memories = [memory, ("delta state", delta)];
    for (name, config) in edge_case_configs().into_iter().chain(memories) {
        let world = world(&config);
        for recorded in [false, true] {
            let alone = play(&mut sampler(&world, 1), recorded);
            for threads in [2, 3, 7] {
                let shared = play(&mut sampler(&world, threads), recorded);
                assert!(alone == shared, "{name}: {threads} threads");
            }
        }
    }
}

#[test]
fn large_worlds_share_their_work() {
    let mut config = crate::testing::small_config();
    config.image = [60, 78];
    config.dynamics.width = 126;
    config.dynamics.stem_width = 34;
    let world = world(&config);
    let frames = |threads: usize| {
        let mut engine = crate::testing::cpu_sampler(&world);
        engine
            .set_threads(NonZeroUsize::new(threads).unwrap())
            .unwrap();
        let params = SamplerParams::default();
        engine.reset(&clip(&config, 2), &params).unwrap();
        engine.step(1, &params).unwrap();
        (
            engine.latent().unwrap().to_vec(),
            engine.image().unwrap().to_vec(),
        )
    };
    let alone = frames(1);
    for threads in [2, 3] {
        assert!(alone == frames(threads), "{threads} threads");
    }
}

#[test]
fn threads_can_change_in_play() {
    let config = crate::testing::small_config();
    let world = world(&config);
    let play = |changing: bool| {
        let mut engine = sampler(&world, 1);
        let params = SamplerParams::default();
        engine.reset(&clip(&config, 2), &params).unwrap();
        for (frame, &action) in actions(&config, 9, 6).iter().enumerate() {
            if changing {
                let threads = NonZeroUsize::new(frame % 3 + 1).unwrap();
                engine.set_threads(threads).unwrap();
                assert_eq!(engine.threads(), threads.get());
            }
            engine.step(action, &params).unwrap();
        }
        engine.latent().unwrap().to_vec()
    };
    assert!(play(false) == play(true));
}

#[test]
fn label_tells_the_threads() {
    let world = world(&crate::testing::small_config());
    assert_eq!(sampler(&world, 1).label(), "CPU, 1 thread");
    assert_eq!(sampler(&world, 3).label(), "CPU, 3 threads");
    assert_eq!(sampler(&world, 3).name(), "cpu");
}

#[test]
fn measured_threads_make_the_same_frames() {
    let world = world(&crate::testing::small_config());
    let network = CpuNetwork::new(&world, Threads::Auto).unwrap();
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!((1..=cores).contains(&network.count()));
    let mut measured = Sampler::new(Box::new(network), world.config.clone());
    assert!(play(&mut measured, false) == play(&mut sampler(&world, 1), false));
}
