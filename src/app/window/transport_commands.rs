//! Moving through time: holding a key to rewind or to run ahead, and the quick slot.

use std::time::{Duration, Instant};

use driftless_sim::{Pace, PlaybackCommand};

use super::Window;
use super::transport::{HOLD, HeldAction};
use crate::app::keys::Shortcut;

impl Window {
    /// Notes that a key which goes through the frames is down.
    pub(super) fn hold_step(&mut self, shortcut: Shortcut, now: Instant) {
        let by = match shortcut {
            Shortcut::PreviousFrame => -1,
            Shortcut::NextFrame => 1,
            _ => return,
        };
        self.transport.hold(by, now);
        self.device.context.request_repaint_after(HOLD);
    }

    /// Notes that a key is up, or that the keyboard is lost.
    pub(super) fn release_step(&mut self) {
        if let Some(was_paused) = self.transport.release() {
            let pace = self.game.session.tuning.settings.pace();
            self.game.send(PlaybackCommand::Pace(pace));
            if was_paused {
                self.game.pause();
            }
        }
    }

    /// Goes on while a key is held: back or forward at the world's pace, and past the last frame as fast as
    /// the world can.
    pub(super) fn run_held_step(&mut self, now: Instant) {
        let fps = self.game.session.world.fps.max(1.0);
        let period = Duration::from_secs_f32(1.0 / fps);
        let context = &self.device.context;
        let by = match self.transport.poll(now, period) {
            HeldAction::Nothing => return,
            HeldAction::Wait(time) => return context.request_repaint_after(time),
            HeldAction::Step(by) => by,
        };
        context.request_repaint_after(period);
        if by > 0 && self.analysis.timeline.offset(1).is_none() {
            self.transport.run_ahead(self.game.is_paused());
            self.game.send(PlaybackCommand::Pace(Pace::Unlimited));
            self.game.resume();
            return;
        }
        // One step at a time: the frame before must have arrived.
        let arrived = self.game.frame.as_ref().map(|frame| frame.position);
        if arrived == Some(self.analysis.timeline.position()) {
            self.analysis.seek_by(by, &mut self.game);
        }
    }

    /// Saves the current moment in the quick slot.
    pub(super) fn quick_save(&mut self) {
        let Some(frame) = &self.game.frame else {
            return;
        };
        self.transport.slot = Some(frame.position);
        let keys = self.game.session.keys.shortcut_text(Shortcut::QuickLoad);
        self.notices
            .info(format!("This moment is saved. {keys} goes back to it."));
    }

    /// Goes back to the moment in the quick slot, and plays on if the game was playing.
    pub(super) fn quick_load(&mut self) {
        let Some(slot) = self.transport.slot else {
            let keys = self.game.session.keys.shortcut_text(Shortcut::QuickSave);
            self.notices
                .info(format!("No moment is saved. {keys} saves one."));
            return;
        };
        let was_playing = !self.game.is_paused();
        self.analysis.seek(slot, &mut self.game);
        if was_playing {
            self.game.resume();
        }
    }
}
