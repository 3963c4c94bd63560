//! The pictures: the control, the cell at τ, the truth, and the states of the way with the scrubber.

use eframe::egui;
use eframe::egui::{
    Color32, Image, Rect, RichText, Sense, Slider, SliderClamping, Stroke, StrokeKind,
    TextureHandle, Ui, WidgetInfo, pos2, vec2,
};

use driftless_transport::{Route, Source};

use super::export::drug_name;
use super::look::rms;
use super::view::View;
use super::wish::figure;
use super::worker::Morph;
use crate::app::theme;

/// Space between pictures, and below them for everything else, in points.
const GAP: f32 = 14.0;
const BELOW: f32 = 310.0;
/// Smallest and largest side of a picture, and the longer one of a state, in points.
const SIDES: [f32; 2] = [110.0, 460.0];
const STATE: f32 = 120.0;
const SMALLEST_STATE: f32 = 16.0;

/// Draws the pictures and what belongs to them.
pub(super) fn pictures(ui: &mut Ui, view: &mut View, failure: Option<&str>) {
    let palette = theme::palette(ui);
    if let Some(why) = failure {
        ui.label(RichText::new(why).color(palette.alert));
    }
    let Some(morph) = &view.morph else {
        if failure.is_some() {
            return;
        }
        ui.label(RichText::new("The first picture is being made…").color(palette.muted));
        return;
    };
    let size = view.config().image;
    view.pictures
        .update(ui.ctx(), morph, &view.look, view.tau, size);
    large(ui, view, morph);
    ui.add_space(6.0);
    let chosen = states(ui, view);
    if let Some(tau) = chosen {
        (view.tau, view.plays) = (tau, None);
    }
    scrubber(ui, view);
    about(ui, view);
}

/// The large pictures side by side.
fn large(ui: &mut Ui, view: &View, morph: &Morph) {
    let plates = &view.bench.specimens.plates;
    let plate = |index: usize| plates.get(index).map_or("?", |plate| plate.name.as_str());
    let wish = &morph.wish;
    let cell = view
        .bench
        .specimens
        .cell_name(wish.source_plate(), wish.cell);
    let source = format!("{cell}, plate {}", plate(wish.source_plate()));
    let unit = &view.config().dose_unit;
    let drug = match wish.compound {
        Some(_) => {
            let name = drug_name(view.config(), wish.compound);
            format!("{name}, {} {unit}", figure(wish.dose))
        }
        None => "no drug".to_owned(),
    };
    let made = match (wish.reverse, view.tau) {
        (false, tau) if tau >= 1.0 => "Treated".to_owned(),
        (false, tau) => format!("On the way, τ = {tau:.2}"),
        (true, tau) if tau <= 0.0 => "Carried back".to_owned(),
        (true, tau) => format!("On the way back, τ = {tau:.2}"),
    };
    let pictures = &view.pictures;
    let mut columns = vec![
        ("Control".to_owned(), source, &pictures.control),
        (
            made,
            format!("{drug}, plate {}", plate(wish.plate)),
            &pictures.shown,
        ),
    ];
    if pictures.truth.is_some() {
        let about = "the same cell, by the simulator".to_owned();
        columns.push(("Truth".to_owned(), about, &pictures.truth));
    }
    let count = columns.len() as f32;
    let width = (ui.available_width() - GAP * (count - 1.0)) / count;
    let [least, most] = SIDES;
    let side = width
        .min((ui.available_height() - BELOW).max(least))
        .min(most);
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = GAP;
        for (title, about, texture) in &columns {
            ui.vertical(|ui| {
                ui.set_width(side);
                column(ui, title, about, texture.as_ref(), view.config().image);
            });
        }
    });
}

/// A title, a picture and a line about it.
fn column(
    ui: &mut Ui,
    title: &str,
    about: &str,
    texture: Option<&TextureHandle>,
    [height, width]: [usize; 2],
) {
    let palette = theme::palette(ui);
    ui.spacing_mut().item_spacing.y = 5.0;
    let name = RichText::new(title).strong().size(15.0);
    ui.add(egui::Label::new(name.color(palette.text)).truncate());
    if let Some(texture) = texture {
        let side = ui.available_width();
        let scale = side / height.max(width).max(1) as f32;
        let size = vec2(width as f32, height as f32) * scale;
        let picture = Image::new((texture.id(), size)).corner_radius(4);
        ui.add(picture.alt_text(format!("{title}: {about}")));
    }
    let about = RichText::new(about).color(palette.muted);
    ui.add(egui::Label::new(about).truncate());
}

