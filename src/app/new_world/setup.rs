//! The settings step: name, model size, training time.

use std::path::{Path, PathBuf};

use eframe::egui;
use eframe::egui::{DragValue, RichText, Ui};

use driftless_data::info::{DataSummary, DatasetSummary};
use driftless_data::layout::dataset;
use driftless_data::{PathError as _, info};
use driftless_train::{PresetChoice, TrainPreset, TrainSettings};

use super::action::StepAction;
use super::data_check::{self, ImageStats};
use super::training_request::TrainingRequest;
use super::widgets;
use super::widgets::{card, failure, primary, title};
use crate::Result;
use crate::app::path_field::{PathField, PathKind};
use crate::app::theme;
use crate::app::widgets::{checkbox, outlined};
use crate::workspace::{BackgroundTask, Notify};

/// The presets and their descriptions.
const PRESETS: [(TrainPreset, &str, &str); 4] = [
    (
        TrainPreset::Tiny,
        "tiny",
        "1.2 million parameters. For a CPU: first images after minutes, a good world after hours.",
    ),
    (
        TrainPreset::Fine,
        "fine",
        "As tiny, with patches of 4 pixels: for small things in front of scenes that change.",
    ),
    (
        TrainPreset::Small,
        "small",
        "12 million parameters, twice the context. For a small GPU.",
    ),
    (
        TrainPreset::Base,
        "base",
        "60 million parameters, four times the context. For a large GPU.",
    ),
];

/// The state of reading the dataset.
enum DatasetState {
    Reading(BackgroundTask<(DatasetSummary, ImageStats, PresetChoice)>),
    Summary(DatasetSummary, ImageStats),
    Broken(String),
}

/// The settings step.
pub(super) struct SetupStep {
    data: PathBuf,
    dataset: DatasetState,
    name: String,
    preset: TrainPreset,
    /// Why this preset, once the dataset is read.
    choice: Option<PresetChoice>,
    limited: bool,
    minutes: f64,
    playable_early: bool,
    settings: PathField,
}

