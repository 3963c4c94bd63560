//! What is trained, and how: name, sizes, time.

use std::path::{Path, PathBuf};

use eframe::egui::{self, DragValue, RichText, Ui};

use super::Wish;
use super::widgets::{self, PathField, Wanted, card, failure, primary, title};
use crate::Result;
use crate::app::theme;
use crate::workspace::{Notify, Task, training};
use driftless_data::PathError as _;
use driftless_data::info;
use driftless_data::info::{DatasetSummary, Info};
use driftless_train::{Preset, Settings};

/// The presets, with what each is for.
const PRESETS: [(Preset, &str, &str); 3] = [
    (
        Preset::Tiny,
        "tiny",
        "1.2 million parameters. For a processor: the first pictures after minutes, a good world after hours.",
    ),
    (
        Preset::Small,
        "small",
        "12 million parameters, twice the context. For a small graphics card.",
    ),
    (
        Preset::Base,
        "base",
        "60 million parameters, four times the context. For a large graphics card.",
    ),
];

/// What a person has chosen.
#[derive(Debug)]
pub(super) struct Start {
    pub name: String,
    pub minutes: Option<f64>,
    data: PathBuf,
    preset: Preset,
    settings: Option<PathBuf>,
}

impl Start {
    /// The run, in this folder.
    pub fn plan(&self, folder: PathBuf) -> training::Plan {
        training::Plan {
            name: self.name.clone(),
            data: self.data.clone(),
            folder,
            preset: self.preset,
            settings: self.settings.clone(),
        }
    }
}

/// What is known of the dataset.
enum Known {
    Reading(Task<DatasetSummary>),
    Summary(DatasetSummary),
    Broken(String),
}

/// The step.
pub(super) struct Setup {
    data: PathBuf,
    known: Known,
    name: String,
    preset: Preset,
    limited: bool,
    minutes: f64,
    settings: PathField,
}

impl Setup {
    /// Begins to read the dataset in a folder.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(data: PathBuf, settings: Option<&Path>, notify: &Notify) -> Result<Self> {
        let folder = data.clone();
        let task = Task::start(notify.clone(), move |_| match info::describe(&folder)? {
            Info::Dataset(summary) => Ok(summary),
            Info::Episode(_) => Err(crate::Error::invalid(
                &folder,
                "is a single episode, expected a folder with dataset.json",
            )),
        })?;
        let mut field = PathField::new(Wanted::File, "settings of your own (TOML); optional");
        if let Some(path) = settings {
            field.text = path.to_string_lossy().into_owned();
        }
        let name = data.file_name().unwrap_or_default();
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            data,
            known: Known::Reading(task),
            preset: Preset::Tiny,
            limited: false,
            minutes: 60.0,
            settings: field,
        })
    }

    pub fn listen(&mut self) {
        self.settings.listen();
        if let Known::Reading(task) = &self.known {
            match task.take() {
                Some(Ok(summary)) => self.known = Known::Summary(summary),
                Some(Err(error)) => self.known = Known::Broken(error.to_string()),
                None => {}
            }
        }
    }

    /// What keeps the training from beginning, if anything.
    fn obstacle(&self) -> Option<String> {
        let Known::Summary(summary) = &self.known else {
            return Some(String::new());
        };
        // Only the sizes of a preset are known here.
        let needed = Settings::preset(self.preset).dynamics_shape.context;
        let longest = summary.episode_frames[1];
        if self.settings.path().is_none() && longest < needed {
            return Some(format!(
                "The longest episode has {longest} frames, and this preset looks back on {needed}: record a longer one."
            ));
        }
        if self.name.trim().is_empty() {
            return Some("The world needs a name.".into());
        }
        None
    }

    fn start(&self) -> Wish {
        Wish::Start(Box::new(Start {
            name: self.name.trim().to_owned(),
            minutes: self.limited.then_some(self.minutes),
            data: self.data.clone(),
            preset: self.preset,
            settings: self.settings.path(),
        }))
    }

    pub fn enter(&mut self) -> Option<Wish> {
        self.obstacle().is_none().then(|| self.start())
    }

    pub fn ui(&mut self, ui: &mut Ui, notify: &Notify) -> Option<Wish> {
        let source = match &self.known {
            Known::Broken(what) => {
                failure(ui, "This dataset cannot be used", what, "Another source")
            }
            Known::Reading(_) => card(ui, |ui| {
                ui.horizontal(|ui| {
                    widgets::working(ui);
                    ui.label(RichText::new("Reading the dataset …").color(theme::muted()));
                });
                false
            }),
            Known::Summary(summary) => card(ui, |ui| {
                described(ui, summary, &self.data);
                ui.button("Another source").clicked()
            }),
        };
        if source {
            return Some(Wish::Source);
        }
        card(ui, |ui| self.choices(ui, notify))
    }

    fn choices(&mut self, ui: &mut Ui, notify: &Notify) -> Option<Wish> {
        title(
            ui,
            "Training",
            "It runs beside the window; you can play, and try the world, meanwhile.",
        );
        widgets::named(ui, "Name", |ui| {
            ui.add(egui::TextEdit::singleline(&mut self.name).desired_width(260.0));
        });
        for (i, (preset, word, about)) in PRESETS.into_iter().enumerate() {
            widgets::named(ui, if i == 0 { "Preset" } else { "" }, |ui| {
                let width = ui.available_width();
                ui.scope(|ui| {
                    ui.set_width(64.0);
                    ui.radio_value(&mut self.preset, preset, word);
                });
                ui.scope(|ui| {
                    ui.set_max_width(width - 80.0);
                    ui.add(egui::Label::new(RichText::new(about).color(theme::muted())).wrap());
                });
            });
        }
        widgets::named(ui, "Time", |ui| {
            ui.checkbox(&mut self.limited, "stop and save after");
            let minutes = DragValue::new(&mut self.minutes)
                .range(1.0..=100_000.0)
                .max_decimals(0)
                .suffix(" min");
            ui.add_enabled(self.limited, minutes);
        });
        let mut wish = None;
        widgets::named(ui, "Settings", |ui| {
            wish = self
                .settings
                .ui(ui, 0.0, notify)
                .err()
                .map(|error| Wish::Failed {
                    what: "No dialog opens; the path can be typed",
                    error,
                });
        });
        let obstacle = self.obstacle();
        ui.horizontal(|ui| {
            let button = primary(ui, "Start training", obstacle.is_none());
            if button.on_hover_text("Enter").clicked() {
                wish = Some(self.start());
            }
            if let Some(what) = obstacle.filter(|what| !what.is_empty()) {
                ui.add(egui::Label::new(RichText::new(what).color(theme::alert())).wrap());
            }
        });
        wish
    }
}

