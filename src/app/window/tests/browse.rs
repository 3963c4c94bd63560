//! The page that shows the episodes of a dataset: how they are looked at, changed, and restored.

use driftless_data::Episode;
use driftless_worlds::record::RecordingPlan;
use driftless_worlds::{Policy, record};

use super::*;

/// Two episodes of the maze, of 12 frames each.
fn recorded(folder: &Path) {
    let plan = RecordingPlan {
        world: SimulatorKind::Maze,
        policy: Policy::Random,
        seed: 1,
        world_seed: None,
        frames: 24,
        episode_frames: 12,
    };
    record(&plan, folder, &|_| true).unwrap();
}

/// A window on the dataset, its first episode shown.
fn open_dataset(data: &Path, home: &Path) -> Option<TestWindow> {
    let first = FirstPage::Browse(data.to_path_buf());
    let config = UserConfig::default();
    let mut window = open_window(learned("pong"), home, config, SIZE, first)?;
    wait_for(&mut window, "Frame 0 of 12");
    Some(window)
}

fn frames(data: &Path, file: &str) -> usize {
    Episode::read(&data.join(file)).unwrap().frames()
}

#[test]
fn episodes_are_cut_and_restored() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("game");
    recorded(&data);
    let Some(mut window) = open_dataset(&data, home.path()) else {
        return;
    };
    // Frames 3 to 7.
    for _ in 0..3 {
        press(&mut window, Key::ArrowRight);
    }
    press(&mut window, Key::OpenBracket);
    for _ in 0..4 {
        press(&mut window, Key::ArrowRight);
    }
    press(&mut window, Key::CloseBracket);
    window.step();
    assert!(window.query_by_label("Frame 7 of 12").is_some());
    click(&mut window, "Keep the selection");
    wait_for(&mut window, "Frame 0 of 5");
    assert_eq!(frames(&data, "episode_00000_3-7.npz"), 5);
    assert!(data.join("removed/episode_00000.npz").exists());
    click(&mut window, "Undo");
    wait_for(&mut window, "Frame 0 of 12");
    assert_eq!(frames(&data, "episode_00000.npz"), 12);
    assert!(!data.join("episode_00000_3-7.npz").exists());
}

#[test]
fn episode_is_held_out() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("game");
    recorded(&data);
    let Some(mut window) = open_dataset(&data, home.path()) else {
        return;
    };
    press(&mut window, Key::ArrowDown);
    wait_for(&mut window, "Frame 0 of 12");
    click(&mut window, "Hold out");
    wait(&mut window, "the move", |window| {
        window
            .env
            .notices
            .texts()
            .any(|text| text.contains("game-val"))
    });
    assert_eq!(
        frames(&home.path().join("game-val"), "episode_00001.npz"),
        12
    );
    // The last one cannot be taken from its dataset, and it is said why.
    wait_for(&mut window, "Remove");
    click(&mut window, "Remove");
    wait(&mut window, "the reason", |window| {
        window
            .env
            .notices
            .texts()
            .any(|text| text.contains("no other episode"))
    });
    assert!(data.join("episode_00000.npz").exists());
    press(&mut window, Key::Escape);
    assert_eq!(window.state().stage.navigation.screen, Screen::Game);
}

#[test]
fn folder_without_episodes_says_so() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("empty");
    std::fs::create_dir(&data).unwrap();
    let first = FirstPage::Browse(data);
    let config = UserConfig::default();
    let Some(mut window) = open_window(learned("pong"), home.path(), config, SIZE, first) else {
        return;
    };
    wait_for(&mut window, "dataset.json is missing");
}
