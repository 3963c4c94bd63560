//! The side panel that turns the sampler, the seed, the pace and the picture while playing.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use eframe::egui::{self, Align, Layout, RichText, Ui};

use super::present::Scaling;
use super::presets::{Preset, Presets};
use super::{controls, theme};
use crate::engine::{Along, SamplerParams, Solver};
use crate::model::config::DynamicsConfig;
use crate::sim::{Command, FREE_SEEDS, Pace};

/// Everything that the panel turns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Sampler parameters; the seed counts when it is fixed.
    pub params: SamplerParams,
    /// Whether every reset draws a new seed.
    pub free_seed: bool,
    /// Whether a predicted end of the episode starts the context again.
    pub ends_restart: bool,
    /// Target frames a second.
    pub fps: f32,
    /// Whether the target is ignored.
    pub unlimited: bool,
    /// How the picture is scaled.
    pub scaling: Scaling,
}

impl Settings {
    /// The pace that the world-model thread should keep.
    pub fn pace(&self) -> Pace {
        if self.unlimited {
            Pace::Unlimited
        } else {
            Pace::Fps(self.fps)
        }
    }

    /// The commands that lead from `before` to these settings.
    pub fn commands_since(&self, before: &Self) -> Vec<Command> {
        let mut commands = Vec::new();
        // What does not go together is explained in the panel; the last good ones stay in force.
        if self.params != before.params && self.params.check().is_ok() {
            commands.push(Command::Params(self.params));
        }
        if self.free_seed != before.free_seed {
            commands.push(Command::FreeSeed(self.free_seed));
        }
        if self.ends_restart != before.ends_restart {
            commands.push(Command::EndsRestart(self.ends_restart));
        }
        if self.pace() != before.pace() {
            commands.push(Command::Pace(self.pace()));
        }
        commands
    }
}

/// What the world allows.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Sampler steps: powers of two up to the world's finest.
    pub steps: Vec<usize>,
    /// Frames that time attention may see.
    pub context: RangeInclusive<usize>,
    /// Whether the world knows frames of unknown actions, which guidance needs.
    pub guidance: bool,
    /// Whether the world predicts the end of an episode.
    pub ends: bool,
}

impl Limits {
    /// The limits of a world's dynamics.
    pub fn new(dynamics: &DynamicsConfig) -> Self {
        Self {
            steps: std::iter::successors(Some(1_usize), |steps| steps.checked_mul(2))
                .take_while(|steps| *steps <= dynamics.k_max)
                .collect(),
            context: (dynamics.stem_frames + 1)..=dynamics.context,
            guidance: dynamics.unknown_action,
            ends: dynamics.outcome > 0,
        }
    }
}

/// The panel.
pub(super) struct Tuning {
    /// What is set now.
    pub settings: Settings,
    defaults: Settings,
    /// None where nothing is sampled: a simulator has a seed and a pace alone.
    limits: Option<Limits>,
}

impl Tuning {
    pub fn new(settings: Settings, dynamics: Option<&DynamicsConfig>) -> Self {
        let limits = dynamics.map(Limits::new);
        let mut tuning = Self {
            defaults: settings,
            settings,
            limits,
        };
        tuning.fit();
        tuning.defaults = tuning.settings;
        tuning
    }

    /// Brings what comes from elsewhere into the world's limits.
    pub fn fit(&mut self) {
        if let Some(Limits { context, .. }) = &self.limits {
            let length = &mut self.settings.params.context;
            *length = (*length).clamp(*context.start(), *context.end());
        }
    }

    /// Scales the picture like this, and by default too.
    pub fn scale(&mut self, scaling: Scaling) {
        self.settings.scaling = scaling;
        self.defaults.scaling = scaling;
    }

