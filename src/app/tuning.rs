//! The Tuning panel: sampler, seed, speed and image settings while playing.

mod quality;
pub(super) mod settings;
mod widgets;

use std::collections::BTreeMap;
use std::time::Duration;

use eframe::egui;
use eframe::egui::{Align, Layout, RichText, Ui};

use self::quality::QualityPreset;
pub use self::settings::{SamplerLimits, TuningSettings};
use self::widgets::{inline_row, menu, slider, slider_of, stacked_row};
use super::present::Scaling;
use super::presets::{PresetPanel, SamplerPreset};
use super::theme;
use super::widgets::{choices, section};
use driftless_engine::{PARAMS, ParamKind, ParamSpec, SamplerParams, SliderSpec, Solver};
use driftless_sim::RANDOM_SEED_LIMIT;

use crate::workspace::sampler_options::ONLY_PUBLISHED;

/// Room for the scroll bar, in points.
const SCROLL_BAR: f32 = 10.0;
/// The most frames that the agent may be told to dream before a move.
const MAX_PLANNED_FRAMES: usize = 2000;
// The parameters of [`PARAMS`] that depend on the world or on the solver.
const STEPS: &str = "steps";
const TOLERANCE: &str = "tolerance";
const CONTEXT: &str = "context";
const GUIDANCE: &str = "guidance";
const RECALL: &str = "recall";

/// The Tuning panel.
pub(super) struct TuningPanel {
    /// The current settings.
    pub settings: TuningSettings,
    defaults: TuningSettings,
    /// `None` for a simulator, which has only a seed and a speed.
    limits: Option<SamplerLimits>,
    /// The parameters that suit the world.
    own: SamplerParams,
}

impl TuningPanel {
    /// A panel that begins with `settings`, for a world with these limits that `own` suits.
    pub fn new(
        settings: TuningSettings,
        limits: Option<SamplerLimits>,
        own: SamplerParams,
    ) -> Self {
        let mut tuning = Self {
            defaults: settings,
            settings,
            limits,
            own,
        };
        tuning.clamp_to_world();
        tuning.defaults = tuning.settings;
        tuning
    }

    /// Clamps settings from elsewhere to the world's limits.
    pub fn clamp_to_world(&mut self) {
        if let Some(SamplerLimits { context, .. }) = &self.limits {
            let length = &mut self.settings.params.context;
            *length = (*length).clamp(*context.start(), *context.end());
        }
    }

    /// Sets the image scaling and its default.
    pub fn set_scaling(&mut self, scaling: Scaling) {
        self.settings.scaling = scaling;
        self.defaults.scaling = scaling;
    }

