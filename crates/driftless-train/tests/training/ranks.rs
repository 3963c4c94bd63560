//! A training on several ranks, which are threads here, against the same training on one.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use driftless_train::Result;
use driftless_train::ranks::{Ranks, threads};

use super::*;

pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        record(&place.path("data"), 8, 3, 0);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Twenty steps of each stage, of batches that ranks cannot share evenly.
    pub fn options(&self, out: &str) -> TrainOptions {
        let options = options(self.0.path(), out);
        let short = SETTINGS.replace("steps = 160", "steps = 20");
        let short = short.replace("steps = 300", "steps = 20");
        let short = short.replace("batch_size = 16", "batch_size = 24\nhard_fraction = 0.5");
        let short = short.replace("hard_fraction = 0.25", "hard_fraction = 0.5");
        let short = short.replace("batch_size = 8", "batch_size = 5");
        let keys = "preview_minutes = 0.0\n";
        std::fs::write(self.path("settings.toml"), format!("{keys}{short}")).unwrap();
        options
    }
}

/// Trains with these options, changed for each rank, on so many ranks.
pub fn train_on(
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

pub fn finish(size: usize, options: &TrainOptions) {
    for outcome in train_on(size, options, |_| {}) {
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
pub fn largest_difference(a: &Path, b: &Path) -> (f64, String) {
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
fn same_number_of_ranks_resumes_exactly() {
    let place = Place::new();
    finish(2, &place.options("whole"));
    let begun = TrainOptions {
        max_steps: Some(11),
        ..place.options("parts")
    };
    finish(2, &begun);
    let resumed = TrainOptions {
        resume: true,
        ..place.options("parts")
    };
    finish(2, &resumed);
    let difference = largest_difference(&place.path("whole"), &place.path("parts"));
    assert_eq!(difference, (0.0, String::new()));
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
    record(&place.path("other"), 8, 2, 0);
    let messages = |change: &(dyn Fn(&mut TrainOptions) + Sync)| -> Vec<String> {
        let results = train_on(2, &place.options("refused"), |options| {
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
        "rank 1 has other data than rank 0: `2 episodes of Block` instead of `3 episodes of Block`";
    assert_eq!(messages(&|o| o.data.clone_from(&data)), [expected; 2]);
    let missing = place.path("missing");
    for message in messages(&|o| o.data.clone_from(&missing)) {
        assert!(message.contains("missing"), "{message}");
    }
    assert!(!place.path("refused").exists());
}
