//! `driftless bench` of a published checkpoint.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use driftless::Result;
use driftless::workspace::published::describe;
use driftless_diamond::{Agent, EdmParams, World, WorldParams};
use driftless_eval::bench::{Timing, cpu_name};
use serde::Serialize;

/// Frames that are played before any is timed.
const WARM_UP: usize = 1;

/// What to measure.
pub struct PublishedBench<'a> {
    /// Steps per frame; each value is measured.
    pub steps: &'a [usize],
    /// Numbers of threads; each is measured. Empty for the fastest one.
    pub threads: &'a [NonZeroUsize],
    /// Frames per measurement.
    pub frames: usize,
}

/// The speed of a published world.
#[derive(Serialize)]
pub struct PublishedReport {
    world: String,
    cpu: Option<String>,
    rows: Vec<Row>,
}

/// One measurement.
#[derive(Serialize)]
struct Row {
    steps: usize,
    threads: usize,
    frame: Timing,
}

impl PublishedBench<'_> {
    /// Frames to be played.
    pub fn work(&self) -> usize {
        self.steps.len() * self.threads.len().max(1) * (self.frames + WARM_UP)
    }

    /// Plays the world in `file`, and calls `tick` after each frame.
    ///
    /// # Errors
    /// Returns an error if the file is none of a published world, or if a number of steps is out of range.
    pub fn run(&self, file: &Path, tick: &mut dyn FnMut()) -> Result<PublishedReport> {
        let mut agent = Agent::read(file)?;
        let world = describe(file, &agent).name;
        let mut threads: Vec<usize> = self.threads.iter().map(|count| count.get()).collect();
        if threads.is_empty() {
            agent.set_fastest_threads()?;
            threads.push(agent.threads());
        }
        let mut player = World::new(agent);
        let mut rows = Vec::new();
        for &threads in &threads {
            player.agent_mut().set_threads(threads)?;
            for &steps in self.steps {
                let edm = EdmParams {
                    steps,
                    ..EdmParams::default()
                };
                let params = WorldParams {
                    edm,
                    ..WorldParams::seeded(0)
                };
                let mut times = Vec::new();
                for _ in 0..self.frames + WARM_UP {
                    let started = Instant::now();
                    player.step(0, &params)?;
                    times.push(started.elapsed());
                    tick();
                }
                rows.push(Row {
                    steps,
                    threads,
                    frame: Timing::of(times.into_iter().skip(WARM_UP)),
                });
            }
        }
        let cpu = cpu_name();
        Ok(PublishedReport { world, cpu, rows })
    }
}

impl PublishedReport {
    /// As text, a line for each measurement.
    pub fn text(&self) -> String {
        let cpu = self.cpu.as_deref().unwrap_or("an unknown processor");
        let mut text = format!("{} on {cpu}", self.world);
        for Row {
            steps,
            threads,
            frame,
        } in &self.rows
        {
            let rate = 1000.0 / frame.median_ms;
            text += &format!(
                "\n{steps} steps, {threads} threads: {:.1} ms a frame, {rate:.1} frames/s",
                frame.median_ms
            );
        }
        text
    }
}
