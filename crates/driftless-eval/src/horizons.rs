//! Rollouts beside the truth: how good frames, paddles and ball are after h predicted frames.

use serde::Serialize;

use super::objects::{Game, Objects};
use super::pose::{Pose, PoseStats, Probe};
use super::report::{Options, Progress};
use super::truth::{self, Places, Truth};
use crate::Result;
use driftless_data::Clip;
use driftless_data::Episode;
use driftless_data::metrics::{SquaredError, mean, median, share, ssim};
use driftless_engine::rollout::{rollout, shuffled, windows};
use driftless_engine::{Engine, SamplerParams};

/// Single horizons that are measured.
const HORIZONS: [usize; 5] = [1, 8, 16, 32, 64];
/// Ranges of horizons that are measured, both ends included.
const BINS: [(usize, usize); 4] = [(1, 4), (5, 16), (17, 32), (33, 64)];
/// A predicted ball this near to the true one is right, in pixels.
pub(crate) const NEAR: f64 = 2.0;

/// One way to fill the frames after the context, measured over all sequences.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RolloutReport {
    /// What filled the frames: `real frames`, `tokenizer alone`, `repeat the last frame`, `K = 4`…
    pub label: String,
    /// Denoise passes a frame, for predictions.
    pub steps: Option<usize>,
    /// Single horizons, then ranges.
    pub spans: Vec<Span>,
}

/// Measures over the frames of a range of horizons.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    /// First horizon, from 1.
    pub from: usize,
    /// Last horizon.
    pub to: usize,
    /// Over whole frames, dB.
    pub psnr: Option<f64>,
    /// Structural similarity, the mean over frames; none of frames smaller than its window.
    pub ssim: Option<f64>,
    /// Poses read from the pictures; none without a probe.
    pub pose: Option<PoseStats>,
    /// The player's paddle; none for worlds without known objects.
    pub player: Option<PaddleStats>,
    /// The enemy's paddle; none for worlds without known objects.
    pub enemy: Option<PaddleStats>,
    /// The ball; none for worlds without known objects.
    pub ball: Option<BallStats>,
}

/// A paddle in the frames whose truth shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PaddleStats {
    /// Frames whose truth shows the paddle.
    pub frames: usize,
    /// Mean distance from the truth where the paddle is found, in pixels.
    pub mean: Option<f64>,
    /// Median distance from the truth where the paddle is found, in pixels.
    pub median: Option<f64>,
    /// Share of frames in which it is not found.
    pub missing: Option<f64>,
}

/// The ball.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BallStats {
    /// Frames whose truth shows a ball.
    pub frames: usize,
    /// Share of those with exactly one ball.
    pub exactly_one: Option<f64>,
    /// Share of those whose (heaviest) ball is within 2 px of the truth.
    pub within_2px: Option<f64>,
    /// Share of those without any ball.
    pub none: Option<f64>,
    /// Share of the frames without a true ball that show one nevertheless.
    pub invented: Option<f64>,
}

/// Whether the world obeys: the player's error under the true actions and under the same actions
/// shuffled in time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shuffled {
    /// Denoise passes a frame.
    pub steps: usize,
    /// Single horizons, then ranges, then the whole.
    pub spans: Vec<ShuffledSpan>,
}

/// The player's mean error over a range of horizons, in pixels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShuffledSpan {
    /// First horizon, from 1.
    pub from: usize,
    /// Last horizon.
    pub to: usize,
    /// Under the true actions.
    pub true_actions: Option<f64>,
    /// Under the shuffled actions.
    pub shuffled_actions: Option<f64>,
    /// How many times worse the shuffled actions are.
    pub factor: Option<f64>,
}

/// A sequence to predict, and what is known about it.
pub(crate) struct Case {
    context: Clip,
    actions: Vec<u32>,
    /// True frames, u8 RGB `[horizon, H, W, 3]`.
    pub images: Vec<u8>,
    /// The context's last frame, `horizon` times.
    repeated: Vec<u8>,
    /// The true frames through the tokenizer alone.
    rebuilt: Vec<u8>,
    /// For each true frame; none for worlds without known objects.
    places: Option<(Game, Vec<Places>)>,
    /// For each true frame; none for worlds that do not say.
    poses: Option<Vec<Pose>>,
}

