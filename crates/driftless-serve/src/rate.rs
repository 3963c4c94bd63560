//! How many messages a player may send.

use std::time::Instant;

/// A token bucket: `burst` messages at once, `per_second` in the long run.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    per_second: f64,
    burst: f64,
    left: f64,
    at: Instant,
}

impl RateLimit {
    /// A full bucket.
    pub fn new(per_second: f64, burst: f64, now: Instant) -> Self {
        Self {
            per_second,
            burst,
            left: burst,
            at: now,
        }
    }

    /// Whether a message that comes `now` may; it is then counted.
    pub fn allows(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.left = (self.left + passed * self.per_second).min(self.burst);
        let allowed = self.left >= 1.0;
        if allowed {
            self.left -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn burst_then_rate() {
        let start = Instant::now();
        let mut limit = RateLimit::new(10.0, 5.0, start);
        let allowed = |limit: &mut RateLimit, at| (0..100).filter(|_| limit.allows(at)).count();
        assert_eq!(allowed(&mut limit, start), 5);
        assert_eq!(allowed(&mut limit, start + Duration::from_millis(300)), 3);
        assert_eq!(allowed(&mut limit, start + Duration::from_secs(60)), 5);
        // A clock that goes back gives nothing.
        assert_eq!(allowed(&mut limit, start), 0);
    }
}
