use std::path::Path;
use std::sync::Arc;

use eframe::egui::{
    Context, Event, Key, Modifiers, PointerButton, Pos2, RawInput, Rect, accesskit, pos2,
};

use driftless_worlds::SimulatorKind;

use super::grid::{GAP, MAX_WIDENING};
use super::*;
use crate::app::tests::snapshot_light;
use crate::workspace::library::WorldSummary;

fn summary() -> WorldSummary {
    WorldSummary {
        fps: Some(15.0),
        image: [4, 8],
        // Two frames.
        preview: [0, 60, 120, 255].repeat(2 * 4 * 8 * 3 / 4),
        parameters: Some(1_234_567),
        bytes: Some(4_900_000),
        modified: Some(std::time::SystemTime::UNIX_EPOCH),
        about: None,
        trained_on: Some("a game".into()),
    }
}

fn entry(source: WorldSource, name: &str) -> WorldEntry {
    WorldEntry {
        source,
        name: name.into(),
        summary: Ok(summary()),
    }
}

/// Two included worlds, a broken saved one, and a simulator; the second is being played.
fn picker() -> WorldPicker {
    let mut picker = WorldPicker::new(None, Arc::new(|| {}));
    let broken = WorldEntry {
        summary: Err("no weights".into()),
        ..entry(WorldSource::Saved("c".into()), "C")
    };
    let entries = vec![
        entry(WorldSource::Included("a".into()), "A"),
        entry(WorldSource::Included("b".into()), "B"),
        broken,
        entry(WorldSource::Simulator(SimulatorKind::Drive), "Drive"),
    ];
    picker.cards = cards(entries, &CurrentWorld::World("b".into()));
    // Time differs from run to run.
    picker.cards.iter_mut().for_each(|card| card.moves = false);
    picker
}

/// The page in a headless context.
struct TestPage {
    picker: WorldPicker,
    context: Context,
    height: f32,
    /// Accessible names and their bounds.
    names: Vec<(String, accesskit::Rect)>,
}

impl TestPage {
    fn new() -> Self {
        Self::of_height(1100.0)
    }

    fn of_height(height: f32) -> Self {
        let context = Context::default();
        context.enable_accesskit();
        let mut page = Self {
            picker: picker(),
            context,
            height,
            names: Vec::new(),
        };
        // Focus requested in one frame takes effect in the next.
        page.show(vec![]);
        page.show(vec![]);
        page
    }

    fn show(&mut self, events: Vec<Event>) -> Option<PickerChoice> {
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, vec2(1000.0, self.height))),
            events,
            ..RawInput::default()
        };
        let mut picked = None;
        let mut output = self.context.run_ui(input, |ui| picked = self.picker.ui(ui));
        // Nothing is drawn.
        output.textures_delta.clear();
        let update = output.platform_output.accesskit_update;
        let nodes = update.into_iter().flat_map(|update| update.nodes);
        self.names = nodes
            .filter_map(|(_, node)| Some((node.label()?.to_owned(), node.bounds()?)))
            .collect();
        picked
    }

    fn press(&mut self, key: Key) -> Option<PickerChoice> {
        let event = |pressed| Event::Key {
            key,
            physical_key: None,
            pressed,
            repeat: false,
            modifiers: Modifiers::NONE,
        };
        let down = self.show(vec![event(true)]);
        let up = self.show(vec![event(false)]);
        down.or(up).or_else(|| self.show(vec![]))
    }

    fn click(&mut self, at: Pos2) -> Option<PickerChoice> {
        let button = |pressed| Event::PointerButton {
            pos: at,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        };
        self.show(vec![Event::PointerMoved(at)]);
        let down = self.show(vec![button(true)]);
        down.or(self.show(vec![button(false)]))
    }
}

#[test]
fn current_world_is_focused_first() {
    let mut page = TestPage::new();
    assert_eq!(
        page.press(Key::Enter),
        Some(PickerChoice::World("b".into()))
    );
}

#[test]
fn arrows_move_between_cards() {
    let mut page = TestPage::new();
    assert_eq!(page.press(Key::ArrowLeft), None);
    assert_eq!(
        page.press(Key::Enter),
        Some(PickerChoice::World("a".into()))
    );
    page.press(Key::ArrowDown);
    assert_eq!(page.press(Key::Enter), None, "a broken world is not played");
    page.press(Key::ArrowDown);
    let drive = Some(PickerChoice::Simulator(SimulatorKind::Drive));
    assert_eq!(page.press(Key::Enter), drive);
}

