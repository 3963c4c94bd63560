//! The car, a kinematic bicycle model with limited grip, and a driver that follows the track.

use std::f32::consts::{PI, TAU};

use super::track::{Track, TrackPoint};

/// Frames per second.
pub const FPS: f32 = 15.0;
/// Length and width of the body, in metres.
pub const BODY: [f32; 2] = [5.0, 3.0];
/// Distance between the axles, in metres.
const WHEELBASE: f32 = 3.2;
/// Largest angle of the front wheels, in radians.
const MAX_STEERING: f32 = 0.55;
/// How fast the front wheels turn, in radians per second.
const STEERING_RATE: f32 = 2.2;
/// Acceleration by the engine and deceleration by the brakes, in m/s².
const THROTTLE_ACCELERATION: f32 = 9.0;
const BRAKE_DECELERATION: f32 = 18.0;
/// Share of the speed lost per second, on the road and on grass.
const DRAG: [f32; 2] = [0.36, 1.1];
/// Largest lateral acceleration in m/s², on the road and on grass.
const GRIP: [f32; 2] = [15.0, 8.0];
/// Top speed in reverse, in m/s.
const MAX_REVERSE_SPEED: f32 = 5.0;

/// Speed below the aim, in m/s, from which the driver of an axis gives full throttle; full brakes as far above.
const FULL_GAS: f32 = 2.5;

/// Position and motion of the car.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Car {
    pub x: f32,
    pub y: f32,
    /// In radians, in [−π, π).
    pub heading: f32,
    /// m/s; negative in reverse.
    pub speed: f32,
    /// Angle of the front wheels in radians, left positive.
    pub steering: f32,
}

impl Car {
    /// A car standing at a point, facing along the track.
    pub fn at(point: TrackPoint) -> Self {
        Self {
            x: point.position[0],
            y: point.position[1],
            heading: point.direction[1].atan2(point.direction[0]),
            speed: 0.0,
            steering: 0.0,
        }
    }

    pub fn position(&self) -> [f32; 2] {
        [self.x, self.y]
    }

    /// The car's direction as a unit vector.
    pub fn direction(&self) -> [f32; 2] {
        let (sin, cos) = self.heading.sin_cos();
        [cos, sin]
    }

    /// Advances by one frame. `wheel` is 1 for left, −1 for right and 0 for straight; `gas` is 1 for full
    /// throttle, and −1 for full brakes, which then reverse.
    pub fn drive(&mut self, wheel: f32, gas: f32, on_grass: bool) {
        let dt = 1.0 / FPS;
        let ground = usize::from(on_grass);
        let turn = wheel * MAX_STEERING - self.steering;
        self.steering += turn.clamp(-STEERING_RATE * dt, STEERING_RATE * dt);
        let brakes = gas < 0.0;
        let acceleration = gas
            * match brakes {
                false => THROTTLE_ACCELERATION,
                true if self.speed > 0.0 => BRAKE_DECELERATION,
                true => THROTTLE_ACCELERATION / 2.0,
            };
        let before = self.speed;
        self.speed += (acceleration - DRAG[ground] * self.speed) * dt;
        if brakes {
            let stops = before > 0.0 && self.speed < 0.0;
            self.speed = if stops {
                0.0
            } else {
                self.speed.max(-MAX_REVERSE_SPEED)
            };
        }
        let yaw_rate = self.speed * self.steering.tan() / WHEELBASE;
        // Grip g limits the yaw rate at speed v to g / v.
        let limit = GRIP[ground] / self.speed.abs().max(1.0);
        let turn = yaw_rate.clamp(-limit, limit) * dt;
        let middle = self.heading + turn / 2.0;
        self.x += middle.cos() * self.speed * dt;
        self.y += middle.sin() * self.speed * dt;
        self.heading = (self.heading + turn + PI).rem_euclid(TAU) - PI;
    }

    /// Wheel and gas, by keys, of a driver who keeps `offset` metres to the left of the centre line, at
    /// `speed_share` of the speed that the grip allows.
    pub fn follow_line(&self, track: &Track, offset: f32, speed_share: f32) -> (f32, f32) {
        let (steering, speed) = self.aim(track, offset, speed_share);
        let wheel = match steering - self.steering {
            change if change > 0.06 || steering > 0.9 * MAX_STEERING => 1.0,
            change if change < -0.06 || steering < -0.9 * MAX_STEERING => -1.0,
            _ if self.steering.abs() < 0.1 => 0.0,
            _ => self.steering.signum(),
        };
        let gas = match self.speed - speed {
            excess if excess > 2.5 => -1.0,
            excess if excess > 0.0 => 0.0,
            _ => 1.0,
        };
        (wheel, gas)
    }

    /// As [`Self::follow_line`], by axes: anywhere from −1 to 1.
    pub fn follow_smoothly(&self, track: &Track, offset: f32, speed_share: f32) -> (f32, f32) {
        let (steering, speed) = self.aim(track, offset, speed_share);
        let gas = (speed - self.speed) / FULL_GAS;
        (
            (steering / MAX_STEERING).clamp(-1.0, 1.0),
            gas.clamp(-1.0, 1.0),
        )
    }

    /// The angle of the front wheels and the speed that a driver wants.
    fn aim(&self, track: &Track, offset: f32, speed_share: f32) -> (f32, f32) {
        let here = track.locate(self.position());
        let lookahead = 7.0 + 0.45 * self.speed.max(0.0);
        let aim = track.at(here.distance + lookahead);
        let [ax, ay] = aim.direction;
        let target = [aim.position[0] - ay * offset, aim.position[1] + ax * offset];
        let (dx, dy) = (target[0] - self.x, target[1] - self.y);
        let bearing = (dy.atan2(dx) - self.heading + PI).rem_euclid(TAU) - PI;
        // Pure pursuit: steer along the circle through the target.
        let steering = (2.0 * WHEELBASE * bearing.sin() / dx.hypot(dy).max(1.0)).atan();
        let steering = if bearing.abs() > PI / 2.0 {
            MAX_STEERING * bearing.signum()
        } else {
            steering
        };
        let curvatures = (0..5).map(|i| track.at(here.distance + 6.0 * i as f32).curvature.abs());
        let sharpest = curvatures.fold(0.01, f32::max);
        let speed = speed_share * (GRIP[0] / sharpest).sqrt() * 0.95;
        (steering, speed)
    }
}
