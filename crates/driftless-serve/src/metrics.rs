//! What the server counts, in the text format of Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Why a player, a message or a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A wrong token, or none.
    Token,
    /// A page of another site, or another name for this host.
    Origin,
    /// Another version of the protocol.
    Version,
    /// A message that cannot be understood.
    Malformed,
    /// Too many messages.
    Rate,
    /// All places are taken.
    Full,
    /// A request that cannot be granted.
    Request,
    /// A player who says nothing, or does not read.
    Silent,
}

impl Refusal {
    const ALL: [(Self, &str); 8] = [
        (Self::Token, "token"),
        (Self::Origin, "origin"),
        (Self::Version, "version"),
        (Self::Malformed, "malformed"),
        (Self::Rate, "rate"),
        (Self::Full, "full"),
        (Self::Request, "request"),
        (Self::Silent, "silent"),
    ];
}

/// Upper ends of the buckets of both histograms, in ms.
const BUCKETS: [u32; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/// Durations by size.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

impl Histogram {
    /// Counts a duration.
    pub fn add(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let reached = BUCKETS
            .iter()
            .position(|ms| micros <= u64::from(*ms) * 1000);
        if let Some(bucket) = reached {
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    fn write(&self, text: &mut String, name: &str, help: &str) -> std::fmt::Result {
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram")?;
        let mut below = 0;
        for (bucket, ms) in self.buckets.iter().zip(BUCKETS) {
            below += bucket.load(Ordering::Relaxed);
            writeln!(
                text,
                "{name}_bucket{{le=\"{}\"}} {below}",
                f64::from(ms) / 1e3
            )?;
        }
        let count = self.count.load(Ordering::Relaxed);
        let seconds = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}")?;
        writeln!(text, "{name}_sum {seconds}\n{name}_count {count}")
    }
}

/// Everything that is counted since the server started.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Games begun.
    pub games: AtomicU64,
    /// Games gone on with after a broken link.
    pub resumed: AtomicU64,
    /// Frames made.
    pub frames: AtomicU64,
    /// Frames sent.
    pub sent: AtomicU64,
    /// Frames that a newer one replaced before they were sent.
    pub replaced: AtomicU64,
    /// Bytes of frames sent.
    pub bytes: AtomicU64,
    /// Messages received.
    pub messages: AtomicU64,
    /// Recordings written.
    pub recordings: AtomicU64,
    /// Time that a frame takes to make.
    pub making: Histogram,
    /// Time from a key to the drawn frame, as players tell.
    pub latency: Histogram,
    refused: [AtomicU64; Refusal::ALL.len()],
}

/// Adds to a counter.
pub fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Metrics {
    /// Counts a refusal.
    pub fn refuse(&self, why: Refusal) {
        count(&self.refused[why as usize], 1);
    }

    /// How often something was refused.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused[why as usize].load(Ordering::Relaxed)
    }

    /// All of it as text, with the number of games that are played.
    pub fn text(&self, players: usize) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text, players);
        text
    }

    fn write(&self, text: &mut String, players: usize) -> std::fmt::Result {
        let name = "driftless_players";
        writeln!(
            text,
            "# HELP {name} Games that are played.\n# TYPE {name} gauge\n{name} {players}"
        )?;
        for (name, help, counter) in [
            ("games", "Games begun.", &self.games),
            (
                "resumed",
                "Games gone on with after a broken link.",
                &self.resumed,
            ),
            ("frames", "Frames made.", &self.frames),
            ("frames_sent", "Frames sent.", &self.sent),
            (
                "frames_replaced",
                "Frames that a newer one replaced before they were sent.",
                &self.replaced,
            ),
            ("frame_bytes", "Bytes of frames sent.", &self.bytes),
            ("messages", "Messages received.", &self.messages),
            ("recordings", "Recordings written.", &self.recordings),
        ] {
            let value = counter.load(Ordering::Relaxed);
            let name = format!("driftless_{name}_total");
            writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}"
            )?;
        }
        let name = "driftless_refused_total";
        writeln!(
            text,
            "# HELP {name} What was refused, and why.\n# TYPE {name} counter"
        )?;
        for (why, label) in Refusal::ALL {
            writeln!(text, "{name}{{reason=\"{label}\"}} {}", self.refused(why))?;
        }
        let making = "Time that a frame takes to make.";
        self.making.write(text, "driftless_frame_seconds", making)?;
        let latency = "Time from a key to the drawn frame that reflects it, as players tell.";
        self.latency
            .write(text, "driftless_latency_seconds", latency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_each_metric_once() {
        let metrics = Metrics::default();
        count(&metrics.frames, 3);
        metrics.refuse(Refusal::Rate);
        for ms in [1, 3, 30, 5000] {
            metrics.making.add(Duration::from_millis(ms));
        }
        let text = metrics.text(2);
        for line in [
            "driftless_players 2",
            "driftless_frames_total 3",
            "driftless_refused_total{reason=\"rate\"} 1",
            "driftless_refused_total{reason=\"token\"} 0",
            "driftless_frame_seconds_bucket{le=\"0.001\"} 1",
            "driftless_frame_seconds_bucket{le=\"0.05\"} 3",
            "driftless_frame_seconds_bucket{le=\"+Inf\"} 4",
            "driftless_frame_seconds_sum 5.034",
            "driftless_frame_seconds_count 4",
            "driftless_latency_seconds_count 0",
        ] {
            assert_eq!(
                text.lines().filter(|l| *l == line).count(),
                1,
                "{line}\n{text}"
            );
        }
    }
}
