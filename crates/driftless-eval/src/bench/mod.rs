//! Engine benchmark: frame time for each K, stage by stage, compared with the machine's matmul speed.
//!
//! The values of K alternate over several rounds, with matmul measurements in between, so that changes in
//! the machine's speed affect all of them alike.

pub mod devices;
mod flops;
mod machine;
mod statistics;
pub mod sweep;
mod table;

use std::time::{Duration, Instant};

use serde::Serialize;

use driftless_data::Clip;
use driftless_engine::rollout::random_held_actions;
use driftless_engine::{Backend, Sampler, SamplerParams, StageTimes};

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
    /// Measured frames per K.
    pub frames: usize,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self {
            steps: vec![1, 2, 4, 8],
            frames: 300,
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
    /// Threads used by the engine and by the matmul.
    pub threads: usize,
    /// Measured frames per K.
    pub frames: usize,
    /// Best f32 matmul speed of this run, [`MATMUL_SIDE`]³, in GFLOP/s.
    pub matmul_gflops: f64,
    /// Floating-point operations of each stage.
    pub flop: FlopCounts,
    /// Encoding one frame.
    pub encode: Timing,
    /// Drawing one frame, if the caller measured it.
    pub present: Option<PresentReport>,
    /// One entry per K, in the requested order.
    pub steps: Vec<StepsReport>,
}

/// Time to draw a frame off screen with the window's shader.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PresentReport {
    /// The graphics adapter.
    pub adapter: String,
    /// Upload and scaling to [`PRESENTED_SIDE`]² pixels.
    pub timing: Timing,
}

/// Frame times for one K.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepsReport {
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
    /// `gflops` as a fraction of `matmul_gflops`.
    pub matmul_fraction: f64,
}

/// A frame's wall time and stage times.
type FrameSample = (Duration, StageTimes);

/// Measures an engine on a backend, starting from `context`. Calls `tick` after each frame.
///
/// # Errors
/// Returns an error if there is no K or no frame to measure, the context or a K does not match the world,
/// or the device fails.
pub fn run(
    engine: &mut Sampler,
    context: &Clip,
    place: &Backend,
    options: &BenchOptions,
    tick: &mut dyn FnMut(),
) -> Result<BenchReport> {
    options.check()?;
    let BenchOptions { steps, frames } = options;
    let threads = machine::threads(engine.name());
    let image_len = engine.world().image_len();
    let image = context.images[..image_len.min(context.images.len())].to_vec();
    let actions = random_held_actions(WARM_UP + frames, engine.world().actions.len(), 0);
    let (warm_up, actions) = actions.split_at(WARM_UP);

    engine.reset(context, &SamplerParams::default())?;
    for &k in steps {
        play(engine, warm_up, k, &mut |_| tick())?;
    }
    engine.encode(&image)?;

    let mut samples: Vec<Vec<FrameSample>> = vec![Vec::with_capacity(*frames); steps.len()];
    let mut encodes = Vec::new();
    let mut matmul = 0f64;
    for round in 0..ROUNDS {
        let part = frames * round / ROUNDS..frames * (round + 1) / ROUNDS;
        for (&k, samples) in steps.iter().zip(&mut samples) {
            play(engine, &actions[part.clone()], k, &mut |sample| {
                samples.push(sample);
                tick();
            })?;
        }
        for _ in 0..PROBES_PER_ROUND {
            let started = Instant::now();
            engine.encode(&image)?;
            encodes.push(started.elapsed());
        }
        matmul = matmul.max(matmul_gflops(place, threads, PROBES_PER_ROUND)?);
    }

    let world = engine.world();
    let flop = count_flops(world);
    let report = |(&k, samples): (&usize, &Vec<FrameSample>)| {
        steps_report(k, samples, flop.frame(k), f64::from(world.fps), matmul)
    };
    Ok(BenchReport {
        world: world.name.clone(),
        fps: world.fps,
        engine: engine.name().to_owned(),
        processor: cpu_name(),
        threads,
        frames: *frames,
        matmul_gflops: matmul,
        flop,
        encode: Timing::of(encodes),
        present: None,
        steps: steps.iter().zip(&samples).map(report).collect(),
    })
}

impl BenchOptions {
    fn check(&self) -> Result<()> {
        let (ks, frames) = (self.steps.len(), self.frames);
        if ks == 0 || frames == 0 {
            return Err(Error::Argument(format!(
                "{ks} values of K and {frames} frames, expected at least 1 of each"
            )));
        }
        Ok(())
    }

    /// Total frames of a run, including warm-up.
    pub fn work(&self) -> usize {
        self.steps.len() * (WARM_UP + self.frames)
    }
}

/// Plays `actions` with K = `steps` and passes each frame's times to `each`.
fn play(
    engine: &mut Sampler,
    actions: &[u32],
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
    steps: usize,
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