    /// Draws the panel. `seed` is the seed in use, `cost` the current time per frame, `user_presets` the
    /// user's presets.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        seed: u64,
        cost: Option<Duration>,
        presets: &mut PresetPanel,
        user_presets: &mut BTreeMap<String, SamplerPreset>,
    ) {
        ui.horizontal(|ui| {
            ui.set_max_width(ui.available_width() - SCROLL_BAR);
            ui.label(
                RichText::new("Tuning")
                    .heading()
                    .color(theme::palette(ui).text),
            );
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let changed = self.settings != self.defaults;
                let reset = ui.add_enabled(changed, egui::Button::new("Defaults"));
                if reset
                    .on_hover_text("Reset everything to how the window opened.")
                    .clicked()
                {
                    self.settings = self.defaults;
                }
            });
        });
        egui::ScrollArea::vertical().show(ui, |ui| {
            // Leave room for the scroll bar.
            ui.set_max_width(ui.available_width() - SCROLL_BAR);
            if let Some(limits) = self.limits.clone() {
                self.quality(ui, &limits, cost);
                self.sampler(ui, &limits);
            }
            self.seed(ui, seed);
            self.pace(ui);
            if self.limits.as_ref().is_some_and(|limits| limits.agent) {
                self.agent(ui);
            }
            self.picture(ui);
            // A simulator has no sampler.
            if self.limits.is_some() && presets.ui(ui, user_presets, &mut self.settings) {
                self.clamp_to_world();
            }
        });
    }

    /// The preset buttons and the time per frame.
    fn quality(&mut self, ui: &mut Ui, limits: &SamplerLimits, cost: Option<Duration>) {
        if limits.published.is_none() {
            self.presets_of_quality(ui, limits);
        }
        let text = cost.map_or("–".to_owned(), |time| {
            format!("{:.1} ms", time.as_secs_f64() * 1000.0)
        });
        ui.horizontal(|ui| {
            ui.label(RichText::new("Time per frame").color(theme::palette(ui).muted));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.monospace(text);
            });
        });
    }

    fn presets_of_quality(&mut self, ui: &mut Ui, limits: &SamplerLimits) {
        let params = &mut self.settings.params;
        let mut chosen = QualityPreset::ALL
            .into_iter()
            .find(|quality| quality.params(params, limits, &self.own) == *params);
        let before = chosen;
        choices(ui, &mut chosen, &QualityPreset::ALL.map(Some), |quality| {
            quality.map_or("", QualityPreset::label)
        });
        if let (true, Some(quality)) = (chosen != before, chosen) {
            *params = quality.params(params, limits, &self.own);
        }
    }

    fn sampler(&mut self, ui: &mut Ui, limits: &SamplerLimits) {
        section(ui, "Sampler");
        // Above the controls, so that their tooltips do not cover it.
        if let Err(why) = self.settings.params.check() {
            ui.label(RichText::new(format!("Not applied: {why}")).color(theme::palette(ui).alert));
        }
        for spec in &PARAMS {
            if self.is_used(spec, limits) {
                self.param_row(ui, spec, limits);
            }
        }
        if limits.ends {
            self.episode_end_row(ui);
        }
    }

    /// Whether the world and the solver use a parameter.
    fn is_used(&self, spec: &ParamSpec, limits: &SamplerLimits) -> bool {
        if let Some(sampler) = limits.published {
            return sampler.params().contains(&spec.name);
        }
        let adaptive = self.settings.params.solver == Solver::Adaptive;
        match spec.name {
            name if ONLY_PUBLISHED.contains(&name) => false,
            STEPS => !adaptive,
            TOLERANCE => adaptive,
            GUIDANCE => limits.guidance,
            RECALL => limits.memory,
            _ => true,
        }
    }

    fn param_row(&mut self, ui: &mut Ui, spec: &ParamSpec, limits: &SamplerLimits) {
        let mut value = spec.get(&self.settings.params);
        let default = spec.get(&self.defaults.params);
        match &spec.kind {
            ParamKind::Choice(choices) => {
                let offered = |index: &usize| {
                    let among = |solvers: &[Solver]| solvers.iter().any(|s| *s as usize == *index);
                    limits
                        .published
                        .is_none_or(|sampler| among(sampler.solvers()))
                };
                let indices = (0..choices.len()).filter(offered).map(|index| index as f64);
                let indices: Vec<_> = indices.collect();
                let label = |index: f64| choices[index as usize].label;
                let menu =
                    |ui: &mut Ui, value: &mut f64| menu(ui, spec.name, value, &indices, label);
                inline_row(ui, spec.label, spec.help, &mut value, default, menu);
            }
            ParamKind::Number {
                whole,
                slider: spec_slider,
                ..
            } => {
                let control = |ui: &mut Ui, value: &mut f64| {
                    let mut ends = spec_slider.ends;
                    match spec.name {
                        STEPS => {
                            let steps: Vec<_> = limits.steps.iter().map(|k| *k as f64).collect();
                            choices(ui, value, &steps, f64::to_string);
                            ui.add_space(2.0);
                        }
                        CONTEXT => {
                            ends = (*limits.context.start() as f64, *limits.context.end() as f64);
                        }
                        _ => {}
                    }
                    slider_of(ui, param_slider(value, ends, spec_slider, *whole))
                };
                stacked_row(ui, spec.label, spec.help, &mut value, default, control);
            }
        }
        spec.set(&mut self.settings.params, value);
    }

    fn episode_end_row(&mut self, ui: &mut Ui) {
        inline_row(
            ui,
            "Episode end",
            "What happens when the model predicts that the episode has ended.",
            &mut self.settings.ends_restart,
            self.defaults.ends_restart,
            |ui, restart| {
                choices(ui, restart, &[true, false], |restart| {
                    if *restart { "Restart" } else { "Continue" }
                })
            },
        );
    }

    fn seed(&mut self, ui: &mut Ui, seed: u64) {
        section(ui, "Seed");
        inline_row(
            ui,
            "Mode",
            "Fixed: a restart uses the same seed again. Random: each restart draws a new seed.",
            &mut self.settings.free_seed,
            self.defaults.free_seed,
            |ui, free| {
                choices(ui, free, &[false, true], |free| {
                    if *free { "Random" } else { "Fixed" }
                })
            },
        );
        if self.settings.free_seed {
            ui.horizontal(|ui| {
                ui.label(RichText::new("In use").color(theme::palette(ui).muted));
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    if ui
                        .button("Pin")
                        .on_hover_text("Fix the current seed.")
                        .clicked()
                    {
                        self.settings.params.seed = seed;
                        self.settings.free_seed = false;
                    }
                    ui.monospace(seed.to_string());
                });
            });
        } else {
            let range = 0..=(RANDOM_SEED_LIMIT - 1).max(self.defaults.params.seed);
            let hint = match self.limits {
                Some(_) => "Determines the noise of every frame. Drag, or click to type.",
                None => "The world is generated from this seed at the next restart.",
            };
            inline_row(
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
        section(ui, "Speed");
        inline_row(
            ui,
            "Mode",
            "Real time keeps to the FPS below; max runs as fast as the machine can.",
            &mut self.settings.unlimited,
            self.defaults.unlimited,
            |ui, unlimited| {
                choices(ui, unlimited, &[false, true], |unlimited| {
                    if *unlimited { "Max" } else { "Real time" }
                })
            },
        );
        if !self.settings.unlimited {
            stacked_row(
                ui,
                "FPS",
                "Frames per second; the default is the world's own.",
                &mut self.settings.fps,
                self.defaults.fps,
                |ui, fps| slider(ui, fps, 1.0..=120.0, 1.0),
            );
        }
        stacked_row(
            ui,
            "Action repeat",
            "How many frames each action is held for: 1 reads the keys at every frame.",
            &mut self.settings.repeat,
            self.defaults.repeat,
            |ui, repeat| slider(ui, repeat, 1..=8, 1.0),
        );
    }

    fn agent(&mut self, ui: &mut Ui) {
        section(ui, "Agent");
        stacked_row(
            ui,
            "Planned frames",
            "Frames that the agent dreams before each move (B lets it play): it tries sequences of actions and \
             begins the one that promises most. 0 follows its policy. Many take time, so the game slows down.",
            &mut self.settings.planned_frames,
            self.defaults.planned_frames,
            |ui, frames| slider(ui, frames, 0..=MAX_PLANNED_FRAMES, 40.0),
        );
    }

    fn picture(&mut self, ui: &mut Ui) {
        section(ui, "Image");
        stacked_row(
            ui,
            "Scaling",
            "Nearest and sharp keep the pixels visible; smooth hides them.",
            &mut self.settings.scaling,
            self.defaults.scaling,
            |ui, scaling| choices(ui, scaling, &Scaling::ALL, |scaling| scaling.label()),
        );
    }
}

