//! A person's own settings of the sampler and the pace, under names.

use std::collections::BTreeMap;

use eframe::egui::{self, Align, Layout, RichText, Ui};
use serde::{Deserialize, Serialize};

use super::theme;
use super::tuning::{Settings, section};
use driftless_engine::{Along, SamplerParams, Solver};

/// A context longer than that of any world: each shortens it to its own.
const WHOLE: usize = i32::MAX as usize;

/// All that the tuning panel turns, but the seed and how the picture is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Preset {
    pub solver: Solver,
    pub path: Along,
    pub steps: usize,
    pub tolerance: f32,
    pub shift: f32,
    pub churn: f32,
    pub context_signal: f32,
    pub context: usize,
    pub temperature: f32,
    pub guidance: f32,
    /// For how many frames an action is held once it was taken.
    pub repeat: u64,
    /// Target frames a second.
    pub fps: f32,
    /// Whether the target is ignored.
    pub unlimited: bool,
}

impl Default for Preset {
    fn default() -> Self {
        Self::new(&SamplerParams::default(), 1, 15.0, false)
    }
}

impl From<&Settings> for Preset {
    fn from(settings: &Settings) -> Self {
        let Settings { repeat, fps, .. } = *settings;
        Self::new(&settings.params, repeat, fps, settings.unlimited)
    }
}

impl Preset {
    fn new(params: &SamplerParams, repeat: u64, fps: f32, unlimited: bool) -> Self {
        Self {
            solver: params.solver,
            path: params.path,
            steps: params.steps,
            tolerance: params.tolerance,
            shift: params.shift,
            churn: params.churn,
            context_signal: params.context_signal,
            context: params.context.min(WHOLE),
            temperature: params.temperature,
            guidance: params.guidance,
            repeat,
            fps,
            unlimited,
        }
    }

    /// Puts the preset into the panel's settings.
    pub fn put_into(&self, settings: &mut Settings) {
        settings.params = SamplerParams {
            solver: self.solver,
            path: self.path,
            steps: self.steps,
            tolerance: self.tolerance,
            shift: self.shift,
            churn: self.churn,
            context_signal: self.context_signal,
            context: self.context,
            temperature: self.temperature,
            guidance: self.guidance,
            ..settings.params
        };
        settings.repeat = self.repeat.max(1);
        if self.fps.is_finite() {
            settings.fps = self.fps.clamp(1.0, 1000.0);
        }
        settings.unlimited = self.unlimited;
    }
}

/// The part of the tuning panel about presets.
#[derive(Default)]
pub(super) struct Presets {
    /// The name that is being typed.
    name: String,
}

impl Presets {
    /// Draws it; whether a preset was put into the settings.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        presets: &mut BTreeMap<String, Preset>,
        settings: &mut Settings,
    ) -> bool {
        section(ui, "Presets");
        let now = Preset::from(&*settings);
        let (mut taken, mut removed) = (None, None);
        for (name, preset) in presets.iter() {
            ui.horizontal(|ui| {
                let used = *preset == now;
                let button = egui::Button::selectable(used, name).truncate();
                let remove = |ui: &mut Ui| {
                    let remove = ui.small_button("×").on_hover_text("Remove this preset.");
                    let label = format!("remove {name}");
                    remove.widget_info(|| {
                        egui::WidgetInfo::labeled(egui::Role::Button, true, &label)
                    });
                    remove.clicked()
                };
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    if remove(ui) {
                        removed = Some(name.clone());
                    }
                    let button = button.frame_when_inactive(true);
                    if ui.add_sized(ui.available_size(), button).clicked() {
                        taken = Some(*preset);
                    }
                });
            });
        }
        if let Some(name) = removed {
            presets.remove(&name);
        }
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let name = self.name.trim().to_owned();
                let keep = egui::Button::new("Keep");
                let kept = ui
                    .add_enabled(!name.is_empty(), keep)
                    .on_hover_text(
                        "Keep the sampler and the pace as they are now, under this name.",
                    )
                    .clicked();
                let hint = RichText::new("name of a preset").color(theme::muted());
                let field = egui::TextEdit::singleline(&mut self.name)
                    .hint_text(hint)
                    .char_limit(60);
                let field = ui.add_sized(ui.available_size(), field);
                let entered =
                    field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
                if !name.is_empty() && (kept || entered) {
                    presets.insert(name, now);
                    self.name.clear();
                }
            });
        });
        if let Some(preset) = taken {
            preset.put_into(settings);
        }
        taken.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::present::Scaling;

    #[test]
    fn a_preset_brings_back_the_sampler_and_the_pace_and_leaves_the_rest() {
        let mut settings = Settings {
            params: SamplerParams {
                solver: Solver::Euler,
                steps: 6,
                churn: 0.5,
                context: 7,
                seed: 1,
                ..SamplerParams::default()
            },
            free_seed: false,
            ends_restart: true,
            repeat: 1,
            fps: 30.0,
            unlimited: true,
            scaling: Scaling::Sharp,
        };
        let (kept, preset) = (settings, Preset::from(&settings));
        settings.params = SamplerParams {
            seed: 2,
            ..SamplerParams::default()
        };
        (settings.fps, settings.unlimited) = (15.0, false);
        (settings.free_seed, settings.scaling) = (true, Scaling::Smooth);
        preset.put_into(&mut settings);
        let expected = Settings {
            params: SamplerParams {
                seed: 2,
                ..kept.params
            },
            free_seed: true,
            scaling: Scaling::Smooth,
            ..kept
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn a_pace_that_is_no_number_is_not_taken() {
        let mut settings = Settings {
            params: SamplerParams::default(),
            free_seed: false,
            ends_restart: true,
            repeat: 1,
            fps: 15.0,
            unlimited: false,
            scaling: Scaling::Sharp,
        };
        let preset = Preset {
            fps: f32::NAN,
            ..Preset::default()
        };
        preset.put_into(&mut settings);
        assert_eq!(settings.fps, 15.0);
    }
}
