//! A report as text for a terminal.

use super::{BenchReport, PRESENTED, SIDE, StepsReport, Timing};
use crate::table::{Table, text as table_text};

/// The report as lines of text.
pub fn text(report: &BenchReport) -> String {
    let threads = match report.threads {
        1 => "1 thread".to_owned(),
        n => format!("{n} threads"),
    };
    let processor = report.processor.as_deref().unwrap_or("unknown processor");
    let flop = &report.flop;
    let million = |flop: u64| format!("{:.1}", flop as f64 / 1e6);
    let present = report.present.as_ref().map_or_else(String::new, |present| {
        let (ms, adapter) = (both(&present.timing), &present.adapter);
        format!("show one frame at {PRESENTED}² pixels: {ms} ms on {adapter}\n")
    });
    format!(
        "{} on engine {}, {threads}, {processor}\n\
         matmul f32 {SIDE}³: {:.1} GFLOP/s; MFLOP: denoise {} a pass, shared {}, cache {}, decode {}\n\
         encode one frame: {} ms\n{present}\n{}",
        report.world,
        report.engine,
        report.matmul_gflops,
        million(flop.denoise),
        million(flop.shared),
        million(flop.cache),
        million(flop.decode),
        both(&report.encode),
        table_text(&[frames(report)]).trim_end(),
    )
}

fn frames(report: &BenchReport) -> Table {
    let head = [
        "K",
        "frame",
        "denoise",
        "cache",
        "decode",
        "frames/s",
        "left",
        "GFLOP/s",
        "of matmul",
    ];
    Table {
        title: format!(
            "ms: median / p95 of {} frames; left: share of the frame time at {} frames/s",
            report.frames, report.fps
        ),
        head: head.map(str::to_owned).to_vec(),
        rows: report.steps.iter().map(row).collect(),
    }
}

fn row(steps: &StepsReport) -> Vec<String> {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    vec![
        steps.steps.to_string(),
        both(&steps.frame),
        both(&steps.denoise),
        both(&steps.cache),
        both(&steps.decode),
        format!("{:.1}", steps.frames_per_second),
        percent(steps.time_left),
        format!("{:.1}", steps.gflops),
        percent(steps.matmul_fraction),
    ]
}

fn both(timing: &Timing) -> String {
    format!("{:.2} / {:.2}", timing.median_ms, timing.p95_ms)
}
