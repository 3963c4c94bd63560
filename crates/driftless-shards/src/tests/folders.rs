//! Shards in a folder.

use super::*;
use crate::{FORMAT, MANIFEST};

fn open(folder: &Path) -> Result<ShardReader, Error> {
    ShardReader::open(&Location::parse(folder).unwrap(), None, never())
}

#[test]
fn episodes_come_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("shards");
    let manifest = shards(folder.path(), &out);
    assert_eq!(
        (manifest.format, manifest.frames, manifest.episodes),
        (FORMAT, 276, 10)
    );
    // At most 50 frames each, but for the episode that is longer.
    assert!(
        manifest
            .shards
            .iter()
            .all(|shard| shard.frames <= 50 || shard.episodes == 1)
    );
    let reader = open(&out).unwrap();
    assert_eq!(*reader.manifest(), manifest);
    let mut all: Vec<(u8, usize)> = (0..manifest.shards.len())
        .flat_map(|shard| content(&reader, shard).unwrap())
        .collect();
    assert_ne!(
        all.iter().map(|(e, _)| *e).collect::<Vec<_>>(),
        (0..10).collect::<Vec<_>>()
    );
    all.sort_unstable();
    let lengths = [20, 21, 22, 23, 24, 25, 26, 27, 28, 60];
    assert!(all.into_iter().eq((0..10).zip(lengths)));
    let mut excerpts = 0;
    reader
        .for_each_excerpt(&mut |_, excerpt| {
            excerpts += excerpt.frames();
            Ok(())
        })
        .unwrap();
    assert_eq!(excerpts as u64, manifest.sample.frames);
    assert!(content(&reader, 99).is_err());
}

#[test]
fn same_dataset_gives_same_shards() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| shards(folder.path(), &folder.path().join(name)));
    assert_eq!(a, b);
    let again = cut(
        &CutOptions {
            seed: 4,
            ..options(&folder.path().join("data"), &folder.path().join("c"))
        },
        &never(),
        &mut |_, _| {},
    );
    assert_ne!(again.unwrap().shards, a.shards);
}

#[test]
fn a_shard_unpacks_to_a_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("shards");
    let manifest = shards(folder.path(), &out);
    let unpacked = folder.path().join("unpacked");
    let bytes = std::fs::read(out.join(&manifest.shards[0].name)).unwrap();
    tar::Archive::new(bytes.as_slice())
        .unpack(&unpacked)
        .unwrap();
    let dataset = driftless_data::Dataset::read(&unpacked).unwrap();
    assert_eq!(dataset.info, manifest.dataset);
    assert_eq!(dataset.episodes.len() as u64, manifest.shards[0].episodes);
}

#[test]
fn bad_episodes_are_left_out_if_asked() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    dataset(&data, &[5, 6]);
    std::fs::write(data.join("bad.npz"), "no archive").unwrap();
    let options = options(&data, &folder.path().join("shards"));
    let error = cut(&options, &never(), &mut |_, _| {}).unwrap_err();
    assert!(
        one_line(&error).contains("bad.npz: not an .npz file"),
        "{error}"
    );
    assert!(!folder.path().join("shards").exists());
    let skipping = CutOptions {
        skip_bad: true,
        ..options
    };
    let manifest = cut(&skipping, &never(), &mut |_, _| {}).unwrap();
    assert_eq!(manifest.episodes, 2);
    let error = cut(&skipping, &never(), &mut |_, _| {}).unwrap_err();
    assert!(one_line(&error).contains("is not empty"), "{error}");
}

#[test]
fn cutting_stops_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    dataset(&data, &[5, 6]);
    let options = options(&data, &folder.path().join("shards"));
    let stop: Stop = Arc::new(|| true);
    let stopped = cut(&options, &stop, &mut |_, _| {});
    assert!(matches!(stopped, Err(Error::Interrupted)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn damaged_shards_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("shards");
    let manifest = shards(folder.path(), &out);
    let path = out.join(&manifest.shards[0].name);
    let whole = std::fs::read(&path).unwrap();
    let reader = open(&out).unwrap();
    let error = |bytes: Option<&[u8]>| {
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        one_line(&content(&reader, 0).unwrap_err())
    };
    let text = error(Some(&whole[..700]));
    let expected = format!("is cut off: it has 700 bytes, expected {}", whole.len());
    let name = &manifest.shards[0].name;
    let named = format!("shards.json: shard `{name}` is cut off");
    assert!(text.contains(&named), "{text}");
    assert!(text.ends_with(&expected), "{text}");
    let mut flipped = whole.clone();
    flipped[900] ^= 1;
    let text = error(Some(&flipped));
    assert!(text.contains("is damaged: its SHA-256 is"), "{text}");
    let text = error(None);
    assert!(
        text.contains("cannot be read") && text.contains(name),
        "{text}"
    );
}

/// What is said of a shard whose entry has another number, while its checksum still fits.
fn lying(out: &Path, shard: usize, key: &str, value: u64) -> String {
    let path = out.join(MANIFEST);
    let text = std::fs::read(&path).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let entry = &mut manifest["shards"][shard];
    let old = entry[key].as_u64().unwrap();
    entry[key] = value.into();
    if key != "longest" {
        let total = manifest[key].as_u64().unwrap();
        manifest[key] = (total + value - old).into();
    }
    std::fs::write(&path, manifest.to_string()).unwrap();
    let result = open(out).and_then(|reader| content(&reader, shard));
    std::fs::write(&path, text).unwrap();
    one_line(&result.unwrap_err())
}

#[test]
fn sizes_that_lie_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("shards");
    let all = shards(folder.path(), &out).shards;
    let at = all.iter().position(|shard| shard.episodes == 2).unwrap();
    let true_one = &all[at];
    for (key, value) in [
        ("frames", true_one.frames + 1),
        ("frames", true_one.frames - 1),
        ("episodes", 3),
        ("longest", true_one.longest + 1),
    ] {
        let text = lying(&out, at, key, value);
        assert!(text.contains(&true_one.name), "{key}: {text}");
    }
    // One episode of fewer frames than there are.
    let text = lying(&out, at, "episodes", 1);
    assert!(
        text.contains(&format!("`shards[{at}]`: `longest` is")),
        "{text}"
    );
}
