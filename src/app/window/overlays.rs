//! The modal page on top of everything else: opening it, its keys, and what it ends with.

use eframe::egui::{Context, Key};

use super::environment::Environment;
use super::overlay::{Overlay, OverlayEnd};
use super::stage::Stage;
use crate::app::keys::Shortcut;

/// The modal page, while one is open.
#[derive(Default)]
pub(super) struct Overlays(Option<Overlay>);

impl Overlays {
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the next key becomes that of an action or a button.
    pub fn is_capturing(&self) -> bool {
        self.0.as_ref().is_some_and(Overlay::is_capturing)
    }

    /// Opens a page, or closes it if it is already open. The world is paused behind it.
    pub fn toggle(&mut self, page: fn(bool) -> Overlay, stage: &mut Stage, env: &Environment) {
        let game = &mut stage.play.game;
        if let Some(open) = self.0.take() {
            if open.resumes {
                game.resume();
            }
            if open.is_same(&page(false)) {
                return;
            }
        }
        stage.play.release_all_input(&env.device.context);
        let game = &mut stage.play.game;
        let runs = game.is_running() && !stage.navigation.is_on_page();
        let resumes = runs && game.pause();
        self.0 = Some(page(resumes));
    }

    /// As [`Self::toggle`], for the page that says where the user's files are.
    pub fn toggle_about(&mut self, stage: &mut Stage, env: &Environment) {
        self.toggle(Overlay::about, stage, env);
        if let Some(page) = &mut self.0 {
            page.name_files(env.files());
        }
    }

    pub fn key_released(&mut self, key: Key) {
        if let Some(page) = &mut self.0 {
            page.key_released(key);
        }
    }

    /// Captures a key for a binding, if the page waits for one; returns whether it does.
    pub fn capture_key(&mut self, key: Key, stage: &mut Stage, env: &mut Environment) -> bool {
        let play = &mut stage.play;
        let captured = self
            .0
            .as_mut()
            .is_some_and(|page| page.capture_key(key, &play.game, &mut env.preferences));
        if captured {
            play.apply_bindings(&env.preferences);
        }
        captured
    }

    /// Draws the page and applies the settings that were changed on it. Returns how it ended, once it has.
    pub fn ui(
        &mut self,
        context: &Context,
        stage: &mut Stage,
        env: &mut Environment,
    ) -> Option<OverlayEnd> {
        let page = self.0.as_mut()?;
        let before = env.preferences.config().clone();
        let play = &mut stage.play;
        let end = page.ui(context, &play.game, &play.inputs, &mut env.preferences);
        if *env.preferences.config() != before {
            play.config_changed(before, env);
        }
        if end.is_some() && self.0.take().is_some_and(|page| page.resumes) {
            stage.play.game.resume();
        }
        end
    }
}

/// The page that a key opens or closes even where other keys go to the controls.
pub(super) fn page_key(key: Key) -> Option<Shortcut> {
    match key {
        Key::F1 => Some(Shortcut::Help),
        Key::F10 => Some(Shortcut::Settings),
        Key::F11 => Some(Shortcut::FullScreen),
        _ => None,
    }
}
