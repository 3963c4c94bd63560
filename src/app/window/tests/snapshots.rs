//! Snapshots of the main states.

use super::*;
use crate::app::tests::snapshot_options;

/// Compares the window with a snapshot.
fn compare(window: &mut TestWindow, name: &str) {
    window.remove_cursor();
    window.run_ok();
    compare_as_it_is(window, name);
}

fn compare_as_it_is(window: &mut TestWindow, name: &str) {
    // The time per frame varies, once there is one.
    let timed = window.state().game().stats.times().is_some();
    if timed && let Some(label) = window.query_by_label("Time per frame") {
        let line = label.rect().expand2(vec2(0.0, 2.0));
        let right = line.with_max_x(SIZE.x - 12.0).with_min_x(line.max.x);
        window.mask(right);
    }
    window.snapshot_options(name, &snapshot_options());
}

/// Settings of a returning user: no welcome card, and no overlay, whose numbers depend on the machine.
fn settled() -> UserConfig {
    let mut config = UserConfig::default();
    config.lab = true;
    config.welcomed = ["Pong", "Maze", "Breakout"].map(str::to_owned).into();
    config
}

fn opened(world: &str, home: &Path) -> Option<TestWindow> {
    open_with(learned(world), home, settled(), SIZE)
}

#[test]
fn first_run() {
    let home = tempfile::tempdir().unwrap();
    let config = UserConfig::default();
    let Some(mut window) = open_with(learned("pong"), home.path(), config, SIZE) else {
        return;
    };
    compare(&mut window, "first_run");
    click(&mut window, "Play");
    assert!(window.query_by_label("Play").is_none());
}

/// A few frames of play in a theme.
fn playing(theme: Appearance, name: &str) {
    let home = tempfile::tempdir().unwrap();
    let mut config = settled();
    config.appearance = theme;
    let Some(mut window) = open_with(learned("pong"), home.path(), config, SIZE) else {
        return;
    };
    steps(&mut window, 8);
    compare(&mut window, name);
}

#[test]
fn dark_theme() {
    playing(Appearance::Dark, "playing");
}

#[test]
fn light_theme() {
    playing(Appearance::Light, "playing_light");
}

#[test]
fn timeline_with_branches() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = opened("pong", home.path()) else {
        return;
    };
    press(&mut window, Key::L);
    steps(&mut window, 24);
    for index in (15..24).rev() {
        press(&mut window, Key::OpenBracket);
        arrive(&mut window, index);
    }
    key(&mut window, Key::ArrowDown, true);
    steps(&mut window, 6);
    key(&mut window, Key::ArrowDown, false);
    wait(&mut window, "the thumbnails", |window| {
        window.analysis().timeline.is_complete()
    });
    compare(&mut window, "timeline");
}

#[test]
fn comparison_with_difference() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = opened("maze", home.path()) else {
        return;
    };
    press(&mut window, Key::T);
    press(&mut window, Key::G);
    wait(&mut window, "the ground truth", |window| {
        window
            .game()
            .frame
            .as_ref()
            .is_some_and(|frame| frame.comparison.is_some())
    });
    key(&mut window, Key::ArrowUp, true);
    steps(&mut window, 4);
    key(&mut window, Key::ArrowUp, false);
    press(&mut window, Key::J);
    compare(&mut window, "comparison");
}

#[test]
fn reward_plot() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = opened("breakout", home.path()) else {
        return;
    };
    press(&mut window, Key::K);
    steps(&mut window, 12);
    click(&mut window, "Reward");
    compare(&mut window, "plots");
}

#[test]
fn denoising_strip() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = opened("pong", home.path()) else {
        return;
    };
    press(&mut window, Key::V);
    steps(&mut window, 2);
    compare(&mut window, "denoising");
}

#[test]
fn failure_card() {
    let home = tempfile::tempdir().unwrap();
    let mut game = learned("pong");
    let why = "the tokenizer's weights are of another world";
    game.player = Arc::new(move |_| Err(driftless_sim::Error::Argument(why.into())));
    let mut config = settled();
    config.lab = false;
    let Some(mut window) = open_with(game, home.path(), config, SIZE) else {
        return;
    };
    window.get_by_label("Restart");
    compare(&mut window, "failure");
}

#[test]
fn help_and_settings() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = opened("pong", home.path()) else {
        return;
    };
    press(&mut window, Key::F1);
    compare(&mut window, "help");
    press(&mut window, Key::F1);
    press(&mut window, Key::F10);
    compare(&mut window, "settings");
}

#[test]
fn inspection_panel() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = opened("pong", home.path()) else {
        return;
    };
    press(&mut window, Key::I);
    steps(&mut window, 3);
    compare(&mut window, "inspect");
}

#[test]
fn save_dialog() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = opened("pong", home.path()) else {
        return;
    };
    steps(&mut window, 2);
    press(&mut window, Key::F5);
    wait(&mut window, "the dialog", |window| {
        window.stage.play.saver.is_open() && !window.stage.play.saver.is_rendering()
    });
    click(&mut window, "GIF");
    window.remove_cursor();
    window.run_ok();
    // The temporary folder's name varies, and so does its width.
    let folder = format!("in {}", home.path().join("saved").display());
    let place = window.get_by_label(&folder).rect();
    window.mask(place.with_max_x(place.min.x + 300.0));
    compare_as_it_is(&mut window, "saving");
}

#[test]
fn notices_stack() {
    let home = tempfile::tempdir().unwrap();
    let mut config = settled();
    config.appearance = Appearance::Light;
    let Some(mut window) = open_with(learned("pong"), home.path(), config, SIZE) else {
        return;
    };
    for text in [
        "`clip.npz`: expected more than 12 frames, and actions below 3",
        "`a folder with quite a long name/and another one in it/world`: not a world, expected a checkpoint folder with config.json",
        "cannot save settings: no space left on device",
    ] {
        window.state_mut().env.notices.error(&text);
    }
    compare(&mut window, "notices");
}
