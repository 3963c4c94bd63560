//! What goes wrong is said in one line on stderr with exit status 1, and nothing is lost.

#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use driftless_data::npz::Writer;
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
    // Without it a graphics driver may have something to say.
    command.env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// Runs to exit status 1; returns the one line that it said.
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

/// A copy of the shipped world to damage.
fn world() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(root().join("checkpoints/pong")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

/// What the headless player says of a world after `damage`; it must leave the file to write alone.
fn complaint_after(damage: impl Fn(&Path)) -> String {
    let folder = world();
    damage(folder.path());
    let out = folder.path().join("out.npz");
    std::fs::write(&out, "an earlier recording").unwrap();
    let said = failure(driftless(&[
        "play".as_ref(),
        "--checkpoint".as_ref(),
        folder.path().as_os_str(),
        "--headless".as_ref(),
        "--frames".as_ref(),
        "2".as_ref(),
        "--out".as_ref(),
        out.as_os_str(),
    ]));
    assert_eq!(
        std::fs::read_to_string(&out).unwrap(),
        "an earlier recording"
    );
    said
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

fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

#[test]
fn wrong_usage_is_status_2() {
    for args in [
        vec!["fly"],
        vec!["play", "--fps", "fast"],
        vec!["play", "--headless"],
        vec!["train", "all"],
        vec!["rollout", "--episode", "a.npz"],
        vec!["likelihood"],
        vec!["likelihood", "--episode", "a.npz", "--frames", "12-40"],
        vec!["import", "--from", "vpt", "videos"],
        vec!["import", "--from", "zip", "a", "--out", "b"],
        vec![
            "import", "--from", "vpt", "a", "--out", "b", "--size", "0x64",
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
fn a_folder_that_is_no_checkpoint_is_named_with_what_was_expected() {
    let said = failure(driftless(&["play", "--checkpoint", "no/such/world"]));
    assert_says(
        &said,
        &["no/such/world", "config.json", "dynamics.safetensors"],
    );
    let said = failure(driftless(&["play", "--checkpoint", "no-such-world"]));
    assert_says(&said, &["no-such-world", "shipped world"]);
    let said = complaint_after(|world| std::fs::remove_file(world.join("config.json")).unwrap());
    assert_says(&said, &["config.json"]);
    let said =
        complaint_after(|world| std::fs::remove_file(world.join("tokenizer.safetensors")).unwrap());
    assert_says(&said, &["tokenizer.safetensors"]);
    let said = complaint_after(|world| std::fs::remove_file(world.join("contexts.npz")).unwrap());
    assert_says(&said, &["contexts.npz"]);
}

#[test]
fn weights_that_are_cut_off_or_of_another_network_are_refused() {
    let said = complaint_after(|world| cut(&world.join("tokenizer.safetensors")));
    assert_says(
        &said,
        &["tokenizer.safetensors", "not a complete safetensors file"],
    );
    let said = complaint_after(|world| cut(&world.join("dynamics.safetensors")));
    assert_says(
        &said,
        &["dynamics.safetensors", "not a complete safetensors file"],
    );
    let said = complaint_after(|world| {
        std::fs::copy(
            world.join("tokenizer.safetensors"),
            world.join("dynamics.safetensors"),
        )
        .unwrap();
    });
    assert_says(
        &said,
        &["dynamics.safetensors", "no tensor '", "expected shape"],
    );
}

#[test]
fn a_configuration_that_does_not_fit_is_refused_with_what_was_expected() {
    let said = complaint_after(|world| edit_config(world, |c| c["dynamics"]["mlp"] = 24.into()));
    assert_says(&said, &["dynamics.safetensors", "expected"]);
    let said = complaint_after(|world| edit_config(world, |c| c["tokenizer"]["width"] = 24.into()));
    assert_says(&said, &["tokenizer.safetensors", "expected"]);
    let said = complaint_after(|world| edit_config(world, |c| c["format"] = 99.into()));
    assert_says(&said, &["config.json", "format is 99", "expected 1"]);
    let said = complaint_after(|world| edit_config(world, |c| c["dynamics"]["flux"] = 1.into()));
    assert_says(&said, &["config.json", "unknown field `flux`"]);
    let said = complaint_after(|world| std::fs::write(world.join("config.json"), "{").unwrap());
    assert_says(&said, &["config.json"]);
}

#[test]
fn an_unknown_key_in_a_binding_is_named_before_a_window_opens() {
    let world = world();
    edit_config(world.path(), |config| {
        config["actions"][1]["keys"] = serde_json::json!(["Upwards"]);
    });
    let said = failure(driftless(&[
        "play".as_ref(),
        "--checkpoint".as_ref(),
        world.path().as_os_str(),
    ]));
    assert_says(&said, &["`Upwards`", "`ArrowUp`"]);
}

#[test]
fn arguments_out_of_range_are_named() {
    for (args, parts) in [
        (["--fps", "0"], ["--fps 0", "expected above 0"]),
        (
            ["--context", "9999"],
            ["--context 9999", "starting contexts"],
        ),
        (
            ["--context", "no/such.npz"],
            ["no/such.npz", "No such file"],
        ),
    ] {
        let mut command = driftless(&["play"]);
        command.current_dir(root()).args(args);
        assert_says(&failure(command), &parts);
    }
}

#[test]
fn a_film_to_start_from_asks_for_ffmpeg_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.mp4");
    std::fs::write(&film, "").unwrap();
    let mut command = driftless(&["play", "--context"]);
    command.arg(&film).current_dir(root());
    command.env("PATH", folder.path());
    assert_says(
        &failure(command),
        &["film.mp4", "needs ffmpeg", "install it", ".gif"],
    );
}

/// An episode of two small frames, after `arrays` have been added.
fn episode(folder: &Path, arrays: impl Fn(&mut Writer)) -> PathBuf {
    let path = folder.join("episode.npz");
    let mut file = Writer::new(&path);
    arrays(&mut file);
    file.save().unwrap();
    path
}

#[test]
fn an_episode_that_does_not_fit_the_format_is_refused_by_array() {
    let folder = tempfile::tempdir().unwrap();
    let shape = [2, 8, 8, 3];
    let said = |path: &Path| failure(driftless(&["info".as_ref(), path.as_os_str()]));

    let no_actions = episode(folder.path(), |file| {
        file.add("image", &shape, &[0_u8; 384]).unwrap();
    });
    assert_says(&said(&no_actions), &["episode.npz", "action"]);
    let wrong_dtype = episode(folder.path(), |file| {
        file.add("image", &shape, &[0_f32; 384]).unwrap();
        file.add("action", &[2], &[0_i32; 2]).unwrap();
    });
    assert_says(
        &said(&wrong_dtype),
        &["`image`", "float32", "expected uint8"],
    );
    let wrong_length = episode(folder.path(), |file| {
        file.add("image", &shape, &[0_u8; 384]).unwrap();
        file.add("action", &[3], &[0_i32; 3]).unwrap();
    });
    assert_says(
        &said(&wrong_length),
        &["`action`", "length is 3", "expected 2"],
    );
    let cut_off = episode(folder.path(), |file| {
        file.add("image", &shape, &[0_u8; 384]).unwrap();
        file.add("action", &[2], &[0_i32; 2]).unwrap();
    });
    cut(&cut_off);
    assert_says(&said(&cut_off), &["episode.npz"]);
    assert_says(
        &said(&folder.path().join("missing.npz")),
        &["missing.npz", "No such file"],
    );
}

#[test]
fn an_episode_of_another_world_is_not_rolled_out() {
    let folder = tempfile::tempdir().unwrap();
    let small = episode(folder.path(), |file| {
        file.add("image", &[40, 8, 8, 3], &[0_u8; 40 * 192])
            .unwrap();
        file.add("action", &[40], &[0_i32; 40]).unwrap();
    });
    let out = folder.path().join("out.npz");
    let mut command = driftless(&["rollout", "--horizon", "4", "--episode"]);
    command
        .current_dir(root())
        .arg(&small)
        .arg("--out")
        .arg(&out);
    failure(command);
    assert!(!out.exists());
}

#[test]
fn likelihoods_that_cannot_be_had_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let said = |episode: &Path, more: &[&str]| {
        let mut command = driftless(&["likelihood", "--episode"]);
        command.current_dir(root()).arg(episode).args(more);
        failure(command)
    };
    let real = root().join("assets/pong/episode_00000.npz");
    for (more, parts) in [
        (["--frames", "5..40"], ["frames 5..40", "12 ≤ A < B ≤ 450"]),
        (["--frames", "440..451"], ["frames 440..451", "≤ 450"]),
        (["--frames", "40..40"], ["frames 40..40", "A < B"]),
        (["--level", "1"], ["level is 1", "at most 0.99"]),
        (["--level", "0"], ["level is 0", "above 0"]),
        (["--probes", "0"], ["probes is 0", "at least 1"]),
        (["--steps", "0"], ["steps is 0", "at least 1"]),
        (["--context-signal", "1.5"], ["1.5", "at most 1"]),
    ] {
        assert_says(&said(&real, &more), &parts);
    }
    let small = episode(folder.path(), |file| {
        file.add("image", &[40, 8, 8, 3], &[0_u8; 40 * 192])
            .unwrap();
        file.add("action", &[40], &[0_i32; 40]).unwrap();
    });
    assert_says(&said(&small, &[]), &["episode.npz", "8×8", "64×64"]);
    let short = episode(folder.path(), |file| {
        let frames = vec![0_u8; 12 * 64 * 64 * 3];
        file.add("image", &[12, 64, 64, 3], &frames).unwrap();
        file.add("action", &[12], &[0_i32; 12]).unwrap();
    });
    assert_says(&said(&short, &[]), &["has 12 frames", "at least 13"]);
    assert_says(&said(Path::new("no.npz"), &[]), &["no.npz", "No such file"]);
}

/// Networks so small that a few steps take no time.
const TINY: &str = "
[tokenizer_shape]
width = 8
blocks = 1
[dynamics_shape]
stem_width = 8
width = 16
depth = 2
heads = 2
mlp = 16
[tokenizer]
batch_size = 4
[dynamics]
batch_size = 1
";

fn train(out: &Path, steps: &str, more: &[&str]) -> Command {
    let config = out.with_extension("toml");
    if !config.exists() {
        std::fs::write(&config, TINY).unwrap();
    }
    let mut command = driftless(&["train", "all", "--max-steps", steps, "--config"]);
    command
        .arg(config)
        .arg("--data")
        .arg(root().join("assets/pong"))
        .arg("--out")
        .arg(out);
    command.args(more);
    command
}

/// Every file of a folder and what it holds.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(contents(&path)),
            false => all.push((path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    all.sort();
    all
}

#[test]
fn data_that_is_no_dataset_is_refused_before_a_run_begins() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut command = driftless(&["train", "all", "--data"]);
    command.arg(folder.path()).arg("--out").arg(&out);
    assert_says(&failure(command), &["dataset.json"]);
    assert!(!out.exists());
}

#[test]
fn a_run_is_neither_overwritten_nor_resumed_as_another_network() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    success(train(&out, "2", &[]));
    let before = contents(&out);
    assert_says(&failure(train(&out, "2", &[])), &["--resume"]);
    assert_eq!(contents(&out), before);
    std::fs::write(
        out.with_extension("toml"),
        TINY.replace("width = 8", "width = 16"),
    )
    .unwrap();
    failure(train(&out, "4", &["--resume"]));
    let checkpoint = |files: &[(PathBuf, Vec<u8>)]| -> Vec<(PathBuf, Vec<u8>)> {
        let kept = files
            .iter()
            .filter(|(path, _)| path.starts_with(out.join("checkpoint")));
        kept.cloned().collect()
    };
    assert!(
        checkpoint(&contents(&out)) == checkpoint(&before),
        "the checkpoint has changed"
    );
}

/// A full disk, as far as it can be had without privileges: writing past a size fails.
#[cfg(unix)]
#[test]
fn a_disk_without_room_ends_training_and_leaves_the_last_state_whole() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    success(train(&out, "2", &[]));
    let checkpoint = contents(&out.join("checkpoint"));
    let resumed = train(&out, "4", &["--resume"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\""]);
    limited.arg(resumed.get_program()).args(resumed.get_args());
    let said = failure(limited);
    assert_says(&said, &["run", "too large"]);
    assert!(
        contents(&out.join("checkpoint")) == checkpoint,
        "the checkpoint has changed"
    );
    success(train(&out, "4", &["--resume"]));
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure() {
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
