//! The benchmark on a fake network that reports fixed stage times.

use std::sync::{Arc, Mutex};

use driftless_data::Action;
use driftless_engine::{DenoiseInput, FrameContext, FrameOutput, FrameRequest, Network, Outcome};
use driftless_engine::{Error, Readback, Threaded, Threads, WholeFrames};
use driftless_model::config::WorldConfig;

use super::*;

/// Records the requested values of K. Reports 2 ms per denoise pass and thread, 3 ms for the cache pass and 5 ms for
/// decoding, without taking that time.
#[derive(Default)]
struct FakeNetwork {
    played: Arc<Mutex<Vec<usize>>>,
    threads: Option<NonZeroUsize>,
}

fn world() -> WorldConfig {
    let world = serde_json::json!({
        "format": 1, "name": "Tiny", "fps": 15.0, "image": [1, 1],
        "actions": [{"name": "noop", "keys": []}, {"name": "up", "keys": ["W"]}],
        "tokenizer": {"patch": 1, "width": 1, "hidden": 1, "blocks": 0, "channels": 1},
        "dynamics": {"merge": 1, "stem_width": 1, "stem_frames": 0, "width": 1, "depth": 1,
            "heads": 1, "mlp": 1, "time_every": 1, "context": 1, "registers": 0, "k_max": 8}
    });
    serde_json::from_value(world).unwrap()
}

impl Network for FakeNetwork {
    fn name(&self) -> &str {
        "fake"
    }

    fn begin_frame(&mut self, _: &FrameContext) -> driftless_engine::Result<()> {
        Ok(())
    }

    fn denoise(&mut self, _: &DenoiseInput, _: &mut [f32]) -> driftless_engine::Result<()> {
        Err(Error::Argument("the benchmark makes whole frames".into()))
    }

    fn write_cache(&mut self, _: &DenoiseInput) -> driftless_engine::Result<Option<Outcome>> {
        Ok(None)
    }

    fn encode(&mut self, _: &[u8], _: &mut [f32]) -> driftless_engine::Result<()> {
        Ok(())
    }

    fn decode(&mut self, _: &[f32], _: &mut [u8]) -> driftless_engine::Result<()> {
        Ok(())
    }

    fn save_cache(&self, _: &mut [f32]) -> driftless_engine::Result<()> {
        Ok(())
    }

    fn load_cache(&mut self, _: &[f32]) -> driftless_engine::Result<()> {
        Ok(())
    }

    fn whole_frames(&mut self) -> Option<&mut dyn WholeFrames> {
        Some(self)
    }

    fn threads(&self) -> Option<&dyn Threaded> {
        Some(self)
    }

    fn threads_mut(&mut self) -> Option<&mut dyn Threaded> {
        Some(self)
    }
}

impl Threaded for FakeNetwork {
    fn count(&self) -> usize {
        self.threads.map_or(1, NonZeroUsize::get)
    }

    fn set_count(&mut self, threads: NonZeroUsize) -> driftless_engine::Result<()> {
        self.threads = Some(threads);
        Ok(())
    }
}

impl WholeFrames for FakeNetwork {
    fn supports_steps(&self, _: usize) -> bool {
        true
    }

    fn set_past(&mut self, _: &[f32]) {}

    fn run_frame(
        &mut self,
        request: &FrameRequest,
        _: Option<Readback>,
    ) -> driftless_engine::Result<FrameOutput> {
        let steps = request.steps.len();
        self.played.lock().unwrap().push(steps);
        Ok(FrameOutput {
            times: StageTimes {
                denoise: Duration::from_millis(2) * (steps * self.count()) as u32,
                cache: Duration::from_millis(3),
                decode: Duration::from_millis(5),
            },
            ..FrameOutput::default()
        })
    }

    fn read_back(&mut self, _: Readback) -> driftless_engine::Result<()> {
        Ok(())
    }
}

/// The report, the values of K of all frames, and the number of progress reports.
fn measure(steps: &[usize], frames: usize) -> Result<(BenchReport, Vec<usize>, usize)> {
    measure_threads(steps, frames, &[])
}

