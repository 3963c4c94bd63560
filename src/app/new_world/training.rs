//! The training as it goes: figures, curve, preview, and what a person can do.

use std::sync::Arc;
use std::time::Duration;

use eframe::egui::{
    self, Color32, ColorImage, Image, ProgressBar, RichText, TextureHandle, TextureOptions, Ui,
    vec2,
};

use super::widgets::{self, card, failure, primary, title};
use super::{Ask, Wish, plot};
use crate::Result;
use crate::app::theme;
use crate::workspace::progress::{Progress, Stage, spoken};
use crate::workspace::training::{Preview, State, View};
use crate::workspace::{Notify, Places, Task, Training, save};

/// Below this width everything lies in one column.
const TWO_COLUMNS: f32 = 720.0;
/// Height of the curve, and of the preview at most.
const CURVE: f32 = 190.0;
const PREVIEW: f32 = 460.0;

/// What became of saving.
enum Saving {
    Not,
    Running(Task<std::path::PathBuf>),
    Saved(std::path::PathBuf),
}

/// The step.
pub(super) struct Watch {
    pub run: Training,
    name: String,
    saving: Saving,
    /// Why saving failed, if it did.
    refused: Option<String>,
    preview: Option<(String, TextureHandle)>,
}

impl Watch {
    pub fn new(run: Training) -> Self {
        Self {
            name: run.name().to_owned(),
            run,
            saving: Saving::Not,
            refused: None,
            preview: None,
        }
    }

    pub fn listen(&mut self) {
        if let Saving::Running(task) = &self.saving {
            match task.take() {
                Some(Ok(folder)) => self.saving = Saving::Saved(folder),
                Some(Err(error)) => {
                    self.saving = Saving::Not;
                    self.refused = Some(error.to_string());
                }
                None => {}
            }
        }
    }

    /// Plays the world as it is.
    pub fn enter(&mut self) -> Option<Wish> {
        let saved = self.run.view().saved;
        saved.map(|_| Wish::Ask(Ask::Try(self.run.checkpoint())))
    }

    pub fn ui(&mut self, ui: &mut Ui, places: Result<Places>, notify: &Notify) -> Option<Wish> {
        // A copy, so that the run's thread never waits for the drawing.
        let view = self.run.view().clone();
        if let State::Failed(what) = &view.state
            && failure(ui, "Training failed", what, "Back to the settings")
        {
            return Some(Wish::Data(self.run.data().to_path_buf()));
        }
        let mut wish = card(ui, |ui| self.head(ui, &view));
        if view.saved.is_some() {
            let saved = card(ui, |ui| self.save(ui, places, notify));
            wish = wish.or(saved);
        }
        if ui.available_width() < TWO_COLUMNS {
            card(ui, |ui| figures(ui, &view));
            card(ui, |ui| curve(ui, &view.progress));
        } else {
            ui.columns(2, |columns| {
                card(&mut columns[0], |ui| {
                    ui.set_min_height(CURVE + 30.0);
                    figures(ui, &view);
                });
                card(&mut columns[1], |ui| {
                    ui.set_min_height(CURVE + 30.0);
                    curve(ui, &view.progress);
                });
            });
        }
        card(ui, |ui| self.preview(ui, view.preview.as_ref()));
        wish
    }

