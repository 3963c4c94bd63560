//! Moving through time: holding a key to rewind or to run ahead, and the quick slot.

use std::time::{Duration, Instant};

use eframe::egui::Context;

use driftless_sim::{Pace, PlaybackCommand, TimelinePosition};

use super::analysis::Analysis;
use super::game::GameState;
use crate::app::keys::Shortcut;

/// How long a key is held before it runs.
const HOLD: Duration = Duration::from_millis(350);

/// Keys of the timeline that are held, and the moment of the quick slot.
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

/// What a held key asks for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeldAction {
    Nothing,
    /// To be asked again after this time.
    Wait(Duration),
    /// To go so many frames, −1 or 1.
    Step(isize),
}

impl Transport {
    /// Forgets everything about a world that is left.
    pub fn leave_world(&mut self) {
        *self = Self::default();
    }

    /// Notes that the key of a shortcut is down, which may go through the frames.
    pub fn press(&mut self, shortcut: Shortcut, now: Instant, context: &Context) {
        let by = match shortcut {
            Shortcut::PreviousFrame => -1,
            Shortcut::NextFrame => 1,
            _ => return,
        };
        self.hold(by, now);
        context.request_repaint_after(HOLD);
    }

    /// Notes that a key is up, or that the keyboard is lost.
    pub fn release_keys(&mut self, game: &mut GameState) {
        if let Some(was_paused) = self.release() {
            let pace = game.session.tuning.settings.pace();
            game.send(PlaybackCommand::Pace(pace));
            if was_paused {
                game.pause();
            }
        }
    }

    /// Goes on while a key is held: back or forward at the world's pace, and past the last frame as fast as
    /// the world can.
    pub fn run(
        &mut self,
        now: Instant,
        game: &mut GameState,
        analysis: &mut Analysis,
        context: &Context,
    ) {
        let fps = game.session.world.fps.max(1.0);
        let period = Duration::from_secs_f32(1.0 / fps);
        let by = match self.poll(now, period) {
            HeldAction::Nothing => return,
            HeldAction::Wait(time) => return context.request_repaint_after(time),
            HeldAction::Step(by) => by,
        };
        context.request_repaint_after(period);
        if by > 0 && analysis.timeline.offset(1).is_none() {
            self.run_ahead(game.is_paused());
            game.send(PlaybackCommand::Pace(Pace::Unlimited));
            game.resume();
            return;
        }
        // One step at a time: the frame before must have arrived.
        let arrived = game.frame.as_ref().map(|frame| frame.position);
        if arrived == Some(analysis.timeline.position()) {
            analysis.seek_by(by, game);
        }
    }

    /// Saves the current moment in the quick slot; returns what to say.
    pub fn save_moment(&mut self, game: &GameState) -> Option<String> {
        self.slot = Some(game.frame.as_ref()?.position);
        let keys = game.session.keys.shortcut_text(Shortcut::QuickLoad);
        Some(format!("This moment is saved. {keys} goes back to it."))
    }

    /// Goes back to the moment in the quick slot, and plays on if the game was playing. Returns what to say
    /// if there is none.
    pub fn load_moment(&self, game: &mut GameState, analysis: &mut Analysis) -> Option<String> {
        let Some(slot) = self.slot else {
            let keys = game.session.keys.shortcut_text(Shortcut::QuickSave);
            return Some(format!("No moment is saved. {keys} saves one."));
        };
        let was_playing = !game.is_paused();
        analysis.seek(slot, game);
        if was_playing {
            game.resume();
        }
        None
    }

    /// Notes that a key which goes `by` frames is down.
    fn hold(&mut self, by: isize, now: Instant) {
        self.held = Some(HeldStep {
            by,
            since: now,
            last: now,
        });
    }

    /// Notes that no key is down. If the world was running ahead, returns whether it was paused before.
    fn release(&mut self) -> Option<bool> {
        self.held = None;
        self.ahead.take()
    }

    /// What the held key asks for in a world with a frame every `period`.
    fn poll(&mut self, now: Instant, period: Duration) -> HeldAction {
        let Some(held) = &mut self.held else {
            return HeldAction::Nothing;
        };
        if now.saturating_duration_since(held.since) < HOLD || self.ahead.is_some() {
            return HeldAction::Nothing;
        }
        let since_last = now.saturating_duration_since(held.last);
        if since_last < period {
            return HeldAction::Wait(period - since_last);
        }
        held.last = now;
        HeldAction::Step(held.by)
    }

    /// Notes that the world runs ahead from now on.
    fn run_ahead(&mut self, was_paused: bool) {
        self.ahead = Some(was_paused);
    }

    /// What to show while the world runs ahead, or backward, because a key is held.
    pub fn label(&self) -> Option<&'static str> {
        let held = self.held.as_ref()?;
        let runs = held.last > held.since;
        match (self.ahead, held.by) {
            (Some(_), _) => Some("AHEAD »"),
            (None, -1) if runs => Some("« REWIND"),
            (None, _) if runs => Some("FORWARD »"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_key_steps_once_per_frame() {
        let (mut transport, start) = (Transport::default(), Instant::now());
        let period = Duration::from_millis(100);
        assert_eq!(transport.poll(start, period), HeldAction::Nothing);
        transport.hold(-1, start);
        assert_eq!(
            transport.poll(start + HOLD / 2, period),
            HeldAction::Nothing
        );
        assert_eq!(transport.poll(start + HOLD, period), HeldAction::Step(-1));
        assert_eq!(transport.label(), Some("« REWIND"));
        let soon = start + HOLD + period / 4;
        assert_eq!(
            transport.poll(soon, period),
            HeldAction::Wait(period - period / 4)
        );
        transport.run_ahead(true);
        assert_eq!(
            transport.poll(start + 9 * HOLD, period),
            HeldAction::Nothing
        );
        assert_eq!(transport.release(), Some(true));
        assert_eq!((transport.release(), transport.label()), (None, None));
    }
}
