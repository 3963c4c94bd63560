//! What keys and buttons do.

use std::time::Instant;

use eframe::egui::{Key, Popup, ViewportCommand};

use driftless_sim::EpisodeCommand;

use super::Window;
use super::inputs::Modifiers;
use super::navigation::Screen;
use super::overlay::Overlay;
use super::save::PictureUse;
use crate::app::desktop::open_folder;
use crate::app::keys::Shortcut;
use crate::app::new_world::{NewWorldPage, PageRequest};
use crate::app::widgets::show_letters;

/// Keys that move the focus or scroll.
const MOVING_KEYS: [Key; 9] = [
    Key::ArrowUp,
    Key::ArrowDown,
    Key::ArrowLeft,
    Key::ArrowRight,
    Key::PageUp,
    Key::PageDown,
    Key::Home,
    Key::End,
    Key::Tab,
];

impl Window {
    /// The key that is pressed or released at a place of the keyboard.
    pub(super) fn key_at_place(&mut self, place: Option<Key>, letter: Key, pressed: bool) -> Key {
        if !pressed {
            return self.inputs.places.release(place, letter);
        }
        let captures = self.overlay.as_ref().is_some_and(Overlay::is_capturing);
        let keys = &self.game.session.keys;
        let key = self.inputs.places.press(place, letter, keys, captures);
        show_letters(&self.device.context, self.inputs.places.letters());
        key
    }

    /// Handles a key for the world or the window; returns whether it is consumed, else egui gets it.
    pub(super) fn key(
        &mut self,
        key: Key,
        pressed: bool,
        with: Modifiers,
        typing: bool,
        now: Instant,
    ) -> bool {
        if !pressed {
            if let Some(shortcut) = self.game.session.keys.shortcut(key)
                && shortcut.repeats()
            {
                self.release_step();
            }
            if let Some(overlay) = &mut self.overlay {
                overlay.key_released(key);
            }
            self.inputs.release_key(key);
            return self.game.release(key, now);
        }
        let repeated = self.inputs.press_key(key);
        if repeated && !self.may_repeat(key) {
            return true;
        }
        if key == Key::Escape
            && self
                .inputs
                .release_mouse(&self.device.context, &mut self.game)
        {
            return true;
        }
        if let Some(taken) = self.overlay_key(key, with.plain) {
            return taken;
        }
        if with.control && !typing && !repeated && self.takes_commands() {
            let shortcut = self.game.session.keys.control_shortcut(key);
            if let Some(shortcut) = shortcut {
                self.act(shortcut);
                return true;
            }
        }
        with.plain && !typing && self.key_pressed(key, repeated, now)
    }

    /// Whether commands apply: no card lies above.
    pub(super) fn takes_commands(&self) -> bool {
        self.overlay.is_none() && !self.saving.is_open()
    }

    /// Handles a key while a modal page is open or for opening one. Returns `None` if the key is for
    /// the game or the page below, else whether it is consumed.
    fn overlay_key(&mut self, key: Key, plain: bool) -> Option<bool> {
        if let Some(overlay) = &mut self.overlay
            && overlay.capture_key(key, &self.game, &mut self.preferences)
        {
            self.apply_bindings();
            return Some(true);
        }
        let above = self.overlay.is_some();
        let shortcut = match key {
            Key::F1 => Some(Shortcut::Help),
            Key::F10 => Some(Shortcut::Settings),
            Key::F11 => Some(Shortcut::FullScreen),
            _ => None,
        };
        match shortcut.filter(|_| plain && (above || self.navigation.is_on_page())) {
            Some(shortcut) => {
                self.act(shortcut);
                Some(true)
            }
            // Other keys go to the page's controls.
            None => above.then_some(false),
        }
    }

