//! Changes to a small dataset, and that they can be undone.

use std::collections::BTreeMap;

use super::*;
use crate::ExtraArray;

/// Episodes a (6 frames) and b (4), whose pixels tell their frame, with captions.
fn dataset(folder: &Path) {
    let info = DatasetInfo {
        name: "Tiny".into(),
        fps: 10.0,
        image: [1, 1],
        actions: ["noop", "up", "down"].map(action).to_vec(),
        axes: Vec::new(),
    };
    write_json(&folder.join(INFO), &info).unwrap();
    for (name, frames) in [("a.npz", 6), ("b.npz", 4)] {
        let numbers: Vec<f32> = (0..frames).map(|t| t as f32).collect();
        let extra = ExtraArray {
            shape: vec![frames],
            values: numbers.clone(),
        };
        let episode = Episode {
            height: 1,
            width: 1,
            images: (0..frames as u8).flat_map(|t| [t, t, t]).collect(),
            actions: (0..frames as u32).map(|t| t % 3).collect(),
            rewards: numbers,
            extras: BTreeMap::from([("x".to_owned(), extra)]),
        };
        episode.write(&folder.join(name)).unwrap();
    }
    captions::write(
        folder,
        &[
            said("a.npz", 1, 2),
            said("a.npz", 3, 3),
            said("b.npz", 0, 4),
        ],
    )
    .unwrap();
    std::fs::write(folder.join("b.en.txt"), "all of b\n").unwrap();
}

fn action(name: &str) -> ActionSpec {
    ActionSpec {
        name: name.into(),
        keys: Vec::new(),
    }
}

fn said(file: &str, start: usize, frames: usize) -> ClipCaption {
    let text = format!("{file} from {start}");
    ClipCaption {
        file: file.into(),
        start,
        frames,
        texts: BTreeMap::from([("en".to_owned(), vec![text])]),
        facts: Vec::new(),
    }
}

/// Everything in a folder and those in it, by name.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let inner = contents(&path).into_iter();
            all.extend(inner.map(|(name, bytes)| (format!("{}/{name}", name_of(&path)), bytes)));
        } else {
            all.insert(name_of(&path), std::fs::read(&path).unwrap());
        }
    }
    all
}

fn names(folder: &Path) -> Vec<String> {
    contents(folder).into_keys().collect()
}

#[test]
fn cut_keeps_frames_and_their_captions() {
    let root = tempfile::tempdir().unwrap();
    dataset(root.path());
    let before = contents(root.path());
    let change = cut(root.path(), "a.npz", 2..6).unwrap();
    assert_eq!(change.created(), [root.path().join("a_2-5.npz")]);
    let part = Episode::read(&root.path().join("a_2-5.npz")).unwrap();
    assert_eq!(part.images, [2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]);
    // Nothing led to its first frame.
    assert_eq!(part.actions, [0, 0, 1, 2]);
    assert_eq!(part.rewards, [0.0, 3.0, 4.0, 5.0]);
    assert_eq!(part.extras["x"].values, [2.0, 3.0, 4.0, 5.0]);
    let captions = captions::read(root.path()).unwrap().unwrap();
    let of_part: Vec<_> = captions.iter().filter(|c| c.file == "a_2-5.npz").collect();
    assert_eq!((of_part.len(), of_part[0].start), (1, 1));
    assert_eq!(of_part[0].texts["en"], ["a.npz from 3"]);
    assert!(root.path().join("removed/a.npz").exists());
    assert_eq!(Dataset::read(root.path()).unwrap().episodes.len(), 2);

    change.undo().unwrap();
    assert_eq!(contents(root.path()), before);
}

#[test]
fn split_makes_two_of_one() {
    let root = tempfile::tempdir().unwrap();
    dataset(root.path());
    let before = contents(root.path());
    let change = split(root.path(), "b.npz", 1).unwrap();
    let frames = |name: &str| Episode::read(&root.path().join(name)).unwrap().frames();
    assert_eq!((frames("b_0-0.npz"), frames("b_1-3.npz")), (1, 3));
    // Its text speaks of the whole.
    assert!(root.path().join("removed/b.en.txt").exists());
    assert!(split(root.path(), "a.npz", 6).is_err());
    change.undo().unwrap();
    assert_eq!(contents(root.path()), before);
}

