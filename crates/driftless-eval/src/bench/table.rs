//! The benchmark report as text for a terminal.

use super::{BenchReport, MATMUL_SIDE, PRESENTED_SIDE, StepsReport, ThreadsReport, Timing};
use crate::table::{Table, text as table_text};

/// Formats the report as lines of text.
pub fn format_report(report: &BenchReport) -> String {
    let processor = report.processor.as_deref().unwrap_or("unknown CPU");
    let flop = &report.flop;
    let million = |flop: u64| format!("{:.1}", flop as f64 / 1e6);
    let threads: String = report.threads.iter().map(threads_line).collect();
    let present = report.present.as_ref().map_or_else(String::new, |present| {
        let (ms, adapter) = (median_and_p95(&present.timing), &present.adapter);
        format!("present one frame at {PRESENTED_SIDE}² pixels: {ms} ms on {adapter}\n")
    });
    format!(
        "{} on engine {}, {processor}\n\
         MFLOP: denoise {} per pass, shared {}, cache {}, decode {}\n\
         {threads}{present}\n{}",
        report.world,
        report.engine,
        million(flop.denoise),
        million(flop.shared),
        million(flop.cache),
        million(flop.decode),
        table_text(&[frames(report)]).trim_end(),
    )
}

fn threads_line(report: &ThreadsReport) -> String {
    let threads = match report.threads {
        1 => "1 thread".to_owned(),
        n => format!("{n} threads"),
    };
    format!(
        "{threads}: matmul f32 {MATMUL_SIDE}³ {:.1} GFLOP/s; encode one frame {} ms\n",
        report.matmul_gflops,
        median_and_p95(&report.encode)
    )
}

fn frames(report: &BenchReport) -> Table {
    let head = [
        "threads",
        "K",
        "frame",
        "denoise",
        "cache",
        "decode",
        "FPS",
        "unused",
        "GFLOP/s",
        "of matmul",
    ];
    Table {
        title: format!(
            "ms: median / p95 of {} frames; unused: fraction of the frame time at {} FPS",
            report.frames, report.fps
        ),
        head: head.map(str::to_owned).to_vec(),
        rows: report.steps.iter().map(row).collect(),
    }
}

fn row(steps: &StepsReport) -> Vec<String> {
    let percent = |fraction: f64| format!("{:.1} %", fraction * 100.0);
    vec![
        steps.threads.to_string(),
        steps.steps.to_string(),
        median_and_p95(&steps.frame),
        median_and_p95(&steps.denoise),
        median_and_p95(&steps.cache),
        median_and_p95(&steps.decode),
        format!("{:.1}", steps.frames_per_second),
        percent(steps.time_left),
        format!("{:.1}", steps.gflops),
        percent(steps.matmul_fraction),
    ]
}

fn median_and_p95(timing: &Timing) -> String {
    format!("{:.2} / {:.2}", timing.median_ms, timing.p95_ms)
}