    /// Whether a key that is held down acts again: it moves the focus, edits text, plays and steps
    /// through frames, but chooses, opens and closes nothing.
    fn may_repeat(&self, key: Key) -> bool {
        if self.device.context.text_edit_focused() {
            return true;
        }
        let above_game =
            self.overlay.is_some() || self.navigation.is_on_page() || self.saving.is_open();
        if above_game {
            MOVING_KEYS.contains(&key)
        } else {
            !matches!(key, Key::Enter | Key::Escape)
        }
    }

    fn key_pressed(&mut self, key: Key, repeated: bool, now: Instant) -> bool {
        match self.navigation.screen {
            Screen::NewWorld { .. } => self.new_world_key(key),
            Screen::Worlds { .. } => self.worlds_key(key),
            Screen::Cells { .. } => self.cells_key(key),
            _ if self.saving.is_open() => match self.saving.key(key) {
                Some(event) => {
                    self.handle_saving(event);
                    true
                }
                None => false,
            },
            _ => self.game_key(key, repeated, now),
        }
    }

    /// Handles a key on the "New world" page that no control has consumed.
    fn new_world_key(&mut self, key: Key) -> bool {
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
            self.handle_request(request);
        }
        true
    }

    /// Handles a key on the worlds page; unhandled keys move the focus or press the focused card.
    fn worlds_key(&mut self, key: Key) -> bool {
        let again = self.game.session.keys.shortcut(key) == Some(Shortcut::Worlds);
        if key == Key::Escape || again {
            self.close_page();
            return true;
        }
        if self.nothing_has_focus() {
            self.navigation.focus_picker();
        }
        false
    }

    /// Handles a key on the page of a transport network; a focused control comes first.
    fn cells_key(&mut self, key: Key) -> bool {
        if Popup::is_any_open(&self.device.context) {
            return false;
        }
        if key == Key::Escape {
            self.close_page();
            return true;
        }
        self.nothing_has_focus() && self.navigation.cells_key(key)
    }

    fn game_key(&mut self, key: Key, repeated: bool, now: Instant) -> bool {
        let device_failed = self.game.failure().map(|failure| failure.device);
        if let (Key::Enter, Some(device), true) = (key, device_failed, self.nothing_has_focus()) {
            if device {
                self.continue_on_cpu();
            } else {
                self.restart(None);
            }
            return true;
        }
        if self.game.session.keys.uses(key) {
            self.dismiss_welcome();
            self.game.press(key, now);
            return true;
        }
        if self.preferences.welcome && matches!(key, Key::Escape | Key::Enter) {
            self.dismiss_welcome();
            return true;
        }
        if let Some(shortcut) = self.game.session.keys.shortcut(key) {
            if !repeated {
                self.hold_step(shortcut, now);
            }
            // The held keys of the timeline run by themselves.
            if !repeated || shortcut == Shortcut::Step {
                self.act(shortcut);
            }
            return true;
        }
        match (&self.navigation.screen, key) {
            (Screen::Recording(..), Key::Enter) => self.finish_recording(true),
            (Screen::TryOut, Key::Escape) => {
                self.return_to_new_world();
            }
            (_, Key::Escape) => return self.notices.dismiss(),
            _ => return false,
        }
        true
    }

    fn nothing_has_focus(&self) -> bool {
        let context = &self.device.context;
        context.memory(|memory| memory.focused().is_none())
    }

    pub(super) fn act(&mut self, shortcut: Shortcut) {
        let (game, analysis) = (&mut self.game, &mut self.analysis);
        match shortcut {
            Shortcut::Pause => game.toggle_pause(),
            Shortcut::Step => game.step(),
            Shortcut::Autoplay => self.toggle_autoplay(),
            Shortcut::Reset => game.send(EpisodeCommand::Reset),
            Shortcut::NextScene => game.send(EpisodeCommand::NextClip),
            Shortcut::Overlay => {
                let hud = &mut self.preferences.config_mut().hud;
                *hud = !*hud;
            }
            Shortcut::Denoising => analysis.toggle_denoising(game),
            Shortcut::Timeline => analysis.timeline_open = !analysis.timeline_open,
            Shortcut::PreviousFrame => analysis.seek_by(-1, game),
            Shortcut::NextFrame => analysis.seek_by(1, game),
            Shortcut::Compare => {
                if let Some(why) = analysis.toggle_comparison(game) {
                    self.notices.info(why);
                }
            }
            Shortcut::Difference => {
                if let Some(why) = analysis.toggle_difference() {
                    self.notices.info(why);
                }
            }
            Shortcut::Plots => analysis.toggle_plots(game),
            Shortcut::Save => self.save(),
            Shortcut::SaveRecent => self.save_recent(),
            Shortcut::Screenshot => self.take_picture(PictureUse::Save),
            Shortcut::CopyPicture => self.take_picture(PictureUse::Copy),
            Shortcut::Share => self.share(),
            Shortcut::OpenFolder => {
                let opened = self.navigation.saved_folder();
                self.report(opened.and_then(|folder| open_folder(&folder)));
            }
            Shortcut::QuickSave => self.quick_save(),
            Shortcut::QuickLoad => self.quick_load(),
            Shortcut::Undo => self.undo(),
            Shortcut::OpenFile => self.toggle_overlay(Overlay::open),
            Shortcut::Lab => self.toggle_lab(),
            Shortcut::Commands => self.toggle_overlay(Overlay::commands),
            Shortcut::About => {
                self.toggle_overlay(Overlay::about);
                let files = self.navigation.files();
                self.overlay
                    .iter_mut()
                    .for_each(|page| page.name_files(files.clone()));
            }
            Shortcut::Quit => self.device.command(ViewportCommand::Close),
            Shortcut::Tuning => self.preferences.toggle_tuning(),
            Shortcut::Inspect => analysis.toggle_inspect(game),
            Shortcut::Worlds => self.open_worlds(),
            Shortcut::NewWorld => self.open_new_world(),
            Shortcut::Mouse => self.toggle_mouse(),
            Shortcut::Settings => self.toggle_overlay(Overlay::settings),
            Shortcut::FullScreen => self.device.toggle_full_screen(),
            Shortcut::Help => self.toggle_overlay(Overlay::help),
        }
    }

    /// Lets the world play itself, or takes over.
    fn toggle_autoplay(&mut self) {
        self.dismiss_welcome();
        self.game.toggle_autoplay();
    }

    /// Goes to the lab or back to the game alone, whose panels are closed.
    fn toggle_lab(&mut self) {
        if self.preferences.toggle_lab() {
            return;
        }
        let (game, analysis) = (&self.game, &mut self.analysis);
        analysis.timeline_open = false;
        if analysis.plots_open {
            analysis.toggle_plots(game);
        }
        if analysis.denoising.is_some() {
            analysis.toggle_denoising(game);
        }
        if analysis.inspect.is_some() {
            analysis.toggle_inspect(game);
        }
    }

    pub(super) fn toggle_mouse(&mut self) {
        let hint = self
            .inputs
            .toggle_mouse(&self.device.context, &mut self.game);
        if let Some(hint) = hint {
            self.dismiss_welcome();
            self.notices.info(hint);
        }
    }

    /// Opens a modal page, or closes it if it is already open. The world is paused behind it.
    fn toggle_overlay(&mut self, page: fn(bool) -> Overlay) {
        let open = self.overlay.take();
        let is_open = open.as_ref().is_some_and(|open| open.is_same(&page(false)));
        if let Some(open) = open {
            self.close_overlay(&open);
        }
        if is_open {
            return;
        }
        self.release_all_input();
        let runs = self.game.is_running() && !self.navigation.is_on_page();
        let resumes = runs && self.game.pause();
        self.overlay = Some(page(resumes));
    }

    pub(super) fn close_overlay(&mut self, overlay: &Overlay) {
        if overlay.resumes {
            self.game.resume();
        }
    }
}
