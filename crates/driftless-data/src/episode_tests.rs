//! Round trips of episodes, and the errors for invalid files.

use std::path::PathBuf;

use super::*;
use crate::npz::NpyDtype;

fn episode() -> Episode {
    Episode {
        height: 2,
        width: 3,
        images: (0..4 * 18).collect(),
        actions: vec![0, 2, 1, 1],
        rewards: vec![0.0, -1.0, 0.0, 0.5],
        extras: BTreeMap::from([
            (
                "ball".to_string(),
                ExtraArray {
                    shape: vec![4, 2],
                    values: (0..8).map(|i| i as f32 / 2.0).collect(),
                },
            ),
            (
                IS_TERMINAL.to_string(),
                ExtraArray {
                    shape: vec![4],
                    values: vec![0.0, 0.0, 0.0, 1.0],
                },
            ),
        ]),
    }
}

#[test]
fn starting_frames_are_marked_or_show_a_ball() {
    let mut episode = episode();
    let ball = episode.extras.get_mut("ball").unwrap();
    ball.values[3] = f32::NAN;
    let marked = episode.starting_frames();
    assert_eq!(marked, Some(vec![true, false, true, true]));
    let flags = ExtraArray {
        shape: vec![4],
        values: vec![0.0, 0.0, 1.0, 1.0],
    };
    episode.extras.insert(CAN_START.to_owned(), flags);
    let marked = episode.starting_frames();
    assert_eq!(marked, Some(vec![false, false, true, true]));
    episode.extras.clear();
    assert_eq!(episode.starting_frames(), None);
}

/// An `.npz` file with the arrays that a closure adds.
struct InvalidFile {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl InvalidFile {
    fn new(fill: impl Fn(&mut NpzWriter)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.npz");
        let mut file = NpzWriter::new(&path);
        fill(&mut file);
        file.save().unwrap();
        Self {
            _folder: folder,
            path,
        }
    }

    fn error_text(&self) -> String {
        let text = Episode::read(&self.path).unwrap_err().to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("broken.npz: array `"), "{text}");
        text
    }
}

fn add_image(file: &mut NpzWriter) {
    file.add("image", &[4, 2, 3, 3], &[0_u8; 72]).unwrap();
}

/// Arrays of an invalid file, and the expected error.
type Case = (fn(&mut NpzWriter), &'static str);

#[test]
fn episode_round_trips() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    episode().write(&path).unwrap();
    assert_eq!(Episode::read(&path).unwrap(), episode());
}

