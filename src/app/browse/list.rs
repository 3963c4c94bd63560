//! The list of the episodes.

use std::borrow::Cow;

use eframe::egui;
use eframe::egui::{RichText, ScrollArea, TextStyle, TextWrapMode, Ui, WidgetText, vec2};

use driftless_data::listing::ListedFile;
use driftless_data::text::{counted, rounded};

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
    let total = format!(
        "{}, {}",
        counted(files.len(), "episode"),
        counted(frames, "frame")
    );
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
            let sign = if content.reward > 0.0 { "+" } else { "" };
            let reward = rounded(content.reward);
            format!("{}, {sign}{reward}", counted(content.frames, "frame"))
        }
        Ok(content) => counted(content.frames, "frame"),
        Err(_) => "cannot be read".to_owned(),
    };
    let colour = match (is_shown, &file.content) {
        (true, _) => palette.on_accent,
        (false, Ok(_)) => palette.muted,
        (false, Err(_)) => palette.alert,
    };
    let about = RichText::new(about).small().color(colour);
    let width = ui.available_width();
    let padding = 2.0 * (ui.spacing().button_padding.x + ui.spacing().icon_spacing);
    let room = width - padding - text_width(ui, about.clone(), TextStyle::Small);
    let name = tail_within(&file.file, room, |text| {
        text_width(ui, text.into(), TextStyle::Button)
    });
    let button = egui::Button::selectable(is_shown, name.as_ref())
        .shortcut_text(about)
        .truncate();
    let row = ui.add_sized(vec2(width, ROW - 4.0), button);
    match name {
        Cow::Borrowed(_) => row.clicked(),
        Cow::Owned(_) => row.on_hover_text(&file.file).clicked(),
    }
}

/// The width of a text in one line.
fn text_width(ui: &Ui, text: RichText, style: TextStyle) -> f32 {
    let text = WidgetText::from(text);
    let galley = text.into_galley(ui, Some(TextWrapMode::Extend), f32::INFINITY, style);
    galley.size().x
}

/// As much of the end of a name as is not wider than `room`, after an ellipsis; all of it if that fits. Names of parts
/// of an episode differ at their ends.
fn tail_within(name: &str, room: f32, width: impl Fn(String) -> f32) -> Cow<'_, str> {
    if width(name.to_owned()) <= room {
        return Cow::Borrowed(name);
    }
    let shortened = |at: usize| format!("…{}", &name[at..]);
    let starts = name.char_indices().map(|(at, _)| at).skip(1);
    let mut shorter = starts.map(shortened);
    let fits = shorter.find(|text| width(text.clone()) <= room);
    Cow::Owned(fits.unwrap_or_else(|| "…".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_a_long_name_is_seen() {
        let shown = |room: f32| {
            let width = |text: String| text.chars().count() as f32;
            tail_within("épisode_00000_3-7.npz", room, width).into_owned()
        };
        assert_eq!(shown(21.0), "épisode_00000_3-7.npz");
        assert_eq!(shown(10.0), "…0_3-7.npz");
        assert_eq!(shown(20.5), "…isode_00000_3-7.npz");
        assert_eq!(shown(0.0), "…");
    }
}
