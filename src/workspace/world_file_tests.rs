//! Worlds as one file: what is taken out of it, and what is refused.

use driftless_data::layout::checkpoint::{CARD, CONFIG, DYNAMICS, STARTING_CLIPS, TOKENIZER};
use driftless_engine::SamplerParams;

use super::*;

fn pong() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/pong")
}

fn paths(home: &Path) -> UserPaths {
    UserPaths::resolve(Some(home.to_path_buf())).unwrap()
}

/// Writes an archive of these entries; a name that ends in `@` is a symbolic link.
fn archive(file: &Path, entries: &[(&str, &[u8])]) {
    let mut zip = ZipWriter::new(File::create(file).unwrap());
    let options = SimpleFileOptions::default();
    for (name, bytes) in entries {
        if let Some(link) = name.strip_suffix('@') {
            zip.add_symlink(link, "/etc/passwd", options).unwrap();
        } else {
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
    }
    zip.finish().unwrap();
}

#[test]
fn other_networks_go_along_whole() {
    for [config, weights] in [[CLIP_CONFIG, CLIP_WEIGHTS], [AGENT_CONFIG, AGENT_WEIGHTS]] {
        check_pair(config, weights);
    }
}

/// Of two files that belong together, both come along or the world is refused.
fn check_pair(config: &str, weights: &str) {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    std::fs::create_dir(&world).unwrap();
    for name in NEEDED {
        std::fs::copy(pong().join(name), world.join(name)).unwrap();
    }
    std::fs::write(world.join(config), "{}").unwrap();
    std::fs::write(world.join(weights), "weights").unwrap();
    let file = folder.path().join("World.driftless");
    export(&world, None, &file, false).unwrap();
    let opened = import(&file, &paths(folder.path())).unwrap().folder;
    assert_eq!(std::fs::read(opened.join(weights)).unwrap(), b"weights");
    assert_eq!(std::fs::read(opened.join(config)).unwrap(), b"{}");

    std::fs::remove_file(world.join(weights)).unwrap();
    let half = folder.path().join("Half.driftless");
    export(&world, None, &half, false).unwrap();
    let error = import(&half, &paths(folder.path()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("without the other"), "{error}");
}

#[test]
fn exported_world_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Pong.driftless");
    export(&pong(), None, &file, false).unwrap();
    let paths = paths(folder.path());
    let OpenedWorld {
        folder: world,
        game,
    } = import(&file, &paths).unwrap();
    assert_eq!(game, None);
    assert_eq!(world, paths.worlds().join("Pong"));
    assert!(is_playable(&world) && same_files(&world, &pong()).unwrap());
    // The same file again is the same world; another world of this name is another one.
    assert_eq!(import(&file, &paths).unwrap().folder, world);
    std::fs::write(world.join(CARD), "{}").unwrap();
    assert_eq!(
        import(&file, &paths).unwrap().folder,
        paths.worlds().join("Pong-2")
    );
    assert_eq!(paths.worlds().read_dir().unwrap().count(), 2);
}

#[test]
fn nothing_is_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Pong.driftless");
    std::fs::write(&file, "mine").unwrap();
    let error = export(&pong(), None, &file, false).unwrap_err().to_string();
    assert!(error.contains("--overwrite"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    export(&pong(), None, &file, true).unwrap();
    assert!(import(&file, &paths(folder.path())).is_ok());
    let error = export(&pong(), None, &folder.path().join("Pong.zip"), false).unwrap_err();
    assert!(error.to_string().contains("ends in .driftless"), "{error}");
}

#[test]
fn anything_but_a_world_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("x.driftless");
    let whole: Vec<(&str, &[u8])> = [CONFIG, TOKENIZER, DYNAMICS, STARTING_CLIPS]
        .map(|name| (name, b"{}".as_slice()))
        .to_vec();
    let with = |name: &'static str| [whole.clone(), vec![(name, b"x".as_slice())]].concat();
    let cases = [
        (with("../evil.txt"), "`../evil.txt`"),
        (with("/tmp/evil.txt"), "`/tmp/evil.txt`"),
        (with("..\\evil.txt"), "evil.txt`"),
        (with("folder/config.json"), "`folder/config.json`"),
        (with("card.json@"), "`card.json`"),
        (with("script.sh"), "`script.sh`"),
        (whole[..3].to_vec(), "no contexts.npz"),
        (vec![], "no config.json"),
        // All names are right, and nothing in them is.
        (whole.clone(), "config.json"),
    ];
    for (entries, expected) in cases {
        archive(&file, &entries);
        let error = import(&file, &paths(home.path())).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        let left = home.path().join("worlds").read_dir();
        assert_eq!(
            left.map_or(0, Iterator::count),
            0,
            "{expected} leaves something"
        );
    }
    for bytes in [b"".as_slice(), b"PK\x03\x04", b"not a zip archive at all"] {
        std::fs::write(&file, bytes).unwrap();
        let error = import(&file, &paths(home.path())).unwrap_err().to_string();
        assert!(error.contains("is not a world"), "{error}");
    }
}

#[test]
fn damaged_entries_leave_nothing() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("x.driftless");
    export(&pong(), None, &file, false).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let error = import(&file, &paths(home.path())).unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
    assert_eq!(home.path().join("worlds").read_dir().unwrap().count(), 0);
}

/// A short game of Pong.
fn game() -> Game {
    let config = read_config(&pong()).unwrap();
    let clips = pong().join(STARTING_CLIPS);
    let clip = driftless_model::starting_clips::read(&clips, &config)
        .unwrap()
        .remove(2);
    let params = SamplerParams::of_world(&config);
    let later = SamplerParams { steps: 1, ..params };
    Game::new(
        clip,
        params,
        [(1.into(), params), (2.into(), later)].into_iter(),
    )
}

#[test]
fn game_comes_with_its_world() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Pong.driftless");
    export(&pong(), Some(&game()), &file, false).unwrap();
    let paths = paths(folder.path());
    let opened = import(&file, &paths).unwrap();
    assert_eq!(opened.game, Some(game()));
    // The saved world is the world alone.
    assert!(same_files(&opened.folder, &pong()).unwrap());
    assert_eq!(
        opened.folder.read_dir().unwrap().count(),
        pong().read_dir().unwrap().count()
    );
    let again = import(&file, &paths).unwrap();
    assert_eq!(again, opened);
}

#[test]
fn broken_games_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("x.driftless");
    let read = |name: &str| std::fs::read(pong().join(name)).unwrap();
    let world = [CONFIG, TOKENIZER, DYNAMICS, STARTING_CLIPS].map(|name| (name, read(name)));
    let (start, long) = (read(STARTING_CLIPS), "[".repeat((16 << 20) + 1));
    for (json, start, expected) in [
        ("{}", Some(&start), "its game is damaged"),
        (long.as_str(), Some(&start), "larger than"),
        ("{}", None, "no start.npz"),
    ] {
        let mut entries: Vec<(&str, &[u8])> = world
            .iter()
            .map(|(name, bytes)| (*name, bytes.as_slice()))
            .collect();
        entries.push((GAME_FILES[0], json.as_bytes()));
        entries.extend(start.map(|start| (GAME_FILES[1], start.as_slice())));
        archive(&file, &entries);
        let error = import(&file, &paths(home.path())).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        let left = home.path().join("worlds").read_dir();
        assert_eq!(left.map_or(0, Iterator::count), 0, "{error}");
    }
}
