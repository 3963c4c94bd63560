//! The save dialog: played frames as an episode, GIF, video or images.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use eframe::egui;
use eframe::egui::{Align2, Key, Rect, RichText, TextEdit, Ui};

use driftless_data::export::PNG_FOLDER_EXTENSION;
use driftless_data::{DatasetInfo, Episode};

use super::text::{frames_done, grouped};
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

/// Which frames are saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SaveSpan {
    /// From the last restart, with everything that a replay needs.
    Episode,
    /// Recent frames as they were shown.
    Recent,
}

impl SaveSpan {
    fn hint(self) -> &'static str {
        match self {
            Self::Episode => "From the last restart to the current frame.",
            Self::Recent => "The frames as you saw them.",
        }
    }

    /// The formats that hold the frames.
    fn formats(self) -> &'static [SaveFormat] {
        match self {
            Self::Episode => &SaveFormat::ALL,
            // Without a start, there is nothing to replay.
            Self::Recent => &[SaveFormat::Gif, SaveFormat::Mp4, SaveFormat::Png],
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
    span: SaveSpan,
    fps: f32,
    folder: PathBuf,
    stem: String,
    format: SaveFormat,
    scale: u32,
    notify: Notify,
    export: Option<BackgroundExport>,
    /// When the export started.
    since: Instant,
    /// Whether the dialog has not been drawn yet.
    fresh: bool,
}

impl SaveDialog {
    /// Opens the dialog for frames of a world, to be saved in `folder`.
    pub fn new(
        episode: Arc<Episode>,
        span: SaveSpan,
        world: &DatasetInfo,
        folder: PathBuf,
        notify: Notify,
    ) -> Self {
        Self {
            episode,
            span,
            fps: world.fps,
            folder,
            stem: folder_name(&world.name).unwrap_or_else(|_| "played".into()),
            format: span.formats().first().copied().unwrap_or_default(),
            scale: 4,
            notify,
            export: None,
            since: Instant::now(),
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

    /// Frames written by a running export, and their total.
    pub fn progress(&self) -> Option<(usize, usize)> {
        self.export.as_ref().map(BackgroundExport::progress)
    }

    fn start(&mut self) -> Result<()> {
        self.since = Instant::now();
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
                let seconds = frames as f32 / self.fps.max(1.0);
                let title = format!("Save {} frames ({seconds:.0} s)", grouped(frames));
                ui.label(
                    RichText::new(title)
                        .heading()
                        .color(theme::palette(ui).text),
                );
                match &self.export {
                    Some(export) => progress(ui, export, self.since),
                    None => done = self.choose(ui),
                }
            });
        });
        done
    }

    fn choose(&mut self, ui: &mut Ui) -> Option<SaveOutcome> {
        ui.label(RichText::new(self.span.hint()).color(theme::palette(ui).muted));
        let mut entered = false;
        ui.horizontal_wrapped(|ui| {
            for &format in self.span.formats() {
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

fn progress(ui: &mut Ui, export: &BackgroundExport, since: Instant) {
    let (done, all) = export.progress();
    let fraction = done as f32 / all.max(1) as f32;
    progress_bar(ui, fraction, &frames_done(done, all, since.elapsed()));
    if ui.button("Cancel").on_hover_text("Esc").clicked() {
        export.cancel();
    }
}
