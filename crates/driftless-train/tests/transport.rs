//! Transport runs from outside: training, resuming, and what is refused.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use driftless_data::cells::{
    CELLS_FORMAT, CellInfo, CellRow, CellWriter, Compound, DrugTruth, INFO, Plate, TRUTH, TruthInfo,
};
use driftless_data::fs::write_json;
use driftless_train::{TrainOutcome, TransportOptions, run_transport};
use driftless_transport::{Condition, TransportParams, Transporter};

const SIDE: usize = 16;

/// A picture of a disc: the higher the level, the brighter.
fn picture(i: usize, level: u8) -> Vec<u8> {
    let middle = 6.0 + (i % 5) as f32;
    let inside = |at: usize| (((at / SIDE) as f32 - middle).hypot((at % SIDE) as f32 - 8.0)) < 4.0;
    (0..SIDE * SIDE)
        .flat_map(|at| {
            if inside(at) {
                [level, 40]
            } else {
                [10, 20 + (i % 7) as u8]
            }
        })
        .collect()
}

/// Two plates, two compounds: the first brightens the disc, the second darkens it.
fn dataset(folder: &Path, with_controls: bool) {
    let mut writer = CellWriter::new([SIDE, SIDE, 2]);
    for plate in 0..2 {
        for i in 0..24 {
            let control = picture(i, 120);
            let mut push = |compound: Option<usize>, dose: f32, level: u8| {
                let row = CellRow {
                    compound,
                    dose,
                    plate,
                    train: i % 8 != 7,
                };
                writer.push(row, &picture(i, level));
                writer.push_truth(&control, &[f32::from(level)]);
            };
            if with_controls || plate == 0 {
                push(None, 0.0, 120);
            }
            for dose in [0.1, 1.0] {
                push(Some(0), dose, 230);
                push(Some(1), dose, 30);
            }
        }
    }
    std::fs::create_dir_all(folder).unwrap();
    let shard = writer.write(folder, 0).unwrap();
    let compound = |name: &str, descriptor: [f32; 2]| Compound {
        name: name.into(),
        descriptor: descriptor.to_vec(),
        mechanism: Some(name.into()),
    };
    let info = CellInfo {
        format: CELLS_FORMAT,
        name: "Discs".into(),
        image: [SIDE, SIDE],
        channels: vec!["a".into(), "b".into()],
        dose_unit: "µM".into(),
        compounds: vec![compound("bright", [1.0, 0.0]), compound("dark", [0.0, 1.0])],
        plates: ["P1", "P2"]
            .map(|name| Plate { name: name.into() })
            .to_vec(),
        shards: vec![shard],
    };
    write_json(&folder.join(INFO), &info).unwrap();
    let drugs = ["bright", "dark"].map(|name| DrugTruth {
        name: name.into(),
        ec50: 0.05,
        hill: 1.0,
    });
    let truth = TruthInfo {
        parameters: vec!["level".into()],
        drugs: drugs.to_vec(),
    };
    write_json(&folder.join(TRUTH), &truth).unwrap();
}

const SETTINGS: &str = "preview_minutes = 0.0\nbatch_size = 8\n\
    [optimizer]\nsteps = 60\nwarmup_steps = 5\n\
    [network]\npatch = 4\noverlap = 1\nwidth = 24\ndepth = 2\nheads = 2\nmlp = 32\n";

fn options(folder: &Path, out: &str, settings: &str) -> TransportOptions {
    let config = folder.join(format!("{out}.toml"));
    std::fs::write(&config, format!("{settings}{SETTINGS}")).unwrap();
    TransportOptions {
        data: folder.join("data"),
        out: folder.join(out),
        config: Some(config),
        from: None,
        resume: false,
        max_steps: None,
        max_minutes: None,
        seed: None,
    }
}

fn train(options: &TransportOptions) -> TrainOutcome {
    run_transport(options, &mut ()).unwrap()
}

fn weights(folder: &Path, out: &str) -> Vec<u8> {
    std::fs::read(folder.join(out).join("checkpoint/transport.safetensors")).unwrap()
}

