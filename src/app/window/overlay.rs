//! The modal pages on top of everything else: Help and Settings.

use eframe::egui::{Context, Key};

use super::game::GameState;
use super::inputs::Inputs;
use super::preferences::UserPreferences;
use crate::app::help::HelpPage;
use crate::app::settings_page::{SettingsContext, SettingsPage};

/// A modal page.
pub(super) struct Overlay {
    page: OverlayPage,
    /// Whether it has not been drawn yet.
    fresh: bool,
    /// Whether closing it resumes the world.
    pub resumes: bool,
    /// Keys that were already down when key capture began.
    down: Vec<Key>,
}

enum OverlayPage {
    Help,
    Settings(SettingsPage),
}

impl Overlay {
    pub fn help(resumes: bool) -> Self {
        Self::new(OverlayPage::Help, resumes)
    }

    pub fn settings(resumes: bool) -> Self {
        Self::new(OverlayPage::Settings(SettingsPage::default()), resumes)
    }

    fn new(page: OverlayPage, resumes: bool) -> Self {
        Self {
            page,
            fresh: true,
            resumes,
            down: Vec::new(),
        }
    }

    /// Whether both are the same page.
    pub fn is_same(&self, other: &Self) -> bool {
        std::mem::discriminant(&self.page) == std::mem::discriminant(&other.page)
    }

    pub fn key_released(&mut self, key: Key) {
        self.down.retain(|down| *down != key);
    }

    /// Whether the next key becomes that of an action or a button.
    pub fn is_capturing(&self) -> bool {
        matches!(&self.page, OverlayPage::Settings(page) if page.is_capturing())
    }

    /// Captures a key for a binding, if the page waits for one; returns whether it does.
    pub fn capture_key(
        &mut self,
        key: Key,
        game: &GameState,
        preferences: &mut UserPreferences,
    ) -> bool {
        let OverlayPage::Settings(page) = &mut self.page else {
            return false;
        };
        if !page.is_capturing() {
            return false;
        }
        if !self.down.contains(&key) {
            let world = &game.session.world;
            page.capture_key(key, preferences.config_mut(), &world.name, &world.actions);
        }
        true
    }

    /// Draws the page; returns whether it was closed.
    pub fn ui(
        &mut self,
        context: &Context,
        game: &GameState,
        inputs: &Inputs,
        preferences: &mut UserPreferences,
    ) -> bool {
        let fresh = std::mem::take(&mut self.fresh);
        let world = &game.session.world;
        match &mut self.page {
            OverlayPage::Help => HelpPage {
                world: &world.name,
                keys: &game.session.keys,
                gamepad: &inputs.gamepad_map,
                mouse: inputs.role(),
            }
            .ui(context, fresh),
            OverlayPage::Settings(page) => {
                let was_capturing = page.is_capturing();
                let mut settings = SettingsContext {
                    config: preferences.config_mut(),
                    world: &world.name,
                    actions: &world.actions,
                    keys: &game.session.keys,
                    gamepad: &inputs.gamepad_map,
                    gamepads: &inputs.connected,
                };
                let closed = page.ui(context, &mut settings, fresh);
                if page.is_capturing() && !was_capturing {
                    // The key that pressed the button must not be captured.
                    self.down = context.input(|input| input.keys_down.iter().copied().collect());
                }
                closed
            }
        }
    }
}
