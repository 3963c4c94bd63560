//! The measurement under an engine whose stages take what it says they take.

use super::*;
use driftless_engine::{Pass, Snapshot};
use driftless_model::config::WorldConfig;

/// Remembers which K it was asked for; a denoise pass takes 2 ms, cache 3 ms and decode 5 ms by
/// its own account, and no time in truth.
struct Fake {
    world: WorldConfig,
    played: Vec<usize>,
}

impl Fake {
    fn new() -> Self {
        let world = serde_json::from_value(serde_json::json!({
            "format": 1, "name": "Tiny", "fps": 15.0, "image": [1, 1],
            "actions": [{"name": "noop", "keys": []}, {"name": "up", "keys": ["W"]}],
            "tokenizer": {"patch": 1, "width": 1, "hidden": 1, "blocks": 0, "channels": 1},
            "dynamics": {"merge": 1, "stem_width": 1, "stem_frames": 0, "width": 1, "depth": 1,
                "heads": 1, "mlp": 1, "time_every": 1, "context": 1, "registers": 0, "k_max": 8}
        }));
        Self {
            world: world.unwrap(),
            played: Vec::new(),
        }
    }
}

impl Engine for Fake {
    fn world(&self) -> &WorldConfig {
        &self.world
    }

    fn name(&self) -> &str {
        "fake"
    }

    fn reset(&mut self, _context: &Clip, _params: &SamplerParams) -> driftless_engine::Result<()> {
        Ok(())
    }

    fn step(
        &mut self,
        action: u32,
        params: &SamplerParams,
    ) -> driftless_engine::Result<StageTimes> {
        assert!((action as usize) < self.world.actions.len());
        self.played.push(params.steps);
        Ok(StageTimes {
            denoise: Duration::from_millis(2) * params.steps as u32,
            cache: Duration::from_millis(3),
            decode: Duration::from_millis(5),
        })
    }

    fn image(&mut self) -> driftless_engine::Result<&[u8]> {
        Ok(&[0; 3])
    }

    fn latent(&mut self) -> driftless_engine::Result<&[f32]> {
        Ok(&[0.0])
    }

    fn trace(&mut self, _on: bool) {}

    fn passes(&self) -> &[Pass] {
        &[]
    }

    fn decode(&mut self, _latents: &[f32]) -> driftless_engine::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn encode(&mut self, images: &[u8]) -> driftless_engine::Result<Vec<f32>> {
        assert_eq!(images.len(), 3, "one frame");
        Ok(vec![0.0])
    }

    fn reconstruct(&mut self, images: &[u8]) -> driftless_engine::Result<Vec<u8>> {
        Ok(images.to_vec())
    }

    fn snapshot(&mut self) -> driftless_engine::Result<Snapshot> {
        Ok(Snapshot {
            frame: 0,
            state: Vec::new(),
            outcome: None,
            image: Vec::new(),
        })
    }

    fn restore(&mut self, _snapshot: &Snapshot) -> driftless_engine::Result<()> {
        Ok(())
    }
}

fn measure(engine: &mut Fake, steps: &[usize], frames: usize) -> Result<(BenchReport, usize)> {
    let context = Clip {
        images: vec![0; 6],
        actions: vec![0; 2],
    };
    let options = Options {
        steps: steps.to_vec(),
        frames,
    };
    let mut ticks = 0;
    let report = run(
        engine,
        &context,
        &Place::Candle(candle_core::Device::Cpu),
        &options,
        &mut || ticks += 1,
    )?;
    Ok((report, ticks))
}

#[test]
fn stages_are_reported_for_each_k_in_the_order_asked_for() {
    let (report, _) = measure(&mut Fake::new(), &[4, 1], 10).unwrap();
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
fn values_of_k_take_turns_and_each_plays_all_its_frames() {
    let mut engine = Fake::new();
    let (report, ticks) = measure(&mut engine, &[1, 2], 12).unwrap();
    assert_eq!((report.frames, report.steps.len()), (12, 2));
    assert_eq!(ticks, engine.played.len());
    let turns: Vec<(usize, usize)> = engine
        .played
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
fn rates_follow_from_the_median_frame() {
    let samples = [40, 50, 900].map(|ms| (Duration::from_millis(ms), StageTimes::default()));
    let report = steps_report(2, &samples, 1_000_000_000, 15.0, 40.0);
    assert!((report.frames_per_second - 20.0).abs() < 1e-9);
    assert!(
        (report.time_left - 0.25).abs() < 1e-9,
        "50 of 66.7 ms are used"
    );
    assert!((report.gflops - 20.0).abs() < 1e-9);
    assert!((report.matmul_fraction - 0.5).abs() < 1e-9);
}

#[test]
fn a_frame_that_takes_longer_than_the_worlds_leaves_less_than_nothing() {
    let samples = [(Duration::from_millis(100), StageTimes::default())];
    assert!((steps_report(1, &samples, 1, 15.0, 1.0).time_left + 0.5).abs() < 1e-9);
}

#[test]
fn nothing_to_measure_is_an_error() {
    for (steps, frames) in [(&[][..], 10), (&[1][..], 0)] {
        let error = measure(&mut Fake::new(), steps, frames).unwrap_err();
        assert!(error.to_string().contains("at least 1"), "{error}");
    }
}

#[test]
fn the_text_has_a_row_for_each_k_and_the_json_its_units() {
    let (report, _) = measure(&mut Fake::new(), &[1, 8], 5).unwrap();
    let table = text(&report);
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
    assert!(json["matmul_gflops"].as_f64().unwrap() > 0.0);
}
