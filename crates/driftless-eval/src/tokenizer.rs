//! The tokenizer alone: what is lost on the way through the latent, and how smooth the latent is.

use serde::Serialize;

use super::objects::{Game, Point, SIZE};
use super::truth::{self, Truth};
use crate::Result;
use driftless_data::Episode;
use driftless_data::metrics::{self, SquaredError, mean, share};
use driftless_engine::Engine;
use driftless_engine::rollout::evenly;

/// Frames that pass through the engine at once.
const BATCH: usize = 32;
/// Half the side of the box around the ball, in pixels.
const BOX: usize = 4;
/// A reconstructed ball survives within this distance of the truth, in pixels.
const NEAR: f64 = 2.0;
/// How far smoothness shifts the ball, in pixels.
const SHIFT: f32 = 1.6;

/// What the tokenizer keeps of held-out frames.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenizerReport {
    /// Frames measured.
    pub frames: usize,
    /// Over whole frames, dB.
    pub psnr: Option<f64>,
    /// The ball; none for worlds without known objects.
    pub ball: Option<BallReconstruction>,
    /// The latent's smoothness; none for worlds without known objects.
    pub smoothness: Option<Smoothness>,
}

/// What the tokenizer keeps of the ball.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BallReconstruction {
    /// Frames with a ball.
    pub frames: usize,
    /// In a box of 9 × 9 pixels around the true ball, dB.
    pub box_psnr: Option<f64>,
    /// Share of frames with a ball within 2 px of the truth.
    pub survives: Option<f64>,
    /// Share of frames with exactly one ball.
    pub exactly_one: Option<f64>,
}

/// How far the latent moves (mean Euclidean distance over standardised latents) when the ball
/// moves a little, beside how far it moves when the ball is taken away.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Smoothness {
    /// Frames measured: those whose ball is away from everything else.
    pub frames: usize,
    /// The shift in pixels.
    pub shift_px: f32,
    /// Distance after the shift.
    pub shifted: f64,
    /// Distance after taking the ball away.
    pub removed: f64,
    /// `shifted / removed`; below 1 where the latent is smooth.
    pub ratio: f64,
}

/// Measures the tokenizer on at most `count` frames, spread evenly over the episodes.
pub(crate) fn measure(
    engine: &mut dyn Engine,
    episodes: &[Episode],
    count: usize,
) -> Result<TokenizerReport> {
    let picked = pick(episodes, count, |_, _| true);
    let game = truth::game(episodes);
    let (mut whole, mut boxed) = (SquaredError::default(), SquaredError::default());
    let (mut balls, mut survive, mut single) = (0, 0, 0);
    let frame_len = engine.world().image_len();
    for batch in picked.chunks(BATCH) {
        let images: Vec<u8> = batch.iter().flat_map(Place::image).copied().collect();
        let rebuilt = engine.reconstruct(&images)?;
        for (place, rebuilt) in batch.iter().zip(rebuilt.chunks_exact(frame_len)) {
            whole.add(place.image(), rebuilt);
            let Some((game, ball)) = game.zip(place.ball()) else {
                continue;
            };
            let found = game.find(rebuilt);
            balls += 1;
            survive += usize::from(found.balls.iter().any(|b| b.centre.distance(ball) <= NEAR));
            single += usize::from(found.balls.len() == 1);
            for (a, b) in box_rows(place.image(), ball).zip(box_rows(rebuilt, ball)) {
                boxed.add(a, b);
            }
        }
    }
    let ball = game.map(|_| BallReconstruction {
        frames: balls,
        box_psnr: boxed.psnr(),
        survives: share(survive, balls),
        exactly_one: share(single, balls),
    });
    Ok(TokenizerReport {
        frames: picked.len(),
        psnr: whole.psnr(),
        ball,
        smoothness: match game {
            Some(game) => smoothness(engine, episodes, game, count)?,
            None => None,
        },
    })
}

/// One frame of one episode.
#[derive(Clone, Copy)]
struct Place<'a> {
    episode: &'a Episode,
    index: usize,
    t: usize,
}

impl<'a> Place<'a> {
    fn image(&self) -> &'a [u8] {
        self.episode.frame(self.t)
    }

    fn ball(&self) -> Option<Point> {
        Truth::of(self.episode)?.at(self.t).ball
    }
}

/// At most `count` of the frames that `wanted` accepts, spread evenly.
fn pick(
    episodes: &[Episode],
    count: usize,
    wanted: impl Fn(&Episode, usize) -> bool,
) -> Vec<Place<'_>> {
    let all: Vec<Place> = episodes
        .iter()
        .enumerate()
        .flat_map(|(index, episode)| {
            (0..episode.frames()).map(move |t| Place { episode, index, t })
        })
        .filter(|place| wanted(place.episode, place.t))
        .collect();
    evenly(all.len(), count)
        .filter_map(|i| all.get(i).copied())
        .collect()
}

/// The rows of the box around `ball`, as byte slices of a frame.
fn box_rows(image: &[u8], ball: Point) -> impl Iterator<Item = &[u8]> {
    let range = |centre: f32, side: usize| {
        let centre = (centre.round().max(0.0) as usize).min(side - 1);
        (centre.saturating_sub(BOX), (centre + BOX).min(side - 1))
    };
    let (left, right) = range(ball.x, SIZE[1]);
    let (top, bottom) = range(ball.y, SIZE[0]);
    (top..=bottom)
        .filter_map(move |y| image.get((y * SIZE[1] + left) * 3..(y * SIZE[1] + right + 1) * 3))
}

