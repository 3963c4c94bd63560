//! The main states as pictures.

use egui_kittest::SnapshotOptions;

use super::*;
use crate::app::theme::Look;

/// Compares what is drawn with a picture; other drivers may round the edges of letters otherwise.
fn compare(window: &mut Driven, name: &str) {
    window.remove_cursor();
    window.run_ok();
    compare_as_it_is(window, name);
}

fn compare_as_it_is(window: &mut Driven, name: &str) {
    // What a frame takes is another time each time.
    if let Some(label) = window.query_by_label("A frame takes") {
        let line = label.rect().expand2(vec2(0.0, 2.0));
        let right = line.with_max_x(SIZE.x - 12.0).with_min_x(line.max.x);
        window.mask(right);
    }
    let options = SnapshotOptions::new().max_failed_pixels(300_usize);
    window.snapshot_options(name, &options);
}

/// Settings of somebody who has been here: no first card, no numbers that change with the machine.
fn settled() -> Config {
    let mut config = Config::default();
    config.hud = false;
    config.welcomed = ["Pong", "Maze", "Breakout"].map(str::to_owned).into();
    config
}

fn opened(world: &str, home: &Path) -> Option<Driven> {
    open_with(learned(world), home, settled(), SIZE)
}

#[test]
fn the_first_run_names_the_keys() {
    let home = tempfile::tempdir().unwrap();
    let mut config = settled();
    config.welcomed.clear();
    let Some(mut window) = open_with(learned("pong"), home.path(), config, SIZE) else {
        return;
    };
    compare(&mut window, "first_run");
    click(&mut window, "Play");
    assert!(window.query_by_label("Play").is_none());
}

/// A few frames of play in these looks.
fn playing(look: Look, name: &str) {
    let home = tempfile::tempdir().unwrap();
    let mut config = settled();
    config.look = look;
    let Some(mut window) = open_with(learned("pong"), home.path(), config, SIZE) else {
        return;
    };
    steps(&mut window, 8);
    compare(&mut window, name);
}

#[test]
fn playing_in_the_dark() {
    playing(Look::Dark, "playing");
}

#[test]
fn playing_in_the_light() {
    playing(Look::Light, "playing_light");
}

#[test]
fn the_time_line_with_branches() {
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
    wait(&mut window, "the pictures", |window| {
        window.study.timeline.is_complete()
    });
    compare(&mut window, "time_line");
}

#[test]
fn the_truth_and_the_difference_beside_a_dream() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = opened("maze", home.path()) else {
        return;
    };
    press(&mut window, Key::T);
    press(&mut window, Key::G);
    wait(&mut window, "the truth", |window| {
        window
            .frame
            .as_ref()
            .is_some_and(|frame| frame.beside.is_some())
    });
    key(&mut window, Key::ArrowUp, true);
    steps(&mut window, 4);
    key(&mut window, Key::ArrowUp, false);
    press(&mut window, Key::J);
    compare(&mut window, "truth");
}

#[test]
fn curves_of_what_is_predicted() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = opened("breakout", home.path()) else {
        return;
    };
    press(&mut window, Key::K);
    steps(&mut window, 12);
    click(&mut window, "reward");
    compare(&mut window, "plots");
}

#[test]
fn how_a_frame_comes_out_of_the_noise() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = opened("pong", home.path()) else {
        return;
    };
    press(&mut window, Key::V);
    steps(&mut window, 2);
    compare(&mut window, "denoising");
}

#[test]
fn a_failure_is_a_card_that_says_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let mut game = learned("pong");
    let why = "the tokenizer's weights are of another world";
    game.player = Arc::new(move |_| Err(driftless_sim::Error::Argument(why.into())));
    let Some(mut window) = open_with(game, home.path(), settled(), SIZE) else {
        return;
    };
    window.get_by_label("Restart");
    compare(&mut window, "failure");
}

#[test]
fn help_and_preferences() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = opened("pong", home.path()) else {
        return;
    };
    press(&mut window, Key::F1);
    compare(&mut window, "help");
    press(&mut window, Key::F1);
    press(&mut window, Key::F10);
    compare(&mut window, "preferences");
}

#[test]
fn inside_the_model() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = opened("pong", home.path()) else {
        return;
    };
    press(&mut window, Key::I);
    steps(&mut window, 3);
    compare(&mut window, "inspect");
}

#[test]
fn the_card_that_saves() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = opened("pong", home.path()) else {
        return;
    };
    steps(&mut window, 2);
    press(&mut window, Key::F5);
    wait(&mut window, "the card", |window| window.saving.is_some());
    click(&mut window, "GIF");
    window.remove_cursor();
    window.run_ok();
    // The folder has another name each time.
    let folder = format!("in {}", home.path().join("saved").display());
    let place = window.get_by_label(&folder).rect();
    window.mask(place);
    compare_as_it_is(&mut window, "saving");
}
