//! The trainer's speed on the processor, preset by preset, beside what the machine can multiply.

use std::fmt::Write;

use candle_core::Device;
use serde::Serialize;

use super::flops::{Trained, trained};
use super::machine::{matmul_gflops, processor};
use crate::Result;
use crate::engine::Place;
use crate::train::Preset;
use crate::train::speed::{Network, measure, world};

/// Products of the machine's own rate, before and behind each measurement.
const PROBES: usize = 4;
/// What is measured.
const CASES: [(Preset, &str); 2] = [(Preset::Tiny, "tiny"), (Preset::Small, "small")];

/// Everything that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainReport {
    /// The processor's name; none where the operating system does not tell.
    pub processor: Option<String>,
    /// Seconds that each measurement took, at least.
    pub seconds: f64,
    /// One entry for each preset, network and number of threads.
    pub rows: Vec<TrainRow>,
}

/// One preset's network on so many threads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainRow {
    /// The preset's name.
    pub preset: &'static str,
    /// `tokenizer` or `dynamics`.
    pub network: &'static str,
    /// Threads that trained.
    pub threads: usize,
    /// Measured steps.
    pub steps: u64,
    /// Frames a second, as `driftless train` counts them.
    pub frames_per_second: f64,
    /// Arithmetic a second, in GFLOP/s.
    pub gflops: f64,
    /// The `gemm` crate's f32 product of two large matrices on as many threads, in GFLOP/s.
    pub matmul_gflops: f64,
    /// `gflops` as a share of `matmul_gflops`.
    pub matmul_fraction: f64,
}

/// Measures every case on each of `threads`, for about `seconds` seconds each; `tick` is called
/// after each.
///
/// # Errors
/// Threads cannot be started, or there is no room for temporary files.
pub fn run(threads: &[usize], seconds: f64, tick: &mut dyn FnMut()) -> Result<TrainReport> {
    let mut rows = Vec::new();
    for (preset, name) in CASES {
        let (settings, config) = world(preset)?;
        let flop = trained(&config, &settings.tokenizer, &settings.dynamics);
        for network in [Network::Tokenizer, Network::Dynamics] {
            for &threads in threads {
                rows.push(row((preset, name), network, threads, seconds, flop)?);
                tick();
            }
        }
    }
    Ok(TrainReport {
        processor: processor(),
        seconds,
        rows,
    })
}

/// Measurements that [`run`] makes for so many numbers of threads.
pub fn work(threads: usize) -> usize {
    CASES.len() * 2 * threads
}

fn row(
    (preset, name): (Preset, &'static str),
    network: Network,
    threads: usize,
    seconds: f64,
    flop: Trained,
) -> Result<TrainRow> {
    let place = Place::Candle(Device::Cpu);
    let before = matmul_gflops(&place, threads, PROBES)?;
    let speed = measure(preset, network, threads, seconds)?;
    let matmul_gflops = before.max(matmul_gflops(&place, threads, PROBES)?);
    let (network, flop) = match network {
        Network::Tokenizer => ("tokenizer", flop.tokenizer),
        Network::Dynamics => ("dynamics", flop.dynamics),
    };
    let frames_per_second = speed.frames as f64 / speed.seconds.max(f64::MIN_POSITIVE);
    let gflops = frames_per_second * flop / 1e9;
    Ok(TrainRow {
        preset: name,
        network,
        threads,
        steps: speed.steps,
        frames_per_second,
        gflops,
        matmul_gflops,
        matmul_fraction: gflops / matmul_gflops,
    })
}

/// The report as a table.
pub fn text(report: &TrainReport) -> String {
    let mut out = String::new();
    if let Some(processor) = &report.processor {
        // Writing into a string cannot fail.
        let _ = writeln!(out, "{processor}");
    }
    let _ = writeln!(
        out,
        "{:7}{:11}{:>8}{:>11}{:>10}{:>9}{:>9}",
        "preset", "network", "threads", "frames/s", "GFLOP/s", "matmul", "share"
    );
    for r in &report.rows {
        let _ = writeln!(
            out,
            "{:7}{:11}{:>8}{:>11.1}{:>10.1}{:>9.1}{:>8.0}%",
            r.preset,
            r.network,
            r.threads,
            r.frames_per_second,
            r.gflops,
            r.matmul_gflops,
            100.0 * r.matmul_fraction
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_measurement() {
        let row = TrainRow {
            preset: "tiny",
            network: "dynamics",
            threads: 2,
            steps: 4,
            frames_per_second: 512.0,
            gflops: 110.0,
            matmul_gflops: 220.0,
            matmul_fraction: 0.5,
        };
        let report = TrainReport {
            processor: None,
            seconds: 1.0,
            rows: vec![row.clone(), row],
        };
        let text = text(&report);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("512.0") && text.contains("50%"), "{text}");
    }
}