#[test]
fn resumed_run_is_identical() {
    let folder = tempfile::tempdir().unwrap();
    dataset(&folder.path().join("data"), true);
    for coupling in ["independent", "minibatch_ot", "paired"] {
        let settings = format!("coupling = \"{coupling}\"\n");
        let (whole, parts) = (format!("{coupling}-whole"), format!("{coupling}-parts"));
        let outcome = train(&options(folder.path(), &whole, &settings));
        assert_eq!(outcome, TrainOutcome::Finished);
        let first = TransportOptions {
            max_steps: Some(25),
            ..options(folder.path(), &parts, &settings)
        };
        assert_eq!(train(&first), TrainOutcome::Finished);
        assert!(weights(folder.path(), &parts) != weights(folder.path(), &whole));
        let again = run_transport(&first, &mut ()).unwrap_err().to_string();
        assert!(again.contains("already holds a run"), "{again}");
        let rest = TransportOptions {
            max_steps: None,
            resume: true,
            ..first
        };
        assert_eq!(train(&rest), TrainOutcome::Finished);
        assert!(
            weights(folder.path(), &parts) == weights(folder.path(), &whole),
            "{coupling}"
        );
    }
}

/// Root mean square difference of the weights of two runs.
fn apart(folder: &Path, [a, b]: [&str; 2]) -> f64 {
    let numbers = |out: &str| -> Vec<f32> {
        let all = candle_core::safetensors::load_buffer(&weights(folder, out), &Device::Cpu);
        let mut all: Vec<_> = all.unwrap().into_iter().collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let flat = |(_, t): (String, Tensor)| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        all.into_iter().flat_map(flat).collect()
    };
    let (a, b) = (numbers(a), numbers(b));
    let squares = a.iter().zip(&b).map(|(a, b)| f64::from(a - b).powi(2));
    (squares.sum::<f64>() / a.len() as f64).sqrt()
}

#[test]
fn run_starts_from_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    dataset(&folder.path().join("data"), true);
    let start = |out: &str, from: Option<PathBuf>, seed: u64| TransportOptions {
        from,
        max_steps: Some(1),
        seed: Some(seed),
        ..options(folder.path(), out, "")
    };
    let trained = |options| assert_eq!(train(&options), TrainOutcome::Finished);
    trained(start("first", None, 1));
    let first = folder.path().join("first/checkpoint");
    trained(start("other", None, 2));
    trained(start("second", Some(first.clone()), 2));
    let [fresh, started] = ["other", "second"].map(|out| apart(folder.path(), ["first", out]));
    assert!(started < 0.1 * fresh, "{started} {fresh}");

    let config = first.join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"P2\"", "\"P9\"")).unwrap();
    let refused = run_transport(&start("third", Some(first), 2), &mut ()).unwrap_err();
    assert!(
        refused.to_string().contains("its plates are not those"),
        "{refused}"
    );
}

#[test]
fn drugs_change_cells() {
    let folder = tempfile::tempdir().unwrap();
    dataset(&folder.path().join("data"), true);
    let settings = "noised_fraction = 0.0\n".to_owned();
    let mut options = options(folder.path(), "run", &settings);
    let text = std::fs::read_to_string(options.config.as_ref().unwrap()).unwrap();
    let longer = text.replace("steps = 60", "steps = 300");
    std::fs::write(options.config.as_ref().unwrap(), longer).unwrap();
    options.seed = Some(1);
    assert_eq!(train(&options), TrainOutcome::Finished);
    let cells = Transporter::read(&folder.path().join("run/checkpoint")).unwrap();
    let params = TransportParams::of(cells.config());
    let control = picture(7, 120);
    let brightness = |compound: Option<usize>| {
        let condition = Condition {
            compound,
            dose: 1.0,
            plate: Some(0),
        };
        let made = cells.transport(&control, &[condition], &params, 0).unwrap();
        let disc = control
            .iter()
            .zip(&made)
            .step_by(2)
            .filter(|(control, _)| **control == 120);
        disc.clone().map(|(_, made)| f32::from(*made)).sum::<f32>() / disc.count() as f32
    };
    let (bright, none, dark) = (brightness(Some(0)), brightness(None), brightness(Some(1)));
    assert!(
        bright > none + 30.0 && none > dark + 30.0,
        "{bright} {none} {dark}"
    );
}

