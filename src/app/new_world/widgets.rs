//! Widgets of the page's steps.

use std::path::PathBuf;
use std::time::Duration;

use eframe::egui;
use eframe::egui::{Button, Margin, RichText, Stroke, Ui, vec2};

use crate::app::theme;
use crate::workspace::{BackgroundTask, Notify};
use crate::{Error, Result};

/// A card of the page.
pub(super) fn card<T>(ui: &mut Ui, content: impl FnOnce(&mut Ui) -> T) -> T {
    let shown = egui::Frame::new()
        .fill(theme::palette(ui).panel)
        .stroke(Stroke::new(1.0, theme::palette(ui).line))
        .corner_radius(10)
        .inner_margin(Margin::same(16))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            content(ui)
        });
    ui.add_space(6.0);
    shown.inner
}

/// A card's title and description.
pub(super) fn title(ui: &mut Ui, name: &str, about: &str) {
    ui.label(
        RichText::new(name)
            .strong()
            .size(15.0)
            .color(theme::palette(ui).text),
    );
    if !about.is_empty() {
        ui.label(RichText::new(about).color(theme::palette(ui).muted));
    }
}

/// A primary button.
pub(super) fn primary(ui: &mut Ui, text: &str, enabled: bool) -> egui::Response {
    let text = RichText::new(text).strong();
    let button = if enabled {
        Button::new(text.color(theme::palette(ui).on_accent)).fill(theme::palette(ui).accent)
    } else {
        Button::new(text.color(theme::palette(ui).muted))
    };
    ui.add_enabled(enabled, button.min_size(vec2(96.0, 28.0)))
}

/// A control with a label in a fixed-width column.
pub(super) fn labelled<T>(ui: &mut Ui, name: &str, control: impl FnOnce(&mut Ui) -> T) -> T {
    ui.horizontal(|ui| {
        let label = egui::Label::new(RichText::new(name).color(theme::palette(ui).muted));
        ui.allocate_ui_with_layout(
            vec2(112.0, 24.0),
            egui::Layout::left_to_right(egui::Align::Center),
            |ui| {
                ui.set_min_width(112.0);
                ui.add(label);
            },
        );
        control(ui)
    })
    .inner
}

/// An activity indicator. It moves only twice a second: with a software adapter, drawing every frame
/// would slow down the work itself.
pub(super) fn activity(ui: &mut Ui) {
    let step = Duration::from_millis(500);
    let now = match theme::is_still(ui) {
        true => 0.0,
        false => ui.input(|input| input.time) / step.as_secs_f64(),
    };
    ui.request_repaint_after(step);
    let (rect, _) = ui.allocate_exact_size(vec2(30.0, 16.0), egui::Sense::hover());
    for i in 0..3 {
        let lit = now as u64 % 3 == i;
        let colour = if lit {
            theme::palette(ui).accent
        } else {
            theme::palette(ui).line
        };
        let at = rect.left_center() + vec2(5.0 + 10.0 * i as f32, 0.0);
        ui.painter().circle_filled(at, 3.0, colour);
    }
}

/// An error card.
pub(super) struct ErrorCard {
    title: String,
    what: String,
}

impl ErrorCard {
    pub fn new(title: &str, error: &Error) -> Self {
        Self {
            title: title.to_owned(),
            what: error.to_string(),
        }
    }

    /// Draws the card; returns whether it was dismissed.
    pub fn ui(&self, ui: &mut Ui) -> bool {
        failure(ui, &self.title, &self.what, "Dismiss")
    }
}

/// Draws an error card with a button; returns whether it was clicked.
pub(super) fn failure(ui: &mut Ui, headline: &str, what: &str, button: &str) -> bool {
    card(ui, |ui| {
        ui.label(
            RichText::new(headline)
                .strong()
                .size(15.0)
                .color(theme::palette(ui).alert),
        );
        ui.label(RichText::new(what).color(theme::palette(ui).text));
        ui.button(button).clicked()
    })
}

/// The kind of path that a field asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum PathKind {
    Folder,
    File,
}

/// A path field: typed, chosen in a dialog, or dropped on the window.
pub(super) struct PathField {
    pub text: String,
    kind: PathKind,
    hint: &'static str,
    dialog: Option<BackgroundTask<Option<PathBuf>>>,
}

impl PathField {
    pub fn new(kind: PathKind, hint: &'static str) -> Self {
        Self {
            text: String::new(),
            kind,
            hint,
            dialog: None,
        }
    }

    /// The path, if not empty.
    pub fn path(&self) -> Option<PathBuf> {
        let text = self.text.trim();
        (!text.is_empty()).then(|| PathBuf::from(text))
    }

    /// Takes the path chosen in the dialog.
    pub fn poll(&mut self) {
        let chosen = self.dialog.as_ref().and_then(BackgroundTask::take);
        if let Some(chosen) = chosen {
            self.dialog = None;
            if let Ok(Some(path)) = chosen {
                self.text = path.to_string_lossy().into_owned();
            }
        }
    }

    /// Draws the field, leaving `after` points of space behind it.
    pub fn ui(&mut self, ui: &mut Ui, after: f32, notify: &Notify) -> Result<()> {
        const BROWSE: f32 = 84.0;
        let width = (ui.available_width() - BROWSE - after - 8.0).max(80.0);
        let edit = egui::TextEdit::singleline(&mut self.text)
            .hint_text(self.hint)
            .desired_width(width);
        ui.add(edit);
        let browse = Button::new("Browse…").min_size(vec2(BROWSE - 8.0, 24.0));
        if ui.add_enabled(self.dialog.is_none(), browse).clicked() {
            self.dialog = Some(browse_for(self.kind, notify.clone())?);
        }
        Ok(())
    }
}

/// Opens the system's file dialog. Some systems require creating it on this thread; a task waits for
/// it.
pub(in crate::app) fn browse_for(
    kind: PathKind,
    notify: Notify,
) -> Result<BackgroundTask<Option<PathBuf>>> {
    let dialog = rfd::AsyncFileDialog::new();
    match kind {
        PathKind::Folder => {
            let chosen = dialog.set_title("Choose a folder").pick_folder();
            BackgroundTask::start(notify, move |_| Ok(chosen_path(pollster::block_on(chosen))))
        }
        PathKind::File => {
            let chosen = dialog.set_title("Choose a file").pick_file();
            BackgroundTask::start(notify, move |_| Ok(chosen_path(pollster::block_on(chosen))))
        }
    }
}

fn chosen_path(chosen: Option<rfd::FileHandle>) -> Option<PathBuf> {
    chosen.map(|file| file.path().to_path_buf())
}
