//! The clips, side by side; below them the frames of the chosen one.

use std::time::Duration;

use eframe::egui::{Button, Image, RichText, Sense, Stroke, StrokeKind, Ui, WidgetInfo, vec2};
use eframe::egui::{Rect, Role, TextureHandle};

use super::controls::Asked;
use super::view::View;
use crate::app::theme;
use crate::app::widgets::progress_bar;

/// Space between pictures, and below them for everything else, in points.
const GAP: f32 = 14.0;
const BELOW: f32 = 230.0;
/// Smallest and largest side of a picture, and of a frame below, in points.
const SIDES: [f32; 2] = [120.0, 620.0];
const FRAME: f32 = 64.0;

/// What the clips ask the page for.
#[derive(Default)]
pub(super) struct Shown {
    pub asked: Option<Asked>,
    pub play_on: bool,
}

/// Draws the clips.
pub(super) fn ui(
    ui: &mut Ui,
    view: &mut View,
    failure: Option<&str>,
    is_saving: bool,
    is_leaving: bool,
) -> Shown {
    let palette = theme::palette(ui);
    if let Some(why) = failure {
        ui.label(RichText::new(why).color(palette.alert));
    }
    if view.clips.is_empty() {
        ui.add_space(40.0);
        ui.vertical_centered(|ui| {
            let text = "Say what happens, and press Make the clip.";
            ui.label(RichText::new(text).color(palette.muted));
        });
        return Shown::default();
    }
    large(ui, view);
    ui.add_space(8.0);
    frames(ui, view);
    ui.add_space(8.0);
    let shown = buttons(ui, view, is_saving, is_leaving);
    if view.frame.is_none() {
        let period = Duration::from_secs_f32(1.0 / view.about.world.fps.max(1.0));
        ui.request_repaint_after(period);
    }
    shown
}

/// The clips as large as there is room.
fn large(ui: &mut Ui, view: &mut View) {
    let palette = theme::palette(ui);
    let size = view.about.world.image;
    let count = view.clips.len() as f32;
    let width = (ui.available_width() - GAP * (count - 1.0)) / count;
    let [least, most] = SIDES;
    let side = width
        .min((ui.available_height() - BELOW).max(least))
        .min(most);
    let (shown, steps) = (view.shown_frame(view.shown_frames()), view.params.steps);
    let mut chosen = None;
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = GAP;
        for (i, clip) in view.clips.iter_mut().enumerate() {
            let (took, done, seed) = (clip.took, clip.steps, clip.seed);
            let textures = clip.textures(ui.ctx(), size);
            let texture = textures.get(shown.min(textures.len().saturating_sub(1)));
            ui.vertical(|ui| {
                ui.set_width(side);
                let area = picture(ui, texture, side, size);
                let name = format!("Clip {} of seed {seed}", i + 1);
                let press = ui.interact(area, ui.scope_id().with(i), Sense::click());
                press.widget_info(|| {
                    WidgetInfo::selected(Role::Button, true, i == view.chosen, &name)
                });
                if press.clicked() {
                    chosen = Some(i);
                }
                if i == view.chosen && count > 1.0 {
                    let stroke = Stroke::new(2.0, palette.accent);
                    ui.painter()
                        .rect_stroke(area, 4.0, stroke, StrokeKind::Outside);
                }
                match took {
                    Some(took) => {
                        let text = format!("seed {seed}, {:.1} s", took.as_secs_f32());
                        ui.label(RichText::new(text).small().color(palette.muted));
                    }
                    None => {
                        let part = done as f32 / steps.max(1) as f32;
                        progress_bar(ui, part, &format!("step {done} of {steps}"));
                    }
                }
            });
        }
    });
    view.chosen = chosen.unwrap_or(view.chosen);
}

/// A frame, or the place where one will be; returns its area.
fn picture(
    ui: &mut Ui,
    texture: Option<&TextureHandle>,
    side: f32,
    [height, width]: [usize; 2],
) -> Rect {
    let scale = side / height.max(width).max(1) as f32;
    let size = vec2(width as f32, height as f32) * scale;
    match texture {
        Some(texture) => {
            ui.add(Image::new((texture.id(), size)).corner_radius(4))
                .rect
        }
        None => {
            let (area, _) = ui.allocate_exact_size(size, Sense::hover());
            let fill = theme::palette(ui).panel;
            ui.painter().rect_filled(area, 4.0, fill);
            area
        }
    }
}

/// The frames of the chosen clip in a row: a click stops there.
fn frames(ui: &mut Ui, view: &mut View) {
    let palette = theme::palette(ui);
    let (size, count) = (view.about.world.image, view.shown_frames());
    let shown = view.shown_frame(count);
    let chosen = view.chosen;
    let Some(clip) = view.clips.get_mut(chosen) else {
        return;
    };
    let textures: Vec<_> = clip
        .textures(ui.ctx(), size)
        .iter()
        .map(TextureHandle::id)
        .collect();
    if textures.is_empty() {
        return;
    }
    let room = ui.available_width() / textures.len() as f32 - 3.0;
    let side = room.clamp(12.0, FRAME);
    let scale = side / size[0].max(size[1]).max(1) as f32;
    let each = vec2(size[1] as f32, size[0] as f32) * scale;
    let mut stop = None;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(3.0, 3.0);
        for (i, texture) in textures.into_iter().enumerate() {
            let image = Image::new((texture, each)).sense(Sense::click());
            let frame = ui.add(image.alt_text(format!("Frame {}", i + 1)));
            if frame.clicked() {
                stop = Some(i);
            }
            if i == shown {
                let stroke = Stroke::new(2.0, palette.accent);
                ui.painter()
                    .rect_stroke(frame.rect, 1.0, stroke, StrokeKind::Outside);
            }
        }
    });
    if stop.is_some() {
        view.frame = stop;
    }
}

fn buttons(ui: &mut Ui, view: &mut View, is_saving: bool, is_leaving: bool) -> Shown {
    let mut shown = Shown::default();
    let finished = view.finished().is_some();
    ui.horizontal_wrapped(|ui| {
        let text = if is_leaving {
            "Preparing…"
        } else {
            "Play on"
        };
        let button = Button::new(RichText::new(text).strong()).min_size(vec2(110.0, 32.0));
        let hint = "The world goes on from the clip's last frames, with your keys.";
        let play = ui.add_enabled(finished && !is_leaving, button);
        shown.play_on = play.on_hover_text(hint).clicked();
        let (text, playing) = match view.frame {
            None => ("Pause", true),
            Some(_) => ("Play", false),
        };
        if ui.button(text).on_hover_text("Space").clicked() {
            if playing {
                view.frame = Some(view.shown_frame(view.shown_frames()));
            } else {
                view.play();
            }
        }
        let save = ui.add_enabled(finished && !is_saving, Button::new("Save as GIF"));
        if save.clicked() {
            shown.asked = Some(Asked::Save);
        }
    });
    shown
}
