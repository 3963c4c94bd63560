//! The engine's speed: what a frame costs for each K, stage by stage, and how near that is to
//! what the machine can multiply.
//!
//! The values of K take turns over several rounds, with the machine's matmul rate measured in
//! between, so that a machine that slows down or speeds up does so for all of them.

pub mod devices;
mod flops;
mod machine;
mod statistics;
pub mod sweep;
mod table;
pub mod training;

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::engine::{Clip, Engine, Place, SamplerParams, StageTimes};
use crate::eval::rollout::held_actions;
use crate::{Error, Result};

pub use flops::{Flop, Trained, count, trained};
pub use machine::{SIDE, matmul_gflops, processor};
pub use statistics::Timing;
pub use table::text;

/// Turns that each K takes.
const ROUNDS: usize = 5;
/// Frames of each K before any is measured.
const WARM_UP: usize = 16;
/// Side of the picture that a frame is scaled to, in pixels.
pub const PRESENTED: u32 = 1024;
/// Encoded frames and multiplied matrices a round.
const PROBES: usize = 8;

/// What to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Denoise passes a frame, K: every value is measured.
    pub steps: Vec<usize>,
    /// Measured frames for each K.
    pub frames: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            steps: vec![1, 2, 4, 8],
            frames: 300,
        }
    }
}

/// Everything that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchReport {
    /// The world's name.
    pub world: String,
    /// The world's own frames a second.
    pub fps: f32,
    /// The engine's name.
    pub engine: String,
    /// The processor's name; none where the operating system does not tell.
    pub processor: Option<String>,
    /// Threads that the engine computes on, and the matmul too.
    pub threads: usize,
    /// Measured frames for each K.
    pub frames: usize,
    /// The best f32 matmul of this run, [`SIDE`]³, in GFLOP/s.
    pub matmul_gflops: f64,
    /// Arithmetic of each stage.
    pub flop: Flop,
    /// One frame, pixels to latent.
    pub encode: Timing,
    /// Drawing one frame that lies in memory, where the caller has something to draw with.
    pub present: Option<PresentReport>,
    /// One entry for each K, in the order asked for.
    pub steps: Vec<StepsReport>,
}

/// What it costs to draw a frame by the window's shader, off screen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PresentReport {
    /// What draws.
    pub adapter: String,
    /// Upload and scaling into a picture of [`PRESENTED`]² pixels.
    pub timing: Timing,
}

/// What a frame costs at one K.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepsReport {
    /// Denoise passes a frame, K.
    pub steps: usize,
    /// The whole frame, as a caller waits for it.
    pub frame: Timing,
    /// The K denoise passes.
    pub denoise: Timing,
    /// The pass that writes the ring.
    pub cache: Timing,
    /// Latent to pixels.
    pub decode: Timing,
    /// Frames a second at the median frame.
    pub frames_per_second: f64,
    /// Share of the frame time left at the world's own pace; below 0: too slow for it.
    pub time_left: f64,
    /// Arithmetic a second at the median frame, in GFLOP/s.
    pub gflops: f64,
    /// `gflops` as a share of `matmul_gflops`.
    pub matmul_fraction: f64,
}

/// A frame's wall time and its stages.
type Sample = (Duration, StageTimes);

/// Measures an engine that starts after `context`; `place` is where it computes, and
/// `tick` is called after each frame.
///
/// # Errors
/// There is no K or no frame to measure, the context or a K does not fit the world, or the
/// device failed.
pub fn run(
    engine: &mut dyn Engine,
    context: &Clip,
    place: &Place,
    options: &Options,
    tick: &mut dyn FnMut(),
) -> Result<BenchReport> {
    let Options { steps, frames } = options;
    if steps.is_empty() || *frames == 0 {
        return Err(Error::Argument(format!(
            "{} values of K and {frames} frames, expected at least 1 of both",
            steps.len()
        )));
    }
    let threads = machine::threads(engine.name());
    let image_len = engine.world().image_len();
    let image = context.images[..image_len.min(context.images.len())].to_vec();
    let actions = held_actions(WARM_UP + frames, engine.world().actions.len(), 0);
    let (warm_up, actions) = actions.split_at(WARM_UP);

    engine.reset(context, &SamplerParams::default())?;
    for &k in steps {
        play(engine, warm_up, k, &mut |_| tick())?;
    }
    engine.encode(&image)?;

    let mut samples: Vec<Vec<Sample>> = vec![Vec::with_capacity(*frames); steps.len()];
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
        for _ in 0..PROBES {
            let started = Instant::now();
            engine.encode(&image)?;
            encodes.push(started.elapsed());
        }
        matmul = matmul.max(matmul_gflops(place, threads, PROBES)?);
    }

    let world = engine.world();
    let flop = count(world);
    let report = |(&k, samples): (&usize, &Vec<Sample>)| {
        steps_report(k, samples, flop.frame(k), f64::from(world.fps), matmul)
    };
    Ok(BenchReport {
        world: world.name.clone(),
        fps: world.fps,
        engine: engine.name().to_owned(),
        processor: processor(),
        threads,
        frames: *frames,
        matmul_gflops: matmul,
        flop,
        encode: Timing::of(encodes),
        present: None,
        steps: steps.iter().zip(&samples).map(report).collect(),
    })
}

impl Options {
    /// Frames that a run plays in all, the warm-up included.
    pub fn work(&self) -> usize {
        self.steps.len() * (WARM_UP + self.frames)
    }
}

/// Plays `actions` with K = `steps` and hands each frame's times to `each`.
fn play(
    engine: &mut dyn Engine,
    actions: &[u32],
    steps: usize,
    each: &mut dyn FnMut(Sample),
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

fn steps_report(steps: usize, samples: &[Sample], flop: u64, fps: f64, matmul: f64) -> StepsReport {
    let of = |part: fn(&Sample) -> Duration| Timing::of(samples.iter().map(part));
    let frame = of(|(whole, _)| *whole);
    let seconds = (frame.median_ms / 1e3).max(f64::MIN_POSITIVE);
    let gflops = flop as f64 / seconds / 1e9;
    StepsReport {
        steps,
        frame,
        denoise: of(|(_, stages)| stages.denoise),
        cache: of(|(_, stages)| stages.cache),
        decode: of(|(_, stages)| stages.decode),
        frames_per_second: 1.0 / seconds,
        time_left: 1.0 - seconds * fps,
        gflops,
        matmul_fraction: gflops / matmul,
    }
}

#[cfg(test)]
mod tests;
