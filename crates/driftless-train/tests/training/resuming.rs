//! Stopped and resumed runs, and runs that start from a checkpoint.

use super::*;

#[test]
fn resumed_run_is_identical() {
    let folder = tempfile::tempdir().unwrap();
    record(&folder.path().join("data"), 3, 3, 0);
    let both = |out: &str, steps: u64, resume: bool| {
        for stage in [TrainStage::Tokenizer, TrainStage::Dynamics] {
            let max_steps = Some(steps);
            let options = options(folder.path(), out);
            train(&TrainOptions {
                stages: vec![stage],
                resume,
                max_steps,
                ..options
            })
            .unwrap();
        }
    };
    let read = |out: &str, file: &str| {
        std::fs::read(folder.path().join(out).join("checkpoint").join(file)).unwrap()
    };
    both("whole", 40, false);
    let first = TrainOptions {
        stages: vec![TrainStage::Tokenizer],
        max_steps: Some(20),
        ..options(folder.path(), "parts")
    };
    train(&first).unwrap();
    assert!(read("parts", "tokenizer.safetensors") != read("whole", "tokenizer.safetensors"));
    train(&TrainOptions {
        resume: true,
        max_steps: Some(40),
        ..first
    })
    .unwrap();
    assert!(read("parts", "tokenizer.safetensors") == read("whole", "tokenizer.safetensors"));
    let first = TrainOptions {
        stages: vec![TrainStage::Dynamics],
        max_steps: Some(20),
        ..options(folder.path(), "parts")
    };
    train(&first).unwrap();
    assert!(read("parts", "dynamics.safetensors") != read("whole", "dynamics.safetensors"));
    train(&TrainOptions {
        resume: true,
        max_steps: Some(40),
        ..first
    })
    .unwrap();
    assert!(read("parts", "dynamics.safetensors") == read("whole", "dynamics.safetensors"));
    // Each part of a run writes previews and TensorBoard events.
    for stage in ["tokenizer", "dynamics"] {
        for step in ["000020", "000040"] {
            let preview = format!("parts/previews/{stage}-{step}.png");
            let picture = image::open(folder.path().join(preview)).unwrap();
            // Sixteen frames of 16×16 at twice their size; four real rows, each above a predicted one.
            assert_eq!((picture.width(), picture.height()), (16 * 34, 8 * 34));
        }
        let events = folder.path().join("parts/events").join(stage);
        assert_eq!(std::fs::read_dir(events).unwrap().count(), 2);
    }
}

/// Stops a run after so many steps of all networks together.
struct StopAfter(u64);

impl TrainProgress for StopAfter {
    fn step_done(&mut self, _step: &StepReport) {
        self.0 -= 1;
    }

    fn should_stop(&mut self) -> bool {
        self.0 == 0
    }
}

#[test]
fn taking_turns_gives_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    record(&folder.path().join("data"), 3, 3, 0);
    let run = |out: &str, early: u64, stops: &[u64]| {
        let options = options(folder.path(), out);
        // The encoder is frozen after 12 steps.
        let settings = SETTINGS
            .replace("steps = 160", "steps = 30")
            .replace("steps = 300", "steps = 25")
            .replace(
                "[dynamics]\n",
                &format!("[dynamics]\nearly_steps = {early}\n"),
            );
        std::fs::write(options.config.as_ref().unwrap(), settings).unwrap();
        for &stop in stops {
            let options = TrainOptions {
                resume: stop != stops[0],
                ..options.clone()
            };
            let outcome = driftless_train::run(&options, &mut StopAfter(stop)).unwrap();
            assert_eq!(outcome, TrainOutcome::Stopped);
        }
        let options = TrainOptions {
            resume: !stops.is_empty(),
            ..options
        };
        let mut progress = StopAt {
            step: u64::MAX,
            done: 0,
            events: Vec::new(),
        };
        let outcome = driftless_train::run(&options, &mut progress).unwrap();
        assert_eq!(outcome, TrainOutcome::Finished);
        let read = |file: &str| {
            std::fs::read(folder.path().join(out).join("checkpoint").join(file)).unwrap()
        };
        (
            ["tokenizer.safetensors", "dynamics.safetensors"].map(read),
            progress.events,
        )
    };
    let (whole, _) = run("whole", 0, &[]);
    let (turns, events) = run("turns", 7, &[]);
    for (file, name) in ["tokenizer", "dynamics"].into_iter().enumerate() {
        assert!(turns[file] == whole[file], "{name} differs");
    }
    let begun = [
        "tokenizer 0/12",
        "dynamics 0/7",
        "tokenizer 12/30",
        "dynamics 7/25",
    ];
    let found: Vec<_> = events.iter().filter(|event| event.contains('/')).collect();
    assert_eq!(found, begun);
    // Stopped in the second, the third and the last pass, and at the end of the second.
    let (parts, events) = run("parts", 7, &[15, 4, 5, 20]);
    for (file, name) in ["tokenizer", "dynamics"].into_iter().enumerate() {
        assert!(parts[file] == whole[file], "{name} differs");
    }
    let found: Vec<_> = events.iter().filter(|event| event.contains('/')).collect();
    assert_eq!(found, ["tokenizer 30/30", "dynamics 14/25"]);
}

/// Stops after a number of steps, and notes what it is told.
struct StopAt {
    step: u64,
    done: u64,
    events: Vec<String>,
}