impl SetupStep {
    /// Starts reading the dataset in a folder.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn new(data: PathBuf, settings: Option<&Path>, notify: &Notify) -> Result<Self> {
        let folder = data.clone();
        let task =
            BackgroundTask::start(notify.clone(), move |_| match info::summarize(&folder)? {
                DataSummary::Dataset(summary) => {
                    let pictures = ImageStats::of(&folder, &summary.info)?;
                    let choice = PresetChoice::of(&folder, &summary.info)?;
                    Ok((summary, pictures, choice))
                }
                DataSummary::Episode(_) => Err(crate::Error::invalid(
                    &folder,
                    format!(
                        "is a single episode, expected a folder with {}",
                        dataset::INFO
                    ),
                )),
            })?;
        let mut field = PathField::new(PathKind::File, "your own settings (TOML), optional");
        if let Some(path) = settings {
            field.text = path.to_string_lossy().into_owned();
        }
        let name = data.file_name().unwrap_or_default();
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            data,
            dataset: DatasetState::Reading(task),
            preset: TrainPreset::Tiny,
            choice: None,
            limited: false,
            minutes: 60.0,
            playable_early: true,
            settings: field,
        })
    }

    pub fn poll(&mut self) {
        self.settings.poll();
        if let DatasetState::Reading(task) = &self.dataset {
            match task.take() {
                Some(Ok((summary, pictures, choice))) => {
                    self.preset = choice.preset;
                    self.choice = Some(choice);
                    self.dataset = DatasetState::Summary(summary, pictures);
                }
                Some(Err(error)) => self.dataset = DatasetState::Broken(error.to_string()),
                None => {}
            }
        }
    }

    /// Why training cannot start yet, if so; empty while the dataset is being read.
    fn blocker(&self) -> Option<String> {
        let DatasetState::Summary(summary, _) = &self.dataset else {
            return Some(String::new());
        };
        // Only the presets' sizes are known here, not those of a settings file.
        let needed = TrainSettings::preset(self.preset).dynamics_shape.context;
        let longest = summary.episode_frames[1];
        if self.settings.path().is_none() && longest < needed {
            return Some(format!(
                "The longest episode has {longest} frames, but this preset needs {needed}: record a longer one."
            ));
        }
        if self.name.trim().is_empty() {
            return Some("Enter a name for the world.".into());
        }
        None
    }

    fn start(&self) -> StepAction {
        StepAction::Start(Box::new(TrainingRequest {
            name: self.name.trim().to_owned(),
            minutes: self.limited.then_some(self.minutes),
            data: self.data.clone(),
            preset: self.preset,
            settings: self.settings.path(),
            playable_early: self.playable_early,
        }))
    }

    pub fn enter(&mut self) -> Option<StepAction> {
        self.blocker().is_none().then(|| self.start())
    }

    pub fn ui(&mut self, ui: &mut Ui, notify: &Notify) -> Option<StepAction> {
        let source = match &self.dataset {
            DatasetState::Broken(what) => {
                failure(ui, "Cannot use this dataset", what, "Change source")
            }
            DatasetState::Reading(_) => card(ui, |ui| {
                ui.horizontal(|ui| {
                    widgets::activity(ui);
                    ui.label(RichText::new("Reading the dataset…").color(theme::palette(ui).muted));
                });
                false
            }),
            DatasetState::Summary(summary, pictures) => card(ui, |ui| {
                dataset_summary(ui, summary, &self.data);
                for warning in data_check::warnings(summary, *pictures) {
                    let text = RichText::new(format!("! {warning}"));
                    let text = text.color(theme::palette(ui).warm);
                    ui.add(egui::Label::new(text).wrap());
                }
                ui.button("Change source").clicked()
            }),
        };
        if source {
            return Some(StepAction::Source);
        }
        card(ui, |ui| self.choices(ui, notify))
    }

    fn presets(&mut self, ui: &mut Ui) {
        for (i, (preset, label, about)) in PRESETS.into_iter().enumerate() {
            widgets::labelled(ui, if i == 0 { "Preset" } else { "" }, |ui| {
                let width = ui.available_width();
                outlined(ui, |ui| {
                    ui.set_width(64.0);
                    ui.radio_value(&mut self.preset, preset, label);
                });
                ui.scope(|ui| {
                    ui.set_max_width(width - 80.0);
                    ui.add(
                        egui::Label::new(RichText::new(about).color(theme::palette(ui).muted))
                            .wrap(),
                    );
                });
            });
        }
        if let Some(choice) = &self.choice {
            let text = RichText::new(format!("Chosen for this dataset: {choice}."));
            let text = text.color(theme::palette(ui).muted);
            widgets::labelled(ui, "", |ui| ui.add(egui::Label::new(text).wrap()));
        }
    }

    fn choices(&mut self, ui: &mut Ui, notify: &Notify) -> Option<StepAction> {
        title(
            ui,
            "Training",
            "Runs in the background; you can keep playing, and play the new world as it trains.",
        );
        widgets::labelled(ui, "Name", |ui| {
            ui.add(egui::TextEdit::singleline(&mut self.name).desired_width(260.0));
        });
        self.presets(ui);
        widgets::labelled(ui, "Time limit", |ui| {
            checkbox(ui, &mut self.limited, "Stop and save after");
            let minutes = DragValue::new(&mut self.minutes)
                .range(1.0..=100_000.0)
                .max_decimals(0)
                .suffix(" min");
            ui.add_enabled(self.limited, minutes);
        });
        widgets::labelled(ui, "Order", |ui| {
            checkbox(ui, &mut self.playable_early, "Playable early")
                .on_hover_text(
                    "Both networks take turns: you can play a first version after some minutes, and it gets \
                     sharper. The finished world is the same.",
                );
        });
        let mut action = None;
        widgets::labelled(ui, "Settings", |ui| {
            action = self
                .settings
                .ui(ui, 0.0, notify)
                .err()
                .map(|error| StepAction::Failed {
                    what: "Cannot open a file dialog; type the path instead",
                    error,
                });
        });
        let blocker = self.blocker();
        ui.horizontal(|ui| {
            let button = primary(ui, "Start training", blocker.is_none());
            if button.on_hover_text("Enter").clicked() {
                action = Some(self.start());
            }
            if let Some(what) = blocker.filter(|what| !what.is_empty()) {
                ui.add(
                    egui::Label::new(RichText::new(what).color(theme::palette(ui).alert)).wrap(),
                );
            }
        });
        action
    }
}

