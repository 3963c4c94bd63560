//! Where a run stands, from its log.

use std::time::Duration;

use super::log::Entry;
use driftless_train::Settings;

/// The trainer writes every so many steps into its log.
const LOG_EVERY: u64 = 20;
/// Lines of the log that the pace is measured over.
const PACE: usize = 10;

/// One network's training.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// `tokenizer` or `dynamics`, as the log names it.
    pub name: &'static str,
    /// Steps in all.
    pub steps: u64,
    /// The log's lines, by growing step.
    pub entries: Vec<Entry>,
}

impl Stage {
    fn new(name: &'static str, steps: u64) -> Self {
        Self {
            name,
            steps,
            entries: Vec::new(),
        }
    }

    /// Steps done, as far as the log tells.
    pub fn done(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.step)
    }

    /// Whether no line of the log is missing.
    pub fn complete(&self) -> bool {
        self.steps == 0 || (self.done() > 0 && self.done() + LOG_EVERY > self.steps)
    }

    /// Seconds that a step takes lately.
    fn pace(&self) -> Option<f64> {
        let last = self.entries.last()?;
        let before = self.entries.len().saturating_sub(PACE + 1);
        let first = self.entries.get(before)?;
        let steps = last.step.checked_sub(first.step).filter(|n| *n > 0)?;
        Some((last.seconds - first.seconds).max(0.0) / steps as f64)
    }

    /// Time that the missing steps take at the latest pace.
    pub fn left(&self) -> Option<Duration> {
        let missing = self.steps.saturating_sub(self.done()) as f64;
        Duration::try_from_secs_f64(missing * self.pace()?).ok()
    }
}

/// All stages of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// In the order in which they are trained.
    pub stages: [Stage; 2],
}

impl Progress {
    /// Nothing done yet of what the settings ask for.
    pub fn new(settings: &Settings) -> Self {
        Self {
            stages: [
                Stage::new("tokenizer", settings.tokenizer.optimizer.steps),
                Stage::new("dynamics", settings.dynamics.optimizer.steps),
            ],
        }
    }

    /// One more line of the log. A run that went on from an earlier save repeats steps; the later
    /// lines count.
    pub fn add(&mut self, entry: Entry) {
        let mut stages = self.stages.iter_mut();
        if let Some(stage) = stages.find(|stage| stage.name == entry.stage) {
            let kept = stage.entries.partition_point(|own| own.step < entry.step);
            stage.entries.truncate(kept);
            stage.entries.push(entry);
        }
    }

    /// The stage that was trained last.
    pub fn current(&self) -> &Stage {
        let [first, second] = &self.stages;
        match second.entries.is_empty() {
            true => first,
            false => second,
        }
    }

    /// Whether all steps are done.
    pub fn complete(&self) -> bool {
        self.stages.iter().all(Stage::complete)
    }

    /// Share of all steps that are done, 0 to 1.
    pub fn share(&self) -> f32 {
        let all: u64 = self.stages.iter().map(|stage| stage.steps).sum();
        let done: u64 = self
            .stages
            .iter()
            .map(|stage| stage.done().min(stage.steps))
            .sum();
        if self.complete() {
            1.0
        } else {
            done as f32 / all.max(1) as f32
        }
    }
}

/// A time as people say it: `2 h 05 min`, `12 min`, `40 s`.
pub fn spoken(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match (seconds / 3600, seconds / 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {:02} min", minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(tokenizer: u64, dynamics: u64) -> Progress {
        let mut settings = Settings::default();
        settings.tokenizer.optimizer.steps = tokenizer;
        settings.dynamics.optimizer.steps = dynamics;
        Progress::new(&settings)
    }

    fn entry(stage: &str, step: u64, seconds: f64) -> Entry {
        Entry {
            stage: stage.into(),
            step,
            loss: 1.0,
            frames_per_s: 100.0,
            seconds,
        }
    }

    #[test]
    fn time_left_is_the_missing_steps_at_the_latest_pace() {
        let mut progress = progress(1000, 1000);
        assert_eq!(progress.current().left(), None);
        // Slow at first, then half a second a step.
        progress.add(entry("tokenizer", 1, 50.0));
        for i in 1..=20 {
            let step = 1 + 20 * i;
            progress.add(entry("tokenizer", step, 100.0 + 0.5 * step as f64));
        }
        let stage = progress.current();
        assert_eq!(stage.done(), 401);
        assert_eq!(stage.left(), Some(Duration::from_secs_f64(0.5 * 599.0)));
    }

    #[test]
    fn a_run_is_complete_when_no_line_of_either_stage_is_missing() {
        let mut progress = progress(30, 50);
        for step in [1, 21] {
            progress.add(entry("tokenizer", step, 1.0));
        }
        assert!(progress.stages[0].complete() && !progress.complete());
        assert_eq!(progress.current().name, "tokenizer");
        for step in [1, 21, 41] {
            progress.add(entry("dynamics", step, 1.0));
        }
        assert!(progress.complete());
        assert_eq!(
            (progress.current().name, progress.share()),
            ("dynamics", 1.0)
        );
    }

    #[test]
    fn steps_that_are_repeated_after_a_crash_count_once() {
        let mut progress = progress(1000, 1000);
        for step in [1, 21, 41, 61, 21, 41] {
            progress.add(entry("tokenizer", step, step as f64));
        }
        let steps: Vec<_> = progress.current().entries.iter().map(|e| e.step).collect();
        assert_eq!(steps, [1, 21, 41]);
        progress.add(entry("another", 5, 1.0));
        assert_eq!(progress.current().done(), 41);
    }

    #[test]
    fn times_are_said_in_the_largest_units() {
        for (seconds, text) in [(7, "7 s"), (150, "2 min"), (7500, "2 h 05 min")] {
            assert_eq!(spoken(Duration::from_secs(seconds)), text);
        }
    }
}
