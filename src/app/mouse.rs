//! The mouse as keys: motion turns a walker, position steers a car.

use eframe::egui::Key;

use super::keys::{BoundAction, KeyMap};

/// Motion in pixels that equals one frame of turning.
const PIXELS_PER_TURN: f32 = 24.0;
/// Most frames of turning that can be pending, so that a fast swing does not keep turning for long.
const MAX_PENDING: f32 = 6.0;
/// Words in action names that mean turning.
const TURN_WORDS: [&str; 4] = ["turn", "look", "rotate", "camera"];
/// Words in action names that identify a walker, and a car.
const WALKER_WORDS: [&str; 2] = ["forward", "ahead"];
const CAR_WORDS: [&str; 3] = ["throttle", "gas", "accelerate"];

/// What the mouse controls in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MouseRole {
    /// Sideways motion turns while the mouse is captured.
    Turn,
    /// Its position over the picture steers.
    Steer,
}

/// A turning or steering direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnSide {
    Left,
    Right,
}

/// Mouse state in a world with turning or steering.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mouse {
    pub role: MouseRole,
    left: Vec<Key>,
    right: Vec<Key>,
    /// Pending motion in pixels; positive is right.
    pending: f32,
    /// The current steering direction.
    steering: Option<TurnSide>,
}

impl Mouse {
    /// Mouse controls for a world with these keys; `None` if nothing turns or steers.
    pub fn new(keys: &KeyMap) -> Option<Self> {
        let turns = |side| find(keys, |parts| has(parts, &TURN_WORDS) && has(parts, &[side]));
        let plain = |side| find(keys, |parts| parts == [side] || parts == ["steer", side]);
        let any = |words: &[&str]| find(keys, |parts| has(parts, words)).is_some();
        let (role, left, right) = match (turns("left"), turns("right")) {
            (Some(left), Some(right)) => (MouseRole::Turn, left, right),
            _ if any(&WALKER_WORDS) => (MouseRole::Turn, plain("left")?, plain("right")?),
            _ if any(&CAR_WORDS) => (MouseRole::Steer, plain("left")?, plain("right")?),
            _ => return None,
        };
        Some(Self {
            role,
            left: single_keys(left),
            right: single_keys(right),
            pending: 0.0,
            steering: None,
        })
    }

    /// Adds motion in pixels to the right.
    pub fn add_motion(&mut self, pixels: f32, sensitivity: f32) {
        let max = MAX_PENDING * PIXELS_PER_TURN;
        let moved = self.pending + pixels * sensitivity;
        if moved.is_finite() {
            self.pending = moved.clamp(-max, max);
        }
    }

    /// Steers by position, a fraction of the picture's width from the left, or `None` outside. The
    /// nearest of left, straight and right is chosen.
    pub fn set_position(&mut self, fraction: Option<f32>) {
        self.steering = fraction.and_then(|fraction| match 2.0 * fraction - 1.0 {
            x if x < -0.5 => Some(TurnSide::Left),
            x if x > 0.5 => Some(TurnSide::Right),
            _ => None,
        });
    }

    /// Subtracts from the pending motion what `frames` frames under an action have turned.
    pub fn subtract_turned(&mut self, action: Option<&BoundAction>, frames: u64) {
        let turned = frames as f32 * PIXELS_PER_TURN;
        match action.and_then(|action| self.side_of(action)) {
            Some(TurnSide::Right) if self.pending > 0.0 => {
                self.pending = (self.pending - turned).max(0.0);
            }
            Some(TurnSide::Left) if self.pending < 0.0 => {
                self.pending = (self.pending + turned).min(0.0);
            }
            _ => {}
        }
    }

    /// Clears pending motion and steering on release.
    pub fn release(&mut self) {
        self.pending = 0.0;
        self.steering = None;
    }

    /// The keys that the mouse currently holds down.
    pub fn keys(&self) -> &[Key] {
        let side = match self.role {
            MouseRole::Steer => self.steering,
            MouseRole::Turn if self.pending >= PIXELS_PER_TURN => Some(TurnSide::Right),
            MouseRole::Turn if self.pending <= -PIXELS_PER_TURN => Some(TurnSide::Left),
            MouseRole::Turn => None,
        };
        match side {
            Some(TurnSide::Left) => &self.left,
            Some(TurnSide::Right) => &self.right,
            None => &[],
        }
    }

    /// The direction an action turns to: that of the keys it needs.
    fn side_of(&self, action: &BoundAction) -> Option<TurnSide> {
        let needs = |side: &[Key]| {
            let mut keys = action.chords.iter().flatten();
            keys.any(|key| side.contains(key))
        };
        match (needs(&self.left), needs(&self.right)) {
            (true, false) => Some(TurnSide::Left),
            (false, true) => Some(TurnSide::Right),
            _ => None,
        }
    }
}

/// The first listed action whose name matches and that a single key plays.
fn find(keys: &KeyMap, fits: impl Fn(&[&str]) -> bool) -> Option<&BoundAction> {
    keys.listed_actions().find(|bound| {
        let name = bound.name.to_lowercase();
        let parts: Vec<_> = name.split(['-', '_', ' ']).collect();
        fits(&parts) && !single_keys(bound).is_empty()
    })
}

fn has(parts: &[&str], words: &[&str]) -> bool {
    parts.iter().any(|part| words.contains(part))
}

