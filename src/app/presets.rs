//! The user's named presets of sampler and speed settings.

use std::collections::BTreeMap;

use eframe::egui;
use eframe::egui::{Align, Layout, RichText, Ui};
use serde::{Deserialize, Serialize};

use driftless_engine::{SamplerParams, SamplingPath, Solver};

use super::theme;
use super::tuning::TuningSettings;
use super::widgets::section;

/// Longer than any world's context; each world clamps it to its own.
const MAX_CONTEXT: usize = i32::MAX as usize;

/// The Tuning panel's settings except seed and image scaling.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SamplerPreset {
    pub solver: Solver,
    pub path: SamplingPath,
    pub steps: usize,
    pub tolerance: f32,
    pub shift: f32,
    pub churn: f32,
    pub context_signal: f32,
    pub context: usize,
    pub temperature: f32,
    pub guidance: f32,
    /// How many frames each action is held for.
    pub repeat: u64,
    /// Target frame rate.
    pub fps: f32,
    /// Whether to run as fast as possible instead.
    pub unlimited: bool,
}

impl Default for SamplerPreset {
    fn default() -> Self {
        Self::new(&SamplerParams::default(), 1, 15.0, false)
    }
}

impl From<&TuningSettings> for SamplerPreset {
    fn from(settings: &TuningSettings) -> Self {
        let TuningSettings { repeat, fps, .. } = *settings;
        Self::new(&settings.params, repeat, fps, settings.unlimited)
    }
}

impl SamplerPreset {
    fn new(params: &SamplerParams, repeat: u64, fps: f32, unlimited: bool) -> Self {
        Self {
            solver: params.solver,
            path: params.path,
            steps: params.steps,
            tolerance: params.tolerance,
            shift: params.shift,
            churn: params.churn,
            context_signal: params.context_signal,
            context: params.context.min(MAX_CONTEXT),
            temperature: params.temperature,
            guidance: params.guidance,
            repeat,
            fps,
            unlimited,
        }
    }

    /// Applies the preset to the panel's settings.
    pub fn apply_to(&self, settings: &mut TuningSettings) {
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

/// The presets section of the Tuning panel.
#[derive(Default)]
pub(super) struct PresetPanel {
    /// The name being typed.
    name: String,
}

impl PresetPanel {
    /// Draws the section; returns whether a preset was applied.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        presets: &mut BTreeMap<String, SamplerPreset>,
        settings: &mut TuningSettings,
    ) -> bool {
        section(ui, "Presets");
        let now = SamplerPreset::from(&*settings);
        let (mut applied, mut removed) = (None, None);
        for (name, preset) in presets.iter() {
            ui.horizontal(|ui| {
                let used = *preset == now;
                let button = egui::Button::selectable(used, name).truncate();
                let remove = |ui: &mut Ui| {
                    let remove = ui.small_button("×").on_hover_text("Delete this preset.");
                    let label = format!("Delete preset {name}");
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
                        applied = Some(*preset);
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
                let save = egui::Button::new("Save preset");
                let saved = ui
                    .add_enabled(!name.is_empty(), save)
                    .on_hover_text("Save the current sampler and speed settings under this name.")
                    .clicked();
                let hint = RichText::new("preset name").color(theme::palette(ui).muted);
                let field = egui::TextEdit::singleline(&mut self.name)
                    .hint_text(hint)
                    .char_limit(60);
                let field = ui.add_sized(ui.available_size(), field);
                let entered =
                    field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
                if !name.is_empty() && (saved || entered) {
                    presets.insert(name, now);
                    self.name.clear();
                }
            });
        });
        if let Some(preset) = applied {
            preset.apply_to(settings);
        }
        applied.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::present::Scaling;

    #[test]
    fn preset_restores_sampler_and_speed() {
        let mut settings = TuningSettings {
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
        let (saved, preset) = (settings, SamplerPreset::from(&settings));
        settings.params = SamplerParams {
            seed: 2,
            ..SamplerParams::default()
        };
        (settings.fps, settings.unlimited) = (15.0, false);
        (settings.free_seed, settings.scaling) = (true, Scaling::Smooth);
        preset.apply_to(&mut settings);
        let expected = TuningSettings {
            params: SamplerParams {
                seed: 2,
                ..saved.params
            },
            free_seed: true,
            scaling: Scaling::Smooth,
            ..saved
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn nan_fps_is_ignored() {
        let mut settings = TuningSettings {
            params: SamplerParams::default(),
            free_seed: false,
            ends_restart: true,
            repeat: 1,
            fps: 15.0,
            unlimited: false,
            scaling: Scaling::Sharp,
        };
        let preset = SamplerPreset {
            fps: f32::NAN,
            ..SamplerPreset::default()
        };
        preset.apply_to(&mut settings);
        assert_eq!(settings.fps, 15.0);
    }
}
