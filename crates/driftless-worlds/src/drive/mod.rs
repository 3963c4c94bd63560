//! A car on a closed track, seen from above by a camera that turns with it.
//!
//! Lengths are in metres, times in seconds.

mod car;
mod render;
mod track;

use driftless_data::layout::array::{HEADING, X, Y};
use driftless_data::{Action, AxisInput, AxisSpec, DatasetInfo};

use self::car::Car;
use self::track::{HALF_WIDTH, Track};
use crate::simulator::{action_entry, action_specs};
use crate::{Error, Result, Simulator, SimulatorSnapshot, SimulatorState, raster};

/// Distance from the centre line, in metres, at which the track is out of sight and the episode ends.
const MAX_OFFSET: f32 = 34.0;
/// Reward for a whole lap.
const LAP_REWARD: f32 = 100.0;

/// The controls of an action.
struct Control {
    name: &'static str,
    keys: &'static [&'static str],
    /// Steering input: 1 left, −1 right, 0 straight.
    wheel: f32,
    /// Pedals: 1 throttle, −1 brake, 0 neither.
    gas: f32,
}

const fn control(
    name: &'static str,
    keys: &'static [&'static str],
    wheel: f32,
    gas: f32,
) -> Control {
    Control {
        name,
        keys,
        wheel,
        gas,
    }
}

static ACTIONS: [Control; 9] = [
    control("coast", &[], 0.0, 0.0),
    control("throttle", &["ArrowUp", "W"], 0.0, 1.0),
    control("brake", &["ArrowDown", "S"], 0.0, -1.0),
    control("left", &["ArrowLeft", "A"], 1.0, 0.0),
    control("right", &["ArrowRight", "D"], -1.0, 0.0),
    control("throttle-left", &["ArrowUp+ArrowLeft", "W+A"], 1.0, 1.0),
    control("throttle-right", &["ArrowUp+ArrowRight", "W+D"], -1.0, 1.0),
    control("brake-left", &["ArrowDown+ArrowLeft", "S+A"], 1.0, -1.0),
    control("brake-right", &["ArrowDown+ArrowRight", "S+D"], -1.0, -1.0),
];

/// The only discrete action of a car with axes.
const ANY: &str = "any";
/// Index of the steering axis, right positive, and of the pedals, throttle positive.
const STEERING: usize = 0;
const GAS: usize = 1;

/// The axes of a car with axes.
fn axes() -> Vec<AxisSpec> {
    let axis = |name: &str, negative: [&str; 2], positive: [&str; 2], inputs: &[AxisInput]| {
        let keys = |names: [&str; 2]| names.map(str::to_owned).to_vec();
        AxisSpec {
            negative: keys(negative),
            positive: keys(positive),
            inputs: inputs.to_vec(),
            ..AxisSpec::named(name)
        }
    };
    vec![
        axis(
            "steering",
            ["ArrowLeft", "A"],
            ["ArrowRight", "D"],
            &[AxisInput::LeftStickX, AxisInput::PointerX],
        ),
        axis(
            "gas",
            ["ArrowDown", "S"],
            ["ArrowUp", "W"],
            &[AxisInput::RightStickY, AxisInput::Triggers],
        ),
    ]
}

/// A track and the car on it.
pub struct Drive {
    /// Whether it has axes instead of actions.
    has_axes: bool,
    seed: u64,
    track: Track,
    car: Car,
    /// Laps driven since the reset.
    laps: f32,
    reward: f32,
    image: Vec<u8>,
}

impl Drive {
    /// The track of `seed`, with the car standing somewhere on it.
    pub fn new(seed: u64) -> Self {
        let (track, start) = Track::new(seed);
        let mut drive = Self {
            has_axes: false,
            seed,
            car: Car::at(start),
            track,
            laps: 0.0,
            reward: 0.0,
            image: vec![0; raster::IMAGE_SIDE * raster::IMAGE_SIDE * 3],
        };
        drive.update_image();
        drive
    }

    /// As [`Drive::new`], with an axis for steering and one for the pedals instead of actions.
    pub fn with_axes(seed: u64) -> Self {
        Self {
            has_axes: true,
            ..Self::new(seed)
        }
    }

    /// Wheel and gas of an action.
    fn controls(&self, action: Action) -> Result<(f32, f32)> {
        if self.has_axes {
            action.check(1, axes().len()).map_err(Error::Argument)?;
            return Ok((-action.axes[STEERING], action.axes[GAS]));
        }
        let control = action_entry(&ACTIONS, action)?;
        Ok((control.wheel, control.gas))
    }

