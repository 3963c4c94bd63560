//! Tests of the detector on real frames with ground truth, and on painted ones.

use std::path::Path;

use proptest::prelude::*;

use driftless_data::Episode;

use super::*;
use crate::object_truth::ObjectTruth;

fn find(image: &[u8]) -> DetectedObjects {
    Game::Pong.find(image)
}

fn background() -> Vec<u8> {
    [144, 72, 17].repeat(SIZE[0] * SIZE[1])
}

/// Paints an antialiased rectangle, as downscaling does.
fn paint(image: &mut [u8], colour: [u8; 3], x: [f32; 2], y: [f32; 2]) {
    let overlap = |range: [f32; 2], i: usize| {
        // Pixel i covers [i − ½, i + ½].
        (range[1].min(i as f32 + 0.5) - range[0].max(i as f32 - 0.5)).max(0.0)
    };
    for row in 0..SIZE[0] {
        for column in 0..SIZE[1] {
            let coverage = overlap(x, column) * overlap(y, row);
            for (channel, value) in colour.into_iter().enumerate() {
                let pixel = &mut image[(row * SIZE[1] + column) * 3 + channel];
                let blend = f32::from(*pixel) * (1.0 - coverage) + f32::from(value) * coverage;
                *pixel = blend.round() as u8;
            }
        }
    }
}

fn paint_ball(image: &mut [u8], x: f32, y: f32) {
    paint(image, [236; 3], [x - 0.4, x + 0.4], [y - 0.8, y + 0.8]);
}

#[test]
fn detections_match_ground_truth() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/pong");
    let mut frames = 0;
    let mut correct = 0;
    let mut errors = Vec::new();
    for name in ["episode_00000.npz", "episode_00001.npz"] {
        let episode = Episode::read(&folder.join(name)).unwrap();
        let truth = ObjectTruth::of(&episode).unwrap();
        for t in 0..episode.frames() {
            let (found, truth) = (find(episode.frame(t)), truth.at(t));
            frames += 1;
            correct += usize::from(found.balls.len() == usize::from(truth.ball.is_some()));
            if let (Some(a), Some(b)) = (found.ball(), truth.ball) {
                errors.push(a.distance(b));
            }
            for (a, b) in [(found.player, truth.player), (found.enemy, truth.enemy)] {
                if let (Some(a), Some(b)) = (a, b) {
                    errors.push(f64::from((a - b).abs()));
                }
            }
        }
    }
    let fraction = correct as f64 / frames as f64;
    errors.sort_by(f64::total_cmp);
    let within = errors.iter().filter(|d| **d <= 0.5).count() as f64 / errors.len() as f64;
    assert!(
        frames > 500 && fraction >= 0.995,
        "{correct} of {frames} frames"
    );
    assert!(
        within >= 0.995,
        "{within} within 0.5 px, worst {:?}",
        errors.last()
    );
}

#[test]
fn empty_field_has_no_objects() {
    let found = find(&background());
    assert_eq!(
        found,
        DetectedObjects {
            balls: vec![],
            player: None,
            enemy: None
        }
    );
}

#[test]
fn faint_balls_do_not_count() {
    let mut image = background();
    paint_ball(&mut image, 20.3, 30.0);
    paint_ball(&mut image, 45.0, 30.6);
    assert_eq!(find(&image).balls.len(), 2);

    let mut image = background();
    paint(&mut image, [167, 113, 72], [19.6, 20.4], [29.2, 30.8]);
    assert_eq!(find(&image).balls, vec![], "a quarter of a ball's contrast");
}

#[test]
fn border_line_is_no_ball() {
    let mut image = background();
    paint(&mut image, [236; 3], [-0.5, 63.5], [-0.5, 0.5]);
    assert_eq!(find(&image).balls, vec![]);
}

#[test]
fn paddles_are_not_balls() {
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
fn wrong_image_size_does_not_panic() {
    find(&[]);
    find(&vec![255; 64 * 64 * 3 * 2]);
}

proptest! {
    #[test]
    fn painted_ball_is_found(x in 1.0_f32..62.0, y in 1.0_f32..62.0) {
        let mut image = background();
        paint_ball(&mut image, x, y);
        let found = find(&image);
        prop_assert_eq!(found.balls.len(), 1);
        let centre = found.ball().unwrap();
        prop_assert!(centre.distance(Point { x, y }) < 0.35, "{:?}", centre);
    }
}
