//! Scaling benchmark: how frame time grows with width, context, tokens per frame and K, one at a time, with
//! random weights, up to a hundred million parameters.

use std::time::{Duration, Instant};

use serde::Serialize;

use driftless_data::{Action, ActionSpec, Clip};
use driftless_engine::{Backend, SamplerParams};
use driftless_model::checkpoint::WorldModel;
use driftless_model::config::{
    DynamicsConfig, FORMAT_VERSION, FlowConfig, SamplingConfig, TokenizerConfig, WorldConfig,
};

use super::{Timing, count_flops};
use crate::Result;
use crate::table::{Table, text as table_text};

/// Unmeasured frames at the start.
const WARM_UP: usize = 2;
/// Minimum number of measured frames per shape.
const MIN_FRAMES: usize = 3;
/// Time after which no more frames of a shape are measured.
const TIME_LIMIT: Duration = Duration::from_secs(2);
/// Shapes whose frames would take longer are skipped.
const MAX_FRAME_TIME: Duration = Duration::from_secs(10);

/// A measured shape.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepRow {
    /// What varies: `width`, `context`, `tokens`, `K`, or `large` for several at once.
    pub vary: &'static str,
    /// The value of what varies.
    pub value: usize,
    /// Number of parameters of the dynamics network.
    pub parameters: usize,
    /// Tokens per frame.
    pub tokens: usize,
    /// Denoise passes per frame, K.
    pub steps: usize,
    /// Threads used by the engine.
    pub threads: usize,
    /// Floating-point operations of a frame, in GFLOP.
    pub gflop: f64,
    /// The whole frame.
    pub frame: Timing,
    /// Speed at the median frame time, in GFLOP/s.
    pub gflops: f64,
    /// Ratio of `gflop` to the previous row of the same kind.
    pub arithmetic_growth: Option<f64>,
    /// Ratio of the frame time to that of the previous row of the same kind.
    pub time_growth: Option<f64>,
}

/// Result of the scaling benchmark.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepReport {
    /// The engine's name.
    pub engine: String,
    /// Measured shapes by kind, each from small to large.
    pub rows: Vec<SweepRow>,
    /// Skipped shapes.
    pub left_out: Vec<SkippedShape>,
}

/// A shape that was skipped.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SkippedShape {
    /// What varies.
    pub vary: &'static str,
    /// The value of what varies.
    pub value: usize,
    /// The reason: it does not fit on the device, or a frame would take too long.
    pub why: String,
}

/// A shape to measure.
struct SweepShape {
    vary: &'static str,
    value: usize,
    config: WorldConfig,
    steps: usize,
}

/// The shape of the shipped worlds.
fn base_config() -> WorldConfig {
    WorldConfig {
        format: FORMAT_VERSION,
        name: "random".into(),
        fps: 15.0,
        image: [64, 64],
        actions: vec![ActionSpec {
            name: "noop".into(),
            keys: Vec::new(),
        }],
        axes: Vec::new(),
        tokenizer: TokenizerConfig::default(),
        dynamics: DynamicsConfig::default(),
        flow: FlowConfig::default(),
        sampling: SamplingConfig::default(),
    }
}

fn shapes() -> Vec<SweepShape> {
    let mut all = Vec::new();
    let mut add = |vary, value, steps, change: &dyn Fn(&mut WorldConfig)| {
        let mut config = base_config();
        change(&mut config);
        all.push(SweepShape {
            vary,
            value,
            config,
            steps,
        });
    };
    for width in [64, 128, 256, 512] {
        add("width", width, 4, &|c| {
            let d = &mut c.dynamics;
            (d.width, d.heads, d.mlp) = (width, width / 32, 2 * width);
        });
    }
    for context in [6, 12, 24, 48, 96] {
        add("context", context, 4, &|c| c.dynamics.context = context);
    }
    for side in [32, 64, 128, 256] {
        let tokens = (side / 16) * (side / 16) + 4;
        add("tokens", tokens, 4, &|c| c.image = [side, side]);
    }
    for steps in [1, 2, 4, 8] {
        add("K", steps, steps, &|_| {});
    }
    for width in [512, 1024] {
        add("large", width, 4, &|c| {
            c.image = [256, 256];
            let d = &mut c.dynamics;
            (d.width, d.heads, d.depth) = (width, width / 64, 8);
            (d.mlp, d.stem_width, d.context) = (width * 8 / 3 / 32 * 32, 128, 24);
        });
    }
    all
}

