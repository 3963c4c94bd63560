//! What keys and buttons do.

use std::time::Instant;

use eframe::egui::Key;

use driftless_sim::{CaptureCommand, EpisodeCommand, PlaybackCommand};

use super::navigation::Screen;
use super::{Window, WorldThread};
use crate::app::denoising::DenoisingStrip;
use crate::app::inspect::InspectPanel;
use crate::app::keys::Shortcut;

impl Window {
    /// Handles a key for the world or the window; returns whether it is consumed, else egui gets it.
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
        if pressed {
            plain && !typing && self.key_pressed(key, now)
        } else {
            self.key_released(key, now)
        }
    }

    fn key_released(&mut self, key: Key, now: Instant) -> bool {
        self.shortcut_keys_down.retain(|down| *down != key);
        let was_down = self.held.release(key);
        if was_down {
            self.send_held_action(now);
        }
        was_down
    }

    fn key_pressed(&mut self, key: Key, now: Instant) -> bool {
        if self.screen == Screen::NewWorld {
            return self.new_world_key(key);
        }
        if let Screen::Worlds { .. } = self.screen {
            return self.worlds_key(key);
        }
        if self.saving.is_some() {
            return self.saving_key(key);
        }
        let free = self.context.memory(|memory| memory.focused().is_none());
        if let (Key::Enter, true, WorldThread::Failed(failure)) = (key, free, &self.world) {
            if failure.device {
                self.continue_on_cpu()
            } else {
                self.restart()
            }
            return true;
        }
        if self.session.keys.uses(key) {
            self.dismiss_welcome();
            if self.held.press(key) {
                self.send_held_action(now);
            }
            return true;
        }
        if self.welcome && matches!(key, Key::Escape | Key::Enter) {
            self.dismiss_welcome();
            return true;
        }
        if let Some(shortcut) = self.session.keys.shortcut(key) {
            // Key repeat steps through frames, but must not toggle pause.
            let held = self.shortcut_keys_down.contains(&key);
            if !held {
                self.shortcut_keys_down.push(key);
            }
            let repeats = matches!(
                shortcut,
                Shortcut::PreviousFrame | Shortcut::NextFrame | Shortcut::Step
            );
            if !held || repeats {
                self.act(shortcut);
            }
            return true;
        }
        self.temporary_game_key(key)
    }

    pub(super) fn act(&mut self, shortcut: Shortcut) {
        match shortcut {
            Shortcut::Pause => {
                self.paused = !self.paused;
                self.stats.reset_rate();
                self.send(if self.paused {
                    PlaybackCommand::Pause
                } else {
                    PlaybackCommand::Resume
                });
            }
            Shortcut::Step => {
                self.paused = true;
                self.stats.reset_rate();
                self.send(PlaybackCommand::Step);
            }
            Shortcut::Reset => self.send(EpisodeCommand::Reset),
            Shortcut::NextScene => self.send(EpisodeCommand::NextContext),
            Shortcut::Overlay => self.hud = !self.hud,
            Shortcut::Denoising => {
                self.denoising = match self.denoising {
                    Some(_) => None,
                    None => Some(DenoisingStrip::default()),
                };
                self.send(CaptureCommand::Trace(self.denoising.is_some()));
            }
            Shortcut::Timeline => self.analysis.timeline_open = !self.analysis.timeline_open,
            Shortcut::PreviousFrame => self.seek_by(-1),
            Shortcut::NextFrame => self.seek_by(1),
            Shortcut::Compare => self.toggle_comparison(),
            Shortcut::Difference => self.toggle_difference(),
            Shortcut::Plots => {
                self.analysis.plots_open = !self.analysis.plots_open;
                self.send(CaptureCommand::Measure(self.analysis.plots_open));
            }
            Shortcut::Save => self.save(),
            Shortcut::Tuning => {
                self.tuning_open = Some(!self.tuning_open.unwrap_or(true));
                self.store.config.tuning = self.tuning_open;
            }
            Shortcut::Inspect => {
                self.inspect = match self.inspect {
                    Some(_) => None,
                    None => Some(InspectPanel::default()),
                };
                self.send(CaptureCommand::Inspect(self.inspect.is_some()));
            }
            Shortcut::Worlds => self.open_worlds(),
            Shortcut::NewWorld => self.open_new_world(),
            Shortcut::Mouse => self.toggle_mouse(),
            Shortcut::Settings => self.toggle_settings(),
            Shortcut::FullScreen => self.toggle_full_screen(),
            Shortcut::Help => self.toggle_help(),
        }
    }
}
