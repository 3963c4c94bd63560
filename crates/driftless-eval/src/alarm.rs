//! Whether a world's own signals tell which of its frames are wrong: thresholds from one half of held-out
//! rollouts, precision and recall on the other half.

mod statistics;

use std::time::{Duration, Instant};

use serde::Serialize;

use driftless_data::metrics::{fraction, median};
use driftless_data::{Dataset, Episode};
use driftless_engine::alarm::{flow_instability, seed_spread};
use driftless_engine::rollout::windows;
use driftless_engine::{Sampler, SamplerParams, latent_difference, reencoding_error};

use self::statistics::{LogScale, auroc, correlation, ranks};
use super::options::EvalProgress;
use super::report::check_dataset;
use super::table::{Table, number, percent};
use crate::{Error, Result};

/// A frame counts as wrong if it is farther from the true one than this share of the distance between
/// unrelated true frames,
const WRONG_SHARE: f64 = 0.5;
/// or than this share of the predicted frames: where most of a frame stands still, none gets far.
const RIGHT_QUANTILE: f64 = 0.8;
/// Precision that a threshold must reach on the frames that set it, if any does.
const LEAST_PRECISION: f64 = 0.8;
/// Other seeds with which a frame is predicted, beside its own.
const OTHER_SEEDS: u64 = 2;
/// The signals, in the order of [`MeasuredFrame::signals`].
const SIGNALS: [&str; 3] = ["round trip", "flow instability", "seed spread"];
/// The combinations of signals that are measured, by index.
const COMBINATIONS: [&[usize]; 5] = [&[0], &[1], &[2], &[0, 1], &[0, 1, 2]];

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlarmOptions {
    /// Number of rollouts, half of them for the thresholds; at least 2.
    pub sequences: usize,
    /// Frames of the starting clip of each rollout.
    pub clip_frames: usize,
    /// Predicted frames per rollout.
    pub horizon: usize,
    /// Sampler parameters; flow instability needs at least 2 steps.
    pub params: SamplerParams,
}

/// How well an alarm knows wrong frames.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlarmReport {
    /// The world's name.
    pub world: String,
    /// The engine's name.
    pub engine: String,
    /// The dataset's name.
    pub data: String,
    /// Denoise passes per frame.
    pub steps: usize,
    /// Predicted frames per rollout.
    pub horizon: usize,
    /// Frames of the rollouts that set the thresholds, and of those that were judged.
    pub frames: [usize; 2],
    /// Distance of a frame's latent from the true one's, root mean square over standardized latents,
    /// above which the frame counts as wrong: half the distance between unrelated true frames, or less
    /// if fewer than a fifth of the frames are as far.
    pub wrong_above: f64,
    /// Share of the judged frames that are wrong.
    pub wrong: f64,
    /// Median duration of a frame without any signal, in milliseconds.
    pub frame_ms: f64,
    /// The alarms, from single signals and combinations.
    pub alarms: Vec<AlarmQuality>,
}

/// An alarm on the judged frames.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlarmQuality {
    /// Its signals.
    pub signals: Vec<&'static str>,
    /// Median additional time per frame, in milliseconds.
    pub milliseconds: f64,
    /// Rank correlation (Spearman) of the score with the true distance.
    pub correlation: f64,
    /// Probability that a wrong frame has a higher score than a right one (area under the ROC curve).
    pub auroc: Option<f64>,
    /// Score above which the alarm goes off: mean of the signals' deviations from right frames.
    pub threshold: f64,
    /// Share of the alarms that are right.
    pub precision: Option<f64>,
    /// Share of the wrong frames with an alarm.
    pub recall: Option<f64>,
}

/// A predicted frame.
#[derive(Clone, Copy, Debug, PartialEq)]
struct MeasuredFrame {
    /// True distance.
    error: f64,
    signals: [f64; 3],
    /// Duration of the frame, and of each signal.
    time: Duration,
    signal_times: [Duration; 3],
}

