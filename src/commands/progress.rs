//! Progress of a long command on stderr: a bar on a terminal, elsewhere a line a minute.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use driftless::workspace::progress::format_duration;

use super::is_quiet;

/// Time between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(60);

/// The progress of one task.
pub struct Progress {
    bar: ProgressBar,
    /// Where stderr is not a terminal.
    lines: Option<Mutex<Lines>>,
}

impl Progress {
    /// A bar with counts of `unit`, rate and time left.
    pub fn new(total: u64, unit: &'static str) -> Self {
        let template =
            format!("{{wide_bar:.cyan/blue}} {{pos}}/{{len}} {unit} {{per_sec}} {{eta}} left");
        Self::with_template(total, 0, unit, &template)
    }

    /// A bar in indicatif's `template`, of a task of which `done` are done already.
    pub fn with_template(total: u64, done: u64, unit: &'static str, template: &str) -> Self {
        let bar = if is_quiet() {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(total)
        };
        let bar = bar.with_position(done);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.reset_eta();
        let lines =
            (bar.is_hidden() && !is_quiet()).then(|| Lines::new(unit, done, Instant::now()));
        Self {
            bar,
            lines: lines.map(Mutex::new),
        }
    }

    /// The name before the bar.
    pub fn set_prefix(&self, name: &'static str) {
        self.bar.set_prefix(name);
    }

    /// The text behind the bar.
    pub fn set_message(&self, text: String) {
        self.bar.set_message(text);
    }

    /// What there is to do.
    pub fn set_length(&self, total: u64) {
        self.bar.set_length(total);
    }

    /// What is done.
    pub fn set_position(&self, done: u64) {
        self.bar.set_position(done);
        self.print_line();
    }

    /// `more` are done.
    pub fn inc(&self, more: u64) {
        self.bar.inc(more);
        self.print_line();
    }

    /// Removes the bar.
    pub fn finish_and_clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Runs `print` without disturbing the bar.
    pub fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Leaves the bar as it is.
    pub fn abandon(&self) {
        self.bar.abandon();
    }

    fn print_line(&self) {
        let Some(Ok(mut lines)) = self.lines.as_ref().map(Mutex::lock) else {
            return;
        };
        let (total, done) = (self.bar.length().unwrap_or_default(), self.bar.position());
        if let Some(line) = lines.due(Instant::now(), done, total) {
            let texts = [self.bar.prefix(), line, self.bar.message()];
            let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
            eprintln!("{}", texts.join(" "));
        }
    }
}

/// When to print a line, and what it says.
struct Lines {
    unit: &'static str,
    began: Instant,
    /// What was done when it began.
    before: u64,
    printed: Instant,
}

impl Lines {
    fn new(unit: &'static str, before: u64, now: Instant) -> Self {
        Self {
            unit,
            began: now,
            before,
            printed: now,
        }
    }

    /// The line that is due at `now`, if one is.
    fn due(&mut self, now: Instant, done: u64, total: u64) -> Option<String> {
        if now.duration_since(self.printed) < LINE_INTERVAL {
            return None;
        }
        self.printed = now;
        let unit = self.unit;
        if total == 0 || done > total {
            return Some(format!("{done} {unit}"));
        }
        let percent = 100 * done / total;
        let rate = done.saturating_sub(self.before) as f64 / (now - self.began).as_secs_f64();
        let left = if rate > 0.0 {
            let seconds = (total - done) as f64 / rate;
            let left = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            format!(", {} left", format_duration(left))
        } else {
            String::new()
        };
        Some(format!("{done} of {total} {unit}, {percent} %{left}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_minute() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut lines = Lines::new("frames", 100, start);
        assert_eq!(lines.due(at(59), 200, 1000), None);
        // 100 frames a minute, 800 are left.
        let first = lines.due(at(60), 200, 1000);
        assert_eq!(
            first.as_deref(),
            Some("200 of 1000 frames, 20 %, 8 min left")
        );
        assert_eq!(lines.due(at(119), 300, 1000), None);
        let last = lines.due(at(540), 1000, 1000);
        assert_eq!(
            last.as_deref(),
            Some("1000 of 1000 frames, 100 %, 0 s left")
        );
        let unknown = lines.due(at(700), 7, 0);
        assert_eq!(unknown.as_deref(), Some("7 frames"));
    }

    #[test]
    fn standstill_has_no_time_left() {
        let start = Instant::now();
        let mut lines = Lines::new("steps", 5, start);
        let line = lines.due(start + LINE_INTERVAL, 5, 10);
        assert_eq!(line.as_deref(), Some("5 of 10 steps, 50 %"));
    }
}
