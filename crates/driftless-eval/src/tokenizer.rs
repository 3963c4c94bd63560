//! Evaluation of the tokenizer alone: the reconstruction error, and how smooth the latent is.

use serde::Serialize;

use driftless_data::metrics::{SquaredError, fraction, mean};
use driftless_data::{Episode, metrics};
use driftless_engine::Sampler;
use driftless_engine::rollout::evenly_spaced;

use super::object_truth;
use super::object_truth::ObjectTruth;
use super::objects::edit::{BOX_RADIUS, median_image, move_ball};
use super::objects::{BALL_TOLERANCE, Game, Point, SIZE};
use super::regions::{RegionErrors, RegionReport};
use crate::Result;

/// Frames per call of the engine.
const BATCH: usize = 32;
/// How far [`Smoothness`] shifts the ball, in pixels.
const SHIFT: f32 = 1.6;

/// How well the tokenizer reconstructs held-out frames.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenizerReport {
    /// Number of frames.
    pub frames: usize,
    /// PSNR of whole frames in dB.
    pub psnr: Option<f64>,
    /// Objects and what surrounds them; `None` if the camera moves.
    pub regions: Option<RegionReport>,
    /// The ball; `None` for worlds without known objects.
    pub ball: Option<BallReconstruction>,
    /// Smoothness of the latent; `None` for worlds without known objects.
    pub smoothness: Option<Smoothness>,
}

/// How well the tokenizer reconstructs the ball.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BallReconstruction {
    /// Frames with a ball.
    pub frames: usize,
    /// PSNR in a box of 9 × 9 pixels around the true ball, in dB.
    pub box_psnr: Option<f64>,
    /// Fraction of the frames with a ball within 2 px of the true one.
    pub survives: Option<f64>,
    /// Fraction of the frames with exactly one ball.
    pub exactly_one: Option<f64>,
}

/// Distance that the latent moves when the ball moves a little, compared with that when the ball is
/// removed: mean Euclidean distances of standardized latents.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Smoothness {
    /// Number of frames: those with an isolated ball.
    pub frames: usize,
    /// Shift of the ball in pixels.
    pub shift_px: f32,
    /// Distance when the ball is shifted.
    pub shifted: f64,
    /// Distance when the ball is removed.
    pub removed: f64,
    /// `shifted / removed`; below 1 if the latent is smooth.
    pub ratio: f64,
}

/// Measures the tokenizer on at most `count` frames, spread evenly over the episodes.
pub(crate) fn measure(
    engine: &mut Sampler,
    episodes: &[Episode],
    count: usize,
) -> Result<TokenizerReport> {
    let selected = select_frames(episodes, count, |_, _| true);
    let game = object_truth::game(episodes);
    let (mut whole, mut boxed) = (SquaredError::default(), SquaredError::default());
    let mut regions = RegionErrors::new(episodes);
    let (mut balls, mut surviving, mut single) = (0, 0, 0);
    let frame_len = engine.world().image_len();
    for batch in selected.chunks(BATCH) {
        let images: Vec<u8> = batch.iter().flat_map(FrameRef::image).copied().collect();
        let reconstructions = engine.reconstruct(&images)?;
        for (frame, reconstruction) in batch.iter().zip(reconstructions.chunks_exact(frame_len)) {
            whole.add(frame.image(), reconstruction);
            regions.add(frame.index, frame.image(), reconstruction);
            let Some((game, ball)) = game.zip(frame.ball()) else {
                continue;
            };
            let found = game.find(reconstruction);
            balls += 1;
            surviving += usize::from(
                found
                    .balls
                    .iter()
                    .any(|b| b.centre.distance(ball) <= BALL_TOLERANCE),
            );
            single += usize::from(found.balls.len() == 1);
            for (a, b) in box_rows(frame.image(), ball).zip(box_rows(reconstruction, ball)) {
                boxed.add(a, b);
            }
        }
    }
    let ball = game.map(|_| BallReconstruction {
        frames: balls,
        box_psnr: boxed.psnr(),
        survives: fraction(surviving, balls),
        exactly_one: fraction(single, balls),
    });
    Ok(TokenizerReport {
        frames: selected.len(),
        psnr: whole.psnr(),
        regions: regions.report(),
        ball,
        smoothness: match game {
            Some(game) => smoothness(engine, episodes, game, count)?,
            None => None,
        },
    })
}

