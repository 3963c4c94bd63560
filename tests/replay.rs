//! Sessions of learned worlds and simulators, recorded by the world-model thread and replayed by the
//! command line.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

mod common;
mod display;
mod program;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use common::{TIMEOUT, path_str, wait};
use display::Display;
use driftless::workspace::PlayableWorld;
use driftless_data::Episode;
use driftless_engine::{DeviceChoice, SamplerParams, Solver};
use driftless_sim::{
    EpisodeCommand, Frame, InputCommand, PlaybackCommand, SamplerCommand, SimOptions, SimThread,
};
use driftless_worlds::SimulatorKind;
use program::{command, driftless, failure, root, success};
use tempfile::TempDir;

/// Records a session frame by frame, as a window would.
fn record(folder: &TempDir, game: &PlayableWorld, commands: &[driftless_sim::Command]) -> PathBuf {
    let path = folder.path().join("played.npz");
    let options = SimOptions {
        clip: game.first_clip,
        random_seed: true,
        paused: true,
        record: Some(path.clone().into()),
        ..SimOptions::new(Arc::clone(&game.player))
    };
    let sim = SimThread::spawn(options, None, || {}).unwrap();
    let next = || -> Frame { sim.frames().recv_timeout(TIMEOUT).unwrap() };
    next();
    for command in commands {
        let makes_no_frame = matches!(
            command,
            driftless_sim::Command::Input(_) | driftless_sim::Command::Sampler(_)
        );
        sim.send(command.clone());
        if !makes_no_frame {
            next();
        }
    }
    sim.finish().session.unwrap().write().unwrap();
    path
}

const STEP: driftless_sim::Command = driftless_sim::Command::Playback(PlaybackCommand::Step);
const RESET: driftless_sim::Command = driftless_sim::Command::Episode(EpisodeCommand::Reset);
const NEXT_CLIP: driftless_sim::Command = driftless_sim::Command::Episode(EpisodeCommand::NextClip);

fn held(action: u32) -> driftless_sim::Command {
    let since = Instant::now();
    InputCommand::Hold {
        action: action.into(),
        changed_at: since,
    }
    .into()
}

/// Two starts from clip 0 and one from clip 1, with changing actions and sampler parameters.
fn commands() -> Vec<driftless_sim::Command> {
    let params = |params| SamplerCommand::Params(params).into();
    let default = SamplerParams::default();
    let euler = SamplerParams {
        solver: Solver::Euler,
        steps: 3,
        shift: 1.7,
        churn: 0.3,
        temperature: 0.9,
        ..default
    };
    let short = SamplerParams {
        steps: 2,
        context: 5,
        context_signal: 0.8,
        seed: u64::MAX - 5,
        ..default
    };
    vec![
        STEP,
        held(1),
        STEP,
        STEP,
        params(euler),
        STEP,
        held(2),
        STEP,
        RESET,
        STEP,
        SamplerCommand::RandomSeed(false).into(),
        params(short),
        STEP,
        STEP,
        NEXT_CLIP,
        held(0),
        STEP,
        params(default),
        STEP,
    ]
}

#[test]
fn pong_replay_is_bit_exact() {
    let folder = tempfile::tempdir().unwrap();
    let pong = root().join("checkpoints/pong");
    let game = PlayableWorld::learned(&pong, DeviceChoice::Cpu, None).unwrap();
    let path = record(&folder, &game, &commands());
    let replay = ["replay", path_str(&path), "--device", "cpu"];
    assert_eq!(success(&replay), "13 of 13 frames are identical\n");

    // Written to a file, the replay equals the session.
    let again = folder.path().join("again.npz");
    let args = [&replay[..], &["--json", "--out", path_str(&again)]].concat();
    let report: serde_json::Value = serde_json::from_str(&success(&args)).unwrap();
    assert_eq!(
        (&report["frames"], &report["identical"]),
        (&13.into(), &13.into())
    );
    assert_eq!(report["first"], serde_json::Value::Null);
    assert_eq!(report["recorded"]["world"], "Pong");
    let recorded = Episode::read(&path).unwrap();
    assert!(Episode::read(&again).unwrap() == recorded);
    let gif = folder.path().join("clip.gif");
    success(&[&replay[..], &["--out", path_str(&gif), "--scale", "1"]].concat());
    assert!(gif.metadata().unwrap().len() > 1000);

    let mut other = recorded.clone();
    other.images[12 * 64 * 64 * 3 + 5] ^= 1;
    other.write(&path).unwrap();
    let error = failure(&replay);
    assert!(error.contains("12 of 13 frames are identical"), "{error}");
    assert!(
        error.contains("the first that differs is frame 12 (2 after its start)"),
        "{error}"
    );
    let mut other = recorded.clone();
    other.actions[4] = 1 - other.actions[4].min(1);
    other.write(&path).unwrap();
    assert!(failure(&replay).contains("the first that differs is frame 4"));
    let args = [&replay[..], &["--json"]].concat();
    let output = driftless(&args);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &report["first"]["frame"]),
        (Some(1), &4.into())
    );

    // Another world is reported as such.
    recorded.write(&path).unwrap();
    let error = failure(&[&replay[..], &["--checkpoint", "breakout"]].concat());
    assert!(
        error.contains("recorded with Pong, replayed with Breakout"),
        "{error}"
    );
}