/// The states of the way; returns the transport time of the one that was clicked.
fn states(ui: &mut Ui, view: &View) -> Option<f32> {
    let palette = theme::palette(ui);
    let textures = &view.pictures.strip;
    let last = textures.len().saturating_sub(1).max(1) as f32;
    let gap = 6.0;
    let space = (ui.available_width() - gap * last) / (last + 1.0);
    let [height, width] = view.config().image.map(|side| side.max(1) as f32);
    let longest = height.max(width);
    let scale = (space / width).clamp(SMALLEST_STATE / longest, STATE / longest);
    let size = vec2(width, height) * scale;
    let mut chosen = None;
    ui.horizontal(|ui| {
        // The states lie above their transport times.
        let between = (ui.available_width() - size.x * (last + 1.0)) / last;
        ui.spacing_mut().item_spacing.x = between.max(2.0);
        for (i, texture) in textures.iter().enumerate() {
            let tau = i as f32 / last;
            let (rect, response) = ui.allocate_exact_size(size, Sense::click());
            let name = format!("State at τ = {tau:.2}");
            response.widget_info(|| WidgetInfo::labeled(egui::Role::Button, true, &name));
            let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
            ui.painter().image(texture.id(), rect, uv, Color32::WHITE);
            let here = (view.tau - tau).abs() * last < 0.5;
            let line = if response.has_focus() {
                Some(palette.text)
            } else if here {
                Some(palette.accent)
            } else {
                response.hovered().then_some(palette.muted)
            };
            if let Some(colour) = line {
                let line = Stroke::new(2.0, colour);
                ui.painter().rect_stroke(rect, 3, line, StrokeKind::Outside);
            }
            if response.on_hover_text(name).clicked() {
                chosen = Some(tau);
            }
        }
    });
    chosen
}

/// The slider of τ, with the film and the way back.
fn scrubber(ui: &mut Ui, view: &mut View) {
    ui.scope(|ui| {
        ui.spacing_mut().slider_width = ui.available_width();
        let slider = Slider::new(&mut view.tau, 0.0..=1.0)
            .step_by(0.01)
            // Only what a person does is rounded: a film moves τ between the steps.
            .clamping(SliderClamping::Edits)
            .show_value(false);
        let hint = "Transport time τ: 0 is where the flow starts, 1 where it ends. Left and right arrow \
                    keys.";
        let slider = ui.add(slider).on_hover_text(hint);
        slider.widget_info(|| {
            WidgetInfo::slider(true, f64::from(view.tau), "Transport time τ")
        });
        if slider.changed() || slider.dragged() {
            view.plays = None;
        }
    });
    ui.horizontal_wrapped(|ui| {
        let play = if view.plays.is_some() { "Stop" } else { "Play" };
        let hint = "Space: show the way there and back as a film.";
        if ui.button(play).on_hover_text(hint).clicked() {
            view.toggle_film();
        }
        let reverse = egui::Button::selectable(view.wish.reverse, "Reverse").frame_when_inactive(true);
        let hint = "R: carry the treated cell back along the flow, from τ = 1 to 0, and see how far it \
                    misses the control.";
        if ui.add(reverse).on_hover_text(hint).clicked() {
            view.turn();
        }
        let text = format!("τ = {:.2}", view.tau);
        ui.label(RichText::new(text).monospace().color(theme::palette(ui).text));
        let what = "transport time: the place on the flow's way, neither hours nor dose";
        ui.label(RichText::new(what).color(theme::palette(ui).muted));
    });
}

/// What was measured, and what to beware of.
fn about(ui: &mut Ui, view: &View) {
    let palette = theme::palette(ui);
    let Some(morph) = &view.morph else {
        return;
    };
    let mut lines = Vec::new();
    let source = view.config().flow.source;
    let to_noise = source == Source::Noise;
    if let (true, Some(returned)) = (morph.wish.reverse, morph.states.first()) {
        let missed = rms(returned, &morph.control);
        let what = if to_noise && morph.wish.params.route == Route::Forward {
            ": this flow comes from noise and goes back to noise"
        } else {
            ""
        };
        lines.push(format!(
            "The cell that came back differs from the control by {missed:.3}{what}."
        ));
    } else if let (Some(truth), Some(made)) = (&morph.truth, morph.states.last()) {
        let (made, control) = (rms(made, truth), rms(&morph.control, truth));
        lines.push(format!(
            "The treated cell differs from the truth by {made:.3}, the control by {control:.3} (root mean \
             square, 1 is white)."
        ));
    }
    for line in lines {
        ui.label(RichText::new(line).color(palette.text));
    }
    if morph.wish.crosses_plates() {
        let text = "The control is of another plate: stain, light and focus change along with the cell, and \
                    nothing tells them from the drug's effect.";
        ui.label(RichText::new(text).color(palette.alert));
    }
    let took = morph.took.as_secs_f64() * 1000.0;
    let count = morph.wish.evaluations(false);
    let time = if morph.draft {
        format!("{took:.0} ms  ·  a quick look; one of {count} evaluations follows")
    } else {
        format!("{took:.0} ms from the change to the picture  ·  {count} evaluations")
    };
    ui.label(RichText::new(time).monospace().color(palette.muted));
}
