//! The panel in a headless context.

use eframe::egui::{
    Context, Event, Modifiers, PointerButton, Pos2, RawInput, Rect, Vec2, pos2, vec2,
};

use driftless_data::Pose;
use driftless_engine::SamplerParams;
use driftless_engine::testing::{clip, cpu_sampler, small_config, world};
use driftless_sim::{FrameImage, KeptFrameView, MemoryView, RecalledFrame};

use super::*;

/// A small engine's inspection data after a few frames, and its attention.
pub(super) fn inspection() -> (Inspection, Attention) {
    let config = small_config();
    let mut engine = cpu_sampler(&world(&config));
    engine.record_attention(true);
    let params = SamplerParams::default();
    engine.reset(&clip(&config, 4), &params).unwrap();
    let attention = engine.attention().unwrap().unwrap();
    let inspection = Inspection {
        grid: config.grid(),
        channels: config.tokenizer.channels,
        merge: config.dynamics.merge,
        latent: engine.latent().unwrap().to_vec(),
        image: engine.image().unwrap().to_vec(),
        attention: Some(attention.clone()),
        memory: None,
        state_norms: None,
    };
    (inspection, attention)
}

/// The panel with simulated input.
struct TestPanel {
    context: Context,
    inspect: InspectPanel,
    frame: Frame,
}

impl TestPanel {
    fn new(inspect: Option<Inspection>) -> Self {
        let context = Context::default();
        context.enable_accesskit();
        let mut frame = Frame::new(FrameImage::Bytes([0_u8; 3].as_slice().into()));
        (frame.sequence, frame.number) = (1, 1);
        frame.diagnostics.inspection = inspect.map(Into::into);
        Self {
            context,
            inspect: InspectPanel::default(),
            frame,
        }
    }

    /// Draws once after some events; returns accessible names and their bounds.
    fn draw(&mut self, events: Vec<Event>) -> Vec<(String, Rect)> {
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, vec2(900.0, HEIGHT))),
            events,
            ..RawInput::default()
        };
        let (inspect, frame) = (&mut self.inspect, &self.frame);
        let mut output = self
            .context
            .run_ui(input, |ui| inspect.ui(ui, Some(frame), [12, 18]));
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

    /// Finds a part by the start of its name.
    fn find(&mut self, name: &str) -> Option<(String, Rect)> {
        let found = self.draw(Vec::new());
        found.into_iter().find(|(text, _)| text.starts_with(name))
    }

    /// Clicks a part at a fraction of its width and height.
    fn click(&mut self, name: &str, fraction: Vec2) {
        let (_, rect) = self.find(name).unwrap();
        let pos = rect.min + rect.size() * fraction;
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
fn click_and_arrows_select_patch() {
    let mut panel = TestPanel::new(Some(inspection().0));
    let (text, _) = panel.find("Selected patch").unwrap();
    assert_eq!(text, "Selected patch: Row 3, column 4", "the middle");
    assert!(
        !panel.inspect.captures_key(Key::ArrowUp),
        "the arrows belong to the game"
    );
    // Row 2 of 4, column 5 of 6.
    panel.click("Selected patch", vec2(4.5 / 6.0, 1.5 / 4.0));
    assert_eq!(panel.inspect.selected, Some(10));
    assert!(panel.inspect.captures_key(Key::ArrowUp) && !panel.inspect.captures_key(Key::W));
    let before = panel.inspect.rows.clone();
    panel.press(Key::ArrowLeft);
    panel.press(Key::ArrowDown);
    assert_eq!(panel.inspect.selected, Some(15));
    panel.draw(Vec::new());
    assert_ne!(
        panel.inspect.rows, before,
        "another token, in the same frame"
    );
    panel.press(Key::Escape);
    panel.draw(Vec::new());
    assert!(!panel.inspect.captures_key(Key::ArrowUp));
}

#[test]
fn memory_shows_what_is_kept_and_recalled() {
    let pose = |x: f32, angle: f32| Pose { x, y: 0.0, angle };
    let kept = |x: f32, predicted: bool| KeptFrameView {
        pose: pose(x, 0.5),
        predicted,
    };
    let (mut inspection, _) = inspection();
    inspection.memory = Some(MemoryView {
        pose: pose(0.0, 0.0),
        reach: 4.0,
        field_of_view: 72.0,
        kept: vec![kept(1.0, false), kept(2.0, true), kept(-1.0, true)],
        recalled: vec![RecalledFrame {
            pose: pose(2.0, 0.5),
            age: 31,
            image: vec![90; 12 * 18 * 3],
        }],
    });
    let mut panel = TestPanel::new(Some(inspection));
    let (map, _) = panel.find("Map of the long-term memory").unwrap();
    assert!(
        map.ends_with("3 frames kept: 1 given, 2 predicted"),
        "{map}"
    );
    let (text, picture) = panel.find("Recalled frame 1").unwrap();
    assert!(
        text.ends_with("31 frames ago") && picture.width() > 20.0,
        "{text}"
    );
    assert!(panel.find("Recalled frame 2").is_none());
}

#[test]
fn state_norms_are_shown_by_head() {
    let (mut inspection, _) = inspection();
    inspection.state_norms = Some(vec![vec![0.5, 2.0], vec![1.0, 1.0]]);
    let mut panel = TestPanel::new(Some(inspection));
    let (text, bars) = panel.find("State 1, norm per head").unwrap();
    assert!(
        text.ends_with("0.50, 2.00") && bars.height() > 20.0,
        "{text}"
    );
    assert!(panel.find("State 2, norm per head").is_some());
    assert!(panel.find("State 3, norm per head").is_none());
}

#[test]
fn layer_button_selects_layer() {
    let mut panel = TestPanel::new(Some(inspection().0));
    let first = panel.inspect.attention_shares.clone();
    for name in ["Channel 3: ", "Attention over past", "registers: "] {
        assert!(panel.find(name).is_some(), "{name}");
    }
    panel.click("Space attention of layer 3", vec2(0.5, 0.5));
    assert_eq!(panel.inspect.layer, 2);
    assert_ne!(panel.inspect.attention_shares, first);
}

#[test]
fn textures_are_reused() {
    let mut panel = TestPanel::new(Some(inspection().0));
    panel.draw(Vec::new());
    let ids = |inspect: &InspectPanel| {
        let sheets = [
            &inspect.picture,
            &inspect.channels,
            &inspect.attention_overlay,
            &inspect.map,
        ];
        sheets.map(|sheet| sheet.id().unwrap())
    };
    let before = ids(&panel.inspect);
    panel.frame.sequence = 2;
    panel.draw(Vec::new());
    assert_eq!(ids(&panel.inspect), before);
}

#[test]
fn missing_data_is_explained() {
    let mut panel = TestPanel::new(None);
    assert!(panel.find("The next generated frame").is_some());
    let (mut inspection, _) = inspection();
    inspection.attention = None;
    let mut panel = TestPanel::new(Some(inspection));
    assert!(panel.find("This engine does not report").is_some());
    assert!(panel.find("Channel 1: ").is_some());
    assert!(panel.find("Space attention").is_none());
}
