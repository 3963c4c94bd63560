//! A field for the path of a file or a folder, and the system's file dialog.

use std::path::PathBuf;

use eframe::egui;
use eframe::egui::{Button, Ui, vec2};

use crate::Result;
use crate::workspace::{BackgroundTask, Notify};

/// The kind of path that a field asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathKind {
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
        let browse = Button::new("Browse…").min_size(vec2(BROWSE - 8.0, 28.0));
        if ui.add_enabled(self.dialog.is_none(), browse).clicked() {
            self.dialog = Some(browse_for(self.kind, notify.clone())?);
        }
        Ok(())
    }
}

/// Opens the system's file dialog. Some systems require creating it on this thread; a task waits for
/// it.
pub(super) fn browse_for(
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
