//! Training on several processes that `mpirun` starts; needs `--features mpi`.

#![cfg(feature = "mpi")]
#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use candle_core::{DType, Device, Tensor, safetensors};

use common::{path_str, wait};

const DRIFTLESS: &str = env!("CARGO_BIN_EXE_driftless");

const SETTINGS: &str = r"
preview_minutes = 0.0
save_minutes = 0.0
[tokenizer_shape]
patch = 8
width = 16
hidden = 32
blocks = 1
channels = 4
[dynamics_shape]
stem_width = 16
width = 32
depth = 2
heads = 2
mlp = 32
context = 4
[tokenizer.optimizer]
steps = 20
warmup_steps = 2
[dynamics]
batch_size = 4
sequence_length = 6
long_sequence_every = 0
[dynamics.optimizer]
steps = 20
warmup_steps = 2
";

/// A folder with recordings and settings.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("settings.toml"), SETTINGS).unwrap();
    let record = [
        "record", "--world", "maze", "--frames", "200", "--seed", "5",
    ];
    let recorded = Command::new(DRIFTLESS)
        .args(record)
        .args(["--out", path_str(&folder.path().join("data"))])
        .output()
        .unwrap();
    assert!(recorded.status.success());
    folder
}

/// `driftless train all` on so many ranks of a thread each.
fn train(ranks: usize, folder: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = Command::new("mpirun");
    command
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        // Ranks that wait leave the core to the others.
        .env("OMPI_MCA_mpi_yield_when_idle", "1")
        .env("RAYON_NUM_THREADS", "1")
        .args(["--oversubscribe", "-n", &ranks.to_string(), DRIFTLESS])
        .args(["train", "all", "--data", "data", "--out", out])
        .args(["--config", "settings.toml"])
        .args(more)
        .current_dir(folder);
    command
}

fn said(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

fn finish(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

/// The bias before the latents are centred, and their mean, which follows it: its gradient is only rounding, of which
/// AdamW makes steps of full size.
const ROUNDING: [&str; 2] = ["encoder.latent.bias", "latent.mean"];

/// The largest difference of two numbers in what two runs have saved, beside the largest number of the tensor or 1.
fn largest_difference(a: &Path, b: &Path) -> f64 {
    let mut largest = 0.0_f64;
    for stage in ["tokenizer", "dynamics"] {
        let state = |out: &Path| {
            let file = out.join(stage).join("state.safetensors");
            safetensors::load(file, &Device::Cpu).unwrap()
        };
        let (a, b) = (state(a), state(b));
        assert_eq!(a.len(), b.len());
        for (name, x) in &a {
            if ROUNDING.iter().any(|rounding| name.ends_with(rounding)) {
                continue;
            }
            let [x, y] = [x, &b[name]].map(|t| t.to_dtype(DType::F64).unwrap());
            let most = |t: &Tensor| {
                t.abs()
                    .unwrap()
                    .max_all()
                    .unwrap()
                    .to_scalar::<f64>()
                    .unwrap()
            };
            largest = largest.max(most(&(&x - y).unwrap()) / most(&x).max(1.0));
        }
    }
    largest
}

#[test]
fn two_processes_train_what_one_would() {
    let folder = prepared();
    finish(train(1, folder.path(), "one", &[]));
    finish(train(2, folder.path(), "two", &[]));
    let [one, two] = ["one", "two"].map(|out| folder.path().join(out));
    let difference = largest_difference(&one, &two);
    assert!(difference < 1e-5, "{difference}");
    // One log of 40 steps, a line for every 20.
    let log = std::fs::read_to_string(two.join("log.jsonl")).unwrap();
    let alone = std::fs::read_to_string(one.join("log.jsonl")).unwrap();
    assert_eq!(log.lines().count(), alone.lines().count());
}

#[test]
fn other_settings_of_a_process_are_refused() {
    let folder = prepared();
    let mut command = train(1, folder.path(), "run", &[]);
    command
        .args([":", "-n", "1", DRIFTLESS, "train", "all", "--data", "data"])
        .args(["--out", "run", "--config", "settings.toml", "--seed", "7"]);
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let said = said(&output);
    assert!(
        said.contains("rank 1 has other settings than rank 0: `seed = 7` instead of `seed = 0`"),
        "{said}"
    );
    assert!(!folder.path().join("run").exists());
}

/// The others end with it, and the run goes on from what was saved.
#[cfg(target_os = "linux")]
#[test]
fn killed_process_ends_the_others() {
    let folder = prepared();
    let mut command = train(2, folder.path(), "run", &[]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = command.spawn().unwrap();
    let saved = folder.path().join("run/tokenizer/state.safetensors");
    wait("the first save", || saved.exists().then_some(()));
    let children = format!("/proc/{0}/task/{0}/children", running.id());
    let children = std::fs::read_to_string(children).unwrap();
    let last = children.split_whitespace().last().unwrap();
    let killed = Command::new("kill").args(["-9", last]).status().unwrap();
    assert!(killed.success());
    let ended = wait("the end", || running.try_wait().unwrap());
    assert!(!ended.success());
    finish(train(2, folder.path(), "run", &["--resume"]));
    finish(train(1, folder.path(), "one", &[]));
    let [run, one] = ["run", "one"].map(|out| folder.path().join(out));
    let difference = largest_difference(&run, &one);
    assert!(difference < 1e-5, "{difference}");
    finish(train(2, folder.path(), "two", &[]));
    assert_eq!(largest_difference(&run, &folder.path().join("two")), 0.0);
}
