//! The training step: progress, loss, preview, and controls.

use std::sync::Arc;
use std::time::Duration;

use eframe::egui;
use eframe::egui::{Color32, ColorImage, Image, RichText, TextureHandle, TextureOptions, Ui, vec2};

use super::action::{PageRequest, StepAction};
use super::widgets::{card, failure, primary, title};
use super::{plot, widgets};
use crate::Result;
use crate::app::theme;
use crate::app::theme::Palette;
use crate::app::widgets::progress_bar;
use crate::workspace::background_run::{PreviewImage, RunState, RunView};
use crate::workspace::progress::{RunProgress, StageProgress, format_duration};
use crate::workspace::{BackgroundRun, BackgroundTask, Notify, UserPaths, save};

/// Below this width in points, everything is in one column.
const TWO_COLUMNS: f32 = 720.0;
/// Height of the loss plot, and maximum height of the preview, in points.
const CURVE: f32 = 190.0;
const PREVIEW: f32 = 460.0;

/// The state of saving the world.
enum SaveState {
    Idle,
    Running(BackgroundTask<std::path::PathBuf>),
    Saved(std::path::PathBuf),
}

/// The training step.
pub(super) struct TrainingStep {
    pub run: BackgroundRun,
    name: String,
    saving: SaveState,
    /// Why saving failed, if it did.
    refused: Option<String>,
    preview: Option<(String, TextureHandle)>,
}

impl TrainingStep {
    pub fn new(run: BackgroundRun) -> Self {
        Self {
            name: run.name().to_owned(),
            run,
            saving: SaveState::Idle,
            refused: None,
            preview: None,
        }
    }

    pub fn poll(&mut self) {
        if let SaveState::Running(task) = &self.saving {
            match task.take() {
                Some(Ok(folder)) => self.saving = SaveState::Saved(folder),
                Some(Err(error)) => {
                    self.saving = SaveState::Idle;
                    self.refused = Some(error.to_string());
                }
                None => {}
            }
        }
    }

    /// Handles Enter: plays the world as trained so far.
    pub fn enter(&mut self) -> Option<StepAction> {
        let saved = self.run.view().saved;
        saved.map(|_| StepAction::Request(PageRequest::Try(self.run.checkpoint())))
    }

    pub fn ui(
        &mut self,
        ui: &mut Ui,
        places: Result<UserPaths>,
        notify: &Notify,
    ) -> Option<StepAction> {
        // A copy, so that the run's thread never waits for drawing.
        let view = self.run.view().clone();
        if let RunState::Failed(what) = &view.state
            && failure(ui, "Training failed", what, "Back to settings")
        {
            return Some(StepAction::Data(self.run.data().to_path_buf()));
        }
        let mut action = card(ui, |ui| self.head(ui, &view));
        if view.saved.is_some() {
            let saved = card(ui, |ui| self.save(ui, places, notify));
            action = action.or(saved);
        }
        if ui.available_width() < TWO_COLUMNS {
            card(ui, |ui| progress_rows(ui, &view));
            card(ui, |ui| curve(ui, &view.progress));
        } else {
            ui.columns(2, |columns| {
                card(&mut columns[0], |ui| {
                    ui.set_min_height(CURVE + 30.0);
                    progress_rows(ui, &view);
                });
                card(&mut columns[1], |ui| {
                    ui.set_min_height(CURVE + 30.0);
                    curve(ui, &view.progress);
                });
            });
        }
        card(ui, |ui| self.preview(ui, view.preview.as_ref()));
        action
    }

