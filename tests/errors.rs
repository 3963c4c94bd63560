//! Failures: one line on stderr, exit status 1, and no file is damaged.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

#[path = "errors/episodes.rs"]
mod episodes;
#[path = "errors/outputs.rs"]
mod outputs;
#[path = "errors/training.rs"]
mod training;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn driftless<S: AsRef<OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
    command.args(args);
    for variable in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"] {
        command.env_remove(variable);
    }
    // Without it a graphics driver may print a warning.
    command.env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// Runs a command that must fail with exit status 1; returns its one line on stderr.
fn failure(mut command: Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{command:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{command:?}: {stderr}");
    assert!(stderr.starts_with("driftless: "), "{stderr}");
    stderr
}

fn success(mut command: Command) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
}

/// A copy of an included world, to damage.
fn world() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(root().join("checkpoints/pong")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

/// The error when a damaged world is played headless. The output file must stay untouched.
fn error_after(damage: impl Fn(&Path)) -> String {
    let folder = world();
    damage(folder.path());
    let out = folder.path().join("out.npz");
    std::fs::write(&out, "an earlier recording").unwrap();
    let error = failure(driftless(&[
        "play".as_ref(),
        "--checkpoint".as_ref(),
        folder.path().as_os_str(),
        "--headless".as_ref(),
        "--frames".as_ref(),
        "2".as_ref(),
        "--overwrite".as_ref(),
        "--out".as_ref(),
        out.as_os_str(),
    ]));
    assert_eq!(
        std::fs::read_to_string(&out).unwrap(),
        "an earlier recording"
    );
    error
}

fn cut(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn edit_config(world: &Path, edit: impl Fn(&mut serde_json::Value)) {
    let path = world.join("config.json");
    let mut config = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    edit(&mut config);
    std::fs::write(&path, config.to_string()).unwrap();
}

fn assert_says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    for args in [
        vec!["fly"],
        vec!["play", "--fps", "fast"],
        vec!["play", "--threads", "0"],
        vec!["bench", "--threads", "1,many"],
        vec!["play", "--headless"],
        vec!["train", "all"],
        vec!["rollout", "--episode", "a.npz"],
        vec!["eval"],
        vec!["eval", "--memory", "--data", "assets/pong"],
        vec!["eval", "--timed-frames", "100", "--data", "assets/pong"],
        vec!["likelihood"],
        vec!["likelihood", "--episode", "a.npz", "--frames", "12-40"],
        vec!["import", "--from", "vpt", "videos"],
        vec!["import", "--from", "zip", "a", "--out", "b"],
        vec![
            "import", "--from", "vpt", "a", "--out", "b", "--size", "0x64",
        ],
        vec!["shard", "--data", "a"],
        vec!["shard", "--data", "a", "--out", "b", "--shard-mib", "0"],
        vec![
            "train",
            "all",
            "--data",
            "a",
            "--out",
            "b",
            "--shard-cache-mib",
            "9",
        ],
    ] {
        let output = driftless(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{args:?}"
        );
    }
}

#[test]
fn bad_checkpoint_folder_is_named() {
    let error = failure(driftless(&["play", "--checkpoint", "no/such/world"]));
    assert_says(
        &error,
        &["no/such/world", "config.json", "dynamics.safetensors"],
    );
    let error = failure(driftless(&["play", "--checkpoint", "no-such-world"]));
    assert_says(&error, &["no-such-world", "no such world", "known: pong"]);
    for command in ["play", "rollout", "eval", "likelihood", "bench"] {
        let file = root().join("assets/pong/episode_00000.npz");
        let file = file.as_os_str();
        let mut arguments: Vec<&OsStr> = vec![command.as_ref()];
        match command {
            "rollout" => arguments.extend([
                "--episode".as_ref(),
                file,
                "--out".as_ref(),
                "o.npz".as_ref(),
            ]),
            "eval" => arguments.extend(["--data".as_ref(), file]),
            "likelihood" => arguments.extend(["--episode".as_ref(), file]),
            _ => {}
        }
        arguments.extend::<[&OsStr; 2]>(["--checkpoint".as_ref(), "pongg".as_ref()]);
        assert_says(
            &failure(driftless(&arguments)),
            &["pongg", "did you mean pong?"],
        );
    }
    assert_says(
        &failure(driftless(&["info", "pongg"])),
        &["did you mean pong?"],
    );
    let empty = tempfile::tempdir().unwrap();
    for command in [
        ["play", "--checkpoint"].as_slice(),
        &["bench", "--checkpoint"],
    ] {
        let mut command: Vec<&OsStr> = command.iter().map(OsStr::new).collect();
        command.push(empty.path().as_os_str());
        let error = failure(driftless(&command));
        assert_says(
            &error,
            &["contains no config.json", "expected a checkpoint"],
        );
    }
    let file = root().join("Cargo.toml");
    let error = failure(driftless(&[
        "play".as_ref(),
        "--checkpoint".as_ref(),
        file.as_os_str(),
    ]));
    assert_says(
        &error,
        &["Cargo.toml", "is a file", "expected a checkpoint"],
    );
    let error = error_after(|world| std::fs::remove_file(world.join("config.json")).unwrap());
    assert_says(&error, &["config.json"]);
    let error =
        error_after(|world| std::fs::remove_file(world.join("tokenizer.safetensors")).unwrap());
    assert_says(&error, &["tokenizer.safetensors"]);
    let error = error_after(|world| std::fs::remove_file(world.join("contexts.npz")).unwrap());
    assert_says(&error, &["contexts.npz"]);
}

#[test]
fn bad_weights_are_refused() {
    let error = error_after(|world| cut(&world.join("tokenizer.safetensors")));
    assert_says(
        &error,
        &["tokenizer.safetensors", "not a complete safetensors file"],
    );
    let error = error_after(|world| cut(&world.join("dynamics.safetensors")));
    assert_says(
        &error,
        &["dynamics.safetensors", "not a complete safetensors file"],
    );
    let error = error_after(|world| {
        std::fs::copy(
            world.join("tokenizer.safetensors"),
            world.join("dynamics.safetensors"),
        )
        .unwrap();
    });
    assert_says(
        &error,
        &["dynamics.safetensors", "no tensor '", "expected shape"],
    );
}

#[test]
fn bad_config_is_refused() {
    let error = error_after(|world| edit_config(world, |c| c["dynamics"]["mlp"] = 24.into()));
    assert_says(&error, &["dynamics.safetensors", "expected"]);
    let error = error_after(|world| edit_config(world, |c| c["tokenizer"]["width"] = 24.into()));
    assert_says(&error, &["tokenizer.safetensors", "expected"]);
    let error = error_after(|world| edit_config(world, |c| c["format"] = 99.into()));
    assert_says(&error, &["config.json", "format is 99", "expected 1"]);
    let error = error_after(|world| edit_config(world, |c| c["dynamics"]["flux"] = 1.into()));
    assert_says(&error, &["config.json", "unknown field `flux`"]);
    let error = error_after(|world| std::fs::write(world.join("config.json"), "{").unwrap());
    assert_says(&error, &["config.json"]);
}

#[test]
fn unknown_key_binding_is_named() {
    let world = world();
    edit_config(world.path(), |config| {
        config["actions"][1]["keys"] = serde_json::json!(["Upwards"]);
    });
    let error = failure(driftless(&[
        "play".as_ref(),
        "--checkpoint".as_ref(),
        world.path().as_os_str(),
    ]));
    assert_says(&error, &["`Upwards`", "`ArrowUp`"]);
}

#[test]
fn cells_have_no_frames_to_play() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("config.json"),
        r#"{"kind": "transport"}"#,
    )
    .unwrap();
    for option in [["--fps", "3"], ["--record", "out.npz"], ["--clip", "1"]] {
        let mut command = driftless(&["play", "--checkpoint"]);
        command.arg(folder.path()).args(option);
        let error = failure(command);
        assert_says(&error, &["pictures of cells", option[0]]);
    }
}

