//! Importers, with the recordings that they take and how those are changed.

use std::path::{Path, PathBuf};

use rand::Rng as _;

use driftless_data::import::{self, ImportFormat, ImportOptions};

use crate::files::{mutated_npz, read_npz};
use crate::mutate;
use crate::run::{Verdict, fuzz};
use crate::targets::{episode, pictures, repository, verdict};

/// Imports `source` into a folder beside it.
fn imported(
    place: &Path,
    format: ImportFormat,
    source: PathBuf,
    actions: Option<PathBuf>,
) -> Verdict {
    let out = place.join("out");
    let _ = std::fs::remove_dir_all(&out);
    let options = ImportOptions {
        format,
        source,
        out,
        name: None,
        size: [16, 16],
        fps: None,
        every: None,
        source_fps: Some(10.0),
        actions,
        image_key: None,
        action_key: None,
        pairing: None,
        skip_bad: false,
    };
    verdict(import::run(&options, &mut |_| true))
}

/// Copies a folder with all that is in it.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap().path();
        let to = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy_folder(&entry, &to);
        } else {
            std::fs::copy(&entry, &to).unwrap();
        }
    }
}

#[test]
fn import_npz() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.npz");
    episode().write(&file).unwrap();
    let arrays = read_npz(&file);
    imported(folder.path(), ImportFormat::Npz, file, None).unwrap();
    fuzz(
        "import of .npz",
        400,
        |place, rng| {
            std::fs::create_dir_all(place.join("in")).unwrap();
            std::fs::write(place.join("in/a.npz"), mutated_npz(&arrays, rng)).unwrap();
        },
        |place| imported(place, ImportFormat::Npz, place.join("in"), None),
    );
}

/// Discrete actions from speeds, keys and names.
const ACTION_MAP: &str = r#"
[[actions]]
name = "stay"

[[actions]]
name = "left"
keys = ["ArrowLeft"]
where = [{ axis = 0, below = -0.5 }]

[[actions]]
name = "right"
keys = ["ArrowRight"]
where = [{ axis = 0, above = 0.5 }]
"#;

const NAMES: &str = r#"
[[actions]]
name = "idle"
is = [0]

[[actions]]
name = "left"
keys = ["A"]
is = [1, "left"]
"#;

#[test]
fn action_maps_and_csv() {
    let picture = pictures().remove(0).1;
    let rows = "file,action,episode\na.png,0,one\na.png,1,one\na.png,1,two\na.png,0,two\n";
    let whole = tempfile::tempdir().unwrap();
    let source = whole.path().join("in");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("a.png"), &picture).unwrap();
    std::fs::write(source.join("frames.csv"), rows).unwrap();
    let map = whole.path().join("map.toml");
    std::fs::write(&map, NAMES).unwrap();
    imported(whole.path(), ImportFormat::Images, source, Some(map)).unwrap();
    fuzz(
        "images .csv and action map .toml",
        400,
        |place, rng| {
            let source = place.join("in");
            std::fs::create_dir_all(&source).unwrap();
            std::fs::write(source.join("a.png"), &picture).unwrap();
            let changed = rng.random_bool(0.5);
            let (rows, map) = if changed {
                (mutate::text(rows, rng), NAMES.into())
            } else {
                (rows.into(), mutate::text(NAMES, rng))
            };
            std::fs::write(source.join("frames.csv"), rows).unwrap();
            std::fs::write(place.join("map.toml"), map).unwrap();
        },
        |place| {
            let map = Some(place.join("map.toml"));
            imported(place, ImportFormat::Images, place.join("in"), map)
        },
    );
}

/// Fuzzes one file of a fixture's folder.
fn fixture(
    name: &'static str,
    inputs: u64,
    format: ImportFormat,
    fixture: &str,
    file: &'static str,
    text: bool,
) {
    let from = repository("tests/data/import").join(fixture);
    let whole = std::fs::read(from.join(file)).unwrap();
    let maps = tempfile::tempdir().unwrap();
    // The others have discrete actions, or a map of their own.
    let map = (format == ImportFormat::Lerobot).then(|| maps.path().join("map.toml"));
    if let Some(map) = &map {
        std::fs::write(map, ACTION_MAP).unwrap();
    }
    // Without ffmpeg, only errors are tried.
    let accepted = imported(maps.path(), format, from.clone(), map.clone());
    assert!(
        accepted.is_ok() || format == ImportFormat::Vpt,
        "{accepted:?}"
    );
    fuzz(
        name,
        inputs,
        |place, rng| {
            let source = place.join("in");
            if !source.exists() {
                copy_folder(&from, &source);
            }
            let changed = if text {
                mutate::text(std::str::from_utf8(&whole).unwrap(), rng)
            } else {
                let mut changed = whole.clone();
                mutate::bytes(&mut changed, rng);
                changed
            };
            std::fs::write(source.join(file), changed).unwrap();
        },
        |place| imported(place, format, place.join("in"), map.clone()),
    );
}

const HDF5: &str = "data/main_data.hdf5";
const PARQUET: &str = "data/chunk-000/episode_000000.parquet";

#[test]
#[cfg(feature = "hdf5")]
fn hdf5() {
    fixture(
        "HDF5, plain",
        150,
        ImportFormat::Minari,
        "minari-plain",
        HDF5,
        false,
    );
}

#[test]
#[cfg(feature = "hdf5")]
fn hdf5_gzip() {
    fixture(
        "HDF5, gzip",
        150,
        ImportFormat::Minari,
        "minari-gzip",
        HDF5,
        false,
    );
}

#[test]
#[cfg(feature = "hdf5")]
fn hdf5_jpeg() {
    fixture(
        "HDF5, JPEGs",
        150,
        ImportFormat::Minari,
        "minari",
        HDF5,
        false,
    );
}

#[test]
#[cfg(feature = "parquet")]
fn parquet() {
    fixture(
        "Parquet",
        400,
        ImportFormat::Lerobot,
        "lerobot-images",
        PARQUET,
        false,
    );
}

#[test]
#[cfg(feature = "parquet")]
fn lerobot_info() {
    fixture(
        "LeRobot info.json",
        400,
        ImportFormat::Lerobot,
        "lerobot-images",
        "meta/info.json",
        true,
    );
}

#[test]
fn vpt() {
    let file = "square-0.jsonl";
    fixture(
        "VPT .jsonl (with ffmpeg)",
        10,
        ImportFormat::Vpt,
        "vpt",
        file,
        true,
    );
}
