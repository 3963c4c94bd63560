//! What comes before a capture: the keys are learned, the seconds counted down.

use std::time::Duration;

use crate::clock::{Clock, Schedule};
use crate::source::{CaptureSource, Moment, Picture, WindowState};
use crate::{Activity, Error, KeySet, Result};

/// How often a window is looked at before the capture; what was pressed between two looks counts.
const LOOKS_PER_SECOND: f32 = 20.0;

/// Looks at a window before the capture, each time when the next look is due.
struct Lookout<'a> {
    source: &'a mut dyn CaptureSource,
    clock: &'a dyn Clock,
    schedule: Schedule,
    picture: Picture,
}

impl<'a> Lookout<'a> {
    fn new(source: &'a mut dyn CaptureSource, clock: &'a dyn Clock) -> Self {
        Self {
            source,
            clock,
            schedule: Schedule::new(LOOKS_PER_SECOND, clock.now()),
            picture: Picture::default(),
        }
    }

    /// Waits for the next look, and takes it.
    ///
    /// # Errors
    /// Returns an error if there will be nothing to record: the stop key, or the end of the window or the display.
    fn look(&mut self) -> Result<Moment> {
        self.clock.wait_until(self.schedule.due());
        let moment = self.source.look(&mut self.picture)?;
        self.schedule.reach(self.clock.now());
        self.schedule.advance();
        match moment.state {
            WindowState::Closed | WindowState::Resized(_) => {
                let what = "the window was closed or resized before the capture began";
                Err(Error::Window(what.into()))
            }
            _ if moment.stop => Err(Error::Stopped),
            WindowState::Focused | WindowState::Unfocused => Ok(moment),
        }
    }
}

/// The keys among `keys` that are pressed in the source's window until `length` has passed; `watch` as in [`record`](crate::record).
///
/// # Errors
/// Returns an error if the display goes or the window closes, or if the stop key ([`Error::Stopped`]) or `watch`
/// stops it.
pub fn learn_keys(
    source: &mut dyn CaptureSource,
    clock: &dyn Clock,
    length: Duration,
    watch: &mut dyn FnMut(Activity) -> bool,
) -> Result<KeySet> {
    let mut lookout = Lookout::new(source, clock);
    let mut pressed = KeySet::default();
    let mut looks = 0.0;
    while looks < length.as_secs_f32() * LOOKS_PER_SECOND {
        let moment = lookout.look()?;
        let activity = if moment.state == WindowState::Focused {
            pressed = pressed.union(moment.held);
            looks += 1.0;
            Activity::Recording
        } else {
            Activity::Unfocused
        };
        if !watch(activity) {
            return Err(driftless_data::Error::Interrupted.into());
        }
    }
    Ok(pressed)
}

/// Waits for `length` before a capture; the pause key stops that time, and lets it go on. `watch` is told how much is
/// left, and whether it is paused; it ends the capture by returning `false`.
///
/// # Errors
/// As [`learn_keys`].
pub fn count_down(
    source: &mut dyn CaptureSource,
    clock: &dyn Clock,
    length: Duration,
    watch: &mut dyn FnMut(Duration, bool) -> bool,
) -> Result<()> {
    let mut lookout = Lookout::new(source, clock);
    let (mut left, mut paused, mut last) = (length, false, clock.now());
    while !left.is_zero() {
        if !watch(left, paused) {
            return Err(driftless_data::Error::Interrupted.into());
        }
        let moment = lookout.look()?;
        paused ^= moment.pauses % 2 == 1;
        let now = clock.now();
        if !paused {
            left = left.saturating_sub(now.saturating_sub(last));
        }
        last = now;
    }
    Ok(())
}
