//! A car on a closed track, seen from above by a camera that turns with it.
//!
//! Lengths are in metres, times in seconds.

mod car;
mod track;
mod view;

use self::car::{Car, Pedal};
use self::track::{HALF_WIDTH, Track};
use super::{Snapshot, State, World, chosen, picture, specs};
use crate::Result;
use driftless_data::DatasetInfo;

/// An episode ends this far from the centre line, where no track is in sight any more.
const LOST: f32 = 34.0;
/// Reward of a whole lap.
const LAP_REWARD: f32 = 100.0;

/// What an action does in one frame.
struct Control {
    name: &'static str,
    keys: &'static [&'static str],
    /// −1, 0 or 1: left is positive.
    wheel: f32,
    pedal: Pedal,
}

const fn control(
    name: &'static str,
    keys: &'static [&'static str],
    wheel: f32,
    pedal: Pedal,
) -> Control {
    Control {
        name,
        keys,
        wheel,
        pedal,
    }
}

static ACTIONS: [Control; 9] = [
    control("coast", &[], 0.0, Pedal::None),
    control("throttle", &["ArrowUp", "W"], 0.0, Pedal::Throttle),
    control("brake", &["ArrowDown", "S"], 0.0, Pedal::Brake),
    control("left", &["ArrowLeft", "A"], 1.0, Pedal::None),
    control("right", &["ArrowRight", "D"], -1.0, Pedal::None),
    control(
        "throttle-left",
        &["ArrowUp+ArrowLeft", "W+A"],
        1.0,
        Pedal::Throttle,
    ),
    control(
        "throttle-right",
        &["ArrowUp+ArrowRight", "W+D"],
        -1.0,
        Pedal::Throttle,
    ),
    control(
        "brake-left",
        &["ArrowDown+ArrowLeft", "S+A"],
        1.0,
        Pedal::Brake,
    ),
    control(
        "brake-right",
        &["ArrowDown+ArrowRight", "S+D"],
        -1.0,
        Pedal::Brake,
    ),
];

/// The track of a seed, and the car on it.
pub struct Drive {
    seed: u64,
    track: Track,
    car: Car,
    /// Laps driven since the reset.
    laps: f32,
    reward: f32,
    image: Vec<u8>,
}

impl Drive {
    /// The track of `seed`, the car standing somewhere on it.
    pub fn new(seed: u64) -> Self {
        let (track, start) = Track::new(seed);
        let mut drive = Self {
            seed,
            car: Car::at(start),
            track,
            laps: 0.0,
            reward: 0.0,
            image: vec![0; picture::SIDE * picture::SIDE * 3],
        };
        drive.look();
        drive
    }

    fn look(&mut self) {
        view::draw(&mut self.image, &self.track, &self.car);
    }
}

impl World for Drive {
    fn info(&self) -> DatasetInfo {
        DatasetInfo {
            name: "Drive".into(),
            fps: car::FPS,
            image: [picture::SIDE; 2],
            actions: specs(ACTIONS.iter().map(|control| (control.name, control.keys))),
        }
    }

    fn reset(&mut self, seed: u64) {
        *self = Self::new(seed);
    }

    fn step(&mut self, action: u32) -> Result<()> {
        let control = chosen(&ACTIONS, action)?;
        let before = self.track.spot(self.car.place());
        let on_grass = before.offset.abs() > HALF_WIDTH + track::KERB;
        self.car.drive(control.wheel, control.pedal, on_grass);
        let after = self.track.spot(self.car.place());
        let length = self.track.length();
        let driven = (after.along - before.along + length / 2.0).rem_euclid(length) - length / 2.0;
        self.laps += driven / length;
        self.reward = driven / length * LAP_REWARD;
        self.look();
        Ok(())
    }

    fn image(&self) -> &[u8] {
        &self.image
    }

    /// Progress along the lap in hundredths of it; negative in the wrong direction.
    fn reward(&self) -> f32 {
        self.reward
    }

    /// Whether the car is lost in the grass.
    fn ended(&self) -> bool {
        self.track.spot(self.car.place()).offset.abs() > LOST
    }

    /// `x` and `y` in m, `heading` in radians, `speed` in m/s, `steering` (front wheels in
    /// radians), `offset` (m to the left of the centre line), `along` (share of the lap from the
    /// start line), `laps` driven since the reset.
    fn state(&self) -> State {
        let [x, y] = self.car.place();
        let spot = self.track.spot([x, y]);
        vec![
            ("x", vec![x]),
            ("y", vec![y]),
            ("heading", vec![self.car.heading]),
            ("speed", vec![self.car.speed]),
            ("steering", vec![self.car.steering]),
            ("offset", vec![spot.offset]),
            ("along", vec![spot.along / self.track.length()]),
            ("laps", vec![self.laps]),
        ]
    }

    /// A goal is a manner: a line on the road (or beside it) and a share of the possible speed.
    fn toward(&self, goal: u64) -> Option<u32> {
        let part = |shift: u32| (goal >> shift & 0xff) as f32 / 255.0;
        // One goal in eight leads beside the road.
        let reach = if goal.is_multiple_of(8) { 2.2 } else { 0.7 };
        let offset = (part(8) * 2.0 - 1.0) * reach * HALF_WIDTH;
        let (wheel, pedal) = self.car.follow(&self.track, offset, 0.5 + 0.5 * part(16));
        let same = |control: &Control| control.wheel == wheel && control.pedal == pedal;
        let action = ACTIONS.iter().position(same)?;
        u32::try_from(action).ok()
    }

    fn snapshot(&self) -> Snapshot {
        let Car {
            x,
            y,
            heading,
            speed,
            steering,
        } = self.car;
        Snapshot {
            seed: self.seed,
            state: vec![x, y, heading, speed, steering, self.laps, self.reward],
        }
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        let [x, y, heading, speed, steering, laps, reward] = snapshot.numbers()?;
        if snapshot.seed != self.seed {
            self.reset(snapshot.seed);
        }
        self.car = Car {
            x,
            y,
            heading,
            speed,
            steering,
        };
        (self.laps, self.reward) = (laps, reward);
        self.look();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
