//! Letting a world play itself, opening a world's file, reduced motion.

use eframe::egui::{ViewportId, pos2};

use super::*;
use crate::workspace::world_file;

#[test]
fn world_plays_itself_until_a_key_is_pressed() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    press(&mut window, Key::B);
    assert!(window.state().game().autoplay && !window.state().game().is_paused());
    wait(&mut window, "an action of its own", |window| {
        window
            .game()
            .frame
            .as_ref()
            .is_some_and(|frame| frame.action != 0)
    });
    key(&mut window, Key::ArrowUp, true);
    wait(&mut window, "the person", |window| !window.game().autoplay);
    key(&mut window, Key::ArrowUp, false);
    // The same key ends it, too.
    press(&mut window, Key::B);
    assert!(window.state().game().autoplay);
    press(&mut window, Key::B);
    assert!(!window.state().game().autoplay);
}

#[test]
fn worlds_file_is_opened_and_played() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    let file = home.path().join("Breakout.driftless");
    world_file::export(&checkpoint("breakout"), None, &file, false).unwrap();
    let (stage, env) = parts(&mut window);
    stage.open_path(&file, env);
    wait(&mut window, "the world", |window| {
        window.game().session.world.name == "Breakout" && window.game().frame.is_some()
    });
    let origin = window.state().game().session.origin.clone().unwrap();
    assert_eq!(origin.folder, home.path().join("worlds/Breakout"));
    std::fs::write(&file, "no world").unwrap();
    let (stage, env) = parts(&mut window);
    stage.open_path(&file, env);
    wait(&mut window, "an error", |window| {
        window
            .env
            .notices
            .texts()
            .any(|text| text.contains("is not a world"))
    });
    assert_eq!(window.state().game().session.world.name, "Breakout");
}

#[test]
fn motion_can_be_reduced() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    let time = |window: &TestWindow| window.ctx.global_style().animation_time;
    press(&mut window, Key::F10);
    window.run_ok();
    click(&mut window, "Reduce");
    assert!(window.state().env.preferences.config().reduced_motion);
    assert_eq!(time(&window), 0.0);
    click(&mut window, "Reduce");
    assert!(!window.state().env.preferences.config().reduced_motion);
    assert!(time(&window) > 0.0);
}

#[test]
fn bar_leaves_the_full_screen_while_playing() {
    let home = tempfile::tempdir().unwrap();
    let mut config = UserConfig::default();
    config.welcomed.insert("Pong".into());
    let Some(mut window) = open_with(learned("pong"), home.path(), config, SIZE) else {
        return;
    };
    let viewport = window.input_mut().viewports.entry(ViewportId::ROOT);
    viewport.or_default().fullscreen = Some(true);
    window.step();
    window.step();
    let has_bar = |window: &TestWindow| window.query_by_label("Menu").is_some();
    assert!(has_bar(&window), "paused");
    press(&mut window, Key::P);
    window.step();
    assert!(!has_bar(&window));
    window.event(Event::PointerMoved(pos2(200.0, 100.0)));
    window.step();
    window.step();
    assert!(has_bar(&window), "the mouse moves");
}
