//! What a person sees who starts the program for the first time.

use super::*;

fn gallery(home: &Path) -> Option<TestWindow> {
    let config = UserConfig::default();
    open_window(learned("pong"), home, config, SIZE, FirstPage::Worlds)
}

#[test]
fn gallery_comes_first_and_the_world_waits() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = gallery(home.path()) else {
        return;
    };
    assert!(window.state().stage.navigation.is_on_page());
    click(&mut window, "Play Pong");
    // The card says the goal; behind it nothing happens yet.
    let state = window.state();
    assert!(state.env.preferences.welcome && state.game().is_paused());
    assert!(!state.env.preferences.shows_tuning() && !state.env.preferences.config().hud);
    click(&mut window, "Play");
    assert!(!window.state().game().is_paused());
    wait(&mut window, "play", |window| {
        window
            .game()
            .frame
            .as_ref()
            .is_some_and(|frame| frame.number > 1)
    });
}

#[test]
fn whoever_has_played_goes_on_playing() {
    let home = tempfile::tempdir().unwrap();
    let mut config = UserConfig::default();
    config.welcomed.insert("Pong".into());
    let Some(window) = open_window(
        learned("pong"),
        home.path(),
        config,
        SIZE,
        FirstPage::Worlds,
    ) else {
        return;
    };
    assert!(!window.state().stage.navigation.is_on_page());
    assert!(!window.state().game().is_paused());
}

#[test]
fn chosen_world_waits_for_its_card() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = gallery(home.path()) else {
        return;
    };
    let (stage, env) = parts(&mut window);
    stage.play_world(&checkpoint("breakout"), env).unwrap();
    wait(&mut window, "the world", |window| {
        window.game().frame.is_some()
    });
    assert!(window.state().game().is_paused());
    // A key of the world is as good as the button.
    press(&mut window, Key::Space);
    assert!(!window.state().game().is_paused());
    assert!(!window.state().env.preferences.welcome);
}

#[test]
fn ended_episode_shows_its_score() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("breakout"), home.path()) else {
        return;
    };
    steps(&mut window, 3);
    window.get_by_label_contains("Score ");
    let (stage, _) = parts(&mut window);
    let now = Instant::now();
    stage.play.game.scoreboard.episode_ended(now);
    window.step();
    window.step();
    window.get_by_label("Game over");
    window.get_by_label_contains("points in");
}

#[test]
fn narrow_windows_show_tuning_as_a_drawer() {
    let home = tempfile::tempdir().unwrap();
    let mut config = UserConfig::default();
    config.lab = true;
    let size = vec2(640.0, 480.0);
    let Some(mut window) = open_with(learned("pong"), home.path(), config, size) else {
        return;
    };
    let (stage, env) = parts(&mut window);
    stage.play.dismiss_welcome(&mut env.preferences);
    window.run_ok();
    assert!(!window.state().env.preferences.shows_tuning());
    let picture = |window: &TestWindow| window.state().stage.play.inputs.picture();
    let before = picture(&window);
    press(&mut window, Key::T);
    window.run_ok();
    window.get_by_label("Balanced");
    assert_eq!(picture(&window), before);
    press(&mut window, Key::T);
    // All instruments at once leave half of the window to the picture.
    for which in [Key::L, Key::K, Key::V, Key::I] {
        press(&mut window, which);
    }
    window.run_ok();
    assert!(picture(&window).height() > 150.0, "{:?}", picture(&window));
}