/// Measures the alarms of a world on held-out episodes.
///
/// # Errors
/// Returns an error if the episodes do not match the world or are too short, if an option is out of
/// range, or if the device fails.
pub fn run(
    engine: &mut Sampler,
    dataset: &Dataset,
    options: &AlarmOptions,
    progress: &mut EvalProgress,
) -> Result<AlarmReport> {
    check_dataset(engine, dataset)?;
    for (name, value, least) in [
        ("sequences", options.sequences, 2),
        ("clip", options.clip_frames, 1),
        ("horizon", options.horizon, 2),
        ("steps", options.params.steps, 2),
    ] {
        if value < least {
            let what = format!("{name} is {value}, expected at least {least} for an alarm");
            return Err(Error::Argument(what));
        }
    }
    let length = options.clip_frames + options.horizon;
    let windows = windows(&dataset.episodes, length, options.sequences)?;
    progress.start(windows.len() * options.horizon);
    engine.record_passes(true);
    let (mut halves, mut truths) = ([Vec::new(), Vec::new()], Vec::new());
    for (i, window) in windows.into_iter().enumerate() {
        let episode = &dataset.episodes[window.episode];
        truths.push(engine.encode(episode.frame(window.start))?);
        let frames = measure(engine, episode, window.start, options, progress)?;
        halves[i % 2].extend(frames);
    }
    engine.record_passes(false);
    let [calibration, judged] = &halves;
    let wrong_above = wrong_above(&truths, calibration);
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let times: Vec<f64> = judged
        .iter()
        .map(|frame| milliseconds(frame.time))
        .collect();
    let wrong = judged.iter().filter(|frame| frame.error > wrong_above);
    Ok(AlarmReport {
        world: engine.world().name.clone(),
        engine: engine.name().to_owned(),
        data: dataset.info.name.clone(),
        steps: options.params.steps,
        horizon: options.horizon,
        frames: [calibration.len(), judged.len()],
        wrong_above,
        wrong: fraction(wrong.count(), judged.len()).unwrap_or_default(),
        frame_ms: median(&times).unwrap_or_default(),
        alarms: COMBINATIONS
            .iter()
            .map(|signals| quality(signals, calibration, judged, wrong_above))
            .collect(),
    })
}

/// Predicts the frames after a starting clip, with their signals.
fn measure(
    engine: &mut Sampler,
    episode: &Episode,
    start: usize,
    options: &AlarmOptions,
    progress: &mut EvalProgress,
) -> Result<Vec<MeasuredFrame>> {
    let params = &options.params;
    let first = start + options.clip_frames;
    let future = episode.clip(first..first + options.horizon);
    let truth = engine.encode(&future.images)?;
    let truth = truth.chunks_exact(engine.world().latent_len());
    engine.reset(&episode.clip(start..first), params)?;
    let mut frames = Vec::new();
    for (&action, truth) in future.actions.iter().zip(truth) {
        let (others, spread_time) = timed(|| {
            let seeds = (1..=OTHER_SEEDS).map(|n| params.seed.wrapping_add(n << 32));
            let predictions =
                seeds.map(|seed| engine.predict(action, &SamplerParams { seed, ..*params }));
            predictions.collect::<driftless_engine::Result<Vec<_>>>()
        });
        let others = others?;
        let (made, time) = timed(|| engine.step(action, params));
        made?;
        let (instability, flow_time) = timed(|| flow_instability(engine.passes()));
        let (round_trip, round_trip_time) = timed(|| reencoding_error(engine));
        let latent = engine.latent()?;
        let mut latents: Vec<&[f32]> = others.iter().map(Vec::as_slice).collect();
        latents.push(latent);
        frames.push(MeasuredFrame {
            error: latent_difference(latent, truth),
            signals: [
                f64::from(round_trip?),
                instability.unwrap_or_default(),
                seed_spread(&latents),
            ],
            time,
            signal_times: [round_trip_time, flow_time, spread_time],
        });
        progress.advance(1);
    }
    Ok(frames)
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let done = work();
    (done, started.elapsed())
}

/// The distance from the truth above which a frame counts as wrong.
fn wrong_above(truths: &[Vec<f32>], frames: &[MeasuredFrame]) -> f64 {
    let mut errors: Vec<f64> = frames.iter().map(|frame| frame.error).collect();
    errors.sort_by(f64::total_cmp);
    let at = (RIGHT_QUANTILE * errors.len() as f64) as usize;
    let quantile = errors.get(at).copied().unwrap_or_default();
    quantile.min(WRONG_SHARE * unrelated_distance(truths))
}

