//! Cells from the command line: recorded, trained on, measured, imported, and what is refused.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;
mod program;

use std::path::Path;

use common::path_str;
use program::{driftless, failure, success};

#[test]
fn cells_are_recorded_trained_on_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    let (data, run) = (path_str(&data), path_str(&run));
    let few = ["--cells", "1", "--controls", "2"];
    let recorded = success(&[&["record", "--world", "cells", "--out", data][..], &few].concat());
    assert!(
        recorded.contains("1752 pictures of 24 drugs on 12 plates"),
        "{recorded}"
    );
    assert!(
        success(&["info", data]).contains("1752 pictures of 64×64, channels DNA, actin, tubulin")
    );
    let config = folder.path().join("small.toml");
    let text = "preview_minutes = 0.0\nbatch_size = 4\n\
                [network]\npatch = 16\nwidth = 16\ndepth = 1\nheads = 1\nmlp = 16\n";
    std::fs::write(&config, text).unwrap();
    let train = [
        "train",
        "transport",
        "--data",
        data,
        "--out",
        run,
        "--max-steps",
        "3",
    ];
    success(&[&train[..], &["--config", path_str(&config)]].concat());
    let checkpoint = Path::new(run).join("checkpoint");
    let checkpoint = path_str(&checkpoint);
    assert!(
        success(&["info", checkpoint])
            .contains("20 of 24 compounds trained, doses 0.03 to 10 µM, 10 plates")
    );
    let eval = [
        "eval",
        "--checkpoint",
        checkpoint,
        "--data",
        data,
        "--cells",
        "2",
        "--classifier-steps",
        "2",
    ];
    let report = success(&[&eval[..], &["--json"]].concat());
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["kind"], "transport");
    let group = &report["groups"][0];
    assert_eq!(group["held_out"], "held-out compounds");
    // Three steps change hardly anything: what was made is the control.
    assert!(group["gap_closed"].as_f64().unwrap().abs() < 0.2, "{group}");
    assert!(report["reverse_error"].as_f64().unwrap() < 0.01);
    assert_eq!(report["doses"].as_array().unwrap().len(), 24);
    assert!(success(&[&eval[..], &["--markdown"]].concat()).contains("| held-out compounds |"));

    let error = failure(&[&train[..], &["--resume", "--preset", "tiny"]].concat());
    assert!(error.contains("--preset is for worlds"), "{error}");
    let error = failure(&train);
    assert!(error.contains("already holds a run"), "{error}");
    let error = failure(&[&["record", "--world", "cells", "--out", data][..], &few].concat());
    assert!(error.contains(data), "{error}");
    let error = failure(&[&eval[..], &["--steps", "0"]].concat());
    assert!(error.contains("--steps is 0"), "{error}");

    for (options, expected) in [
        (["--steps", "1,2"], "--steps has 2 values, expected one"),
        (["--horizon", "3"], "--horizon is for worlds"),
        (["--free-frames", "0"], "--free-frames is for worlds"),
        (["--lpips", "no.pth"], "--lpips is for worlds"),
        (["--solver", "heun"], "--solver is for worlds"),
    ] {
        let error = failure(&[&eval[..], &options].concat());
        assert!(error.contains(expected), "{error}");
    }
    let error = failure(&["eval", "--data", data, "--route", "invert"]);
    assert!(
        error.contains("--route is for transport networks"),
        "{error}"
    );
    let error = failure(&["info", run]);
    assert!(
        error.contains("is a run, expected its checkpoint"),
        "{error}"
    );
    for folder in [data, checkpoint, "no/such/run"] {
        let train = [
            "train",
            "transport",
            "--resume",
            "--data",
            data,
            "--out",
            folder,
        ];
        let error = failure(&train);
        assert!(error.contains("holds no run to resume"), "{error}");
    }
    assert!(!Path::new("no/such/run").exists());
}

#[test]
fn pictures_of_cells_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    for (name, scale) in [("control", 1), ("treated", 3)] {
        let pixel = |x: u32, y: u32| image::Luma([(x * y * scale) as u16]);
        let picture = image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_fn(64, 64, pixel);
        picture
            .save(folder.path().join(format!("{name}.png")))
            .unwrap();
    }
    let table = folder.path().join("table.csv");
    std::fs::write(
        &table,
        "image,compound,dose,plate\ncontrol.png,DMSO,,P1\ntreated.png,taxol,0.1,P1\n",
    )
    .unwrap();
    let out = folder.path().join("out");
    let import = [
        "import",
        "--from",
        "cells",
        path_str(&table),
        "--out",
        path_str(&out),
    ];
    let imported = success(&import);
    assert!(
        imported.contains("2 pictures, 1 of them controls, 1 compounds, 1 plates"),
        "{imported}"
    );
    assert!(success(&["info", path_str(&out)]).contains("2 pictures of 64×64"));
    // Nothing is kept from training, so nothing can be measured.
    let (run, config) = (folder.path().join("run"), folder.path().join("small.toml"));
    let text = "preview_minutes = 0.0\n[network]\npatch = 16\nwidth = 16\ndepth = 1\nheads = 1\nmlp = 16\n";
    std::fs::write(&config, text).unwrap();
    let trained = driftless(&[
        "train",
        "transport",
        "--data",
        path_str(&out),
        "--out",
        path_str(&run),
        "--config",
        path_str(&config),
        "--max-steps",
        "1",
    ]);
    let said = String::from_utf8(trained.stderr).unwrap();
    assert!(said.contains("a column `split` in its table"), "{said}");
    let error = failure(&[&import[..], &["--fps", "3"]].concat());
    assert!(error.contains("--fps is for recordings"), "{error}");
    std::fs::write(
        &table,
        "image,compound,dose,plate\ncontrol.png,DMSO,,P1\ntreated.png,taxol,much,P1\n",
    )
    .unwrap();
    std::fs::remove_dir_all(&out).unwrap();
    let error = failure(&import);
    assert!(
        error.contains("row 3, column `dose`: is `much`, expected a number above 0"),
        "{error}"
    );
    assert!(!out.exists());
}

#[test]
fn frames_are_needed_for_simulators_only() {
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("x");
    let output = driftless(&["record", "--world", "maze", "--out", path_str(&out)]);
    assert_eq!(output.status.code(), Some(2));
    let error = failure(&[
        "record",
        "--world",
        "cells",
        "--policy",
        "random",
        "--out",
        path_str(&out),
    ]);
    assert!(error.contains("--policy is for worlds"), "{error}");
    let output = driftless(&[
        "record",
        "--world",
        "cells",
        "--frames",
        "5",
        "--cells",
        "1",
        "--out",
        path_str(&out),
    ]);
    assert_eq!(output.status.code(), Some(2));
}
