//! The car, the track and the driver.

use super::car::FPS;
use super::*;
use crate::{Policy, PolicyAgent};

const THROTTLE: u32 = 1;
const BRAKE: u32 = 2;
const LEFT: u32 = 3;
const THROTTLE_LEFT: u32 = 5;
const THROTTLE_RIGHT: u32 = 6;

fn steps(drive: &mut Drive, action: u32, frames: usize) {
    for _ in 0..frames {
        drive.step(action.into()).unwrap();
    }
}

/// Speed after full throttle straight on, over one ground.
fn top_speed(on_grass: bool) -> f32 {
    let mut car = Drive::new(0).car;
    for _ in 0..200 {
        car.drive(0.0, 1.0, on_grass);
    }
    car.speed
}

#[test]
fn brake_stops_then_reverses() {
    let mut drive = Drive::new(1);
    let start = drive.car;
    assert_eq!(start.speed, 0.0);
    steps(&mut drive, THROTTLE, 10);
    let fast = drive.car.speed;
    assert!(fast > 4.0, "{fast}");
    let moved = [drive.car.x - start.x, drive.car.y - start.y];
    let [ax, ay] = start.direction();
    assert!(moved[0] * ax + moved[1] * ay > 1.5, "{moved:?}");
    steps(&mut drive, 0, 5);
    assert!(drive.car.speed < fast && drive.car.speed > 0.5 * fast);
    while drive.car.speed > 0.0 {
        drive.step(BRAKE.into()).unwrap();
    }
    assert_eq!(drive.car.speed, 0.0, "it stops before it reverses");
    steps(&mut drive, BRAKE, 30);
    assert!(drive.car.speed < -2.0);
}

#[test]
fn grass_is_slower_than_the_road() {
    let (road, grass) = (top_speed(false), top_speed(true));
    assert!(road > 20.0 && grass < 0.5 * road, "{road} and {grass} m/s");
    // The position of the car decides which ground it drives on.
    let mut drive = Drive::new(2);
    let point = drive.track.at(0.0);
    let [ax, ay] = point.direction;
    drive.car = Car {
        speed: 15.0,
        ..Car::at(point)
    };
    let mut off_road = drive.car;
    (off_road.x, off_road.y) = (off_road.x - 9.0 * ay, off_road.y + 9.0 * ax);
    drive.step(0.into()).unwrap();
    let on_road = drive.car.speed;
    drive.car = off_road;
    drive.step(0.into()).unwrap();
    assert!(drive.car.speed < on_road - 0.5);
}

#[test]
fn steering_turns_a_moving_car() {
    let mut drive = Drive::new(3);
    let heading = drive.car.heading;
    steps(&mut drive, LEFT, 5);
    assert_eq!(drive.car.heading, heading);
    assert!(drive.car.steering > 0.4);
    let turned = |action: u32| {
        let mut drive = Drive::new(3);
        steps(&mut drive, action, 10);
        let turn = drive.car.heading - heading;
        turn.sin()
    };
    assert!(turned(THROTTLE_LEFT) > 0.2, "{}", turned(THROTTLE_LEFT));
    assert!(turned(THROTTLE_RIGHT) < -0.2);
    // Grip g limits the yaw rate at speed v to g / v.
    let mut fast = drive.car;
    fast.speed = 24.0;
    let before = fast.heading;
    fast.drive(1.0, 0.0, false);
    assert!((fast.heading - before).sin() * FPS < 15.0 / 22.0);
}

#[test]
fn axes_steer_as_far_as_they_are_turned() {
    let played = |axes: [f32; 2]| {
        let mut drive = Drive::with_axes(3);
        for _ in 0..10 {
            drive.step(Action::with_axes(0, &axes)).unwrap();
        }
        drive.car
    };
    // At the ends, as by keys.
    let mut keys = Drive::new(3);
    steps(&mut keys, THROTTLE_LEFT, 10);
    assert_eq!(played([-1.0, 1.0]), keys.car);
    let turn = |steering: f32| (played([steering, 1.0]).heading - Drive::new(3).car.heading).sin();
    let turned = [-1.0, -0.4, 0.0, 0.4, 1.0].map(turn);
    assert!(turned.is_sorted_by(|a, b| a > b), "{turned:?}");
    assert!(played([0.0, 0.5]).speed < 0.6 * played([0.0, 1.0]).speed);
    let mut drive = Drive::with_axes(3);
    let error = drive.step(Action::with_axes(0, &[1.5])).unwrap_err();
    assert!(error.to_string().contains("axis 0 is 1.5"), "{error}");
}

#[test]
fn driver_of_axes_stays_on_the_road() {
    let mut drive = Drive::with_axes(4);
    let mut far = 0.0f32;
    let mut between = 0;
    for _ in 0..300 {
        // Goal 1 keeps near the middle.
        let action = drive.action_toward(1).unwrap();
        between += usize::from((0.01..0.99).contains(&action.axes[0].abs()));
        drive.step(action).unwrap();
        far = far.max(drive.track.locate(drive.car.position()).offset.abs());
    }
    assert!(
        drive.laps > 0.2 && far < HALF_WIDTH,
        "{} laps, {far} m",
        drive.laps
    );
    assert!(between > 200, "{between} of 300 frames between the ends");
}