    /// Draws the panel; `seed` is the one in use, `kept` a person's own presets.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        seed: u64,
        presets: &mut Presets,
        kept: &mut BTreeMap<String, Preset>,
    ) {
        ui.horizontal(|ui| {
            ui.label(RichText::new("Tuning").heading().color(theme::text()));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let changed = self.settings != self.defaults;
                let reset = ui.add_enabled(changed, egui::Button::new("Defaults"));
                if reset
                    .on_hover_text("Set everything back to how the window opened.")
                    .clicked()
                {
                    self.settings = self.defaults;
                }
            });
        });
        egui::ScrollArea::vertical().show(ui, |ui| {
            // Room for the scroll bar.
            ui.set_max_width(ui.available_width() - 10.0);
            if let Some(limits) = self.limits.clone() {
                self.sampler(ui, &limits);
            }
            self.seed(ui, seed);
            self.pace(ui);
            self.picture(ui);
            // A simulator samples nothing.
            if self.limits.is_some() && presets.ui(ui, kept, &mut self.settings) {
                self.fit();
            }
        });
    }

    fn sampler(&mut self, ui: &mut Ui, limits: &Limits) {
        section(ui, "Sampler");
        let (params, defaults) = (&mut self.settings.params, &self.defaults.params);
        // Above the controls, whose tooltips would cover it.
        if let Err(why) = params.check() {
            ui.label(RichText::new(format!("Not in force: {why}")).color(theme::alert()));
        }
        line(
            ui,
            "Solver",
            "Shortcut takes the K equal steps that the network was trained for. The others follow \
             its finest velocity; euler can also add noise, adaptive chooses its own steps.",
            &mut params.solver,
            defaults.solver,
            |ui, solver| menu(ui, "solver", solver, &Solver::ALL, |solver| solver.name()),
        );
        line(
            ui,
            "Path",
            "The way from noise to data that the solver follows: the world's own, or another one. \
             With many steps all lead to the same frame; with few they err otherwise.",
            &mut params.path,
            defaults.path,
            |ui, path| menu(ui, "path", path, &Along::ALL, |path| path.name()),
        );
        match params.solver {
            Solver::Adaptive => row(
                ui,
                "Tolerance",
                "Largest error of a step: smaller is exacter and slower.",
                &mut params.tolerance,
                defaults.tolerance,
                |ui, tolerance| {
                    slider_of(
                        ui,
                        egui::Slider::new(tolerance, 1e-3..=0.5)
                            .logarithmic(true)
                            .max_decimals(3),
                    );
                },
            ),
            _ => row(
                ui,
                "Steps K",
                "Steps for each frame: more is sharper and slower.",
                &mut params.steps,
                defaults.steps,
                |ui, steps| {
                    choices(ui, steps, &limits.steps, usize::to_string);
                    ui.add_space(2.0);
                    slider(ui, steps, 1..=64, 1.0);
                },
            ),
        }
        row(
            ui,
            "Grid shift",
            "Where the steps' levels lie: above 1 denser near the noise, below 1 near the data.",
            &mut params.shift,
            defaults.shift,
            |ui, shift| {
                slider_of(
                    ui,
                    egui::Slider::new(shift, 0.1..=10.0)
                        .logarithmic(true)
                        .max_decimals(2),
                );
            },
        );
        row(
            ui,
            "Churn",
            "Noise added between the steps: 0 follows the ODE, above it the SDE of the same frames.",
            &mut params.churn,
            defaults.churn,
            |ui, churn| slider(ui, churn, 0.0..=4.0, 0.05),
        );
        row(
            ui,
            "Context signal τ",
            "How clean finished frames are kept for the next ones: 1 is clean, lower forgives errors.",
            &mut params.context_signal,
            defaults.context_signal,
            |ui, signal| slider(ui, signal, 0.1..=1.0, 0.01),
        );
        let length = limits.context.clone();
        row(
            ui,
            "Context length",
            "Frames that the model looks back on, the current one included.",
            &mut params.context,
            defaults.context,
            |ui, context| slider(ui, context, length, 1.0),
        );
        row(
            ui,
            "Temperature",
            "Strength of the starting noise: 1 as in training, 0 always the same guess.",
            &mut params.temperature,
            defaults.temperature,
            |ui, temperature| slider(ui, temperature, 0.0..=2.0, 0.05),
        );
        if limits.guidance {
            row(
                ui,
                "Action guidance",
                "How much your keys count: 1 as trained, above it more, at twice the cost; 0 ignores them.",
                &mut params.guidance,
                defaults.guidance,
                |ui, guidance| slider(ui, guidance, 0.0..=4.0, 0.05),
            );
        }
        if limits.ends {
            line(
                ui,
                "At an end",
                "What happens when the world predicts that the episode is over.",
                &mut self.settings.ends_restart,
                self.defaults.ends_restart,
                |ui, restart| {
                    choices(ui, restart, &[true, false], |restart| {
                        if *restart { "start again" } else { "go on" }
                    });
                },
            );
        }
    }

    fn seed(&mut self, ui: &mut Ui, seed: u64) {
        section(ui, "Seed");
        line(
            ui,
            "Mode",
            "Fixed: a reset plays the same world again. Free: a new seed at each reset.",
            &mut self.settings.free_seed,
            self.defaults.free_seed,
            |ui, free| {
                choices(ui, free, &[false, true], |free| {
                    if *free { "free" } else { "fixed" }
                });
            },
        );
        if self.settings.free_seed {
            ui.horizontal(|ui| {
                ui.label(RichText::new("In use").color(theme::muted()));
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    if ui
                        .button("Keep")
                        .on_hover_text("Fix the seed in use.")
                        .clicked()
                    {
                        self.settings.params.seed = seed;
                        self.settings.free_seed = false;
                    }
                    ui.monospace(seed.to_string());
                });
            });
        } else {
            let range = 0..=(FREE_SEEDS - 1).max(self.defaults.params.seed);
            let hint = match self.limits {
                Some(_) => {
                    "The noise of frame n is drawn from this seed and n. Drag, or click to type."
                }
                None => "The world is made from this seed at the next reset.",
            };
            line(
                ui,
                "Number",
                hint,
                &mut self.settings.params.seed,
                self.defaults.params.seed,
                |ui, seed| {
                    let number = egui::DragValue::new(seed).range(range).speed(0.2);
                    ui.add_sized(ui.available_size(), number);
                },
            );
        }
    }

    fn pace(&mut self, ui: &mut Ui) {
        section(ui, "Pace");
        line(
            ui,
            "Speed",
            "Keep to a number of frames a second, or play as fast as the machine can.",
            &mut self.settings.unlimited,
            self.defaults.unlimited,
            |ui, unlimited| {
                choices(ui, unlimited, &[false, true], |unlimited| {
                    if *unlimited { "unlimited" } else { "paced" }
                });
            },
        );
        if !self.settings.unlimited {
            row(
                ui,
                "Frames a second",
                "The world's own pace is the default.",
                &mut self.settings.fps,
                self.defaults.fps,
                |ui, fps| slider(ui, fps, 1.0..=120.0, 1.0),
            );
        }
    }

    fn picture(&mut self, ui: &mut Ui) {
        section(ui, "Picture");
        row(
            ui,
            "Scaling",
            "Nearest and sharp keep the world's pixels; smooth hides them.",
            &mut self.settings.scaling,
            self.defaults.scaling,
            |ui, scaling| choices(ui, scaling, &Scaling::ALL, |scaling| scaling.label()),
        );
    }
}

