//! The user's preferences: settings and their file, and what the window shows because of them.

use std::collections::BTreeMap;
use std::time::Instant;

use eframe::egui::{Context, Vec2};

use crate::app::config::{
    AUTOSAVE_DELAY, ConfigStore, DEFAULT_SIZE, SCALE_RANGE, UserConfig, WindowPlace,
};
use crate::app::keys::Bindings;
use crate::app::present::Scaling;
use crate::app::presets::{PresetPanel, SamplerPreset};
use crate::app::theme;

/// Windows narrower than this, in points, open without the tuning panel, and show it as a drawer.
pub(super) const MIN_WIDTH_FOR_TUNING: f32 = 800.0;

/// The user's settings.
pub(super) struct UserPreferences {
    store: ConfigStore,
    /// An interface scale that egui has been asked for but has not applied yet.
    requested_zoom: Option<f32>,
    /// Whether the first window's size has been decided.
    sized: bool,
    /// `None` until the window's width decides.
    tuning_open: Option<bool>,
    presets: PresetPanel,
    /// Whether the welcome card is shown.
    pub welcome: bool,
    /// Whether dismissing the card resumes the world.
    pub welcome_resumes: bool,
}

/// The size of the first window on a screen, both in points of the screen.
fn first_size(screen: Vec2, scale: f32) -> Vec2 {
    let usual = Vec2::from(DEFAULT_SIZE) * scale.max(1.0);
    usual.max(0.6 * screen).min(0.9 * screen).round()
}

impl UserPreferences {
    /// Applies the settings to a new window that plays `world`.
    pub fn new(store: ConfigStore, world: &str, context: &Context) -> Self {
        let mut preferences = Self {
            // The width decides, unless the user closed the panel.
            tuning_open: store.config.tuning.filter(|open| !open),
            welcome: false,
            welcome_resumes: false,
            store,
            requested_zoom: None,
            sized: false,
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

    /// The settings file, in words.
    pub fn file(&self) -> String {
        match self.store.path() {
            Some(path) => path.display().to_string(),
            None => "not saved".to_owned(),
        }
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
        if self.store.config.reduced_motion {
            theme::reduce_motion(context, true);
        }
        self.set_zoom(context, self.store.config.scale);
    }

    /// Applies theme and scale where they differ from `before`.
    pub fn apply_changes(&mut self, context: &Context, before: &UserConfig) {
        let now = &self.store.config;
        if now.appearance != before.appearance {
            theme::apply(context, now.appearance);
        }
        if now.reduced_motion != before.reduced_motion {
            theme::reduce_motion(context, now.reduced_motion);
        }
        if now.scale != before.scale {
            self.set_zoom(context, now.scale);
        }
    }

    /// Goes back to earlier settings, except for those that nobody changes on the page of settings.
    pub fn restore(&mut self, before: UserConfig, context: &Context) {
        let now = std::mem::replace(&mut self.store.config, before);
        let config = &mut self.store.config;
        config.window = now.window;
        config.welcomed.clone_from(&now.welcomed);
        config.presets.clone_from(&now.presets);
        self.apply_changes(context, &now);
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

    /// Decides by the window's width whether the Tuning panel is open in the lab.
    pub fn decide_tuning(&mut self, width: f32) {
        if self.requested_zoom.is_some() {
            // The width is not yet that of the scale.
            return;
        }
        let lab = self.store.config.lab;
        self.tuning_open
            .get_or_insert(lab && width >= MIN_WIDTH_FOR_TUNING);
    }

    /// Goes to the lab or back to the game alone; returns whether it is the lab now.
    pub fn toggle_lab(&mut self) -> bool {
        let lab = !self.store.config.lab;
        self.store.config.lab = lab;
        if lab {
            // The width decides again, unless the user has closed the panel.
            self.tuning_open = self.store.config.tuning.filter(|open| !open);
        } else {
            self.tuning_open = Some(false);
            self.store.config.hud = false;
        }
        lab
    }

    /// The size, in points, for a window that has never been open before: larger on a large screen and with
    /// a large scale, but within the screen. `None` if it has the right size, or the screen is unknown.
    pub fn size_for_screen(&mut self, context: &Context) -> Option<Vec2> {
        if self.store.config.window.is_some() || std::mem::replace(&mut self.sized, true) {
            return None;
        }
        let zoom = context.zoom_factor();
        let screen = context.input(|input| input.viewport().monitor_size)? * zoom;
        let size = first_size(screen, self.store.config.scale);
        (size != Vec2::from(DEFAULT_SIZE)).then(|| size / zoom)
    }

    /// Notes where the window is, to open it there next time.
    pub fn note_place(&mut self, context: &Context) {
        // Points of the screen, whatever the interface scale.
        let zoom = context.zoom_factor();
        let (place, focused) = context.input(|input| {
            let viewport = input.viewport();
            let full_screen = viewport.fullscreen.unwrap_or(false);
            let maximized = viewport.maximized.unwrap_or(false);
            let size = viewport.inner_rect.map(|rect| rect.size() * zoom);
            let corner = viewport.outer_rect.map(|rect| rect.min.to_vec2() * zoom);
            let before = self.store.config.window.unwrap_or_default();
            // A window that fills the screen keeps the size that it goes back to.
            let fills = full_screen || maximized;
            let place = size.map(|size| WindowPlace {
                size: if fills {
                    before.size
                } else {
                    size.round().into()
                },
                corner: if fills {
                    before.corner
                } else {
                    corner.map(|corner| corner.round().into())
                },
                maximized,
                full_screen,
            });
            (place, input.focused && viewport.minimized != Some(true))
        });
        let fits = |place: &WindowPlace| place.size.iter().all(|side| *side >= 100.0);
        if let Some(place) = place.filter(|place| focused && fits(place)) {
            self.store.config.window = Some(place);
        }
    }

    /// Shows or hides the performance overlay.
    pub fn toggle_hud(&mut self) {
        self.store.config.hud = !self.store.config.hud;
    }

    pub fn toggle_tuning(&mut self) {
        self.tuning_open = Some(!self.tuning_open.unwrap_or(true));
        self.store.config.tuning = self.tuning_open;
    }

    /// Shows the welcome card of a world, unless it was dismissed before.
    pub fn greet(&mut self, world: &str) {
        self.welcome = !self.store.config.welcomed.contains(world);
    }

    /// Whether the world has been waiting for its card to be dismissed, and no longer does.
    pub fn stops_waiting(&mut self) -> bool {
        std::mem::take(&mut self.welcome_resumes)
    }

    /// Closes the welcome card and does not show it for this world again; returns whether the world, which
    /// waited, is to be resumed.
    pub fn dismiss_welcome(&mut self, world: &str) -> bool {
        if std::mem::take(&mut self.welcome) {
            self.store.config.welcomed.insert(world.to_owned());
            return std::mem::take(&mut self.welcome_resumes);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use eframe::egui::vec2;

    use super::*;

    #[test]
    fn first_window_follows_the_screen() {
        let size = |screen: (f32, f32), scale| first_size(Vec2::from(screen), scale).into();
        let sizes: [(f32, f32); 4] = [
            size((1280.0, 900.0), 1.0),
            size((2560.0, 1440.0), 1.0),
            size((1920.0, 1080.0), 1.5),
            size((800.0, 600.0), 1.0),
        ];
        let expected = [
            (1080.0, 792.0),
            (1536.0, 864.0),
            (1620.0, 972.0),
            (720.0, 540.0),
        ];
        assert_eq!(sizes, expected);
        assert_eq!(Vec2::from(DEFAULT_SIZE), vec2(1080.0, 792.0));
    }
}