    /// The road's mean curvature in 1/m over the 12 m ahead of a car at `position` with this heading,
    /// positive to its left, and the position's distance from the middle of the road in metres.
    pub fn road_ahead(&self, position: [f32; 2], heading: f32) -> (f32, f32) {
        let here = self.track.locate(position);
        let (sin, cos) = heading.sin_cos();
        let along = here.direction[0] * cos + here.direction[1] * sin;
        let way = if along < 0.0 { -1.0 } else { 1.0 };
        let ahead = [0.0, 3.0, 6.0, 9.0, 12.0].map(|metres| {
            let point = self.track.at(here.distance + way * metres);
            way * point.curvature
        });
        (
            ahead.iter().sum::<f32>() / ahead.len() as f32,
            here.offset.abs(),
        )
    }

    /// Whether a car this far from the middle of the road, in metres, is on the grass.
    pub(crate) fn is_grass(offset: f32) -> bool {
        offset > HALF_WIDTH + track::KERB
    }

    fn update_image(&mut self) {
        render::render(&mut self.image, &self.track, &self.car);
    }
}

impl Simulator for Drive {
    fn info(&self) -> DatasetInfo {
        let keys = ACTIONS.iter().map(|control| (control.name, control.keys));
        let (name, actions, axes) = if self.has_axes {
            let any = std::iter::once((ANY, &[][..]));
            ("Steer", action_specs(any), axes())
        } else {
            ("Drive", action_specs(keys), Vec::new())
        };
        DatasetInfo {
            name: name.into(),
            fps: car::FPS,
            image: [raster::IMAGE_SIDE; 2],
            actions,
            axes,
        }
    }

    fn reset(&mut self, seed: u64) {
        *self = Self {
            has_axes: self.has_axes,
            ..Self::new(seed)
        };
    }

    fn step(&mut self, action: Action) -> Result<()> {
        let (wheel, gas) = self.controls(action)?;
        let before = self.track.locate(self.car.position());
        let on_grass = Self::is_grass(before.offset.abs());
        self.car.drive(wheel, gas, on_grass);
        let after = self.track.locate(self.car.position());
        let length = self.track.length();
        let driven =
            (after.distance - before.distance + length / 2.0).rem_euclid(length) - length / 2.0;
        self.laps += driven / length;
        self.reward = driven / length * LAP_REWARD;
        self.update_image();
        Ok(())
    }

    fn image(&self) -> &[u8] {
        &self.image
    }

    /// Progress in the frame, in percent of a lap; negative in the wrong direction.
    fn reward(&self) -> f32 {
        self.reward
    }

    /// Whether the car is so far off that the track is out of sight.
    fn ended(&self) -> bool {
        self.track.locate(self.car.position()).offset.abs() > MAX_OFFSET
    }

    /// `x` and `y` in m, `heading` in radians, `speed` in m/s, `steering` (angle of the front wheels
    /// in radians), `offset` (m to the left of the centre line), `along` (share of the lap since the
    /// start line) and `laps` driven since the reset.
    fn state(&self) -> SimulatorState {
        let [x, y] = self.car.position();
        let point = self.track.locate([x, y]);
        vec![
            (X, vec![x]),
            (Y, vec![y]),
            (HEADING, vec![self.car.heading]),
            ("speed", vec![self.car.speed]),
            ("steering", vec![self.car.steering]),
            ("offset", vec![point.offset]),
            ("along", vec![point.distance / self.track.length()]),
            ("laps", vec![self.laps]),
        ]
    }

    /// A goal is a driving style: an offset from the centre line and a share of the possible speed.
    fn action_toward(&self, goal: u64) -> Option<Action> {
        let byte = |shift: u32| (goal >> shift & 0xff) as f32 / 255.0;
        // One goal in eight may leave the road.
        let reach = if goal.is_multiple_of(8) { 2.2 } else { 0.7 };
        let offset = (byte(8) * 2.0 - 1.0) * reach * HALF_WIDTH;
        let share = 0.5 + 0.5 * byte(16);
        if self.has_axes {
            let (wheel, gas) = self.car.follow_smoothly(&self.track, offset, share);
            return Some(Action::with_axes(0, &[-wheel, gas]));
        }
        let (wheel, gas) = self.car.follow_line(&self.track, offset, share);
        let matches = |control: &Control| control.wheel == wheel && control.gas == gas;
        let action = ACTIONS.iter().position(matches)?;
        Some(Action::from(u32::try_from(action).ok()?))
    }

    fn snapshot(&self) -> SimulatorSnapshot {
        let Car {
            x,
            y,
            heading,
            speed,
            steering,
        } = self.car;
        SimulatorSnapshot {
            seed: self.seed,
            state: vec![x, y, heading, speed, steering, self.laps, self.reward],
        }
    }

    fn restore(&mut self, snapshot: &SimulatorSnapshot) -> Result<()> {
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
        self.update_image();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