#[test]
fn what_cannot_be_trained_on_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    dataset(&path.join("data"), false);
    let fails = |settings: &str| {
        run_transport(&options(path, "run", settings), &mut ())
            .unwrap_err()
            .to_string()
    };
    let error = fails("");
    assert!(
        error.contains("plate `P2` has treated cells but no controls"),
        "{error}"
    );
    assert!(!path.join("run").exists());
    dataset(&path.join("data"), true);
    std::fs::remove_file(path.join("data").join(TRUTH)).unwrap();
    let error = fails("coupling = \"paired\"\n");
    assert!(error.contains("has no truth.json"), "{error}");
    for (settings, expected) in [
        (
            "source = \"noise\"\ncoupling = \"minibatch_ot\"\n",
            "expected independent, since the source is noise",
        ),
        (
            "coupled_cells = 3\n",
            "pairs_per_well is out of its range, expected 1 to coupled_cells",
        ),
        ("steps = 3\n", "unknown field `steps`"),
        (
            "prediction = \"eps\"\n",
            "flow.prediction is out of its range, expected x or v",
        ),
        ("coupling = \"best\"\n", "unknown variant `best`"),
    ] {
        let error = fails(settings);
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn damaged_checkpoints_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    dataset(&folder.path().join("data"), true);
    let outcome = train(&TransportOptions {
        max_steps: Some(1),
        ..options(folder.path(), "run", "")
    });
    assert_eq!(outcome, TrainOutcome::Finished);
    let checkpoint = folder.path().join("run/checkpoint");
    let config = checkpoint.join("config.json");
    let good = std::fs::read_to_string(&config).unwrap();
    let refused = |from: &str, to: &str| {
        assert!(good.contains(from), "{good}");
        std::fs::write(&config, good.replacen(from, to, 1)).unwrap();
        Transporter::read(&checkpoint).err().unwrap().to_string()
    };
    for (from, to, expected) in [
        (
            "\"transport\"",
            "\"world\"",
            "kind is `world`, expected `transport`",
        ),
        (
            "\"depth\": 2",
            "\"depth\": 3",
            "no tensor 'layers.2.condition.weight'",
        ),
        (
            "\"width\": 24",
            "\"width\": 25",
            "network.width is out of its range",
        ),
        (
            "\"format\": 1",
            "\"format\": 2",
            "format is out of its range, expected 1",
        ),
    ] {
        let error = refused(from, to);
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
    std::fs::write(&config, &good).unwrap();
    let cells = Transporter::read(&checkpoint).unwrap();
    let params = TransportParams::of(cells.config());
    let asked = |condition: Condition| {
        let made = cells.transport(&picture(0, 120), &[condition], &params, 0);
        made.unwrap_err().to_string()
    };
    let condition = Condition {
        compound: Some(0),
        dose: 1.0,
        plate: Some(0),
    };
    let error = asked(Condition {
        compound: Some(2),
        ..condition
    });
    assert_eq!(error, "no compound 2, expected 0 to 1");
    let error = asked(Condition {
        dose: 0.0,
        ..condition
    });
    assert_eq!(error, "the dose is 0, expected a number above 0");
    let error = asked(Condition {
        plate: Some(5),
        ..condition
    });
    assert_eq!(error, "no plate 5, expected 0 to 1");
}

#[test]
fn nothing_is_resumed_where_no_run_is() {
    let folder = tempfile::tempdir().unwrap();
    dataset(&folder.path().join("data"), true);
    for out in ["data", "none"] {
        let resumed = TransportOptions {
            resume: true,
            ..options(folder.path(), out, "")
        };
        let error = run_transport(&resumed, &mut ()).unwrap_err().to_string();
        assert!(error.contains("holds no run to resume"), "{error}");
        assert!(!resumed.out.join("settings.toml").exists());
    }
    assert!(!folder.path().join("none").exists());
}

#[test]
fn weights_that_give_no_finite_loss_are_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    dataset(&folder.path().join("data"), true);
    let options = TransportOptions {
        max_steps: Some(1),
        ..options(folder.path(), "run", "")
    };
    let config = options.config.as_ref().unwrap();
    let text = std::fs::read_to_string(config).unwrap();
    let fast = text.replace("steps = 60\n", "steps = 60\nlearning_rate = 1e18\n");
    std::fs::write(config, fast).unwrap();
    let error = run_transport(&options, &mut ()).unwrap_err().to_string();
    assert!(
        error.contains("the loss is not finite after step 1; nothing was saved"),
        "{error}"
    );
    assert!(
        !options
            .out
            .join("checkpoint/transport.safetensors")
            .exists()
    );
    assert!(!options.out.join("transport").exists());
}
