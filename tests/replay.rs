//! Sessions of the shipped worlds and of the simulators, recorded by the world-model thread and
//! played again by the command line; and what the command line writes.

#![allow(clippy::unwrap_used, clippy::panic)]

mod display;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use display::Display;
use driftless::workspace::Game;
use driftless_data::Episode;
use driftless_engine::{DeviceChoice, SamplerParams, Seat, Solver};
use driftless_sim::{Frame, Options, Pace, Sim};
use driftless_worlds::Kind;
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
    command.current_dir(root()).args(args);
    // Without it a graphics driver may have something to say.
    command.env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"));
    command
}

fn driftless(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn success(args: &[&str]) -> String {
    let output = driftless(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs to exit status 1; returns the one line that it said.
fn failure(args: &[&str]) -> String {
    let output = driftless(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    stderr
}

/// Records a game frame by frame, as a window would.
fn record(folder: &TempDir, game: &Game, commands: &[driftless_sim::Command]) -> PathBuf {
    let path = folder.path().join("played.npz");
    let options = Options {
        player: Arc::clone(&game.player),
        seat: Seat::Own,
        from: None,
        context: game.first_context,
        actions: Arc::default(),
        params: SamplerParams::default(),
        free_seed: true,
        ends_restart: true,
        pace: Pace::Unlimited,
        paused: true,
        record: Some(path.clone()),
    };
    let sim = Sim::spawn(options, None, || {}).unwrap();
    let next = || -> Frame { sim.frames().recv_timeout(Duration::from_secs(120)).unwrap() };
    next();
    for command in commands {
        let quiet = matches!(
            command,
            driftless_sim::Command::Held { .. }
                | driftless_sim::Command::Params(_)
                | driftless_sim::Command::FreeSeed(_)
        );
        sim.send(command.clone());
        if !quiet {
            next();
        }
    }
    sim.finish().session.unwrap().write().unwrap();
    path
}

fn held(action: u32) -> driftless_sim::Command {
    let since = Instant::now();
    driftless_sim::Command::Held { action, since }
}

/// Two starts of context 0 and one of the next, under keys and other parameters on the way.
fn commands() -> Vec<driftless_sim::Command> {
    use driftless_sim::Command::{FreeSeed, NextContext, Params, Reset, Step};
    let plain = SamplerParams::default();
    let euler = SamplerParams {
        solver: Solver::Euler,
        steps: 3,
        shift: 1.7,
        churn: 0.3,
        temperature: 0.9,
        ..plain
    };
    let short = SamplerParams {
        steps: 2,
        context: 5,
        context_signal: 0.8,
        seed: u64::MAX - 5,
        ..plain
    };
    vec![
        Step,
        held(1),
        Step,
        Step,
        Params(euler),
        Step,
        held(2),
        Step,
        Reset,
        Step,
        FreeSeed(false),
        Params(short),
        Step,
        Step,
        NextContext,
        held(0),
        Step,
        Params(plain),
        Step,
    ]
}

#[test]
fn a_recorded_game_of_pong_is_replayed_to_the_bit_and_a_changed_one_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let pong = root().join("checkpoints/pong");
    let game = Game::learned(&pong, DeviceChoice::Cpu, None).unwrap();
    let path = record(&folder, &game, &commands());
    let replay = ["replay", text(&path), "--device", "cpu"];
    assert_eq!(success(&replay), "13 of 13 frames are identical\n");

    // Written again, the replay is the session.
    let again = folder.path().join("again.npz");
    let args = [&replay[..], &["--json", "--out", text(&again)]].concat();
    let said: serde_json::Value = serde_json::from_str(&success(&args)).unwrap();
    assert_eq!(
        (&said["frames"], &said["identical"]),
        (&13.into(), &13.into())
    );
    assert_eq!(said["first"], serde_json::Value::Null);
    assert_eq!(said["recorded"]["world"], "Pong");
    let recorded = Episode::read(&path).unwrap();
    assert!(Episode::read(&again).unwrap() == recorded);
    let gif = folder.path().join("clip.gif");
    success(&[&replay[..], &["--out", text(&gif), "--scale", "1"]].concat());
    assert!(gif.metadata().unwrap().len() > 1000);

    let mut other = recorded.clone();
    other.images[12 * 64 * 64 * 3 + 5] ^= 1;
    other.write(&path).unwrap();
    let said = failure(&replay);
    assert!(said.contains("12 of 13 frames are identical"), "{said}");
    assert!(
        said.contains("the first that differs is frame 12 (2 after its start)"),
        "{said}"
    );
    let mut other = recorded.clone();
    other.actions[4] = 1 - other.actions[4].min(1);
    other.write(&path).unwrap();
    assert!(failure(&replay).contains("the first that differs is frame 4"));
    let args = [&replay[..], &["--json"]].concat();
    let output = driftless(&args);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &said["first"]["frame"]),
        (Some(1), &4.into())
    );

    // In another world of the same frames, that is said.
    recorded.write(&path).unwrap();
    let said = failure(&[&replay[..], &["--checkpoint", "breakout"]].concat());
    assert!(
        said.contains("recorded with Pong, replayed with Breakout"),
        "{said}"
    );
}

#[test]
fn a_game_from_a_file_is_replayed_without_that_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("episode.npz");
    std::fs::copy(root().join("assets/pong/episode_00000.npz"), &file).unwrap();
    let pong = root().join("checkpoints/pong");
    let game = Game::learned(&pong, DeviceChoice::Cpu, Some(text(&file))).unwrap();
    let steps = [
        driftless_sim::Command::Step,
        held(1),
        driftless_sim::Command::Step,
    ];
    let path = record(&folder, &game, &steps);
    std::fs::remove_file(&file).unwrap();
    let said = success(&["replay", text(&path), "--device", "cpu"]);
    assert_eq!(said, "3 of 3 frames are identical\n");
}

