//! When the next snapshot is worth its time.

use std::time::Duration;

/// A snapshot is due after this many frames, or after this much time spent on frames.
const EVERY_FRAMES: usize = 32;
const AFTER: Duration = Duration::from_secs(1);
/// Frames since the last snapshot must take at least this many times as long as a snapshot, which
/// copies everything back from the device.
const LEAST_RATIO: u32 = 20;

/// Counts frames and their time since the last snapshot.
#[derive(Default)]
pub(super) struct SnapshotSchedule {
    frames: usize,
    /// Time spent on those frames.
    time: Duration,
    /// Time that the last snapshot took.
    cost: Duration,
}

impl SnapshotSchedule {
    /// Counts a frame that took `time`. Returns whether a snapshot is due.
    pub fn frame_made(&mut self, time: Duration) -> bool {
        self.frames += 1;
        self.time += time;
        let due = self.frames >= EVERY_FRAMES || self.time >= AFTER;
        due && self.time >= self.cost * LEAST_RATIO
    }

    /// A snapshot was taken, which took `cost`.
    pub fn snapshot_taken(&mut self, cost: Duration) {
        self.cost = cost;
        self.restart(0);
    }

    /// Goes on from a frame that is `frames` after the last snapshot.
    pub fn restart(&mut self, frames: usize) {
        self.frames = frames;
        self.time = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of this time until a snapshot is due.
    fn frames_until_due(schedule: &mut SnapshotSchedule, time: Duration) -> usize {
        (1..1000)
            .find(|_| schedule.frame_made(time))
            .expect("a snapshot")
    }

    #[test]
    fn due_by_frames_or_by_time() {
        let millis = Duration::from_millis;
        let mut schedule = SnapshotSchedule::default();
        assert_eq!(frames_until_due(&mut schedule, millis(1)), 32);
        schedule.snapshot_taken(Duration::ZERO);
        assert_eq!(frames_until_due(&mut schedule, millis(100)), 10);
        schedule.restart(30);
        assert_eq!(frames_until_due(&mut schedule, millis(1)), 2);
    }

    #[test]
    fn costly_snapshots_are_rarer() {
        let mut schedule = SnapshotSchedule::default();
        schedule.snapshot_taken(Duration::from_millis(5));
        assert_eq!(
            frames_until_due(&mut schedule, Duration::from_millis(1)),
            100
        );
    }
}
