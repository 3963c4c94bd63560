//! Rewinding, branching, comparing and saving.

use driftless_sim::TimelinePosition;

use super::*;

#[test]
fn rewind_restores_frames_exactly() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    key(&mut window, Key::ArrowUp, true);
    let frames = steps(&mut window, 5);
    key(&mut window, Key::ArrowUp, false);
    assert!(frames.iter().all(|frame| frame.action == 1));
    for back in [3, 2] {
        press(&mut window, Key::OpenBracket);
        arrive(&mut window, back + 1);
        assert_eq!(rgb(shown(&window)), rgb(&frames[back]));
    }
    press(&mut window, Key::CloseBracket);
    arrive(&mut window, 4);
    assert_eq!(rgb(shown(&window)), rgb(&frames[3]));
}

#[test]
fn taps_within_one_draw_play() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    // Slow enough that every frame is drawn.
    let pace = PlaybackCommand::Pace(driftless_sim::Pace::Fps(2.0));
    window.state().game().send(pace);
    press(&mut window, Key::P);
    let event = |pressed| Event::Key {
        key: Key::ArrowUp,
        physical_key: None,
        pressed,
        repeat: false,
        modifiers: Modifiers::default(),
    };
    let mut input = RawInput {
        events: vec![event(true), event(false)],
        ..RawInput::default()
    };
    let context = window.ctx.clone();
    window.state_mut().raw_input_hook(&context, &mut input);
    wait(&mut window, "the tap's frame", |window| {
        window.game().frame.as_ref().is_some_and(|f| f.action == 1)
    });
    wait(&mut window, "the next frame", |window| {
        window.game().frame.as_ref().is_some_and(|f| f.action == 0)
    });
}

#[test]
fn playing_from_the_past_branches() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    press(&mut window, Key::L);
    let first = steps(&mut window, 6);
    for index in [5, 4, 3] {
        press(&mut window, Key::OpenBracket);
        arrive(&mut window, index);
    }
    key(&mut window, Key::ArrowDown, true);
    let second = steps(&mut window, 3);
    key(&mut window, Key::ArrowDown, false);
    assert_eq!(
        second[2].position,
        TimelinePosition {
            branch: 1,
            index: 6
        }
    );
    assert_ne!(rgb(&second[2]), rgb(&first[5]));
    click(&mut window, "Branch 2 of 2");
    let compare = window.get_all_by_label("Compare").next().unwrap();
    compare.click();
    wait(&mut window, "the other branch", |window| {
        window
            .game()
            .frame
            .as_ref()
            .is_some_and(|frame| frame.comparison.is_some())
    });
    assert_eq!(
        shown(&window).comparison.as_deref(),
        Some(&rgb(&first[5])[..])
    );
    // The first branch's row seeks to its last frame.
    window.get_by_label("Go to branch 1").click();
    wait(&mut window, "the first branch", |window| {
        window
            .game()
            .frame
            .as_ref()
            .is_some_and(|frame| frame.position.branch == 0)
    });
}

#[test]
fn compares_with_the_simulator() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("maze"), home.path()) else {
        return;
    };
    press(&mut window, Key::G);
    wait(&mut window, "the ground truth", |window| {
        window
            .game()
            .frame
            .as_ref()
            .is_some_and(|frame| frame.comparison.is_some())
    });
    key(&mut window, Key::ArrowUp, true);
    let frames = steps(&mut window, 3);
    key(&mut window, Key::ArrowUp, false);
    assert!(
        frames
            .iter()
            .all(|frame| frame.action == 1 && frame.comparison.is_some())
    );
    let samples = window.state().analysis().plots.csv().unwrap();
    let text = String::from_utf8(samples).unwrap();
    let psnr: f64 = text
        .lines()
        .last()
        .unwrap()
        .split(',')
        .nth(5)
        .unwrap()
        .parse()
        .unwrap();
    assert!(psnr > 15.0, "{psnr}");
    press(&mut window, Key::G);
    wait(&mut window, "the end of the comparison", |window| {
        window
            .game()
            .frame
            .as_ref()
            .is_some_and(|frame| frame.comparison.is_none())
    });
}

