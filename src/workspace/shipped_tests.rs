use std::time::SystemTime;

use super::*;
use crate::workspace::save::playable;
use driftless_model::checkpoint::read_config;

static TWO: [Packed; 2] = [
    Packed {
        name: "pong",
        files: &[(CONFIG, b"{}"), (DYNAMICS, b"weights")],
    },
    Packed {
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

fn shipped(root: &Path, folders: &[&str]) -> Shipped {
    Shipped {
        folders: folders.iter().map(|folder| root.join(folder)).collect(),
        home: Some(root.join("home")),
        packed: &TWO,
    }
}

fn age(path: &Path, by: Duration) {
    let then = SystemTime::now() - by;
    std::fs::File::open(path)
        .unwrap()
        .set_modified(then)
        .unwrap();
}

#[test]
fn worlds_are_looked_for_at_the_start_beside_the_program_and_where_packages_put_them() {
    let found = folders(Some(Path::new("/usr/bin/driftless")));
    let expected = [
        "checkpoints",
        "/usr/bin/checkpoints",
        "/usr/share/driftless/checkpoints",
    ];
    assert_eq!(found, expected.map(PathBuf::from));
    assert_eq!(folders(None), [PathBuf::from("checkpoints")]);
}

#[test]
fn the_first_place_that_has_a_world_wins_and_the_program_comes_last() {
    let root = tempfile::tempdir().unwrap();
    let shipped = shipped(root.path(), &["a", "b"]);
    let unpacked = shipped.folder("pong").unwrap().unwrap();
    assert!(unpacked.starts_with(root.path().join("home")));
    // A folder without a world in it is none.
    std::fs::create_dir_all(root.path().join("a/pong")).unwrap();
    let second = world(&root.path().join("b"), "pong");
    assert_eq!(shipped.folder("pong").unwrap(), Some(second));
    let first = world(&root.path().join("a"), "pong");
    assert_eq!(shipped.folder("pong").unwrap(), Some(first));
    assert_eq!(shipped.folder("chess").unwrap(), None);
}

#[test]
fn worlds_of_the_program_are_named_first_and_each_once() {
    let root = tempfile::tempdir().unwrap();
    for (place, name) in [("a", "zoo"), ("a", "maze"), ("b", "art"), ("b", "zoo")] {
        world(&root.path().join(place), name);
    }
    world(&root.path().join("a"), ".zoo.x.partial");
    std::fs::create_dir(root.path().join("b/empty")).unwrap();
    let names = shipped(root.path(), &["a", "b", "missing"]).names();
    assert_eq!(names, ["pong", "maze", "art", "zoo"]);
}

#[test]
fn the_four_worlds_in_the_program_can_be_played_as_they_are_unpacked() {
    let root = tempfile::tempdir().unwrap();
    let shipped = Shipped {
        folders: Vec::new(),
        home: Some(root.path().into()),
        packed: &PACKED,
    };
    assert_eq!(shipped.names(), ["pong", "breakout", "doom", "maze"]);
    for name in shipped.names() {
        let folder = shipped.folder(&name).unwrap().unwrap();
        assert!(playable(&folder), "{name}");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
        let config = read_config(&folder).unwrap();
        assert_eq!(config, read_config(&source.join(&name)).unwrap());
        for file in folder.read_dir().unwrap() {
            let file = file.unwrap();
            let own = source.join(&name).join(file.file_name());
            assert!(std::fs::read(own).unwrap() == std::fs::read(file.path()).unwrap());
        }
    }
    assert!(shipped.default_world().unwrap().ends_with(DEFAULT));
}

#[test]
fn a_world_is_unpacked_once() {
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
fn what_a_program_with_other_worlds_has_unpacked_is_left_alone_and_not_played() {
    let root = tempfile::tempdir().unwrap();
    let old = Packed {
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
fn a_world_that_is_not_there_whole_is_unpacked_again() {
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
fn what_a_crash_left_is_removed_and_what_another_program_writes_now_is_not() {
    let root = tempfile::tempdir().unwrap();
    let folder = unpack(&TWO[0], root.path()).unwrap();
    let parent = folder.parent().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let names = [".pong.old.partial", ".pong.new.partial", ".maze.x.partial"];
    for name in names {
        std::fs::create_dir(parent.join(name)).unwrap();
        std::fs::write(parent.join(name).join(CONFIG), "{").unwrap();
    }
    let left = |name: &str| parent.join(name).exists();
    age(&parent.join(names[0]), LEFT_BEHIND * 2);
    age(&parent.join(names[2]), LEFT_BEHIND * 2);
    assert_eq!(unpack(&TWO[0], root.path()).unwrap(), folder);
    assert!(!left(names[0]) && left(names[1]) && left(names[2]));
    assert_eq!(std::fs::read(folder.join(CONFIG)).unwrap(), b"{}");
}

#[test]
fn programs_that_unpack_at_the_same_time_do_not_disturb_each_other() {
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

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("home"), "a file").unwrap();
    let error = shipped(root.path(), &[]).folder("maze").unwrap_err();
    let said = error.to_string();
    assert!(said.contains("home"), "{said}");
}