    /// The name, the state, and the buttons.
    fn head(&mut self, ui: &mut Ui, view: &View) -> Option<Wish> {
        let mut wish = None;
        title(
            ui,
            self.run.name(),
            &self.run.folder().display().to_string(),
        );
        let complete = view.progress.complete();
        let (word, colour) = said(&view.state, complete);
        ui.horizontal_wrapped(|ui| {
            let play = primary(ui, "Play it now", view.saved.is_some());
            let hint = "Enter: as far as it is trained; training goes on";
            let early = "When the second network, the dynamics, has been saved for the first time";
            let play = play.on_hover_text(hint).on_disabled_hover_text(early);
            if play.clicked() {
                wish = Some(Wish::Ask(Ask::Try(self.run.checkpoint())));
            }
            match &view.state {
                State::Running => {
                    let stop = ui
                        .button("Stop")
                        .on_hover_text("Saves first; it can go on later");
                    if stop.clicked() {
                        self.run.stop();
                    }
                }
                State::Stopping => {
                    ui.add_enabled(false, egui::Button::new("Stop"));
                }
                State::Stopped | State::Failed(_) => {
                    if !complete && ui.button("Continue").clicked() {
                        self.run.go_on(None);
                    }
                    if ui.button("Another world").clicked() {
                        wish = Some(Wish::Source);
                    }
                }
            }
            ui.add_space(8.0);
            if matches!(view.state, State::Running | State::Stopping) {
                widgets::working(ui);
            }
            ui.label(RichText::new(word).color(colour));
        });
        wish
    }

    /// Saves the world as it is under the name in the field.
    pub fn save_as(&mut self, places: Result<Places>, notify: &Notify) {
        if matches!(self.saving, Saving::Running(_)) || self.run.view().saved.is_none() {
            return;
        }
        self.refused = None;
        let (from, name) = (self.run.checkpoint(), self.name.clone());
        let begun = places.and_then(|places| {
            Task::start(notify.clone(), move |_| {
                save::save_as(&from, &places, &name)
            })
        });
        match begun {
            Ok(task) => self.saving = Saving::Running(task),
            Err(error) => self.refused = Some(error.to_string()),
        }
    }

    fn save(&mut self, ui: &mut Ui, places: Result<Places>, notify: &Notify) -> Option<Wish> {
        let mut wish = None;
        widgets::named(ui, "Save as", |ui| {
            let edit = egui::TextEdit::singleline(&mut self.name).desired_width(220.0);
            ui.add(edit);
            let idle = !matches!(self.saving, Saving::Running(_));
            let button = ui.add_enabled(idle, egui::Button::new("Save"));
            if button
                .on_hover_text("S: a copy that further training leaves alone")
                .clicked()
            {
                self.save_as(places, notify);
            }
        });
        if let Some(why) = &self.refused {
            ui.label(RichText::new(why).color(theme::alert()));
        } else if let Saving::Saved(folder) = &self.saving {
            ui.horizontal_wrapped(|ui| {
                let text = format!("Saved: {}", folder.display());
                ui.label(RichText::new(text).color(theme::accent()));
                if ui.button("Play the saved world").clicked() {
                    wish = Some(Wish::Ask(Ask::Play(folder.clone())));
                }
            });
        }
        wish
    }

    pub fn forget_preview(&mut self) {
        self.preview = None;
    }

    fn preview(&mut self, ui: &mut Ui, preview: Option<&Arc<Preview>>) {
        let Some(preview) = preview else {
            let about =
                "Real frames above what the network makes of them, a few minutes after the start.";
            return title(ui, "Preview", about);
        };
        let shown = self.preview.as_ref().map(|(name, _)| name);
        if shown != Some(&preview.name) {
            let image = ColorImage::from_rgb(preview.size, &preview.rgb);
            let texture = ui
                .ctx()
                .load_texture("preview", image, TextureOptions::LINEAR);
            self.preview = Some((preview.name.clone(), texture));
        }
        title(ui, &headline(&preview.name), about(&preview.name));
        if let Some((_, texture)) = &self.preview {
            let [width, height] = preview.size.map(|side| side.max(1) as f32);
            let scale = (ui.available_width() / width).min(PREVIEW / height);
            let size = vec2(width, height) * scale;
            ui.add(Image::new((texture.id(), size)).corner_radius(4));
        }
    }
}

