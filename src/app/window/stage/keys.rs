//! What a key does on a page or in the game, when no card lies above and nobody types.

use std::time::Instant;

use eframe::egui::{Key, Popup};

use super::super::environment::Environment;
use super::super::navigation::Navigation;
use super::super::screen::Screen;
use super::Stage;
use crate::app::keys::Shortcut;
use crate::app::new_world::{NewWorldPage, PageRequest};

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum KeyUse {
    /// Nothing: it moves the focus, or presses the control that has it.
    Ignored,
    Taken,
    /// It is taken, and the window is to do this.
    Shortcut(Shortcut),
}

impl Stage {
    /// Handles a key that is pressed.
    pub fn key(&mut self, key: Key, repeated: bool, now: Instant, env: &mut Environment) -> KeyUse {
        let taken = match self.navigation.screen {
            Screen::NewWorld { .. } => self.new_world_key(key, env),
            Screen::Worlds { .. } => self.worlds_key(key, env),
            Screen::Cells { .. } => self.page_key(key, env, Navigation::cells_key),
            Screen::Film { .. } => self.page_key(key, env, Navigation::film_key),
            Screen::Browse { .. } => self.page_key(key, env, Navigation::browser_key),
            _ if self.play.saver.is_open() => self.saver_key(key, env),
            _ => return self.game_key(key, repeated, now, env),
        };
        if taken {
            KeyUse::Taken
        } else {
            KeyUse::Ignored
        }
    }

    fn saver_key(&mut self, key: Key, env: &mut Environment) -> bool {
        let (saver, game) = (&mut self.play.saver, &mut self.play.game);
        let event = saver.key(key);
        let taken = event.is_some();
        if let Some(event) = event {
            saver.handle(event, game, env);
        }
        taken
    }

    /// Handles a key on the "New world" page that no control has consumed.
    fn new_world_key(&mut self, key: Key, env: &mut Environment) -> bool {
        let page = self.navigation.page.as_mut();
        let request = match key {
            Key::Escape => Some(PageRequest::Back),
            Key::Enter => page.and_then(NewWorldPage::enter),
            Key::S => {
                page.map(NewWorldPage::save);
                None
            }
            _ => return false,
        };
        if let Some(request) = request {
            self.handle_request(request, env);
        }
        true
    }

    /// Handles a key on the worlds page; unhandled keys move the focus or press the focused card.
    fn worlds_key(&mut self, key: Key, env: &mut Environment) -> bool {
        let again = self.play.game.session.keys.shortcut(key) == Some(Shortcut::Worlds);
        if key == Key::Escape || again {
            self.close_page(env);
            return true;
        }
        if env.device.nothing_has_focus() {
            self.navigation.focus_picker();
        }
        false
    }

    /// Handles a key on a page that Escape closes; a focused control comes before the page.
    fn page_key(
        &mut self,
        key: Key,
        env: &mut Environment,
        of_page: fn(&mut Navigation, Key) -> bool,
    ) -> bool {
        if Popup::is_any_open(&env.device.context) {
            return false;
        }
        if key == Key::Escape {
            self.close_page(env);
            return true;
        }
        env.device.nothing_has_focus() && of_page(&mut self.navigation, key)
    }

    fn game_key(
        &mut self,
        key: Key,
        repeated: bool,
        now: Instant,
        env: &mut Environment,
    ) -> KeyUse {
        let (play, preferences) = (&mut self.play, &mut env.preferences);
        let device_failed = play.game.failure().map(|failure| failure.device);
        if let (Key::Enter, Some(device), true) =
            (key, device_failed, env.device.nothing_has_focus())
        {
            if device {
                play.continue_on_cpu();
            } else {
                play.restart(None);
            }
            return KeyUse::Taken;
        }
        if play.game.session.keys.uses(key) {
            play.dismiss_welcome(preferences);
            play.game.press(key, now);
            return KeyUse::Taken;
        }
        if preferences.welcome && matches!(key, Key::Escape | Key::Enter) {
            play.dismiss_welcome(preferences);
            return KeyUse::Taken;
        }
        if let Some(shortcut) = play.game.session.keys.shortcut(key) {
            if !repeated {
                play.hold_shortcut(shortcut, now, &env.device.context);
            }
            // The held keys of the timeline run by themselves.
            return if !repeated || shortcut == Shortcut::Step {
                KeyUse::Shortcut(shortcut)
            } else {
                KeyUse::Taken
            };
        }
        match (&self.navigation.screen, key) {
            (Screen::Recording(..), Key::Enter) => self.finish_recording(true, env),
            (Screen::TryOut, Key::Escape) => {
                self.return_to_new_world(env);
            }
            (_, Key::Escape) if env.notices.dismiss() => {}
            _ => return KeyUse::Ignored,
        }
        KeyUse::Taken
    }
}
