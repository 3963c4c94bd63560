//! Worlds from the command line: simulators recorded and played, included worlds unpacked.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;
mod program;

use std::path::Path;
use std::process::Command;

use common::{path_str, wait};
use driftless_data::{Dataset, Episode};
use driftless_worlds::SimulatorKind;
use program::{driftless, success};

#[test]
fn recorded_episode_is_reproducible() {
    let folder = tempfile::tempdir().unwrap();
    for world in SimulatorKind::ALL.map(SimulatorKind::name) {
        let data = folder.path().join(world);
        let stdout = record(world, &data, &["--seed", "9", "--policy", "scripted"]);
        assert!(stdout.contains("2 episodes, 50 frames"), "{stdout}");
        assert!(success(&["info", path_str(&data)]).contains("50 frames in total"));
        let manifest = std::fs::read_to_string(data.join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!(manifest["seed"], 9);
        assert_eq!(manifest["policy"], "scripted");
        let seed = manifest["episodes"][1]["seed"].to_string();
        let recorded = data.join("episode_00001.npz");
        let played = played_again(world, &recorded, &seed);
        let recorded = Episode::read(&recorded).unwrap();
        assert!(recorded.images == played.images, "{world}");
        assert_eq!(recorded.rewards, played.rewards);
        assert_eq!(recorded.extras["x"], played.extras["x"]);
    }
}

#[test]
fn recordings_are_captioned() {
    let folder = tempfile::tempdir().unwrap();
    for world in SimulatorKind::ALL.map(SimulatorKind::name) {
        let data = folder.path().join(world);
        record(world, &data, &[]);
        let stdout = success(&["caption", "--data", path_str(&data), "--stride", "2"]);
        assert!(stdout.contains(" of 13 clips in "), "{stdout}");
        let captions = driftless_data::captions::read(&data).unwrap().unwrap();
        assert!(
            captions
                .iter()
                .all(|caption| caption.frames == 16 && caption.texts.len() == 2)
        );

        let again = ["caption", "--data", path_str(&data), "--language", "ru"];
        let refused = driftless(&again);
        let error = String::from_utf8(refused.stderr).unwrap();
        assert!(error.contains("captions.jsonl: exists already"), "{error}");
        success(&[&again[..], &["--overwrite"]].concat());
        let captions = driftless_data::captions::read(&data).unwrap().unwrap();
        assert!(
            captions
                .iter()
                .all(|caption| caption.texts.keys().eq(["ru"]))
        );
    }
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/pong");
    let out = folder.path().join("pong.jsonl");
    let refused = driftless(&["caption", "--data", data, "--out", path_str(&out)]);
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(
        error.contains("NAME.txt beside NAME.npz") && !out.exists(),
        "{error}"
    );
}

#[test]
fn used_folder_is_not_recorded_into() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    record("maze", &data, &[]);
    let output = driftless(&[
        "record",
        "--world",
        "maze",
        "--frames",
        "50",
        "--out",
        path_str(&data),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("is not empty"), "{error}");
    assert_eq!(Dataset::read(&data).unwrap().episodes.len(), 2);
}

#[test]
fn actions_are_read_from_frames() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/maze");
    let device = driftless_engine::DeviceChoice::Cpu;
    let source = driftless_engine::GpuSource::Unavailable;
    let mut engine = driftless_engine::open(&folder, device, &source).unwrap();
    let params = driftless_engine::SamplerParams::of_world(engine.world());
    // Three turns left, three right, three steps ahead, three back, in mazes that it was not trained on.
    let played = [3, 4, 1, 2].map(|action| [action; 3]).concat();
    let (mut right, mut all) = (0, 0);
    for seed in 9_001..9_005 {
        let mut maze = SimulatorKind::Maze.open(seed);
        let mut images = maze.image().to_vec();
        for &action in &played {
            maze.step(action.into()).unwrap();
            images.extend_from_slice(maze.image());
        }
        let read = engine.infer_actions(&images, &params).unwrap();
        assert_eq!(read.len(), played.len() + 1);
        right += read[1..]
            .iter()
            .zip(&played)
            .filter(|(a, b)| a == b)
            .count();
        all += played.len();
    }
    // A walker who stands before a wall cannot step ahead: no frame tells.
    assert!(right * 100 >= all * 75, "{right} of {all}");
}

/// Records 50 frames in episodes of 40.
fn record(world: &str, out: &Path, more: &[&str]) -> String {
    let mut args = vec!["record", "--world", world, "--frames", "50"];
    args.extend(["--episode-frames", "40", "--out", path_str(out)]);
    success(&[&args, more].concat())
}

/// What the actions of an episode lead to from `seed`.
fn played_again(world: &str, episode: &Path, seed: &str) -> Episode {
    let folder = tempfile::tempdir().unwrap();
    let again = folder.path().join("again.npz");
    let mut args = vec!["play", "--world", world, "--headless", "--frames", "9"];
    args.extend(["--seed", seed, "--actions", path_str(episode)]);
    args.extend(["--out", path_str(&again)]);
    success(&args);
    Episode::read(&again).unwrap()
}

/// On other systems the console sends Ctrl-C, which a test cannot do.
#[cfg(unix)]
#[test]
fn interrupted_recording_leaves_nothing() {
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
    wait("an episode", || {
        let folders = std::fs::read_dir(folder.path()).unwrap();
        let has_episode = folders.flatten().any(|entry| {
            let files = std::fs::read_dir(entry.path());
            files.is_ok_and(|mut files| files.next().is_some())
        });
        has_episode.then_some(())
    });
    let id = child.id().to_string();
    let status = Command::new("kill").args(["-INT", &id]).status();
    assert!(status.unwrap().success());
    let mut error = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut error).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(
        error.contains("interrupted; nothing was written"),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn simulator_takes_no_sampler_options() {
    for more in [
        ["--checkpoint", "somewhere"],
        ["--steps", "2"],
        ["--solver", "euler"],
        ["--threads", "2"],
        ["--clip", "1"],
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
fn threads_do_not_change_frames() {
    let folder = tempfile::tempdir().unwrap();
    let play = |threads: &str| {
        let clip = folder.path().join(format!("{threads}.npz"));
        let args = ["play", "--headless", "--frames", "4", "--device", "cpu"];
        let out = ["--threads", threads, "--out", clip.to_str().unwrap()];
        let output = driftless(&[args.as_slice(), &out].concat());
        assert!(output.status.success(), "{output:?}");
        Episode::read(&clip).unwrap().images
    };
    let alone = play("1");
    for threads in ["2", "3", "auto"] {
        assert!(play(threads) == alone, "--threads {threads}");
    }
}

#[test]
fn included_world_plays_from_anywhere() {
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
            "--overwrite",
            "--out",
        ]);
        command.arg(&clip).args(world);
        command.current_dir(&empty).env("DRIFTLESS_HOME", &home);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        Episode::read(&clip).unwrap()
    };
    assert_eq!(play(&[]).height, 64);
    assert_eq!(play(&["--checkpoint", "doom"]).height, 48);
    let unpacked = home.join("shipped").read_dir().unwrap().count();
    assert_eq!(unpacked, 2, "only the worlds that are played are unpacked");
    assert_eq!(empty.read_dir().unwrap().count(), 0);
}