/// Median distance between the latents of different frames.
fn unrelated_distance(latents: &[Vec<f32>]) -> f64 {
    let pairs = latents.iter().enumerate().flat_map(|(i, a)| {
        latents[i + 1..]
            .iter()
            .map(move |b| latent_difference(a, b))
    });
    median(&pairs.collect::<Vec<_>>()).unwrap_or_default()
}

/// The alarm of some signals: calibrated on some frames, judged on others.
fn quality(
    signals: &[usize],
    calibration: &[MeasuredFrame],
    judged: &[MeasuredFrame],
    wrong_above: f64,
) -> AlarmQuality {
    let right: Vec<_> = calibration
        .iter()
        .filter(|f| f.error <= wrong_above)
        .collect();
    let scales: Vec<(usize, LogScale)> = signals
        .iter()
        .map(|&n| {
            let values: Vec<f64> = right.iter().map(|frame| frame.signals[n]).collect();
            (n, LogScale::of(&values))
        })
        .collect();
    let score = |frame: &MeasuredFrame| {
        let scores = scales
            .iter()
            .map(|(n, scale)| scale.score(frame.signals[*n]));
        scores.sum::<f64>() / scales.len() as f64
    };
    let scored = |frames: &[MeasuredFrame]| -> Vec<(f64, bool)> {
        let scored = frames.iter().map(|f| (score(f), f.error > wrong_above));
        scored.collect()
    };
    let threshold = best_threshold(&scored(calibration));
    let judged_scores = scored(judged);
    let alarms = judged_scores.iter().filter(|(score, _)| *score > threshold);
    let (mut raised, mut hits) = (0, 0);
    for (_, wrong) in alarms {
        raised += 1;
        hits += usize::from(*wrong);
    }
    let wrong = judged_scores.iter().filter(|(_, wrong)| *wrong).count();
    let times: Vec<f64> = judged
        .iter()
        .map(|frame| {
            let times = signals.iter().map(|&n| frame.signal_times[n]);
            times.sum::<Duration>().as_secs_f64() * 1e3
        })
        .collect();
    let errors: Vec<f64> = judged.iter().map(|frame| frame.error).collect();
    let scores: Vec<f64> = judged_scores.iter().map(|(score, _)| *score).collect();
    AlarmQuality {
        signals: signals.iter().map(|&n| SIGNALS[n]).collect(),
        milliseconds: median(&times).unwrap_or_default(),
        correlation: correlation(&ranks(&scores), &ranks(&errors)),
        auroc: auroc(&judged_scores),
        threshold,
        precision: fraction(hits, raised),
        recall: fraction(hits, wrong),
    }
}

/// The lowest score above which at least [`LEAST_PRECISION`] of the frames are wrong; the highest score if
/// there is none.
fn best_threshold(scored: &[(f64, bool)]) -> f64 {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut threshold = sorted.first().map_or(0.0, |(score, _)| *score);
    let mut hits = 0;
    for (i, (score, is_wrong)) in sorted.iter().enumerate() {
        hits += usize::from(*is_wrong);
        let raised = (i + 1) as f64;
        // The next lower score is below the alarm; equal ones go together.
        let next = sorted.get(i + 1).map_or(f64::MIN, |(score, _)| *score);
        if next < *score && hits as f64 >= LEAST_PRECISION * raised {
            threshold = next;
        }
    }
    threshold
}

