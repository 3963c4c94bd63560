//! How a frame's time grows with the network: width, context, tokens a frame and K, one at a time,
//! with random weights, up to a hundred million parameters.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Timing, count};
use crate::Result;
use crate::table::{Table, text as table_text};
use driftless_data::ActionSpec;
use driftless_data::Clip;
use driftless_engine::{Place, SamplerParams};
use driftless_model::checkpoint::World;
use driftless_model::config::{
    DynamicsConfig, FORMAT_VERSION, FlowConfig, TokenizerConfig, WorldConfig,
};

/// Frames before any is measured.
const WARM_UP: usize = 2;
/// Fewest measured frames of a shape, and the time after which no more are begun.
const FEWEST: usize = 3;
const LONGEST: Duration = Duration::from_secs(2);
/// A shape of which a frame takes longer is left out.
const LONGEST_FRAME: Duration = Duration::from_secs(10);

/// One shape, and what a frame of it costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What is varied: `width`, `context`, `tokens`, `K`, or `large` for all of it.
    pub vary: &'static str,
    /// Its value.
    pub value: usize,
    /// Numbers in the dynamics.
    pub parameters: usize,
    /// Tokens of a frame.
    pub tokens: usize,
    /// Denoise passes a frame.
    pub steps: usize,
    /// Arithmetic of a frame, in GFLOP.
    pub gflop: f64,
    /// The whole frame.
    pub frame: Timing,
    /// Arithmetic a second at the median frame.
    pub gflops: f64,
    /// How many times the arithmetic of the row before it of the same kind.
    pub arithmetic_growth: Option<f64>,
    /// How many times the time of the row before it.
    pub time_growth: Option<f64>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepReport {
    /// The engine's name.
    pub engine: String,
    /// All shapes, kind by kind, each from small to large.
    pub rows: Vec<Row>,
    /// Shapes that were not measured, and why.
    pub left_out: Vec<LeftOut>,
}

/// A shape that was not measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeftOut {
    /// What is varied.
    pub vary: &'static str,
    /// Its value.
    pub value: usize,
    /// Why: it does not fit on the device, or a frame would take too long.
    pub why: String,
}

/// A shape to be measured.
struct Shape {
    vary: &'static str,
    value: usize,
    config: WorldConfig,
    steps: usize,
}

/// The shipped worlds' shape.
fn base() -> WorldConfig {
    WorldConfig {
        format: FORMAT_VERSION,
        name: "random".into(),
        fps: 15.0,
        image: [64, 64],
        actions: vec![ActionSpec {
            name: "noop".into(),
            keys: Vec::new(),
        }],
        tokenizer: TokenizerConfig::default(),
        dynamics: DynamicsConfig::default(),
        flow: FlowConfig::default(),
    }
}

fn shapes() -> Vec<Shape> {
    let mut all = Vec::new();
    let mut add = |vary, value, steps, change: &dyn Fn(&mut WorldConfig)| {
        let mut config = base();
        change(&mut config);
        all.push(Shape {
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

/// Measures every shape that fits on the device and of which a frame takes no longer than ten seconds;
/// `tick` is told how many there are and how many are done.
///
/// # Errors
/// The device is lost, or a network cannot be made.
pub fn run(place: &Place, tick: &mut dyn FnMut(usize, usize)) -> Result<SweepReport> {
    let shapes = shapes();
    let mut report = SweepReport {
        engine: String::new(),
        rows: Vec::with_capacity(shapes.len()),
        left_out: Vec::new(),
    };
    for (done, shape) in shapes.iter().enumerate() {
        tick(done, shapes.len());
        let flop = count(&shape.config).frame(shape.steps) as f64;
        let mut leave_out = |why: String| {
            report.left_out.push(LeftOut {
                vary: shape.vary,
                value: shape.value,
                why,
            });
        };
        let rate = report.rows.last().map_or(f64::INFINITY, |row| row.gflops);
        let expected = flop / 1e9 / rate;
        if expected > LONGEST_FRAME.as_secs_f64() {
            leave_out(format!("a frame would take about {expected:.0} s"));
            continue;
        }
        let measured = match measure(shape, place) {
            Err(error) if error.is_device() && !is_lost(place) => {
                leave_out(error.to_string());
                continue;
            }
            measured => measured?,
        };
        let frame = Timing::of(measured.times);
        let before = report.rows.last().filter(|row| row.vary == shape.vary);
        let row = Row {
            vary: shape.vary,
            value: shape.value,
            parameters: measured.parameters,
            tokens: shape.config.tokens(),
            steps: shape.steps,
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

/// What was measured of one shape.
struct Measured {
    engine: String,
    parameters: usize,
    times: Vec<Duration>,
}

fn measure(shape: &Shape, place: &Place) -> Result<Measured> {
    let (world, parameters) = World::random(&shape.config, place.device())?;
    let mut engine = driftless_engine::build(world, place)?;
    let params = SamplerParams {
        steps: shape.steps,
        ..SamplerParams::default()
    };
    let frames = shape.config.dynamics.context;
    let context = Clip {
        images: vec![128; frames * shape.config.image_len()],
        actions: vec![0; frames],
    };
    engine.reset(&context, &params)?;
    for _ in 0..WARM_UP {
        engine.step(0, &params)?;
    }
    let (begun, mut times) = (Instant::now(), Vec::new());
    while times.len() < FEWEST || begun.elapsed() < LONGEST {
        let started = Instant::now();
        engine.step(0, &params)?;
        times.push(started.elapsed());
    }
    Ok(Measured {
        engine: engine.name().to_owned(),
        parameters,
        times,
    })
}

fn is_lost(place: &Place) -> bool {
    matches!(place, Place::Wgpu(gpu) if gpu.is_lost())
}

/// The report for people.
pub fn text(report: &SweepReport) -> String {
    let head = [
        "varied",
        "value",
        "M parameters",
        "tokens",
        "K",
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
    let left_out = report.left_out.iter().map(|shape| {
        let (vary, value, why) = (shape.vary, shape.value, &shape.why);
        format!("\nleft out: {vary} {value}: {why}")
    });
    let left_out: String = left_out.collect();
    format!("{}{left_out}", table_text(&[table]).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_said_with_its_reason() {
        let report = SweepReport {
            engine: "slow".into(),
            rows: Vec::new(),
            left_out: vec![LeftOut {
                vary: "large",
                value: 1024,
                why: "a frame would take about 300 s".into(),
            }],
        };
        let text = text(&report);
        assert!(text.ends_with("left out: large 1024: a frame would take about 300 s"));
    }

    #[test]
    fn every_shape_is_a_world_and_the_largest_has_a_hundred_million_parameters() {
        let shapes = shapes();
        for shape in &shapes {
            shape.config.check().unwrap();
        }
        for pair in shapes.windows(2).filter(|p| p[0].vary == p[1].vary) {
            let [a, b] = [&pair[0], &pair[1]].map(|s| count(&s.config).frame(s.steps));
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
