//! The card that saves what was played: as a recording, a GIF, a film or pictures.

use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui::{self, Align2, Key, ProgressBar, Rect, RichText, TextEdit, Ui};

use super::{cards, theme};
use crate::workspace::places::{folder_name, free_file};
use crate::workspace::{Export, Notify};
use crate::{Error, Result};
use driftless_data::{DatasetInfo, Episode};

/// What frames can become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Npz,
    Gif,
    Mp4,
    Png,
}

impl Format {
    const ALL: [Self; 4] = [Self::Npz, Self::Gif, Self::Mp4, Self::Png];

    fn label(self) -> &'static str {
        match self {
            Self::Npz => "recording",
            Self::Gif => "GIF",
            Self::Mp4 => "MP4",
            Self::Png => "PNGs",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Npz => {
                "An episode (.npz) of frames, actions and parameters, which `driftless replay` plays again."
            }
            Self::Gif => "A moving picture that every browser shows.",
            Self::Mp4 => "A film; needs ffmpeg.",
            Self::Png => "A folder with a picture of each frame.",
        }
    }

    /// The name with this format's ending.
    fn name(self, stem: &str) -> String {
        match self {
            Self::Npz => format!("{stem}.npz"),
            Self::Gif => format!("{stem}.gif"),
            Self::Mp4 => format!("{stem}.mp4"),
            // `free_file` counts up before the ending; a folder has none.
            Self::Png => format!("{stem}.frames"),
        }
    }
}

/// What became of it.
pub(super) enum Done {
    Saved(PathBuf),
    Failed(Error),
    Left,
}

/// Frames that wait for a format and a name.
pub(super) struct Saving {
    episode: Arc<Episode>,
    fps: f32,
    folder: PathBuf,
    stem: String,
    format: Format,
    scale: u32,
    notify: Notify,
    export: Option<Export>,
    /// Whether the card has not been drawn yet.
    fresh: bool,
}

impl Saving {
    /// Offers to save frames of a world into a folder.
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
            format: Format::default(),
            scale: 4,
            notify,
            export: None,
            fresh: true,
        }
    }

    /// The window closes: what is being written is given up, and nothing is left of it.
    pub fn end(self) {
        if let Some(export) = self.export {
            export.end();
        }
    }

    /// Gives up what is being written; whether there was something.
    pub fn cancel(&self) -> bool {
        self.export.iter().for_each(Export::cancel);
        self.export.is_some()
    }

    fn start(&mut self) -> Result<()> {
        let stem = folder_name(&self.stem)?;
        let path = free_file(&self.folder, &self.format.name(&stem))?;
        let (episode, notify) = (Arc::clone(&self.episode), Arc::clone(&self.notify));
        self.export = Some(Export::start(episode, path, self.scale, self.fps, notify)?);
        Ok(())
    }

    /// Draws the card in the middle of `space`.
    pub fn ui(&mut self, ui: &Ui, space: Rect) -> Option<Done> {
        if let Some(result) = self.export.as_mut().and_then(Export::finished) {
            self.export = None;
            match result {
                Ok(path) => return Some(Done::Saved(path)),
                Err(Error::Data(driftless_data::Error::Interrupted)) => {}
                Err(error) => return Some(Done::Failed(error)),
            }
        }
        let mut done = None;
        cards::over(ui, "saving", space.center(), Align2::CENTER_CENTER, |ui| {
            theme::card().show(ui, |ui| {
                ui.set_width((space.width() - 70.0).clamp(200.0, 380.0));
                let frames = self.episode.frames();
                let title = format!("Save {frames} frames");
                ui.label(RichText::new(title).heading().color(theme::text()));
                match &self.export {
                    Some(export) => progress(ui, export),
                    None => done = self.choose(ui),
                }
            });
        });
        done
    }

    fn choose(&mut self, ui: &mut Ui) -> Option<Done> {
        let since = "Everything from the last start to the frame on show.";
        ui.label(RichText::new(since).color(theme::muted()));
        let mut entered = false;
        ui.horizontal_wrapped(|ui| {
            for format in Format::ALL {
                ui.selectable_value(&mut self.format, format, format.label())
                    .on_hover_text(format.hint());
            }
        });
        ui.label(
            RichText::new(self.format.hint())
                .small()
                .color(theme::muted()),
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
        if self.format != Format::Npz {
            ui.horizontal(|ui| {
                let name = ui.label("Enlarged");
                let slider = egui::Slider::new(&mut self.scale, 1..=12).suffix(" times");
                ui.add(slider).labelled_by(name.id);
            });
        }
        let folder = format!("in {}", self.folder.display());
        ui.label(RichText::new(folder).small().color(theme::muted()));
        let mut done = None;
        ui.horizontal(|ui| {
            let text = RichText::new("Save").color(theme::on_accent()).strong();
            let save = egui::Button::new(text).fill(theme::accent());
            if (ui.add_sized([110.0, 30.0], save).clicked() || entered)
                && let Err(error) = self.start()
            {
                done = Some(Done::Failed(error));
            }
            let cancel = egui::Button::new("Cancel");
            if ui.add_sized([90.0, 30.0], cancel).clicked() {
                done = Some(Done::Left);
            }
        });
        done
    }
}

fn progress(ui: &mut Ui, export: &Export) {
    let (done, all) = export.progress();
    let share = done as f32 / all.max(1) as f32;
    ui.add(ProgressBar::new(share).text(format!("{done} of {all} frames")));
    if ui.button("Cancel").clicked() {
        export.cancel();
    }
}
