//! The save dialog: played frames as an episode, GIF, video or images.

use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui;
use eframe::egui::{Align2, Key, Rect, RichText, TextEdit, Ui};

use driftless_data::export::PNG_FOLDER_EXTENSION;
use driftless_data::{DatasetInfo, Episode};

use super::theme;
use super::widgets::{floating, progress_bar};
use crate::workspace::paths::{folder_name, unused_file};
use crate::workspace::{BackgroundExport, Notify};
use crate::{Error, Result};

/// The file formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SaveFormat {
    #[default]
    Npz,
    Gif,
    Mp4,
    Png,
}

impl SaveFormat {
    const ALL: [Self; 4] = [Self::Npz, Self::Gif, Self::Mp4, Self::Png];

    fn label(self) -> &'static str {
        match self {
            Self::Npz => "Episode (.npz)",
            Self::Gif => "GIF",
            Self::Mp4 => "MP4",
            Self::Png => "PNG",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Npz => {
                "Frames, actions and sampler parameters; `driftless replay` reproduces it."
            }
            Self::Gif => "Animated GIF.",
            Self::Mp4 => "Video; needs ffmpeg.",
            Self::Png => "A folder with one image per frame.",
        }
    }

    /// The file name with this format's extension.
    fn name(self, stem: &str) -> String {
        match self {
            Self::Npz => format!("{stem}.npz"),
            Self::Gif => format!("{stem}.gif"),
            Self::Mp4 => format!("{stem}.mp4"),
            // `unused_file` numbers names before the extension, which a folder lacks.
            Self::Png => format!("{stem}.{PNG_FOLDER_EXTENSION}"),
        }
    }
}

/// How the dialog ended.
pub(super) enum SaveOutcome {
    Saved(PathBuf),
    Failed(Error),
    Cancelled,
}

/// The save dialog and its frames.
pub(super) struct SaveDialog {
    episode: Arc<Episode>,
    fps: f32,
    folder: PathBuf,
    stem: String,
    format: SaveFormat,
    scale: u32,
    notify: Notify,
    export: Option<BackgroundExport>,
    /// Whether the dialog has not been drawn yet.
    fresh: bool,
}

impl SaveDialog {
    /// Opens the dialog for frames of a world, to be saved in `folder`.
    pub fn new(
        episode: Arc<Episode>,
        world: &DatasetInfo,
        folder: PathBuf,
        notify: Notify,
    ) -> Self {
        Self {
            episode,
            fps: world.fps,
            folder,
            stem: folder_name(&world.name).unwrap_or_else(|_| "played".into()),
            format: SaveFormat::default(),
            scale: 4,
            notify,
            export: None,
            fresh: true,
        }
    }

    /// Aborts a running export and removes its partial file.
    pub fn abort(self) {
        if let Some(export) = self.export {
            export.cancel_and_wait();
        }
    }

    /// Cancels a running export; returns whether there was one.
    pub fn cancel(&self) -> bool {
        self.export.iter().for_each(BackgroundExport::cancel);
        self.export.is_some()
    }

    fn start(&mut self) -> Result<()> {
        let stem = folder_name(&self.stem)?;
        let path = unused_file(&self.folder, &self.format.name(&stem))?;
        let (episode, notify) = (Arc::clone(&self.episode), Arc::clone(&self.notify));
        self.export = Some(BackgroundExport::start(
            episode, path, self.scale, self.fps, notify,
        )?);
        Ok(())
    }

    /// Draws the dialog in the middle of `space`.
    pub fn ui(&mut self, ui: &Ui, space: Rect) -> Option<SaveOutcome> {
        if let Some(result) = self.export.as_mut().and_then(BackgroundExport::take_result) {
            self.export = None;
            match result {
                Ok(path) => return Some(SaveOutcome::Saved(path)),
                Err(Error::Data(driftless_data::Error::Interrupted)) => {}
                Err(error) => return Some(SaveOutcome::Failed(error)),
            }
        }
        let mut done = None;
        floating(ui, "saving", space.center(), Align2::CENTER_CENTER, |ui| {
            theme::card(theme::palette(ui)).show(ui, |ui| {
                ui.set_width((space.width() - 70.0).clamp(200.0, 380.0));
                let frames = self.episode.frames();
                let title = format!("Save {frames} frames");
                ui.label(
                    RichText::new(title)
                        .heading()
                        .color(theme::palette(ui).text),
                );
                match &self.export {
                    Some(export) => progress(ui, export),
                    None => done = self.choose(ui),
                }
            });
        });
        done
    }

    fn choose(&mut self, ui: &mut Ui) -> Option<SaveOutcome> {
        let hint = "From the last restart to the current frame.";
        ui.label(RichText::new(hint).color(theme::palette(ui).muted));
        let mut entered = false;
        ui.horizontal_wrapped(|ui| {
            for format in SaveFormat::ALL {
                ui.selectable_value(&mut self.format, format, format.label())
                    .on_hover_text(format.hint());
            }
        });
        ui.label(
            RichText::new(self.format.hint())
                .small()
                .color(theme::palette(ui).muted),
        );
        ui.horizontal(|ui| {
            let name = ui.label("Name");
            let edit = TextEdit::singleline(&mut self.stem).desired_width(180.0);
            let edit = ui.add(edit).labelled_by(name.id);
            if std::mem::take(&mut self.fresh) {
                edit.request_focus();
            }
            entered = edit.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        });
        if self.format != SaveFormat::Npz {
            ui.horizontal(|ui| {
                let name = ui.label("Scale");
                let slider = egui::Slider::new(&mut self.scale, 1..=12).suffix("×");
                ui.add(slider).labelled_by(name.id);
            });
        }
        let folder = format!("in {}", self.folder.display());
        ui.label(
            RichText::new(folder)
                .small()
                .color(theme::palette(ui).muted),
        );
        let mut done = None;
        ui.horizontal(|ui| {
            let text = RichText::new("Save")
                .color(theme::palette(ui).on_accent)
                .strong();
            let save = egui::Button::new(text).fill(theme::palette(ui).accent);
            if (ui.add_sized([110.0, 30.0], save).clicked() || entered)
                && let Err(error) = self.start()
            {
                done = Some(SaveOutcome::Failed(error));
            }
            let cancel = egui::Button::new("Cancel");
            if ui.add_sized([90.0, 30.0], cancel).clicked() {
                done = Some(SaveOutcome::Cancelled);
            }
        });
        done
    }
}

fn progress(ui: &mut Ui, export: &BackgroundExport) {
    let (done, all) = export.progress();
    let fraction = done as f32 / all.max(1) as f32;
    progress_bar(ui, fraction, &format!("{done} of {all} frames"));
    if ui.button("Cancel").clicked() {
        export.cancel();
    }
}
