//! Files that people give each other: a world in one file, and PyTorch's weights.

use std::io::{Cursor, Read as _, Write as _};
use std::path::Path;

use rand::Rng as _;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use driftless::workspace::{UserPaths, world_file};
use driftless_data::pth;
use driftless_engine::SamplerParams;
use driftless_engine::testing::clip;
use driftless_model::checkpoint;
use driftless_sim::Game;

use crate::mutate;
use crate::run::fuzz;
use crate::targets::{repository, verdict, write_checkpoint};

/// The entries of an archive, by name.
fn entries(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut zip = ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    (0..zip.len())
        .map(|index| {
            let mut entry = zip.by_index(index).unwrap();
            let name = entry.name().unwrap().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (name, bytes)
        })
        .collect()
}

/// An archive whose checksums are right.
fn archive(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // As the program writes them.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in entries {
        // A name that exists already is refused; the archive is then one without it.
        if zip.start_file(name.as_str(), options).is_ok() {
            zip.write_all(bytes).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn pytorch_weights() {
    let fixture = |name: &str| repository("tests/data/lpips").join(name);
    let old = std::fs::read(fixture("heads_old.pth")).unwrap();
    let new = entries(&fixture("heads.pth"));
    fuzz(
        "weights .pth",
        3000,
        |place, rng| {
            let mut bytes = old.clone();
            if rng.random_bool(0.5) {
                mutate::bytes(&mut bytes, rng);
            } else {
                let mut entries = new.clone();
                let at = rng.random_range(0..entries.len());
                mutate::bytes(&mut entries[at].1, rng);
                bytes = archive(&entries);
            }
            std::fs::write(place.join("a.pth"), bytes).unwrap();
        },
        |place| verdict(pth::read(&place.join("a.pth"))),
    );
}

#[test]
fn worlds_file() {
    let folder = tempfile::tempdir().unwrap();
    let (world, file) = (
        folder.path().join("world"),
        folder.path().join("a.driftless"),
    );
    std::fs::create_dir(&world).unwrap();
    write_checkpoint(&world);
    let config = checkpoint::read_config(&world).unwrap();
    let params = SamplerParams::of_world(&config);
    let other = SamplerParams { steps: 2, ..params };
    let frames = [(1.into(), params), (0.into(), other), (1.into(), other)];
    let game = Game::new(clip(&config, 3), params, frames.into_iter());
    world_file::export(&world, Some(&game), &file, false).unwrap();
    let whole = entries(&file);
    fuzz(
        "world .driftless",
        600,
        |place, rng| {
            let mut entries = whole.clone();
            let at = rng.random_range(0..entries.len());
            let (name, bytes) = &mut entries[at];
            match rng.random_range(0..4) {
                0 => *name = format!("../{name}"),
                1 => *name = String::from_utf8_lossy(&mutate::text(name, rng)).into_owned(),
                _ => mutate::bytes(bytes, rng),
            }
            let mut bytes = archive(&entries);
            if rng.random_bool(0.25) {
                mutate::bytes(&mut bytes, rng);
            }
            std::fs::write(place.join("a.driftless"), bytes).unwrap();
        },
        |place| {
            let home = place.join("home");
            let places = UserPaths::resolve(Some(home.clone())).unwrap();
            let imported = world_file::import(&place.join("a.driftless"), &places);
            // Nothing lies anywhere else.
            let mut names: Vec<_> = place
                .read_dir()
                .unwrap()
                .map(|e| e.unwrap().file_name())
                .collect();
            names.sort();
            assert!(
                names == ["a.driftless"] || names == ["a.driftless", "home"],
                "{names:?}"
            );
            if imported.is_err() {
                let worlds = places.worlds().read_dir();
                assert_eq!(worlds.map_or(0, Iterator::count), 0);
            }
            let _ = std::fs::remove_dir_all(home);
            verdict(imported)
        },
    );
}
