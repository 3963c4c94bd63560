//! Held keys that go through time, and the quick slot.

use std::time::{Duration, Instant};

use driftless_sim::TimelinePosition;

/// How long a key is held before it runs.
pub(super) const HOLD: Duration = Duration::from_millis(350);

/// Keys of the timeline that are held, and the moment of the quick slot.
#[derive(Default)]
pub(super) struct Transport {
    held: Option<HeldStep>,
    /// Whether the world runs ahead of its pace, and was paused before.
    ahead: Option<bool>,
    /// The moment that *Quick load* goes back to.
    pub slot: Option<TimelinePosition>,
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
pub(super) enum HeldAction {
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

    /// Notes that a key which goes `by` frames is down.
    pub fn hold(&mut self, by: isize, now: Instant) {
        self.held = Some(HeldStep {
            by,
            since: now,
            last: now,
        });
    }

    /// Notes that no key is down. If the world was running ahead, returns whether it was paused before.
    pub fn release(&mut self) -> Option<bool> {
        self.held = None;
        self.ahead.take()
    }

    /// What the held key asks for in a world with a frame every `period`.
    pub fn poll(&mut self, now: Instant, period: Duration) -> HeldAction {
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
    pub fn run_ahead(&mut self, was_paused: bool) {
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
