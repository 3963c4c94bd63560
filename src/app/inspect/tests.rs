//! The panel under a pointer and keys, without a window.

use std::time::Instant;

use eframe::egui::{
    Context, Event, Modifiers, PointerButton, Pos2, RawInput, Rect, Vec2, pos2, vec2,
};

use super::*;
use driftless_engine::testing::{clip, plain, world};
use driftless_engine::{CpuEngine, Engine, SamplerParams, StageTimes};
use driftless_sim::Picture;

/// What a small engine holds after some frames, and its attention.
pub(super) fn seen() -> (Inspection, Attention) {
    let config = plain();
    let mut engine = CpuEngine::new(&world(&config)).unwrap();
    engine.inspect(true);
    let params = SamplerParams::default();
    engine.reset(&clip(&config, 4), &params).unwrap();
    let attention = engine.attention().unwrap().unwrap();
    let seen = Inspection {
        grid: config.grid(),
        channels: config.tokenizer.channels,
        merge: config.dynamics.merge,
        latent: engine.latent().unwrap().to_vec(),
        image: engine.image().unwrap().to_vec(),
        attention: Some(attention.clone()),
    };
    (seen, attention)
}

/// The panel, with hands and eyes.
struct Panel {
    context: Context,
    own: Inspect,
    frame: Frame,
}

impl Panel {
    fn new(inspect: Option<Inspection>) -> Self {
        let context = Context::default();
        context.enable_accesskit();
        let frame = Frame {
            trace: [].into(),
            inspect: inspect.map(Into::into),
            truth: None,
            outcome: None,
            score: 0.0,
            sequence: 1,
            number: 1,
            image: Picture::Bytes([0_u8; 3].as_slice().into()),
            action: 0,
            reflects: None,
            made: Instant::now(),
            times: StageTimes::default(),
            params: SamplerParams::default(),
            context: 0,
            place: driftless_sim::Place::default(),
            beside: None,
            drift: None,
            surprise: None,
        };
        Self {
            context,
            own: Inspect::default(),
            frame,
        }
    }

    /// Draws once after some events; what a screen reader says, and where.
    fn draw(&mut self, events: Vec<Event>) -> Vec<(String, Rect)> {
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, vec2(900.0, HEIGHT))),
            events,
            ..RawInput::default()
        };
        let (own, frame) = (&mut self.own, &self.frame);
        let mut output = self
            .context
            .run_ui(input, |ui| own.ui(ui, Some(frame), [12, 18]));
        output.textures_delta.clear();
        let update = output.platform_output.accesskit_update.unwrap();
        let nodes = update.nodes.iter().filter_map(|(_, node)| {
            let (text, at) = (node.label().or(node.value())?, node.bounds()?);
            let [min, max] =
                [(at.x0, at.y0), (at.x1, at.y1)].map(|(x, y)| pos2(x as f32, y as f32));
            Some((text.to_owned(), Rect::from_min_max(min, max)))
        });
        nodes.collect()
    }

    /// Where a part lies whose name begins like this.
    fn find(&mut self, name: &str) -> Option<(String, Rect)> {
        let found = self.draw(Vec::new());
        found.into_iter().find(|(text, _)| text.starts_with(name))
    }

    /// Clicks a part at a share of its width and height.
    fn click(&mut self, name: &str, share: Vec2) {
        let (_, rect) = self.find(name).unwrap();
        let pos = rect.min + rect.size() * share;
        let button = |pressed| Event::PointerButton {
            pos,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        };
        self.draw(vec![Event::PointerMoved(pos), button(true)]);
        self.draw(vec![button(false)]);
        self.draw(Vec::new());
    }

    fn press(&mut self, key: Key) {
        self.draw(vec![Event::Key {
            key,
            physical_key: None,
            pressed: true,
            repeat: false,
            modifiers: Modifiers::NONE,
        }]);
    }
}

#[test]
fn a_click_on_the_small_frame_chooses_a_patch_and_arrows_go_on_from_there() {
    let mut panel = Panel::new(Some(seen().0));
    let (text, _) = panel.find("chosen patch").unwrap();
    assert_eq!(text, "chosen patch: row 3, column 4", "the middle");
    assert!(!panel.own.takes(Key::ArrowUp), "the arrows are the game's");
    // Row 2 of 4, column 5 of 6.
    panel.click("chosen patch", vec2(4.5 / 6.0, 1.5 / 4.0));
    assert_eq!(panel.own.chosen, Some(10));
    assert!(panel.own.takes(Key::ArrowUp) && !panel.own.takes(Key::W));
    let before = panel.own.rows.clone();
    panel.press(Key::ArrowLeft);
    panel.press(Key::ArrowDown);
    assert_eq!(panel.own.chosen, Some(15));
    panel.draw(Vec::new());
    assert_ne!(panel.own.rows, before, "another token, in the same frame");
    panel.press(Key::Escape);
    panel.draw(Vec::new());
    assert!(!panel.own.takes(Key::ArrowUp));
}

#[test]
fn a_layer_is_chosen_by_its_button_and_every_part_has_a_name() {
    let mut panel = Panel::new(Some(seen().0));
    let first = panel.own.others.clone();
    for name in ["channel 3: ", "attention over past", "registers: "] {
        assert!(panel.find(name).is_some(), "{name}");
    }
    panel.click("space attention of layer 3", vec2(0.5, 0.5));
    assert_eq!(panel.own.layer, 2);
    assert_ne!(panel.own.others, first);
}

#[test]
fn textures_are_kept_from_frame_to_frame() {
    let mut panel = Panel::new(Some(seen().0));
    panel.draw(Vec::new());
    let ids = |own: &Inspect| {
        let sheets = [&own.picture, &own.channels, &own.veil, &own.map];
        sheets.map(|sheet| sheet.id().unwrap())
    };
    let before = ids(&panel.own);
    panel.frame.sequence = 2;
    panel.draw(Vec::new());
    assert_eq!(ids(&panel.own), before);
}

#[test]
fn what_is_missing_is_said() {
    let mut panel = Panel::new(None);
    assert!(panel.find("The next predicted frame").is_some());
    let (mut seen, _) = seen();
    seen.attention = None;
    let mut panel = Panel::new(Some(seen));
    assert!(panel.find("This engine does not tell").is_some());
    assert!(panel.find("channel 1: ").is_some());
    assert!(panel.find("space attention").is_none());
}