/// Draws the dataset's summary, as in `driftless info`.
fn dataset_summary(ui: &mut Ui, summary: &DatasetSummary, folder: &Path) {
    let info = &summary.info;
    let [height, width] = info.image;
    let minutes = summary.frames as f64 / f64::from(info.fps) / 60.0;
    let [shortest, longest] = summary.episode_frames;
    title(ui, &info.name, &folder.display().to_string());
    let rows = [
        (
            "Frames",
            format!("{} ({minutes:.1} min of play)", summary.frames),
        ),
        (
            "Episodes",
            episodes_text(summary.episodes, shortest, longest),
        ),
        (
            "Frame size",
            format!("{width}×{height} at {} FPS", info.fps),
        ),
        ("Actions", actions(summary)),
    ];
    for (name, value) in rows {
        widgets::labelled(ui, name, |ui| {
            ui.add(egui::Label::new(RichText::new(value).color(theme::palette(ui).text)).wrap());
        });
    }
}

/// `1 episode, 149 frames` or `3 episodes, 20 to 149 frames each`.
fn episodes_text(episodes: usize, shortest: usize, longest: usize) -> String {
    match episodes {
        1 => format!("1 episode, {longest} frames"),
        _ if shortest == longest => format!("{episodes} episodes, {longest} frames each"),
        _ => format!("{episodes} episodes, {shortest} to {longest} frames each"),
    }
}

/// Each action with its share of the frames, and the axes.
fn actions(summary: &DatasetSummary) -> String {
    let all: usize = summary.action_counts.iter().sum();
    let with_share = |(action, count): (&driftless_data::ActionSpec, &usize)| {
        let percent = 100.0 * *count as f64 / all.max(1) as f64;
        format!("{}\u{a0}{percent:.0}\u{a0}%", action.name)
    };
    let shares = summary.info.actions.iter().zip(&summary.action_counts);
    let axes = summary.info.axes.iter().map(|axis| axis.name.clone());
    let all = shares.map(with_share).chain(axes);
    all.collect::<Vec<_>>().join("  ·  ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use driftless_worlds::record::{RecordingPlan, record};
    use driftless_worlds::{Policy, SimulatorKind};

    fn setup(episode_frames: usize) -> (tempfile::TempDir, SetupStep) {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("maze");
        let plan = RecordingPlan {
            world: SimulatorKind::Maze,
            policy: Policy::Random,
            seed: 1,
            world_seed: None,
            frames: 30,
            episode_frames,
        };
        record(&plan, &data, &|_| true).unwrap();
        let notify: Notify = Arc::new(|| {});
        let mut setup = SetupStep::new(data, None, &notify).unwrap();
        while matches!(setup.dataset, DatasetState::Reading(_)) {
            setup.poll();
            std::thread::yield_now();
        }
        (folder, setup)
    }

    #[test]
    fn long_episode_can_be_trained() {
        let (_folder, mut setup) = setup(30);
        let Some(StepAction::Start(start)) = setup.enter() else {
            panic!("not ready");
        };
        assert_eq!((start.name.as_str(), start.minutes), ("maze", None));
    }

    #[test]
    fn short_episodes_are_refused() {
        let (_folder, mut setup) = setup(6);
        assert!(setup.enter().is_none());
        let message = setup.blocker().unwrap();
        assert!(
            message.contains("6 frames") && message.contains("12"),
            "{message}"
        );
    }
}
