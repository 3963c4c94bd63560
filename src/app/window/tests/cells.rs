//! The page of a transport network, as it is reached and left.

use super::*;
use crate::app::transport::tests::write_checkpoint;

#[test]
fn checkpoint_of_cells_opens_its_page() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    let folder = home.path().join("cells");
    std::fs::create_dir(&folder).unwrap();
    write_checkpoint(&folder);
    let (stage, env) = parts(&mut window);
    stage.open_path(&folder, env);
    wait(&mut window, "the picture", |window| {
        let page = window.stage.navigation.cells.as_ref();
        page.is_some_and(|page| page.picture().is_some())
    });
    let screen = |window: &TestWindow| window.state().stage.navigation.screen.clone();
    assert_eq!(screen(&window), Screen::Cells { resume: false });
    assert_eq!(window.state().env.device.title(), "Test cells – Driftless");
    window.get_by_label("Treated");
    press_control(&mut window, Key::C);
    let said = window
        .state()
        .env
        .notices
        .texts()
        .any(|text| text == "The picture is copied.");
    assert!(said);
    // Keys play the page and not the paused game.
    press(&mut window, Key::R);
    let since = Instant::now();
    while window.query_by_label("Carried back").is_none() {
        window.step();
        assert!(since.elapsed() < TIMEOUT);
        std::thread::sleep(Duration::from_millis(2));
    }
    press(&mut window, Key::Escape);
    assert_eq!(screen(&window), Screen::Game);
    assert!(window.state().game().is_paused());
}

#[test]
fn damaged_checkpoint_of_cells_says_why() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    let folder = home.path().join("cells");
    std::fs::create_dir(&folder).unwrap();
    write_checkpoint(&folder);
    std::fs::write(folder.join("transport.safetensors"), "no").unwrap();
    let (stage, env) = parts(&mut window);
    stage.open_path(&folder, env);
    let since = Instant::now();
    while window
        .query_by_label_contains("not a complete safetensors file")
        .is_none()
    {
        window.step();
        assert!(since.elapsed() < TIMEOUT);
        std::thread::sleep(Duration::from_millis(2));
    }
    click(&mut window, "Worlds");
    assert_eq!(
        window.state().stage.navigation.screen,
        Screen::Worlds { resume: false }
    );
}

#[test]
fn whoever_asked_for_cells_stays_with_them() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("cells");
    std::fs::create_dir(&folder).unwrap();
    write_checkpoint(&folder);
    let first = FirstPage::Cells(folder);
    let config = UserConfig::default();
    let Some(mut window) = open_window(learned("pong"), home.path(), config, SIZE, first) else {
        return;
    };
    let screen = |window: &TestWindow| window.state().stage.navigation.screen.clone();
    let cells = screen(&window);
    assert!(matches!(cells, Screen::Cells { .. }));
    // Nobody has asked for the game behind the page.
    assert!(window.query_by_label("Back to the game").is_none());
    press(&mut window, Key::Escape);
    assert_eq!(screen(&window), cells);
    click(&mut window, "Worlds");
    assert!(matches!(screen(&window), Screen::Worlds { .. }));
    window.get_by_label("Back to the cells");
    press(&mut window, Key::Escape);
    assert_eq!(screen(&window), cells);
}