/// The slider of a sampler parameter.
fn param_slider<'a>(
    value: &'a mut f64,
    (from, to): (f64, f64),
    spec: &SliderSpec,
    whole: bool,
) -> egui::Slider<'a> {
    let slider = egui::Slider::new(value, from..=to).max_decimals(spec.decimals);
    let slider = if whole { slider.integer() } else { slider };
    match spec.step {
        Some(step) => slider.step_by(step),
        None => slider.logarithmic(true),
    }
}

#[cfg(test)]
mod tests {
    use super::settings::tests::settings;
    use super::*;
    use crate::app::tests::world;
    use crate::workspace::playable_world::PublishedSampler;

    #[test]
    fn world_limits_steps_and_context() {
        let dynamics = world(&[("noop", &[])]).dynamics;
        let limits = SamplerLimits::new(&dynamics);
        assert_eq!(limits.steps, [1, 2, 4, 8]);
        assert_eq!(limits.context, 3..=16);
        let tuning = TuningPanel::new(settings(), Some(limits.clone()), settings().params);
        assert_eq!(tuning.settings.params.context, 16);
    }

    #[test]
    fn published_samplers_have_their_own_parameters() {
        let used = |sampler: Option<PublishedSampler>| {
            let limits = match sampler {
                Some(sampler) => SamplerLimits::published(sampler),
                None => SamplerLimits::new(&world(&[("noop", &[])]).dynamics),
            };
            let own = settings().params;
            let tuning = TuningPanel::new(settings(), Some(limits.clone()), own);
            let used = PARAMS.iter().filter(|spec| tuning.is_used(spec, &limits));
            used.map(|spec| spec.name).collect::<Vec<_>>()
        };
        let (window, k_max) = (32, 8);
        for sampler in [
            PublishedSampler::Edm,
            PublishedSampler::Ddim { window },
            PublishedSampler::Shortcut { window, k_max },
        ] {
            let mut names = used(Some(sampler));
            let mut expected = sampler.params().to_vec();
            names.sort_unstable();
            expected.sort_unstable();
            assert_eq!(names, expected);
        }
        let own = used(None);
        assert!(own.contains(&CONTEXT));
        assert!(ONLY_PUBLISHED.iter().all(|name| !own.contains(name)));
    }

    #[test]
    fn special_parameters_exist() {
        for name in [STEPS, TOLERANCE, CONTEXT, GUIDANCE, RECALL] {
            assert!(PARAMS.iter().any(|spec| spec.name == name), "{name}");
        }
    }
}
