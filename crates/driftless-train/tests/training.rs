//! Training end to end on a tiny world: a white block moved by three actions.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

#[path = "training/agent.rs"]
mod agent;
#[path = "training/axes.rs"]
mod axes;
#[path = "training/ranks.rs"]
mod ranks;
#[path = "training/resuming.rs"]
mod resuming;
#[path = "training/shards.rs"]
mod shards;

use std::collections::BTreeMap;
use std::path::Path;

use driftless_data::{Action, Clip, Episode, ExtraArray};
use driftless_engine::rollout::rollout;
use driftless_engine::{DeviceChoice, GpuSource, SamplerParams};
use driftless_train::{StepReport, TrainOptions, TrainOutcome, TrainProgress, TrainStage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SIDE: usize = 16;
const BLOCK: usize = 4;
const CONTEXT: usize = 4;
const REWARD: f32 = 5.0;

const DATASET: &str = r#"{"name": "Block", "fps": 10.0, "image": [16, 16], "actions": [
    {"name": "stay", "keys": []}, {"name": "left", "keys": ["A"]}, {"name": "right", "keys": ["D"]}]}"#;

const SETTINGS: &str = r"
save_minutes = 60.0
[tokenizer_shape]
patch = 4
width = 16
blocks = 1
channels = 4
[dynamics_shape]
merge = 1
stem_width = 16
stem_frames = 1
width = 32
depth = 2
heads = 2
mlp = 32
time_every = 2
context = 4
registers = 1
k_max = 4
outcome = 16
[tokenizer]
batch_size = 16
[tokenizer.optimizer]
steps = 160
warmup_steps = 10
ema_decay = 0.9
[dynamics]
hard_fraction = 0.25
batch_size = 8
sequence_length = 6
noised_copies = 1
[dynamics.optimizer]
steps = 300
warmup_steps = 10
ema_decay = 0.9
";

/// Records a block that moves two pixels per frame under random actions. The recorded actions are
/// shifted by `delay` frames (0 in a correct recording). The right wall gives a reward of 5, and the
/// left wall marks the frame as terminal.
fn record(folder: &Path, seed: u64, episodes: usize, delay: usize) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("dataset.json"), DATASET).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for e in 0..episodes {
        let frames = 40;
        let mut written = vec![0u32; frames + delay];
        let (mut images, mut rewards, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let mut x = rng.random_range(0..=SIDE - BLOCK) / 2 * 2;
        for t in 0..frames {
            if t > 0 {
                written[t + delay] = rng.random_range(0..3);
                x = match written[t + delay] {
                    1 => x.saturating_sub(2),
                    2 => (x + 2).min(SIDE - BLOCK),
                    _ => x,
                };
            }
            rewards.push(if x == SIDE - BLOCK { REWARD } else { 0.0 });
            ends.push(f32::from(u8::from(x == 0)));
            for at in 0..SIDE * SIDE {
                let inside =
                    (x..x + BLOCK).contains(&(at % SIDE)) && (6..10).contains(&(at / SIDE));
                images.extend([if inside { 230u8 } else { 20 }; 3]);
            }
        }
        written.truncate(frames);
        let episode = Episode {
            height: SIDE,
            width: SIDE,
            images,
            actions: written,
            rewards,
            extras: BTreeMap::from([(
                "is_terminal".to_owned(),
                ExtraArray {
                    shape: vec![frames],
                    values: ends,
                },
            )]),
        };
        episode.write(&folder.join(format!("{e:02}.npz"))).unwrap();
    }
}

fn options(folder: &Path, out: &str) -> TrainOptions {
    let config = folder.join("settings.toml");
    std::fs::write(&config, SETTINGS).unwrap();
    TrainOptions {
        config: Some(config),
        ..TrainOptions::new(folder.join("data"), folder.join(out))
    }
}

/// Trains to the end.
fn train(options: &TrainOptions) -> driftless_train::Result<()> {
    let outcome = driftless_train::run(options, &mut ())?;
    assert_eq!(outcome, TrainOutcome::Finished);
    Ok(())
}

