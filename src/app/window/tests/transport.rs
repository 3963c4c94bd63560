//! Going back, branching, and what is shown beside the picture.

use super::*;
use driftless_sim::Place;

#[test]
fn a_frame_back_and_ahead_shows_exactly_what_was_there() {
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
fn who_plays_on_from_an_earlier_frame_is_on_a_branch_and_can_show_both() {
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
        second[2].place,
        Place {
            branch: 1,
            index: 6
        }
    );
    assert_ne!(rgb(&second[2]), rgb(&first[5]));
    click(&mut window, "Branch 2 of 2");
    let beside = window.get_all_by_label("beside").next().unwrap();
    beside.click();
    wait(&mut window, "the other branch", |window| {
        window
            .frame
            .as_ref()
            .is_some_and(|frame| frame.beside.is_some())
    });
    assert_eq!(shown(&window).beside.as_deref(), Some(&rgb(&first[5])[..]));
    // To the first branch by its row, and on to its last frame.
    window.get_by_label("branch 1").click();
    wait(&mut window, "the first branch", |window| {
        window
            .frame
            .as_ref()
            .is_some_and(|frame| frame.place.branch == 0)
    });
}

#[test]
fn the_real_maze_runs_beside_the_dream_of_it() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("maze"), home.path()) else {
        return;
    };
    press(&mut window, Key::G);
    wait(&mut window, "the truth", |window| {
        window
            .frame
            .as_ref()
            .is_some_and(|frame| frame.beside.is_some())
    });
    key(&mut window, Key::ArrowUp, true);
    let frames = steps(&mut window, 3);
    key(&mut window, Key::ArrowUp, false);
    assert!(
        frames
            .iter()
            .all(|frame| frame.action == 1 && frame.beside.is_some())
    );
    let samples = window.state().study.plots.csv().unwrap();
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
    wait(&mut window, "the dream alone", |window| {
        window
            .frame
            .as_ref()
            .is_some_and(|frame| frame.beside.is_none())
    });
}

#[test]
fn a_recording_that_is_dropped_runs_beside_a_dream_of_its_actions() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    steps(&mut window, 16);
    press(&mut window, Key::F5);
    wait(&mut window, "the card", |window| window.saving.is_some());
    click(&mut window, "Save");
    wait(&mut window, "the file", |window| window.saving.is_none());
    let path = home.path().join("saved/Pong.npz");
    let episode = driftless_data::Episode::read(&path).unwrap();
    assert_eq!(episode.frames(), 17);
    window.state_mut().open_episode(&path);
    wait(&mut window, "the recording", |window| {
        window
            .frame
            .as_ref()
            .is_some_and(|frame| frame.beside.is_some())
    });
    let next = step(&mut window);
    assert_eq!(next.beside.as_deref(), Some(episode.frame(12)));
}

#[test]
fn a_game_that_waited_for_another_stands_where_it_stood() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    let frames = steps(&mut window, 4);
    let state = window.state_mut();
    state.open_page();
    state.record(driftless_worlds::Kind::Drive).unwrap();
    wait(&mut window, "the simulator", |window| {
        window.frame.as_ref().is_some_and(|frame| frame.number > 2)
    });
    // A dataset has no way back.
    let keys = &window.state().played.keys;
    assert!(!keys.shortcuts().contains(&crate::app::keys::Shortcut::Back));
    window.state_mut().return_to_page();
    wait(&mut window, "the game", |window| window.frame.is_some());
    assert_eq!(rgb(shown(&window)), rgb(&frames[3]));
    assert_eq!(shown(&window).place.index, 4);
}

#[test]
fn the_save_card_is_left_with_escape_and_saves_with_enter() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    steps(&mut window, 2);
    press(&mut window, Key::F5);
    wait(&mut window, "the card", |window| window.saving.is_some());
    window.key_press(Key::Enter);
    wait(&mut window, "the file", |window| window.saving.is_none());
    assert!(home.path().join("saved/Pong.npz").exists());
    press(&mut window, Key::F5);
    wait(&mut window, "the card", |window| window.saving.is_some());
    // The first lets go of the name, the second of the card.
    window.key_press(Key::Escape);
    window.run_ok();
    press(&mut window, Key::Escape);
    assert!(window.state().saving.is_none());
}

#[test]
fn what_is_measured_can_be_saved_as_a_table() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("breakout"), home.path()) else {
        return;
    };
    press(&mut window, Key::K);
    steps(&mut window, 3);
    click(&mut window, "reward");
    click(&mut window, "CSV");
    let text = std::fs::read_to_string(home.path().join("saved/measured.csv")).unwrap();
    // A head and three frames: the first frame was not made.
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
