//! The user's preferences: settings and their file, and what the window shows because of them.

use std::collections::BTreeMap;
use std::time::Instant;

use eframe::egui::Context;

use crate::app::config::{AUTOSAVE_DELAY, ConfigStore, SCALE_RANGE, UserConfig};
use crate::app::keys::Bindings;
use crate::app::present::Scaling;
use crate::app::presets::{PresetPanel, SamplerPreset};
use crate::app::theme;

/// Windows narrower than this, in points, open without the tuning panel.
const MIN_WIDTH_FOR_TUNING: f32 = 760.0;

/// The user's settings.
pub(super) struct UserPreferences {
    store: ConfigStore,
    /// An interface scale that egui has been asked for but has not applied yet.
    requested_zoom: Option<f32>,
    /// `None` until the window's width decides.
    tuning_open: Option<bool>,
    presets: PresetPanel,
    /// Whether the welcome card is shown.
    pub welcome: bool,
}

impl UserPreferences {
    /// Applies the settings to a new window that plays `world`.
    pub fn new(store: ConfigStore, world: &str, context: &Context) -> Self {
        let mut preferences = Self {
            // The width decides, unless the user closed the panel.
            tuning_open: store.config.tuning.filter(|open| !open),
            welcome: false,
            store,
            requested_zoom: None,
            presets: PresetPanel::default(),
        };
        preferences.greet(world);
        preferences.apply_theme(context);
        preferences
    }

    pub fn config(&self) -> &UserConfig {
        &self.store.config
    }

    pub fn config_mut(&mut self) -> &mut UserConfig {
        &mut self.store.config
    }

    /// The panel of presets, and the user's presets.
    pub fn presets(&mut self) -> (&mut PresetPanel, &mut BTreeMap<String, SamplerPreset>) {
        (&mut self.presets, &mut self.store.config.presets)
    }

    /// The user's key bindings in a world.
    pub fn bindings(&self, world: &str) -> Bindings {
        let custom = self.store.config.keys.get(world);
        custom.cloned().unwrap_or_default()
    }

    /// Applies theme and scale to a new window.
    pub fn apply_theme(&mut self, context: &Context) {
        theme::apply(context, self.store.config.appearance);
        self.set_zoom(context, self.store.config.scale);
    }

    /// Applies theme and scale where they differ from `before`.
    pub fn apply_changes(&mut self, context: &Context, before: &UserConfig) {
        let now = &self.store.config;
        if now.appearance != before.appearance {
            theme::apply(context, now.appearance);
        }
        if now.scale != before.scale {
            self.set_zoom(context, now.scale);
        }
    }

    fn set_zoom(&mut self, context: &Context, scale: f32) {
        self.requested_zoom = Some(scale);
        context.set_zoom_factor(scale);
    }

    /// Collects settings changed elsewhere, and writes them after a short delay.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn autosave(&mut self, context: &Context, scaling: Scaling) -> crate::Result<()> {
        self.store.config.scaling = scaling;
        // egui handles Ctrl+Plus and Ctrl+Minus itself; a zoom requested here applies one frame later.
        let zoom = context.zoom_factor();
        if self.requested_zoom.is_none_or(|asked| asked == zoom) {
            self.requested_zoom = None;
            let scale = zoom.clamp(SCALE_RANGE.0, SCALE_RANGE.1);
            self.store.config.scale = scale;
            if scale != zoom {
                self.set_zoom(context, scale);
            }
        }
        let written = self.store.autosave(Instant::now());
        if self.store.is_dirty() {
            context.request_repaint_after(AUTOSAVE_DELAY);
        }
        written
    }

    /// Writes the settings when the window closes.
    pub fn write(&mut self) {
        if let Err(error) = self.store.write() {
            tracing::warn!("cannot save settings: {error}");
        }
    }

    /// Whether the Tuning panel is open.
    pub fn shows_tuning(&self) -> bool {
        self.tuning_open == Some(true)
    }

    /// Decides by the window's width whether the Tuning panel is open.
    pub fn decide_tuning(&mut self, width: f32) {
        self.tuning_open
            .get_or_insert(width >= MIN_WIDTH_FOR_TUNING);
    }

    pub fn toggle_tuning(&mut self) {
        self.tuning_open = Some(!self.tuning_open.unwrap_or(true));
        self.store.config.tuning = self.tuning_open;
    }

    /// Shows the welcome card of a world, unless it was dismissed before.
    pub fn greet(&mut self, world: &str) {
        self.welcome = !self.store.config.welcomed.contains(world);
    }

    /// Closes the welcome card and does not show it for this world again.
    pub fn dismiss_welcome(&mut self, world: &str) {
        if std::mem::take(&mut self.welcome) {
            self.store.config.welcomed.insert(world.to_owned());
        }
    }
}
