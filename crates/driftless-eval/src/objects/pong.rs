//! Pong's colours.
//!
//! A moving player's edge takes the channel-wise maximum with the background, which is a third
//! colour there; the forms ignore it where they must.

use super::{LEAST_PADDLE, Objects, SIZE, Shares, blobs};

const BACKGROUND: [f32; 3] = [144.0, 72.0, 17.0];
/// 1 on the ball, 0 on the background, on the player and on its pooled edge (144, 186, 92).
const BALL_FORM_RIGHT: [f32; 3] = [0.0, -75.0 / 12_666.0, 114.0 / 12_666.0];
/// 1 on the ball, 0 on the background and on the enemy; the shortest such form.
const BALL_FORM_LEFT: [f32; 3] = [-0.006_298, 0.001_534, 0.006_063];
/// 1 on the player and on its pooled edge, 0 on the background and on the ball.
const PLAYER_FORM: [f32; 3] = [0.0, 219.0 / 12_666.0, -164.0 / 12_666.0];
/// 1 on the enemy, 0 on the background and on the ball; the shortest such form.
const ENEMY_FORM: [f32; 3] = [0.021_761, 0.001_277, -0.010_098];
const PLAYER_COLUMNS: std::ops::Range<usize> = 54..62;
const ENEMY_COLUMNS: std::ops::Range<usize> = 4..11;

/// Shares of a paddle below this are taken for noise.
const PADDLE_NOISE: f32 = 0.15;

/// Finds the objects of one frame.
pub(super) fn find(image: &[u8]) -> Objects {
    let shares = Shares {
        image,
        background: BACKGROUND,
    };
    let paddle = |columns: std::ops::Range<usize>, form: &[f32; 3]| {
        let (mut mass, mut moment) = (0.0, 0.0);
        for y in 0..SIZE[0] {
            for x in columns.clone() {
                let share = shares.at(x, y, form);
                if share > PADDLE_NOISE {
                    mass += share;
                    moment += share * y as f32;
                }
            }
        }
        (mass > LEAST_PADDLE).then(|| moment / mass)
    };
    let mut ball = Vec::with_capacity(SIZE[0] * SIZE[1]);
    for y in 0..SIZE[0] {
        for x in 0..SIZE[1] {
            let form = if x < SIZE[1] / 2 {
                &BALL_FORM_LEFT
            } else {
                &BALL_FORM_RIGHT
            };
            ball.push(shares.at(x, y, form));
        }
    }
    Objects {
        balls: blobs(&mut ball),
        player: paddle(PLAYER_COLUMNS, &PLAYER_FORM),
        enemy: paddle(ENEMY_COLUMNS, &ENEMY_FORM),
    }
}