/// Column of the block's centre of mass.
fn column(image: &[u8]) -> f64 {
    let (mut mass, mut moment) = (0.0, 0.0);
    for (at, pixel) in image.chunks_exact(3).enumerate() {
        let share = (f64::from(pixel[0]) - 20.0).max(0.0);
        mass += share;
        moment += share * (at % SIDE) as f64;
    }
    moment / mass.max(1.0)
}

/// Mean distance of the predicted from the true block over four frames, in pixels.
fn block_error(checkpoint: &Path, data: &Path, steps: usize) -> f64 {
    let mut engine =
        driftless_engine::open(checkpoint, DeviceChoice::Cpu, &GpuSource::Own).unwrap();
    let (mut total, mut count) = (0.0, 0);
    let frame = SIDE * SIDE * 3;
    for e in 0..4 {
        let episode = Episode::read(&data.join(format!("{e:02}.npz"))).unwrap();
        for start in (0..32).step_by(4) {
            let first = start + CONTEXT;
            let future = episode.clip(first..first + 4);
            let context = episode.clip(start..first);
            let params = SamplerParams {
                steps,
                ..SamplerParams::default()
            };
            let images = rollout(&mut engine, &context, &future.actions, &params).unwrap();
            for (a, b) in images
                .chunks_exact(frame)
                .zip(future.images.chunks_exact(frame))
            {
                total += (column(a) - column(b)).abs();
                count += 1;
            }
        }
    }
    total / f64::from(count)
}

/// Mean predicted reward on rewarded and on other frames, then mean predicted end probability on
/// terminal and on other frames.
fn outcomes(checkpoint: &Path, data: &Path) -> [f64; 4] {
    let mut engine =
        driftless_engine::open(checkpoint, DeviceChoice::Cpu, &GpuSource::Own).unwrap();
    let (mut sums, mut counts) = ([0.0; 4], [0.0; 4]);
    let params = SamplerParams::default();
    for e in 0..4 {
        let episode = Episode::read(&data.join(format!("{e:02}.npz"))).unwrap();
        for t in CONTEXT..episode.frames() {
            engine
                .reset(&episode.clip(t - CONTEXT..t), &params)
                .unwrap();
            engine.step(episode.actions[t], &params).unwrap();
            let outcome = engine.outcome().unwrap();
            let rewarded = episode.rewards[t] > 0.0;
            let ended = episode.extras["is_terminal"].values[t] > 0.0;
            for (at, value) in [
                (usize::from(!rewarded), outcome.reward),
                (2 + usize::from(!ended), outcome.end),
            ] {
                sums[at] += f64::from(value);
                counts[at] += 1.0;
            }
        }
    }
    std::array::from_fn(|i| sums[i] / counts[i])
}

/// Trains with [`SETTINGS`] and the additional `keys`; returns the [`block_error`] and the
/// [`outcomes`].
fn trained(delay: usize, keys: &str) -> (f64, [f64; 4]) {
    let folder = tempfile::tempdir().unwrap();
    record(&folder.path().join("data"), 1, 12, delay);
    record(&folder.path().join("held-out"), 2, 4, delay);
    let options = options(folder.path(), "run");
    let config = folder.path().join("settings.toml");
    std::fs::write(config, format!("{keys}{SETTINGS}")).unwrap();
    train(&options).unwrap();
    let (checkpoint, data) = (
        folder.path().join("run/checkpoint"),
        folder.path().join("held-out"),
    );
    (
        block_error(&checkpoint, &data, 4),
        outcomes(&checkpoint, &data),
    )
}

#[test]
fn learns_actions_and_outcomes() {
    let ((right, outcomes), (shifted, _)) = (trained(0, ""), trained(1, ""));
    assert!(
        right < 0.6 && shifted > 2.5 * right,
        "error in pixels: {right:.2} with correct actions, {shifted:.2} with shifted ones"
    );
    let [reward, no_reward, end, no_end] = outcomes;
    let reward_error = f64::from(REWARD) - reward;
    assert!(
        reward_error.abs() < 1.0 && no_reward.abs() < 0.5,
        "{outcomes:?}"
    );
    assert!(end > 0.7 && no_end < 0.2, "{outcomes:?}");
}

