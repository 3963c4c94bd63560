//! A training on several ranks, which are threads here, against the same training on one.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use driftless_data::Episode;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use driftless_train::ranks::{Ranks, threads};
use driftless_train::{Result, TrainOptions, TrainOutcome, TrainStage};

const DATASET: &str = r#"{"name": "Noise", "fps": 10.0, "image": [16, 16],
    "actions": [{"name": "stay", "keys": []}, {"name": "go", "keys": ["A"]}]}"#;

const SETTINGS: &str = r"
preview_minutes = 0.0
[tokenizer_shape]
patch = 4
width = 16
blocks = 1
channels = 4
[dynamics_shape]
merge = 1
stem_width = 16
stem_frames = 1
width = 32
depth = 2
heads = 2
mlp = 32
time_every = 2
context = 4
registers = 1
k_max = 4
outcome = 16
[tokenizer]
batch_size = 24
hard_fraction = 0.5
[tokenizer.optimizer]
steps = 20
warmup_steps = 2
[dynamics]
batch_size = 5
sequence_length = 6
hard_fraction = 0.5
long_sequence_every = 0
[dynamics.optimizer]
steps = 20
warmup_steps = 2
";

/// Episodes of a bright square on noise, which moves under one of the two actions.
fn record(folder: &Path, episodes: u64) {
    std::fs::create_dir(folder).unwrap();
    std::fs::write(folder.join("dataset.json"), DATASET).unwrap();
    for seed in 0..episodes {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut images, mut actions, mut x) = (Vec::new(), Vec::new(), 0);
        for _ in 0..20 {
            let action = rng.random_range(0..2);
            x = (x + action as usize) % 12;
            let inside =
                |at: usize| (x..x + 4).contains(&(at % 16)) && (6..10).contains(&(at / 16));
            let light = (0..256).map(|at| {
                if inside(at) {
                    230
                } else {
                    rng.random_range(0..60)
                }
            });
            images.extend(light.flat_map(|light: u8| [light; 3]));
            actions.push(action);
        }
        let episode = Episode {
            height: 16,
            width: 16,
            images,
            rewards: actions.iter().map(|action| *action as f32).collect(),
            actions,
            extras: BTreeMap::new(),
        };
        episode
            .write(&folder.join(format!("{seed:02}.npz")))
            .unwrap();
    }
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        record(&place.path("data"), 6);
        std::fs::write(place.path("settings.toml"), SETTINGS).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn options(&self, out: &str) -> TrainOptions {
        TrainOptions {
            config: Some(self.path("settings.toml")),
            ..TrainOptions::new(self.path("data"), self.path(out))
        }
    }
}

/// Trains with these options, changed for each rank, on so many ranks.
fn train(
    size: usize,
    options: &TrainOptions,
    change: impl Fn(&mut TrainOptions) + Sync,
) -> Vec<Result<TrainOutcome>> {
    let on = |ranks: Ranks| {
        let mut options = TrainOptions {
            ranks,
            ..options.clone()
        };
        change(&mut options);
        driftless_train::run(&options, &mut ())
    };
    std::thread::scope(|scope| {
        let started = threads::ranks(size)
            .into_iter()
            .map(|ranks| scope.spawn(|| on(ranks)));
        let started: Vec<_> = started.collect();
        started.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

fn finish(size: usize, options: &TrainOptions) {
    for outcome in train(size, options, |_| {}) {
        assert_eq!(outcome.unwrap(), TrainOutcome::Finished);
    }
}

/// The saved state of a stage: parameters, their averages, the optimizer's momentum and the errors of the frames.
fn state(out: &Path, stage: TrainStage) -> BTreeMap<String, Tensor> {
    let file = out.join(stage.name()).join("state.safetensors");
    let tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    tensors.into_iter().collect()
}

/// The largest difference of any two numbers in the states that two runs have saved, and whose it is.
fn largest_difference(a: &Path, b: &Path) -> (f64, String) {
    let mut largest = (0.0, String::new());
    for stage in TrainStage::ALL {
        let (a, b) = (state(a, stage), state(b, stage));
        assert!(a.keys().eq(b.keys()));
        for (name, x) in &a {
            let [x, y] = [x, &b[name]].map(|t| t.to_dtype(DType::F64).unwrap());
            let difference = (x - y).unwrap().abs().unwrap().max_all().unwrap();
            let difference = difference.to_scalar().unwrap();
            if difference > largest.0 {
                largest = (difference, format!("{} {name}", stage.name()));
            }
        }
    }
    largest
}

#[test]
fn ranks_train_what_one_would() {
    let place = Place::new();
    finish(1, &place.options("one"));
    for (size, out) in [(2, "two"), (3, "three")] {
        finish(size, &place.options(out));
        let difference = largest_difference(&place.path("one"), &place.path(out));
        assert!(difference.0 < 1e-5, "{size} ranks: {difference:?}");
    }
}

#[test]
fn other_number_of_ranks_resumes() {
    let place = Place::new();
    finish(1, &place.options("one"));
    let begun = TrainOptions {
        max_steps: Some(11),
        ..place.options("several")
    };
    finish(2, &begun);
    let resumed = TrainOptions {
        resume: true,
        ..place.options("several")
    };
    finish(3, &resumed);
    let difference = largest_difference(&place.path("one"), &place.path("several"));
    assert!(difference.0 < 1e-5, "{difference:?}");
}

#[test]
fn ranks_with_other_settings_or_data_are_refused() {
    let place = Place::new();
    record(&place.path("other"), 5);
    let messages = |change: &(dyn Fn(&mut TrainOptions) + Sync)| -> Vec<String> {
        let results = train(2, &place.options("refused"), |options| {
            if options.ranks.rank() == 1 {
                change(options);
            }
        });
        let errors = results.into_iter().map(|result| result.unwrap_err());
        errors.map(|error| error.to_string()).collect()
    };
    let expected = "rank 1 has other settings than rank 0: `seed = 7` instead of `seed = 0`";
    assert_eq!(messages(&|o| o.seed = Some(7)), [expected; 2]);
    let data = place.path("other");
    let expected =
        "rank 1 has other data than rank 0: `5 episodes of Noise` instead of `6 episodes of Noise`";
    assert_eq!(messages(&|o| o.data.clone_from(&data)), [expected; 2]);
    let missing = place.path("missing");
    for message in messages(&|o| o.data.clone_from(&missing)) {
        assert!(message.contains("missing"), "{message}");
    }
    assert!(!place.path("refused").exists());
}
