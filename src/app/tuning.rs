//! The side panel that turns the sampler, the seed, the pace and the picture while playing.

mod widgets;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use eframe::egui::{self, Align, Layout, RichText, Ui};

pub(super) use self::widgets::{choices, section};
use self::widgets::{line, menu, row, slider, slider_of};
use super::present::Scaling;
use super::presets::{Preset, Presets};
use super::theme;
use driftless_engine::{Along, SamplerParams, Solver};
use driftless_model::config::DynamicsConfig;
use driftless_sim::{Command, FREE_SEEDS, Pace};

/// Everything that the panel turns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Sampler parameters; the seed counts when it is fixed.
    pub params: SamplerParams,
    /// Whether every reset draws a new seed.
    pub free_seed: bool,
    /// Whether a predicted end of the episode starts the context again.
    pub ends_restart: bool,
    /// For how many frames an action is held once it was taken.
    pub repeat: u64,
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
        if self.repeat != before.repeat {
            commands.push(Command::Repeat(self.repeat));
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

/// Settings of the sampler for those who do not want to turn each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quality {
    /// One step.
    Fast,
    /// As the world was made to be played.
    Balanced,
    /// As many steps as the network was trained for.
    Best,
}

impl Quality {
    const ALL: [Self; 3] = [Self::Fast, Self::Balanced, Self::Best];

    fn label(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Balanced => "balanced",
            Self::Best => "best",
        }
    }

    /// The parameters, with the seed that there is.
    fn of(self, params: &SamplerParams, limits: &Limits) -> SamplerParams {
        let balanced = SamplerParams {
            seed: params.seed,
            context: *limits.context.end(),
            ..SamplerParams::default()
        };
        let finest = limits.steps.last().copied().unwrap_or(1);
        let steps = match self {
            Self::Fast => 1,
            Self::Balanced => balanced.steps.min(finest),
            Self::Best => finest,
        };
        SamplerParams { steps, ..balanced }
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

    /// Draws the panel; `seed` is the one in use, `cost` what a frame takes
    /// now, `kept` a person's own presets.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        seed: u64,
        cost: Option<Duration>,
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
                self.quality(ui, &limits, cost);
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

    /// What most people want to choose, and what it costs.
    fn quality(&mut self, ui: &mut Ui, limits: &Limits, cost: Option<Duration>) {
        let params = &mut self.settings.params;
        let mut chosen = Quality::ALL
            .into_iter()
            .find(|quality| quality.of(params, limits) == *params);
        let before = chosen;
        choices(ui, &mut chosen, &Quality::ALL.map(Some), |quality| {
            quality.map_or("", Quality::label)
        });
        if let (true, Some(quality)) = (chosen != before, chosen) {
            *params = quality.of(params, limits);
        }
        let text = cost.map_or("–".to_owned(), |time| {
            format!("{:.1} ms", time.as_secs_f64() * 1000.0)
        });
        ui.horizontal(|ui| {
            ui.label(RichText::new("A frame takes").color(theme::muted()));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.monospace(text);
            });
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
                    )
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
                    slider(ui, steps, 1..=64, 1.0)
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
                )
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
                    })
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
                })
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
                    Some(ui.add_sized(ui.available_size(), number))
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
                })
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
        row(
            ui,
            "Action repeat",
            "For how many frames an action is held once it was taken: 1 listens at every frame.",
            &mut self.settings.repeat,
            self.defaults.repeat,
            |ui, repeat| slider(ui, repeat, 1..=8, 1.0),
        );
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::world;

    fn settings() -> Settings {
        Settings {
            params: SamplerParams::default(),
            free_seed: false,
            ends_restart: true,
            repeat: 1,
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
