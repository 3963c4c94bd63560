//! LeRobot's datasets.

use super::*;

#[test]
#[cfg(feature = "parquet")]
fn lerobot_action_led_to_the_next_frame() {
    if !has_ffmpeg() {
        return;
    }
    let importer = Importer::new(Some(("map.toml", SPEED)));
    let dataset = importer.dataset("lerobot", &fixture("lerobot"), &[]);
    assert_actions_led_to_their_frames(&dataset.episodes[0]);
    assert_eq!(dataset.info.fps, 10.0);
    assert_eq!(dataset.episodes[0].rewards[..3], [0.0, 0.0, 1.0]);
}

#[test]
#[cfg(feature = "parquet")]
fn lerobot_3_episodes_share_their_files() {
    if !has_ffmpeg() {
        return;
    }
    let importer = Importer::new(Some(("map.toml", SPEED)));
    let dataset = importer.dataset("lerobot", &fixture("lerobot-v3"), &[]);
    assert_eq!(dataset.episodes.len(), 2);
    assert_actions_led_to_their_frames(&dataset.episodes[0]);
    let second = &dataset.episodes[1];
    assert_eq!(second.frames(), 8);
    assert_eq!(second.actions[1..], ACTIONS[..7]);
    assert_eq!(square(second, 0), square(&dataset.episodes[0], 0));
    assert_eq!(square(second, 7), square(&dataset.episodes[0], 7));
}

#[test]
#[cfg(feature = "parquet")]
fn lerobot_actions_are_axes_without_a_map() {
    let dataset = Importer::new(None).dataset("lerobot", &fixture("lerobot-images"), &[]);
    assert_eq!(
        (dataset.info.actions.len(), dataset.info.axes.len()),
        (1, 2)
    );
    for episode in &dataset.episodes {
        let axes = episode.axes(2).unwrap();
        assert!(axes[..2] == [0.0; 2] && axes.iter().any(|value| *value != 0.0));
    }
}

#[test]
#[cfg(feature = "parquet")]
fn other_columns_and_pointers_are_named() {
    let source = fixture("lerobot-images");
    let importer = Importer::new(Some(("map.toml", SPEED)));
    let error = importer.error("lerobot", &source, &["--action-key", "actions"]);
    assert!(
        error.contains("no column `actions`; there are action, "),
        "{error}"
    );
    let copy = copied("lerobot-images");
    let rows = copy.path().join("data/chunk-000/episode_000000.parquet");
    std::fs::write(&rows, "version https://git-lfs.github.com/spec/v1\n").unwrap();
    let error = importer.error("lerobot", copy.path(), &[]);
    assert!(
        error.contains("000000.parquet: is a pointer of git-lfs"),
        "{error}"
    );
}

#[test]
#[cfg(feature = "parquet")]
fn damaged_parquet_is_an_error_that_names_the_file() {
    let copy = copied("lerobot-images");
    let rows = copy.path().join("data/chunk-000/episode_000000.parquet");
    let whole = std::fs::read(&rows).unwrap();
    // Bytes of the pages and of the footer in turn.
    for at in (4..whole.len()).step_by(whole.len() / 24) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x5a;
        std::fs::write(&rows, damaged).unwrap();
        let importer = Importer::new(Some(("map.toml", SPEED)));
        let output = importer.import("lerobot", copy.path(), &[]);
        let error = String::from_utf8(output.stderr).unwrap();
        match output.status.code() {
            Some(0) => {}
            code => {
                assert_eq!(code, Some(1), "byte {at}: {error}");
                assert_eq!(error.lines().count(), 1, "byte {at}: {error}");
                assert!(error.contains("000000.parquet"), "byte {at}: {error}");
            }
        }
    }
}

#[test]
#[cfg(feature = "parquet")]
fn parquet_images_need_no_ffmpeg() {
    let importer = Importer::new(Some(("map.toml", SPEED)));
    let dataset = importer.dataset("lerobot", &fixture("lerobot-images"), &[]);
    assert_actions_led_to_their_frames(&dataset.episodes[0]);
}
