//! Datasets cut into shards and read again, from folders and from a server on loopback.

mod folders;
mod servers;

use std::path::Path;
use std::sync::Arc;

use driftless_data::{Episode, ExtraArray};

use crate::{CutOptions, Error, Location, Manifest, ShardReader, Stop, cut};

const DATASET: &str = r#"{"name": "Tiny", "fps": 10.0, "image": [2, 4],
    "actions": [{"name": "noop", "keys": []}, {"name": "up", "keys": ["W"]}]}"#;

fn never() -> Stop {
    Arc::new(|| false)
}

/// Episode `e` of `frames` frames, which show their episode and time.
fn episode(e: u8, frames: usize) -> Episode {
    let shown = |t: usize| [e, t as u8].into_iter().cycle().take(24);
    Episode {
        height: 2,
        width: 4,
        images: (0..frames).flat_map(shown).collect(),
        actions: (0..frames).map(|t| u32::from(t % 3 == 1)).collect(),
        rewards: (0..frames).map(|t| t as f32).collect(),
        extras: [(
            "ball".to_owned(),
            ExtraArray {
                shape: vec![frames],
                values: vec![f32::from(e); frames],
            },
        )]
        .into(),
    }
}

/// A dataset of episodes of these lengths.
fn dataset(folder: &Path, lengths: &[usize]) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("dataset.json"), DATASET).unwrap();
    for (e, frames) in lengths.iter().enumerate() {
        let path = folder.join(format!("{e:02}.npz"));
        episode(e as u8, *frames).write(&path).unwrap();
    }
}

fn options(data: &Path, out: &Path) -> CutOptions {
    CutOptions {
        data: data.to_owned(),
        out: Location::parse(out).unwrap(),
        // 50 frames of 24 bytes.
        shard_bytes: 1200,
        seed: 3,
        skip_bad: false,
        overwrite: false,
    }
}

/// Cuts ten episodes into shards in `out`.
fn shards(folder: &Path, out: &Path) -> Manifest {
    let data = folder.join("data");
    dataset(&data, &[20, 21, 22, 23, 24, 25, 26, 27, 28, 60]);
    cut(&options(&data, out), &never(), &mut |_, _| {}).unwrap()
}

/// The episodes of a shard by their ground truth, in order, with their frames.
fn content(reader: &ShardReader, shard: usize) -> Result<Vec<(u8, usize)>, Error> {
    let mut found = Vec::new();
    reader.for_each_episode(shard, &mut |_, read| {
        let e = read.extras["ball"].values[0] as u8;
        assert_eq!(read.images, episode(e, read.frames()).images);
        found.push((e, read.frames()));
        Ok(())
    })?;
    Ok(found)
}

fn one_line(error: &Error) -> String {
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}
