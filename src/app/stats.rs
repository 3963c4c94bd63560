//! The numbers over the picture: rates, stage times, key-to-frame latency, dropped frames.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use driftless_engine::{Outcome, StageTimes};
use driftless_sim::Frame;

/// Latencies that the median and the 99th percentile are taken over.
const LATENCIES: usize = 300;

/// Frames that stage times are averaged over.
const TIMES: usize = 30;

/// Rates are taken over this long.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// Measures what the player sees.
#[derive(Default)]
pub(super) struct Stats {
    /// When frames were made, with their sequence numbers.
    made: VecDeque<(Instant, u64)>,
    /// When the window was drawn.
    drawn: VecDeque<Instant>,
    times: VecDeque<StageTimes>,
    latencies: VecDeque<Duration>,
    last_sequence: Option<u64>,
    /// What the world predicted of the last frame that was shown.
    pub outcome: Option<Outcome>,
    /// Sum of the rewards that it predicted since the reset.
    pub score: f32,
    /// Frames that were never shown.
    pub dropped: u64,
}

impl Stats {
    /// A frame is about to be shown; `reflects` is the earliest key change that it shows.
    pub fn shown(&mut self, frame: &Frame, reflects: Option<Instant>, now: Instant) {
        if let Some(last) = self.last_sequence {
            self.dropped += frame.sequence.saturating_sub(last + 1);
        }
        self.last_sequence = Some(frame.sequence);
        self.made.push_back((frame.made, frame.sequence));
        while self.made.len() > 2
            && self
                .made
                .front()
                .is_some_and(|(made, _)| frame.made.duration_since(*made) > RATE_WINDOW)
        {
            self.made.pop_front();
        }
        self.outcome = frame.outcome;
        self.score = frame.score;
        if frame.number > 0 {
            push(&mut self.times, frame.times, TIMES);
        }
        if let Some(key) = reflects {
            push(&mut self.latencies, now.duration_since(key), LATENCIES);
        }
    }

    /// The window is drawn once more.
    pub fn drawn(&mut self, now: Instant) {
        self.drawn.push_back(now);
        while self
            .drawn
            .front()
            .is_some_and(|then| now.duration_since(*then) > RATE_WINDOW)
        {
            self.drawn.pop_front();
        }
    }

    /// The model starts from a standstill: its rate is measured afresh.
    pub fn forget_rates(&mut self) {
        self.made.clear();
    }

    /// A new world-model thread counts from one again.
    pub fn restarted(&mut self) {
        self.forget_rates();
        self.last_sequence = None;
    }

    /// Frames that the model makes a second.
    pub fn model_fps(&self) -> Option<f32> {
        let (&(first, from), &(last, to)) = (self.made.front()?, self.made.back()?);
        let seconds = last.duration_since(first).as_secs_f32();
        (to > from && seconds > 0.0).then(|| to.saturating_sub(from) as f32 / seconds)
    }

    /// Times that the window is drawn a second.
    pub fn screen_fps(&self) -> Option<f32> {
        let (first, last) = (self.drawn.front()?, self.drawn.back()?);
        let seconds = last.duration_since(*first).as_secs_f32();
        (seconds > 0.0).then(|| (self.drawn.len() - 1) as f32 / seconds)
    }

    /// Mean time of each stage.
    pub fn times(&self) -> Option<StageTimes> {
        let count = u32::try_from(self.times.len())
            .ok()
            .filter(|count| *count > 0)?;
        let mean = |stage: fn(&StageTimes) -> Duration| {
            self.times.iter().map(stage).sum::<Duration>() / count
        };
        Some(StageTimes {
            denoise: mean(|times| times.denoise),
            cache: mean(|times| times.cache),
            decode: mean(|times| times.decode),
        })
    }

    /// Median and 99th percentile from a key's change to the first frame drawn that shows it.
    pub fn latency(&self) -> Option<(Duration, Duration)> {
        let mut sorted: Vec<_> = self.latencies.iter().copied().collect();
        sorted.sort_unstable();
        let at = |part: usize| sorted.get((sorted.len().saturating_sub(1) * part).div_ceil(100));
        Some((*at(50)?, *at(99)?))
    }
}

fn push<T>(queue: &mut VecDeque<T>, value: T, most: usize) {
    if queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(value);
}

#[cfg(test)]
mod tests {

    use super::*;
    use driftless_engine::SamplerParams;

    fn frame(sequence: u64, made: Instant) -> Frame {
        Frame {
            trace: [].into(),
            inspect: None,
            truth: None,
            outcome: None,
            score: 0.0,
            place: driftless_sim::Place::default(),
            beside: None,
            drift: None,
            surprise: None,
            sequence,
            number: sequence,
            image: driftless_sim::Picture::Bytes([0_u8; 3].as_slice().into()),
            action: 0,
            reflects: None,
            made,
            times: StageTimes {
                denoise: Duration::from_millis(sequence),
                ..StageTimes::default()
            },
            params: SamplerParams::default(),
            context: 0,
        }
    }

    #[test]
    fn the_model_rate_counts_frames_that_were_dropped_before_they_were_shown() {
        let (mut stats, start) = (Stats::default(), Instant::now());
        for i in 0..10 {
            let made = start + Duration::from_millis(40 * i);
            stats.shown(&frame(1 + 2 * i, made), None, made);
        }
        assert!((stats.model_fps().unwrap() - 50.0).abs() < 0.1);
        assert_eq!(stats.dropped, 9);
        assert_eq!(stats.times().unwrap().denoise, Duration::from_millis(10));
    }

    #[test]
    fn latency_is_the_median_and_the_99th_percentile_of_the_last_300() {
        let (mut stats, start) = (Stats::default(), Instant::now());
        for i in 0..400 {
            let now = start + Duration::from_millis(i);
            stats.shown(&frame(i + 1, start), Some(start), now);
        }
        // The last 300 are 100 ms to 399 ms.
        let (median, p99) = stats.latency().unwrap();
        assert_eq!(median, Duration::from_millis(250));
        assert_eq!(p99, Duration::from_millis(397));
    }

    #[test]
    fn a_restart_drops_no_frames_and_starts_the_rate_again() {
        let (mut stats, start) = (Stats::default(), Instant::now());
        stats.shown(&frame(50, start), None, start);
        stats.restarted();
        stats.shown(&frame(1, start), None, start);
        assert_eq!(stats.dropped, 0);
        assert_eq!(stats.model_fps(), None);
    }
}