#[test]
fn session_is_shared_with_its_world() {
    let folder = tempfile::tempdir().unwrap();
    let pong = root().join("checkpoints/pong");
    let game = PlayableWorld::learned(&pong, DeviceChoice::Cpu, None).unwrap();
    let session = record(&folder, &game, &commands());
    let file = folder.path().join("Pong.driftless");
    let export = ["worlds", "export", "checkpoints/pong", path_str(&file)];
    success(&[&export[..], &["--game", path_str(&session)]].concat());

    // Its last game, from the start of clip 1 on, is played again and then played on.
    let out = folder.path().join("again.npz");
    let play = |more: &[&str]| {
        let args = [
            "play",
            "--headless",
            "--device",
            "cpu",
            "--checkpoint",
            path_str(&file),
            "--overwrite",
            "--out",
            path_str(&out),
            "--frames",
            "4",
        ];
        let mut command = command(&[&args[..], more].concat());
        let output = command
            .env("DRIFTLESS_HOME", folder.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        Episode::read(&out).unwrap()
    };
    let (recorded, again) = (Episode::read(&session).unwrap(), play(&[]));
    for t in 0..3 {
        assert!(again.frame(t) == recorded.frame(10 + t), "frame {t}");
    }
    assert_eq!((again.frames(), again.actions[4]), (5, 0));
    assert_ne!(play(&["--seed", "3"]).frame(1), recorded.frame(11));

    let breakout = [
        "worlds",
        "export",
        "checkpoints/breakout",
        path_str(&file),
        "--overwrite",
        "--game",
    ];
    let maze = PlayableWorld::simulator(SimulatorKind::Maze);
    let other = tempfile::tempdir().unwrap();
    let simulated = record(&other, &maze, &[STEP]);
    let error = failure(&[&breakout[..], &[path_str(&simulated)]].concat());
    assert!(error.contains("was played in a simulator"), "{error}");
}

#[test]
fn replay_needs_no_starting_clips() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("episode.npz");
    std::fs::copy(root().join("assets/pong/episode_00000.npz"), &file).unwrap();
    let pong = root().join("checkpoints/pong");
    let game = PlayableWorld::learned(&pong, DeviceChoice::Cpu, Some(path_str(&file))).unwrap();
    let steps = [STEP, held(1), STEP];
    let path = record(&folder, &game, &steps);
    std::fs::remove_file(&file).unwrap();
    let stdout = success(&["replay", path_str(&path), "--device", "cpu"]);
    assert_eq!(stdout, "3 of 3 frames are identical\n");
}

#[test]
fn headless_session_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("played.npz");
    success(&[
        "play",
        "--headless",
        "--device",
        "cpu",
        "--clip",
        "3",
        "--frames",
        "6",
        "--steps",
        "2",
        "--out",
        path_str(&path),
    ]);
    let stdout = success(&["replay", path_str(&path), "--device", "cpu"]);
    assert_eq!(stdout, "7 of 7 frames are identical\n");
}

