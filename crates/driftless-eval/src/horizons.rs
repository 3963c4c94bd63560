//! Rollouts compared with the real frames: how frames, paddles and ball differ at horizon h, that
//! is after h predicted frames.

use driftless_data::metrics::{SquaredError, fraction, mean, median, ssim};
use driftless_data::{Action, Clip, Episode};
use driftless_engine::rollout::{rollout, shuffle_actions, windows};
use driftless_engine::{Sampler, SamplerParams, latent_difference};

use super::object_truth;
use super::object_truth::{ObjectPositions, ObjectTruth};
use super::objects::{BALL_TOLERANCE, DetectedObjects, Game};
use super::options::{EvalOptions, EvalProgress, Probes};
use super::pose::{PoseStats, ProbePose};
use super::rollout_report::{
    BallStats, HorizonSpan, PaddleStats, RolloutReport, ShuffledHorizonSpan, ShuffledReport,
};
use crate::Result;

/// Single horizons that are measured.
const HORIZONS: [usize; 5] = [1, 8, 16, 32, 64];
/// Ranges of horizons that are measured, both ends included.
const BINS: [(usize, usize); 4] = [(1, 4), (5, 16), (17, 32), (33, 64)];
/// Label of the frames that all others are compared with.
pub(crate) const REAL_FRAMES: &str = "real frames";

/// A rollout to make, and its ground truth.
pub(crate) struct RolloutCase {
    clip: Clip,
    actions: Vec<Action>,
    /// True frames, u8 RGB `[horizon, H, W, 3]`.
    pub images: Vec<u8>,
    /// The last frame of the starting clip, `horizon` times.
    repeated: Vec<u8>,
    /// The true frames, reconstructed by the tokenizer.
    reconstructed: Vec<u8>,
    /// The tokenizer's latents of the true frames, `[horizon, latent]`.
    latents: Vec<f32>,
    /// Objects in each true frame; `None` for worlds without known objects.
    objects: Option<(Game, Vec<ObjectPositions>)>,
    /// Pose in each true frame; `None` if the episodes have none.
    poses: Option<Vec<ProbePose>>,
}

/// Cuts the rollout cases out of the episodes.
pub(crate) fn cases(
    engine: &mut Sampler,
    episodes: &[Episode],
    options: &EvalOptions,
) -> Result<Vec<RolloutCase>> {
    let length = options.clip_frames + options.horizon;
    let game = object_truth::game(episodes);
    let mut cases = Vec::new();
    for window in windows(episodes, length, options.sequences)? {
        let Some(episode) = episodes.get(window.episode) else {
            continue;
        };
        let first = window.start + options.clip_frames;
        let future = episode.clip(first..first + options.horizon);
        let objects = game.zip(ObjectTruth::of(episode)).map(|(game, truth)| {
            let positions = (first..first + options.horizon)
                .map(|t| detectable(truth.at(t), &game.find(episode.frame(t))))
                .collect();
            (game, positions)
        });
        cases.push(RolloutCase {
            clip: episode.clip(window.start..first),
            actions: future.actions,
            repeated: episode.frame(first - 1).repeat(options.horizon),
            reconstructed: engine.reconstruct(&future.images)?,
            latents: engine.encode(&future.images)?,
            images: future.images,
            objects,
            poses: ProbePose::of(episode).map(|all| all[first..first + options.horizon].to_vec()),
        });
    }
    Ok(cases)
}

/// Drops the paddles that are not found in the true frame, because the frame's edge hides most of
/// them.
fn detectable(truth: ObjectPositions, found: &DetectedObjects) -> ObjectPositions {
    ObjectPositions {
        player: truth.player.filter(|_| found.player.is_some()),
        enemy: truth.enemy.filter(|_| found.enemy.is_some()),
        ..truth
    }
}

/// The results of all rollouts: the references, every K, and shuffled actions.
pub(crate) struct RolloutResults {
    pub reports: Vec<RolloutReport>,
    pub shuffled: Option<ShuffledReport>,
    /// Predicted frames of every case at [`EvalOptions::main_steps`].
    pub predictions: Vec<Vec<u8>>,
}

/// Makes the frames of a case, of which the number is given: u8 RGB `[horizon, H, W, 3]`.
type Images<'a> = dyn FnMut(&mut Sampler, usize, &RolloutCase) -> Result<Vec<u8>> + 'a;

