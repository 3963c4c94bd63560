//! The user's named presets of sampler and speed settings.

use std::collections::BTreeMap;

use eframe::egui;
use eframe::egui::{Align, Layout, RichText, Ui};
use serde::{Deserialize, Serialize};

use driftless_engine::{PARAMS, ParamKind, ParamSpec, SamplerParams};

use super::theme;
use super::tuning::settings::TuningSettings;
use super::widgets::section;

/// Longer than any world's context; each world clamps it to its own.
const MAX_CONTEXT: usize = i32::MAX as usize;

/// The Tuning panel's settings except seed and image scaling.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PresetFile", into = "PresetFile")]
pub(super) struct SamplerPreset {
    /// The sampler parameters; the seed is not part of the preset.
    pub params: SamplerParams,
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
        let params = SamplerParams {
            context: params.context.min(MAX_CONTEXT),
            seed: 0,
            ..*params
        };
        Self {
            params,
            repeat,
            fps,
            unlimited,
        }
    }

    /// Applies the preset to the panel's settings.
    pub fn apply_to(&self, settings: &mut TuningSettings) {
        settings.params = SamplerParams {
            seed: settings.params.seed,
            ..self.params
        };
        settings.repeat = self.repeat.max(1);
        if self.fps.is_finite() {
            settings.fps = self.fps.clamp(1.0, 1000.0);
        }
        settings.unlimited = self.unlimited;
    }
}

/// A preset as it is in the settings file: one key for each sampler parameter, and those of the speed.
#[derive(Serialize, Deserialize)]
#[serde(default)]
struct PresetFile {
    repeat: u64,
    fps: f32,
    unlimited: bool,
    #[serde(flatten)]
    params: toml::Table,
}

impl Default for PresetFile {
    fn default() -> Self {
        SamplerPreset::default().into()
    }
}

impl From<SamplerPreset> for PresetFile {
    fn from(preset: SamplerPreset) -> Self {
        let value = |spec: &ParamSpec| {
            let value = spec.decimal(&preset.params);
            match &spec.kind {
                ParamKind::Number { whole: true, .. } => (value as i64).into(),
                ParamKind::Number { .. } => value.into(),
                ParamKind::Choice(choices) => choices[value as usize].name.into(),
            }
        };
        Self {
            repeat: preset.repeat,
            fps: preset.fps,
            unlimited: preset.unlimited,
            params: PARAMS
                .iter()
                .map(|spec| (spec.name.to_owned(), value(spec)))
                .collect(),
        }
    }
}

impl TryFrom<PresetFile> for SamplerPreset {
    type Error = String;

    /// Parameters that are missing take their defaults.
    fn try_from(file: PresetFile) -> Result<Self, String> {
        let mut params = SamplerParams::default();
        for spec in &PARAMS {
            if let Some(value) = file.params.get(spec.name) {
                let number = number(spec, value)
                    .ok_or_else(|| format!("`{}` is {value}, which is not valid", spec.name))?;
                spec.set(&mut params, number);
            }
        }
        Ok(Self::new(&params, file.repeat, file.fps, file.unlimited))
    }
}

/// The number that a parameter's value stands for in the settings file.
fn number(spec: &ParamSpec, value: &toml::Value) -> Option<f64> {
    let integer = value.as_integer();
    match &spec.kind {
        ParamKind::Number { whole: true, .. } => integer
            .filter(|value| *value >= 0)
            .map(|value| value as f64),
        ParamKind::Number { .. } => value.as_float().or(integer.map(|value| value as f64)),
        ParamKind::Choice(choices) => {
            let named = choices
                .iter()
                .position(|choice| Some(choice.name) == value.as_str());
            named.map(|index| index as f64)
        }
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
            match preset_row(ui, name, *preset == now) {
                Some(PresetAction::Apply) => applied = Some(*preset),
                Some(PresetAction::Remove) => removed = Some(name.clone()),
                None => {}
            }
        }
        if let Some(name) = removed {
            presets.remove(&name);
        }
        if let Some(name) = self.name_row(ui) {
            presets.insert(name, now);
        }
        if let Some(preset) = applied {
            preset.apply_to(settings);
        }
        applied.is_some()
    }

    /// The row that saves the current settings; returns their new name.
    fn name_row(&mut self, ui: &mut Ui) -> Option<String> {
        let mut named = None;
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
                    named = Some(name);
                    self.name.clear();
                }
            });
        });
        named
    }
}

/// What is asked of a preset.
enum PresetAction {
    Apply,
    Remove,
}

/// The row of a preset; `used` if its settings are the current ones.
fn preset_row(ui: &mut Ui, name: &str, used: bool) -> Option<PresetAction> {
    let mut action = None;
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let remove = ui.small_button("×").on_hover_text("Delete this preset.");
            let label = format!("Delete preset {name}");
            remove.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &label));
            if remove.clicked() {
                action = Some(PresetAction::Remove);
            }
            let button = egui::Button::selectable(used, name)
                .truncate()
                .frame_when_inactive(true);
            if ui.add_sized(ui.available_size(), button).clicked() {
                action = Some(PresetAction::Apply);
            }
        });
    });
    action
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_engine::Solver;

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
            planned_frames: 0,
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
            planned_frames: 0,
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

    #[test]
    fn reads_and_writes_the_keys_of_earlier_versions() {
        let text = "solver = \"heun\"\npath = \"own\"\nsteps = 6\ntolerance = 0.01\nshift = 1.0\n\
                    churn = 0.0\ncontext_signal = 0.8\ncontext = 2147483647\ntemperature = 1\n\
                    guidance = 1.0\nrepeat = 2\nfps = 30.0\nunlimited = true\n";
        let preset: SamplerPreset = toml::from_str(text).unwrap();
        let params = SamplerParams {
            solver: Solver::Heun,
            steps: 6,
            context_signal: 0.8,
            ..SamplerParams::default()
        };
        assert_eq!(preset, SamplerPreset::new(&params, 2, 30.0, true));
        let written: toml::Table = toml::to_string(&preset).unwrap().parse().unwrap();
        let all = text.replace("= 1\n", "= 1.0\n")
            + "recall = \"on\"\nsigma_max = 5.0\nsigma_min = 0.002\nrho = 7.0\nhop = 1\n";
        let expected: toml::Table = all.parse().unwrap();
        assert_eq!(written, expected);
        for wrong in [
            "steps = -1",
            "steps = 1.5",
            "solver = \"fast\"",
            "churn = \"0\"",
        ] {
            let error = toml::from_str::<SamplerPreset>(wrong)
                .unwrap_err()
                .to_string();
            assert!(error.contains("which is not valid"), "{error}");
        }
    }
}