/// Measures every shape that fits on the device and whose frames take at most ten seconds. Calls
/// `tick(done, total)`.
///
/// # Errors
/// Returns an error if the device is lost, or a network cannot be created.
pub fn run(backend: &Backend, tick: &mut dyn FnMut(usize, usize)) -> Result<SweepReport> {
    let shapes = shapes();
    let mut report = SweepReport {
        engine: String::new(),
        rows: Vec::with_capacity(shapes.len()),
        left_out: Vec::new(),
    };
    for (done, shape) in shapes.iter().enumerate() {
        tick(done, shapes.len());
        let flop = count_flops(&shape.config).frame(shape.steps) as f64;
        let mut skip = |why: String| {
            report.left_out.push(SkippedShape {
                vary: shape.vary,
                value: shape.value,
                why,
            });
        };
        let rate = report.rows.last().map_or(f64::INFINITY, |row| row.gflops);
        let expected = flop / 1e9 / rate;
        if expected > MAX_FRAME_TIME.as_secs_f64() {
            skip(format!("a frame would take about {expected:.0} s"));
            continue;
        }
        let measured = match measure(shape, backend) {
            Err(error) if error.is_device() && !is_lost(backend) => {
                skip(error.to_string());
                continue;
            }
            measured => measured?,
        };
        let frame = Timing::of(measured.times);
        let before = report.rows.last().filter(|row| row.vary == shape.vary);
        let row = SweepRow {
            vary: shape.vary,
            value: shape.value,
            parameters: measured.parameters,
            tokens: shape.config.tokens(),
            steps: shape.steps,
            threads: measured.threads,
            gflop: flop / 1e9,
            frame,
            gflops: flop / 1e6 / frame.median_ms.max(f64::MIN_POSITIVE),
            arithmetic_growth: before.map(|row| flop / 1e9 / row.gflop),
            time_growth: before.map(|row| frame.median_ms / row.frame.median_ms),
        };
        report.rows.push(row);
        report.engine = measured.engine;
    }
    tick(shapes.len(), shapes.len());
    Ok(report)
}

/// Measurements of one shape.
struct Measurement {
    engine: String,
    threads: usize,
    parameters: usize,
    times: Vec<Duration>,
}

fn measure(shape: &SweepShape, backend: &Backend) -> Result<Measurement> {
    let (world, parameters) = WorldModel::random(&shape.config, backend.device())?;
    let mut engine = driftless_engine::build(world, backend)?;
    let params = SamplerParams {
        steps: shape.steps,
        ..SamplerParams::default()
    };
    let frames = shape.config.dynamics.context;
    let clip = Clip {
        images: vec![128; frames * shape.config.image_len()],
        actions: vec![Action::IDLE; frames],
    };
    engine.reset(&clip, &params)?;
    for _ in 0..WARM_UP {
        engine.step(0, &params)?;
    }
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < MIN_FRAMES || start.elapsed() < TIME_LIMIT {
        let started = Instant::now();
        engine.step(0, &params)?;
        times.push(started.elapsed());
    }
    Ok(Measurement {
        engine: engine.name().to_owned(),
        threads: engine.threads(),
        parameters,
        times,
    })
}

fn is_lost(backend: &Backend) -> bool {
    matches!(backend, Backend::Wgpu(gpu) if gpu.is_lost())
}

/// Formats the report as a table.
pub fn format_report(report: &SweepReport) -> String {
    let head = [
        "varied",
        "value",
        "M parameters",
        "tokens",
        "K",
        "threads",
        "GFLOP",
        "ms median / p95",
        "GFLOP/s",
        "arithmetic ×",
        "time ×",
    ];
    let times = |growth: Option<f64>| growth.map_or_else(String::new, |x| format!("{x:.2}"));
    let rows = report.rows.iter().map(|row| {
        vec![
            row.vary.to_owned(),
            row.value.to_string(),
            format!("{:.2}", row.parameters as f64 / 1e6),
            row.tokens.to_string(),
            row.steps.to_string(),
            row.threads.to_string(),
            format!("{:.3}", row.gflop),
            format!("{:.2} / {:.2}", row.frame.median_ms, row.frame.p95_ms),
            format!("{:.1}", row.gflops),
            times(row.arithmetic_growth),
            times(row.time_growth),
        ]
    });
    let table = Table {
        title: format!("a frame on {}, random weights", report.engine),
        head: head.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    };
    let skipped = report.left_out.iter().map(|shape| {
        let (vary, value, why) = (shape.vary, shape.value, &shape.why);
        format!("\nskipped: {vary} {value}: {why}")
    });
    let skipped: String = skipped.collect();
    format!("{}{skipped}", table_text(&[table]).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_shapes_give_their_reason() {
        let report = SweepReport {
            engine: "slow".into(),
            rows: Vec::new(),
            left_out: vec![SkippedShape {
                vary: "large",
                value: 1024,
                why: "a frame would take about 300 s".into(),
            }],
        };
        let text = format_report(&report);
        assert!(text.ends_with("skipped: large 1024: a frame would take about 300 s"));
    }

    #[test]
    fn shapes_are_valid_and_reach_100m() {
        let shapes = shapes();
        for shape in &shapes {
            shape.config.check().unwrap();
        }
        for pair in shapes.windows(2).filter(|p| p[0].vary == p[1].vary) {
            let [a, b] = [&pair[0], &pair[1]].map(|s| count_flops(&s.config).frame(s.steps));
            assert!(a < b, "{} {}", pair[1].vary, pair[1].value);
        }
        let largest = &shapes[shapes.len() - 1].config;
        assert!(largest.tokens() >= 256);
        let d = &largest.dynamics;
        let attention = (d.depth + d.depth / d.time_every) * 4 * d.width * d.width;
        let parameters = attention + d.depth * 3 * d.width * d.mlp;
        assert!(parameters > 95_000_000, "{parameters}");
    }
}
