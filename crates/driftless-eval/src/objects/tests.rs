//! The detector against the ground truth of real frames, and on painted ones.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::truth::Truth;
use driftless_data::Episode;

fn find(image: &[u8]) -> Objects {
    Game::Pong.find(image)
}

fn background() -> Vec<u8> {
    [144, 72, 17].repeat(SIZE[0] * SIZE[1])
}

/// Blends a rectangle with area weights, as down-scaling does.
fn paint(image: &mut [u8], colour: [u8; 3], x: [f32; 2], y: [f32; 2]) {
    let overlap = |range: [f32; 2], i: usize| {
        // Pixel i covers [i − ½, i + ½].
        (range[1].min(i as f32 + 0.5) - range[0].max(i as f32 - 0.5)).max(0.0)
    };
    for row in 0..SIZE[0] {
        for column in 0..SIZE[1] {
            let share = overlap(x, column) * overlap(y, row);
            for (channel, value) in colour.into_iter().enumerate() {
                let pixel = &mut image[(row * SIZE[1] + column) * 3 + channel];
                let blend = f32::from(*pixel) * (1.0 - share) + f32::from(value) * share;
                *pixel = blend.round() as u8;
            }
        }
    }
}

fn paint_ball(image: &mut [u8], x: f32, y: f32) {
    paint(image, [236; 3], [x - 0.4, x + 0.4], [y - 0.8, y + 0.8]);
}

#[test]
fn agrees_with_the_truth_of_real_frames() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/pong");
    let mut frames = 0;
    let mut agree = 0;
    let mut far = Vec::new();
    for name in ["episode_00000.npz", "episode_00001.npz"] {
        let episode = Episode::read(&folder.join(name)).unwrap();
        let truth = Truth::of(&episode).unwrap();
        for t in 0..episode.frames() {
            let (found, truth) = (find(episode.frame(t)), truth.at(t));
            frames += 1;
            agree += usize::from(found.balls.len() == usize::from(truth.ball.is_some()));
            if let (Some(a), Some(b)) = (found.ball(), truth.ball) {
                far.push(a.distance(b));
            }
            for (a, b) in [(found.player, truth.player), (found.enemy, truth.enemy)] {
                if let (Some(a), Some(b)) = (a, b) {
                    far.push(f64::from((a - b).abs()));
                }
            }
        }
    }
    let share = agree as f64 / frames as f64;
    far.sort_by(f64::total_cmp);
    let within = far.iter().filter(|d| **d <= 0.5).count() as f64 / far.len() as f64;
    assert!(frames > 500 && share >= 0.995, "{agree} of {frames} frames");
    assert!(
        within >= 0.995,
        "{within} within 0.5 px, worst {:?}",
        far.last()
    );
}

#[test]
fn an_empty_field_shows_nothing() {
    let found = find(&background());
    assert_eq!(
        found,
        Objects {
            balls: vec![],
            player: None,
            enemy: None
        }
    );
}

#[test]
fn two_balls_are_two_and_a_faint_one_is_none() {
    let mut image = background();
    paint_ball(&mut image, 20.3, 30.0);
    paint_ball(&mut image, 45.0, 30.6);
    assert_eq!(find(&image).balls.len(), 2);

    let mut image = background();
    paint(&mut image, [167, 113, 72], [19.6, 20.4], [29.2, 30.8]);
    assert_eq!(find(&image).balls, vec![], "a quarter of a ball's contrast");
}

#[test]
fn a_white_border_line_is_no_ball() {
    let mut image = background();
    paint(&mut image, [236; 3], [-0.5, 63.5], [-0.5, 0.5]);
    assert_eq!(find(&image).balls, vec![]);
}

#[test]
fn paddles_are_not_balls_even_where_their_edge_is_pooled() {
    let mut image = background();
    paint(&mut image, [92, 186, 92], [55.6, 57.2], [20.0, 26.4]);
    paint(&mut image, [144, 186, 92], [55.6, 57.2], [26.4, 29.6]);
    paint(&mut image, [213, 130, 74], [5.9, 7.5], [40.0, 46.4]);
    let found = find(&image);
    assert_eq!(found.balls, vec![]);
    assert!((found.player.unwrap() - 24.8).abs() < 0.3, "{found:?}");
    assert!((found.enemy.unwrap() - 43.2).abs() < 0.3, "{found:?}");
}

#[test]
fn a_short_or_foreign_image_does_not_panic() {
    find(&[]);
    find(&vec![255; 64 * 64 * 3 * 2]);
}

proptest! {
    #[test]
    fn a_painted_ball_is_found_where_it_is(x in 1.0_f32..62.0, y in 1.0_f32..62.0) {
        let mut image = background();
        paint_ball(&mut image, x, y);
        let found = find(&image);
        prop_assert_eq!(found.balls.len(), 1);
        let centre = found.ball().unwrap();
        prop_assert!(centre.distance(Point { x, y }) < 0.35, "{:?}", centre);
    }
}