/// A frame of an episode.
#[derive(Clone, Copy)]
struct FrameRef<'a> {
    episode: &'a Episode,
    index: usize,
    t: usize,
}

impl<'a> FrameRef<'a> {
    fn image(&self) -> &'a [u8] {
        self.episode.frame(self.t)
    }

    fn ball(&self) -> Option<Point> {
        ObjectTruth::of(self.episode)?.at(self.t).ball
    }
}

/// At most `count` of the frames for which `wanted` is true, spread evenly.
fn select_frames(
    episodes: &[Episode],
    count: usize,
    wanted: impl Fn(&Episode, usize) -> bool,
) -> Vec<FrameRef<'_>> {
    let all: Vec<FrameRef> = episodes
        .iter()
        .enumerate()
        .flat_map(|(index, episode)| {
            (0..episode.frames()).map(move |t| FrameRef { episode, index, t })
        })
        .filter(|frame| wanted(frame.episode, frame.t))
        .collect();
    evenly_spaced(all.len(), count)
        .filter_map(|i| all.get(i).copied())
        .collect()
}

/// The rows of the box around `ball`, as byte slices of a frame.
fn box_rows(image: &[u8], ball: Point) -> impl Iterator<Item = &[u8]> {
    let range = |centre: f32, side: usize| {
        let centre = (centre.round().max(0.0) as usize).min(side - 1);
        (
            centre.saturating_sub(BOX_RADIUS),
            (centre + BOX_RADIUS).min(side - 1),
        )
    };
    let (left, right) = range(ball.x, SIZE[1]);
    let (top, bottom) = range(ball.y, SIZE[0]);
    (top..=bottom)
        .filter_map(move |y| image.get((y * SIZE[1] + left) * 3..(y * SIZE[1] + right + 1) * 3))
}

fn smoothness(
    engine: &mut Sampler,
    episodes: &[Episode],
    game: Game,
    count: usize,
) -> Result<Option<Smoothness>> {
    let selected = select_frames(episodes, count, |episode, t| {
        ObjectTruth::of(episode)
            .is_some_and(|truth| truth.at(t).ball.is_some_and(|ball| game.is_isolated(ball)))
    });
    let backgrounds: Vec<Vec<u8>> = episodes.iter().map(median_image).collect();
    let latent_len = engine.world().latent_len();
    let (mut shifted, mut removed) = (Vec::new(), Vec::new());
    for batch in selected.chunks(BATCH) {
        let mut images = Vec::new();
        for frame in batch {
            let (Some(ball), Some(background)) = (frame.ball(), backgrounds.get(frame.index))
            else {
                continue;
            };
            images.extend_from_slice(frame.image());
            images.extend(move_ball(frame.image(), background, ball, Some(SHIFT)));
            images.extend(move_ball(frame.image(), background, ball, None));
        }
        let latents = engine.encode(&images)?;
        for group in latents.chunks_exact(3 * latent_len) {
            let (original, changed) = group.split_at(latent_len);
            let (moved, without) = changed.split_at(latent_len);
            shifted.push(metrics::distance(original, moved));
            removed.push(metrics::distance(original, without));
        }
    }
    Ok(mean(&shifted)
        .zip(mean(&removed))
        .map(|(moved, without)| Smoothness {
            frames: shifted.len(),
            shift_px: SHIFT,
            shifted: moved,
            removed: without,
            ratio: moved / without,
        }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn box_is_cut_at_the_border() {
        let image: Vec<u8> = vec![0; SIZE[0] * SIZE[1] * 3];
        let size = |x, y| {
            let rows: Vec<&[u8]> = box_rows(&image, Point { x, y }).collect();
            (rows[0].len() / 3, rows.len())
        };
        assert_eq!(size(30.2, 30.0), (9, 9));
        assert_eq!(size(0.0, 63.0), (5, 5));
    }
}
