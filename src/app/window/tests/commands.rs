//! The menu, the list of commands, and what they do.

use driftless_engine::Solver;
use driftless_sim::TimelinePosition;

use super::*;
use crate::app::window::save::SaveEvent;

#[test]
fn menu_reaches_everything_by_mouse() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    for (entry, is_done) in [
        (
            "Help",
            (|window| window.overlays.is_open()) as fn(&Window) -> bool,
        ),
        ("Save…", |window| window.stage.play.saver.is_open()),
        ("Worlds", |window| window.stage.navigation.is_on_page()),
    ] {
        click(&mut window, "Menu");
        window
            .get_all_by_role(eframe::egui::accesskit::Role::Button)
            .find(|node| {
                use egui_kittest::kittest::NodeT as _;
                node.accesskit_node()
                    .label()
                    .is_some_and(|label| label.starts_with(entry))
            })
            .unwrap()
            .click();
        wait(&mut window, entry, is_done);
        let state = window.state_mut();
        state.overlays = Overlays::default();
        let Window { env, stage, .. } = state;
        stage.play.saver.leave(&stage.play.game);
        stage.close_page(env);
        window.step();
    }
}

#[test]
fn commands_run_by_keyboard() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    press_control(&mut window, Key::K);
    window.run_ok();
    window.event(Event::Text("plots".into()));
    window.run_ok();
    window.key_press(Key::Enter);
    window.run_ok();
    assert!(!window.state().overlays.is_open());
    assert!(window.state().analysis().plots_open);
}

#[test]
fn screenshots_are_saved() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    press(&mut window, Key::F12);
    let path = home.path().join("saved/Pong.png");
    wait(&mut window, "the file", |_| path.exists());
    let picture = image::open(&path).unwrap();
    assert_eq!((picture.width(), picture.height()), (512, 512));
    // The notice has its folder and its path.
    window.get_by_label("Open folder");
    click(&mut window, "Copy path");
}

#[test]
fn world_is_shared_as_one_file() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    window.state_mut().act(Shortcut::Share);
    wait(&mut window, "the file", |window| {
        !window.stage.play.saver.is_sharing()
    });
    let file = home.path().join("saved/Pong.driftless");
    let places = crate::workspace::UserPaths::resolve(Some(home.path().into())).unwrap();
    let imported = crate::workspace::world_file::import(&file, &places).unwrap();
    assert_eq!(imported, places.worlds().join("Pong").into());
    window.get_by_label("Open folder");
    let maze = PlayableWorld::simulator(SimulatorKind::Maze);
    let session = GameSession::new(maze, None, SamplerParams::default(), None).unwrap();
    assert!(!session.keys.shortcuts().contains(&Shortcut::Share));
}

#[test]
fn shared_game_is_seen_again() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    key(&mut window, Key::W, true);
    let frames = steps(&mut window, 3);
    key(&mut window, Key::W, false);
    window.state_mut().act(Shortcut::ShareGame);
    wait(&mut window, "the file", |window| {
        !window.stage.play.saver.is_sharing()
    });
    drop(window);
    let file = home.path().join("saved/Pong.driftless");
    let other = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("breakout"), other.path()) else {
        return;
    };
    let (stage, env) = parts(&mut window);
    stage.open_path(&file, env);
    wait(&mut window, "the end of the game", |window| {
        let game = window.game();
        let frame = game.frame.as_ref();
        game.session.world.name == "Pong" && frame.is_some_and(|frame| frame.number > 4)
    });
    window.get_by_label_contains("A shared game of 3 frames");
    // It was played again, and went on.
    let (stage, _) = parts(&mut window);
    let at = |index| TimelinePosition { branch: 0, index };
    stage.play.analysis.seek(at(3), &mut stage.play.game);
    arrive(&mut window, 3);
    assert_eq!(rgb(shown(&window)), rgb(&frames[2]));
    assert_eq!(shown(&window).action, frames[2].action);
    assert_ne!(frames[2].action, 0);
}

