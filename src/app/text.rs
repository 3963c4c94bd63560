//! Numbers and times as a person reads them.

use std::time::Duration;

use indicatif::HumanCount;

use crate::workspace::progress::format_duration;

/// A number with its thousands grouped: `13,520`.
pub(super) fn grouped(number: usize) -> HumanCount {
    HumanCount(number as u64)
}

/// An action's name from a dataset in words: `move right` for `move_right`.
pub(super) fn readable(name: &str) -> String {
    let words = name.split(['_', '-']).filter(|word| !word.is_empty());
    let words: Vec<_> = words.collect();
    if words.is_empty() {
        name.to_owned()
    } else {
        words.join(" ")
    }
}

/// How far a long task is, and how long it still takes: `68 of 13,520 frames, 6 min left`. The time is
/// left out until it can be told.
pub(super) fn frames_done(done: usize, total: usize, elapsed: Duration) -> String {
    let count = format!("{} of {} frames", grouped(done), grouped(total));
    match time_left(done, total, elapsed) {
        Some(left) => format!("{count}, {} left", format_duration(left)),
        None => count,
    }
}

/// How long a task still takes if it goes on at the same rate; `None` in its first second, when the rate is
/// not known yet.
fn time_left(done: usize, total: usize, elapsed: Duration) -> Option<Duration> {
    if done == 0 || elapsed < Duration::from_secs(1) {
        return None;
    }
    let per_frame = elapsed.as_secs_f64() / done as f64;
    let left = per_frame * total.saturating_sub(done) as f64;
    Duration::try_from_secs_f64(left).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable() {
        let names = ["move_right", "strafe-left", "noop", "-"].map(readable);
        assert_eq!(names, ["move right", "strafe left", "noop", "-"]);
    }

    #[test]
    fn time_left_follows_the_rate() {
        let text = |done, seconds| frames_done(done, 13_520, Duration::from_secs(seconds));
        assert_eq!(text(35, 0), "35 of 13,520 frames");
        assert_eq!(text(0, 9), "0 of 13,520 frames");
        assert_eq!(text(350, 10), "350 of 13,520 frames, 6 min left");
    }
}