    /// Draws the name, the state and the buttons.
    fn head(&mut self, ui: &mut Ui, view: &RunView) -> Option<StepAction> {
        let mut action = None;
        title(
            ui,
            self.run.name(),
            &self.run.folder().display().to_string(),
        );
        let complete = view.progress.is_complete();
        let (label, colour) = state_label(theme::palette(ui), &view.state, complete);
        ui.horizontal_wrapped(|ui| {
            let play = primary(ui, "Play now", view.saved.is_some());
            let hint = "Enter: play the world as trained so far; training continues";
            let early = "Available once the dynamics network has been saved for the first time";
            let play = play.on_hover_text(hint).on_disabled_hover_text(early);
            if play.clicked() {
                action = Some(StepAction::Request(PageRequest::Try(self.run.checkpoint())));
            }
            match &view.state {
                RunState::Running => {
                    let stop = ui
                        .button("Stop")
                        .on_hover_text("Save and stop; training can be resumed later");
                    if stop.clicked() {
                        self.run.request_stop();
                    }
                }
                RunState::Stopping => {
                    ui.add_enabled(false, egui::Button::new("Stop"));
                }
                RunState::Stopped | RunState::Failed(_) => {
                    if !complete && ui.button("Resume").clicked() {
                        self.run.resume(None);
                    }
                    if ui.button("New world").clicked() {
                        action = Some(StepAction::Source);
                    }
                }
            }
            ui.add_space(8.0);
            if matches!(view.state, RunState::Running | RunState::Stopping) {
                widgets::activity(ui);
            }
            ui.label(RichText::new(label).color(colour));
        });
        action
    }

    /// Saves the world as trained so far under the name in the field.
    pub fn save_as(&mut self, places: Result<UserPaths>, notify: &Notify) {
        if matches!(self.saving, SaveState::Running(_)) || self.run.view().saved.is_none() {
            return;
        }
        self.refused = None;
        let (from, name) = (self.run.checkpoint(), self.name.clone());
        let started = places.and_then(|places| {
            BackgroundTask::start(notify.clone(), move |_| {
                save::save_as(&from, &places, &name)
            })
        });
        match started {
            Ok(task) => self.saving = SaveState::Running(task),
            Err(error) => self.refused = Some(error.to_string()),
        }
    }

    fn save(
        &mut self,
        ui: &mut Ui,
        places: Result<UserPaths>,
        notify: &Notify,
    ) -> Option<StepAction> {
        let mut action = None;
        widgets::labelled(ui, "Save as", |ui| {
            let edit = egui::TextEdit::singleline(&mut self.name).desired_width(220.0);
            ui.add(edit);
            let idle = !matches!(self.saving, SaveState::Running(_));
            let button = ui.add_enabled(idle, egui::Button::new("Save"));
            if button
                .on_hover_text("S: save a copy that further training does not change")
                .clicked()
            {
                self.save_as(places, notify);
            }
        });
        if let Some(why) = &self.refused {
            ui.label(RichText::new(why).color(theme::palette(ui).alert));
        } else if let SaveState::Saved(folder) = &self.saving {
            ui.horizontal_wrapped(|ui| {
                let text = format!("Saved as {}", folder.display());
                ui.label(RichText::new(text).color(theme::palette(ui).accent));
                if ui.button("Play saved world").clicked() {
                    action = Some(StepAction::Request(PageRequest::Play(folder.clone())));
                }
            });
        }
        action
    }

    pub fn drop_textures(&mut self) {
        self.preview = None;
    }

    fn preview(&mut self, ui: &mut Ui, preview: Option<&Arc<PreviewImage>>) {
        let Some(preview) = preview else {
            let about =
                "Real frames above the network's output; appears a few minutes after the start.";
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
        title(ui, &headline(&preview.name), description(&preview.name));
        if let Some((_, texture)) = &self.preview {
            let [width, height] = preview.size.map(|side| side.max(1) as f32);
            let scale = (ui.available_width() / width).min(PREVIEW / height);
            let size = vec2(width, height) * scale;
            ui.add(Image::new((texture.id(), size)).corner_radius(4));
        }
    }
}

/// The state's label and colour.
fn state_label(palette: &Palette, state: &RunState, complete: bool) -> (&'static str, Color32) {
    match state {
        RunState::Running => ("Training", palette.accent),
        RunState::Stopping => ("Saving and stopping…", palette.muted),
        RunState::Stopped if complete => ("Done", palette.accent),
        RunState::Stopped => ("Stopped; can be resumed", palette.muted),
        RunState::Failed(_) => ("Failed; saved progress is kept", palette.alert),
    }
}

/// `dynamics-000300` as `PreviewImage: dynamics after 300 steps`.
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

fn description(name: &str) -> &'static str {
    if name.starts_with("dynamics") {
        "Rows of real frames, each above the model's predictions under the same actions."
    } else {
        "Rows of real frames, each above its reconstruction by the tokenizer."
    }
}