/// Cuts the sequences out of the episodes.
pub(crate) fn cases(
    engine: &mut dyn Engine,
    episodes: &[Episode],
    options: &Options,
) -> Result<Vec<Case>> {
    let length = options.context + options.horizon;
    let game = truth::game(episodes);
    let mut cases = Vec::new();
    for window in windows(episodes, length, options.sequences)? {
        let Some(episode) = episodes.get(window.episode) else {
            continue;
        };
        let first = window.start + options.context;
        let future = episode.clip(first..first + options.horizon);
        let places = game.zip(Truth::of(episode)).map(|(game, truth)| {
            let places = (first..first + options.horizon)
                .map(|t| shown(truth.at(t), &game.find(episode.frame(t))))
                .collect();
            (game, places)
        });
        cases.push(Case {
            context: episode.clip(window.start..first),
            actions: future.actions,
            repeated: episode.frame(first - 1).repeat(options.horizon),
            rebuilt: engine.reconstruct(&future.images)?,
            images: future.images,
            places,
            poses: Pose::of(episode).map(|all| all[first..first + options.horizon].to_vec()),
        });
    }
    Ok(cases)
}

/// A paddle of which the edge of the frame leaves too little to be found does not count.
fn shown(truth: Places, found: &Objects) -> Places {
    Places {
        player: truth.player.filter(|_| found.player.is_some()),
        enemy: truth.enemy.filter(|_| found.enemy.is_some()),
        ..truth
    }
}

/// All rollouts: the references, every K, and the shuffled actions.
pub(crate) struct Rollouts {
    pub reports: Vec<RolloutReport>,
    pub shuffled: Option<Shuffled>,
    /// For pictures: the predicted frames of the first cases at [`Options::main_steps`].
    pub dreams: Vec<Vec<u8>>,
}

/// Runs and measures all rollouts.
pub(crate) fn measure(
    engine: &mut dyn Engine,
    cases: &[Case],
    options: &Options,
    probe: Option<&Probe>,
    progress: &mut Progress,
) -> Result<Rollouts> {
    let size = engine.world().image;
    let params = |steps: usize, case: usize| SamplerParams {
        steps,
        seed: options.params.seed.wrapping_add(case as u64),
        ..options.params
    };
    let gather = |images: &mut dyn FnMut(usize, &Case) -> Result<Vec<u8>>| -> Result<Sums> {
        let mut sums = Sums::new(options.horizon);
        for (i, case) in cases.iter().enumerate() {
            sums.add(case, &images(i, case)?, size, probe)?;
        }
        Ok(sums)
    };
    let mut reports = vec![
        gather(&mut |_, case| Ok(case.images.clone()))?.report("real frames", None),
        gather(&mut |_, case| Ok(case.rebuilt.clone()))?.report("tokenizer alone", None),
        gather(&mut |_, case| Ok(case.repeated.clone()))?.report("repeat the last frame", None),
    ];
    let mut dreams = Vec::new();
    for &steps in &options.steps {
        let sums = gather(&mut |i, case| {
            let images = rollout(engine, &case.context, &case.actions, &params(steps, i))?;
            progress.tick(options.horizon);
            if steps == options.main_steps() {
                dreams.push(images.clone());
            }
            Ok(images)
        })?;
        reports.push(sums.report(&format!("K = {steps}"), Some(steps)));
    }
    let steps = options.main_steps();
    let sums = gather(&mut |i, case| {
        let params = params(steps, i);
        let actions = shuffled(&case.actions, params.seed);
        progress.tick(options.horizon);
        Ok(rollout(engine, &case.context, &actions, &params)?)
    })?;
    let disobeyed = sums.report(&format!("K = {steps}, actions shuffled"), Some(steps));
    let obeyed = reports.iter().find(|r| r.steps == Some(steps));
    let shuffled = obeyed.and_then(|obeyed| compare(steps, obeyed, &disobeyed));
    reports.push(disobeyed);
    Ok(Rollouts {
        reports,
        shuffled,
        dreams,
    })
}

fn compare(steps: usize, obeyed: &RolloutReport, disobeyed: &RolloutReport) -> Option<Shuffled> {
    let error = |span: &Span| span.player.as_ref().map(|player| player.mean);
    let spans = obeyed.spans.iter().zip(&disobeyed.spans).map(|(a, b)| {
        let (true_actions, shuffled_actions) = (error(a)?, error(b)?);
        Some(ShuffledSpan {
            from: a.from,
            to: a.to,
            true_actions,
            shuffled_actions,
            factor: true_actions.zip(shuffled_actions).map(|(a, b)| b / a),
        })
    });
    Some(Shuffled {
        steps,
        spans: spans.collect::<Option<_>>()?,
    })
}