#[test]
fn what_is_played_headless_is_replayed_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("played.npz");
    success(&[
        "play",
        "--headless",
        "--device",
        "cpu",
        "--context",
        "3",
        "--frames",
        "6",
        "--steps",
        "2",
        "--out",
        text(&path),
    ]);
    let said = success(&["replay", text(&path), "--device", "cpu"]);
    assert_eq!(said, "7 of 7 frames are identical\n");
}

#[test]
fn a_recorded_simulator_is_replayed_from_its_seeds() {
    use driftless_sim::Command::{NextContext, Reset, Step};
    let folder = tempfile::tempdir().unwrap();
    let game = Game::simulator(Kind::Maze);
    let path = record(
        &folder,
        &game,
        &[held(3), Step, Step, Reset, Step, NextContext, Step],
    );
    let said = success(&["replay", text(&path)]);
    assert_eq!(said, "7 of 7 frames are identical\n");
    assert_eq!(success(&["replay", text(&path), "--world", "maze"]), said);
    let said = failure(&["replay", text(&path), "--world", "drive"]);
    assert!(
        said.contains("recorded with Maze, replayed with Drive"),
        "{said}"
    );
    let said = failure(&["replay", text(&path), "--checkpoint", "maze"]);
    assert!(said.contains("is a session of a simulator"), "{said}");
}

#[test]
fn what_cannot_be_replayed_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let said = failure(&["replay", "assets/pong/episode_00000.npz"]);
    assert!(said.contains("array `number`: missing"), "{said}");
    let full = folder.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("mine"), "").unwrap();
    let game = Game::simulator(Kind::Maze);
    let path = record(&folder, &game, &[driftless_sim::Command::Step]);
    let said = failure(&["replay", text(&path), "--out", text(&full)]);
    assert!(said.contains("is not empty"), "{said}");
    let args = ["replay", text(&path), "--world", "maze", "--device", "cpu"];
    assert_eq!(driftless(&args).status.code(), Some(2));
    let args = ["replay", text(&path), "--fps", "10"];
    assert_eq!(driftless(&args).status.code(), Some(2));
}

#[test]
fn without_ffmpeg_an_mp4_says_what_it_needs_before_anything_is_played() {
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
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("clip.mp4: this needs ffmpeg, which is not installed; export a .gif instead"),
        "{said}"
    );
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn actions_that_the_world_does_not_have_are_refused_before_anything_is_played() {
    let folder = tempfile::tempdir().unwrap();
    let maze = record(
        &folder,
        &Game::simulator(Kind::Maze),
        &[held(7), driftless_sim::Command::Step],
    );
    let said = failure(&["play", "--actions", text(&maze)]);
    assert!(
        said.contains("array `action`: holds 7, expected 0 to 2"),
        "{said}"
    );
    let file = folder.path().join("keys.txt");
    std::fs::write(&file, "up 3\nsideways").unwrap();
    let said = failure(&["play", "--actions", text(&file)]);
    assert!(said.contains("line 2: unknown action 'sideways'"), "{said}");
}

#[test]
fn a_window_plays_a_files_actions_and_then_the_persons_and_its_recording_is_replayed() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (path, keys) = (
        folder.path().join("played.npz"),
        folder.path().join("keys.txt"),
    );
    std::fs::write(&keys, "up 5\ndown 7\nup 3\n").unwrap();
    let pong = root().join("checkpoints/pong");
    let window = display.open(&[
        "play",
        "--checkpoint",
        text(&pong),
        "--device",
        "cpu",
        "--actions",
        text(&keys),
        "--record",
        text(&path),
    ]);
    // A second of play, on a machine that may be busy.
    std::thread::sleep(Duration::from_secs(5));
    window.down("Down");
    std::thread::sleep(Duration::from_secs(1));
    window.up("Down");
    window.press("r");
    std::thread::sleep(Duration::from_secs(1));
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");

    let actions = Episode::read(&path).unwrap().actions;
    assert!(actions.len() > 20, "{actions:?}");
    assert_eq!(
        actions[1..16],
        [[1; 5].as_slice(), &[2; 7], &[1; 3]].concat()
    );
    assert!(actions[16..].contains(&2), "{actions:?}");
    let said = success(&["replay", text(&path), "--device", "cpu"]);
    let frames = actions.len();
    assert_eq!(said, format!("{frames} of {frames} frames are identical\n"));
}

/// Ctrl-C arrives as a signal; elsewhere the console would have to send it.
#[cfg(unix)]
#[test]
fn an_interrupted_export_leaves_nothing_behind() {
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
    display::wait("a temporary file", || {
        let begun = folder.path().read_dir().unwrap().next().is_some();
        begun.then_some(())
    });
    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status();
    assert!(killed.unwrap().success());
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(said.contains("interrupted; nothing was written"), "{said}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}