#[test]
fn out_of_range_arguments_are_named() {
    for (args, parts) in [
        (["--fps", "0"], ["--fps 0", "expected above 0"]),
        (["--context", "9999"], ["--clip 9999", "starting clips"]),
        (["--clip", "no/such.npz"], ["no/such.npz", "No such file"]),
    ] {
        let mut command = driftless(&["play"]);
        command.current_dir(root()).args(args);
        assert_says(&failure(command), &parts);
    }
}

#[test]
fn video_clip_needs_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("video.mp4");
    std::fs::write(&video, "").unwrap();
    let mut command = driftless(&["play", "--clip"]);
    command.arg(&video).current_dir(root());
    command.env("PATH", folder.path());
    assert_says(
        &failure(command),
        &["video.mp4", "needs ffmpeg", "install it", ".gif"],
    );
}

#[test]
fn memory_is_measured_in_the_maze_only() {
    let mut command = driftless(&[
        "eval",
        "--checkpoint",
        "checkpoints/pong",
        "--memory",
        "--device",
        "cpu",
    ]);
    command.current_dir(root());
    assert_says(&failure(command), &["Pong", "expected a world of the maze"]);
}

#[cfg(target_os = "linux")]
#[test]
fn unwritable_stdout_fails() {
    let mut command = driftless(&["info"]);
    command.arg(root().join("assets/pong"));
    command.stdout(std::fs::File::create("/dev/full").unwrap());
    let output = command
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_says(
        &String::from_utf8(output.stderr).unwrap(),
        &["stdout", "No space left"],
    );
}
