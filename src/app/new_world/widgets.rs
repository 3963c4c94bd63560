//! What the page's steps are built of.

use std::path::PathBuf;
use std::time::Duration;

use eframe::egui::{self, Button, Margin, RichText, Stroke, Ui, vec2};

use crate::app::theme;
use crate::workspace::{Notify, Task};
use crate::{Error, Result};

/// A part of the page.
pub(super) fn card<T>(ui: &mut Ui, content: impl FnOnce(&mut Ui) -> T) -> T {
    let shown = egui::Frame::new()
        .fill(theme::panel())
        .stroke(Stroke::new(1.0, theme::line()))
        .corner_radius(10)
        .inner_margin(Margin::same(16))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            content(ui)
        });
    ui.add_space(6.0);
    shown.inner
}

/// The headline of a card, and what it is about.
pub(super) fn title(ui: &mut Ui, name: &str, about: &str) {
    ui.label(RichText::new(name).strong().size(15.0).color(theme::text()));
    if !about.is_empty() {
        ui.label(RichText::new(about).color(theme::muted()));
    }
}

/// A button for the next thing to do.
pub(super) fn primary(ui: &mut Ui, text: &str, enabled: bool) -> egui::Response {
    let text = RichText::new(text).strong();
    let button = match enabled {
        true => Button::new(text.color(theme::on_accent())).fill(theme::accent()),
        false => Button::new(text.color(theme::muted())),
    };
    ui.add_enabled(enabled, button.min_size(vec2(96.0, 28.0)))
}

/// A name before a control, as wide as the names in the lines around it.
pub(super) fn named<T>(ui: &mut Ui, name: &str, control: impl FnOnce(&mut Ui) -> T) -> T {
    ui.horizontal(|ui| {
        let label = egui::Label::new(RichText::new(name).color(theme::muted()));
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

/// A sign of work in the background. It moves twice a second, not at every frame of the screen,
/// which would take a software adapter's processor from the work.
pub(super) fn working(ui: &mut Ui) {
    let step = Duration::from_millis(500);
    let now = ui.input(|input| input.time) / step.as_secs_f64();
    ui.request_repaint_after(step);
    let (rect, _) = ui.allocate_exact_size(vec2(30.0, 16.0), egui::Sense::hover());
    for i in 0..3 {
        let lit = now as u64 % 3 == i;
        let colour = if lit { theme::accent() } else { theme::line() };
        let at = rect.left_center() + vec2(5.0 + 10.0 * i as f32, 0.0);
        ui.painter().circle_filled(at, 3.0, colour);
    }
}

/// What went wrong, and what to do.
pub(super) struct Complaint {
    title: String,
    what: String,
}

impl Complaint {
    pub fn new(title: &str, error: &Error) -> Self {
        Self {
            title: title.to_owned(),
            what: error.to_string(),
        }
    }

    /// Draws the card; whether it was dismissed.
    pub fn ui(&self, ui: &mut Ui) -> bool {
        failure(ui, &self.title, &self.what, "Dismiss")
    }
}

/// A card about a failure, with a button.
pub(super) fn failure(ui: &mut Ui, headline: &str, what: &str, button: &str) -> bool {
    card(ui, |ui| {
        ui.label(
            RichText::new(headline)
                .strong()
                .size(15.0)
                .color(theme::alert()),
        );
        ui.label(RichText::new(what).color(theme::text()));
        ui.button(button).clicked()
    })
}

/// What a path field asks a person for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Folder,
    File,
}

/// A path, typed, chosen in a dialog, or dropped onto the window.
pub(super) struct PathField {
    pub text: String,
    wanted: Wanted,
    hint: &'static str,
    dialog: Option<Task<Option<PathBuf>>>,
}

impl PathField {
    pub fn new(wanted: Wanted, hint: &'static str) -> Self {
        Self {
            text: String::new(),
            wanted,
            hint,
            dialog: None,
        }
    }

    /// The path, if there is any.
    pub fn path(&self) -> Option<PathBuf> {
        let text = self.text.trim();
        (!text.is_empty()).then(|| PathBuf::from(text))
    }

    /// Takes what was chosen in the dialog.
    pub fn listen(&mut self) {
        let chosen = self.dialog.as_ref().and_then(Task::take);
        if let Some(chosen) = chosen {
            self.dialog = None;
            if let Ok(Some(path)) = chosen {
                self.text = path.to_string_lossy().into_owned();
            }
        }
    }

    /// Draws the field, with room for `after` points behind it.
    pub fn ui(&mut self, ui: &mut Ui, after: f32, notify: &Notify) -> Result<()> {
        const BROWSE: f32 = 84.0;
        let width = (ui.available_width() - BROWSE - after - 8.0).max(80.0);
        let edit = egui::TextEdit::singleline(&mut self.text)
            .hint_text(self.hint)
            .desired_width(width);
        ui.add(edit);
        let browse = Button::new("Browse …").min_size(vec2(BROWSE - 8.0, 24.0));
        if ui.add_enabled(self.dialog.is_none(), browse).clicked() {
            self.dialog = Some(browse_for(self.wanted, notify.clone())?);
        }
        Ok(())
    }
}

/// Opens the system's dialog; it is made here, as some systems want it, and waited for elsewhere.
fn browse_for(wanted: Wanted, notify: Notify) -> Result<Task<Option<PathBuf>>> {
    let dialog = rfd::AsyncFileDialog::new();
    match wanted {
        Wanted::Folder => {
            let chosen = dialog.set_title("Choose a folder").pick_folder();
            Task::start(notify, move |_| Ok(answer(pollster::block_on(chosen))))
        }
        Wanted::File => {
            let chosen = dialog.set_title("Choose a file").pick_file();
            Task::start(notify, move |_| Ok(answer(pollster::block_on(chosen))))
        }
    }
}

fn answer(chosen: Option<rfd::FileHandle>) -> Option<PathBuf> {
    chosen.map(|file| file.path().to_path_buf())
}