/// Every single key that plays an action; chords with other actions contain one of them.
fn single_keys(bound: &BoundAction) -> Vec<Key> {
    let single = bound.chords.iter().filter(|chord| chord.len() == 1);
    single.flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::keys::{HeldKeys, InputSource};
    use crate::app::tests::world;
    use driftless_worlds::SimulatorKind;

    fn keys(kind: SimulatorKind) -> KeyMap {
        KeyMap::new(&kind.open(0).info().actions).unwrap()
    }

    fn mouse_for(actions: &[(&str, &[&str])]) -> Option<Mouse> {
        Mouse::new(&KeyMap::new(&world(actions).actions).unwrap())
    }

    fn action<'a>(map: &'a KeyMap, mouse: &Mouse, held: &[Key]) -> Option<&'a BoundAction> {
        let mut all = HeldKeys::default();
        all.set(InputSource::Keyboard, held);
        all.set(InputSource::Mouse, mouse.keys());
        all.active_chord(map).map(|(bound, _)| bound)
    }

    fn name<'a>(map: &'a KeyMap, mouse: &Mouse, held: &[Key]) -> &'a str {
        action(map, mouse, held).map_or("", |bound| &bound.name)
    }

    #[test]
    fn role_follows_action_names() {
        let role = |kind| Mouse::new(&keys(kind)).map(|mouse| mouse.role);
        assert_eq!(role(SimulatorKind::Maze), Some(MouseRole::Turn));
        assert_eq!(role(SimulatorKind::Drive), Some(MouseRole::Steer));
        let paddle: &[(&str, &[&str])] = &[("left", &["A"]), ("right", &["D"])];
        assert_eq!(mouse_for(paddle), None);
        let strafing: &[(&str, &[&str])] = &[("move_left", &["A"]), ("move_right", &["D"])];
        assert_eq!(mouse_for(strafing), None);
        let turning: &[(&str, &[&str])] = &[("TURN_LEFT", &["A"]), ("turn-right", &["D"])];
        assert_eq!(mouse_for(turning).unwrap().role, MouseRole::Turn);
        let unbound: &[(&str, &[&str])] = &[("turn-left", &["A"]), ("turn-right", &[])];
        assert_eq!(mouse_for(unbound), None);
    }

    #[test]
    fn motion_accumulates_to_turns() {
        let map = keys(SimulatorKind::Maze);
        let mut mouse = Mouse::new(&map).unwrap();
        mouse.add_motion(PIXELS_PER_TURN * 0.6, 1.0);
        assert_eq!(name(&map, &mouse, &[]), "");
        mouse.add_motion(PIXELS_PER_TURN * 0.6, 3.0);
        assert_eq!(name(&map, &mouse, &[]), "right");
        // 2.4 steps: two frames, and the rest stays pending.
        for _ in 0..2 {
            mouse.subtract_turned(action(&map, &mouse, &[]), 1);
        }
        assert_eq!(name(&map, &mouse, &[]), "");
        mouse.add_motion(PIXELS_PER_TURN * 0.7, 1.0);
        assert_eq!(name(&map, &mouse, &[]), "right");
    }

    #[test]
    fn turning_combines_with_held_keys() {
        let map = keys(SimulatorKind::Maze);
        let mut mouse = Mouse::new(&map).unwrap();
        mouse.add_motion(-PIXELS_PER_TURN, 1.0);
        for key in [Key::W, Key::ArrowUp] {
            assert_eq!(name(&map, &mouse, &[key]), "forward-left");
        }
        mouse.subtract_turned(action(&map, &mouse, &[Key::W]), 1);
        assert_eq!(name(&map, &mouse, &[Key::W]), "forward");
    }

    #[test]
    fn only_matching_turns_count() {
        let map = keys(SimulatorKind::Maze);
        let mut mouse = Mouse::new(&map).unwrap();
        mouse.add_motion(PIXELS_PER_TURN, 1.0);
        let bound = |name: &str| map.listed_actions().find(|bound| bound.name == name);
        for other in ["left", "forward", "strafe-right"] {
            mouse.subtract_turned(bound(other), 1);
            assert_eq!(name(&map, &mouse, &[]), "right");
        }
        mouse.subtract_turned(None, 9);
        mouse.subtract_turned(bound("right"), 9);
        assert_eq!(name(&map, &mouse, &[]), "");
        mouse.add_motion(-0.9 * PIXELS_PER_TURN, 1.0);
        assert_eq!(
            name(&map, &mouse, &[]),
            "",
            "an overshoot does not turn back"
        );
    }

    #[test]
    fn pending_motion_is_limited() {
        let map = keys(SimulatorKind::Maze);
        let mut mouse = Mouse::new(&map).unwrap();
        mouse.add_motion(1e9, 1.0);
        mouse.add_motion(f32::NAN, 1.0);
        let frames = (0..100).take_while(|_| {
            let played = action(&map, &mouse, &[]);
            mouse.subtract_turned(played, 1);
            played.is_some()
        });
        assert_eq!(frames.count(), MAX_PENDING as usize);
    }

    #[test]
    fn position_steers_alongside_throttle() {
        let map = keys(SimulatorKind::Drive);
        let mut mouse = Mouse::new(&map).unwrap();
        let positions = [None, Some(0.0), Some(0.3), Some(0.5), Some(0.7), Some(1.2)];
        let steered = positions.map(|position| {
            mouse.set_position(position);
            name(&map, &mouse, &[])
        });
        assert_eq!(steered, ["", "left", "", "", "", "right"]);
        assert_eq!(name(&map, &mouse, &[Key::W]), "throttle-right");
        mouse.release();
        assert_eq!(name(&map, &mouse, &[Key::W]), "throttle");
    }
}
