//! How far a run has got, computed from its log.

use std::time::Duration;

use driftless_train::{LOG_EVERY, LogEntry, TrainSettings, TrainStage};

/// Log lines over which the time per step is averaged.
const PACE_WINDOW: usize = 10;

/// Progress of one network's training.
#[derive(Clone, Debug, PartialEq)]
pub struct StageProgress {
    /// What is trained.
    pub stage: TrainStage,
    /// Total steps.
    pub steps: u64,
    /// Log entries in order of step.
    pub entries: Vec<LogEntry>,
}

impl StageProgress {
    fn new(stage: TrainStage, steps: u64) -> Self {
        Self {
            stage,
            steps,
            entries: Vec::new(),
        }
    }

    /// Steps done according to the log.
    pub fn steps_done(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.step)
    }

    /// Whether the log holds the stage's last line.
    pub fn is_complete(&self) -> bool {
        self.steps == 0 || (self.steps_done() > 0 && self.steps_done() + LOG_EVERY > self.steps)
    }

    /// Mean over the last [`PACE_WINDOW`] log lines.
    fn seconds_per_step(&self) -> Option<f64> {
        let last = self.entries.last()?;
        let first_index = self.entries.len().saturating_sub(PACE_WINDOW + 1);
        let first = self.entries.get(first_index)?;
        let steps = last.step.checked_sub(first.step).filter(|n| *n > 0)?;
        Some((last.seconds - first.seconds).max(0.0) / steps as f64)
    }

    /// Estimated time for the remaining steps; `None` until the pace is known.
    pub fn time_left(&self) -> Option<Duration> {
        let remaining = self.steps.saturating_sub(self.steps_done()) as f64;
        Duration::try_from_secs_f64(remaining * self.seconds_per_step()?).ok()
    }
}

/// Progress of a whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunProgress {
    /// In training order.
    pub stages: [StageProgress; 2],
    /// What the newest entry is about.
    current: TrainStage,
    /// Tokenizer steps before the dynamics is trained for the first time.
    before_dynamics: u64,
    /// Time between two saves. The first one of the dynamics makes the world playable.
    save_interval: Duration,
}

impl RunProgress {
    /// No steps done yet; the totals come from the settings.
    pub fn new(settings: &TrainSettings) -> Self {
        Self {
            stages: [
                StageProgress::new(TrainStage::Tokenizer, settings.tokenizer.optimizer.steps),
                StageProgress::new(TrainStage::Dynamics, settings.dynamics.optimizer.steps),
            ],
            current: TrainStage::Tokenizer,
            before_dynamics: match settings.dynamics.early_steps {
                0 => settings.tokenizer.optimizer.steps,
                _ => settings.tokenizer.decoder_only_start(),
            },
            save_interval: Duration::try_from_secs_f64(60.0 * settings.save_minutes)
                .unwrap_or_default(),
        }
    }

    /// Adds a log entry. A run resumed from an earlier save repeats steps; the later entries replace
    /// the earlier ones.
    pub fn add(&mut self, entry: LogEntry) {
        self.current = entry.stage;
        let mut stages = self.stages.iter_mut();
        if let Some(stage) = stages.find(|stage| stage.stage == entry.stage) {
            let earlier = stage.entries.partition_point(|own| own.step < entry.step);
            stage.entries.truncate(earlier);
            stage.entries.push(entry);
        }
    }

    /// The stage in training, or the one trained last.
    pub fn current_stage(&self) -> &StageProgress {
        let [tokenizer, dynamics] = &self.stages;
        match self.current {
            TrainStage::Tokenizer => tokenizer,
            _ => dynamics,
        }
    }

    /// Estimated time until both networks have been saved, so that the world can be played: what is left of the
    /// tokenizer's steps before the dynamics, and the dynamics up to its first save. `None` until the pace is known.
    pub fn time_to_playable(&self) -> Option<Duration> {
        let [tokenizer, dynamics] = &self.stages;
        let trained = dynamics.entries.last().map_or(0.0, |entry| entry.seconds);
        let trained = Duration::try_from_secs_f64(trained).unwrap_or_default();
        let first_save = self.save_interval.saturating_sub(trained);
        let left = self.before_dynamics.saturating_sub(tokenizer.steps_done());
        if left < LOG_EVERY {
            return Some(first_save);
        }
        let seconds = left as f64 * tokenizer.seconds_per_step()?;
        Some(Duration::try_from_secs_f64(seconds).ok()? + first_save)
    }

    /// Estimated time for the remaining steps of both networks; `None` until the pace of each is known.
    pub fn time_left(&self) -> Option<Duration> {
        let left = |stage: &StageProgress| {
            if stage.is_complete() {
                Some(Duration::ZERO)
            } else {
                stage.time_left()
            }
        };
        let [tokenizer, dynamics] = &self.stages;
        Some(left(tokenizer)? + left(dynamics)?)
    }

