//! Outputs that are refused before the work, and names that a terminal would obey.

use super::episodes::tiny_dataset;
use super::*;

/// `play --headless` of a maze; far too many frames to be played before the error.
fn play(out: &Path, more: &[&str]) -> Command {
    let mut command = driftless(&["play", "--world", "maze", "--headless", "--frames", "30000"]);
    command.arg("--out").arg(out).args(more);
    command
}

#[test]
fn outputs_are_checked_before_the_first_frame() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let old = at("old.gif");
    std::fs::write(&old, "mine").unwrap();
    for (name, expected) in [
        (
            "old.gif",
            "exists already; choose another name, or replace it with --overwrite",
        ),
        (
            "clip.xyz",
            "expected the extension .gif, .mp4 or .npz, or a folder",
        ),
        ("missing/clip.gif", "missing"),
    ] {
        assert_says(
            &failure(play(&at(name), &[])),
            &[name.split('/').next().unwrap(), expected],
        );
    }
    let mut stdout = play(Path::new("-"), &[]);
    stdout.current_dir(folder.path());
    assert_says(&failure(stdout), &["-: expected the extension"]);
    assert_eq!(std::fs::read(&old).unwrap(), b"mine");
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
}

#[test]
fn quiet_says_nothing_of_success() {
    let folder = tempfile::tempdir().unwrap();
    let said = |file: &str, more: &[&str]| {
        let mut command = driftless(&["play", "--world", "maze", "--headless", "--frames", "2"]);
        command
            .arg("--out")
            .arg(folder.path().join(file))
            .args(more);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(folder.path().join(file).exists());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said("a.npz", &[]).contains("wrote"));
    assert_eq!(said("b.npz", &["--quiet"]), "");
    assert!(said("c.npz", &["-v"]).contains("wrote"));
    // Errors are said.
    let error = failure(play(&folder.path().join("clip.xyz"), &["-q"]));
    assert_says(&error, &["clip.xyz"]);
}

#[test]
fn too_many_frames_are_refused_first() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("clip.npz");
    let mut command = driftless(&["play", "--world", "maze", "--headless", "--frames", "36000"]);
    command.arg("--out").arg(&out);
    assert_says(
        &failure(command),
        &["--frames 36000", "expected 1 to 35999"],
    );
    assert!(!out.exists());
}

#[test]
fn recordings_are_not_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.npz");
    std::fs::write(&old, "mine").unwrap();
    let command = |file: &str, more: &[&str]| {
        let mut command = driftless(&["play", "--world", "maze", "--record"]);
        command.arg(folder.path().join(file)).args(more);
        command
    };
    assert_says(
        &failure(command("old.npz", &[])),
        &["old.npz", "--overwrite"],
    );
    assert_says(&failure(command("missing/a.npz", &[])), &["missing"]);
    // With it, only the display is missing.
    assert_says(
        &failure(command("old.npz", &["--overwrite"])),
        &["no display"],
    );
    assert_eq!(std::fs::read(&old).unwrap(), b"mine");
}

#[test]
fn rollouts_are_not_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.npz");
    std::fs::write(&old, "mine").unwrap();
    let mut command = driftless(&[
        "rollout",
        "--clip",
        "8",
        "--horizon",
        "8",
        "--episode",
        "none.npz",
    ]);
    command.arg("--out").arg(&old);
    assert_says(&failure(command), &["old.npz", "--overwrite"]);
}

#[test]
fn names_from_files_cannot_command_the_terminal() {
    let data = tiny_dataset(4, |_| 0.0);
    let json = data.path().join("dataset.json");
    let text = std::fs::read_to_string(&json).unwrap();
    let named = text.replacen(
        "\"name\": \"",
        "\"name\": \"x\\u001b]0;evil\\u0007\\nsecond\\u009b",
        1,
    );
    assert_ne!(named, text);
    std::fs::write(&json, named).unwrap();
    let output = driftless(&["info".as_ref(), data.path().as_os_str()])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let first = printed.lines().next().unwrap();
    assert!(
        first.contains(r"x\u{1b}]0;evil\u{7}\nsecond\u{9b}"),
        "{printed}"
    );
    assert!(printed.chars().all(|c| c == '\n' || !c.is_control()));
}

#[test]
fn unbounded_measurements_are_refused_first() {
    let data = root().join("assets/pong");
    let huge = u64::MAX.to_string();
    for option in ["--horizon", "--free-frames"] {
        let mut command = driftless(&["eval", "--device", "cpu", option, &huge, "--data"]);
        command.arg(&data);
        assert_says(&failure(command), &["expected at most"]);
    }
    let command = driftless(&["bench", "--device", "cpu", "--frames", &huge]);
    assert_says(&failure(command), &["expected at most"]);
}

#[test]
fn pictures_are_not_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.png"), "").unwrap();
    let mut command = driftless(&["eval", "--data", "none", "--pictures"]);
    command.arg(folder.path());
    assert_says(&failure(command), &["is not empty", "--overwrite"]);
}

#[test]
fn capture_says_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("game");
    let capture = |more: &[&str]| {
        let out = out.to_str().unwrap();
        let args = ["capture", "--window", "Game", "--out", out];
        failure(driftless(&[&args[..], more].concat()))
    };
    assert_says(
        &capture(&["--keys", "Lfet"]),
        &["unknown key `Lfet`", "such as Left"],
    );
    assert_says(&capture(&["--keys", "Alt_L"]), &["Alt_L=F"]);
    let supported = if cfg!(all(unix, not(target_os = "macos"))) {
        "X11 display"
    } else {
        "not on this system"
    };
    assert_says(&capture(&["--keys", "Left"]), &[supported]);
    assert_says(&failure(driftless(&["capture", "--list"])), &[supported]);
    assert!(!out.exists());
}

#[test]
fn recover_says_what_there_is() {
    let home = tempfile::tempdir().unwrap();
    let mut command = driftless(&["recover"]);
    command.env("DRIFTLESS_HOME", home.path());
    let output = command.output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, b"no unfinished recordings\n");
    let other = home.path().join("a.journal");
    std::fs::write(&other, "none").unwrap();
    let mut command = driftless(&["recover"]);
    command.arg(&other);
    assert_says(&failure(command), &["a.journal: is not a journal"]);
}
