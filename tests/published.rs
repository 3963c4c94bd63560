//! Published checkpoints from outside: played, described, measured, replayed, refused.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

mod common;
mod program;

use std::path::{Path, PathBuf};

use common::path_str;
use driftless::workspace::published::Published;
use driftless_data::Episode;
use driftless_engine::{DeviceChoice, GpuSource};
use program::{driftless, failure, root, success};
use tempfile::TempDir;

/// DIAMOND's agent with random weights of `driftless-diamond`'s tests, under a game's name.
fn diamond(folder: &TempDir) -> PathBuf {
    let file = folder.path().join("pong.pt");
    let agent = root().join("crates/driftless-diamond/tests/data/small.pt");
    std::fs::copy(agent, &file).unwrap();
    file
}

#[test]
fn diamond_replays_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (agent, first) = (diamond(&folder), folder.path().join("first.npz"));
    let (agent, first) = (path_str(&agent), path_str(&first));
    let play = ["play", "--checkpoint", agent, "--headless", "--frames", "6"];
    let output = driftless(&[&play[..], &["--out", first]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    let hint = format!("driftless replay {first} --checkpoint {agent}");
    assert!(output.status.success() && said.contains(&hint), "{said}");
    let report = success(&["replay", first, "--checkpoint", agent]);
    assert!(report.contains("7 of 7 frames are identical"), "{report}");
    // From the frames of another session, with another sampler on other threads.
    let second = folder.path().join("second.npz");
    let second = path_str(&second);
    let options = [
        "--clip",
        first,
        "--solver",
        "heun",
        "--sigma-max",
        "3",
        "--threads",
        "1",
    ];
    success(&[&play[..], &options, &["--out", second]].concat());
    let folder = path_str(folder.path());
    let report = success(&["replay", second, "--checkpoint", folder, "--threads", "2"]);
    assert!(report.contains("7 of 7 frames are identical"), "{report}");
}

#[test]
fn diamond_says_what_it_has_not() {
    let folder = tempfile::tempdir().unwrap();
    let agent = diamond(&folder);
    let agent = path_str(&agent);
    assert!(success(&["info", agent]).contains("rightfire (ArrowRight+Space, D+Space)"));
    let out = folder.path().join("out.gif");
    let play = ["play", "--checkpoint", agent, "--headless", "--frames", "1"];
    let play = [&play[..], &["--out", path_str(&out)]].concat();
    let message = failure(&[&play[..], &["--clip", "0"]].concat());
    assert!(message.contains("holds no starting clips"), "{message}");
    for (option, value, expected) in [
        ("--solver", "shortcut", "expected euler or heun"),
        (
            "--path",
            "cosine",
            "--path: the sampler of DIAMOND pong has no",
        ),
    ] {
        let output = driftless(&[&play[..], &[option, value]].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && message.contains(expected),
            "{message}"
        );
        assert!(!out.exists());
    }
    let message = failure(&[&play[..], &["--clip", "none.png", "--device", "cuda"]].concat());
    assert!(
        message.contains("pong.pt is computed on the CPU or through wgpu"),
        "{message}"
    );
    std::fs::copy(agent, folder.path().join("second.pt")).unwrap();
    let message = failure(&["info", path_str(folder.path())]);
    assert!(message.contains("holds 2 PyTorch files"), "{message}");
}

#[test]
fn diamond_plays_on_a_gpu() {
    let Some(gpu) = driftless_engine::testing::gpu() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let agent = diamond(&folder);
    let agent = path_str(&agent);
    let frames = |device: &str| {
        let out = folder.path().join(format!("{device}.npz"));
        let play = ["play", "--checkpoint", agent, "--headless", "--frames", "3"];
        let options = ["--steps", "1", "--device", device, "--out", path_str(&out)];
        success(&[&play[..], &options].concat());
        Episode::read(&out).unwrap().images
    };
    let psnr = driftless_data::metrics::psnr(&frames("wgpu"), &frames("cpu"));
    assert!(psnr.unwrap() > 40.0, "{psnr:?}");
    let bench = ["bench", "--checkpoint", agent, "--device", "wgpu"];
    let short = ["--steps", "1", "--threads", "1", "--frames", "1"];
    let report = success(&[&bench[..], &short].concat());
    let device = format!("DIAMOND pong on wgpu {}, the rest on ", gpu.name());
    assert!(report.starts_with(&device), "{report}");
}

#[test]
fn diamond_goes_on_without_its_gpu() {
    let Some(gpu) = driftless_engine::testing::gpu() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let published = Published::at(&diamond(&folder)).unwrap().unwrap();
    let game = published.open(DeviceChoice::Wgpu.into(), None).unwrap();
    let params = game.sampling;
    let mut player = (game.player)(&GpuSource::Shared(gpu.clone())).unwrap();
    assert_eq!(player.name(), "wgpu diamond");
    player.start(0, &params).unwrap();
    player.step(1.into(), &params).unwrap();
    let saved = player.snapshot().unwrap();
    let image = player.image().unwrap().to_vec();
    gpu.device_and_queue().0.destroy();
    let error = player.step(2.into(), &params).unwrap_err();
    assert!(error.is_device(), "{error}");
    let mut player = (game.player)(&GpuSource::Unavailable).unwrap();
    assert_eq!(player.name(), "cpu diamond");
    player.restore(&saved).unwrap();
    assert!(player.image().unwrap() == image);
    player.step(2.into(), &params).unwrap();
}

/// The files of Oasis.
const TRANSFORMER: &str = "oasis500m.safetensors";
const AUTOENCODER: &str = "vit-l-20.safetensors";

/// Oasis with random weights of reduced width, of `driftless-oasis`'s tests. It makes frames of 72×128.
fn oasis() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = root().join("crates/driftless-oasis/tests/data");
    for name in [TRANSFORMER, AUTOENCODER] {
        std::fs::copy(data.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

#[test]
fn oasis_replays_bit_for_bit() {
    let folder = oasis();
    let at = |name: &str| folder.path().join(name);
    let (world, first) = (path_str(folder.path()), at("first.npz"));
    let first = path_str(&first);
    let short = ["--headless", "--frames", "4", "--steps", "2"];
    let play = [&["play", "--checkpoint", world], &short[..]].concat();
    success(&[&play[..], &["--out", first]].concat());
    let report = success(&["replay", first, "--checkpoint", world]);
    assert!(report.contains("5 of 5 frames are identical"), "{report}");
    // From a picture, named by a file, with a window that moves, on other threads.
    let (picture, second) = (at("picture.png"), at("second.npz"));
    let (picture, second) = (path_str(&picture), path_str(&second));
    image::RgbImage::from_pixel(90, 40, image::Rgb([90, 140, 60]))
        .save(picture)
        .unwrap();
    let transformer = at(TRANSFORMER);
    let transformer = path_str(&transformer);
    let play = [&["play", "--checkpoint", transformer], &short[..]].concat();
    let more = ["--image", picture, "--hop", "2", "--threads", "1"];
    success(&[&play[..], &more, &["--out", second]].concat());
    let episode = Episode::read(Path::new(second)).unwrap();
    assert_eq!((episode.height, episode.width), (72, 128));
    assert_eq!(episode.images[..3], [90, 140, 60]);
    let report = success(&["replay", second, "--checkpoint", world, "--threads", "2"]);
    assert!(report.contains("5 of 5 frames are identical"), "{report}");
}

#[test]
fn oasis_is_described_and_measured() {
    let folder = oasis();
    let world = path_str(folder.path());
    let info = success(&["info", world]);
    for part in [
        "Oasis 500M, 72×128 at 20 frames/s",
        "inventory (E)",
        "use-attack",
    ] {
        assert!(info.contains(part), "{info}");
    }
    let json = success(&["info", world, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["latent"], serde_json::json!([18, 32, 16]));
    let bench = ["bench", "--checkpoint", world, "--steps", "2"];
    let report = success(&[&bench[..], &["--frames", "2", "--threads", "1"]].concat());
    assert!(report.contains("2 steps, 1 thread: "), "{report}");
}

#[test]
fn oasis_says_what_is_missing() {
    let folder = oasis();
    let at = |name: &str| folder.path().join(name);
    let out = at("out.gif");
    let short = ["--headless", "--frames", "1", "--out", path_str(&out)];
    let play =
        |world: &Path| failure(&[&["play", "--checkpoint", path_str(world)], &short[..]].concat());
    let (transformer, autoencoder) = (at(TRANSFORMER), at(AUTOENCODER));
    let clip = ["--clip", "0"];
    let world = ["play", "--checkpoint", path_str(&transformer)];
    let message = failure(&[&world[..], &short, &clip].concat());
    assert!(message.contains("holds no starting clips"), "{message}");
    let message = failure(&[&world[..], &short, &["--device", "wgpu"]].concat());
    assert!(
        message.contains("is computed on the CPU, expected auto or cpu"),
        "{message}"
    );
    let message = failure(&["bench", "--checkpoint", world[2], "--device", "wgpu"]);
    assert!(
        message.contains("is computed on the CPU, expected auto or cpu"),
        "{message}"
    );
    let picture = at("picture.png");
    image::RgbImage::new(8, 8).save(&picture).unwrap();
    let image = ["--image", path_str(&picture), "--steps", "1010"];
    let message = failure(&[&world[..], &short, &image].concat());
    assert!(
        message.contains("steps 1010: expected 1 to 1000"),
        "{message}"
    );
    // A world of this program, and another model's file.
    let own = root().join("checkpoints/pong/tokenizer.safetensors");
    let message = play(&own);
    assert!(message.contains("expected its folder"), "{message}");
    std::fs::rename(&autoencoder, at("vit.bin")).unwrap();
    for world in [&transformer, folder.path()] {
        let message = play(world);
        assert!(
            message.contains("is missing: expected vit-l-20.safetensors beside it"),
            "{message}"
        );
    }
    let other = at("other.safetensors");
    std::fs::copy(&own, &other).unwrap();
    let message = play(&other);
    assert!(
        message.contains("other.safetensors: ") && message.contains("expected Oasis's"),
        "{message}"
    );
}

/// The files of Dreamer 4 in PyTorch.
const DYNAMICS: &str = "dynamics_ckpt.pt";
const TOKENIZER: &str = "tokenizer_ckpt.pt";

/// Dreamer 4 in PyTorch with random weights of reduced width, of `driftless-dreamer`'s tests. It makes frames of 16×24.
fn dreamer() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = root().join("crates/driftless-dreamer/tests/data");
    for name in [DYNAMICS, TOKENIZER] {
        std::fs::copy(data.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

#[test]
fn dreamer_replays_bit_for_bit() {
    let folder = dreamer();
    let at = |name: &str| folder.path().join(name);
    let (world, first) = (path_str(folder.path()), at("first.npz"));
    let first = path_str(&first);
    let short = ["--headless", "--frames"];
    let play = [&["play", "--checkpoint", world], &short[..]].concat();
    success(&[&play[..], &["6", "--out", first]].concat());
    let episode = Episode::read(Path::new(first)).unwrap();
    let played = episode.played();
    assert!(played.iter().any(|action| action.axes[15] != 0.0));
    let report = success(&["replay", first, "--checkpoint", world]);
    assert!(report.contains("7 of 7 frames are identical"), "{report}");
    // From a picture, named by a file, with a window that moves, on other threads, under the recorded actions.
    let (picture, second) = (at("picture.png"), at("second.npz"));
    let (picture, second) = (path_str(&picture), path_str(&second));
    image::RgbImage::from_pixel(90, 60, image::Rgb([90, 140, 60]))
        .save(picture)
        .unwrap();
    let tokenizer = at(TOKENIZER);
    let play = [&["play", "--checkpoint", path_str(&tokenizer)], &short[..]].concat();
    let more = ["--image", picture, "--hop", "2", "--steps", "4"];
    let more = [&more[..], &["--threads", "1", "--actions", first]].concat();
    success(&[&play[..], &["28"], &more, &["--out", second]].concat());
    let episode = Episode::read(Path::new(second)).unwrap();
    assert_eq!((episode.height, episode.width), (16, 24));
    assert_eq!(episode.images[..3], [90, 140, 60]);
    let report = success(&["replay", second, "--checkpoint", world, "--threads", "2"]);
    assert!(report.contains("29 of 29 frames are identical"), "{report}");
}

#[test]
fn dreamer_is_described_and_measured() {
    let folder = dreamer();
    let world = path_str(folder.path());
    let info = success(&["info", world]);
    for part in [
        "Dreamer 4 DMControl, 16×24 at 10 frames/s",
        "actuator-16 (axis)",
        "dynamics of 32 frames in 1 to 8 steps",
    ] {
        assert!(info.contains(part), "{info}");
    }
    let json = success(&["info", world, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["latent"], serde_json::json!([4, 6]));
    let bench = ["bench", "--checkpoint", world, "--steps", "2"];
    let report = success(&[&bench[..], &["--frames", "2", "--threads", "1"]].concat());
    assert!(report.contains("2 steps, 1 thread: "), "{report}");
}

#[test]
fn dreamer_says_what_is_wrong() {
    let folder = dreamer();
    let at = |name: &str| folder.path().join(name);
    let out = at("out.gif");
    let short = ["--headless", "--frames", "1", "--out", path_str(&out)];
    let world = ["play", "--checkpoint", path_str(folder.path())];
    let play = |more: &[&str]| failure(&[&world[..], &short, more].concat());
    let picture = at("picture.png");
    image::RgbImage::new(8, 8).save(&picture).unwrap();
    let message = play(&["--image", path_str(&picture), "--steps", "16"]);
    assert!(
        message.contains("steps 16: expected a power of two from 1 to 8"),
        "{message}"
    );
    let message = play(&["--device", "wgpu"]);
    assert!(
        message.contains("dynamics_ckpt.pt is computed on the CPU"),
        "{message}"
    );
    // The file that is damaged is named, not the one beside it.
    let whole = std::fs::read(at(DYNAMICS)).unwrap();
    std::fs::write(at(DYNAMICS), &whole[..whole.len() / 2]).unwrap();
    let message = failure(&["info", path_str(&at(TOKENIZER))]);
    assert!(
        message.contains("dynamics_ckpt.pt: cannot be read as PyTorch weights"),
        "{message}"
    );
    std::fs::remove_file(at(DYNAMICS)).unwrap();
    for message in [play(&[]), failure(&["info", path_str(&at(TOKENIZER))])] {
        assert!(
            message.contains("is missing: expected dynamics_ckpt.pt beside it"),
            "{message}"
        );
    }
}