#[test]
fn focused_card_scrolls_into_view() {
    let mut page = TestPage::of_height(450.0);
    let bottom = |page: &TestPage| {
        let mut names = page.names.iter();
        let drive = names.find(|(name, _)| name.starts_with("Drive"));
        drive.unwrap().1.y1
    };
    assert!(bottom(&page) > 450.0);
    page.press(Key::ArrowLeft);
    page.press(Key::ArrowDown);
    page.press(Key::ArrowDown);
    for _ in 0..60 {
        page.show(vec![]);
    }
    assert!(bottom(&page) <= 450.0, "{}", bottom(&page));
}

#[test]
fn tab_follows_card_order() {
    let mut page = TestPage::new();
    page.press(Key::Tab);
    page.press(Key::Tab);
    let drive = Some(PickerChoice::Simulator(SimulatorKind::Drive));
    assert_eq!(page.press(Key::Enter), drive);
}

#[test]
fn click_plays_card() {
    let mut page = TestPage::new();
    let grid = CardGrid::new(vec2(1000.0, 900.0), 2, CARD);
    let place = grid.columns as f32 * (grid.card.x + GAP) - GAP;
    let left = (1000.0 - place) / 2.0;
    let picked = page.click(pos2(left + 30.0, 250.0));
    assert_eq!(picked, Some(PickerChoice::World("a".into())));
}

#[test]
fn cards_have_accessible_names() {
    let page = TestPage::new();
    let accessible_name = |part: &str| {
        let mut names = page.names.iter().map(|(name, _)| name);
        let found = names.find(|name| name.starts_with(part));
        found.unwrap_or_else(|| panic!("{part}: {:?}", page.names))
    };
    let played = accessible_name("B, ");
    for part in [
        "included",
        "playing",
        "8×4",
        "15 FPS",
        "1.23 M parameters",
        "4.9 MB",
        "1970-01-01",
        "trained on a game",
    ] {
        assert!(played.contains(part), "{part}: {played}");
    }
    assert!(accessible_name("C, ").contains("cannot be loaded: no weights"));
    assert!(accessible_name("Drive, ").contains("simulator"));
    assert!(!accessible_name("A, ").contains("playing"));
    accessible_name("Back to the game");
}

#[test]
fn column_count_follows_width() {
    let grid = |width, longest| CardGrid::new(vec2(width, 900.0), longest, CARD);
    let columns = |width| grid(width, 20).columns;
    assert_eq!([300.0, 476.0, 1050.0].map(columns), [1, 2, 4]);
    assert_eq!(columns(10.0), 1);
    assert_eq!(columns(2000.0), 8);
    // Few cards are wider where there is room, but do not fill a large screen.
    assert_eq!(grid(1000.0, 3).columns, 3);
    assert!(grid(1000.0, 3).card.x > 300.0);
    assert_eq!(grid(4000.0, 2).card.x, CARD.x * MAX_WIDENING);
    // And no higher than the window.
    assert_eq!(CardGrid::new(vec2(1000.0, 300.0), 3, CARD).card, CARD);
}

#[test]
fn worlds_are_listed_in_background() {
    let root = tempfile::tempdir().unwrap();
    let mut picker = WorldPicker::new(Some(root.path().into()), Arc::new(|| {}));
    let pong = Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/pong");
    picker.open(CurrentWorld::World(pong)).unwrap();
    while picker.reading.is_some() {
        assert!(picker.poll().is_none());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let played: Vec<_> = picker.cards.iter().map(|card| card.playing).collect();
    assert_eq!(
        played,
        [
            true, false, false, false, false, false, false, false, false, false
        ]
    );
}

#[test]
fn light_theme() {
    let mut picker = picker();
    let size = vec2(500.0, 1150.0);
    snapshot_light("worlds_light", size, move |ui| drop(picker.ui(ui)));
}

#[test]
fn pictures_move() {
    let mut page = TestPage::new();
    page.picker
        .cards
        .iter_mut()
        .for_each(|card| card.moves = true);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..12 {
        page.show(vec![]);
        let shown = page.picker.cards[0].picture.as_ref();
        seen.extend(shown.map(|(frame, _)| *frame));
    }
    assert_eq!(seen, [0, 1].into());
}