/// Mean column of the road (grey) in the upper rows.
fn road(image: &[u8]) -> f32 {
    let grey = |i: &usize| {
        let [r, g, b] = [0, 1, 2].map(|c| image[i * 3 + c]);
        r.abs_diff(g) < 12 && g.abs_diff(b) < 20 && r < 120
    };
    let columns: Vec<usize> = (0..20 * 64).filter(grey).map(|i| i % 64).collect();
    assert!(columns.len() > 60, "{} grey pixels", columns.len());
    columns.iter().sum::<usize>() as f32 / columns.len() as f32
}

/// A car on the straightest part of a track.
fn on_a_straight(seed: u64) -> Drive {
    let mut drive = Drive::new(seed);
    let bend = |along: f32| -> f32 {
        (0..30)
            .map(|i| drive.track.at(along + i as f32).curvature.abs())
            .sum()
    };
    let starts = (10..drive.track.length() as usize - 10).map(|along| along as f32);
    let best = starts.min_by(|a, b| bend(*a).total_cmp(&bend(*b))).unwrap();
    drive.car = Car::at(drive.track.at(best));
    drive.update_image();
    drive
}

#[test]
fn road_swings_against_the_steering() {
    for seed in 0..4 {
        let straight = road(on_a_straight(seed).image());
        let seen = |action: u32| {
            let mut drive = on_a_straight(seed);
            drive.car.speed = 8.0;
            steps(&mut drive, action, 4);
            road(drive.image())
        };
        let (left, right) = (seen(THROTTLE_LEFT), seen(THROTTLE_RIGHT));
        assert!(left > straight + 4.0, "{left}, {straight}");
        assert!(right < straight - 4.0, "{right}, {straight}");
    }
}

#[test]
fn track_is_closed_and_points_locate() {
    for seed in 0..10 {
        let (track, start) = Track::new(seed);
        let length = track.length();
        assert!((250.0..900.0).contains(&length), "seed {seed}: {length} m");
        assert_eq!(track.at(0.0), track.at(length));
        assert_eq!(start.offset, 0.0);
        for i in 0..50 {
            let along = length * i as f32 / 50.0;
            let on = track.at(along);
            for offset in [-5.0, -1.0, 0.0, 4.0] {
                let position = [
                    on.position[0] - on.direction[1] * offset,
                    on.position[1] + on.direction[0] * offset,
                ];
                let point = track.locate(position);
                assert!((point.offset - offset).abs() < 0.2, "{point:?}, {offset}");
                let apart = (point.distance - on.distance + length / 2.0).rem_euclid(length);
                assert!((apart - length / 2.0).abs() < 1.5, "{point:?}");
                assert_eq!(track.locate_near(position), Some(point));
            }
        }
        assert_eq!(track.locate_near([500.0, 0.0]), None);
    }
}

#[test]
fn image_shows_road_or_grass() {
    let mut drive = on_a_straight(5);
    let ahead = |drive: &Drive| {
        let i = (30 * 64 + 36) * 3;
        [drive.image[i], drive.image[i + 1], drive.image[i + 2]]
    };
    let [r, g, b] = ahead(&drive);
    assert!(r.abs_diff(g) < 12 && g.abs_diff(b) < 20, "{r} {g} {b}");
    assert!(!drive.ended());
    drive.car.x += 2000.0;
    drive.update_image();
    let [r, g, b] = ahead(&drive);
    assert!(g > r && g > b, "{r} {g} {b}");
    assert!(drive.ended());
}

#[test]
fn reward_is_percent_of_lap() {
    let mut drive = on_a_straight(6);
    steps(&mut drive, THROTTLE, 10);
    assert!(drive.reward > 0.0 && drive.laps > 0.0);
    let mut sum = 0.0;
    let mut drive = Drive::new(6);
    while drive.laps < 1.0 {
        let action = drive.action_toward(0xffff_7f01).unwrap();
        drive.step(action).unwrap();
        sum += drive.reward;
        assert!(sum < 101.0);
    }
    assert!((sum - 100.0 * drive.laps).abs() < 0.05, "{sum}");
    let mut drive = on_a_straight(6);
    steps(&mut drive, BRAKE, 20);
    assert!(drive.reward < 0.0 && drive.laps < 0.0);
}

#[test]
fn scripted_policy_completes_laps() {
    let (mut laps, mut off, mut frames) = (0.0, 0, 0);
    for seed in 0..5 {
        let mut drive = Drive::new(seed);
        let mut agent = PolicyAgent::new(Policy::Scripted, &drive, seed);
        for _ in 0..800 {
            let action = agent.act(&drive);
            drive.step(action).unwrap();
            let offset = drive.track.locate(drive.car.position()).offset;
            off += usize::from(offset.abs() > HALF_WIDTH);
            frames += 1;
            if drive.ended() {
                break;
            }
        }
        laps += drive.laps;
    }
    assert!(laps > 5.0, "{laps} laps in {frames} frames");
    let share = off as f32 / frames as f32;
    assert!(
        (0.02..0.4).contains(&share),
        "{share} of the frames off the road"
    );
}