/// Everything measured at one horizon.
#[derive(Default)]
struct Sum {
    error: SquaredError,
    ssim: Vec<f64>,
    /// Read and true.
    poses: Vec<(Pose, Pose)>,
    /// Distance where found, per frame whose truth shows the paddle.
    player: Vec<Option<f64>>,
    enemy: Vec<Option<f64>>,
    /// (balls found, distance of the heaviest) per frame with a true ball.
    ball: Vec<(usize, Option<f64>)>,
    /// Balls found, per frame without a true ball.
    empty: Vec<usize>,
    objects: bool,
}

/// Sums per horizon.
struct Sums(Vec<Sum>);

impl Sums {
    fn new(horizon: usize) -> Self {
        Self((0..horizon).map(|_| Sum::default()).collect())
    }

    fn add(
        &mut self,
        case: &Case,
        images: &[u8],
        size: [usize; 2],
        probe: Option<&Probe>,
    ) -> Result<()> {
        if let Some((probe, truth)) = probe.zip(case.poses.as_ref()) {
            let pairs = probe.read(images)?.into_iter().zip(truth.iter().copied());
            for (sum, pair) in self.0.iter_mut().zip(pairs) {
                sum.poses.push(pair);
            }
        }
        let frame = size[0] * size[1] * 3;
        let frames = images
            .chunks_exact(frame)
            .zip(case.images.chunks_exact(frame));
        for (h, (sum, (image, truth))) in self.0.iter_mut().zip(frames).enumerate() {
            sum.error.add(image, truth);
            sum.ssim.extend(ssim(image, truth, size));
            let places = case.places.as_ref();
            let Some((game, places)) = places.and_then(|(game, all)| Some((game, all.get(h)?)))
            else {
                continue;
            };
            sum.objects = true;
            let found = game.find(image);
            let error = |a: Option<f32>, b: f32| a.map(|a| f64::from((a - b).abs()));
            sum.player
                .extend(places.player.map(|y| error(found.player, y)));
            sum.enemy
                .extend(places.enemy.map(|y| error(found.enemy, y)));
            match places.ball {
                Some(ball) => sum
                    .ball
                    .push((found.balls.len(), found.ball().map(|b| b.distance(ball)))),
                None if places.hidden => {}
                None => sum.empty.push(found.balls.len()),
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

    fn span(&self, from: usize, to: usize) -> Span {
        let sums = self.0.get(from - 1..to).unwrap_or_default();
        let mut error = SquaredError::default();
        sums.iter().for_each(|sum| error.merge(&sum.error));
        let objects = sums.iter().any(|sum| sum.objects);
        let paddle = |of: fn(&Sum) -> &Vec<Option<f64>>| {
            let all: Vec<Option<f64>> = sums.iter().flat_map(of).copied().collect();
            let found: Vec<f64> = all.iter().flatten().copied().collect();
            PaddleStats {
                frames: all.len(),
                mean: mean(&found),
                median: median(&found),
                missing: share(all.len() - found.len(), all.len()),
            }
        };
        Span {
            from,
            to,
            psnr: error.psnr(),
            ssim: mean(
                &sums
                    .iter()
                    .flat_map(|sum| &sum.ssim)
                    .copied()
                    .collect::<Vec<_>>(),
            ),
            pose: {
                let pairs: Vec<_> = sums.iter().flat_map(|sum| &sum.poses).copied().collect();
                (!pairs.is_empty()).then(|| PoseStats::of(&pairs))
            },
            player: objects.then(|| paddle(|sum| &sum.player)),
            enemy: objects.then(|| paddle(|sum| &sum.enemy)),
            ball: objects.then(|| ball_stats(sums)),
        }
    }
}

fn ball_stats(sums: &[Sum]) -> BallStats {
    let balls: Vec<_> = sums.iter().flat_map(|sum| &sum.ball).collect();
    let empty: Vec<_> = sums.iter().flat_map(|sum| &sum.empty).collect();
    let count = |wanted: fn(&(usize, Option<f64>)) -> bool| {
        share(balls.iter().filter(|b| wanted(b)).count(), balls.len())
    };
    BallStats {
        frames: balls.len(),
        exactly_one: count(|(found, _)| *found == 1),
        within_2px: count(|(_, distance)| distance.is_some_and(|d| d <= NEAR)),
        none: count(|(found, _)| *found == 0),
        invented: share(empty.iter().filter(|n| ***n > 0).count(), empty.len()),
    }
}