#[test]
fn simulator_is_replayed_from_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let game = PlayableWorld::simulator(SimulatorKind::Maze);
    let path = record(
        &folder,
        &game,
        &[held(3), STEP, STEP, RESET, STEP, NEXT_CLIP, STEP],
    );
    let stdout = success(&["replay", path_str(&path)]);
    assert_eq!(stdout, "7 of 7 frames are identical\n");
    assert_eq!(
        success(&["replay", path_str(&path), "--world", "maze"]),
        stdout
    );
    let error = failure(&["replay", path_str(&path), "--world", "drive"]);
    assert!(
        error.contains("recorded with Maze, replayed with Drive"),
        "{error}"
    );
    let error = failure(&["replay", path_str(&path), "--checkpoint", "maze"]);
    assert!(error.contains("is a session of a simulator"), "{error}");
}

#[test]
fn unusable_sessions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = failure(&["replay", "assets/pong/episode_00000.npz"]);
    assert!(error.contains("array `number`: missing"), "{error}");
    let full = folder.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("mine"), "").unwrap();
    let game = PlayableWorld::simulator(SimulatorKind::Maze);
    let path = record(&folder, &game, &[STEP]);
    let error = failure(&["replay", path_str(&path), "--out", path_str(&full)]);
    assert!(error.contains("is not empty"), "{error}");
    let args = [
        "replay",
        path_str(&path),
        "--world",
        "maze",
        "--device",
        "cpu",
    ];
    assert_eq!(driftless(&args).status.code(), Some(2));
    let args = ["replay", path_str(&path), "--fps", "10"];
    assert_eq!(driftless(&args).status.code(), Some(2));
}

#[test]
fn mp4_without_ffmpeg_fails_early() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("clip.mp4");
    let mut command = command(&[
        "play",
        "--world",
        "maze",
        "--headless",
        "--frames",
        "100000000",
    ]);
    let output = command
        .arg("--out")
        .arg(&out)
        .env("PATH", "")
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(
        error
            .contains("clip.mp4: this needs ffmpeg, which is not installed; export a .gif instead"),
        "{error}"
    );
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn unknown_actions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let maze = record(
        &folder,
        &PlayableWorld::simulator(SimulatorKind::Maze),
        &[held(7), STEP],
    );
    let error = failure(&["play", "--actions", path_str(&maze)]);
    assert!(
        error.contains("unknown action 7, expected 0 to 2"),
        "{error}"
    );
    let file = folder.path().join("keys.txt");
    std::fs::write(&file, "up 3\nsideways").unwrap();
    let error = failure(&["play", "--actions", path_str(&file)]);
    assert!(
        error.contains("line 2: unknown action 'sideways'"),
        "{error}"
    );
}

#[test]
fn window_session_is_replayed() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("played.npz");
    let keys = folder.path().join("keys.txt");
    let shot = folder.path().join("shot.png");
    std::fs::write(&keys, "up 5\ndown 7\nup 3\n").unwrap();
    let pong = root().join("checkpoints/pong");
    let window = display.open(&[
        "play",
        "--checkpoint",
        path_str(&pong),
        "--device",
        "cpu",
        "--actions",
        path_str(&keys),
        "--record",
        path_str(&path),
    ]);
    // The file holds 15 actions.
    window.wait_for_changes(20, &shot);
    window.down("Down");
    window.wait_for_changes(4, &shot);
    window.up("Down");
    window.press("r");
    window.wait_for_changes(2, &shot);
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");

    let actions = Episode::read(&path).unwrap().actions;
    assert!(actions.len() > 20, "{actions:?}");
    assert_eq!(
        actions[1..16],
        [[1; 5].as_slice(), &[2; 7], &[1; 3]].concat()
    );
    assert!(actions[16..].contains(&2), "{actions:?}");
    let stdout = success(&["replay", path_str(&path), "--device", "cpu"]);
    let frames = actions.len();
    assert_eq!(
        stdout,
        format!("{frames} of {frames} frames are identical\n")
    );
}

/// On other systems the console sends Ctrl-C, which a test cannot do.
#[cfg(unix)]
#[test]
fn interrupted_export_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("clip.gif");
    let args = [
        "play",
        "--world",
        "drive",
        "--headless",
        "--frames",
        "1000",
        "--scale",
        "16",
        "--out",
    ];
    let mut child = command(&args)
        .arg(&out)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // An empty one is only the check that the folder can be written.
    wait("a temporary file that is being written", || {
        let mut files = folder.path().read_dir().unwrap().flatten();
        let written = |file: std::fs::DirEntry| file.metadata().is_ok_and(|file| file.len() > 0);
        files.any(written).then_some(())
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
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}