    /// The part of all steps that is done, in percent, rounded down.
    pub fn percent(&self) -> usize {
        let steps: u64 = self.stages.iter().map(|stage| stage.steps).sum();
        let done = |stage: &StageProgress| stage.steps_done().min(stage.steps);
        let done: u64 = self.stages.iter().map(done).sum();
        usize::try_from(100 * done / steps.max(1)).unwrap_or(100)
    }

    /// Whether all stages are complete.
    pub fn is_complete(&self) -> bool {
        self.stages.iter().all(StageProgress::is_complete)
    }
}

/// A duration for people: `2 h 05 min`, `12 min`, `40 s`.
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    match (seconds / 3600, seconds / 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {:02} min", minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(tokenizer: u64, dynamics: u64) -> RunProgress {
        let mut settings = TrainSettings::default();
        settings.tokenizer.optimizer.steps = tokenizer;
        settings.dynamics.optimizer.steps = dynamics;
        RunProgress::new(&settings)
    }

    fn entry(stage: TrainStage, step: u64, seconds: f64) -> LogEntry {
        LogEntry {
            stage,
            step,
            loss: 1.0,
            frames_per_s: 100.0,
            seconds,
        }
    }

    #[test]
    fn time_left_uses_the_latest_pace() {
        let mut progress = progress(1000, 1000);
        assert_eq!(progress.current_stage().time_left(), None);
        // Slow at first, then half a second a step.
        progress.add(entry(TrainStage::Tokenizer, 1, 50.0));
        for i in 1..=20 {
            let step = 1 + 20 * i;
            progress.add(entry(
                TrainStage::Tokenizer,
                step,
                100.0 + 0.5 * step as f64,
            ));
        }
        let stage = progress.current_stage();
        assert_eq!(stage.steps_done(), 401);
        assert_eq!(
            stage.time_left(),
            Some(Duration::from_secs_f64(0.5 * 599.0))
        );
    }

    #[test]
    fn complete_when_both_stages_are() {
        let mut progress = progress(30, 50);
        for step in [1, 21] {
            progress.add(entry(TrainStage::Tokenizer, step, 1.0));
        }
        assert!(progress.stages[0].is_complete() && !progress.is_complete());
        assert_eq!(progress.current_stage().stage, TrainStage::Tokenizer);
        for step in [1, 21, 41] {
            progress.add(entry(TrainStage::Dynamics, step, 1.0));
        }
        assert!(progress.is_complete());
        assert_eq!(progress.current_stage().stage, TrainStage::Dynamics);
    }

    #[test]
    fn playable_after_the_tokenizer_and_the_first_save() {
        let mut settings = TrainSettings::default();
        settings.tokenizer.optimizer.steps = 1000;
        settings.save_minutes = 2.0;
        let seconds = |run: &RunProgress| run.time_to_playable().map(|time| time.as_secs());
        let at = |settings: &TrainSettings, entries: &[(TrainStage, u64, f64)]| {
            let mut run = RunProgress::new(settings);
            for (stage, step, seconds) in entries {
                run.add(entry(*stage, *step, *seconds));
            }
            run
        };
        let tokenizer = [1, 101].map(|step| (TrainStage::Tokenizer, step, step as f64));
        assert_eq!(seconds(&at(&settings, &[])), None);
        assert_eq!(seconds(&at(&settings, &tokenizer)), Some(899 + 120));
        // In turns, the dynamics begins when the encoder is frozen.
        settings.dynamics.early_steps = 50;
        assert_eq!(seconds(&at(&settings, &tokenizer)), Some(299 + 120));
        let later = [
            tokenizer.to_vec(),
            vec![(TrainStage::Tokenizer, 381, 381.0)],
        ]
        .concat();
        let later = [later, vec![(TrainStage::Dynamics, 21, 30.0)]].concat();
        let mut run = at(&settings, &later);
        assert_eq!(seconds(&run), Some(90));
        assert_eq!(run.current_stage().stage, TrainStage::Dynamics);
        run.add(entry(TrainStage::Tokenizer, 401, 401.0));
        assert_eq!(run.current_stage().stage, TrainStage::Tokenizer);
        assert_eq!(run.time_left(), None);
    }

    #[test]
    fn repeated_steps_count_once() {
        let mut progress = progress(1000, 1000);
        for step in [1, 21, 41, 61, 21, 41] {
            progress.add(entry(TrainStage::Tokenizer, step, step as f64));
        }
        let steps: Vec<_> = progress
            .current_stage()
            .entries
            .iter()
            .map(|e| e.step)
            .collect();
        assert_eq!(steps, [1, 21, 41]);
    }

    #[test]
    fn durations_use_large_units() {
        for (seconds, text) in [(7, "7 s"), (150, "2 min"), (7500, "2 h 05 min")] {
            assert_eq!(format_duration(Duration::from_secs(seconds)), text);
        }
    }
}
