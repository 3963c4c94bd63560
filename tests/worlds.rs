//! The simulators from the command line: recorded, described and played.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use driftless::data::{Dataset, Episode};

fn driftless(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
    command.args(args).output().unwrap()
}

fn success(args: &[&str]) -> String {
    let output = driftless(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_recorded_episode_is_played_again_from_its_seed_and_actions() {
    let folder = tempfile::tempdir().unwrap();
    for world in ["maze", "drive"] {
        let (data, again) = (folder.path().join(world), folder.path().join("again.npz"));
        let said = success(&[
            "record",
            "--world",
            world,
            "--frames",
            "50",
            "--seed",
            "9",
            "--policy",
            "scripted",
            "--episode-frames",
            "40",
            "--out",
            text(&data),
        ]);
        assert!(said.contains("2 episodes, 80 frames"), "{said}");
        assert!(success(&["info", text(&data)]).contains("80 frames in all"));
        let manifest = std::fs::read_to_string(data.join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!(manifest["seed"], 9);
        assert_eq!(manifest["policy"], "scripted");
        let line = &manifest["episodes"][1];
        let (file, seed) = (data.join("episode_00001.npz"), line["seed"].to_string());
        success(&[
            "play",
            "--world",
            world,
            "--headless",
            "--frames",
            "39",
            "--seed",
            &seed,
            "--actions",
            text(&file),
            "--out",
            text(&again),
        ]);
        let (recorded, played) = (
            Episode::read(&file).unwrap(),
            Episode::read(&again).unwrap(),
        );
        assert!(recorded.images == played.images, "{world}");
        assert_eq!(recorded.rewards, played.rewards);
        assert_eq!(recorded.extras["x"], played.extras["x"]);
        let said = driftless(&[
            "record",
            "--world",
            world,
            "--frames",
            "50",
            "--out",
            text(&data),
        ]);
        assert_eq!(said.status.code(), Some(1));
        let said = String::from_utf8(said.stderr).unwrap();
        assert!(said.contains("already holds something"), "{said}");
        assert_eq!(Dataset::read(&data).unwrap().episodes.len(), 2);
    }
}

#[test]
fn a_simulator_takes_no_checkpoint_and_no_sampler() {
    for more in [
        ["--checkpoint", "somewhere"],
        ["--steps", "2"],
        ["--solver", "euler"],
        ["--context", "1"],
    ] {
        let output = driftless(&["play", "--world", "maze", more[0], more[1]]);
        assert_eq!(output.status.code(), Some(2), "{more:?}");
    }
    assert_eq!(
        driftless(&["play", "--world", "moon"]).status.code(),
        Some(2)
    );
}
