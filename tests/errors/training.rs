//! Errors of `train`.

use super::*;

/// Networks so small that a few steps take almost no time.
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

/// All files below a folder, with their contents.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            all.push((path, bytes));
        }
    }
    all.sort();
    all
}

#[test]
fn missing_dataset_starts_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut command = driftless(&["train", "all", "--data"]);
    command.arg(folder.path()).arg("--out").arg(&out);
    assert_says(&failure(command), &["dataset.json"]);
    assert!(!out.exists());
}

#[test]
fn run_is_not_overwritten() {
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
        let own = files
            .iter()
            .filter(|(path, _)| path.starts_with(out.join("checkpoint")));
        own.cloned().collect()
    };
    assert!(
        checkpoint(&contents(&out)) == checkpoint(&before),
        "the checkpoint has changed"
    );
}

/// Simulates a full disk without privileges: writing beyond a size limit fails.
#[cfg(unix)]
#[test]
fn full_disk_keeps_the_last_state() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    success(train(&out, "2", &[]));
    let checkpoint = contents(&out.join("checkpoint"));
    let resumed = train(&out, "4", &["--resume"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\""]);
    limited.arg(resumed.get_program()).args(resumed.get_args());
    let error = failure(limited);
    assert_says(&error, &["run", "too large"]);
    assert!(
        contents(&out.join("checkpoint")) == checkpoint,
        "the checkpoint has changed"
    );
    success(train(&out, "4", &["--resume"]));
}

#[test]
fn sizes_out_of_range_name_file_and_key() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (section, key, value)) in [
        ("tokenizer_shape", "hidden", "0"),
        ("tokenizer_shape", "blocks", "9223372036854775807"),
        ("dynamics_shape", "registers", "9223372036854775807"),
        ("dynamics", "batch_size", "9223372036854775807"),
        ("dynamics", "noised_copies", "65536"),
    ]
    .into_iter()
    .enumerate()
    {
        let out = folder.path().join(format!("run-{number}"));
        let settings = format!("[{section}]\n{key} = {value}\n");
        std::fs::write(out.with_extension("toml"), settings).unwrap();
        let key = format!("{section}.{key}");
        let file = format!("run-{number}.toml: ");
        assert_says(&failure(train(&out, "1", &[])), &[&file, &key, "expected"]);
        assert!(!out.exists());
    }
}

#[test]
fn weights_that_are_not_finite_are_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    // One update, after which everything is saved.
    let settings =
        format!("{TINY}[tokenizer.optimizer]\nlearning_rate = 1e300\nwarmup_steps = 0\n");
    std::fs::write(out.with_extension("toml"), settings).unwrap();
    assert_says(
        &failure(train(&out, "1", &[])),
        &["not finite", "tokenizer"],
    );
    assert!(!out.join("tokenizer/state.safetensors").exists());
}

#[test]
fn agents_need_a_world_and_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let agent = |more: &[&str]| {
        let mut command = driftless(&["train", "agent", "--data"]);
        command.arg(root().join("assets/pong"));
        command.arg("--out").arg(&out).args(more);
        command
    };
    assert_says(&failure(agent(&[])), &["--world"]);
    let other = agent(&["--world", "breakout"]);
    assert_says(&failure(other), &["assets/pong", "as in the world"]);
    let device = agent(&["--world", "pong", "--preset", "tiny"]);
    assert_says(&failure(device), &["--preset", "worlds"]);
    assert!(!out.exists());
}

#[test]
fn only_agents_are_measured_as_agents() {
    let none = driftless(&["eval", "--agent", "maze"]);
    assert_says(&failure(none), &["contains no agent", "train agent"]);
}

#[test]
fn processes_train_together_only_what_they_can() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    for network in ["agent", "clip", "transport"] {
        let mut command = driftless(&["train", network, "--data", "assets/pong", "--out"]);
        command.arg(&out).env("OMPI_COMM_WORLD_SIZE", "2");
        assert_says(&failure(command), &["several processes", "mpirun"]);
    }
    #[cfg(not(feature = "mpi"))]
    {
        let mut command = train(&out, "2", &[]);
        command.env("OMPI_COMM_WORLD_SIZE", "2");
        assert_says(&failure(command), &["without MPI", "--features mpi"]);
    }
    assert!(!out.exists());
}
