//! The car: a bicycle model whose grip bounds how fast it turns, and a driver for it.

use std::f32::consts::{PI, TAU};

use super::track::{Spot, Track};

/// Frames a second.
pub const FPS: f32 = 15.0;
/// Length and width of the body.
pub const BODY: [f32; 2] = [5.0, 3.0];
/// Distance between the axles.
const AXLES: f32 = 3.2;
/// Largest angle of the front wheels in radians, and how fast they turn, in radians a second.
const LOCK: f32 = 0.55;
const WHEEL_SPEED: f32 = 2.2;
/// What the engine and the brakes do on the road, m/s².
const THRUST: f32 = 9.0;
const BRAKES: f32 = 18.0;
/// Share of the speed that air and tyres take away in a second, on the road and on grass.
const DRAG: [f32; 2] = [0.36, 1.1];
/// Largest sideways acceleration, m/s², on the road and on grass.
const GRIP: [f32; 2] = [15.0, 8.0];
/// Speed in reverse at most, m/s.
const REVERSE: f32 = 5.0;

/// What the foot does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pedal {
    None,
    Throttle,
    /// Also reverses, once the car stands.
    Brake,
}

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
    /// Standing at a spot, looking along the track.
    pub fn at(spot: Spot) -> Self {
        Self {
            x: spot.place[0],
            y: spot.place[1],
            heading: spot.ahead[1].atan2(spot.ahead[0]),
            speed: 0.0,
            steering: 0.0,
        }
    }

    pub fn place(&self) -> [f32; 2] {
        [self.x, self.y]
    }

    /// The direction of the car, of length 1.
    pub fn ahead(&self) -> [f32; 2] {
        let (sin, cos) = self.heading.sin_cos();
        [cos, sin]
    }

    /// One frame; `wheel` is 1 to the left, −1 to the right, 0 for straight on.
    pub fn drive(&mut self, wheel: f32, pedal: Pedal, on_grass: bool) {
        let time = 1.0 / FPS;
        let ground = usize::from(on_grass);
        let turn = wheel * LOCK - self.steering;
        self.steering += turn.clamp(-WHEEL_SPEED * time, WHEEL_SPEED * time);
        let push = match pedal {
            Pedal::None => 0.0,
            Pedal::Throttle => THRUST,
            Pedal::Brake if self.speed > 0.0 => -BRAKES,
            Pedal::Brake => -THRUST / 2.0,
        };
        let before = self.speed;
        self.speed += (push - DRAG[ground] * self.speed) * time;
        if pedal == Pedal::Brake {
            let stops = before > 0.0 && self.speed < 0.0;
            self.speed = if stops { 0.0 } else { self.speed.max(-REVERSE) };
        }
        let wanted = self.speed * self.steering.tan() / AXLES;
        // Grip g lets a car of speed v turn by at most g / v.
        let most = GRIP[ground] / self.speed.abs().max(1.0);
        let turn = wanted.clamp(-most, most) * time;
        let middle = self.heading + turn / 2.0;
        self.x += middle.cos() * self.speed * time;
        self.y += middle.sin() * self.speed * time;
        self.heading = (self.heading + turn + PI).rem_euclid(TAU) - PI;
    }

    /// Wheel and pedal of a driver who keeps `offset` metres to the left of the centre line, at a
    /// share of the speed that the grip allows.
    pub fn follow(&self, track: &Track, offset: f32, share: f32) -> (f32, Pedal) {
        let here = track.spot(self.place());
        // Far off the road it first comes back at a steep angle.
        let sight = 7.0 + 0.45 * self.speed.max(0.0);
        let aim = track.at(here.along + sight);
        let [ax, ay] = aim.ahead;
        let target = [aim.place[0] - ay * offset, aim.place[1] + ax * offset];
        let (dx, dy) = (target[0] - self.x, target[1] - self.y);
        let off = (dy.atan2(dx) - self.heading + PI).rem_euclid(TAU) - PI;
        // Pure pursuit: the circle through the car that meets the target.
        let wanted = (2.0 * AXLES * off.sin() / dx.hypot(dy).max(1.0)).atan();
        let wanted = if off.abs() > PI / 2.0 {
            LOCK * off.signum()
        } else {
            wanted
        };
        let wheel = match wanted - self.steering {
            more if more > 0.06 || wanted > 0.9 * LOCK => 1.0,
            less if less < -0.06 || wanted < -0.9 * LOCK => -1.0,
            _ if self.steering.abs() < 0.1 => 0.0,
            _ => self.steering.signum(),
        };
        let bend = (0..5).map(|i| track.at(here.along + 6.0 * i as f32).bend.abs());
        let tightest = bend.fold(0.01, f32::max);
        let speed = share * (GRIP[0] / tightest).sqrt() * 0.95;
        let pedal = match self.speed - speed {
            more if more > 2.5 => Pedal::Brake,
            more if more > 0.0 => Pedal::None,
            _ => Pedal::Throttle,
        };
        (wheel, pedal)
    }
}