#[test]
fn learns_with_bf16() {
    let (error, [reward, ..]) = trained(0, "precision = \"bf16\"\n");
    assert!(error < 0.6, "error of {error:.2} pixels");
    assert!((f64::from(REWARD) - reward).abs() < 1.0, "{reward:.2}");
}

#[test]
fn learns_every_prediction_and_path() {
    let folder = tempfile::tempdir().unwrap();
    let (data, held_out) = (folder.path().join("data"), folder.path().join("held-out"));
    record(&data, 1, 12, 0);
    record(&held_out, 2, 4, 0);
    let tokenizer = TrainOptions {
        stages: vec![TrainStage::Tokenizer],
        ..options(folder.path(), "run")
    };
    train(&tokenizer).unwrap();
    let checkpoint = folder.path().join("run/checkpoint");
    // Near pure noise ε determines x only loosely; a network this small learns no motion from it.
    for (prediction, path, max_error) in [
        ("v", "linear", 0.9),
        ("x", "cosine", 0.9),
        ("eps", "cosine", 4.0),
    ] {
        let config = folder.path().join("flow.toml");
        let keys = format!("[dynamics]\nprediction = \"{prediction}\"\npath = \"{path}\"\n");
        std::fs::write(&config, SETTINGS.replace("[dynamics]\n", &keys)).unwrap();
        let dynamics = TrainOptions {
            stages: vec![TrainStage::Dynamics],
            config: Some(config),
            ..options(folder.path(), "run")
        };
        train(&dynamics).unwrap();
        let world = std::fs::read_to_string(checkpoint.join("config.json")).unwrap();
        for recorded in [("prediction", prediction), ("path", path)] {
            let entry = format!("\"{}\": \"{}\"", recorded.0, recorded.1);
            assert!(world.contains(&entry), "{world}");
        }
        let error = block_error(&checkpoint, &held_out, 4);
        assert!(
            error < max_error,
            "{prediction} on the {path} path: error of {error:.2} pixels"
        );
        // The same networks, but `options` asks for x on the linear path.
        let other = TrainOptions {
            stages: vec![TrainStage::Dynamics],
            resume: true,
            ..options(folder.path(), "run")
        };
        let error = train(&other).unwrap_err().to_string();
        assert!(error.contains("prediction, path"), "{error}");
        std::fs::remove_dir_all(folder.path().join("run/dynamics")).unwrap();
        std::fs::remove_file(checkpoint.join("dynamics.safetensors")).unwrap();
    }
}

#[test]
fn frame_file_and_unlabelled_video() {
    let folder = tempfile::tempdir().unwrap();
    record(&folder.path().join("data"), 6, 2, 0);
    record(&folder.path().join("video"), 7, 2, 0);
    let with = |out: &str, keys: &str, unlabelled: bool| {
        let config = folder.path().join(format!("{out}.toml"));
        std::fs::write(&config, format!("{keys}{SETTINGS}")).unwrap();
        let options = TrainOptions {
            config: Some(config),
            max_steps: Some(4),
            unlabelled: unlabelled.then(|| folder.path().join("video")),
            ..options(folder.path(), out)
        };
        train(&options).map(|()| {
            let checkpoint = folder.path().join(out).join("checkpoint");
            ["tokenizer", "dynamics"]
                .map(|of| std::fs::read(checkpoint.join(format!("{of}.safetensors"))).unwrap())
        })
    };
    let plain = with("memory", "", false).unwrap();
    assert!(with("file", "memory_gib = 0.0\n", false).unwrap() == plain);
    // The frame file has been removed.
    let left = std::fs::read_dir(folder.path().join("file")).unwrap();
    let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 8, "{names:?}");
    let mixed = with("mixed", "", true).unwrap();
    assert!(mixed[0] != plain[0] && mixed[1] != plain[1]);
    let known = SETTINGS.replace("k_max = 4\n", "k_max = 4\nunknown_action = false\n");
    let known = known.replace("[dynamics]\n", "[dynamics]\naction_dropout = 0.0\n");
    let config = folder.path().join("known.toml");
    std::fs::write(&config, known).unwrap();
    let error = train(&TrainOptions {
        config: Some(config),
        unlabelled: Some(folder.path().join("video")),
        ..options(folder.path(), "known")
    });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("unknown_action"), "{error}");
}