/// Width of a control beside its label.
const BESIDE: f32 = 156.0;

pub(super) fn section(ui: &mut Ui, title: &str) {
    ui.add_space(10.0);
    ui.label(
        RichText::new(title.to_uppercase())
            .small()
            .strong()
            .color(theme::accent()),
    );
}

/// A label, and the control below it.
fn row<T: PartialEq + Copy>(
    ui: &mut Ui,
    label: &str,
    hint: &str,
    value: &mut T,
    default: T,
    control: impl FnOnce(&mut Ui, &mut T),
) {
    ui.horizontal(|ui| {
        ui.set_min_height(18.0);
        head(ui, label, hint, value, default);
    });
    let shown = ui.scope(|ui| control(ui, value)).response;
    shown.on_hover_text(hint);
}

/// A label, and a small control beside it.
fn line<T: PartialEq + Copy>(
    ui: &mut Ui,
    label: &str,
    hint: &str,
    value: &mut T,
    default: T,
    control: impl FnOnce(&mut Ui, &mut T),
) {
    ui.horizontal(|ui| {
        head(ui, label, hint, value, default);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let size = egui::vec2(BESIDE, ui.spacing().interact_size.y);
            let inner = Layout::left_to_right(Align::Center);
            let shown = ui.allocate_ui_with_layout(size, inner, |ui| control(ui, value));
            shown.response.on_hover_text(hint);
        });
    });
}

