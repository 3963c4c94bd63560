use driftless_model::checkpoint::read_config;
use driftless_transport::{TransportConfig, Transporter};

use super::*;
use crate::workspace::library::is_playable;

/// Two worlds with dummy files.
static TWO: [EmbeddedWorld; 2] = [
    EmbeddedWorld {
        name: "pong",
        files: &[(CONFIG, b"{}"), (DYNAMICS, b"weights")],
    },
    EmbeddedWorld {
        name: "maze",
        files: &[(CONFIG, b"{}")],
    },
];

fn world(parent: &Path, name: &str) -> PathBuf {
    let folder = parent.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(CONFIG), "{}").unwrap();
    folder
}

fn shipped(root: &Path, folders: &[&str]) -> IncludedWorlds {
    IncludedWorlds {
        folders: folders.iter().map(|folder| root.join(folder)).collect(),
        home: Some(root.join("home")),
        temporary: root.join("temporary"),
        embedded: &TWO,
    }
}

#[test]
fn searches_three_folders() {
    let found = search_folders(Some(Path::new("/usr/bin/driftless")));
    let expected = [
        "checkpoints",
        "/usr/bin/checkpoints",
        "/usr/share/driftless/checkpoints",
    ];
    assert_eq!(found, expected.map(PathBuf::from));
    assert_eq!(search_folders(None), [PathBuf::from("checkpoints")]);
}

#[test]
fn first_folder_wins() {
    let root = tempfile::tempdir().unwrap();
    let shipped = shipped(root.path(), &["a", "b"]);
    let unpacked = shipped.folder("pong").unwrap().unwrap();
    assert!(unpacked.starts_with(root.path().join("home")));
    // A folder without a configuration is not a world.
    std::fs::create_dir_all(root.path().join("a/pong")).unwrap();
    let second = world(&root.path().join("b"), "pong");
    assert_eq!(shipped.folder("pong").unwrap(), Some(second));
    let first = world(&root.path().join("a"), "pong");
    assert_eq!(shipped.folder("pong").unwrap(), Some(first));
    assert_eq!(shipped.folder("chess").unwrap(), None);
}