#[test]
fn long_sequences_and_masking() {
    let folder = tempfile::tempdir().unwrap();
    record(&folder.path().join("data"), 8, 2, 0);
    let with = |out: &str, tokenizer: &str, dynamics: &str| {
        let config = folder.path().join(format!("{out}.toml"));
        let settings = SETTINGS
            .replace("[tokenizer]\n", &format!("[tokenizer]\n{tokenizer}\n"))
            .replace("[dynamics]\n", &format!("[dynamics]\n{dynamics}\n"));
        std::fs::write(&config, settings).unwrap();
        let options = TrainOptions {
            config: Some(config),
            max_steps: Some(4),
            ..options(folder.path(), out)
        };
        train(&options).map(|()| {
            let checkpoint = folder.path().join(out).join("checkpoint");
            ["tokenizer", "dynamics"]
                .map(|of| std::fs::read(checkpoint.join(format!("{of}.safetensors"))).unwrap())
        })
    };
    let plain = with("plain", "", "").unwrap();
    let masked = with("masked", "max_mask_fraction = 0.5", "").unwrap();
    assert!(masked[0] != plain[0]);
    let long = with(
        "long",
        "",
        "long_sequence_every = 2\nlong_sequence_length = 24",
    )
    .unwrap();
    assert!(long[0] == plain[0] && long[1] != plain[1]);
    // Longer than the episodes.
    let error = with(
        "wrong",
        "",
        "long_sequence_every = 2\nlong_sequence_length = 60",
    )
    .unwrap_err();
    assert!(error.to_string().contains("60 frames"), "{error}");
}

#[test]
fn bad_data_leaves_no_run() {
    let folder = tempfile::tempdir().unwrap();
    record(&folder.path().join("data"), 4, 2, 0);
    let run = TrainOptions {
        max_steps: Some(2),
        ..options(folder.path(), "run")
    };
    train(&run).unwrap();
    let error = train(&run).unwrap_err().to_string();
    assert!(error.contains("--resume"), "{error}");
    let bad = folder.path().join("bad");
    record(&bad, 5, 1, 0);
    std::fs::write(bad.join("zz.npz"), b"PK broken").unwrap();
    let options = TrainOptions {
        data: bad,
        ..options(folder.path(), "other")
    };
    let error = train(&options).unwrap_err().to_string();
    assert!(error.contains("zz.npz"), "{error}");
    assert!(!folder.path().join("other").exists());
    train(&TrainOptions {
        skip_bad: true,
        max_steps: Some(2),
        ..options
    })
    .unwrap();
    assert!(
        folder
            .path()
            .join("other/checkpoint/dynamics.safetensors")
            .exists()
    );
}

#[test]
fn diverged_run_names_step_and_episodes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    record(&data, 4, 2, 0);
    let path = data.join("01.npz");
    let mut huge = Episode::read(&path).unwrap();
    huge.rewards.fill(1e30);
    huge.write(&path).unwrap();
    let run = |max_steps, resume| TrainOptions {
        max_steps: Some(max_steps),
        resume,
        ..options(folder.path(), "run")
    };
    let tokenizer = TrainOptions {
        stages: vec![TrainStage::Tokenizer],
        ..run(2, false)
    };
    train(&tokenizer).unwrap();
    let saved = || std::fs::read(folder.path().join("run/tokenizer/state.safetensors")).unwrap();
    let before = saved();
    let error = train(&run(2, true)).unwrap_err().to_string();
    assert!(
        error.starts_with("dynamics: the loss is not finite at step 0"),
        "{error}"
    );
    assert!(
        error.contains("01.npz") && error.contains("--resume"),
        "{error}"
    );
    assert!(saved() == before);
}
