//! Moving through time: holding a key to rewind or to run ahead, and the quick slot.

use std::time::{Duration, Instant};

use driftless_sim::{Pace, PlaybackCommand, TimelinePosition};

use super::Window;
use crate::app::keys::Shortcut;

/// How long a key is held before it runs.
const HOLD: Duration = Duration::from_millis(350);

/// Keys of the timeline that are held, and the remembered moment.
#[derive(Default)]
pub(super) struct Transport {
    held: Option<HeldStep>,
    /// Whether the world runs ahead of its pace, and was paused before.
    ahead: Option<bool>,
    /// The moment that *Quick load* goes back to.
    slot: Option<TimelinePosition>,
}

/// A held key that goes through the frames.
struct HeldStep {
    /// Frames per step: −1 or 1.
    by: isize,
    since: Instant,
    /// When the last step was made.
    last: Instant,
}

impl Transport {
    /// Forgets everything about a world that is left.
    pub fn leave_world(&mut self) {
        *self = Self::default();
    }
}

impl Window {
    /// Notes that a key which goes through the frames is down.
    pub(super) fn hold_step(&mut self, shortcut: Shortcut, now: Instant) {
        let by = match shortcut {
            Shortcut::PreviousFrame => -1,
            Shortcut::NextFrame => 1,
            _ => return,
        };
        self.transport.held = Some(HeldStep {
            by,
            since: now,
            last: now,
        });
        self.device.context.request_repaint_after(HOLD);
    }

    /// Notes that a key is up, or that the keyboard is lost.
    pub(super) fn release_step(&mut self) {
        self.transport.held = None;
        if let Some(was_paused) = self.transport.ahead.take() {
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
        let Some(held) = &mut self.transport.held else {
            return;
        };
        if now.saturating_duration_since(held.since) < HOLD || self.transport.ahead.is_some() {
            return;
        }
        let fps = self.game.session.world.fps.max(1.0);
        let period = Duration::from_secs_f32(1.0 / fps);
        let since_last = now.saturating_duration_since(held.last);
        if since_last < period {
            self.device
                .context
                .request_repaint_after(period - since_last);
            return;
        }
        held.last = now;
        let by = held.by;
        self.device.context.request_repaint_after(period);
        if by > 0 && self.analysis.timeline.offset(1).is_none() {
            self.transport.ahead = Some(self.game.is_paused());
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

    /// Whether the world runs ahead, or backward, because a key is held.
    pub(super) fn running(&self) -> Option<&'static str> {
        let held = self.transport.held.as_ref()?;
        let runs = held.last > held.since;
        match (self.transport.ahead, held.by) {
            (Some(_), _) => Some("AHEAD »"),
            (None, -1) if runs => Some("« REWIND"),
            (None, _) if runs => Some("FORWARD »"),
            _ => None,
        }
    }

    /// Remembers the current moment.
    pub(super) fn quick_save(&mut self) {
        let Some(frame) = &self.game.frame else {
            return;
        };
        self.transport.slot = Some(frame.position);
        let keys = self.game.session.keys.shortcut_text(Shortcut::QuickLoad);
        self.notices.info(format!(
            "This moment is remembered. {keys} comes back to it."
        ));
    }

    /// Goes back to the remembered moment, and plays on if the game was playing.
    pub(super) fn quick_load(&mut self) {
        let Some(slot) = self.transport.slot else {
            let keys = self.game.session.keys.shortcut_text(Shortcut::QuickSave);
            self.notices
                .info(format!("No moment is remembered. {keys} remembers one."));
            return;
        };
        let was_playing = !self.game.is_paused();
        self.analysis.seek(slot, &mut self.game);
        if was_playing {
            self.game.resume();
        }
    }
}
