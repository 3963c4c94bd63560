//! Episodes and datasets that cannot be used.

use driftless_data::npz::NpzWriter;

use super::*;

/// An episode file with the arrays that `arrays` adds.
fn episode(folder: &Path, arrays: impl Fn(&mut NpzWriter)) -> PathBuf {
    let path = folder.join("episode.npz");
    let mut file = NpzWriter::new(&path);
    arrays(&mut file);
    file.save().unwrap();
    path
}

#[test]
fn bad_episode_arrays_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let shape = [2, 8, 8, 3];
    let error = |path: &Path| failure(driftless(&["info".as_ref(), path.as_os_str()]));

    let no_actions = episode(folder.path(), |file| {
        file.add("image", &shape, &[0_u8; 384]).unwrap();
    });
    assert_says(&error(&no_actions), &["episode.npz", "action"]);
    let wrong_dtype = episode(folder.path(), |file| {
        file.add("image", &shape, &[0_f32; 384]).unwrap();
        file.add("action", &[2], &[0_i32; 2]).unwrap();
    });
    assert_says(
        &error(&wrong_dtype),
        &["`image`", "float32", "expected uint8"],
    );
    let wrong_length = episode(folder.path(), |file| {
        file.add("image", &shape, &[0_u8; 384]).unwrap();
        file.add("action", &[3], &[0_i32; 3]).unwrap();
    });
    assert_says(
        &error(&wrong_length),
        &["`action`", "length is 3", "expected 2"],
    );
    let cut_off = episode(folder.path(), |file| {
        file.add("image", &shape, &[0_u8; 384]).unwrap();
        file.add("action", &[2], &[0_i32; 2]).unwrap();
    });
    cut(&cut_off);
    assert_says(&error(&cut_off), &["episode.npz"]);
    assert_says(
        &error(&folder.path().join("missing.npz")),
        &["missing.npz", "No such file"],
    );
}

#[test]
fn rollout_refuses_other_worlds() {
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
fn likelihood_checks_its_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let error = |episode: &Path, more: &[&str]| {
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
        assert_says(&error(&real, &more), &parts);
    }
    let small = episode(folder.path(), |file| {
        file.add("image", &[40, 8, 8, 3], &[0_u8; 40 * 192])
            .unwrap();
        file.add("action", &[40], &[0_i32; 40]).unwrap();
    });
    assert_says(&error(&small, &[]), &["episode.npz", "8×8", "64×64"]);
    let short = episode(folder.path(), |file| {
        let frames = vec![0_u8; 12 * 64 * 64 * 3];
        file.add("image", &[12, 64, 64, 3], &frames).unwrap();
        file.add("action", &[12], &[0_i32; 12]).unwrap();
    });
    assert_says(&error(&short, &[]), &["has 12 frames", "at least 13"]);
    assert_says(
        &error(Path::new("no.npz"), &[]),
        &["no.npz", "No such file"],
    );
}

/// A dataset of one episode of `frames` frames with these rewards.
pub(super) fn tiny_dataset(frames: usize, reward: impl Fn(usize) -> f32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let info = r#"{"name": "Tiny", "fps": 15, "image": [16, 16], "actions": [{"name": "noop", "keys": []}]}"#;
    std::fs::write(folder.path().join("dataset.json"), info).unwrap();
    episode(folder.path(), |file| {
        let images = vec![0_u8; frames * 768];
        file.add("image", &[frames, 16, 16, 3], &images).unwrap();
        file.add("action", &[frames], &vec![0; frames]).unwrap();
        let rewards: Vec<f32> = (0..frames).map(&reward).collect();
        file.add("reward", &[frames], &rewards).unwrap();
    });
    folder
}

#[test]
fn data_that_cannot_be_trained_on_is_refused_first() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let trained_on = |data: &TempDir| {
        let mut command = driftless(&["train", "all", "--max-steps", "1", "--preset", "tiny"]);
        command
            .arg("--data")
            .arg(data.path())
            .arg("--out")
            .arg(&out);
        failure(command)
    };
    let short = tiny_dataset(3, |_| 0.0);
    assert_says(
        &trained_on(&short),
        &[
            "episodes have 3 frames at most",
            "expected some of at least",
        ],
    );
    let nan = tiny_dataset(40, |t| if t % 30 == 0 { f32::NAN } else { 0.0 });
    assert_says(
        &trained_on(&nan),
        &["episode.npz", "`reward`", "NaN at frame 30"],
    );
}

#[test]
fn unbounded_recordings_are_refused_first() {
    let folder = tempfile::tempdir().unwrap();
    let huge = u64::MAX.to_string();
    for (arguments, expected) in [
        (
            ["--frames", &huge],
            "frames is 18446744073709551615, expected 2 to 1000000000",
        ),
        (["--frames", "1"], "frames is 1, expected 2 to 1000000000"),
        (
            ["--episode-frames", "1000000000000"],
            "episode-frames is 1000000000000, expected 2 to 100000",
        ),
    ] {
        let mut command = driftless(&["record", "--world", "maze"]);
        if arguments[0] != "--frames" {
            command.args(["--frames", "10"]);
        }
        command
            .args(arguments)
            .arg("--out")
            .arg(folder.path().join("data"));
        assert_says(&failure(command), &[expected]);
    }
}

#[test]
fn browse_needs_a_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let browse = |path: &Path| failure(driftless(&["browse".as_ref(), path.as_os_str()]));
    assert_says(&browse(folder.path()), &["dataset.json is missing"]);
    assert_says(
        &browse(&folder.path().join("none")),
        &["none", "No such file"],
    );
    std::fs::write(folder.path().join("dataset.json"), "{}").unwrap();
    assert_says(&browse(folder.path()), &["dataset.json", "missing field"]);
}

#[test]
fn film_needs_a_clip_network() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("clip.gif");
    let film = |world: &str| {
        let mut command = driftless(&["film", "turn left", "--world", world, "--out"]);
        command.arg(&out).current_dir(root());
        failure(command)
    };
    assert_says(&film("pong"), &["pong", "makes no clips", "train clip"]);
    assert_says(&film("pung"), &["pung"]);
    assert!(!out.exists());
}

#[test]
fn clips_are_measured_at_lengths_that_were_learned() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let maze = ["record", "--world", "maze", "--frames", "64"];
    assert!(
        driftless(&maze)
            .arg("--out")
            .arg(&data)
            .status()
            .unwrap()
            .success()
    );
    let eval = |frames: &str| {
        let mut command = driftless(&[
            "eval",
            "--checkpoint",
            "maze",
            "--clips",
            "--clip-frames",
            frames,
        ]);
        command.arg("--data").arg(&data).arg("--probe").arg(&data);
        command.current_dir(root());
        failure(command)
    };
    assert_says(
        &eval("32"),
        &["32 frames are out of range, expected 2 to 16"],
    );
    assert_says(
        &eval("16"),
        &["data", "has no captions", "driftless caption"],
    );
    let caption = ["caption", "--frames", "8", "--data"];
    assert!(driftless(&caption).arg(&data).status().unwrap().success());
    assert_says(
        &eval("16"),
        &[
            "data",
            "has no captions of clips of 16 frames",
            "--frames 16",
        ],
    );
}
