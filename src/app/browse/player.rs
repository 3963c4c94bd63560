//! The chosen episode: the picture, its tracks, and what can be done with it.

use std::time::Instant;

use eframe::egui::{Button, Image, RichText, Ui, vec2};

use driftless_data::edit::REMOVED;

use super::Asked;
use super::tracks;
use super::view::{Shown, View};
use super::worker::Edit;
use crate::app::theme;

/// Space below the picture for tracks and buttons, and the least side of the picture, in points.
const BELOW: f32 = 210.0;
const LEAST: f32 = 96.0;

/// Draws the chosen episode.
pub(super) fn ui(ui: &mut Ui, view: &mut View) -> Option<Asked> {
    let palette = theme::palette(ui);
    let is_busy = view.is_busy;
    let info = &view.listing.info;
    let Some(shown) = &mut view.episode else {
        ui.add_space(40.0);
        ui.vertical_centered(|ui| {
            let text = match &view.unreadable {
                Some(why) => RichText::new(why).color(palette.alert),
                None => RichText::new("Reading the episode…").color(palette.muted),
            };
            ui.label(text);
        });
        // A file that cannot be read can still be set aside.
        return (view.unreadable.is_some() && remove(ui, is_busy))
            .then_some(Asked::Edit(Edit::Remove));
    };
    shown.advance(Instant::now(), info.fps);
    if shown.is_playing() {
        ui.request_repaint();
    }
    picture(ui, shown);
    let episode = &shown.episode;
    let action = episode.actions[shown.frame] as usize;
    let action = info.actions.get(action).map_or("?", |action| &action.name);
    let mut text = format!(
        "frame {} of {}, after {action}",
        shown.frame,
        episode.frames()
    );
    let reward = episode.rewards[shown.frame];
    if reward != 0.0 {
        text += &format!(", reward {reward}");
    }
    ui.label(RichText::new(text).color(palette.muted));
    tracks::ui(ui, shown, info);
    ui.add_space(6.0);
    buttons(ui, shown, is_busy)
}

fn picture(ui: &mut Ui, shown: &mut Shown) {
    let room = vec2(
        ui.available_width(),
        (ui.available_height() - BELOW).max(LEAST),
    );
    let size = vec2(shown.episode.width as f32, shown.episode.height as f32);
    let scale = (room / size).min_elem();
    // Whole multiples keep pixels square; below one, it is made to fit.
    let scale = if scale >= 1.0 { scale.floor() } else { scale };
    let frame = shown.frame;
    let texture = shown.texture(ui.ctx()).id();
    ui.vertical_centered(|ui| {
        let image = Image::new((texture, size * scale)).alt_text(format!("Frame {frame}"));
        ui.add(image.corner_radius(4));
    });
}

fn remove(ui: &mut Ui, is_busy: bool) -> bool {
    let hint = format!("Moves the file into the dataset's folder {REMOVED}.");
    let button = ui.add_enabled(!is_busy, Button::new("Remove"));
    button.on_hover_text(hint).clicked()
}

fn buttons(ui: &mut Ui, shown: &mut Shown, is_busy: bool) -> Option<Asked> {
    let mut edit = None;
    let (frame, frames) = (shown.frame, shown.episode.frames());
    ui.horizontal_wrapped(|ui| {
        let text = if shown.is_playing() { "Pause" } else { "Play" };
        if ui.button(text).on_hover_text("Space").clicked() {
            shown.toggle(Instant::now());
        }
        if ui
            .button("From here")
            .on_hover_text("Selects from this frame on ([).")
            .clicked()
        {
            shown.select_from_here();
        }
        if ui
            .button("To here")
            .on_hover_text("Selects up to this frame (]).")
            .clicked()
        {
            shown.select_to_here();
        }
        ui.separator();
        let selected = shown.selected.clone();
        let is_part = selected.as_ref().is_some_and(|range| range.len() < frames);
        let cut = ui.add_enabled(is_part && !is_busy, Button::new("Keep the selection"));
        let hint =
            "Makes an episode of the selected frames; the whole stays among the removed files.";
        if cut.on_hover_text(hint).clicked() {
            edit = selected.map(Edit::Cut);
        }
        let split = ui.add_enabled(frame > 0 && !is_busy, Button::new("Split here"));
        let hint = "Makes two episodes of it; the second begins with this frame.";
        if split.on_hover_text(hint).clicked() {
            edit = Some(Edit::Split(frame));
        }
        let hint = "Moves it to the dataset NAME-val beside this one, which is not trained on.";
        let hold_out = ui.add_enabled(!is_busy, Button::new("Hold out"));
        if hold_out.on_hover_text(hint).clicked() {
            edit = Some(Edit::HoldOut);
        }
        if remove(ui, is_busy) {
            edit = Some(Edit::Remove);
        }
    });
    edit.map(Asked::Edit)
}