fn smoothness(
    engine: &mut dyn Engine,
    episodes: &[Episode],
    game: Game,
    count: usize,
) -> Result<Option<Smoothness>> {
    let picked = pick(episodes, count, |episode, t| {
        Truth::of(episode)
            .is_some_and(|truth| truth.at(t).ball.is_some_and(|ball| game.alone(ball)))
    });
    let backgrounds: Vec<Vec<u8>> = episodes.iter().map(median_image).collect();
    let latent_len = engine.world().latent_len();
    let (mut shifted, mut removed) = (Vec::new(), Vec::new());
    for batch in picked.chunks(BATCH) {
        let mut images = Vec::new();
        for place in batch {
            let (Some(ball), Some(background)) = (place.ball(), backgrounds.get(place.index))
            else {
                continue;
            };
            images.extend_from_slice(place.image());
            images.extend(move_ball(place.image(), background, ball, Some(SHIFT)));
            images.extend(move_ball(place.image(), background, ball, None));
        }
        let latents = engine.encode(&images)?;
        for three in latents.chunks_exact(3 * latent_len) {
            let (original, changed) = three.split_at(latent_len);
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

/// The per-pixel median over an episode (of at most 201 frames, spread evenly).
pub(super) fn median_image(episode: &Episode) -> Vec<u8> {
    let frames: Vec<&[u8]> = evenly(episode.frames(), 201)
        .map(|t| episode.frame(t))
        .collect();
    let len = frames.first().map_or(0, |frame| frame.len());
    let mut values = Vec::with_capacity(frames.len());
    (0..len)
        .filter_map(|i| {
            values.clear();
            values.extend(frames.iter().filter_map(|frame| frame.get(i)));
            values.sort_unstable();
            values.get(values.len() / 2).copied()
        })
        .collect()
}

/// The frame with its ball shifted right by a fraction of pixels (linear interpolation of the
/// ball's difference from the background), or taken away.
pub(super) fn move_ball(
    image: &[u8],
    background: &[u8],
    ball: Point,
    shift: Option<f32>,
) -> Vec<u8> {
    let width = SIZE[1];
    let within = |centre: f32, at: usize| (centre - at as f32).abs() <= BOX as f32 + 0.5;
    let inside = |x: usize, y: usize| within(ball.x, x) && within(ball.y, y);
    let mut result = image.to_vec();
    let mut layer = vec![0.0_f32; image.len()];
    for (i, value) in result.iter_mut().enumerate() {
        let (x, y) = (i / 3 % width, i / 3 / width);
        let behind = background.get(i).copied().unwrap_or(*value);
        if inside(x, y) {
            if let Some(layer) = layer.get_mut(i) {
                *layer = f32::from(*value) - f32::from(behind);
            }
            *value = behind;
        }
    }
    if let Some(shift) = shift {
        let (whole, part) = (shift.floor() as usize, shift.fract());
        let from = |i: usize, steps: usize| {
            let at = i.checked_sub(3 * steps).filter(|_| i / 3 % width >= steps);
            at.and_then(|at| layer.get(at)).copied().unwrap_or(0.0)
        };
        for (i, value) in result.iter_mut().enumerate() {
            let moved = (1.0 - part) * from(i, whole) + part * from(i, whole + 1);
            // A float-to-integer cast saturates.
            *value = (f32::from(*value) + moved).round() as u8;
        }
    }
    result
}

#[cfg(test)]
mod tests {

    use std::path::Path;

    use super::*;

    fn real() -> Episode {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/pong/episode_00000.npz");
        Episode::read(&path).unwrap()
    }

    #[test]
    fn on_real_frames_a_shifted_ball_is_found_shifted_and_a_removed_one_is_gone() {
        let episode = real();
        let background = median_image(&episode);
        let truth = Truth::of(&episode).unwrap();
        let mut tried = 0;
        for t in (0..episode.frames()).step_by(7) {
            let Some(ball) = truth.at(t).ball.filter(|ball| Game::Pong.alone(*ball)) else {
                continue;
            };
            tried += 1;
            let image = episode.frame(t);
            let before = Game::Pong.find(image);
            let gone = Game::Pong.find(&move_ball(image, &background, ball, None));
            assert_eq!(gone.balls, vec![], "frame {t}");
            assert_eq!((gone.player, gone.enemy), (before.player, before.enemy));
            let moved = Game::Pong.find(&move_ball(image, &background, ball, Some(SHIFT)));
            let (a, b) = (before.ball().unwrap(), moved.ball().unwrap());
            assert!((b.x - a.x - SHIFT).abs() < 0.2, "frame {t}: {a:?} {b:?}");
            assert!((b.y - a.y).abs() < 0.2, "frame {t}: {a:?} {b:?}");
        }
        assert!(tried > 20, "{tried} frames");
    }

    #[test]
    fn the_median_of_an_episode_is_the_empty_field() {
        let background = median_image(&real());
        let found = Game::Pong.find(&background);
        assert_eq!(found.balls, vec![]);
        assert_eq!(background.get(..3), Some(&[144, 72, 17][..]));
    }

    #[test]
    fn the_box_around_the_ball_is_nine_pixels_wide_and_cut_at_the_border() {
        let image: Vec<u8> = vec![0; SIZE[0] * SIZE[1] * 3];
        let size = |x, y| {
            let rows: Vec<&[u8]> = box_rows(&image, Point { x, y }).collect();
            (rows[0].len() / 3, rows.len())
        };
        assert_eq!(size(30.2, 30.0), (9, 9));
        assert_eq!(size(0.0, 63.0), (5, 5));
    }
}