#[test]
fn quick_slot_restores_the_moment() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    press(&mut window, Key::F7);
    let frames = steps(&mut window, 3);
    press(&mut window, Key::F6);
    steps(&mut window, 4);
    press(&mut window, Key::F7);
    arrive(&mut window, 3);
    assert_eq!(rgb(shown(&window)), rgb(&frames[2]));
    assert!(window.state().game().is_paused());
}

#[test]
fn recent_seconds_are_saved_without_the_start() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    steps(&mut window, 2);
    press(&mut window, Key::R);
    wait(&mut window, "the restart", |window| {
        window
            .game()
            .frame
            .as_ref()
            .is_some_and(|frame| frame.number == 0)
    });
    steps(&mut window, 2);
    press(&mut window, Key::F8);
    wait(&mut window, "the dialog", |window| {
        window.stage.play.saver.is_open() && !window.stage.play.saver.is_rendering()
    });
    window.run_ok();
    // Both episodes, the start of each included.
    window.get_by_label("Save 6 frames (0 s)");
    assert!(window.query_by_label("Episode (.npz)").is_none());
    click(&mut window, "Save");
    wait(&mut window, "the file", |window| {
        !window.stage.play.saver.is_open()
    });
    assert!(home.path().join("saved/Pong.gif").exists());
}

#[test]
fn saving_resumes_the_game() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    steps(&mut window, 2);
    press(&mut window, Key::P);
    press(&mut window, Key::F5);
    wait(&mut window, "the dialog", |window| {
        !window.stage.play.saver.is_rendering()
    });
    assert!(window.state().game().is_paused());
    click(&mut window, "Cancel");
    assert!(!window.state().game().is_paused());
    assert!(!window.state().stage.play.saver.is_open());
}

#[test]
fn rendering_is_cancelled_by_escape() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    steps(&mut window, 2);
    // Nothing but the card takes input meanwhile.
    window.state_mut().stage.play.saver.wait_for_frames(9, true);
    window.state_mut().stage.play.saver.note_progress(8, 2, 3);
    window
        .state_mut()
        .stage
        .play
        .saver
        .note_progress(9, 1, 13_520);
    // A card is seen from its second draw on.
    window.step();
    window.step();
    window.get_by_label("Re-rendering 13,520 frames…");
    window.get_by_label("1 of 13,520 frames");
    press(&mut window, Key::O);
    assert!(!window.state().stage.navigation.is_on_page());
    press(&mut window, Key::Escape);
    assert!(!window.state().stage.play.saver.is_open());
    assert!(!window.state().game().is_paused());
}

/// Waits until the world-model thread has answered, without taking the answer.
fn wait_for_answer(window: &TestWindow) {
    let WorldThread::Running(sim) = &window.state().game().world else {
        panic!("no world");
    };
    let since = Instant::now();
    // The first frame made again is reported, and the answer is second.
    while sim.messages().len() < 2 {
        assert!(since.elapsed() < TIMEOUT, "no answer");
        std::thread::yield_now();
    }
}

#[test]
fn late_frames_open_no_card() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    steps(&mut window, 2);
    let (stage, env) = parts(&mut window);
    stage.play.poll(env);
    stage.play.save(env, Saver::save);
    wait_for_answer(&window);
    // Escape comes when the frames are ready, and another key right after it.
    let (stage, env) = parts(&mut window);
    let Play { saver, game, .. } = &mut stage.play;
    saver.handle(SaveEvent::CancelRender, game, env);
    stage.play.save(env, Saver::save_recent);
    wait(&mut window, "the dialog", |window| {
        window.stage.play.saver.is_open() && !window.stage.play.saver.is_rendering()
    });
    window.run_ok();
    assert!(window.query_by_label("Episode (.npz)").is_none());
    // The first Escape leaves the name field.
    window.key_press(Key::Escape);
    window.run_ok();
    press(&mut window, Key::Escape);
    assert!(!window.state().stage.play.saver.is_open());
    steps(&mut window, 3);
    assert!(
        !window.state().stage.play.saver.is_open(),
        "the card opens again"
    );
}

