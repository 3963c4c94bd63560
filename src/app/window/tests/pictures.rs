//! The main states as pictures.

use egui_kittest::SnapshotOptions;

use super::*;
use crate::app::theme::Look;

/// Compares what is drawn with a picture; other drivers may round the edges of letters otherwise.
fn compare(window: &mut Driven, name: &str) {
    window.remove_cursor();
    window.run_ok();
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

#[test]
fn playing_with_the_panel_dark_and_light() {
    let home = tempfile::tempdir().unwrap();
    for (look, name) in [(Look::Light, "playing_light"), (Look::Dark, "playing")] {
        let mut config = settled();
        config.look = look;
        let Some(mut window) = open_with(learned("pong"), home.path(), config, SIZE) else {
            return;
        };
        steps(&mut window, 8);
        compare(&mut window, name);
    }
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
    game.player = Arc::new(move |_| Err(crate::Error::Argument(why.into())));
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