#[test]
fn display_names_need_no_unpacking() {
    let root = tempfile::tempdir().unwrap();
    let folder = world(&root.path().join("a"), "maze");
    std::fs::write(folder.join(CONFIG), r#"{"name": "My maze", "fps": 15}"#).unwrap();
    let shipped = shipped(root.path(), &["a"]);
    assert_eq!(shipped.display_name("maze").as_deref(), Some("My maze"));
    // A configuration without a name, and a world that there is none of.
    assert_eq!(shipped.display_name("pong"), None);
    assert_eq!(shipped.display_name("chess"), None);
    let real = IncludedWorlds {
        embedded: &EMBEDDED,
        ..shipped
    };
    assert_eq!(
        real.display_name("doom").as_deref(),
        Some("Doom: take cover")
    );
    assert!(!root.path().join("home").exists());
}

#[test]
fn unwritable_home_unpacks_elsewhere() {
    let root = tempfile::tempdir().unwrap();
    let shipped = shipped(root.path(), &[]);
    // A file where the data folder should be.
    std::fs::write(root.path().join("home"), "").unwrap();
    let folder = shipped.folder("pong").unwrap().unwrap();
    assert!(
        folder.starts_with(root.path().join("temporary")),
        "{folder:?}"
    );
    assert_eq!(std::fs::read(folder.join(CONFIG)).unwrap(), b"{}");
    // Nowhere at all.
    std::fs::remove_dir_all(root.path().join("temporary")).unwrap();
    std::fs::write(root.path().join("temporary"), "").unwrap();
    let error = shipped.folder("pong").unwrap_err().to_string();
    assert!(
        error.contains("home") && error.contains(HOME_VARIABLE),
        "{error}"
    );
}

#[test]
fn names_are_ordered_and_unique() {
    let root = tempfile::tempdir().unwrap();
    for (folder, name) in [("a", "zoo"), ("a", "maze"), ("b", "art"), ("b", "zoo")] {
        world(&root.path().join(folder), name);
    }
    world(&root.path().join("a"), ".zoo.x.partial");
    std::fs::create_dir(root.path().join("b/empty")).unwrap();
    let names = shipped(root.path(), &["a", "b", "missing"]).names();
    assert_eq!(names, ["pong", "maze", "art", "zoo"]);
}

#[test]
fn embedded_worlds_are_playable() {
    let root = tempfile::tempdir().unwrap();
    let shipped = IncludedWorlds {
        folders: Vec::new(),
        home: Some(root.path().into()),
        temporary: std::env::temp_dir(),
        embedded: &EMBEDDED,
    };
    assert_eq!(
        shipped.names(),
        [
            "pong", "breakout", "doom", "maze", "drive", "steer", "cells"
        ]
    );
    for name in shipped.names() {
        let folder = shipped.folder(&name).unwrap().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(CHECKPOINTS);
        if TransportConfig::is_in(&folder) {
            Transporter::read(&folder).unwrap();
        } else {
            assert!(is_playable(&folder), "{name}");
            let config = read_config(&folder).unwrap();
            assert_eq!(config, read_config(&source.join(&name)).unwrap());
        }
        for file in folder.read_dir().unwrap() {
            let file = file.unwrap();
            let original = source.join(&name).join(file.file_name());
            assert!(std::fs::read(original).unwrap() == std::fs::read(file.path()).unwrap());
        }
    }
    assert!(shipped.default_world().unwrap().ends_with(DEFAULT_WORLD));
}

#[test]
fn unpacks_once() {
    let root = tempfile::tempdir().unwrap();
    let folder = unpack(&TWO[0], root.path()).unwrap();
    assert_eq!(std::fs::read(folder.join(DYNAMICS)).unwrap(), b"weights");
    let note = folder.join("note");
    std::fs::write(&note, "").unwrap();
    assert_eq!(unpack(&TWO[0], root.path()).unwrap(), folder);
    assert!(note.exists(), "the folder was written again");
    assert_eq!(folder.parent().unwrap().read_dir().unwrap().count(), 1);
}

#[test]
fn other_versions_are_ignored() {
    let root = tempfile::tempdir().unwrap();
    let old = EmbeddedWorld {
        name: "pong",
        files: &[(CONFIG, b"{}"), (DYNAMICS, b"WEIGHTS")],
    };
    let earlier = unpack(&old, root.path()).unwrap();
    let now = unpack(&TWO[0], root.path()).unwrap();
    assert_ne!(earlier, now);
    assert_eq!(std::fs::read(now.join(DYNAMICS)).unwrap(), b"weights");
    assert_eq!(std::fs::read(earlier.join(DYNAMICS)).unwrap(), b"WEIGHTS");
}

#[test]
fn damaged_world_is_unpacked_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = unpack(&TWO[0], root.path()).unwrap();
    let weights = folder.join(DYNAMICS);
    for damaged in [&b"weig"[..], b"wEights", b""] {
        std::fs::write(&weights, damaged).unwrap();
        assert_eq!(unpack(&TWO[0], root.path()).unwrap(), folder);
        assert_eq!(std::fs::read(&weights).unwrap(), b"weights");
    }
    std::fs::remove_file(&weights).unwrap();
    unpack(&TWO[0], root.path()).unwrap();
    assert_eq!(std::fs::read(&weights).unwrap(), b"weights");
}

#[test]
fn concurrent_unpacking_is_safe() {
    let root = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| unpack(&TWO[0], root.path()).unwrap()))
            .collect();
        for one in all {
            let folder = one.join().unwrap();
            assert_eq!(std::fs::read(folder.join(DYNAMICS)).unwrap(), b"weights");
        }
    });
}
