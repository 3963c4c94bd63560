//! What shells, scripts and `man` see: names of worlds, completions, manual pages, last lines.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use std::process::{Command, Output};

use common::path_str;

fn driftless(args: &[&str], home: &std::path::Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
    command.args(args).env("DRIFTLESS_HOME", home);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    output
}

fn stdout(args: &[&str], home: &std::path::Path) -> String {
    String::from_utf8(driftless(args, home).stdout).unwrap()
}

/// The last line on stderr.
fn last_words(args: &[&str], home: &std::path::Path) -> String {
    let stderr = String::from_utf8(driftless(args, home).stderr).unwrap();
    stderr.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn worlds_are_listed_and_named() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let broken = home.join("worlds/broken");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join("config.json"), "{").unwrap();
    let list = stdout(&["worlds"], home);
    for (name, kind) in [
        ("pong", "included"),
        ("maze", "included"),
        ("broken", "saved"),
        ("drive", "simulator"),
    ] {
        let is_it = |line: &str| line.starts_with(name) && line.contains(kind);
        assert!(list.lines().any(is_it), "{name} in {list}");
    }
    assert!(list.contains("cannot be played"), "{list}");
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&["worlds", "--json"], home)).unwrap();
    for world in json.as_array().unwrap() {
        let name = world["name"].as_str().unwrap();
        if world["problem"].is_null() {
            // Each listed name is one that the other commands know.
            let info = stdout(&["info", name], home);
            let has_kind = info.contains("frames/s") || info.contains("compounds trained");
            assert!(has_kind, "{name}: {info}");
        }
    }
}

#[test]
fn completions_know_every_command() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = stdout(&["completions", shell], home.path());
        for word in ["rollout", "self-test", "worlds"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn manual_has_a_page_for_each_command() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("man1");
    stdout(&["man", path_str(&out)], home.path());
    let page = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    assert!(page("driftless.1").contains(".TH driftless 1"));
    assert!(page("driftless-play.1").contains("headless"));
    assert!(!out.join("driftless-man.1").exists());
    let pages = out.read_dir().unwrap().count();
    let commands = stdout(&["help"], home.path());
    let listed = commands
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.trim_start().starts_with("help"));
    assert_eq!(pages, 1 + listed.count());
}

#[test]
fn last_line_says_what_was_written() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let clip = home.join("it's a clip.npz");
    let play = [
        "play",
        "--headless",
        "--frames",
        "14",
        "--device",
        "cpu",
        "--out",
    ];
    let last = last_words(&[&play[..], &[path_str(&clip)]].concat(), home);
    assert!(
        last.starts_with("wrote ") && last.contains("driftless replay '"),
        "{last}"
    );
    let predicted = home.join("predicted.npz");
    let rollout = [
        "rollout",
        "--device",
        "cpu",
        "--horizon",
        "2",
        "--episode",
        path_str(&clip),
    ];
    let last = last_words(
        &[&rollout[..], &["--out", path_str(&predicted)]].concat(),
        home,
    );
    assert!(last.contains("predicted.npz; 2 predicted frames"), "{last}");
    // As a picture, with the clip and the frames just predicted to the left.
    let picture = home.join("beside.gif");
    let beside = [
        // The old name.
        "--beside",
        path_str(&clip),
        "--compare-with",
        path_str(&predicted),
    ];
    let out = ["--scale", "1", "--out", path_str(&picture)];
    stdout(&[&rollout[..], &beside, &out].concat(), home);
    let gif = std::fs::read(&picture).unwrap();
    let size = [6, 8].map(|at| u16::from_le_bytes([gif[at], gif[at + 1]]));
    assert_eq!(size, [3 * 64, 64]);
}

#[test]
fn training_ends_with_how_to_play() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let (data, run) = (home.join("data"), home.join("run"));
    let record = [
        "record",
        "--world",
        "maze",
        "--frames",
        "60",
        "--episode-frames",
        "60",
    ];
    stdout(&[&record[..], &["--out", path_str(&data)]].concat(), home);
    let train = |network, more: &[&str]| {
        let paths = ["--data", path_str(&data), "--out", path_str(&run)];
        let size = ["--preset", "tiny", "--device", "cpu", "--max-steps", "1"];
        last_words(
            &[&["train", network][..], &paths, &size, more].concat(),
            home,
        )
    };
    let short = home.join("short");
    let paths = ["--data", path_str(&data), "--out", path_str(&short)];
    let limits = [
        "--preset",
        "tiny",
        "--device",
        "cpu",
        "--max-minutes",
        "0.000001",
    ];
    let last = last_words(&[&["train", "all"][..], &paths, &limits].concat(), home);
    assert!(last.contains("driftless train all --resume"), "{last}");
    let last = train("tokenizer", &[]);
    assert!(last.contains("driftless train dynamics --resume"), "{last}");
    let last = train("dynamics", &["--resume"]);
    assert!(last.contains("driftless play --checkpoint"), "{last}");
    assert!(last.contains("run/checkpoint"), "{last}");
}
