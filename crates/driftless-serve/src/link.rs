//! The frames on their way to a player: how many there may be, and how long they take.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The fewest and the most frames on their way.
const LEAST: usize = 2;
const MOST: usize = 10;

/// Sent frames that were not acknowledged yet. A player who draws slowly, or not at all, is sent no more than
/// these; then the newest frame waits, and each newer one takes its place.
#[derive(Debug, Default)]
pub struct Link {
    on_their_way: VecDeque<(u32, Instant)>,
    sent: u32,
    /// The shortest round trip.
    shortest: Option<Duration>,
}

impl Link {
    /// Whether another frame may be sent at this pace. As many are on their way as fill the shortest round trip,
    /// and two more.
    pub fn is_free(&self, fps: f32) -> bool {
        let shortest = self.shortest.unwrap_or_default();
        let filling = (shortest.as_secs_f32() * fps) as usize;
        self.on_their_way.len() < filling.saturating_add(LEAST).min(MOST)
    }

    /// Counts a frame that is sent now; returns its number.
    pub fn send(&mut self, now: Instant) -> u32 {
        self.sent = self.sent.wrapping_add(1);
        self.on_their_way.push_back((self.sent, now));
        self.sent
    }

    /// Counts the acknowledgement of a frame, and with it of those before. Returns how long it took; `None` if it
    /// is not on its way.
    pub fn acknowledge(&mut self, frame: u32, now: Instant) -> Option<Duration> {
        let place = self.on_their_way.iter().position(|(f, _)| *f == frame)?;
        let (_, sent) = self.on_their_way.drain(..=place).next_back()?;
        let took = now.saturating_duration_since(sent);
        self.shortest = Some(self.shortest.map_or(took, |shortest| shortest.min(took)));
        Some(took)
    }

    /// Since when the oldest frame is on its way.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.on_their_way.front().map(|(_, sent)| *sent)
    }

    /// Forgets what was on its way over a broken link.
    pub fn restart(&mut self) {
        *self = Self {
            sent: self.sent,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FPS: f32 = 15.0;

    /// Sends until the link is full; returns the numbers.
    fn fill(link: &mut Link, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| link.is_free(FPS).then(|| link.send(now))).collect()
    }

    #[test]
    fn silent_player_gets_two_frames() {
        let (mut link, now) = (Link::default(), Instant::now());
        assert_eq!(fill(&mut link, now), [1, 2]);
        assert_eq!(link.waiting_since(), Some(now));
        assert_eq!(link.acknowledge(9, now), None);
        assert!(!link.is_free(FPS));
        assert_eq!(link.acknowledge(2, now), Some(Duration::ZERO));
        assert_eq!(link.waiting_since(), None);
    }

    #[test]
    fn long_links_hold_more_frames() {
        let (mut link, start) = (Link::default(), Instant::now());
        let sent = fill(&mut link, start);
        let far = start + Duration::from_millis(200);
        link.acknowledge(sent[1], far);
        // 0.2 s at 15 frames a second, and two more.
        assert_eq!(fill(&mut link, far).len(), 5);
        link.restart();
        assert_eq!(fill(&mut link, far).len(), 2);
        // However slow an answer is, there is an end to it.
        link.acknowledge(9, far + Duration::from_secs(60));
        assert!(fill(&mut link, far).len() <= MOST);
    }
}
