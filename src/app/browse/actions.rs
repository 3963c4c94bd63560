//! What becomes of the actions: renamed, or joined with others, in a copy of the dataset.

use eframe::egui::{Button, ComboBox, RichText, ScrollArea, TextEdit, Ui};

use driftless_data::text::counted;

use super::Asked;
use super::view::View;
use crate::app::theme;
use crate::app::widgets::progress_bar;

/// Draws the table of actions.
pub(super) fn ui(ui: &mut Ui, view: &mut View) -> Option<Asked> {
    let palette = theme::palette(ui);
    let episodes = view.listing.files.iter().flat_map(|file| &file.content);
    let episodes: usize = episodes.map(|content| content.episodes).sum();
    let table = view.remapping.as_mut()?;
    let text = "Rename actions, or let one join another. A copy of the dataset is written; this one stays as it is.";
    ui.label(RichText::new(text).color(palette.muted));
    ui.add_space(8.0);
    let is_copying = view.copied.is_some();
    let scroll = ScrollArea::vertical()
        .id_salt("actions")
        .auto_shrink([false, true]);
    scroll
        .max_height(ui.available_height() - 80.0)
        .show(ui, |ui| {
            ui.add_enabled_ui(!is_copying, |ui| {
                for action in 0..table.len() {
                    ui.horizontal(|ui| row(ui, table, action));
                }
            });
        });
    ui.add_space(8.0);
    let problem = table.problem();
    if let Some(done) = view.copied {
        let part = done as f32 / episodes.max(1) as f32;
        progress_bar(
            ui,
            part,
            &format!("{} of {episodes} copied", counted(done, "episode")),
        );
        return ui.button("Cancel").clicked().then_some(Asked::Cancel);
    }
    let mut asked = None;
    ui.horizontal(|ui| {
        let write = ui.add_enabled(problem.is_none(), Button::new("Write the copy"));
        if write.clicked() {
            asked = Some(Asked::Remap);
        }
        if ui.button("Back").clicked() {
            asked = Some(Asked::Actions(false));
        }
        if let Some(problem) = problem {
            ui.label(RichText::new(problem).color(palette.muted));
        }
    });
    asked
}

fn row(ui: &mut Ui, table: &mut super::ActionTable, action: usize) {
    let palette = theme::palette(ui);
    let stays = table.stays(action);
    let field = TextEdit::singleline(&mut table.names[action]).desired_width(160.0);
    let field = ui.add_enabled(stays, field);
    let old = table.old_name(action).to_owned();
    field.widget_info(|| {
        eframe::egui::WidgetInfo::labeled(
            eframe::egui::Role::TextInput,
            stays,
            format!("Name of {old}"),
        )
    });
    if action == 0 {
        ui.label(RichText::new("the idle action").color(palette.muted));
        return;
    }
    let others = (0..table.len()).filter(|&other| other != action && table.stays(other));
    let others: Vec<usize> = others.collect();
    let name = |table: &super::ActionTable, other: usize| format!("joins {}", table.names[other]);
    let text = match table.joined(action) {
        None => "stays".to_owned(),
        Some(other) => name(table, other),
    };
    let mut chosen = None;
    ComboBox::from_id_salt(("joins", action))
        .selected_text(text)
        .show_ui(ui, |ui| {
            if ui.selectable_label(stays, "stays").clicked() {
                chosen = Some(action);
            }
            for other in others {
                let is_chosen = table.joined(action) == Some(other);
                if ui.selectable_label(is_chosen, name(table, other)).clicked() {
                    chosen = Some(other);
                }
            }
        });
    if let Some(to) = chosen {
        table.join(action, to);
    }
    if table.old_name(action) != table.names[action] {
        let text = format!("was {}", table.old_name(action));
        ui.label(RichText::new(text).color(palette.muted));
    }
}
