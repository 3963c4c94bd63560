//! What keys and shortcuts do: which part of the window takes a key, and which does what it stands for.

use std::time::Instant;

use eframe::egui::{Key, ViewportCommand};

use driftless_sim::EpisodeCommand;

use super::Window;
use super::inputs::Modifiers;
use super::overlay::Overlay;
use super::overlays::page_key;
use super::save::PictureUse;
use super::saver::Saver;
use super::stage::KeyUse;
use crate::app::keys::Shortcut;
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
        let play = &mut self.stage.play;
        let places = &mut play.inputs.places;
        if !pressed {
            return places.release(place, letter);
        }
        let keys = &play.game.session.keys;
        let key = places.press(place, letter, keys, self.overlays.is_capturing());
        show_letters(&self.env.device.context, places.letters());
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
            self.overlays.key_released(key);
            return self.stage.play.release_key(key, now);
        }
        let repeated = self.stage.play.inputs.press_key(key);
        if repeated && !self.may_repeat(key) {
            return true;
        }
        let context = &self.env.device.context;
        if key == Key::Escape && self.stage.play.release_mouse(context) {
            return true;
        }
        if let Some(taken) = self.overlay_key(key, with.plain) {
            return taken;
        }
        if with.control && !typing && !repeated && self.takes_commands() {
            let shortcut = self.stage.play.game.session.keys.control_shortcut(key);
            if let Some(shortcut) = shortcut {
                self.act(shortcut);
                return true;
            }
        }
        if !with.plain || typing {
            return false;
        }
        match self.stage.key(key, repeated, now, &mut self.env) {
            KeyUse::Ignored => false,
            KeyUse::Taken => true,
            KeyUse::Shortcut(shortcut) => {
                self.act(shortcut);
                true
            }
        }
    }

    /// Whether commands apply: no card lies above.
    pub(super) fn takes_commands(&self) -> bool {
        !self.overlays.is_open() && !self.stage.play.saver.is_open()
    }

    /// Handles a key while a modal page is open or for opening one. Returns `None` if the key is for
    /// the game or the page below, else whether it is consumed.
    fn overlay_key(&mut self, key: Key, plain: bool) -> Option<bool> {
        let captured = self
            .overlays
            .capture_key(key, &mut self.stage, &mut self.env);
        if captured {
            return Some(true);
        }
        let above = self.overlays.is_open();
        let opens = plain && (above || self.stage.navigation.is_on_page());
        match page_key(key).filter(|_| opens) {
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
        if self.env.device.context.text_edit_focused() {
            return true;
        }
        if !self.takes_commands() || self.stage.navigation.is_on_page() {
            MOVING_KEYS.contains(&key)
        } else {
            !matches!(key, Key::Enter | Key::Escape)
        }
    }

    /// Does what a shortcut stands for.
    pub(super) fn act(&mut self, shortcut: Shortcut) {
        let (env, stage, overlays) = (&mut self.env, &mut self.stage, &mut self.overlays);
        let play = &mut stage.play;
        let (game, analysis) = (&mut play.game, &mut play.analysis);
        if let Some(why) = game.session.keys.why_not(shortcut) {
            return env.notices.info(why);
        }
        match shortcut {
            Shortcut::Pause => game.toggle_pause(),
            Shortcut::Step => game.step(),
            Shortcut::Autoplay => play.toggle_autoplay(&mut env.preferences),
            Shortcut::Reset => game.send(EpisodeCommand::Reset),
            Shortcut::NextScene => game.send(EpisodeCommand::NextClip),
            Shortcut::Overlay => env.preferences.toggle_hud(),
            Shortcut::Denoising => analysis.toggle_denoising(game),
            Shortcut::Timeline => analysis.timeline_open = !analysis.timeline_open,
            Shortcut::PreviousFrame => analysis.seek_by(-1, game),
            Shortcut::NextFrame => analysis.seek_by(1, game),
            Shortcut::Compare => {
                if let Some(why) = analysis.toggle_comparison(game) {
                    env.notices.info(why);
                }
            }
            Shortcut::Difference => {
                if let Some(why) = analysis.toggle_difference() {
                    env.notices.info(why);
                }
            }
            Shortcut::Plots => analysis.toggle_plots(game),
            Shortcut::Inspect => analysis.toggle_inspect(game),
            Shortcut::Save => play.save(env, Saver::save),
            Shortcut::SaveRecent => play.save(env, Saver::save_recent),
            Shortcut::Screenshot => stage.take_picture(PictureUse::Save, env),
            Shortcut::CopyPicture => stage.take_picture(PictureUse::Copy, env),
            Shortcut::Share => play.saver.share(game, env),
            Shortcut::ShareGame => play.saver.share_game(game),
            Shortcut::OpenFolder => env.open_saved_folder(),
            Shortcut::QuickSave => play.quick_save(env),
            Shortcut::QuickLoad => play.quick_load(env),
            Shortcut::Undo => play.undo(env),
            Shortcut::Lab => play.toggle_lab(&mut env.preferences),
            Shortcut::Mouse => play.toggle_mouse(env),
            Shortcut::Tuning => env.preferences.toggle_tuning(),
            Shortcut::Worlds => stage.open_worlds(env),
            Shortcut::NewWorld => stage.open_new_world(env),
            Shortcut::Film => stage.open_film(env),
            Shortcut::OpenFile => overlays.toggle(Overlay::open, stage, env),
            Shortcut::Commands => overlays.toggle(Overlay::commands, stage, env),
            Shortcut::Settings => overlays.toggle(Overlay::settings, stage, env),
            Shortcut::Help => overlays.toggle(Overlay::help, stage, env),
            Shortcut::About => overlays.toggle_about(stage, env),
            Shortcut::FullScreen => env.device.toggle_full_screen(),
            Shortcut::Quit => env.device.command(ViewportCommand::Close),
        }
    }
}