/// Makes and measures all rollouts.
pub(crate) fn measure(
    engine: &mut Sampler,
    cases: &[RolloutCase],
    options: &EvalOptions,
    probes: Probes<'_>,
    progress: &mut EvalProgress,
) -> Result<RolloutResults> {
    let size = engine.world().image;
    let params = |steps: usize, case: usize| SamplerParams {
        steps,
        seed: options.params.seed.wrapping_add(case as u64),
        ..options.params
    };
    let mut measure = |images: &mut Images<'_>| -> Result<Samples> {
        let mut samples = Samples::new(options.horizon);
        for (i, case) in cases.iter().enumerate() {
            let images = images(engine, i, case)?;
            samples.add(case, &images, &engine.encode(&images)?, size, probes)?;
        }
        Ok(samples)
    };
    let mut reports = vec![
        measure(&mut |_, _, case| Ok(case.images.clone()))?.report(REAL_FRAMES, None),
        measure(&mut |_, _, case| Ok(case.reconstructed.clone()))?.report("tokenizer alone", None),
        measure(&mut |_, _, case| Ok(case.repeated.clone()))?.report("repeat the last frame", None),
    ];
    let mut predictions = Vec::new();
    for &steps in &options.steps {
        let samples = measure(&mut |engine, i, case| {
            let images = rollout(engine, &case.clip, &case.actions, &params(steps, i))?;
            progress.advance(options.horizon);
            if steps == options.main_steps() {
                predictions.push(images.clone());
            }
            Ok(images)
        })?;
        reports.push(samples.report(&format!("K = {steps}"), Some(steps)));
    }
    let steps = options.main_steps();
    let samples = measure(&mut |engine, i, case| {
        let params = params(steps, i);
        let actions = shuffle_actions(&case.actions, params.seed);
        progress.advance(options.horizon);
        Ok(rollout(engine, &case.clip, &actions, &params)?)
    })?;
    let with_shuffled = samples.report(&format!("K = {steps}, actions shuffled"), Some(steps));
    let with_true = reports.iter().find(|r| r.steps == Some(steps));
    let shuffled =
        with_true.and_then(|with_true| compare_actions(steps, with_true, &with_shuffled));
    reports.push(with_shuffled);
    Ok(RolloutResults {
        reports,
        shuffled,
        predictions,
    })
}

fn compare_actions(
    steps: usize,
    with_true: &RolloutReport,
    with_shuffled: &RolloutReport,
) -> Option<ShuffledReport> {
    let error = |span: &HorizonSpan| span.player.as_ref().map(|player| player.mean);
    let spans = with_true
        .spans
        .iter()
        .zip(&with_shuffled.spans)
        .map(|(a, b)| {
            let (true_actions, shuffled_actions) = (error(a)?, error(b)?);
            Some(ShuffledHorizonSpan {
                from: a.from,
                to: a.to,
                true_actions,
                shuffled_actions,
                factor: true_actions.zip(shuffled_actions).map(|(a, b)| b / a),
            })
        });
    Some(ShuffledReport {
        steps,
        spans: spans.collect::<Option<_>>()?,
    })
}

/// The samples of one horizon.
#[derive(Default)]
struct HorizonSamples {
    error: SquaredError,
    ssim: Vec<f64>,
    latent_distance: Vec<f64>,
    lpips: Vec<f64>,
    /// (predicted, true).
    poses: Vec<(ProbePose, ProbePose)>,
    /// Distance of the paddle, if one is found, per frame with a true paddle.
    player: Vec<Option<f64>>,
    enemy: Vec<Option<f64>>,
    /// (number of balls, distance of the largest) per frame with a true ball.
    ball: Vec<(usize, Option<f64>)>,
    /// Number of balls per frame without a true ball.
    no_ball: Vec<usize>,
    /// Whether the objects are known.
    has_objects: bool,
}

/// The samples of each horizon, from 1.
struct Samples(Vec<HorizonSamples>);

impl Samples {
    fn new(horizon: usize) -> Self {
        Self((0..horizon).map(|_| HorizonSamples::default()).collect())
    }

    fn add(
        &mut self,
        case: &RolloutCase,
        images: &[u8],
        latents: &[f32],
        size: [usize; 2],
        probes: Probes<'_>,
    ) -> Result<()> {
        self.add_latents(latents, &case.latents);
        self.add_lpips(images, &case.images, size, probes)?;
        if let Some((probe, truth)) = probes.pose.zip(case.poses.as_ref()) {
            let pairs = probe.read(images)?.into_iter().zip(truth.iter().copied());
            for (sample, pair) in self.0.iter_mut().zip(pairs) {
                sample.poses.push(pair);
            }
        }
        let frame = size[0] * size[1] * 3;
        let frames = images
            .chunks_exact(frame)
            .zip(case.images.chunks_exact(frame));
        for (h, (sample, (image, truth))) in self.0.iter_mut().zip(frames).enumerate() {
            sample.error.add(image, truth);
            sample.ssim.extend(ssim(image, truth, size));
            let objects = case.objects.as_ref();
            let Some((game, positions)) = objects.and_then(|(game, all)| Some((game, all.get(h)?)))
            else {
                continue;
            };
            sample.has_objects = true;
            let found = game.find(image);
            let error = |a: Option<f32>, b: f32| a.map(|a| f64::from((a - b).abs()));
            sample
                .player
                .extend(positions.player.map(|y| error(found.player, y)));
            sample
                .enemy
                .extend(positions.enemy.map(|y| error(found.enemy, y)));
            match positions.ball {
                Some(ball) => sample
                    .ball
                    .push((found.balls.len(), found.ball().map(|b| b.distance(ball)))),
                None if positions.ball_hidden => {}
                None => sample.no_ball.push(found.balls.len()),
            }
        }
        Ok(())
    }

