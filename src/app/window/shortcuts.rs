//! What a key, or a button in its place, does.

use std::time::Instant;

use eframe::egui::Key;

use super::away::View;
use super::{Window, World};
use crate::app::denoising::Denoising;
use crate::app::inspect::Inspect;
use crate::app::keys::Shortcut;
use driftless_sim::Command;

impl Window {
    /// Handles the keys that belong to the world or the window; the others stay with egui.
    pub(super) fn key(
        &mut self,
        key: Key,
        pressed: bool,
        plain: bool,
        typing: bool,
        now: Instant,
    ) -> bool {
        if let Some(taken) = self.overlay_key(key, pressed, plain) {
            return taken;
        }
        if !pressed {
            self.down.retain(|down| *down != key);
            let was_down = self.held.release(key);
            if was_down {
                self.hold(now);
            }
            return was_down;
        }
        if typing || !plain {
            return false;
        }
        if self.view == View::Page {
            return self.page_key(key);
        }
        if let View::Worlds { .. } = self.view {
            return self.worlds_key(key);
        }
        if self.saving.is_some() {
            return self.saving_key(key);
        }
        let free = self.context.memory(|memory| memory.focused().is_none());
        if let (Key::Enter, true, World::Failed(failure)) = (key, free, &self.world) {
            match failure.device {
                true => self.go_on(),
                false => self.restart(),
            }
            return true;
        }
        if self.played.keys.uses(key) {
            self.dismiss();
            if self.held.press(key) {
                self.hold(now);
            }
            return true;
        }
        if self.welcome && matches!(key, Key::Escape | Key::Enter) {
            self.dismiss();
            return true;
        }
        if let Some(shortcut) = self.played.keys.shortcut(key) {
            // Who holds a key down wants to travel on, and not to pause and resume.
            let held = self.down.contains(&key);
            if !held {
                self.down.push(key);
            }
            let goes_on = matches!(shortcut, Shortcut::Back | Shortcut::Ahead | Shortcut::Step);
            if !held || goes_on {
                self.act(shortcut);
            }
            return true;
        }
        self.away_key(key)
    }

    pub(super) fn act(&mut self, shortcut: Shortcut) {
        match shortcut {
            Shortcut::Pause => {
                self.paused = !self.paused;
                self.stats.forget_rates();
                self.send(if self.paused {
                    Command::Pause
                } else {
                    Command::Resume
                });
            }
            Shortcut::Step => {
                self.paused = true;
                self.stats.forget_rates();
                self.send(Command::Step);
            }
            Shortcut::Reset => self.send(Command::Reset),
            Shortcut::NextContext => self.send(Command::NextContext),
            Shortcut::Hud => self.hud = !self.hud,
            Shortcut::Denoising => {
                self.denoising = match self.denoising {
                    Some(_) => None,
                    None => Some(Denoising::default()),
                };
                self.send(Command::Trace(self.denoising.is_some()));
            }
            Shortcut::Timeline => self.study.timeline_open = !self.study.timeline_open,
            Shortcut::Back => self.travel(-1),
            Shortcut::Ahead => self.travel(1),
            Shortcut::Truth => self.toggle_truth(),
            Shortcut::Difference => self.toggle_difference(),
            Shortcut::Plots => {
                self.study.plots_open = !self.study.plots_open;
                self.send(Command::Measure(self.study.plots_open));
            }
            Shortcut::Save => self.save(),
            Shortcut::Tuning => {
                self.tuning_open = Some(!self.tuning_open.unwrap_or(true));
                self.store.config.tuning = self.tuning_open;
            }
            Shortcut::Inspect => {
                self.inspect = match self.inspect {
                    Some(_) => None,
                    None => Some(Inspect::default()),
                };
                self.send(Command::Inspect(self.inspect.is_some()));
            }
            Shortcut::Worlds => self.open_worlds(),
            Shortcut::NewWorld => self.open_page(),
            Shortcut::Mouse => self.toggle_mouse(),
            Shortcut::Preferences => self.toggle_preferences(),
            Shortcut::FullScreen => self.toggle_full_screen(),
            Shortcut::Help => self.toggle_help(),
        }
    }
}
