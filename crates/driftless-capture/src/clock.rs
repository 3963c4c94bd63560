//! When frames are due, and how punctual they were.

use std::time::{Duration, Instant};

use serde::Serialize;

/// Tells the time and waits. Tests have one that needs no time.
pub trait Clock {
    /// The time since the clock was started.
    fn now(&self) -> Duration;
    /// Waits until this time; returns at once if it is past.
    fn wait_until(&self, time: Duration);
}

/// The system's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// Starts a clock at 0.
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn wait_until(&self, time: Duration) {
        std::thread::sleep(time.saturating_sub(self.now()));
    }
}

/// The times at which frames are due, at a fixed rate: frame n of the schedule n periods after its start, however late
/// the ones before it were.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    start: Duration,
    period: f64,
    next: u64,
}

impl Schedule {
    /// A schedule of `fps` frames per second whose first is due at `start`.
    pub fn new(fps: f32, start: Duration) -> Self {
        Self {
            start,
            period: 1.0 / f64::from(fps),
            next: 0,
        }
    }

    /// When the next frame is due.
    pub fn due(&self) -> Duration {
        self.start + Duration::from_secs_f64(self.next as f64 * self.period)
    }

    /// A frame was taken at `now`: it is that of the period that `now` is in. Returns how many periods before it
    /// have passed without one.
    pub fn reach(&mut self, now: Duration) -> u64 {
        let current = now.saturating_sub(self.start).as_secs_f64() / self.period;
        let missed = (current as u64).saturating_sub(self.next);
        self.next += missed;
        missed
    }

    /// Goes on to the next frame.
    pub fn advance(&mut self) {
        self.next += 1;
    }
}

/// How long after their time frames were taken, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Lateness {
    /// On average.
    pub mean: f64,
    /// 99 % of the frames were earlier than this.
    pub p99: f64,
    /// The latest of all.
    pub max: f64,
}

impl Lateness {
    /// Summarizes the latenesses of all frames, in seconds; zeros if there are none.
    pub(crate) fn of(mut seconds: Vec<f32>) -> Self {
        let Some(last) = seconds.len().checked_sub(1) else {
            return Self::default();
        };
        seconds.sort_by(f32::total_cmp);
        let ms = |seconds: f32| f64::from(seconds) * 1000.0;
        let sum: f64 = seconds.iter().map(|&one| ms(one)).sum();
        Self {
            mean: sum / seconds.len() as f64,
            p99: ms(seconds[(0.99 * last as f64).round() as usize]),
            max: ms(seconds[last]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn late_frames_do_not_shift_the_next() {
        let mut schedule = Schedule::new(20.0, ms(1000));
        for (now, missed, due) in [
            (1000, 0, 1000),
            (1099, 0, 1050),
            (1100, 0, 1100),
            // The period of the frame before it has passed.
            (1249, 1, 1200),
            (1260, 0, 1250),
            (1420, 2, 1400),
        ] {
            assert_eq!(schedule.reach(ms(now)), missed, "{now}");
            assert_eq!(schedule.due(), ms(due), "{now}");
            schedule.advance();
        }
    }

    #[test]
    fn lateness_is_summarized() {
        assert_eq!(Lateness::of(Vec::new()), Lateness::default());
        let seconds = (1..=101).rev().map(|i| i as f32 / 1000.0).collect();
        let found = Lateness::of(seconds);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-4;
        assert!(close(found.mean, 51.0) && close(found.p99, 100.0) && close(found.max, 101.0));
    }
}