/// A label with a hint, and a button back to the default when there is a way back.
fn head<T: PartialEq + Copy>(ui: &mut Ui, label: &str, hint: &str, value: &mut T, default: T) {
    ui.label(RichText::new(label).color(theme::muted()))
        .on_hover_text(hint);
    let changed = *value != default;
    let undone = |ui| controls::back(ui).on_hover_text("Back to the default.");
    if changed && undone(ui).clicked() {
        *value = default;
    }
}

fn slider<T: egui::emath::Numeric>(
    ui: &mut Ui,
    value: &mut T,
    range: RangeInclusive<T>,
    step: f64,
) {
    let slider = egui::Slider::new(value, range)
        .step_by(step)
        .max_decimals(if T::INTEGRAL { 0 } else { 2 });
    slider_of(ui, slider);
}

/// A slider over the panel's width.
fn slider_of(ui: &mut Ui, slider: egui::Slider<'_>) {
    ui.spacing_mut().slider_width = (ui.available_width() - 62.0).max(60.0);
    // A value from the command line may lie outside; it stays until it is turned.
    ui.add(slider.clamping(egui::SliderClamping::Edits));
}

/// A menu of which one entry is chosen.
fn menu<T: PartialEq + Copy>(
    ui: &mut Ui,
    id: &str,
    value: &mut T,
    all: &[T],
    name: impl Fn(&T) -> &str,
) {
    egui::ComboBox::from_id_salt(id)
        .selected_text(name(value))
        .width(ui.available_width())
        .show_ui(ui, |ui| {
            for choice in all {
                ui.selectable_value(value, *choice, name(choice));
            }
        });
}

/// A row of buttons of equal width, of which one is chosen.
pub(super) fn choices<T: PartialEq + Copy, S: Into<String>>(
    ui: &mut Ui,
    value: &mut T,
    all: &[T],
    name: impl Fn(&T) -> S,
) {
    let gap = 4.0;
    let per_row = all.len().clamp(1, 5);
    let width = (ui.available_width() - gap * (per_row - 1) as f32) / per_row as f32;
    ui.spacing_mut().item_spacing = egui::vec2(gap, gap);
    for part in all.chunks(per_row) {
        ui.horizontal(|ui| {
            for choice in part {
                let button = egui::Button::selectable(*value == *choice, name(choice).into())
                    .frame_when_inactive(true)
                    .min_size(egui::vec2(width, 24.0));
                let button = ui.add(button);
                if button.clicked() {
                    *value = *choice;
                }
                if button.has_focus() && *value == *choice {
                    // What is chosen is as green as the frame of what has the focus.
                    let ring = egui::Stroke::new(1.5, theme::text());
                    let inside = egui::StrokeKind::Inside;
                    ui.painter().rect_stroke(button.rect, 6, ring, inside);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::world;

    fn settings() -> Settings {
        Settings {
            params: SamplerParams::default(),
            free_seed: false,
            ends_restart: true,
            fps: 15.0,
            unlimited: false,
            scaling: Scaling::Sharp,
        }
    }

    #[test]
    fn the_world_limits_steps_and_context() {
        let dynamics = world(&[("noop", &[])]).dynamics;
        let limits = Limits::new(&dynamics);
        assert_eq!(limits.steps, [1, 2, 4, 8]);
        assert_eq!(limits.context, 3..=16);
        let tuning = Tuning::new(settings(), Some(&dynamics));
        assert_eq!(tuning.settings.params.context, 16);
    }

    #[test]
    fn what_does_not_go_together_is_not_sent() {
        let before = settings();
        let mut after = before;
        after.params.churn = 0.5;
        assert!(after.commands_since(&before).is_empty());
        let impossible = after;
        after.params.solver = Solver::Euler;
        let sent = after.commands_since(&impossible);
        assert_eq!(sent, [Command::Params(after.params)]);
    }

    #[test]
    fn only_what_changed_is_sent() {
        let before = settings();
        let mut after = before;
        assert!(after.commands_since(&before).is_empty());
        after.scaling = Scaling::Smooth;
        assert!(after.commands_since(&before).is_empty());
        after.params.steps = 1;
        after.unlimited = true;
        assert_eq!(
            after.commands_since(&before),
            [
                Command::Params(after.params),
                Command::Pace(Pace::Unlimited)
            ]
        );
    }
}