#[test]
fn flags_mark_first_last_and_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    episode().write(&path).unwrap();
    let mut file = NpzReader::open(&path).unwrap();
    let mut flags = |name| {
        let array = file.array(name).unwrap();
        assert_eq!(array.dtype, NpyDtype::Bool);
        array.to_f32().unwrap()
    };
    assert_eq!(flags("is_first"), [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(flags("is_last"), [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(flags("is_terminal"), [0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn reads_a_file_written_by_numpy() {
    // The shipped episodes were written by numpy.savez_compressed.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/pong/episode_00000.npz");
    let episode = Episode::read(&path).unwrap();
    assert_eq!((episode.height, episode.width), (64, 64));
    assert_eq!(episode.images.len(), episode.frames() * 64 * 64 * 3);
    // The background of Pong.
    assert_eq!(episode.frame(0)[..3], [144, 72, 17]);
}

#[test]
fn frame_and_clip_return_slices() {
    let episode = episode();
    assert_eq!(episode.frames(), 4);
    assert_eq!(episode.frame(1), &episode.images[18..36]);
    let clip = episode.clip(1..3);
    assert_eq!(clip.actions, [2, 1]);
    assert_eq!(clip.images, &episode.images[18..54]);
    assert_eq!(episode.clip(3..99).actions, [1]);
    assert_eq!(episode.clip(7..9).frames(), 0);
}

#[test]
fn rewards_and_extras_are_optional() {
    let file = InvalidFile::new(|file| {
        add_image(file);
        file.add("action", &[4], &[0, 1, 2, 3]).unwrap();
    });
    let episode = Episode::read(&file.path).unwrap();
    assert_eq!(episode.rewards, [0.0; 4]);
    assert!(episode.extras.is_empty());
}

#[test]
fn missing_image_or_action_is_reported() {
    let no_image = InvalidFile::new(|file| file.add("action", &[4], &[0; 4]).unwrap());
    let text = no_image.error_text();
    assert!(text.contains("array `image`: missing"), "{text}");
    let text = InvalidFile::new(add_image).error_text();
    assert!(
        text.contains("array `action`: missing; the file has: image"),
        "{text}"
    );
}

#[test]
fn invalid_images_are_reported() {
    let cases: [Case; 4] = [
        (
            |file| file.add("image", &[4, 2, 3, 3], &[0.0_f32; 72]).unwrap(),
            "dtype is float32, expected uint8",
        ),
        (
            |file| file.add("image", &[4, 2, 9], &[0_u8; 72]).unwrap(),
            "shape is [4, 2, 9], expected [T, H, W, 3]",
        ),
        (
            |file| file.add("image", &[4, 3, 2, 1], &[0_u8; 24]).unwrap(),
            "shape is [4, 3, 2, 1], expected [T, H, W, 3]",
        ),
        (
            |file| file.add("image", &[0, 2, 3, 3], &[0_u8; 0]).unwrap(),
            "shape [0, 2, 3, 3] has no pixels",
        ),
    ];
    for (fill, expected) in cases {
        let text = InvalidFile::new(fill).error_text();
        assert!(
            text.contains(&format!("array `image`: {expected}")),
            "{text}"
        );
    }
}

#[test]
fn invalid_actions_are_reported() {
    let cases: [Case; 5] = [
        (
            |file| file.add("action", &[4, 2], &[0.5_f32; 8]).unwrap(),
            "frame 0 of float32 [4, 2] holds neither a whole number nor a one-hot row",
        ),
        (
            |file| file.add("action", &[4], &[0.0, 1.0, 0.5_f32, 0.0]).unwrap(),
            "frame 2 of float32 [4] holds neither",
        ),
        (
            |file| file.add("action", &[4, 1, 1], &[0; 4]).unwrap(),
            "shape is [4, 1, 1], expected [4]",
        ),
        (
            |file| file.add("action", &[3], &[0; 3]).unwrap(),
            "length is 3, expected 4 as in `image`",
        ),
        (
            |file| file.add("action", &[4], &[0, 1, -1, 0]).unwrap(),
            "-1 at frame 2, expected 0 or more",
        ),
    ];
    for (fill, expected) in cases {
        let text = InvalidFile::new(|file| {
            add_image(file);
            fill(file);
        })
        .error_text();
        assert!(
            text.contains(&format!("array `action`: {expected}")),
            "{text}"
        );
    }
}

#[test]
fn wrong_reward_length_is_reported() {
    let text = InvalidFile::new(|file| {
        add_image(file);
        file.add("action", &[4], &[0; 4]).unwrap();
        file.add("reward", &[5], &[0.0_f32; 5]).unwrap();
    })
    .error_text();
    assert!(
        text.contains("array `reward`: length is 5, expected 4"),
        "{text}"
    );
}

#[test]
fn truncated_file_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.npz");
    episode().write(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let text = Episode::read(&path).unwrap_err().to_string();
    assert!(
        text.contains("cut.npz: not an .npz file, or truncated"),
        "{text}"
    );
}

#[test]
fn inconsistent_episode_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let mut short = episode();
    short.rewards.pop();
    assert!(short.write(&path).is_err());
    let mut short = episode();
    short.images.pop();
    assert!(short.write(&path).is_err());
    assert!(!path.exists());
}

/// The actions of an episode of four frames whose `action` is added by `fill`.
fn actions_of(fill: impl Fn(&mut NpzWriter)) -> Vec<u32> {
    let file = InvalidFile::new(|file| {
        add_image(file);
        fill(file);
    });
    Episode::read(&file.path).unwrap().actions
}

#[test]
fn one_hot_actions_are_indices() {
    // The first row is blank in Dreamer's episodes.
    let rows = [[0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]].concat();
    let shape = [4, 3];
    let float: Vec<f32> = rows.iter().map(|&value| value as f32).collect();
    let bool: Vec<bool> = rows.iter().map(|&value| value == 1).collect();
    let byte: Vec<u8> = rows.iter().map(|&value| value as u8).collect();
    let expected = [0, 2, 0, 1];
    assert_eq!(
        actions_of(|file| file.add("action", &shape, &rows).unwrap()),
        expected
    );
    assert_eq!(
        actions_of(|file| file.add("action", &shape, &float).unwrap()),
        expected
    );
    assert_eq!(
        actions_of(|file| file.add("action", &shape, &bool).unwrap()),
        expected
    );
    assert_eq!(
        actions_of(|file| file.add("action", &shape, &byte).unwrap()),
        expected
    );
}

#[test]
fn whole_numbers_of_any_type_are_actions() {
    let expected = [0, 2, 1, 3];
    assert_eq!(
        actions_of(|file| file.add("action", &[4], &[0_u8, 2, 1, 3]).unwrap()),
        expected
    );
    assert_eq!(
        actions_of(|file| file.add("action", &[4, 1], &[0, 2, 1, 3]).unwrap()),
        expected
    );
    let first_is_nan = [f32::NAN, 2.0, 1.0, 3.0];
    assert_eq!(
        actions_of(|file| file.add("action", &[4], &first_is_nan).unwrap()),
        expected
    );
}

#[test]
fn only_the_first_reward_may_be_nan() {
    let with_rewards = |rewards: [f32; 4]| {
        InvalidFile::new(move |file| {
            add_image(file);
            file.add("action", &[4], &[0; 4]).unwrap();
            file.add("reward", &[4, 1], &rewards).unwrap();
        })
    };
    let first = with_rewards([f32::NAN, 1.0, 2.0, 3.0]);
    assert_eq!(
        Episode::read(&first.path).unwrap().rewards,
        [0.0, 1.0, 2.0, 3.0]
    );
    for (value, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let text = with_rewards([0.0, 1.0, value, 3.0]).error_text();
        assert!(
            text.contains(&format!("array `reward`: {word} at frame 2")),
            "{text}"
        );
    }
}

#[test]
fn boundaries_inside_a_file_divide_it() {
    let file = InvalidFile::new(|file| {
        let images: Vec<u8> = (0..4).flat_map(|t| [t; 18]).collect();
        file.add("image", &[4, 2, 3, 3], &images).unwrap();
        file.add("action", &[4], &[1, 2, 3, 4]).unwrap();
        file.add("reward", &[4], &[f32::NAN, 1.0, f32::NAN, 3.0])
            .unwrap();
        file.add("is_first", &[4], &[false, false, true, false])
            .unwrap();
        file.add("is_last", &[4], &[false, true, false, false])
            .unwrap();
        file.add("is_terminal", &[4], &[false, true, false, false])
            .unwrap();
        file.add("place", &[4, 2], &[0, 1, 2, 3, 4, 5, 6, 7])
            .unwrap();
        file.add("seed", &[1], &[9]).unwrap();
    });
    let episodes = Episode::read_all(&file.path).unwrap();
    assert_eq!(episodes.len(), 2);
    assert_eq!(episodes[0].actions, [0, 2]);
    assert_eq!(episodes[1].actions, [0, 4]);
    assert_eq!(episodes[1].rewards, [0.0, 3.0]);
    assert_eq!(episodes[1].frame(0), [2; 18]);
    assert_eq!(episodes[0].is_terminal().unwrap(), [0.0, 1.0]);
    assert_eq!(episodes[1].extras["place"].values, [4.0, 5.0, 6.0, 7.0]);
    assert!(
        !episodes[1].extras.contains_key("seed"),
        "it belongs to no frame"
    );
    let text = Episode::read(&file.path).unwrap_err().to_string();
    assert!(
        text.contains("holds 2 episodes") && text.contains("--from npz"),
        "{text}"
    );
}

#[test]
fn further_arrays_are_bounded_together() {
    let text = InvalidFile::new(|file| {
        add_image(file);
        file.add("action", &[4], &[0; 4]).unwrap();
        // Deflated to a few hundred kilobytes.
        let zeros = vec![0_u8; 70 << 20];
        file.add("x", &[zeros.len()], &zeros).unwrap();
        file.add("y", &[zeros.len()], &zeros).unwrap();
    })
    .error_text();
    assert!(
        text.contains("array `y`: with it") && text.contains("512 MiB"),
        "{text}"
    );
}