fn curve(ui: &mut Ui, progress: &RunProgress) {
    title(ui, "Loss", "");
    plot::loss(ui, progress, CURVE);
}

fn progress_rows(ui: &mut Ui, view: &RunView) {
    let running = view.state == RunState::Running;
    title(ui, "Progress", "");
    for stage in &view.progress.stages {
        bar(ui, stage);
    }
    let current = view.progress.current_stage();
    let last = current.entries.last();
    let figure = |value: Option<String>| value.unwrap_or_else(|| "–".into());
    let rows = [
        (
            "Loss",
            figure(last.map(|entry| format!("{:.4}", entry.loss))),
        ),
        (
            "Speed",
            figure(
                last.filter(|_| running)
                    .map(|e| format!("{:.0} frames/s", e.frames_per_s)),
            ),
        ),
        (
            "Time left",
            figure(time_left(&view.progress).filter(|_| running)),
        ),
        ("Playable", playable(view)),
        (
            "Last save",
            figure(
                view.saved
                    .and_then(|saved| saved.elapsed().ok())
                    .map(|age| format!("{} ago", format_duration(age))),
            ),
        ),
    ];
    for (name, value) in rows {
        widgets::labelled(ui, name, |ui| {
            ui.label(
                RichText::new(value)
                    .monospace()
                    .size(13.0)
                    .color(theme::palette(ui).text),
            );
        });
    }
    ui.request_repaint_after(Duration::from_secs(1));
}

/// Draws a stage's name, progress bar and steps.
fn bar(ui: &mut Ui, stage: &StageProgress) {
    let done = if stage.is_complete() {
        stage.steps
    } else {
        stage.steps_done()
    };
    let fraction = done as f32 / stage.steps.max(1) as f32;
    widgets::labelled(ui, stage.stage.name(), |ui| {
        let text = format!("{done} / {}", stage.steps);
        progress_bar(ui, fraction, &text);
    });
}

/// When the world can be played.
fn playable(view: &RunView) -> String {
    match (view.saved, &view.state) {
        (Some(_), _) => "now".into(),
        (None, RunState::Running) => match view.progress.time_to_playable() {
            Some(left) if left.is_zero() => "soon".into(),
            Some(left) => format!("in about {}", format_duration(left)),
            None => "–".into(),
        },
        (None, _) => "not yet".into(),
    }
}

/// The remaining time. A network's speed is known only once its training has started.
fn time_left(progress: &RunProgress) -> Option<String> {
    if let Some(left) = progress.time_left() {
        return Some(format_duration(left));
    }
    let current = progress.current_stage();
    let left = format_duration(current.time_left()?);
    let [tokenizer, dynamics] = &progress.stages;
    let is_known = |stage: &StageProgress| stage.is_complete() || stage.time_left().is_some();
    Some(match (is_known(tokenizer), is_known(dynamics)) {
        (true, false) => format!("{left}, then the dynamics"),
        _ => left,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preview_name_gives_headline() {
        assert_eq!(
            headline("dynamics-000300"),
            "Preview: dynamics after 300 steps"
        );
        assert_eq!(
            headline("tokenizer-000000"),
            "Preview: tokenizer after 0 steps"
        );
        assert_ne!(description("dynamics-1"), description("tokenizer-1"));
    }

    #[test]
    fn states_have_distinct_labels() {
        let failed = RunState::Failed("x".into());
        let states = [
            RunState::Running,
            RunState::Stopping,
            RunState::Stopped,
            failed,
        ];
        let mut words: Vec<_> = states
            .iter()
            .map(|state| state_label(&theme::DARK, state, false).0)
            .collect();
        words.push(state_label(&theme::DARK, &RunState::Stopped, true).0);
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 5);
    }
}