/// The report as a table.
pub fn tables(report: &AlarmReport) -> Vec<Table> {
    let head = [
        "alarm",
        "ms per frame",
        "of a frame",
        "rank correlation",
        "AUROC",
        "threshold",
        "precision",
        "recall",
    ];
    let row = |alarm: &AlarmQuality| {
        vec![
            alarm.signals.join(" + "),
            format!("{:.2}", alarm.milliseconds),
            percent(Some(
                alarm.milliseconds / report.frame_ms.max(f64::MIN_POSITIVE),
            )),
            format!("{:.2}", alarm.correlation),
            number(alarm.auroc, 2),
            format!("{:.2}", alarm.threshold),
            percent(alarm.precision),
            percent(alarm.recall),
        ]
    };
    vec![Table {
        title: format!(
            "Alarms of {} on {}, K = {}, horizon {}: thresholds from {} frames, judged on {} others, of which \
             {} are wrong (farther than {:.3} from the truth)",
            report.world,
            report.data,
            report.steps,
            report.horizon,
            report.frames[0],
            report.frames[1],
            percent(Some(report.wrong)),
            report.wrong_above
        ),
        head: head.map(str::to_owned).to_vec(),
        rows: report.alarms.iter().map(row).collect(),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every third frame is right; the signal of the others says so, or says nothing.
    fn frames(telling: bool) -> Vec<MeasuredFrame> {
        let frame = |i: usize| {
            let wrong = !i.is_multiple_of(3);
            let quiet = 1.0 + (i * 7 % 5) as f64 / 10.0;
            let signal = if telling && wrong { 5.0 } else { quiet };
            MeasuredFrame {
                error: if wrong { 2.0 } else { 0.5 } + 0.01 * i as f64,
                signals: [signal, 1.0, 1.0],
                time: Duration::from_millis(4),
                signal_times: [Duration::from_millis(1); 3],
            }
        };
        (0..45).map(frame).collect()
    }

    #[test]
    fn telling_signal_misses_nothing() {
        let frames = frames(true);
        let alarm = quality(&[0], &frames, &frames, 1.5);
        assert_eq!(alarm.recall, Some(1.0));
        assert!(alarm.precision.unwrap() >= LEAST_PRECISION);
        assert_eq!(alarm.auroc, Some(1.0));
        assert!(alarm.correlation > 0.5 && (alarm.milliseconds - 1.0).abs() < 1e-9);
        let two = quality(&[0, 1], &frames, &frames, 1.5);
        assert!((two.milliseconds - 2.0).abs() < 1e-9);
        assert_eq!(two.signals, ["round trip", "flow instability"]);
    }

    #[test]
    fn silent_signal_gives_none() {
        let frames = frames(false);
        let alarm = quality(&[0], &frames, &frames, 1.5);
        assert!(
            (alarm.auroc.unwrap() - 0.5).abs() < 0.1,
            "{:?}",
            alarm.auroc
        );
        assert!(alarm.recall.unwrap() < 0.5, "{:?}", alarm.recall);
        let constant = quality(&[1], &frames, &frames, 1.5);
        assert_eq!((constant.auroc, constant.correlation), (Some(0.5), 0.0));
    }

    #[test]
    fn threshold_keeps_precision() {
        let scored = [
            (5.0, true),
            (4.0, true),
            (3.0, false),
            (2.0, true),
            (1.0, true),
            (0.0, false),
        ];
        // Above 0: four of five alarms are right.
        assert_eq!(best_threshold(&scored), 0.0);
        assert_eq!(best_threshold(&scored[..4]), 3.0);
        assert_eq!(best_threshold(&[(2.0, false), (1.0, false)]), 2.0);
        // Equal scores are on one side.
        assert_eq!(
            best_threshold(&[(2.0, true), (2.0, false), (1.0, false)]),
            2.0
        );
        assert_eq!(best_threshold(&[]), 0.0);
    }

    #[test]
    fn unrelated_frames_set_the_scale() {
        let latents = [vec![0.0, 0.0], vec![1.0, 1.0], vec![3.0, 3.0]];
        assert_eq!(unrelated_distance(&latents), 2.0);
        assert_eq!(unrelated_distance(&latents[..1]), 0.0);
        // Half of 2, and the error that a fifth of the frames reach.
        assert_eq!(wrong_above(&latents, &frames(true)), 1.0);
        let far = [vec![0.0, 0.0], vec![9.0, 9.0]];
        let above = wrong_above(&far, &frames(true));
        let wrong = frames(true)
            .iter()
            .filter(|frame| frame.error > above)
            .count();
        assert_eq!(wrong, 8);
    }
}
