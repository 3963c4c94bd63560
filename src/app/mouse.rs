//! The mouse as keys: its motion turns a walker, its place steers a car.

use eframe::egui::Key;

use super::keys::{BoundAction, KeyMap};

/// Motion, in pixels, that is worth a frame of turning.
const STEP: f32 = 24.0;
/// Frames of turning that can wait: one swing of a hand does not turn for long after it.
const WAITING: f32 = 6.0;
/// Names of actions that turn a walker wherever they occur.
const TURNS: [&str; 4] = ["turn", "look", "rotate", "camera"];
/// What else there is in a world of a walker, and of a car.
const WALKS: [&str; 2] = ["forward", "ahead"];
const DRIVES: [&str; 3] = ["throttle", "gas", "accelerate"];

/// What the mouse does in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Its motion to the side turns, while it is captured.
    Turn,
    /// Its place over the picture steers.
    Steer,
}

/// A side of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// The mouse in a world that has something to turn or to steer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mouse {
    pub role: Role,
    left: Vec<Key>,
    right: Vec<Key>,
    /// Motion, in pixels, that has not been turned yet; to the right it is positive.
    waiting: f32,
    /// Where it steers to.
    steers: Option<Side>,
}

impl Mouse {
    /// The mouse in the world of these keys; none where it would have nothing to do.
    pub fn new(keys: &KeyMap) -> Option<Self> {
        let turns = |side| find(keys, |parts| has(parts, &TURNS) && has(parts, &[side]));
        let plain = |side| find(keys, |parts| parts == [side] || parts == ["steer", side]);
        let any = |words: &[&str]| find(keys, |parts| has(parts, words)).is_some();
        let (role, left, right) = match (turns("left"), turns("right")) {
            (Some(left), Some(right)) => (Role::Turn, left, right),
            _ if any(&WALKS) => (Role::Turn, plain("left")?, plain("right")?),
            _ if any(&DRIVES) => (Role::Steer, plain("left")?, plain("right")?),
            _ => return None,
        };
        Some(Self {
            role,
            left: alone(left),
            right: alone(right),
            waiting: 0.0,
            steers: None,
        })
    }

    /// The mouse moved by so many pixels to the right.
    pub fn moved(&mut self, pixels: f32, sensitivity: f32) {
        let most = WAITING * STEP;
        let moved = self.waiting + pixels * sensitivity;
        if moved.is_finite() {
            self.waiting = moved.clamp(-most, most);
        }
    }

    /// The mouse is at a share of the picture's width, 0 at the left, or nowhere. The nearest of
    /// the actions left, straight and right is steered.
    pub fn placed(&mut self, share: Option<f32>) {
        self.steers = share.and_then(|share| match 2.0 * share - 1.0 {
            x if x < -0.5 => Some(Side::Left),
            x if x > 0.5 => Some(Side::Right),
            _ => None,
        });
    }

    /// So many frames were made under an action of these keys: what they turned waits no longer.
    pub fn turned(&mut self, action: Option<&BoundAction>, frames: u64) {
        let turned = frames as f32 * STEP;
        match action.and_then(|action| self.side_of(action)) {
            Some(Side::Right) if self.waiting > 0.0 => {
                self.waiting = (self.waiting - turned).max(0.0);
            }
            Some(Side::Left) if self.waiting < 0.0 => {
                self.waiting = (self.waiting + turned).min(0.0);
            }
            _ => {}
        }
    }

    /// The mouse is let go: nothing waits, nothing is steered.
    pub fn rest(&mut self) {
        self.waiting = 0.0;
        self.steers = None;
    }

    /// The keys that the mouse holds down now.
    pub fn keys(&self) -> &[Key] {
        let side = match self.role {
            Role::Steer => self.steers,
            Role::Turn if self.waiting >= STEP => Some(Side::Right),
            Role::Turn if self.waiting <= -STEP => Some(Side::Left),
            Role::Turn => None,
        };
        match side {
            Some(Side::Left) => &self.left,
            Some(Side::Right) => &self.right,
            None => &[],
        }
    }

    /// Where an action turns to: all those that need one of the side's keys do.
    fn side_of(&self, action: &BoundAction) -> Option<Side> {
        let needs = |side: &[Key]| {
            let mut keys = action.chords.iter().flatten();
            keys.any(|key| side.contains(key))
        };
        match (needs(&self.left), needs(&self.right)) {
            (true, false) => Some(Side::Left),
            (false, true) => Some(Side::Right),
            _ => None,
        }
    }
}

/// The first action that a player is told of whose name's words are as asked.
fn find(keys: &KeyMap, fits: impl Fn(&[&str]) -> bool) -> Option<&BoundAction> {
    keys.shown().find(|bound| {
        let name = bound.name.to_lowercase();
        let parts: Vec<_> = name.split(['-', '_', ' ']).collect();
        fits(&parts) && !alone(bound).is_empty()
    })
}

fn has(parts: &[&str], words: &[&str]) -> bool {
    parts.iter().any(|part| words.contains(part))
}

