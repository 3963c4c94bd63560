//! Engine benchmark: frame time for each number of threads and each K, stage by stage, compared with the
//! machine's matmul speed.
//!
//! They take turns over several rounds, with matmul measurements in between, so that changes in
//! the machine's speed affect all of them alike.

pub mod batch;
pub mod devices;
mod flops;
mod machine;
pub mod self_test;
mod statistics;
pub mod sweep;
mod table;

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use serde::Serialize;

use driftless_data::{Action, Clip};
use driftless_engine::rollout::random_held_actions;
use driftless_engine::{Backend, Sampler, SamplerParams, StageTimes};

use crate::options::MAX_FRAMES;
use crate::{Error, Result};

pub use flops::{FlopCounts, TrainingFlops, TrainingShape, count_flops, count_training_flops};
pub use machine::{MATMUL_SIDE, cpu_name, matmul_gflops};
pub use statistics::Timing;
pub use table::format_report;

/// Rounds in which each K is measured.
const ROUNDS: usize = 5;
/// Unmeasured frames per K at the start.
const WARM_UP: usize = 16;
/// Side of the image that a presented frame is scaled to, in pixels.
pub const PRESENTED_SIDE: u32 = 1024;
/// Encodings and matmuls per round.
const PROBES_PER_ROUND: usize = 8;

/// What to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchOptions {
    /// Values of K (denoise passes per frame) to measure.
    pub steps: Vec<usize>,
    /// Measured frames per K and number of threads.
    pub frames: usize,
    /// Numbers of threads to measure; if empty, that of the engine.
    pub threads: Vec<NonZeroUsize>,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self {
            steps: vec![1, 2, 4, 8],
            frames: 300,
            threads: Vec::new(),
        }
    }
}

/// Result of the benchmark.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchReport {
    /// The world's name.
    pub world: String,
    /// The world's frame rate in frames per second.
    pub fps: f32,
    /// The engine's name.
    pub engine: String,
    /// The CPU's name; `None` if unknown.
    pub processor: Option<String>,
    /// Measured frames per K and number of threads.
    pub frames: usize,
    /// Floating-point operations of each stage.
    pub flop: FlopCounts,
    /// Drawing one frame, if the caller measured it.
    pub present: Option<PresentReport>,
    /// One entry per number of threads, in the requested order.
    pub threads: Vec<ThreadsReport>,
    /// One entry per number of threads and K, in the requested order.
    pub steps: Vec<StepsReport>,
}

/// What does not depend on K.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ThreadsReport {
    /// Threads used by the engine and by the matmul.
    pub threads: usize,
    /// Best f32 matmul speed of this run, [`MATMUL_SIDE`]³, in GFLOP/s.
    pub matmul_gflops: f64,
    /// Encoding one frame.
    pub encode: Timing,
}

/// Time to draw a frame off screen with the window's shader.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PresentReport {
    /// The graphics adapter.
    pub adapter: String,
    /// Upload and scaling to [`PRESENTED_SIDE`]² pixels.
    pub timing: Timing,
}

/// Frame times for one K and number of threads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepsReport {
    /// Threads used by the engine.
    pub threads: usize,
    /// K, the denoise passes per frame.
    pub steps: usize,
    /// The whole frame, as measured by the caller.
    pub frame: Timing,
    /// The K denoise passes.
    pub denoise: Timing,
    /// The pass that writes the KV cache.
    pub cache: Timing,
    /// Decoding the latent to pixels.
    pub decode: Timing,
    /// Frames per second at the median frame time.
    pub frames_per_second: f64,
    /// Unused fraction of the frame time at the world's frame rate; negative if the engine is too slow.
    pub time_left: f64,
    /// Speed at the median frame time, in GFLOP/s.
    pub gflops: f64,
    /// `gflops` as a fraction of the matmul speed on as many threads.
    pub matmul_fraction: f64,
}

/// A frame's wall time and stage times.
type FrameSample = (Duration, StageTimes);

/// What was measured with one number of threads.
struct Samples {
    threads: NonZeroUsize,
    /// By K, in the requested order.
    frames: Vec<Vec<FrameSample>>,
    encodes: Vec<Duration>,
    matmul_gflops: f64,
}

