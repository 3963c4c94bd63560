//! What is measured of rollouts: frames, paddles and ball at horizon h, that is after h predicted
//! frames.

use serde::Serialize;

use super::pose::PoseStats;

/// One way to fill the frames after the starting clip, measured over all rollouts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RolloutReport {
    /// What the frames are: `real frames`, `tokenizer alone`, `repeat the last frame`, `K = 4`…
    pub label: String,
    /// Denoise passes per frame; `None` if the frames are not predicted.
    pub steps: Option<usize>,
    /// Single horizons, then ranges.
    pub spans: Vec<HorizonSpan>,
}

/// Measurements over a range of horizons.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HorizonSpan {
    /// First horizon, from 1.
    pub from: usize,
    /// Last horizon.
    pub to: usize,
    /// PSNR of whole frames in dB.
    pub psnr: Option<f64>,
    /// Mean structural similarity of the frames; `None` if they are smaller than its window.
    pub ssim: Option<f64>,
    /// Mean distance between the tokenizer's latents of the frames and of the true ones: the root mean
    /// square over the standardized latent.
    pub latent_distance: Option<f64>,
    /// Mean LPIPS distance; `None` without its weights, for ranges, and for frames that are too small.
    pub lpips: Option<f64>,
    /// Poses that the probe reads from the frames; `None` without a probe.
    pub pose: Option<PoseStats>,
    /// The player's paddle; `None` for worlds without known objects.
    pub player: Option<PaddleStats>,
    /// The enemy's paddle; `None` for worlds without known objects.
    pub enemy: Option<PaddleStats>,
    /// The ball; `None` for worlds without known objects.
    pub ball: Option<BallStats>,
}

/// A paddle, in the frames where the ground truth has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PaddleStats {
    /// Frames with a true paddle.
    pub frames: usize,
    /// Mean distance from the true paddle where one is found, in pixels.
    pub mean: Option<f64>,
    /// Median distance from the true paddle where one is found, in pixels.
    pub median: Option<f64>,
    /// Fraction of these frames in which no paddle is found.
    pub missing: Option<f64>,
}

/// The ball, compared with the ground truth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BallStats {
    /// Frames with a true ball.
    pub frames: usize,
    /// Fraction of these with exactly one ball.
    pub exactly_one: Option<f64>,
    /// Fraction of these whose (largest) ball is within 2 px of the true one.
    pub within_2px: Option<f64>,
    /// Fraction of these without a ball.
    pub none: Option<f64>,
    /// Fraction of the frames without a true ball that show one.
    pub invented: Option<f64>,
}

/// Response to actions: the player's error under the true actions, and under the same actions
/// shuffled in time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShuffledReport {
    /// Denoise passes per frame.
    pub steps: usize,
    /// Single horizons, then ranges, then all horizons.
    pub spans: Vec<ShuffledHorizonSpan>,
}

/// The player's mean error over a range of horizons, in pixels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShuffledHorizonSpan {
    /// First horizon, from 1.
    pub from: usize,
    /// Last horizon.
    pub to: usize,
    /// Under the true actions.
    pub true_actions: Option<f64>,
    /// Under the shuffled actions.
    pub shuffled_actions: Option<f64>,
    /// Error under the shuffled actions divided by that under the true ones.
    pub factor: Option<f64>,
}