impl TrainProgress for StopAt {
    fn stage_begun(&mut self, stage: TrainStage, total: u64, done: u64) {
        self.events.push(format!("{} {done}/{total}", stage.name()));
    }

    fn step_done(&mut self, step: &StepReport) {
        assert!(step.loss.is_finite() && step.frames_per_second > 0.0);
        self.done = step.step;
    }

    fn saved(&mut self, stage: TrainStage, step: u64) {
        self.events.push(format!("saved {} {step}", stage.name()));
    }

    fn should_stop(&mut self) -> bool {
        self.done >= self.step
    }
}

#[test]
fn stopped_run_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    record(&folder.path().join("data"), 3, 3, 0);
    let options = TrainOptions {
        max_steps: Some(5),
        ..options(folder.path(), "run")
    };
    let run = |options: &TrainOptions, step| {
        let mut progress = StopAt {
            step,
            done: 0,
            events: Vec::new(),
        };
        let outcome = driftless_train::run(options, &mut progress).unwrap();
        (outcome, progress.events)
    };
    let expected = ["tokenizer 0/5", "saved tokenizer 3"].map(str::to_owned);
    assert_eq!(run(&options, 3), (TrainOutcome::Stopped, expected.to_vec()));
    let resumed = TrainOptions {
        resume: true,
        ..options
    };
    let late = TrainOptions {
        max_minutes: Some(0.0),
        ..resumed.clone()
    };
    let expected = ["tokenizer 3/5", "saved tokenizer 3"].map(str::to_owned);
    assert_eq!(run(&late, 9), (TrainOutcome::OutOfTime, expected.to_vec()));
    let expected = [
        "tokenizer 3/5",
        "saved tokenizer 5",
        "dynamics 0/5",
        "saved dynamics 5",
    ];
    let expected = expected.map(str::to_owned).to_vec();
    assert_eq!(run(&resumed, 9), (TrainOutcome::Finished, expected));
}

#[test]
fn starts_from_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    record(&folder.path().join("data"), 9, 2, 0);
    let run = |out: &str, settings: String, more: &dyn Fn(TrainOptions) -> TrainOptions| {
        let options = options(folder.path(), out);
        std::fs::write(options.config.as_ref().unwrap(), settings).unwrap();
        train(&more(options))?;
        let read = |file: &str| {
            let path = folder.path().join(out).join("checkpoint").join(file);
            candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap()
        };
        Ok::<_, driftless_train::Error>((
            read("tokenizer.safetensors"),
            read("dynamics.safetensors"),
        ))
    };
    let without = SETTINGS.replace("k_max = 4\n", "k_max = 4\nunknown_action = false\n");
    let without = without.replace("outcome = 16", "outcome = 0");
    let without = without.replace("[dynamics]\n", "[dynamics]\naction_dropout = 0.0\n");
    let (tokenizer, dynamics) = run("old", without, &|o| TrainOptions {
        max_steps: Some(3),
        ..o
    })
    .unwrap();
    let from = Some(folder.path().join("old/checkpoint"));
    let continued = |o: TrainOptions| TrainOptions {
        stages: vec![TrainStage::Dynamics],
        from: from.clone(),
        max_steps: Some(0),
        seed: Some(5),
        ..o
    };
    let (given, more) = run("new", SETTINGS.into(), &continued).unwrap();
    let numbers = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let same = |name: &str, old: &candle_core::Tensor, new: &candle_core::Tensor| {
        let (old, new) = (numbers(old), numbers(new));
        assert_eq!(old[..], new[..old.len()], "{name}");
        new.len() - old.len()
    };
    for (name, old) in &tokenizer {
        assert_eq!(same(name, old, &given[name]), 0, "{name}");
    }
    let grown: Vec<_> = dynamics
        .iter()
        .map(|(name, old)| (name.as_str(), same(name, old, &more[name])))
        .filter(|(_, more)| *more > 0)
        .collect();
    // The unknown action adds a row to both action embeddings.
    assert_eq!(grown.len(), 2, "{grown:?}");
    assert!(
        grown.iter().all(|(name, _)| name.ends_with(".action")),
        "{grown:?}"
    );
    let fresh: Vec<_> = more.keys().filter(|k| !dynamics.contains_key(*k)).collect();
    assert!(
        !fresh.is_empty() && fresh.iter().all(|k| k.starts_with("outcome.")),
        "{fresh:?}"
    );
    let fewer = SETTINGS.replace("k_max = 4\n", "k_max = 4\nunknown_action = false\n");
    let fewer = fewer.replace("[dynamics]\n", "[dynamics]\naction_dropout = 0.0\n");
    let back = |o: TrainOptions| TrainOptions {
        from: Some(folder.path().join("new/checkpoint")),
        ..continued(o)
    };
    let (_, fewer) = run("fewer", fewer, &back).unwrap();
    let lost = fewer.iter().map(|(name, new)| same(name, new, &more[name]));
    assert_eq!(lost.filter(|rows| *rows > 0).count(), 2);
    let wide = SETTINGS.replace("mlp = 32", "mlp = 48");
    let error = run("wide", wide, &continued).unwrap_err().to_string();
    assert!(error.contains("by the settings"), "{error}");
    let cosine = SETTINGS.replace("[dynamics]\n", "[dynamics]\npath = \"cosine\"\n");
    let error = run("cosine", cosine, &continued).unwrap_err().to_string();
    assert!(error.contains("path"), "{error}");
}
