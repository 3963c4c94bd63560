//! `driftless capture` of a window on an X server: of this program's own, which plays a simulator.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

mod common;
mod display;

use common::path_str;
use display::Display;
use driftless_data::{Dataset, Episode};

#[test]
fn a_window_becomes_a_dataset() {
    let Some(display) = Display::start() else {
        return;
    };
    let window = display.open(&["play", "--world", "maze"]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("captured");
    window.down("Up");
    let (status, stderr) = display.run_to_exit(
        &[
            "capture",
            "--window",
            "driftless",
            "--keys",
            "Up,Left,Control_L=F",
            "--fps",
            "10",
            "--seconds",
            "2",
            "--countdown",
            "0",
            "--size",
            "48x64",
            "--crop",
            "10,10,640,480",
            "--name",
            "Captured maze",
            "--out",
            path_str(&out),
        ],
        &[],
    );
    window.up("Up");
    assert!(status.success(), "{stderr}");
    assert!(
        stderr.contains("recording the keys Up, Left, Control_L"),
        "{stderr}"
    );
    let dataset = Dataset::read(&out).unwrap();
    assert_eq!(dataset.info.name, "Captured maze");
    assert_eq!((dataset.info.fps, dataset.info.image), (10.0, [48, 64]));
    let names: Vec<_> = dataset
        .info
        .actions
        .iter()
        .map(|action| &action.name)
        .collect();
    assert_eq!(names, ["noop", "Up"]);
    assert_eq!(dataset.info.actions[1].keys, ["ArrowUp"]);
    let frames: usize = dataset.episodes.iter().map(Episode::frames).sum();
    assert!((2..=20).contains(&frames), "{frames}");
    for episode in &dataset.episodes {
        // The key was down all the time.
        assert!(episode.actions[1..].iter().all(|&action| action == 1));
        let first = episode.images[0];
        assert!(
            episode.images.iter().any(|&value| value != first),
            "a picture"
        );
    }
    let manifest = std::fs::read_to_string(out.join("manifest.json")).unwrap();
    for part in [
        "never pressed: Left, Control_L",
        "lateness_ms",
        "\"Control_L\"",
    ] {
        assert!(manifest.contains(part), "{part}: {manifest}");
    }
}

#[test]
fn what_cannot_be_captured_is_said_before_the_work() {
    let Some(display) = Display::start() else {
        return;
    };
    let _window = display.open(&["play", "--world", "maze"]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("captured");
    let refused = |args: &[&str], expected: &str| {
        let all = [&["capture", "--out", path_str(&out)], args].concat();
        let (status, stderr) = display.run_to_exit(&all, &[]);
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert!(
            stderr.starts_with("driftless: ") && stderr.lines().count() == 1,
            "{stderr}"
        );
        assert!(stderr.contains(expected), "{stderr}");
        assert!(!out.exists());
    };
    refused(
        &["--window", "Doom", "--keys", "Up"],
        "no window is called `Doom`",
    );
    refused(
        &["--window", "", "--keys", "Up"],
        "the title of the window is empty",
    );
    let maze = ["--window", "Driftless"];
    refused(
        &[&maze[..], &["--keys", "Upp"]].concat(),
        "unknown key `Upp`",
    );
    refused(
        &[&maze[..], &["--keys", "Up,F12"]].concat(),
        "stop key F12 is among the keys",
    );
    let crop = ["--keys", "Up", "--crop", "5000,0,10,10"];
    refused(&[&maze[..], &crop].concat(), "not inside the window");
}
