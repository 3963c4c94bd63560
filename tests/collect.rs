//! Episodes that scripts/collect_ale.py records, read by the program. Skipped without ale-py, which
//! scripts/test.sh installs where it can.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use driftless::data::Episode;
use driftless::eval::objects;

#[test]
fn a_collected_episode_is_read_and_its_positions_are_what_the_frames_show() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = root.join("target/test-python");
    if !packages.is_dir() {
        eprintln!("skipped: no ale-py in {}", packages.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("pong");
    let output = Command::new("python3")
        .arg(root.join("scripts/collect_ale.py"))
        .args([
            "--game",
            "pong",
            "--episodes",
            "1",
            "--max-episode-frames",
            "120",
        ])
        .args(["--seed", "5", "--policy", "follow", "--jobs", "1", "--out"])
        .arg(&data)
        .env("PYTHONPATH", &packages)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let info = Command::new(env!("CARGO_BIN_EXE_driftless"))
        .args(["info", "--json"])
        .arg(&data)
        .output()
        .unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!(info["kind"], "dataset");
    assert_eq!(info["episodes"], 1);
    assert_eq!(info["frames"], 120);
    assert_eq!(info["image"], serde_json::json!([64, 64]));
    assert_eq!(
        info["actions"][1]["keys"],
        serde_json::json!(["ArrowUp", "W"])
    );

    let episode = Episode::read(&data.join("episode_00000.npz")).unwrap();
    assert_eq!(episode.actions[0], 0);
    let truth = |name: &str, t: usize, axis: usize, width: usize| {
        Some(episode.extras[name].values[t * width + axis]).filter(|value| value.is_finite())
    };
    let (mut balls, mut paddles) = (Vec::new(), Vec::new());
    for t in 0..episode.frames() {
        let seen = objects::find(episode.frame(t));
        if let (Some(ball), Some(x), Some(y)) =
            (seen.ball(), truth("ball", t, 0, 2), truth("ball", t, 1, 2))
        {
            balls.push((ball.x - x).hypot(ball.y - y));
        }
        if let (Some(row), Some(y)) = (seen.player, truth("player_y", t, 0, 1)) {
            paddles.push((row - y).abs());
        }
    }
    for (name, errors, least) in [("ball", balls, 30), ("player", paddles, 100)] {
        let mean = errors.iter().sum::<f32>() / errors.len() as f32;
        assert!(
            errors.len() >= least && mean < 0.5,
            "{name}: {mean} over {} frames",
            errors.len()
        );
    }
}
