//! The "New world" page end to end: record, train, try and save a world.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

mod common;
mod display;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{path_str, wait};
use display::{Display, Window};
use driftless_data::Dataset;
use driftless_model::checkpoint::{CONFIG, DYNAMICS, read_config};
use driftless_worlds::record::{RecordingPlan, record};
use driftless_worlds::{Policy, SimulatorKind};

/// Settings for tiny networks that train in a moment, with `steps` steps each.
fn settings(folder: &Path, steps: u64) -> PathBuf {
    let text = format!(
        "save_minutes = 60.0\npreview_minutes = 0.0\n\
         [tokenizer_shape]\nwidth = 8\nhidden = 16\nblocks = 1\nchannels = 4\n\
         [dynamics_shape]\nstem_width = 8\nstem_frames = 1\nwidth = 16\ndepth = 2\nheads = 2\n\
         mlp = 16\ncontext = 4\nregisters = 1\nk_max = 4\n\
         [tokenizer]\nbatch_size = 4\n[tokenizer.optimizer]\nsteps = {steps}\nwarmup_steps = 1\n\
         [dynamics]\nbatch_size = 2\nsequence_length = 6\nnoised_copies = 1\n[dynamics.optimizer]\nsteps = {steps}\nwarmup_steps = 1\n"
    );
    let path = folder.join("tiny.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn wait_for_file(path: &Path) {
    wait(path_str(path), || path.is_file().then_some(()));
}

/// Presses Enter until the file exists. The page ignores the key while it is busy.
fn enter_until(window: &Window<'_>, path: &Path) {
    wait(path_str(path), || {
        window.press("Return");
        std::thread::sleep(Duration::from_millis(200));
        path.is_file().then_some(())
    });
}

/// Whether the bar above a world played from the page is visible, by the colour of its button.
fn shows_bar(shot: &image::RgbImage) -> bool {
    let accent =
        |(_, y, pixel): &(u32, u32, &image::Rgb<u8>)| *y < 44 && pixel.0 == [104, 196, 122];
    shot.enumerate_pixels().filter(accent).count() > 300
}

#[test]
fn record_train_try_and_save() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let shot = folder.path().join("shot.png");
    let settings = settings(folder.path(), 21);
    let window = display.open(&[
        "new",
        "--world",
        "maze",
        "--home",
        path_str(&home),
        "--config",
        path_str(&settings),
    ]);

    window.wait_for("the recording", &shot, shows_bar);
    // The bar counts the frames, so the window changes even if the player faces a wall.
    window.down("Left");
    window.wait_for_changes(8, &shot);
    window.up("Left");
    window.press("r");
    window.down("Up");
    window.wait_for_changes(8, &shot);
    window.up("Up");
    let data = home.join("data/maze");
    enter_until(&window, &data.join("dataset.json"));
    let recorded = Dataset::read(&data).unwrap();
    assert_eq!(recorded.info, SimulatorKind::Maze.open(0).info());
    assert_eq!(recorded.episodes.len(), 2);
    for episode in &recorded.episodes {
        assert_eq!(episode.actions[0], 0);
        assert!(episode.actions.iter().any(|action| *action > 0));
    }

    let run = home.join("runs/maze");
    enter_until(&window, &run.join("settings.toml"));
    wait_for_file(&run.join("checkpoint").join(DYNAMICS));
    wait("the half-trained world", || {
        window.press("Return");
        std::thread::sleep(Duration::from_millis(300));
        shows_bar(&window.screenshot(&shot)).then_some(())
    });
    window.press("Escape");
    let saved = home.join("worlds/maze");
    wait(path_str(&saved), || {
        window.press("s");
        std::thread::sleep(Duration::from_millis(200));
        saved.join(CONFIG).is_file().then_some(())
    });
    assert_eq!(read_config(&saved).unwrap().name, "maze");
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
}

#[test]
fn closing_saves_the_run() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (home, data) = (folder.path().join("home"), folder.path().join("drive"));
    let plan = RecordingPlan {
        world: SimulatorKind::Drive,
        policy: Policy::Random,
        seed: 1,
        world_seed: None,
        frames: 60,
        episode_frames: 30,
    };
    record(&plan, &data, &|_| true).unwrap();
    let settings = settings(folder.path(), 1_000_000);
    let window = display.open(&[
        "new",
        "--data",
        path_str(&data),
        "--home",
        path_str(&home),
        "--config",
        path_str(&settings),
    ]);
    let run = home.join("runs/drive");
    enter_until(&window, &run.join("log.jsonl"));
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    assert!(run.join("tokenizer/state.safetensors").is_file());

    // Nothing keeps training, and the run can be opened again without starting it.
    let log = std::fs::read(run.join("log.jsonl")).unwrap();
    let window = display.open(&["new", "--run", path_str(&run), "--home", path_str(&home)]);
    window.wait_until_still(&folder.path().join("shot.png"));
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    assert!(log == std::fs::read(run.join("log.jsonl")).unwrap());
}