#[test]
fn compares_with_a_recording() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    steps(&mut window, 16);
    press(&mut window, Key::F5);
    wait(&mut window, "the dialog", |window| {
        window.stage.play.saver.is_open() && !window.stage.play.saver.is_rendering()
    });
    click(&mut window, "Save");
    wait(&mut window, "the file", |window| {
        !window.stage.play.saver.is_open()
    });
    let path = home.path().join("saved/Pong.npz");
    let episode = driftless_data::Episode::read(&path).unwrap();
    assert_eq!(episode.frames(), 17);
    let (stage, env) = parts(&mut window);
    stage.open_episode(&path, env).unwrap();
    wait(&mut window, "the recording", |window| {
        window
            .game()
            .frame
            .as_ref()
            .is_some_and(|frame| frame.comparison.is_some())
    });
    let next = step(&mut window);
    assert_eq!(next.comparison.as_deref(), Some(episode.frame(12)));
}

#[test]
fn parked_game_resumes_in_place() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    let frames = steps(&mut window, 4);
    let (stage, env) = parts(&mut window);
    stage.open_new_world(env);
    stage.record(SimulatorKind::Drive, env).unwrap();
    wait(&mut window, "the simulator", |window| {
        window
            .game()
            .frame
            .as_ref()
            .is_some_and(|frame| frame.number > 2)
    });
    // A dataset recording cannot be rewound.
    let keys = &window.state().game().session.keys;
    assert!(!keys.shortcuts().contains(&Shortcut::PreviousFrame));
    let (stage, env) = parts(&mut window);
    stage.return_to_new_world(env);
    wait(&mut window, "the game", |window| {
        window.game().frame.is_some()
    });
    assert_eq!(rgb(shown(&window)), rgb(&frames[3]));
    assert_eq!(shown(&window).position.index, 4);
}

#[test]
fn save_dialog_handles_enter_and_escape() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    steps(&mut window, 2);
    press(&mut window, Key::F5);
    wait(&mut window, "the dialog", |window| {
        window.stage.play.saver.is_open() && !window.stage.play.saver.is_rendering()
    });
    window.key_press(Key::Enter);
    wait(&mut window, "the file", |window| {
        !window.stage.play.saver.is_open()
    });
    assert!(home.path().join("saved/Pong.npz").exists());
    press(&mut window, Key::F5);
    wait(&mut window, "the dialog", |window| {
        window.stage.play.saver.is_open() && !window.stage.play.saver.is_rendering()
    });
    // The first Escape leaves the name field, the second the dialog.
    window.key_press(Key::Escape);
    window.run_ok();
    press(&mut window, Key::Escape);
    assert!(!window.state().stage.play.saver.is_open());
}

#[test]
fn measurements_are_saved_as_csv() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("breakout"), home.path()) else {
        return;
    };
    press(&mut window, Key::K);
    steps(&mut window, 3);
    click(&mut window, "Reward");
    click(&mut window, "CSV");
    let text = std::fs::read_to_string(home.path().join("saved/measured.csv")).unwrap();
    // A header and three frames: the first frame was not generated.
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(
        text.lines()
            .last()
            .unwrap()
            .split(',')
            .nth(8)
            .unwrap()
            .parse::<f64>()
            .is_ok()
    );
}

#[test]
fn pages_restore_the_pause() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    let pages = [
        (Key::M, Key::Escape),
        (Key::O, Key::Escape),
        (Key::F1, Key::F1),
    ];
    for paused in [true, false] {
        for (open, close) in pages {
            assert_eq!(window.state().game().is_paused(), paused, "{open:?}");
            press(&mut window, open);
            assert!(window.state().game().is_paused(), "{open:?}");
            press(&mut window, close);
        }
        assert_eq!(window.state().game().is_paused(), paused);
        press(&mut window, Key::P);
    }
}

#[test]
fn held_keys_toggle_once() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    let on_page = |window: &Window| window.stage.navigation.is_on_page();
    let has_overlay = |window: &Window| window.overlays.is_open();
    type IsOpen = fn(&Window) -> bool;
    let pages: [(Key, IsOpen); 2] = [(Key::O, on_page), (Key::F1, has_overlay)];
    for (which, is_open) in pages {
        for _ in 0..4 {
            key(&mut window, which, true);
            assert!(is_open(window.state()), "{which:?}");
        }
        key(&mut window, which, false);
        press(&mut window, which);
        assert!(!is_open(window.state()), "{which:?}");
    }
}

#[test]
fn keys_work_again_after_focus_loss() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    key(&mut window, Key::L, true);
    let open = window.state().analysis().timeline_open;
    // The release goes to another window.
    let mut input = RawInput {
        events: vec![Event::WindowFocused(false)],
        ..RawInput::default()
    };
    let context = window.ctx.clone();
    window.state_mut().raw_input_hook(&context, &mut input);
    key(&mut window, Key::L, true);
    assert_ne!(window.state().analysis().timeline_open, open);
}
