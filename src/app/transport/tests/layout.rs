//! What fits where, and what moves by itself or by the keyboard.

use egui::accesskit::Role;
use egui_kittest::kittest::NodeT as _;

use super::super::export::file;
use super::super::wish::dose_series;
use super::*;

/// Six channels and names that fit nowhere.
fn long_names() -> TransportConfig {
    let long = |what: &str| {
        format!(
            "{what} {}",
            "with a name that is longer than any line ".repeat(3)
        )
    };
    let mut config = config();
    config.channels = (0..6).map(|i| long(&format!("channel {i}"))).collect();
    config.channels[1] = "RNA".into();
    config.channels[2] = "ER".into();
    config.normalization = Normalization {
        mean: vec![60.0; 6],
        std: vec![25.0; 6],
    };
    config.name = long("checkpoint");
    config.plates = vec![long("plate 1"), long("plate 2")];
    config.compounds[0].compound.name = "N".repeat(200);
    config.compounds[0].compound.mechanism = Some(long("mechanism"));
    config
}

#[test]
fn film_runs_there_and_back() {
    let home = tempfile::tempdir().unwrap();
    for rate in [10, 30, 60, 240] {
        let mut page = TestPage::with(home.path(), config(), WINDOW, rate);
        page.view().tau = 1.0;
        page.click("Play");
        let mut back = false;
        // There and back take five seconds.
        for _ in 0..u32::from(rate) * 6 {
            page.step();
            let view = page.view();
            assert!(
                view.plays.is_some(),
                "{rate} frames a second: stopped at {}",
                view.tau
            );
            back |= view.tau <= 0.0;
            if back && view.tau >= 1.0 {
                break;
            }
        }
        assert!(back && page.view().tau >= 1.0, "{rate} frames a second");
        // Whoever moves τ stops it.
        page.harness.get_by_label("Transport time τ").focus();
        page.step();
        page.harness.key_press(Key::ArrowLeft);
        page.step();
        assert_eq!(page.view().plays, None);
    }
}

#[test]
fn panel_keeps_its_width() {
    let home = tempfile::tempdir().unwrap();
    for width in [780.0, 1080.0] {
        let size = vec2(width, 792.0);
        let page = TestPage::with(home.path(), long_names(), size, 60);
        let panel = (width - PANEL)..=width;
        let controls = [Role::CheckBox, Role::ComboBox, Role::Slider];
        let controls = controls
            .into_iter()
            .flat_map(|role| page.harness.get_all_by_role(role));
        let mut channels = 0;
        for control in controls {
            let (role, rect) = (control.accesskit_node().role(), control.rect());
            assert!(rect.right() <= width, "{role:?} {rect:?}");
            if role != Role::Slider {
                assert!(panel.contains(&rect.left()), "{role:?} {rect:?}");
                assert!(rect.height() < 30.0, "{role:?} {rect:?}");
            }
            channels += usize::from(role == Role::CheckBox);
        }
        assert_eq!(channels, 6);
        for name in ["Worlds", "Back to the game"] {
            let rect = page.harness.get_by_label(name).rect();
            assert!(rect.right() <= width, "{name} {rect:?}");
        }
    }
}

#[test]
fn bar_is_in_the_order_of_the_keyboard() {
    let home = tempfile::tempdir().unwrap();
    let mut page = TestPage::new(home.path());
    let left = |page: &TestPage, name| page.harness.get_by_label(name).rect().left();
    assert!(left(&page, "Worlds") < left(&page, "Back to the game"));
    page.harness.get_by_label("Worlds").focus();
    page.step();
    page.harness.key_press(Key::Tab);
    page.step();
    page.step();
    assert!(page.harness.get_by_label("Back to the game").is_focused());
}

#[test]
fn states_keep_their_aspect() {
    let home = tempfile::tempdir().unwrap();
    let page = TestPage::new(home.path());
    let rect = page.harness.get_by_label("State at τ = 0.25").rect();
    // Pictures are 8×12.
    assert!(
        (rect.width() / rect.height() - 1.5).abs() < 0.05,
        "{rect:?}"
    );
}

#[test]
fn film_is_reached_in_a_low_window() {
    let home = tempfile::tempdir().unwrap();
    let mut page = TestPage::with(home.path(), config(), vec2(1300.0, 360.0), 60);
    for name in ["State at τ = 0.25", "Transport time τ", "Play"] {
        page.harness.get_by_label(name).scroll_to_me();
        for _ in 0..60 {
            page.step();
        }
        let rect = page.harness.get_by_label(name).rect();
        assert!(
            rect.top() >= 0.0 && rect.bottom() <= 360.0,
            "{name} {rect:?}"
        );
    }
}

#[test]
fn arrow_keys_choose_in_menus() {
    let home = tempfile::tempdir().unwrap();
    let mut page = TestPage::new(home.path());
    let press = |page: &mut TestPage, key| {
        page.harness.key_press(key);
        page.step();
        page.step();
    };
    page.harness
        .get_all_by_role(Role::ComboBox)
        .next()
        .unwrap()
        .focus();
    page.step();
    page.step();
    press(&mut page, Key::ArrowDown);
    assert_eq!(page.view().wish.plate, 1);
    press(&mut page, Key::ArrowDown);
    assert_eq!(page.view().wish.plate, 1);
    // Also while the list is open.
    press(&mut page, Key::Enter);
    press(&mut page, Key::ArrowUp);
    press(&mut page, Key::Enter);
    assert_eq!(page.view().wish.plate, 0);
}

#[test]
fn long_names_keep_their_extension() {
    let home = tempfile::tempdir().unwrap();
    let config = long_names();
    let path = file(
        home.path(),
        &config,
        &Wish::first(&config),
        "0.00000003.gif",
    )
    .unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    assert!(
        name.contains("-NNN") && name.ends_with("-0.00000003.gif"),
        "{name}"
    );
}

#[test]
fn single_dose_is_shown_once() {
    let mut config = config();
    config.doses = [3.0; 2];
    assert_eq!(dose_series(&config, 8), [3.0]);
    let home = tempfile::tempdir().unwrap();
    let mut page = TestPage::with(home.path(), config, WINDOW, 60);
    page.click("Doses as PNG");
    // The control and one dose.
    assert_eq!(image::open(page.file()).unwrap().width(), 2 * 246 + 6);
}
