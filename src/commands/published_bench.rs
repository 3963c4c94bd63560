//! `driftless bench` of a published checkpoint.

use std::num::NonZeroUsize;
use std::time::Instant;

use driftless::Result;
use driftless::workspace::published::{Published, diamond, dreamer, oasis};
use driftless_data::Action;
use driftless_data::text::counted;
use driftless_diamond::EdmParams;
use driftless_dreamer::Dreamer;
use driftless_engine::{DeviceOptions, GpuSource, SamplerParams};
use driftless_eval::bench::{Timing, cpu_name};
use driftless_oasis::Oasis;
use driftless_published::{World, WorldParams};
use driftless_sim::PlayableNetwork;
use serde::Serialize;

/// Frames that are played before any is timed.
const WARM_UP: usize = 1;

/// What to measure.
pub struct PublishedBench<'a> {
    /// Steps per frame; each value is measured.
    pub steps: &'a [usize],
    /// Numbers of threads; each is measured. Empty for the fastest one.
    pub threads: &'a [NonZeroUsize],
    /// Where the networks are computed.
    pub device: DeviceOptions,
    /// Frames per measurement.
    pub frames: usize,
}

/// The speed of a published world.
#[derive(Serialize)]
pub struct PublishedReport {
    world: String,
    cpu: Option<String>,
    /// The GPU that computes most of it, if one does.
    gpu: Option<String>,
    rows: Vec<Row>,
}

/// One measurement.
#[derive(Serialize)]
struct Row {
    steps: usize,
    threads: usize,
    frame: Timing,
}

/// A published world to be measured.
trait Measured {
    fn threads(&self) -> usize;

    /// The GPU that computes most of it, if one does.
    fn gpu(&self) -> Option<String> {
        None
    }

    /// Computes on so many threads; on the fastest number if none is given.
    fn set_threads(&mut self, threads: Option<usize>) -> Result<()>;

    /// Makes a frame in so many steps.
    fn step(&mut self, steps: usize) -> Result<()>;
}

impl Measured for driftless_diamond::World {
    fn threads(&self) -> usize {
        self.threads()
    }

    fn gpu(&self) -> Option<String> {
        self.gpu_name().map(str::to_owned)
    }

    fn set_threads(&mut self, threads: Option<usize>) -> Result<()> {
        let agent = self.agent_mut();
        match threads {
            Some(count) => agent.set_threads(count)?,
            None => agent.set_fastest_threads()?,
        }
        Ok(())
    }

    fn step(&mut self, steps: usize) -> Result<()> {
        let edm = EdmParams {
            steps,
            ..EdmParams::default()
        };
        let params = driftless_diamond::WorldParams {
            edm,
            ..driftless_diamond::WorldParams::seeded(0)
        };
        self.step(0, &params)?;
        Ok(())
    }
}

impl<N: PlayableNetwork> Measured for World<N> {
    fn threads(&self) -> usize {
        self.network().threads()
    }

    fn set_threads(&mut self, threads: Option<usize>) -> Result<()> {
        let network = self.network_mut();
        match threads {
            Some(count) => network.set_threads(count)?,
            None => network.set_fastest_threads()?,
        }
        Ok(())
    }

    fn step(&mut self, steps: usize) -> Result<()> {
        let own = SamplerParams {
            steps,
            ..self.network().sampling()
        };
        let params = WorldParams {
            sampler: self.network().sampler(&own),
            ..WorldParams::seeded(own.context, 0)
        };
        self.step(&Action::IDLE, &params)?;
        Ok(())
    }
}

impl PublishedBench<'_> {
    /// Frames to be played.
    pub fn work(&self) -> usize {
        self.steps.len() * self.threads.len().max(1) * (self.frames + WARM_UP)
    }

    /// Plays the world of a checkpoint, and calls `tick` after each frame.
    ///
    /// # Errors
    /// Returns an error if the files are none of a published world, if a number of steps is out of range, or if the
    /// device is none that such worlds are computed on, or fails.
    pub fn run(&self, published: &Published, tick: &mut dyn FnMut()) -> Result<PublishedReport> {
        published.check_device(self.device.device)?;
        let (world, mut player): (String, Box<dyn Measured>) = match published {
            Published::Diamond(file) => {
                let agent = diamond::read_on(file, self.device, &GpuSource::Own)?;
                let name = diamond::describe(file, &agent).name;
                (name, Box::new(driftless_diamond::World::new(agent)))
            }
            Published::Oasis(files) => {
                let oasis = Oasis::read(files)?;
                let name = oasis::describe(files, oasis.info()).name;
                (name, Box::new(World::new(oasis)))
            }
            Published::Dreamer(files) => {
                let dreamer = Dreamer::read(files)?;
                let name = dreamer::describe(files, dreamer.info()).name;
                (name, Box::new(World::new(dreamer)))
            }
        };
        let given = self.threads.iter().map(|count| Some(count.get()));
        let mut counts: Vec<Option<usize>> = given.collect();
        if counts.is_empty() {
            counts.push(None);
        }
        let mut rows = Vec::new();
        for count in counts {
            player.set_threads(count)?;
            for &steps in self.steps {
                let mut times = Vec::new();
                for _ in 0..self.frames + WARM_UP {
                    let started = Instant::now();
                    player.step(steps)?;
                    times.push(started.elapsed());
                    tick();
                }
                rows.push(Row {
                    steps,
                    threads: player.threads(),
                    frame: Timing::of(times.into_iter().skip(WARM_UP)),
                });
            }
        }
        Ok(PublishedReport {
            world,
            cpu: cpu_name(),
            gpu: player.gpu(),
            rows,
        })
    }
}

impl PublishedReport {
    /// As text, a line for each measurement.
    pub fn text(&self) -> String {
        let cpu = self.cpu.as_deref().unwrap_or("an unknown processor");
        let mut text = match &self.gpu {
            Some(gpu) => format!("{} on {gpu}, the rest on {cpu}", self.world),
            None => format!("{} on {cpu}", self.world),
        };
        for Row {
            steps,
            threads,
            frame,
        } in &self.rows
        {
            let rate = 1000.0 / frame.median_ms;
            let digits = if rate < 1.0 { 3 } else { 1 };
            text += &format!(
                "\n{}, {}: {:.1} ms a frame, {rate:.digits$} frames/s",
                counted(*steps, "step"),
                counted(*threads, "thread"),
                frame.median_ms
            );
        }
        text
    }
}
