//! Performance statistics: frame rates, stage times, input latency, skipped frames.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use driftless_engine::{Outcome, StageTimes};
use driftless_sim::Frame;

/// Number of latencies used for the percentiles.
const MAX_LATENCIES: usize = 300;

/// Number of frames over which stage times are averaged.
const MAX_TIMES: usize = 30;

/// Time span over which rates are measured.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// Measures what the player sees.
#[derive(Default)]
pub(super) struct FrameStats {
    /// When frames were generated, with their sequence numbers.
    generated: VecDeque<(Instant, u64)>,
    /// When the window was drawn.
    drawn: VecDeque<Instant>,
    times: VecDeque<StageTimes>,
    latencies: VecDeque<Duration>,
    last_sequence: Option<u64>,
    /// Predicted reward and episode end of the last frame shown.
    pub outcome: Option<Outcome>,
    /// Sum of predicted rewards since the restart.
    pub score: f32,
    /// Number of frames that were never shown.
    pub skipped: u64,
}

impl FrameStats {
    /// Records a frame about to be shown; `reflects` is the earliest key change it shows.
    pub fn record_frame(&mut self, frame: &Frame, reflects: Option<Instant>, now: Instant) {
        if let Some(last) = self.last_sequence {
            self.skipped += frame.sequence.saturating_sub(last + 1);
        }
        self.last_sequence = Some(frame.sequence);
        self.generated
            .push_back((frame.timing.finished_at, frame.sequence));
        while self.generated.len() > 2
            && self.generated.front().is_some_and(|(generated_at, _)| {
                frame.timing.finished_at.duration_since(*generated_at) > RATE_WINDOW
            })
        {
            self.generated.pop_front();
        }
        self.outcome = frame.prediction.outcome;
        self.score = frame.prediction.score;
        if frame.number > 0 {
            push(&mut self.times, frame.timing.stages, MAX_TIMES);
        }
        if let Some(key) = reflects {
            push(&mut self.latencies, now.duration_since(key), MAX_LATENCIES);
        }
    }

    /// Records a draw of the window.
    pub fn record_draw(&mut self, now: Instant) {
        self.drawn.push_back(now);
        while self
            .drawn
            .front()
            .is_some_and(|then| now.duration_since(*then) > RATE_WINDOW)
        {
            self.drawn.pop_front();
        }
    }

    /// Restarts the model's rate measurement, after a pause.
    pub fn reset_rate(&mut self) {
        self.generated.clear();
    }

    /// Resets for a new world-model thread, whose sequence numbers start at one.
    pub fn reset(&mut self) {
        self.reset_rate();
        self.last_sequence = None;
    }

    /// Frames generated per second.
    pub fn model_fps(&self) -> Option<f32> {
        let (&(first, from), &(last, to)) = (self.generated.front()?, self.generated.back()?);
        let seconds = last.duration_since(first).as_secs_f32();
        (to > from && seconds > 0.0).then(|| to.saturating_sub(from) as f32 / seconds)
    }

    /// Window draws per second.
    pub fn display_fps(&self) -> Option<f32> {
        let (first, last) = (self.drawn.front()?, self.drawn.back()?);
        let seconds = last.duration_since(*first).as_secs_f32();
        (seconds > 0.0).then(|| (self.drawn.len() - 1) as f32 / seconds)
    }

    /// Mean time per stage.
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

    /// Input latency, median and 99th percentile: from a key change to the first frame that shows it.
    pub fn latency(&self) -> Option<(Duration, Duration)> {
        let mut sorted: Vec<_> = self.latencies.iter().copied().collect();
        sorted.sort_unstable();
        let at = |part: usize| sorted.get((sorted.len().saturating_sub(1) * part).div_ceil(100));
        Some((*at(50)?, *at(99)?))
    }
}

fn push<T>(queue: &mut VecDeque<T>, value: T, max: usize) {
    if queue.len() >= max {
        queue.pop_front();
    }
    queue.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_sim::FrameImage;

    fn frame(sequence: u64, generated_at: Instant) -> Frame {
        let mut frame = Frame::new(FrameImage::Bytes([0_u8; 3].as_slice().into()));
        (frame.sequence, frame.number) = (sequence, sequence);
        frame.timing.finished_at = generated_at;
        frame.timing.stages.denoise = Duration::from_millis(sequence);
        frame
    }

    #[test]
    fn model_rate_counts_skipped_frames() {
        let (mut stats, start) = (FrameStats::default(), Instant::now());
        for i in 0..10 {
            let generated_at = start + Duration::from_millis(40 * i);
            stats.record_frame(&frame(1 + 2 * i, generated_at), None, generated_at);
        }
        assert!((stats.model_fps().unwrap() - 50.0).abs() < 0.1);
        assert_eq!(stats.skipped, 9);
        assert_eq!(stats.times().unwrap().denoise, Duration::from_millis(10));
    }

    #[test]
    fn latency_percentiles_of_last_300() {
        let (mut stats, start) = (FrameStats::default(), Instant::now());
        for i in 0..400 {
            let now = start + Duration::from_millis(i);
            stats.record_frame(&frame(i + 1, start), Some(start), now);
        }
        // The last 300 are 100 ms to 399 ms.
        let (median, p99) = stats.latency().unwrap();
        assert_eq!(median, Duration::from_millis(250));
        assert_eq!(p99, Duration::from_millis(397));
    }

    #[test]
    fn restart_resets_rate_and_sequence() {
        let (mut stats, start) = (FrameStats::default(), Instant::now());
        stats.record_frame(&frame(50, start), None, start);
        stats.reset();
        stats.record_frame(&frame(1, start), None, start);
        assert_eq!(stats.skipped, 0);
        assert_eq!(stats.model_fps(), None);
    }
}
