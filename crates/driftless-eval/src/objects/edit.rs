//! Frames with their ball shifted or removed.

use driftless_data::Episode;
use driftless_engine::rollout::evenly_spaced;

use super::{Point, SIZE};

/// Distance from the centre of the box around the ball to its edge, in pixels.
pub(crate) const BOX_RADIUS: usize = 4;

/// The per-pixel median over an episode, of at most 201 frames, spread evenly.
pub(crate) fn median_image(episode: &Episode) -> Vec<u8> {
    let frames: Vec<&[u8]> = evenly_spaced(episode.frames(), 201)
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

/// The frame with its ball shifted to the right by `shift` pixels, which need not be whole (the
/// ball's difference from the background is interpolated linearly), or without the ball.
pub(crate) fn move_ball(
    image: &[u8],
    background: &[u8],
    ball: Point,
    shift: Option<f32>,
) -> Vec<u8> {
    let width = SIZE[1];
    let within = |centre: f32, at: usize| (centre - at as f32).abs() <= BOX_RADIUS as f32 + 0.5;
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

    use super::super::Game;
    use super::*;
    use crate::object_truth::ObjectTruth;

    /// How far the ball is shifted, in pixels.
    const SHIFT: f32 = 1.6;

    fn real_episode() -> Episode {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/pong/episode_00000.npz");
        Episode::read(&path).unwrap()
    }

    #[test]
    fn move_ball_shifts_or_removes_it() {
        let episode = real_episode();
        let background = median_image(&episode);
        let truth = ObjectTruth::of(&episode).unwrap();
        let mut tested = 0;
        for t in (0..episode.frames()).step_by(7) {
            let Some(ball) = truth
                .at(t)
                .ball
                .filter(|ball| Game::Pong.is_isolated(*ball))
            else {
                continue;
            };
            tested += 1;
            let image = episode.frame(t);
            let before = Game::Pong.find(image);
            let removed = Game::Pong.find(&move_ball(image, &background, ball, None));
            assert_eq!(removed.balls, vec![], "frame {t}");
            assert_eq!(
                (removed.player, removed.enemy),
                (before.player, before.enemy)
            );
            let moved = Game::Pong.find(&move_ball(image, &background, ball, Some(SHIFT)));
            let (a, b) = (before.ball().unwrap(), moved.ball().unwrap());
            assert!((b.x - a.x - SHIFT).abs() < 0.2, "frame {t}: {a:?} {b:?}");
            assert!((b.y - a.y).abs() < 0.2, "frame {t}: {a:?} {b:?}");
        }
        assert!(tested > 20, "{tested} frames");
    }

    #[test]
    fn median_image_is_the_empty_field() {
        let background = median_image(&real_episode());
        let found = Game::Pong.find(&background);
        assert_eq!(found.balls, vec![]);
        assert_eq!(background.get(..3), Some(&[144, 72, 17][..]));
    }
}
