//! The simulators from the command line: recorded, described and played.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use driftless_data::{Dataset, Episode};

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
        assert!(success(&["info", text(&data)]).contains("80 frames in total"));
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
        assert!(said.contains("is not empty"), "{said}");
        assert_eq!(Dataset::read(&data).unwrap().episodes.len(), 2);
    }
}

/// Ctrl-C arrives as a signal; elsewhere the console would have to send it.
#[cfg(unix)]
#[test]
fn an_interrupted_recording_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("data");
    let mut child = Command::new(env!("CARGO_BIN_EXE_driftless"))
        .args([
            "record",
            "--world",
            "maze",
            "--frames",
            "100000000",
            "--out",
        ])
        .arg(&out)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let episodes = || {
        let folders = std::fs::read_dir(folder.path()).unwrap();
        folders.flatten().any(|entry| {
            let files = std::fs::read_dir(entry.path());
            files.is_ok_and(|mut files| files.next().is_some())
        })
    };
    while !episodes() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status();
    assert!(killed.unwrap().success());
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(said.contains("interrupted; nothing was written"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
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

#[test]
fn a_shipped_world_is_played_from_an_empty_folder_by_the_program_alone() {
    let root = tempfile::tempdir().unwrap();
    let (empty, home) = (root.path().join("empty"), root.path().join("home"));
    std::fs::create_dir(&empty).unwrap();
    let clip = root.path().join("clip.npz");
    let play = |world: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
        command.args([
            "play",
            "--headless",
            "--frames",
            "3",
            "--device",
            "cpu",
            "--out",
        ]);
        command.arg(&clip).args(world);
        command.current_dir(&empty).env("DRIFTLESS_HOME", &home);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        Episode::read(&clip).unwrap()
    };
    assert_eq!(play(&[]).height, 64);
    assert_eq!(play(&["--checkpoint", "doom"]).height, 48);
    let unpacked = home.join("shipped").read_dir().unwrap().count();
    assert_eq!(unpacked, 2, "only what is played is unpacked");
    assert_eq!(empty.read_dir().unwrap().count(), 0);
}