/// Measures an engine on a backend, starting from `clip`. Calls `tick` after each frame.
///
/// # Errors
/// Returns an error if there is no K or no frame to measure, the clip or a K does not match the world,
/// the engine does not let the caller choose its threads, or the device fails.
pub fn run(
    engine: &mut Sampler,
    clip: &Clip,
    backend: &Backend,
    options: &BenchOptions,
    tick: &mut dyn FnMut(),
) -> Result<BenchReport> {
    options.check()?;
    let BenchOptions {
        steps,
        frames,
        threads,
    } = options;
    let image_len = engine.world().image_len();
    let image = clip.images[..image_len.min(clip.images.len())].to_vec();
    let (kinds, axes) = (engine.world().actions.len(), engine.world().axes.len());
    let actions = random_held_actions(WARM_UP + frames, kinds, axes, 0);
    let (warm_up, actions) = actions.split_at(WARM_UP);

    engine.reset(clip, &SamplerParams::default())?;
    let own = NonZeroUsize::new(engine.threads()).unwrap_or(NonZeroUsize::MIN);
    let mut samples: Vec<Samples> = match threads.as_slice() {
        [] => vec![Samples::new(own, steps.len())],
        all => all.iter().map(|&n| Samples::new(n, steps.len())).collect(),
    };
    for round in 0..=ROUNDS {
        for samples in &mut samples {
            if !threads.is_empty() {
                engine.set_threads(samples.threads)?;
            }
            let Some(round) = round.checked_sub(1) else {
                for &k in steps {
                    play(engine, warm_up, k, &mut |_| tick())?;
                }
                engine.encode(&image)?;
                continue;
            };
            let part = &actions[frames * round / ROUNDS..frames * (round + 1) / ROUNDS];
            for (&k, frames) in steps.iter().zip(&mut samples.frames) {
                play(engine, part, k, &mut |sample| {
                    frames.push(sample);
                    tick();
                })?;
            }
            samples.probe(engine, &image, backend)?;
        }
    }

    let world = engine.world();
    let flop = count_flops(world);
    let fps = f64::from(world.fps);
    let report = |samples: &Samples| {
        let rows = steps.iter().zip(&samples.frames);
        let row = |(&k, frames): (&usize, &Vec<FrameSample>)| {
            let numbers = [samples.threads.get(), k];
            steps_report(numbers, frames, flop.frame(k), fps, samples.matmul_gflops)
        };
        rows.map(row).collect::<Vec<_>>()
    };
    Ok(BenchReport {
        world: world.name.clone(),
        fps: world.fps,
        engine: engine.name().to_owned(),
        processor: cpu_name(),
        frames: *frames,
        flop,
        present: None,
        steps: samples.iter().flat_map(report).collect(),
        threads: samples.into_iter().map(Samples::report).collect(),
    })
}

impl Samples {
    fn new(threads: NonZeroUsize, steps: usize) -> Self {
        Self {
            threads,
            frames: vec![Vec::new(); steps],
            encodes: Vec::new(),
            matmul_gflops: 0.0,
        }
    }

    /// Measures encoding and the matmul.
    fn probe(&mut self, engine: &mut Sampler, image: &[u8], backend: &Backend) -> Result<()> {
        for _ in 0..PROBES_PER_ROUND {
            let started = Instant::now();
            engine.encode(image)?;
            self.encodes.push(started.elapsed());
        }
        let rate = matmul_gflops(backend, self.threads.get(), PROBES_PER_ROUND)?;
        self.matmul_gflops = self.matmul_gflops.max(rate);
        Ok(())
    }

    fn report(self) -> ThreadsReport {
        ThreadsReport {
            threads: self.threads.get(),
            matmul_gflops: self.matmul_gflops,
            encode: Timing::of(self.encodes),
        }
    }
}

impl BenchOptions {
    fn check(&self) -> Result<()> {
        let (ks, frames) = (self.steps.len(), self.frames);
        for (name, value) in [("the number of steps K", ks), ("frames", frames)] {
            if value == 0 {
                return Err(Error::Argument(format!("{name} is 0, expected at least 1")));
            }
        }
        if frames > MAX_FRAMES {
            let what = format!("frames is {frames}, expected at most {MAX_FRAMES}");
            return Err(Error::Argument(what));
        }
        Ok(())
    }

    /// Total frames of a run, including warm-up.
    pub fn work(&self) -> usize {
        let runs = self.threads.len().max(1) * self.steps.len();
        runs.saturating_mul(self.frames.saturating_add(WARM_UP))
    }
}

/// Plays `actions` with K = `steps` and passes each frame's times to `each`.
fn play(
    engine: &mut Sampler,
    actions: &[Action],
    steps: usize,
    each: &mut dyn FnMut(FrameSample),
) -> Result<()> {
    let params = SamplerParams {
        steps,
        ..SamplerParams::default()
    };
    for &action in actions {
        let started = Instant::now();
        let stages = engine.step(action, &params)?;
        each((started.elapsed(), stages));
    }
    Ok(())
}

fn steps_report(
    [threads, steps]: [usize; 2],
    samples: &[FrameSample],
    flop: u64,
    fps: f64,
    matmul: f64,
) -> StepsReport {
    let timing = |part: fn(&FrameSample) -> Duration| Timing::of(samples.iter().map(part));
    let frame = timing(|(whole, _)| *whole);
    let seconds = (frame.median_ms / 1e3).max(f64::MIN_POSITIVE);
    let gflops = flop as f64 / seconds / 1e9;
    StepsReport {
        threads,
        steps,
        frame,
        denoise: timing(|(_, stages)| stages.denoise),
        cache: timing(|(_, stages)| stages.cache),
        decode: timing(|(_, stages)| stages.decode),
        frames_per_second: 1.0 / seconds,
        time_left: 1.0 - seconds * fps,
        gflops,
        matmul_fraction: gflops / matmul,
    }
}

#[cfg(test)]
mod tests;
