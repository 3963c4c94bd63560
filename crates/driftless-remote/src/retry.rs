//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// Waits that double: many players who lose a server at once do not come back all at once.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    next: Duration,
    longest: Duration,
}

impl Waits {
    /// The first wait, and the longest.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            next: first,
            longest,
        }
    }

    /// The next wait. `luck`, 0 to 1, lengthens it by up to a quarter.
    pub fn next(&mut self, luck: f32) -> Duration {
        let wait = self.next.min(self.longest);
        self.next = wait.saturating_mul(2);
        wait.mul_f32(1.0 + 0.25 * luck.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let seconds = |luck| {
            let mut waits = Waits::new(Duration::from_millis(500), Duration::from_secs(3));
            [0; 5].map(|_| waits.next(luck).as_secs_f32())
        };
        assert_eq!(seconds(0.0), [0.5, 1.0, 2.0, 3.0, 3.0]);
        assert_eq!(seconds(1.0), [0.625, 1.25, 2.5, 3.75, 3.75]);
    }
}
