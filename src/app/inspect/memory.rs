//! The long-term memory: a map of the kept frames, seen from above, and the recalled ones.

use eframe::egui;
use eframe::egui::{
    Color32, ColorImage, Painter, Pos2, Rect, RichText, Sense, Shape, Stroke, Ui, Vec2, pos2, vec2,
};

use driftless_data::Pose;
use driftless_sim::{MemoryView, RecalledFrame};

use super::draw::{CachedTexture, name, title, write};
use super::{GAP, LEGEND, PICTURE};
use crate::app::theme;

/// The map shows this many times the reach to each side.
const SHOWN_REACH: f32 = 1.5;
/// Half the length of a kept frame's mark.
const MARK: f32 = 4.0;
/// Side of a recalled frame's picture.
const SIDE: f32 = (PICTURE - 2.0 * LEGEND - GAP) / 2.0;

/// The pictures of recalled frames as textures.
#[derive(Default)]
pub(super) struct MemoryPart {
    recalled: Vec<CachedTexture>,
}

impl MemoryPart {
    /// Uploads the recalled frames of `[height, width]` `size`.
    pub fn upload(&mut self, context: &egui::Context, view: &MemoryView, size: [usize; 2]) {
        self.recalled
            .resize_with(view.recalled.len(), CachedTexture::default);
        for (texture, frame) in self.recalled.iter_mut().zip(&view.recalled) {
            let [height, width] = size;
            let whole = frame.image.len() == height * width * 3;
            let picture = whole.then(|| ColorImage::from_rgb([width, height], &frame.image));
            texture.put(context, "recalled frame", picture);
        }
    }

    /// Draws the map, and the recalled frames beside it.
    pub fn ui(&self, ui: &mut Ui, view: &MemoryView, size: [usize; 2]) {
        ui.vertical(|ui| map(ui, view));
        ui.vertical(|ui| self.recalled(ui, &view.recalled, size));
    }

    fn recalled(&self, ui: &mut Ui, frames: &[RecalledFrame], size: [usize; 2]) {
        title(ui, "Recalled now");
        let columns = frames.len().div_ceil(2).max(2) as f32;
        let room = vec2(columns * (SIDE + GAP), PICTURE);
        let (area, _) = ui.allocate_exact_size(room, Sense::hover());
        if frames.is_empty() {
            write(ui, area.left_top(), egui::Align2::LEFT_TOP, "nothing");
        }
        for (i, frame) in frames.iter().enumerate() {
            let corner = vec2((i / 2) as f32, (i % 2) as f32) * vec2(SIDE + GAP, SIDE + LEGEND);
            let [height, width] = size.map(|side| side.max(1) as f32);
            let drawn = vec2(width, height) * (SIDE / height.max(width));
            let rect = Rect::from_min_size(area.min + corner, drawn);
            if let Some(texture) = self.recalled.get(i) {
                texture.paint(ui, rect, 0.0..1.0);
            }
            let below = pos2(rect.left(), area.top() + corner.y + SIDE + 1.0);
            let ago = format!("{} ago", frame.age);
            write(ui, below, egui::Align2::LEFT_TOP, &ago);
            let response = ui.interact(rect, ui.scope_id().with(("recalled", i)), Sense::hover());
            let text = format!("Recalled frame {}: seen {} frames ago", i + 1, frame.age);
            name(&response, &text);
            response.on_hover_text(text);
        }
    }
}

/// Draws the kept frames around the camera.
fn map(ui: &mut Ui, view: &MemoryView) {
    title(ui, "Long-term memory");
    let side = PICTURE - LEGEND;
    let (rect, response) = ui.allocate_exact_size(vec2(side, side), Sense::hover());
    let palette = theme::palette(ui);
    let painter = ui.painter_at(rect);
    painter.rect_filled(rect, 2, palette.backdrop);
    let scale = side / 2.0 / (SHOWN_REACH * view.reach);
    let place =
        |pose: Pose| rect.center() + vec2(pose.x - view.pose.x, pose.y - view.pose.y) * scale;
    let half = view.field_of_view.to_radians() / 2.0;
    for frame in &view.recalled {
        let fan = palette.accent.gamma_multiply(0.25);
        view_fan(
            &painter,
            place(frame.pose),
            frame.pose.angle,
            half,
            side / 5.0,
            fan,
        );
    }
    for frame in &view.kept {
        let colour = if frame.predicted {
            palette.muted
        } else {
            palette.text
        };
        mark(&painter, place(frame.pose), frame.pose.angle, colour);
    }
    for frame in &view.recalled {
        mark(
            &painter,
            place(frame.pose),
            frame.pose.angle,
            palette.accent,
        );
    }
    let own = Color32::WHITE;
    view_fan(
        &painter,
        place(view.pose),
        view.pose.angle,
        half,
        side / 4.0,
        own.gamma_multiply(0.3),
    );
    mark(&painter, place(view.pose), view.pose.angle, own);
    let given = view.kept.iter().filter(|frame| !frame.predicted).count();
    let text = format!(
        "{} frames kept: {given} given, {} predicted",
        view.kept.len(),
        view.kept.len() - given
    );
    name(&response, &format!("Map of the long-term memory: {text}"));
    response.on_hover_text(
        "The memory from above, around the camera (white). Each mark is a kept frame and points where it \
         looked: light for frames that were given, grey for predicted ones, green for those recalled now.",
    );
    ui.label(RichText::new(text).small().color(palette.muted));
}

/// A mark that points along an angle.
fn mark(painter: &Painter, at: Pos2, angle: f32, colour: Color32) {
    let along = Vec2::angled(angle);
    let across = along.rot90() * 0.5;
    let points = vec![
        at + along * MARK,
        at - along * MARK + across * MARK,
        at - along * MARK - across * MARK,
    ];
    painter.add(Shape::convex_polygon(points, colour, Stroke::NONE));
}

/// The field of view from a place, `half` to each side of an angle.
fn view_fan(painter: &Painter, at: Pos2, angle: f32, half: f32, length: f32, colour: Color32) {
    const PARTS: usize = 8;
    let edge = (0..=PARTS).map(|i| {
        let share = 2.0 * i as f32 / PARTS as f32 - 1.0;
        at + Vec2::angled(angle + half * share) * length
    });
    let points = std::iter::once(at).chain(edge).collect();
    painter.add(Shape::convex_polygon(points, colour, Stroke::NONE));
}
