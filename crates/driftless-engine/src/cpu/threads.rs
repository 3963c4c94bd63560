//! How many threads an engine uses: as given, or measured when the world is loaded.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use driftless_data::Action;
use driftless_model::config::WorldConfig;

use super::dynamics::PackedDynamics;
use super::workers::Workers;
use crate::Result;
use crate::network::{DenoiseInput, FrameContext, RecalledFrames};

/// Maximum number of threads.
const MAX_THREADS: usize = 256;
/// More threads are used only if a pass then is at least so many times as fast.
const WORTHWHILE: f64 = 1.15;
/// Passes that are measured with each number of threads: until `BUDGET` is spent, but within these limits.
const PASSES: [usize; 2] = [3, 15];
const BUDGET: Duration = Duration::from_millis(60);

/// How many threads the CPU engine uses. The frames do not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threads {
    /// More than one if that is clearly faster, measured when the world is loaded.
    #[default]
    Auto,
    /// So many.
    Exactly(NonZeroUsize),
}

impl Threads {
    /// One thread.
    pub const ONE: Self = Self::Exactly(NonZeroUsize::MIN);

    /// Parses a number of threads.
    ///
    /// # Errors
    /// Returns what was expected if it is not a number from 1 to 256.
    pub fn count(text: &str) -> std::result::Result<NonZeroUsize, String> {
        let count = text.parse().ok();
        count
            .filter(|n: &NonZeroUsize| n.get() <= MAX_THREADS)
            .ok_or_else(|| format!("expected a number from 1 to {MAX_THREADS}"))
    }

    /// The number, or that of the cores.
    pub fn or_all_cores(self) -> NonZeroUsize {
        match self {
            Self::Exactly(count) => count,
            Self::Auto => {
                let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
                NonZeroUsize::new(MAX_THREADS).map_or(cores, |most| cores.min(most))
            }
        }
    }
}

/// What computes on so many threads is called: `CPU, 2 threads`.
pub fn threads_label(count: usize) -> String {
    match count {
        1 => "CPU, 1 thread".to_owned(),
        count => format!("CPU, {count} threads"),
    }
}

/// The number of threads with which `time` is shortest: twice as many, up to all cores, while that is at least 15 %
/// faster.
///
/// # Errors
/// Returns the error of `time`.
pub fn fastest_threads<E>(
    mut time: impl FnMut(usize) -> std::result::Result<Duration, E>,
) -> std::result::Result<usize, E> {
    let cores = Threads::Auto.or_all_cores().get();
    let mut threads = 1;
    let mut shortest = time(threads)?;
    while threads < cores {
        let more = (2 * threads).min(cores);
        let faster = time(more)?;
        if shortest < faster.mul_f64(WORTHWHILE) {
            break;
        }
        (threads, shortest) = (more, faster);
    }
    Ok(threads)
}

impl FromStr for Threads {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            number => Self::count(number)
                .map(Self::Exactly)
                .map_err(|expected| format!("{expected}, or auto")),
        }
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Exactly(count) => count.fmt(f),
        }
    }
}

/// Threads for a world: doubles them, up to all cores, while a denoise pass gets clearly faster.
pub(super) fn measured(dynamics: &mut PackedDynamics, config: &WorldConfig) -> Result<Workers> {
    let cores = Threads::Auto.or_all_cores().get();
    let mut probe = Probe::new(dynamics, config);
    let mut best = Workers::none();
    while best.threads() < cores {
        let more = Workers::new((2 * best.threads()).min(cores))?;
        let speedup = probe.speedup(&best, &more);
        tracing::debug!("{} threads: {speedup:.2} times as fast", more.threads());
        if speedup < WORTHWHILE {
            break;
        }
        best = more;
    }
    Ok(best)
}

/// A denoise pass to be timed, after a full context.
struct Probe<'a> {
    dynamics: &'a mut PackedDynamics,
    z: Vec<f32>,
    past: Vec<f32>,
    output: Vec<f32>,
    attended_frames: usize,
}

impl<'a> Probe<'a> {
    fn new(dynamics: &'a mut PackedDynamics, config: &WorldConfig) -> Self {
        let (len, frames) = (config.latent_len(), config.dynamics.stem_frames);
        let latent = |len: usize| (0..len).map(|i| (i % 5) as f32 / 2.0 - 1.0).collect();
        Self {
            dynamics,
            z: latent(len),
            past: latent(len * frames),
            output: vec![0.0; len],
            attended_frames: config.dynamics.context - 1,
        }
    }

    /// How many times as fast a pass is with `b` as with `a`, taking turns.
    fn speedup(&mut self, a: &Workers, b: &Workers) -> f64 {
        self.pass(a);
        self.pass(b);
        let (start, mut times) = (Instant::now(), [vec![], vec![]]);
        let [least, most] = PASSES;
        while times[0].len() < least || (times[0].len() < most && start.elapsed() < BUDGET) {
            times[0].push(self.pass(a));
            times[1].push(self.pass(b));
        }
        let [a, b] = times.map(median);
        a.as_secs_f64() / b.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn pass(&mut self, workers: &Workers) -> Duration {
        self.dynamics.reserve(workers.threads());
        let started = Instant::now();
        let context = FrameContext {
            recalled: RecalledFrames::default(),
            past: &self.past,
            frame: 0,
            attended_frames: self.attended_frames,
            reads_state: true,
        };
        self.dynamics.begin_frame(workers, &context);
        let input = DenoiseInput {
            z: &self.z,
            tau: 0.5,
            step_index: 0,
            action: Action::IDLE,
        };
        self.dynamics.denoise(workers, &input, &mut self.output);
        started.elapsed()
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_parsed() {
        assert_eq!("auto".parse(), Ok(Threads::Auto));
        assert_eq!("1".parse(), Ok(Threads::ONE));
        for text in ["auto", "1", "3", "256"] {
            let threads: Threads = text.parse().unwrap();
            assert_eq!(threads.to_string(), text);
        }
        for text in ["0", "257", "-1", "two", "", "1.5"] {
            let error = text.parse::<Threads>().unwrap_err();
            assert!(error.contains("1 to 256"), "{text}: {error}");
        }
    }
}