/// As [`measure`], with each number of threads.
fn measure_threads(
    steps: &[usize],
    frames: usize,
    threads: &[usize],
) -> Result<(BenchReport, Vec<usize>, usize)> {
    let clip = Clip {
        images: vec![0; 6],
        actions: vec![Action::IDLE; 2],
    };
    let options = BenchOptions {
        steps: steps.to_vec(),
        frames,
        threads: threads
            .iter()
            .filter_map(|&n| NonZeroUsize::new(n))
            .collect(),
    };
    let network = FakeNetwork::default();
    let played = Arc::clone(&network.played);
    let mut ticks = 0;
    let report = run(
        &mut Sampler::new(Box::new(network), world()),
        &clip,
        &Backend::Cpu(Threads::ONE),
        &options,
        &mut || ticks += 1,
    )?;
    let played = played.lock().unwrap().clone();
    Ok((report, played, ticks))
}

#[test]
fn stages_are_reported_per_k() {
    let (report, ..) = measure(&[4, 1], 10).unwrap();
    let stages = |s: &StepsReport| {
        (
            s.steps,
            s.denoise.median_ms,
            s.cache.median_ms,
            s.decode.p95_ms,
        )
    };
    let all: Vec<_> = report.steps.iter().map(stages).collect();
    assert_eq!(all, [(4, 8.0, 3.0, 5.0), (1, 2.0, 3.0, 5.0)]);
}

#[test]
fn values_of_k_alternate() {
    let (report, played, ticks) = measure(&[1, 2], 12).unwrap();
    assert_eq!((report.frames, report.steps.len()), (12, 2));
    assert_eq!(ticks, played.len());
    let turns: Vec<(usize, usize)> = played
        .chunk_by(|a, b| a == b)
        .map(|turn| (turn[0], turn.len()))
        .collect();
    assert_eq!(turns[..2], [(1, WARM_UP), (2, WARM_UP)]);
    let measured = &turns[2..];
    assert_eq!(measured.len(), 2 * ROUNDS, "{turns:?}");
    for (i, k) in [1, 2].into_iter().enumerate() {
        let own = measured.iter().skip(i).step_by(2);
        assert!(own.clone().all(|turn| turn.0 == k), "{turns:?}");
        assert_eq!(own.map(|turn| turn.1).sum::<usize>(), 12);
    }
}

#[test]
fn numbers_of_threads_are_compared() {
    let (report, played, ticks) = measure_threads(&[1, 4], 5, &[1, 2]).unwrap();
    let rows: Vec<_> = report
        .steps
        .iter()
        .map(|s| (s.threads, s.steps, s.denoise.median_ms))
        .collect();
    assert_eq!(rows, [(1, 1, 2.0), (1, 4, 8.0), (2, 1, 4.0), (2, 4, 16.0)]);
    let threads: Vec<usize> = report.threads.iter().map(|t| t.threads).collect();
    assert_eq!(threads, [1, 2]);
    assert_eq!(
        (played.len(), ticks),
        (4 * (WARM_UP + 5), 4 * (WARM_UP + 5))
    );
    let table = format_report(&report);
    assert!(table.contains("2 threads: matmul"), "{table}");
}

#[test]
fn rates_use_the_median_frame() {
    let samples = [40, 50, 900].map(|ms| (Duration::from_millis(ms), StageTimes::default()));
    let report = steps_report([1, 2], &samples, 1_000_000_000, 15.0, 40.0);
    assert!((report.frames_per_second - 20.0).abs() < 1e-9);
    assert!(
        (report.time_left - 0.25).abs() < 1e-9,
        "50 of 66.7 ms are used"
    );
    assert!((report.gflops - 20.0).abs() < 1e-9);
    assert!((report.matmul_fraction - 0.5).abs() < 1e-9);
}

#[test]
fn slow_frames_have_negative_headroom() {
    let samples = [(Duration::from_millis(100), StageTimes::default())];
    assert!((steps_report([1, 1], &samples, 1, 15.0, 1.0).time_left + 0.5).abs() < 1e-9);
}

#[test]
fn empty_options_are_rejected() {
    for (steps, frames) in [(&[][..], 10), (&[1][..], 0)] {
        let error = measure(steps, frames).unwrap_err();
        assert!(error.to_string().contains("at least 1"), "{error}");
    }
}

#[test]
fn text_and_json_are_complete() {
    let (report, ..) = measure(&[1, 8], 5).unwrap();
    let table = format_report(&report);
    assert!(table.contains("Tiny on engine fake"), "{table}");
    assert_eq!(
        table
            .lines()
            .filter(|line| line.contains("3.00 / 3.00"))
            .count(),
        2,
        "{table}"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["steps"][1]["denoise"]["median_ms"], 16.0);
    assert!(json["threads"][0]["matmul_gflops"].as_f64().unwrap() > 0.0);
}
