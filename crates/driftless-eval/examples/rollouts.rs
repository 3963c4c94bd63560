//! Measures the included Pong on two held-out episodes: predicted frames against the real ones, by the number of
//! frames predicted so far.
//!
//! `cargo run --release -p driftless-eval --example rollouts`

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::path::Path;

use driftless_data::Dataset;
use driftless_engine::{DeviceChoice, GpuSource};
use driftless_eval::{EvalOptions, EvalProgress, Probes, Result, report, report_tables, table};

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let world = root.join("checkpoints/pong");
    let mut engine = driftless_engine::open(&world, DeviceChoice::Cpu, &GpuSource::Own)?;
    let dataset = Dataset::read(&root.join("assets/pong"))?;
    let options = EvalOptions {
        sequences: 8,
        horizon: 32,
        tokenizer_frames: 64,
        one_step: 64,
        free_runs: 0,
        ..EvalOptions::default()
    };
    let mut show = |done: usize, total: usize| {
        if done.is_multiple_of(100) {
            println!("{done} of {total} frames");
        }
    };
    let progress = &mut EvalProgress::new(&mut show);
    let report = report::run(
        &mut engine,
        &dataset,
        &options,
        Probes::default(),
        None,
        progress,
    )?;
    println!("{}", table::text(&report_tables::tables(&report)));
    Ok(())
}
