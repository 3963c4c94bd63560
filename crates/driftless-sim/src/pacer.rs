//! When frames are made: the pace, pauses and single steps.

use std::time::Instant;

use super::{Pace, PlaybackCommand};

/// Decides when the next frame is due.
pub(super) struct Pacer {
    pace: Pace,
    paused: bool,
    /// Frames to make although paused.
    pending_steps: usize,
    /// When the last frame was due.
    last_due: Instant,
}

impl Pacer {
    pub fn new(pace: Pace, paused: bool) -> Self {
        Self {
            pace,
            paused,
            pending_steps: 0,
            last_due: Instant::now(),
        }
    }

    pub fn handle(&mut self, command: PlaybackCommand) {
        match command {
            PlaybackCommand::Pause => self.paused = true,
            PlaybackCommand::Resume => {
                self.paused = false;
                self.pending_steps = 0;
            }
            PlaybackCommand::Step => {
                self.paused = true;
                self.pending_steps += 1;
            }
            PlaybackCommand::Pace(pace) => self.pace = pace,
        }
    }

    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Pauses without the steps that were still to be made.
    pub fn halt(&mut self) {
        self.paused = true;
        self.pending_steps = 0;
    }

    /// Pauses or goes on, after [`Pacer::halt`].
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// When the next frame is due; `None` while paused.
    pub fn next_due(&self) -> Option<Instant> {
        if !self.paused {
            Some(self.last_due + self.pace.period())
        } else if self.pending_steps > 0 {
            Some(Instant::now())
        } else {
            None
        }
    }

    /// Begins the frame that was due at `due`, keeping to the beat. A delay of a whole period or
    /// more is not caught up.
    pub fn begin_frame(&mut self, due: Instant) {
        let now = Instant::now();
        self.last_due = if now.duration_since(due) < self.pace.period() {
            due
        } else {
            now
        };
        self.pending_steps = self.pending_steps.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PERIOD: Duration = Duration::from_millis(125);

    #[test]
    fn steps_are_made_while_paused() {
        let mut pacer = Pacer::new(Pace::Unlimited, true);
        assert_eq!(pacer.next_due(), None);
        pacer.handle(PlaybackCommand::Step);
        pacer.handle(PlaybackCommand::Step);
        for _ in 0..2 {
            let due = pacer.next_due().unwrap();
            pacer.begin_frame(due);
        }
        assert_eq!(pacer.next_due(), None);
        pacer.handle(PlaybackCommand::Step);
        pacer.halt();
        assert_eq!(pacer.next_due(), None);
    }

    #[test]
    fn short_delays_are_caught_up() {
        let mut pacer = Pacer::new(Pace::Fps(8.0), false);
        // Within its period, a late frame leaves the beat as it is.
        let due = Instant::now();
        pacer.begin_frame(due);
        assert_eq!(pacer.next_due(), Some(due + PERIOD));
        // A period too late, the beat starts anew.
        pacer.begin_frame(due - 2 * PERIOD);
        assert!(pacer.next_due().unwrap() >= due + PERIOD);
    }
}
