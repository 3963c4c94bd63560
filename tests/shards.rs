//! A dataset cut into shards in an S3-like store on loopback, and trained on from there, with the program itself.

#![cfg(feature = "object-store")]
#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use std::path::Path;
use std::process::Command;

use driftless_shards::testing::{Fault, Server};

use common::path_str;

const SETTINGS: &str = r"
preview_minutes = 0.0
open_shards = 2
[tokenizer_shape]
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
steps = 6
[dynamics]
batch_size = 4
sequence_length = 6
[dynamics.optimizer]
steps = 6
";

/// What the program prints with these arguments and this environment, and whether it succeeds.
fn driftless(server: &Server, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_driftless"))
        .args(arguments)
        .env_clear()
        .envs(server.environment())
        .env("DRIFTLESS_LOG", "debug")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    let text = text.concat();
    assert!(
        !text.contains("secret") && !text.contains("TESTKEYID"),
        "{text}"
    );
    (output.status.success(), text)
}

fn record(server: &Server, data: &Path) {
    let data = path_str(data);
    let arguments = [
        "record", "--world", "maze", "--frames", "300", "--out", data,
    ];
    let (ok, text) = driftless(server, &arguments);
    assert!(ok, "{text}");
}

#[test]
fn a_store_is_filled_and_trained_from() {
    let server = Server::s3().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [data, run, settings] =
        ["data", "run", "settings.toml"].map(|name| folder.path().join(name));
    std::fs::write(&settings, SETTINGS).unwrap();
    record(&server, &data);
    let place = "s3://bucket/maze/first";
    let cut = [
        "shard",
        "--data",
        path_str(&data),
        "--out",
        place,
        "--shard-mib",
        "1",
    ];
    let (ok, text) = driftless(&server, &cut);
    assert!(ok && text.contains("300 frames"), "{text}");
    let paths = server.paths();
    assert!(
        paths
            .iter()
            .all(|path| path.starts_with("/bucket/maze/first/")),
        "{paths:?}"
    );
    let manifest = server.object("/bucket/maze/first/shards.json").unwrap();
    let manifest = String::from_utf8(manifest.to_vec()).unwrap();
    assert!(!manifest.contains("secret") && !manifest.contains("TESTKEYID"));
    let (ok, text) = driftless(&server, &cut);
    assert!(!ok && text.contains("exists already"), "{text}");

    let [settings, out] = [&settings, &run].map(|path| path_str(path));
    let cache = folder.path().join("cache");
    let train = [
        "train", "all", "--data", place, "--config", settings, "--out", out,
    ];
    let kept = [
        "--shard-cache",
        path_str(&cache),
        "--shard-cache-mib",
        "100",
    ];
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let shard = manifest["shards"][0]["name"].as_str().unwrap();
    server.fail(
        &format!("/bucket/maze/first/{shard}"),
        &[Fault::Unavailable, Fault::CutOff],
    );
    let (ok, text) = driftless(&server, &[&train[..], &kept].concat());
    assert!(ok && text.contains("play it with"), "{text}");
    let reads = server.reads();
    assert!(reads.values().all(|count| *count == 1), "{reads:?}");
    assert_eq!(server.unsigned(), 0);
    let (ok, text) = driftless(
        &server,
        &[
            "play",
            "--headless",
            "--frames",
            "4",
            "--checkpoint",
            path_str(&run.join("checkpoint")),
            "--out",
            path_str(&folder.path().join("played.npz")),
        ],
    );
    assert!(ok, "{text}");
}

#[test]
fn what_cannot_be_trained_from_is_named() {
    let server = Server::s3().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    for (data, network, expected) in [
        (
            "s3://other/maze",
            "all",
            "s3://other/maze/shards.json: is not there: there is no such bucket",
        ),
        (
            "s3://bucket/maze",
            "all",
            "s3://bucket/maze/shards.json: is not there",
        ),
        (
            "s3://bucket/maze",
            "agent",
            "shards train a tokenizer or a dynamics only",
        ),
        (
            "s3://me:secret@bucket/maze",
            "all",
            "holds credentials or a query",
        ),
        (
            "s3://me:secret@bucket/maze",
            "clip",
            "holds credentials or a query",
        ),
    ] {
        let (ok, text) = driftless(
            &server,
            &["train", network, "--data", data, "--out", path_str(&out)],
        );
        assert!(!ok && text.contains(expected), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
    assert!(!out.exists());
    // The target is looked at before the data.
    let web = [
        "shard",
        "--data",
        "missing",
        "--out",
        "https://example.org/a",
    ];
    let (ok, text) = driftless(&server, &web);
    assert!(
        !ok && text.contains("https://example.org/a cannot be written"),
        "{text}"
    );
}