#[test]
fn removed_and_held_out_episodes_keep_their_captions() {
    let root = tempfile::tempdir().unwrap();
    let (folder, other) = (root.path().join("game"), root.path().join("game-val"));
    std::fs::create_dir(&folder).unwrap();
    dataset(&folder);
    let before = contents(&folder);
    let root = root.path().canonicalize().unwrap();
    assert_eq!(held_out_folder(&folder).unwrap(), root.join("game-val"));
    assert!(beside(&root.join("none"), "-val").is_err());
    let change = hold_out(&folder, "b.npz", &other).unwrap();
    assert_eq!(names(&other), ["b.en.txt", "b.npz", CAPTIONS, INFO]);
    let captions = captions::read(&other).unwrap().unwrap();
    assert_eq!(captions[0], said("b.npz", 0, 4));
    assert_eq!(captions[1].texts["en"], ["all of b"]);
    assert_eq!(captions::read(&folder).unwrap().unwrap().len(), 2);
    // The last one stays.
    assert!(remove(&folder, "a.npz").is_err());
    assert!(hold_out(&folder, "a.npz", &other).is_err());
    change.undo().unwrap();
    assert_eq!(contents(&folder), before);
    assert!(!other.exists(), "a dataset that the change began");
    // One that holds something else, or was there before, stays.
    let first = hold_out(&folder, "b.npz", &other).unwrap();
    std::fs::write(other.join("mine.txt"), "").unwrap();
    first.undo().unwrap();
    assert_eq!(names(&other), [INFO, "mine.txt"]);
    hold_out(&folder, "b.npz", &other).unwrap().undo().unwrap();
    assert_eq!(names(&other), [INFO, "mine.txt"]);

    let change = remove(&folder, "a.npz").unwrap();
    assert_eq!(
        names(&folder),
        [
            "b.en.txt",
            "b.npz",
            CAPTIONS,
            INFO,
            "removed/a.npz",
            "removed/captions.jsonl"
        ]
    );
    change.undo().unwrap();
    assert_eq!(contents(&folder), before);
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("game");
    std::fs::create_dir(&folder).unwrap();
    dataset(&folder);
    let before = contents(&folder);
    assert!(cut(&folder, "a.npz", 3..7).is_err());
    assert!(cut(&folder, "a.npz", 3..3).is_err());
    assert!(cut(&folder, "c.npz", 0..1).is_err());
    assert!(remove(&folder, "c.npz").is_err());
    let other = root.path().join("other");
    std::fs::create_dir(&other).unwrap();
    dataset(&other);
    let mut info = DatasetInfo::read(&other).unwrap();
    info.actions.pop();
    write_json(&other.join(INFO), &info).unwrap();
    let error = hold_out(&folder, "a.npz", &other).unwrap_err().to_string();
    assert!(error.contains("other frames, actions or axes"), "{error}");
    assert_eq!(contents(&folder), before);
}

#[test]
fn failed_change_leaves_no_parts() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("game");
    std::fs::create_dir(&folder).unwrap();
    dataset(&folder);
    // Where the whole should go lies a file.
    std::fs::write(folder.join(REMOVED), b"in the way").unwrap();
    let before = contents(&folder);
    assert!(cut(&folder, "a.npz", 1..3).is_err());
    assert!(split(&folder, "a.npz", 2).is_err());
    assert!(remove(&folder, "b.npz").is_err());
    assert_eq!(contents(&folder), before);
}

#[test]
fn damaged_episode_is_in_nobodys_way() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("game");
    std::fs::create_dir(&folder).unwrap();
    dataset(&folder);
    std::fs::write(folder.join("b.npz"), b"PK").unwrap();
    let change = cut(&folder, "a.npz", 1..3).unwrap();
    let lines = std::fs::read_to_string(folder.join(CAPTIONS)).unwrap();
    assert!(
        lines.contains("a_1-2.npz") && lines.contains("b.npz"),
        "{lines}"
    );
    change.undo().unwrap();
    split(&folder, "a.npz", 2).unwrap();
    hold_out(&folder, "a_0-1.npz", &root.path().join("val")).unwrap();
    // What needs it says which it is.
    let error = cut(&folder, "b.npz", 0..1).unwrap_err().to_string();
    assert!(error.contains("b.npz"), "{error}");
    remove(&folder, "b.npz").unwrap();
    assert_eq!(Dataset::read(&folder).unwrap().episodes.len(), 1);
}

#[test]
fn captions_are_added_after_a_line_without_end() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("game");
    std::fs::create_dir(&folder).unwrap();
    dataset(&folder);
    let other = beside(&folder, "-val").unwrap();
    hold_out(&folder, "b.npz", &other).unwrap();
    let path = other.join(CAPTIONS);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.trim_end()).unwrap();
    dataset(&folder);
    hold_out(&folder, "b.npz", &other).unwrap();
    let files: Vec<String> = captions::read_file(&other)
        .unwrap()
        .into_iter()
        .map(|line| line.file)
        .collect();
    assert_eq!(files, ["b.npz", "b-2.npz"]);
}

#[test]
fn actions_are_merged_in_a_copy() {
    let root = tempfile::tempdir().unwrap();
    let (folder, out) = (root.path().join("game"), root.path().join("merged"));
    std::fs::create_dir(&folder).unwrap();
    dataset(&folder);
    let actions = vec![action("noop"), action("move")];
    let mut seen = 0;
    remap(&folder, &out, actions.clone(), &[0, 1, 1], &mut |done| {
        seen = done;
        true
    })
    .unwrap();
    let merged = Dataset::read(&out).unwrap();
    assert_eq!((seen, merged.episodes.len()), (2, 2));
    assert_eq!(merged.info.actions, actions);
    assert_eq!(merged.episodes[0].actions, [0, 1, 1, 0, 1, 1]);
    assert_eq!(captions::read(&out).unwrap().unwrap().len(), 4);
    let refuse = |map: &[u32]| {
        let out = root.path().join("refused");
        assert!(remap(&folder, &out, actions.clone(), map, &mut |_| true).is_err());
        assert!(!out.exists());
    };
    refuse(&[0, 1]);
    refuse(&[1, 1, 1]);
    refuse(&[0, 1, 2]);
    let stopped = remap(
        &folder,
        &root.path().join("stopped"),
        actions,
        &[0, 1, 1],
        &mut |_| false,
    );
    assert!(matches!(stopped, Err(Error::Interrupted)));
    assert!(!root.path().join("stopped").exists());
}
