//! The picture from above: the car looks up and stands below the middle.

use super::car::{BODY, Car};
use super::track::{HALF_WIDTH, KERB, Spot, Track, Tree, square_distance};
use crate::picture;
use crate::picture::{Colour, from_middle, lit, mix, smooth};

/// Half the picture's side in metres: a pixel is half a metre, and the car's parts whole pixels.
const SIGHT: f32 = 16.0;
/// How far the car is below the middle, in metres.
const BELOW: f32 = 8.5;

const GRASS: [Colour; 2] = [[0.36, 0.60, 0.27], [0.41, 0.66, 0.30]];
const ROAD: Colour = [0.36, 0.37, 0.40];
const WHITE: Colour = [0.93, 0.93, 0.90];
const RED: Colour = [0.84, 0.17, 0.15];
const TREE: Colour = [0.13, 0.38, 0.20];
const BODYWORK: Colour = [0.98, 0.78, 0.10];
const GLASS: Colour = [0.13, 0.17, 0.24];
const TYRE: Colour = [0.09, 0.09, 0.10];

/// Draws what the camera over `car` sees.
pub fn draw(image: &mut [u8], track: &Track, car: &Car) {
    let [cos, sin] = car.ahead();
    let in_sight = |tree: &&Tree| {
        let farthest = (SIGHT + BELOW).hypot(SIGHT) + 2.0 * tree.radius;
        square_distance(tree.place, car.place()) < farthest * farthest
    };
    let trees: Vec<Tree> = track.trees().iter().filter(in_sight).copied().collect();
    picture::draw(image, |column, row| {
        // Metres ahead of the car and to its left.
        let left = -from_middle(column) * SIGHT;
        let ahead = -from_middle(row) * SIGHT + BELOW;
        let place = [
            car.x + ahead * cos - left * sin,
            car.y + ahead * sin + left * cos,
        ];
        of_trees(&trees, place)
            .or_else(|| of_car([ahead, left], car.steering))
            .unwrap_or_else(|| {
                let ground = of_ground(track, place);
                lit(ground, shade(&trees, place, [ahead, left]))
            })
    });
}

fn of_ground(track: &Track, place: [f32; 2]) -> Colour {
    let spot = track.spot_near(place);
    spot.and_then(|spot| of_track(&spot)).unwrap_or_else(|| {
        let odd = (place[0] / 9.0).floor() + (place[1] / 9.0).floor();
        GRASS[usize::from(odd.rem_euclid(2.0) > 0.5)]
    })
}

/// Road, lines and kerbs; none beside them.
fn of_track(spot: &Spot) -> Option<Colour> {
    let beside = spot.offset.abs();
    if beside > HALF_WIDTH + KERB {
        return None;
    }
    let odd = |length: f32| (spot.along / length).rem_euclid(2.0) >= 1.0;
    if beside > HALF_WIDTH {
        return spot.kerb.then_some(if odd(3.5) { RED } else { WHITE });
    }
    if spot.along < 3.4 {
        // The start line: two rows of squares.
        let square = (spot.along / 1.7).floor() + (spot.offset / HALF_WIDTH * 3.0).floor();
        let dark = square.rem_euclid(2.0) > 0.5;
        return Some(if dark { TYRE } else { WHITE });
    }
    let dash = beside < 0.22 && odd(3.0);
    let edge = beside > HALF_WIDTH - 0.6 && beside < HALF_WIDTH - 0.15;
    Some(if dash || edge { WHITE } else { ROAD })
}

/// The tree over a place: brighter on the side of the sun.
fn of_trees(trees: &[Tree], place: [f32; 2]) -> Option<Colour> {
    let over = |tree: &&Tree| square_distance(tree.place, place) < tree.radius * tree.radius;
    trees.iter().find(over).map(|tree| {
        let [dx, dy] = [0, 1].map(|axis| (place[axis] - tree.place[axis]) / tree.radius);
        lit(TREE, 1.0 + 0.45 * (dx * 0.6 + dy * 0.8))
    })
}

/// Shadows of the trees and the car.
fn shade(trees: &[Tree], place: [f32; 2], from_car: [f32; 2]) -> f32 {
    let towards_sun = [place[0] + 0.9, place[1] + 1.2];
    let under = |tree: &Tree| square_distance(tree.place, towards_sun) < tree.radius * tree.radius;
    if trees.iter().any(under) {
        return 0.68;
    }
    1.0 - 0.4 * smooth(1.2, 0.0, rectangle(from_car, [0.0, 0.0], BODY))
}

/// Distance to the edge of a rectangle of `size` around `middle`; negative inside.
fn rectangle(at: [f32; 2], middle: [f32; 2], size: [f32; 2]) -> f32 {
    let out = [0, 1].map(|axis| (at[axis] - middle[axis]).abs() - size[axis] / 2.0);
    out[0].max(out[1])
}

/// The car at metres ahead and to the left of its middle.
fn of_car(at: [f32; 2], steering: f32) -> Option<Colour> {
    let within = |middle: [f32; 2], size: [f32; 2]| rectangle(at, middle, size) < 0.0;
    if within([0.0, 0.0], BODY) {
        let glass = within([1.0, 0.0], [1.0, 2.0]) || within([-1.75, 0.0], [0.5, 2.0]);
        let roof = within([-0.5, 0.0], [2.0, 2.0]);
        let tail = at[0] < -BODY[0] / 2.0 + 0.5 && at[1].abs() > 0.5;
        return Some(match () {
            () if glass => GLASS,
            () if tail => RED,
            () if roof => mix(BODYWORK, WHITE, 0.45),
            () => BODYWORK,
        });
    }
    let (sin, cos) = steering.sin_cos();
    let wheel = |ahead: f32, left: f32, turned: bool| {
        let [a, l] = [at[0] - ahead, at[1] - left];
        let own = if turned {
            [a * cos + l * sin, l * cos - a * sin]
        } else {
            [a, l]
        };
        rectangle(own, [0.0, 0.0], [1.5, 1.0]) < 0.0
    };
    let side = BODY[1] / 2.0;
    let tyres = [1.5, -1.5]
        .iter()
        .any(|&ahead| wheel(ahead, side, ahead > 0.0) || wheel(ahead, -side, ahead > 0.0));
    tyres.then_some(TYRE)
}