/// Every key that plays an action alone: one of them is in any chord with another action.
fn alone(bound: &BoundAction) -> Vec<Key> {
    let single = bound.chords.iter().filter(|chord| chord.len() == 1);
    single.flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::keys::{HeldKeys, Source};
    use crate::app::tests::world;
    use driftless_worlds::Kind;

    fn keys(kind: Kind) -> KeyMap {
        KeyMap::new(&kind.open(0).info().actions).unwrap()
    }

    fn of(actions: &[(&str, &[&str])]) -> Option<Mouse> {
        Mouse::new(&KeyMap::new(&world(actions).actions).unwrap())
    }

    fn action<'a>(map: &'a KeyMap, mouse: &Mouse, held: &[Key]) -> Option<&'a BoundAction> {
        let mut all = HeldKeys::default();
        all.set(Source::Keyboard, held);
        all.set(Source::Mouse, mouse.keys());
        all.chosen(map).map(|(bound, _)| bound)
    }

    fn name<'a>(map: &'a KeyMap, mouse: &Mouse, held: &[Key]) -> &'a str {
        action(map, mouse, held).map_or("", |bound| &bound.name)
    }

    #[test]
    fn the_mouse_turns_where_a_world_turns_steers_where_it_drives_and_rests_elsewhere() {
        let role = |kind| Mouse::new(&keys(kind)).map(|mouse| mouse.role);
        assert_eq!(role(Kind::Maze), Some(Role::Turn));
        assert_eq!(role(Kind::Drive), Some(Role::Steer));
        let paddle: &[(&str, &[&str])] = &[("left", &["A"]), ("right", &["D"])];
        assert_eq!(of(paddle), None);
        let strafing: &[(&str, &[&str])] = &[("move_left", &["A"]), ("move_right", &["D"])];
        assert_eq!(of(strafing), None);
        let turning: &[(&str, &[&str])] = &[("TURN_LEFT", &["A"]), ("turn-right", &["D"])];
        assert_eq!(of(turning).unwrap().role, Role::Turn);
        let unbound: &[(&str, &[&str])] = &[("turn-left", &["A"]), ("turn-right", &[])];
        assert_eq!(of(unbound), None);
    }

    #[test]
    fn motion_adds_up_to_frames_of_turning() {
        let map = keys(Kind::Maze);
        let mut mouse = Mouse::new(&map).unwrap();
        mouse.moved(STEP * 0.6, 1.0);
        assert_eq!(name(&map, &mouse, &[]), "");
        mouse.moved(STEP * 0.6, 3.0);
        assert_eq!(name(&map, &mouse, &[]), "right");
        // 2.4 steps: two frames, and the rest waits for more.
        for _ in 0..2 {
            mouse.turned(action(&map, &mouse, &[]), 1);
        }
        assert_eq!(name(&map, &mouse, &[]), "");
        mouse.moved(STEP * 0.7, 1.0);
        assert_eq!(name(&map, &mouse, &[]), "right");
    }

    #[test]
    fn turning_goes_together_with_the_keys_that_are_held() {
        let map = keys(Kind::Maze);
        let mut mouse = Mouse::new(&map).unwrap();
        mouse.moved(-STEP, 1.0);
        for key in [Key::W, Key::ArrowUp] {
            assert_eq!(name(&map, &mouse, &[key]), "forward-left");
        }
        mouse.turned(action(&map, &mouse, &[Key::W]), 1);
        assert_eq!(name(&map, &mouse, &[Key::W]), "forward");
    }

    #[test]
    fn only_frames_that_turned_to_that_side_count() {
        let map = keys(Kind::Maze);
        let mut mouse = Mouse::new(&map).unwrap();
        mouse.moved(STEP, 1.0);
        let called = |name: &str| map.shown().find(|bound| bound.name == name);
        for other in ["left", "forward", "strafe-right"] {
            mouse.turned(called(other), 1);
            assert_eq!(name(&map, &mouse, &[]), "right");
        }
        mouse.turned(None, 9);
        mouse.turned(called("right"), 9);
        assert_eq!(name(&map, &mouse, &[]), "");
        mouse.moved(-0.9 * STEP, 1.0);
        assert_eq!(name(&map, &mouse, &[]), "", "an overshoot is no turn back");
    }

    #[test]
    fn a_long_swing_does_not_turn_for_long() {
        let map = keys(Kind::Maze);
        let mut mouse = Mouse::new(&map).unwrap();
        mouse.moved(1e9, 1.0);
        mouse.moved(f32::NAN, 1.0);
        let frames = (0..100).take_while(|_| {
            let played = action(&map, &mouse, &[]);
            mouse.turned(played, 1);
            played.is_some()
        });
        assert_eq!(frames.count(), WAITING as usize);
    }

    #[test]
    fn the_pointers_place_chooses_the_nearest_steering_beside_the_throttle() {
        let map = keys(Kind::Drive);
        let mut mouse = Mouse::new(&map).unwrap();
        let places = [None, Some(0.0), Some(0.3), Some(0.5), Some(0.7), Some(1.2)];
        let steered = places.map(|place| {
            mouse.placed(place);
            name(&map, &mouse, &[])
        });
        assert_eq!(steered, ["", "left", "", "", "", "right"]);
        assert_eq!(name(&map, &mouse, &[Key::W]), "throttle-right");
        mouse.rest();
        assert_eq!(name(&map, &mouse, &[Key::W]), "throttle");
    }
}