#[test]
fn late_frames_are_no_picture() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    steps(&mut window, 2);
    let current = rgb(shown(&window));
    let (stage, env) = parts(&mut window);
    stage.play.poll(env);
    stage.play.save(env, Saver::save);
    wait_for_answer(&window);
    let (stage, env) = parts(&mut window);
    let Play { saver, game, .. } = &mut stage.play;
    saver.handle(SaveEvent::CancelRender, game, env);
    stage.play.save(env, Saver::save_recent);
    let Play { saver, game, .. } = &mut stage.play;
    saver.handle(SaveEvent::CancelRender, game, env);
    stage.take_picture(PictureUse::Save, env);
    let path = home.path().join("saved/Pong.png");
    wait(&mut window, "the picture", |_| path.exists());
    let saved = image::open(&path).unwrap().into_rgb8();
    // Enlarged, each pixel of the frame is a square.
    let enlarged = saved.width() as usize / window.state().game().session.world.image[1];
    let side = window.state().game().session.world.image[1];
    for (at, pixel) in current.chunks_exact(3).enumerate() {
        let [x, y] = [at % side, at / side].map(|place| (place * enlarged) as u32);
        assert_eq!(saved.get_pixel(x, y).0, pixel);
    }
    assert!(!window.state().stage.play.saver.is_open());
}

#[test]
fn settings_and_branches_are_undone() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    click(&mut window, "8");
    assert_eq!(step(&mut window).params.steps, 8);
    press_control(&mut window, Key::Z);
    let params = step(&mut window).params;
    assert_eq!((params.steps, params.solver), (4, Solver::Shortcut));
    press(&mut window, Key::L);
    press(&mut window, Key::OpenBracket);
    arrive(&mut window, 1);
    step(&mut window);
    click(&mut window, "Branch 2 of 2");
    let delete = window.get_all_by_label("Delete").next().unwrap();
    delete.click();
    wait(&mut window, "one branch", |window| {
        window.analysis().timeline.branch_count() == 1
    });
    press_control(&mut window, Key::Z);
    wait(&mut window, "both branches", |window| {
        window.analysis().timeline.branch_count() == 2
    });
}

#[test]
fn titles_say_what_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let mut config = UserConfig::default();
    config.welcomed.insert("Pong".to_owned());
    let Some(mut window) = open_with(learned("pong"), home.path(), config, SIZE) else {
        return;
    };
    let title = |window: &TestWindow| window.state().env.device.title().to_owned();
    window.step();
    assert_eq!(title(&window), "Pong (paused) – Driftless");
    press(&mut window, Key::M);
    assert_eq!(title(&window), "New world – Driftless");
    press(&mut window, Key::Escape);
    window
        .state_mut()
        .stage
        .play
        .saver
        .wait_for_frames(1, false);
    window
        .state_mut()
        .stage
        .play
        .saver
        .note_progress(1, 40, 100);
    window.step();
    assert_eq!(title(&window), "Pong (paused), saving 40 % – Driftless");
}

#[test]
fn lab_opens_and_closes_the_instruments() {
    let home = tempfile::tempdir().unwrap();
    let config = UserConfig::default();
    let Some(mut window) = open_with(learned("pong"), home.path(), config, SIZE) else {
        return;
    };
    assert!(window.query_by_label("Timeline").is_none());
    click(&mut window, "Lab");
    window.get_by_label("Timeline");
    assert!(window.state().env.preferences.shows_tuning());
    press(&mut window, Key::K);
    press(&mut window, Key::F9);
    let state = window.state();
    assert!(!state.env.preferences.shows_tuning() && !state.analysis().plots_open);
}

#[test]
fn held_key_rewinds_without_repetition() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    steps(&mut window, 8);
    key(&mut window, Key::OpenBracket, true);
    wait(&mut window, "the start", |window| {
        window
            .game()
            .frame
            .as_ref()
            .is_some_and(|f| f.position.index == 0)
    });
    key(&mut window, Key::OpenBracket, false);
    assert!(window.state().stage.play.transport_label().is_none());
    // Forward again, and past the last frame as fast as it goes.
    key(&mut window, Key::CloseBracket, true);
    wait(&mut window, "new frames", |window| {
        window
            .game()
            .frame
            .as_ref()
            .is_some_and(|f| f.position.index > 12)
    });
    key(&mut window, Key::CloseBracket, false);
    assert!(window.state().game().is_paused());
}
