//! Applying and autosaving the user's settings, and the modal Help and Settings pages.

use std::time::Instant;

use eframe::egui::{Context, Key, ViewportCommand};

use super::navigation::Screen;
use super::{Window, WorldThread};
use crate::app::config::{AUTOSAVE_DELAY, SCALE_RANGE};
use crate::app::help::HelpPage;
use crate::app::keys::Shortcut;
use crate::app::settings_page::{SettingsContext, SettingsPage};
use crate::app::theme;

/// A modal page on top of everything else.
pub(super) struct Overlay {
    page: OverlayKind,
    /// Whether it has not been drawn yet.
    fresh: bool,
    /// Whether closing it resumes the world.
    resumes: bool,
    /// Keys that were already down when key capture began.
    down: Vec<Key>,
}

enum OverlayKind {
    Help,
    Settings(SettingsPage),
}

impl Window {
    /// Applies the user's theme, scale and bindings to a new window.
    pub(super) fn apply_theme(&mut self) {
        theme::apply(&self.context, self.store.config.appearance);
        self.set_zoom(self.store.config.scale);
        self.hud = self.store.config.hud;
        self.apply_bindings();
    }

    /// Applies the settings that depend on the current world.
    pub(super) fn apply_bindings(&mut self) {
        let config = &self.store.config;
        let custom = config.keys.get(&self.session.world.name);
        self.session.rebind(&custom.cloned().unwrap_or_default());
        self.session.tuning.set_scaling(config.scaling);
        let buttons = &config.gamepad.buttons;
        self.inputs.apply_bindings(&self.session.keys, buttons);
    }

    fn set_zoom(&mut self, scale: f32) {
        self.requested_zoom = Some(scale);
        self.context.set_zoom_factor(scale);
    }

    /// Collects settings changed elsewhere, and writes them after a short delay.
    pub(super) fn autosave(&mut self) {
        let config = &mut self.store.config;
        config.hud = self.hud;
        config.scaling = self.session.tuning.settings.scaling;
        // egui handles Ctrl+Plus and Ctrl+Minus itself; a zoom requested here applies one frame later.
        let zoom = self.context.zoom_factor();
        if self.requested_zoom.is_none_or(|asked| asked == zoom) {
            self.requested_zoom = None;
            config.scale = zoom.clamp(SCALE_RANGE.0, SCALE_RANGE.1);
            if config.scale != zoom {
                self.set_zoom(self.store.config.scale);
            }
        }
        if let Err(error) = self.store.autosave(Instant::now()) {
            self.notices.post(format!("Cannot save settings: {error}"));
        }
        if self.store.is_dirty() {
            self.context.request_repaint_after(AUTOSAVE_DELAY);
        }
    }

    /// Closes the welcome card and does not show it for this world again.
    pub(super) fn dismiss_welcome(&mut self) {
        if std::mem::take(&mut self.welcome) {
            let world = self.session.world.name.clone();
            self.store.config.welcomed.insert(world);
        }
    }

    pub(super) fn toggle_help(&mut self) {
        self.toggle(OverlayKind::Help);
    }

    pub(super) fn toggle_settings(&mut self) {
        self.toggle(OverlayKind::Settings(SettingsPage::default()));
    }

    pub(super) fn toggle_full_screen(&self) {
        let full = self.context.input(|input| input.viewport().fullscreen);
        let command = ViewportCommand::Fullscreen(!full.unwrap_or(false));
        self.context.send_viewport_cmd(command);
    }

    /// Opens a modal page, or closes it if it is already open.
    fn toggle(&mut self, page: OverlayKind) {
        let kind = std::mem::discriminant(&page);
        let open = self.overlay.take();
        let same = open
            .as_ref()
            .is_some_and(|open| std::mem::discriminant(&open.page) == kind);
        if let Some(open) = open {
            self.close(&open);
        }
        if same {
            return;
        }
        self.release_all_input();
        let runs = matches!(self.world, WorldThread::Running(_))
            && !matches!(self.screen, Screen::NewWorld | Screen::Worlds { .. });
        let resumes = runs && !self.paused;
        if resumes {
            self.act(Shortcut::Pause);
        }
        self.overlay = Some(Overlay {
            page,
            fresh: true,
            resumes,
            down: Vec::new(),
        });
    }

    fn close(&mut self, page: &Overlay) {
        if page.resumes && self.paused {
            self.act(Shortcut::Pause);
        }
    }

    /// Handles a key while a modal page is open or for opening one. Returns `None` if the key is for
    /// the game or the page below, else whether it is consumed.
    pub(super) fn overlay_key(&mut self, key: Key, pressed: bool, plain: bool) -> Option<bool> {
        if !pressed {
            if let Some(overlay) = &mut self.overlay {
                overlay.down.retain(|down| *down != key);
            }
            return None;
        }
        if key == Key::Escape && self.release_mouse() {
            return Some(true);
        }
        if let Some(Overlay {
            page: OverlayKind::Settings(page),
            down,
            ..
        }) = &mut self.overlay
            && page.is_capturing()
        {
            if !down.contains(&key) {
                let world = &self.session.world;
                page.capture_key(key, &mut self.store.config, &world.name, &world.actions);
                self.apply_bindings();
            }
            return Some(true);
        }
        let above = self.overlay.is_some();
        let shortcut = match key {
            Key::F1 => Some(Shortcut::Help),
            Key::F10 => Some(Shortcut::Settings),
            Key::F11 => Some(Shortcut::FullScreen),
            _ => None,
        };
        let page = matches!(self.screen, Screen::NewWorld | Screen::Worlds { .. });
        match shortcut.filter(|_| plain && (above || page)) {
            Some(shortcut) => {
                self.act(shortcut);
                Some(true)
            }
            // Other keys go to the page's controls.
            None => above.then_some(false),
        }
    }

    pub(super) fn overlay_ui(&mut self, context: &Context) {
        let Some(mut overlay) = self.overlay.take() else {
            return;
        };
        let before = self.store.config.clone();
        let fresh = std::mem::take(&mut overlay.fresh);
        let world = &self.session.world;
        let closed = match &mut overlay.page {
            OverlayKind::Help => {
                let help = HelpPage {
                    world: &world.name,
                    keys: &self.session.keys,
                    gamepad: &self.inputs.gamepad_map,
                    mouse: self.inputs.role(),
                };
                help.ui(context, fresh)
            }
            OverlayKind::Settings(page) => {
                let was_capturing = page.is_capturing();
                let mut settings = SettingsContext {
                    config: &mut self.store.config,
                    world: &world.name,
                    actions: &world.actions,
                    keys: &self.session.keys,
                    gamepad: &self.inputs.gamepad_map,
                    gamepads: &self.inputs.connected,
                };
                let closed = page.ui(context, &mut settings, fresh);
                if page.is_capturing() && !was_capturing {
                    // The key that pressed the button must not be captured.
                    overlay.down = context.input(|input| input.keys_down.iter().copied().collect());
                }
                closed
            }
        };
        let now = &self.store.config;
        if *now != before {
            self.hud = now.hud;
            if now.appearance != before.appearance {
                theme::apply(context, now.appearance);
            }
            if now.scale != before.scale {
                self.set_zoom(now.scale);
            }
            self.apply_bindings();
        }
        if closed {
            self.close(&overlay);
        } else {
            self.overlay = Some(overlay);
        }
    }

    /// Whether a modal page is open.
    pub(super) fn has_overlay(&self) -> bool {
        self.overlay.is_some()
    }
}
