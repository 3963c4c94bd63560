//! The modal pages on top of everything else: Help, Settings, commands, opening a file, About.

use std::path::PathBuf;

use eframe::egui::{Context, Key};

use super::game::GameState;
use super::inputs::Inputs;
use super::preferences::UserPreferences;
use crate::app::about::AboutPage;
use crate::app::commands_page::{CommandChoice, CommandsPage};
use crate::app::help::HelpPage;
use crate::app::keys::Shortcut;
use crate::app::open_page::{OpenChoice, OpenPage};
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
    Commands(CommandsPage),
    Open(OpenPage),
    /// Where worlds, data and saved files are.
    About(String),
}

/// How a page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OverlayEnd {
    Closed,
    /// A command was chosen.
    Run(Shortcut),
    /// A file or folder is to be opened.
    Open(PathBuf),
}

impl Overlay {
    pub fn help(resumes: bool) -> Self {
        Self::new(OverlayPage::Help, resumes)
    }

    pub fn settings(resumes: bool) -> Self {
        Self::new(OverlayPage::Settings(SettingsPage::default()), resumes)
    }

    pub fn commands(resumes: bool) -> Self {
        Self::new(OverlayPage::Commands(CommandsPage::default()), resumes)
    }

    pub fn open(resumes: bool) -> Self {
        Self::new(OverlayPage::Open(OpenPage::default()), resumes)
    }

    pub fn about(resumes: bool) -> Self {
        Self::new(OverlayPage::About(String::new()), resumes)
    }

    /// Says on the About page where the user's files are.
    pub fn name_files(&mut self, folder: String) {
        if let OverlayPage::About(files) = &mut self.page {
            *files = folder;
        }
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

    /// Draws the page; returns how it ended, once it has.
    pub fn ui(
        &mut self,
        context: &Context,
        game: &GameState,
        inputs: &Inputs,
        preferences: &mut UserPreferences,
    ) -> Option<OverlayEnd> {
        let fresh = std::mem::take(&mut self.fresh);
        let world = &game.session.world;
        let closed = match &mut self.page {
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
            OverlayPage::About(files) => AboutPage {
                engine: &game.engine,
                files,
                settings: &preferences.file(),
            }
            .ui(context, fresh),
            OverlayPage::Commands(page) => {
                return Some(match page.ui(context, &game.session.keys, fresh)? {
                    CommandChoice::Run(shortcut) => OverlayEnd::Run(shortcut),
                    CommandChoice::Close => OverlayEnd::Closed,
                });
            }
            OverlayPage::Open(page) => {
                return Some(match page.ui(context, fresh)? {
                    OpenChoice::Open(path) => OverlayEnd::Open(path),
                    OpenChoice::Close => OverlayEnd::Closed,
                });
            }
        };
        closed.then_some(OverlayEnd::Closed)
    }
}
