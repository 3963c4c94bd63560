//! Shards: their manifest, the archives, and the episodes in them.

use std::path::Path;
use std::sync::Arc;

use driftless_shards::{
    CutOptions, Location, MANIFEST, Manifest, ShardReader, Stop, checksum, cut,
};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use crate::files::{mutated_npz, read_npz};
use crate::mutate;
use crate::run::{Verdict, fuzz};
use crate::targets::{episode, verdict};

const DATASET: &str = r#"{"name": "Tiny", "fps": 15.0, "image": [2, 4],
 "actions": [{"name": "noop", "keys": []}, {"name": "up", "keys": ["W"]}]}"#;

fn never() -> Stop {
    Arc::new(|| false)
}

/// Two episodes in one shard.
fn write_shards(folder: &Path) -> Manifest {
    let data = folder.join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("dataset.json"), DATASET).unwrap();
    for name in ["a.npz", "b.npz"] {
        episode().write(&data.join(name)).unwrap();
    }
    let options = CutOptions {
        data,
        out: Location::parse(&folder.join("shards")).unwrap(),
        shard_bytes: 1 << 20,
        seed: 0,
        skip_bad: false,
        overwrite: false,
    };
    cut(&options, &never(), &mut |_, _| {}).unwrap()
}

/// Reads everything that a manifest lists.
fn read(folder: &Path) -> Verdict {
    let location = Location::parse(folder).map_err(|e| e.to_string())?;
    let reader = ShardReader::open(&location, None, never()).map_err(|e| e.to_string())?;
    let mut frames = 0;
    for shard in 0..reader.manifest().shards.len() {
        verdict(reader.for_each_episode(shard, &mut |_, episode| {
            frames += episode.frames() as u64;
            Ok(())
        }))?;
    }
    assert_eq!(frames, reader.manifest().frames);
    verdict(reader.for_each_excerpt(&mut |_, _| Ok(())))
}

fn copy(from: &Path, to: &Path, manifest: &Manifest) {
    for shard in manifest.shards.iter().chain([&manifest.sample]) {
        std::fs::copy(from.join(&shard.name), to.join(&shard.name)).unwrap();
    }
}

#[test]
fn shard_manifests() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = write_shards(folder.path());
    let shards = folder.path().join("shards");
    let text = std::fs::read_to_string(shards.join(MANIFEST)).unwrap();
    read(&shards).unwrap();
    fuzz(
        "shards.json",
        2000,
        |place, rng| {
            copy(&shards, place, &manifest);
            std::fs::write(place.join(MANIFEST), mutate::text(&text, rng)).unwrap();
        },
        read,
    );
}

/// An archive with a file in it changed, or changed itself.
fn changed_archive(whole: &[u8], npz: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    if rng.random_bool(0.5) {
        let mut bytes = whole.to_vec();
        mutate::bytes(&mut bytes, rng);
        return bytes;
    }
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in [
        ("dataset.json", DATASET.as_bytes()),
        ("a.npz", npz),
        ("b.npz", npz),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content).unwrap();
    }
    archive.into_inner().unwrap()
}

#[test]
fn shard_archives() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = write_shards(folder.path());
    let shards = folder.path().join("shards");
    let whole = std::fs::read(shards.join(&manifest.shards[0].name)).unwrap();
    let arrays = read_npz(&folder.path().join("data/a.npz"));
    fuzz(
        "shard .tar",
        2000,
        |place, rng| {
            copy(&shards, place, &manifest);
            let npz = mutated_npz(&arrays, rng);
            let bytes = changed_archive(&whole, &npz, rng);
            // The manifest fits, so that what is behind the checksum is reached.
            let mut manifest = manifest.clone();
            manifest.shards[0].bytes = bytes.len() as u64;
            manifest.shards[0].sha256 = checksum(&bytes);
            std::fs::write(place.join(&manifest.shards[0].name), bytes).unwrap();
            driftless_data::fs::write_json(&place.join(MANIFEST), &manifest).unwrap();
        },
        read,
    );
}