/// What `driftless info` says of a dataset.
fn described(ui: &mut Ui, summary: &DatasetSummary, folder: &Path) {
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
            format!("{} of {shortest} to {longest} frames", summary.episodes),
        ),
        ("Size", format!("{height}×{width} at {} frames/s", info.fps)),
        ("Actions", actions(summary)),
    ];
    for (name, value) in rows {
        widgets::named(ui, name, |ui| {
            ui.add(egui::Label::new(RichText::new(value).color(theme::text())).wrap());
        });
    }
}

/// Each action with the share of the frames under it.
fn actions(summary: &DatasetSummary) -> String {
    let all: usize = summary.action_counts.iter().sum();
    let share = |(action, count): (&driftless_data::ActionSpec, &usize)| {
        let percent = 100.0 * *count as f64 / all.max(1) as f64;
        format!("{}\u{a0}{percent:.0}\u{a0}%", action.name)
    };
    let shares = summary.info.actions.iter().zip(&summary.action_counts);
    shares.map(share).collect::<Vec<_>>().join("  ·  ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use driftless_worlds::record::{Plan, record};
    use driftless_worlds::{Kind, Policy};

    fn setup(episode_frames: usize) -> (tempfile::TempDir, Setup) {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("maze");
        let plan = Plan {
            world: Kind::Maze,
            policy: Policy::Random,
            seed: 1,
            world_seed: None,
            frames: 30,
            episode_frames,
        };
        record(&plan, &data, &|_| {}).unwrap();
        let notify: Notify = Arc::new(|| {});
        let mut setup = Setup::new(data, None, &notify).unwrap();
        while matches!(setup.known, Known::Reading(_)) {
            setup.listen();
            std::thread::yield_now();
        }
        (folder, setup)
    }

    #[test]
    fn a_dataset_with_a_long_episode_can_be_trained_from_at_once() {
        let (_folder, mut setup) = setup(30);
        let Some(Wish::Start(start)) = setup.enter() else {
            panic!("not ready");
        };
        assert_eq!((start.name.as_str(), start.minutes), ("maze", None));
    }

    #[test]
    fn what_is_missing_is_said_before_training_begins() {
        let (_folder, mut setup) = setup(6);
        assert!(setup.enter().is_none());
        let said = setup.obstacle().unwrap();
        assert!(said.contains("6 frames") && said.contains("12"), "{said}");
    }
}