/// The state in words, and its colour.
fn said(state: &State, complete: bool) -> (&'static str, Color32) {
    match state {
        State::Running => ("training", theme::accent()),
        State::Stopping => ("saving and stopping …", theme::muted()),
        State::Stopped if complete => ("done", theme::accent()),
        State::Stopped => ("stopped; it can go on", theme::muted()),
        State::Failed(_) => ("failed; what was saved stays", theme::alert()),
    }
}

/// `dynamics-000300` as `Preview: dynamics after 300 steps`.
fn headline(name: &str) -> String {
    match name.rsplit_once('-') {
        Some((stage, step)) => {
            let step = step.trim_start_matches('0');
            let step = if step.is_empty() { "0" } else { step };
            format!("Preview: {stage} after {step} steps")
        }
        None => "Preview".into(),
    }
}

fn about(name: &str) -> &'static str {
    match name.starts_with("dynamics") {
        true => "Rows of real frames, each above what the world predicts under the same actions.",
        false => "Rows of real frames, each above what the tokenizer keeps of them.",
    }
}

fn curve(ui: &mut Ui, progress: &Progress) {
    title(ui, "Loss", "");
    plot::loss(ui, progress, CURVE);
}

fn figures(ui: &mut Ui, view: &View) {
    let running = view.state == State::Running;
    title(ui, "Progress", "");
    for stage in &view.progress.stages {
        bar(ui, stage);
    }
    let current = view.progress.current();
    let last = current.entries.last();
    let figure = |value: Option<String>| value.unwrap_or_else(|| "–".into());
    let rows = [
        (
            "Loss",
            figure(last.map(|entry| format!("{:.4}", entry.loss))),
        ),
        (
            "Pace",
            figure(
                last.filter(|_| running)
                    .map(|e| format!("{:.0} frames/s", e.frames_per_s)),
            ),
        ),
        (
            "Time left",
            figure(left(&view.progress).filter(|_| running)),
        ),
        (
            "Last save",
            figure(
                view.saved
                    .and_then(|saved| saved.elapsed().ok())
                    .map(|age| format!("{} ago", spoken(age))),
            ),
        ),
    ];
    for (name, value) in rows {
        widgets::named(ui, name, |ui| {
            ui.label(
                RichText::new(value)
                    .monospace()
                    .size(13.0)
                    .color(theme::text()),
            );
        });
    }
    ui.request_repaint_after(Duration::from_secs(1));
}

/// A stage's name, its bar, its steps.
fn bar(ui: &mut Ui, stage: &Stage) {
    let done = match stage.complete() {
        true => stage.steps,
        false => stage.done(),
    };
    let share = done as f32 / stage.steps.max(1) as f32;
    widgets::named(ui, stage.name, |ui| {
        let text = format!("{done} / {}", stage.steps);
        let colour = if share > 0.5 {
            theme::on_accent()
        } else {
            theme::text()
        };
        let bar = ProgressBar::new(share)
            .desired_height(18.0)
            .fill(theme::accent().gamma_multiply(0.8))
            .text(RichText::new(text).small().color(colour));
        ui.add(bar);
    });
}

/// What the log tells of the time that is left: the pace of a stage is known once it has begun.
fn left(progress: &Progress) -> Option<String> {
    let current = progress.current();
    let left = spoken(current.left()?);
    Some(match current.name {
        "tokenizer" => format!("{left}, then the dynamics"),
        _ => left,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_previews_name_tells_stage_and_step() {
        assert_eq!(
            headline("dynamics-000300"),
            "Preview: dynamics after 300 steps"
        );
        assert_eq!(
            headline("tokenizer-000000"),
            "Preview: tokenizer after 0 steps"
        );
        assert_ne!(about("dynamics-1"), about("tokenizer-1"));
    }

    #[test]
    fn each_state_has_its_words() {
        let failed = State::Failed("x".into());
        let states = [State::Running, State::Stopping, State::Stopped, failed];
        let mut words: Vec<_> = states.iter().map(|state| said(state, false).0).collect();
        words.push(said(&State::Stopped, true).0);
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 5);
    }
}
