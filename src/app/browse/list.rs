//! The list of the episodes.

use eframe::egui;
use eframe::egui::{RichText, ScrollArea, Ui, vec2};

use driftless_data::listing::ListedFile;

use super::Asked;
use super::view::View;
use crate::app::theme;

/// Height of a row in points.
const ROW: f32 = 30.0;

/// Draws the list, and what concerns the dataset as a whole.
pub(super) fn ui(ui: &mut Ui, view: &mut View) -> Option<Asked> {
    let palette = theme::palette(ui);
    let mut asked = None;
    let files = &view.listing.files;
    let frames: usize = files
        .iter()
        .flat_map(|file| &file.content)
        .map(|c| c.frames)
        .sum();
    let total = format!("{}, {frames} frames", counted(files.len(), "episode"));
    ui.label(RichText::new(total).color(palette.muted));
    ui.horizontal(|ui| {
        let can_undo = view.listing.changes > 0 && !view.is_busy;
        let undo = ui.add_enabled(can_undo, egui::Button::new("Undo"));
        if undo.on_hover_text("Undoes the last change (Z).").clicked() {
            asked = Some(Asked::Undo);
        }
        let opens = view.remapping.is_none();
        let text = if opens { "Actions…" } else { "Episodes…" };
        if ui.button(text).clicked() {
            asked = Some(Asked::Actions(opens));
        }
    });
    ui.add_space(6.0);
    let scroll = ScrollArea::vertical()
        .id_salt("episodes")
        .auto_shrink(false);
    scroll.show_rows(ui, ROW, files.len(), |ui, rows| {
        for file in &files[rows] {
            let is_shown = view.file.as_ref() == Some(&file.file);
            if row(ui, file, is_shown) {
                asked = Some(Asked::Show(file.file.clone()));
            }
        }
    });
    asked
}

/// Draws a row; returns whether it is clicked.
fn row(ui: &mut Ui, file: &ListedFile, is_shown: bool) -> bool {
    let palette = theme::palette(ui);
    let about = match &file.content {
        Ok(content) if content.episodes > 1 => counted(content.episodes, "episode"),
        Ok(content) if content.reward != 0.0 => {
            format!("{} frames, {:+}", content.frames, content.reward)
        }
        Ok(content) => format!("{} frames", content.frames),
        Err(_) => "cannot be read".to_owned(),
    };
    let colour = match (is_shown, &file.content) {
        (true, _) => palette.on_accent,
        (false, Ok(_)) => palette.muted,
        (false, Err(_)) => palette.alert,
    };
    let button = egui::Button::selectable(is_shown, &file.file)
        .shortcut_text(RichText::new(about).small().color(colour))
        .truncate();
    ui.add_sized(vec2(ui.available_width(), ROW - 4.0), button)
        .clicked()
}

/// `1 episode`, `2 episodes`.
pub(super) fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}
