//! The trainer's speed on the CPU, compared with the machine's matmul speed: `driftless bench --train`.

use std::fmt::Write;

use serde::Serialize;

use driftless::Result;
use driftless_engine::{Backend, Threads};
use driftless_eval::bench::{
    TrainingFlops, TrainingShape, count_training_flops, cpu_name, matmul_gflops,
};
use driftless_train::speed::{Network, measure, preset_world};
use driftless_train::{TrainPreset, TrainSettings};

/// Matmuls measured before and after each measurement.
const PROBES: usize = 4;
/// The presets that are measured.
const PRESETS: [(TrainPreset, &str); 2] =
    [(TrainPreset::Tiny, "tiny"), (TrainPreset::Small, "small")];
/// The networks that are measured.
const NETWORKS: [Network; 2] = [Network::Tokenizer, Network::Dynamics];

/// The result of all measurements.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainingReport {
    /// The CPU's name, if the operating system tells it.
    pub processor: Option<String>,
    /// Minimum duration of each measurement.
    pub seconds: f64,
    /// One entry for each preset, network and number of threads.
    pub rows: Vec<TrainingRow>,
}

/// The measurement of one network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainingRow {
    /// The preset's name.
    pub preset: &'static str,
    /// `tokenizer` or `dynamics`.
    pub network: &'static str,
    /// Number of threads.
    pub threads: usize,
    /// Measured steps.
    pub steps: u64,
    /// Frames per second, as `driftless train` counts them.
    pub frames_per_second: f64,
    /// GFLOP/s of training.
    pub gflops: f64,
    /// GFLOP/s of the `gemm` crate's f32 product of two large matrices on as many threads.
    pub matmul_gflops: f64,
    /// `gflops` divided by `matmul_gflops`.
    pub matmul_fraction: f64,
}

/// Measures every preset and network on each of `threads`, for about `seconds` seconds each. Calls
/// `tick` after each measurement.
///
/// # Errors
/// Returns an error if threads cannot be started or temporary files cannot be written.
pub fn run(threads: &[usize], seconds: f64, tick: &mut dyn FnMut()) -> Result<TrainingReport> {
    let mut rows = Vec::new();
    for (preset, name) in PRESETS {
        let (settings, world) = preset_world(preset)?;
        let flops = count_training_flops(&world, &training_shape(&settings));
        for network in NETWORKS {
            for &threads in threads {
                rows.push(row((preset, name), network, threads, seconds, flops)?);
                tick();
            }
        }
    }
    Ok(TrainingReport {
        processor: cpu_name(),
        seconds,
        rows,
    })
}

/// Number of measurements of [`run`] with so many entries in `threads`.
pub fn measurements(threads: usize) -> usize {
    PRESETS.len() * NETWORKS.len() * threads
}

fn training_shape(settings: &TrainSettings) -> TrainingShape {
    TrainingShape {
        tokenizer_batch: settings.tokenizer.batch_size,
        sequence_length: settings.dynamics.sequence_length,
        noised_copies: settings.dynamics.noised_copies,
        shortcut_every: settings.dynamics.shortcut_every,
    }
}

fn row(
    (preset, name): (TrainPreset, &'static str),
    network: Network,
    threads: usize,
    seconds: f64,
    flops: TrainingFlops,
) -> Result<TrainingRow> {
    let cpu = Backend::Cpu(Threads::Auto);
    let before = matmul_gflops(&cpu, threads, PROBES)?;
    let speed = measure(preset, network, threads, seconds)?;
    let matmul_gflops = before.max(matmul_gflops(&cpu, threads, PROBES)?);
    let (network, flops) = match network {
        Network::Tokenizer => ("tokenizer", flops.tokenizer),
        Network::Dynamics => ("dynamics", flops.dynamics),
    };
    let frames_per_second = speed.frames as f64 / speed.seconds.max(f64::MIN_POSITIVE);
    let gflops = frames_per_second * flops / 1e9;
    Ok(TrainingRow {
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
pub fn format_report(report: &TrainingReport) -> String {
    let mut out = String::new();
    if let Some(processor) = &report.processor {
        // Writing into a string cannot fail.
        let _ = writeln!(out, "{processor}");
    }
    let _ = writeln!(
        out,
        "{:7}{:11}{:>8}{:>11}{:>10}{:>9}{:>10}",
        "preset", "network", "threads", "frames/s", "GFLOP/s", "matmul", "fraction"
    );
    for r in &report.rows {
        let _ = writeln!(
            out,
            "{:7}{:11}{:>8}{:>11.1}{:>10.1}{:>9.1}{:>9.0}%",
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
    fn table_has_one_line_per_row() {
        let row = TrainingRow {
            preset: "tiny",
            network: "dynamics",
            threads: 2,
            steps: 4,
            frames_per_second: 512.0,
            gflops: 110.0,
            matmul_gflops: 220.0,
            matmul_fraction: 0.5,
        };
        let report = TrainingReport {
            processor: None,
            seconds: 1.0,
            rows: vec![row.clone(), row],
        };
        let text = format_report(&report);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("512.0") && text.contains("50%"), "{text}");
    }
}
