//! Episodes recorded by scripts/collect_ale.py and scripts/collect_gym.py.
//!
//! Need ale-py and minigrid, which scripts/test.sh installs if it can. Without them these tests are
//! skipped, or fail where `CI` is `true`.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use std::path::Path;
use std::process::Command;

use common::skip_without;
use driftless_data::{Dataset, Episode};
use driftless_eval::objects::{Game, Point};

/// Runs a script of scripts/ that writes to `data`. Returns false if the packages are missing.
fn collect(script: &str, args: &[&str], data: &Path) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = root.join("target/test-python");
    if !packages.is_dir() {
        skip_without(&format!("Python packages in {}", packages.display()));
        return false;
    }
    let output = Command::new("python3")
        .arg(root.join("scripts").join(script))
        .args(["--seed", "5", "--jobs", "1", "--episodes", "1"])
        .args(args)
        .arg("--out")
        .arg(data)
        .env("PYTHONPATH", &packages)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    true
}

#[test]
fn pong_positions_match_frames() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("pong");
    let args = [
        "--game",
        "pong",
        "--max-episode-frames",
        "120",
        "--policy",
        "follow",
    ];
    if !collect("collect_ale.py", &args, &data) {
        return;
    }

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

    assert_positions_match_frames(Game::Pong, "player_y", &data);
}

#[test]
fn breakout_positions_match_frames() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("breakout");
    let args = ["--game", "breakout", "--max-episode-frames", "200"];
    let args = [&args[..], &["--policy", "follow"]].concat();
    if collect("collect_ale.py", &args, &data) {
        assert_positions_match_frames(Game::Breakout, "player_x", &data);
    }
}

/// Compares the objects found in the frames of the first episode with its position arrays.
fn assert_positions_match_frames(game: Game, player: &str, data: &Path) {
    let episode = Episode::read(&data.join("episode_00000.npz")).unwrap();
    assert_eq!(episode.actions[0], 0);
    assert_eq!(Game::of(&episode), Some(game));
    let truth = |name: &str, t: usize, axis: usize, width: usize| {
        Some(episode.extras[name].values[t * width + axis]).filter(|value| value.is_finite())
    };
    let (mut balls, mut paddles) = (Vec::new(), Vec::new());
    for t in 0..episode.frames() {
        let found = game.find(episode.frame(t));
        let ball = truth("ball", t, 0, 2).zip(truth("ball", t, 1, 2));
        let visible = ball.filter(|&(x, y)| game.can_detect(Point { x, y }));
        if let (Some(ball), Some((x, y))) = (found.ball(), visible) {
            balls.push((ball.x - x).hypot(ball.y - y));
        }
        if let (Some(at), Some(true_at)) = (found.player, truth(player, t, 0, 1)) {
            paddles.push((at - true_at).abs());
        }
    }
    for (name, errors, min_count) in [("ball", balls, 30), ("player", paddles, 100)] {
        let mean = errors.iter().sum::<f32>() / errors.len() as f32;
        assert!(
            errors.len() >= min_count && mean < 0.5,
            "{name}: {mean} over {} frames",
            errors.len()
        );
    }
}

#[test]
fn gym_actions_led_to_their_frames() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("grid");
    let args = [
        ["--env", "MiniGrid-Empty-8x8-v0"],
        ["--max-episode-frames", "80"],
        ["--size", "64x64"],
        ["--env-arg", "highlight=false"],
    ];
    if !collect("collect_gym.py", args.as_flattened(), &data) {
        return;
    }
    let dataset = Dataset::read(&data).unwrap();
    let episode = &dataset.episodes[0];
    assert_eq!(dataset.info.fps, 10.0);
    assert_eq!(episode.actions[0], 0);
    let mut turns = 0;
    for t in 1..episode.frames() {
        let name = dataset.info.actions[episode.actions[t] as usize]
            .name
            .as_str();
        let changed = episode.frame(t) != episode.frame(t - 1);
        match name {
            "left" | "right" => {
                turns += 1;
                assert!(changed, "{name} led to frame {t}");
            }
            "forward" => {}
            _ => assert!(!changed, "{name} led to frame {t}"),
        }
    }
    assert!(turns >= 10, "{turns} turns");
}

#[test]
fn crop_is_a_part_of_the_frame() {
    let folder = tempfile::tempdir().unwrap();
    let record = |name: &str, args: &[&str]| {
        let data = folder.path().join(name);
        let common = [
            "--env",
            "MiniGrid-Empty-8x8-v0",
            "--max-episode-frames",
            "20",
        ];
        let args = [&common[..], args].concat();
        collect("collect_gym.py", &args, &data).then(|| Dataset::read(&data).unwrap())
    };
    // The source image has 256 rows and columns.
    let Some(whole) = record("whole", &["--size", "64x64"]) else {
        return;
    };
    let crop = ["--size", "32x16", "--crop", "64:192,128:192"];
    let Some(part) = record("part", &crop) else {
        return;
    };
    let (whole, part) = (&whole.episodes[0], &part.episodes[0]);
    assert_eq!(whole.actions, part.actions);
    for t in 0..whole.frames() {
        let rows = whole.frame(t).chunks_exact(64 * 3).skip(16).take(32);
        let cut: Vec<u8> = rows.flat_map(|row| &row[32 * 3..48 * 3]).copied().collect();
        assert!(cut == part.frame(t), "frame {t}");
    }
}