    /// The distance of the latents of each horizon from the true ones.
    fn add_latents(&mut self, latents: &[f32], truth: &[f32]) {
        let len = (truth.len() / self.0.len().max(1)).max(1);
        let pairs = latents.chunks_exact(len).zip(truth.chunks_exact(len));
        for (sample, (latent, truth)) in self.0.iter_mut().zip(pairs) {
            sample
                .latent_distance
                .push(latent_difference(latent, truth));
        }
    }

    /// The LPIPS distance at the single horizons that are reported: it takes long.
    fn add_lpips(
        &mut self,
        images: &[u8],
        truth: &[u8],
        [height, width]: [usize; 2],
        probes: Probes<'_>,
    ) -> Result<()> {
        let Some(lpips) = probes.lpips else {
            return Ok(());
        };
        let frame = height * width * 3;
        for h in HORIZONS {
            let range = (h - 1) * frame..h * frame;
            let pair = images.get(range.clone()).zip(truth.get(range));
            if let (Some(sample), Some((image, truth))) = (self.0.get_mut(h - 1), pair) {
                let distances = lpips.distances(image, truth, [height, width])?;
                sample.lpips.extend(distances.unwrap_or_default());
            }
        }
        Ok(())
    }

    fn report(&self, label: &str, steps: Option<usize>) -> RolloutReport {
        let horizon = self.0.len();
        let singles = HORIZONS.iter().map(|&h| (h, h));
        let spans = singles
            .chain(BINS)
            .chain([(1, horizon)])
            .filter(|(from, _)| *from <= horizon)
            .map(|(from, to)| self.span(from, to.min(horizon)))
            .collect();
        RolloutReport {
            label: label.to_owned(),
            steps,
            spans,
        }
    }

    fn span(&self, from: usize, to: usize) -> HorizonSpan {
        let samples = self.0.get(from - 1..to).unwrap_or_default();
        let mut error = SquaredError::default();
        samples.iter().for_each(|sample| error.merge(&sample.error));
        let objects = samples.iter().any(|sample| sample.has_objects);
        let paddle = |of: fn(&HorizonSamples) -> &Vec<Option<f64>>| {
            let all: Vec<Option<f64>> = samples.iter().flat_map(of).copied().collect();
            let found: Vec<f64> = all.iter().flatten().copied().collect();
            PaddleStats {
                frames: all.len(),
                mean: mean(&found),
                median: median(&found),
                missing: fraction(all.len() - found.len(), all.len()),
            }
        };
        let mean_of = |of: fn(&HorizonSamples) -> &Vec<f64>| {
            mean(&samples.iter().flat_map(of).copied().collect::<Vec<_>>())
        };
        HorizonSpan {
            from,
            to,
            psnr: error.psnr(),
            ssim: mean_of(|sample| &sample.ssim),
            latent_distance: mean_of(|sample| &sample.latent_distance),
            lpips: if from == to {
                mean_of(|sample| &sample.lpips)
            } else {
                None
            },
            pose: {
                let pairs: Vec<_> = samples
                    .iter()
                    .flat_map(|sample| &sample.poses)
                    .copied()
                    .collect();
                (!pairs.is_empty()).then(|| PoseStats::of(&pairs))
            },
            player: objects.then(|| paddle(|sample| &sample.player)),
            enemy: objects.then(|| paddle(|sample| &sample.enemy)),
            ball: objects.then(|| ball_stats(samples)),
        }
    }
}

fn ball_stats(samples: &[HorizonSamples]) -> BallStats {
    let balls: Vec<_> = samples.iter().flat_map(|sample| &sample.ball).collect();
    let no_ball: Vec<_> = samples.iter().flat_map(|sample| &sample.no_ball).collect();
    let count = |wanted: fn(&(usize, Option<f64>)) -> bool| {
        fraction(balls.iter().filter(|b| wanted(b)).count(), balls.len())
    };
    BallStats {
        frames: balls.len(),
        exactly_one: count(|(found, _)| *found == 1),
        within_2px: count(|(_, distance)| distance.is_some_and(|d| d <= BALL_TOLERANCE)),
        none: count(|(found, _)| *found == 0),
        invented: fraction(no_ball.iter().filter(|n| ***n > 0).count(), no_ball.len()),
    }
}
