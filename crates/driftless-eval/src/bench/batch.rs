//! Many games at once: a [`Batch`] against as many engines of their own, one after another.

use std::num::NonZeroUsize;
use std::time::Instant;

use driftless_data::Clip;
use driftless_engine::rollout::random_held_actions;
use driftless_engine::{Batch, CpuNetwork, Sampler, SamplerParams, Threads};
use driftless_model::checkpoint::WorldModel;
use serde::Serialize;

use crate::table::{Table, text};
use crate::{Error, Result};

/// Rounds in which both take turns.
const ROUNDS: usize = 5;

/// What to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchBenchOptions {
    /// Games, N.
    pub games: usize,
    /// Values of K to measure.
    pub steps: Vec<usize>,
    /// Frames of every game in a round.
    pub frames: usize,
    /// Threads, of the batch and of the single engines' choice of theirs.
    pub threads: Threads,
}

/// Frames per second of all games together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BatchReport {
    /// The world's name.
    pub world: String,
    /// Games, N.
    pub games: usize,
    /// Threads of the batch, each with a game.
    pub threads: usize,
    /// Threads of a single engine, all for its game: as many as it has found to be fastest.
    pub single_threads: usize,
    /// One entry per K.
    pub steps: Vec<BatchStepsReport>,
}

/// Frames per second at one K, the medians of the rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BatchStepsReport {
    /// K, the denoise passes per frame.
    pub steps: usize,
    /// N single engines, one after another.
    pub single: f64,
    /// The batch.
    pub batch: f64,
    /// The batch, without decoding the frames: what a rollout in imagination costs.
    pub undrawn: f64,
}

impl BatchStepsReport {
    /// How many times as fast the batch is as single engines.
    pub fn speedup(&self) -> f64 {
        self.batch / self.single
    }
}

/// Measures a world on the CPU. Calls `tick` after each round of a K.
///
/// # Errors
/// Returns an error if there is nothing to measure, or if the clip does not match the world.
pub fn run(
    world: &WorldModel,
    clip: &Clip,
    options: &BatchBenchOptions,
    tick: &mut dyn FnMut(),
) -> Result<BatchReport> {
    if options.games == 0 || options.frames == 0 || options.steps.is_empty() {
        let what = "expected at least one game, one frame and one K";
        return Err(Error::Argument(what.into()));
    }
    let threads = options.threads.or_all_cores();
    let open = |threads| -> Result<Sampler> {
        let network = CpuNetwork::new(world, threads)?;
        let mut sampler = Sampler::new(Box::new(network), world.config.clone());
        sampler.reset(clip, &SamplerParams::default())?;
        Ok(sampler)
    };
    let first = open(options.threads)?;
    let single_threads = first.threads();
    let own = Threads::Exactly(NonZeroUsize::new(single_threads).unwrap_or(NonZeroUsize::MIN));
    let mut single = vec![first];
    while single.len() < options.games {
        single.push(open(own)?);
    }
    let mut batch = Batch::of(&open(Threads::ONE)?, options.games, threads)?;
    let [kinds, axes] = [world.config.actions.len(), world.config.axes.len()];
    let actions = random_held_actions(options.frames, kinds, axes, 0);
    let frames = (options.games * options.frames) as f64;
    let mut reports = Vec::new();
    for &steps in &options.steps {
        let params = SamplerParams {
            steps,
            ..SamplerParams::of_world(&world.config)
        };
        let seeds = vec![params.seed; options.games];
        let mut rates = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            let start = Instant::now();
            for &action in &actions {
                for engine in &mut single {
                    engine.step(action, &params)?;
                }
            }
            rates[0].push(frames / start.elapsed().as_secs_f64());
            let start = Instant::now();
            for &action in &actions {
                batch.advance(|_, game| game.step(action, &params))?;
            }
            rates[1].push(frames / start.elapsed().as_secs_f64());
            let start = Instant::now();
            for &action in &actions {
                batch.step(&vec![action; options.games], &seeds, &params)?;
            }
            rates[2].push(frames / start.elapsed().as_secs_f64());
            tick();
        }
        let [single, batch, undrawn] = rates.map(median);
        reports.push(BatchStepsReport {
            steps,
            single,
            batch,
            undrawn,
        });
    }
    Ok(BatchReport {
        world: world.config.name.clone(),
        games: options.games,
        threads: threads.get(),
        single_threads,
        steps: reports,
    })
}

impl BatchBenchOptions {
    /// How often [`run`] calls `tick`.
    pub fn work(&self) -> usize {
        ROUNDS * self.steps.len()
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// The report for a terminal.
pub fn format_batch(report: &BatchReport) -> String {
    let head = ["K", "single", "batch", "times as fast", "batch, not drawn"];
    let rows = report.steps.iter().map(|row| {
        vec![
            row.steps.to_string(),
            format!("{:.0}", row.single),
            format!("{:.0}", row.batch),
            format!("{:.2}", row.speedup()),
            format!("{:.0}", row.undrawn),
        ]
    });
    text(&[Table {
        title: format!(
            "{}, {} games, frames per second of all together: single engines one after another on {} \
             threads each, and a batch on {} threads",
            report.world, report.games, report.single_threads, report.threads
        ),
        head: head.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }])
}

#[cfg(test)]
mod tests {
    use driftless_engine::testing::{clip, small_config, world};

    use super::*;

    #[test]
    fn batch_is_measured_at_every_k() {
        let config = small_config();
        let options = BatchBenchOptions {
            games: 3,
            steps: vec![1, 2],
            frames: 2,
            threads: Threads::ONE,
        };
        let mut ticks = 0;
        let report = run(&world(&config), &clip(&config, 2), &options, &mut || {
            ticks += 1;
        })
        .unwrap();
        assert_eq!(ticks, options.work());
        assert_eq!([report.threads, report.single_threads], [1, 1]);
        assert!(
            report
                .steps
                .iter()
                .all(|row| row.single > 0.0 && row.speedup() > 0.0)
        );
        assert!(format_batch(&report).contains("3 games"));
        let nothing = BatchBenchOptions {
            games: 0,
            ..options
        };
        assert!(run(&world(&config), &clip(&config, 2), &nothing, &mut || ()).is_err());
    }
}
