//! Renders the view from above. The car points up and is below the image centre.

use super::car::{BODY, Car};
use super::track::{HALF_WIDTH, KERB, Track, TrackPoint, Tree, square_distance};
use crate::raster;
use crate::raster::{Colour, from_centre, lit, mix, smoothstep};

/// Half the side of the image in metres. A pixel is half a metre, so that the car's parts are whole
/// pixels.
const HALF_VIEW: f32 = 16.0;
/// How far the car is below the image centre, in metres.
const CAR_BELOW_CENTRE: f32 = 8.5;

const GRASS: [Colour; 2] = [[0.36, 0.60, 0.27], [0.41, 0.66, 0.30]];
const ROAD: Colour = [0.36, 0.37, 0.40];
const WHITE: Colour = [0.93, 0.93, 0.90];
const RED: Colour = [0.84, 0.17, 0.15];
const TREE: Colour = [0.13, 0.38, 0.20];
const BODYWORK: Colour = [0.98, 0.78, 0.10];
const GLASS: Colour = [0.13, 0.17, 0.24];
const TYRE: Colour = [0.09, 0.09, 0.10];

/// Renders the view of the camera above `car`.
pub fn render(image: &mut [u8], track: &Track, car: &Car) {
    let [cos, sin] = car.direction();
    let is_visible = |tree: &&Tree| {
        let farthest = (HALF_VIEW + CAR_BELOW_CENTRE).hypot(HALF_VIEW) + 2.0 * tree.radius;
        square_distance(tree.position, car.position()) < farthest * farthest
    };
    let trees: Vec<Tree> = track.trees().iter().filter(is_visible).copied().collect();
    raster::render(image, |column, row| {
        // Metres ahead of the car and to its left.
        let left = -from_centre(column) * HALF_VIEW;
        let ahead = -from_centre(row) * HALF_VIEW + CAR_BELOW_CENTRE;
        let position = [
            car.x + ahead * cos - left * sin,
            car.y + ahead * sin + left * cos,
        ];
        tree_colour(&trees, position)
            .or_else(|| car_colour([ahead, left], car.steering))
            .unwrap_or_else(|| {
                let ground = ground_colour(track, position);
                lit(ground, shade(&trees, position, [ahead, left]))
            })
    });
}

fn ground_colour(track: &Track, position: [f32; 2]) -> Colour {
    let point = track.locate_near(position);
    point
        .and_then(|point| track_colour(&point))
        .unwrap_or_else(|| {
            let odd = (position[0] / 9.0).floor() + (position[1] / 9.0).floor();
            GRASS[usize::from(odd.rem_euclid(2.0) > 0.5)]
        })
}

/// The colour of road, lines and kerbs; `None` off the track.
fn track_colour(point: &TrackPoint) -> Option<Colour> {
    let offset = point.offset.abs();
    if offset > HALF_WIDTH + KERB {
        return None;
    }
    let odd = |length: f32| (point.distance / length).rem_euclid(2.0) >= 1.0;
    if offset > HALF_WIDTH {
        return point.kerb.then_some(if odd(3.5) { RED } else { WHITE });
    }
    if point.distance < 3.4 {
        // The start line: two rows of squares.
        let square = (point.distance / 1.7).floor() + (point.offset / HALF_WIDTH * 3.0).floor();
        let dark = square.rem_euclid(2.0) > 0.5;
        return Some(if dark { TYRE } else { WHITE });
    }
    let dash = offset < 0.22 && odd(3.0);
    let edge = offset > HALF_WIDTH - 0.6 && offset < HALF_WIDTH - 0.15;
    Some(if dash || edge { WHITE } else { ROAD })
}

/// The colour of the tree over a position, brighter on the sunny side.
fn tree_colour(trees: &[Tree], position: [f32; 2]) -> Option<Colour> {
    let over = |tree: &&Tree| square_distance(tree.position, position) < tree.radius * tree.radius;
    trees.iter().find(over).map(|tree| {
        let [dx, dy] = [0, 1].map(|axis| (position[axis] - tree.position[axis]) / tree.radius);
        lit(TREE, 1.0 + 0.45 * (dx * 0.6 + dy * 0.8))
    })
}

/// Brightness in the shadows of the trees and the car.
fn shade(trees: &[Tree], position: [f32; 2], from_car: [f32; 2]) -> f32 {
    let towards_sun = [position[0] + 0.9, position[1] + 1.2];
    let under =
        |tree: &Tree| square_distance(tree.position, towards_sun) < tree.radius * tree.radius;
    if trees.iter().any(under) {
        return 0.68;
    }
    1.0 - 0.4 * smoothstep(1.2, 0.0, rectangle(from_car, [0.0, 0.0], BODY))
}

/// Distance to the edge of a rectangle of `size` around `centre`; negative inside.
fn rectangle(at: [f32; 2], centre: [f32; 2], size: [f32; 2]) -> f32 {
    let out = [0, 1].map(|axis| (at[axis] - centre[axis]).abs() - size[axis] / 2.0);
    out[0].max(out[1])
}

/// The colour of the car at metres ahead and to the left of its centre; `None` outside it.
fn car_colour(at: [f32; 2], steering: f32) -> Option<Colour> {
    let within = |centre: [f32; 2], size: [f32; 2]| rectangle(at, centre, size) < 0.0;
    if within([0.0, 0.0], BODY) {
        let glass = within([1.0, 0.0], [1.0, 2.0]) || within([-1.75, 0.0], [0.5, 2.0]);
        let roof = within([-0.5, 0.0], [2.0, 2.0]);
        let tail = at[0] < -BODY[0] / 2.0 + 0.5 && at[1].abs() > 0.5;
        return Some(if glass {
            GLASS
        } else if tail {
            RED
        } else if roof {
            mix(BODYWORK, WHITE, 0.45)
        } else {
            BODYWORK
        });
    }
    let (sin, cos) = steering.sin_cos();
    let wheel = |ahead: f32, left: f32, turned: bool| {
        let [a, l] = [at[0] - ahead, at[1] - left];
        let rotated = if turned {
            [a * cos + l * sin, l * cos - a * sin]
        } else {
            [a, l]
        };
        rectangle(rotated, [0.0, 0.0], [1.5, 1.0]) < 0.0
    };
    let side = BODY[1] / 2.0;
    let tyres = [1.5, -1.5]
        .iter()
        .any(|&ahead| wheel(ahead, side, ahead > 0.0) || wheel(ahead, -side, ahead > 0.0));
    tyres.then_some(TYRE)
}
