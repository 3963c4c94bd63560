//! The mouse as keys: motion turns a walker, position steers a car. In a world with axes, both move those that
//! follow the mouse.

use eframe::egui::{Key, Vec2, vec2};

use driftless_data::AxisInput;

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
    /// Pending motion in pixels; positive is right and up.
    pending: [f32; 2],
    /// The current steering direction.
    steering: Option<TurnSide>,
    /// Where it points in the picture, from −1 to 1.
    pointer: [f32; 2],
}

impl Mouse {
    /// Mouse controls for a world with these keys; `None` if nothing turns or steers.
    pub fn new(keys: &KeyMap) -> Option<Self> {
        let motion = [AxisInput::MouseX, AxisInput::MouseY];
        let position = [AxisInput::PointerX, AxisInput::PointerY];
        if keys.has_input(&motion) {
            return Some(Self::of(MouseRole::Turn, Vec::new(), Vec::new()));
        }
        if keys.has_input(&position) {
            return Some(Self::of(MouseRole::Steer, Vec::new(), Vec::new()));
        }
        let turns = |side| find(keys, |parts| has(parts, &TURN_WORDS) && has(parts, &[side]));
        let plain = |side| find(keys, |parts| parts == [side] || parts == ["steer", side]);
        let any = |words: &[&str]| find(keys, |parts| has(parts, words)).is_some();
        let (role, left, right) = match (turns("left"), turns("right")) {
            (Some(left), Some(right)) => (MouseRole::Turn, left, right),
            _ if any(&WALKER_WORDS) => (MouseRole::Turn, plain("left")?, plain("right")?),
            _ if any(&CAR_WORDS) => (MouseRole::Steer, plain("left")?, plain("right")?),
            _ => return None,
        };
        Some(Self::of(role, single_keys(left), single_keys(right)))
    }

    fn of(role: MouseRole, left: Vec<Key>, right: Vec<Key>) -> Self {
        Self {
            role,
            left,
            right,
            pending: [0.0; 2],
            steering: None,
            pointer: [0.0; 2],
        }
    }

    /// Adds motion in pixels, to the right and down.
    pub fn add_motion(&mut self, pixels: Vec2, sensitivity: f32) {
        let max = MAX_PENDING * PIXELS_PER_TURN;
        for (pending, pixels) in self.pending.iter_mut().zip([pixels.x, -pixels.y]) {
            let moved = *pending + pixels * sensitivity;
            if moved.is_finite() {
                *pending = moved.clamp(-max, max);
            }
        }
    }

    /// Steers by position, fractions of the picture's width and height from the top left, or `None` outside.
    /// Keys are held for the nearest of left, straight and right.
    pub fn set_position(&mut self, fraction: Option<Vec2>) {
        let middle = vec2(0.5, 0.5);
        let [x, y] = (2.0 * (fraction.unwrap_or(middle) - middle)).into();
        self.pointer = [x, -y].map(|value: f32| value.clamp(-1.0, 1.0));
        self.steering = match x {
            x if x < -0.5 => Some(TurnSide::Left),
            x if x > 0.5 => Some(TurnSide::Right),
            _ => None,
        };
    }

    /// How far it has moved in frames of turning, and where it points, each `[right, up]` from −1 to 1.
    pub fn axes(&self) -> ([f32; 2], [f32; 2]) {
        let turns = |pixels: f32| (pixels / PIXELS_PER_TURN).clamp(-1.0, 1.0);
        (self.pending.map(turns), self.pointer)
    }

    /// Subtracts from the pending motion what `frames` frames under these axes have moved.
    pub fn subtract_moved(&mut self, keys: &KeyMap, axes: &[f32], frames: u64) {
        let inputs = [AxisInput::MouseX, AxisInput::MouseY];
        for (pending, input) in self.pending.iter_mut().zip(inputs) {
            let moved = keys.moved_by(input, axes) * frames as f32 * PIXELS_PER_TURN;
            // Never beyond the middle, and nothing for motion in the other direction.
            if moved * *pending > 0.0 {
                *pending -= moved.abs().min(pending.abs()).copysign(*pending);
            }
        }
    }

    /// Subtracts from the pending motion what `frames` frames under an action have turned.
    pub fn subtract_turned(&mut self, action: Option<&BoundAction>, frames: u64) {
        let turned = frames as f32 * PIXELS_PER_TURN;
        let side = action.and_then(|action| self.side_of(action));
        let [pending, _] = &mut self.pending;
        match side {
            Some(TurnSide::Right) if *pending > 0.0 => {
                *pending = (*pending - turned).max(0.0);
            }
            Some(TurnSide::Left) if *pending < 0.0 => {
                *pending = (*pending + turned).min(0.0);
            }
            _ => {}
        }
    }

    /// Clears pending motion and steering on release.
    pub fn release(&mut self) {
        self.pending = [0.0; 2];
        self.pointer = [0.0; 2];
        self.steering = None;
    }

    /// The keys that the mouse currently holds down.
    pub fn keys(&self) -> &[Key] {
        let side = match self.role {
            MouseRole::Steer => self.steering,
            MouseRole::Turn if self.pending[0] >= PIXELS_PER_TURN => Some(TurnSide::Right),
            MouseRole::Turn if self.pending[0] <= -PIXELS_PER_TURN => Some(TurnSide::Left),
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
        mouse.add_motion(vec2(PIXELS_PER_TURN * 0.6, 0.0), 1.0);
        assert_eq!(name(&map, &mouse, &[]), "");
        mouse.add_motion(vec2(PIXELS_PER_TURN * 0.6, 0.0), 3.0);
        assert_eq!(name(&map, &mouse, &[]), "right");
        // 2.4 steps: two frames, and the rest stays pending.
        for _ in 0..2 {
            mouse.subtract_turned(action(&map, &mouse, &[]), 1);
        }
        assert_eq!(name(&map, &mouse, &[]), "");
        mouse.add_motion(vec2(PIXELS_PER_TURN * 0.7, 0.0), 1.0);
        assert_eq!(name(&map, &mouse, &[]), "right");
    }

    #[test]
    fn turning_combines_with_held_keys() {
        let map = keys(SimulatorKind::Maze);
        let mut mouse = Mouse::new(&map).unwrap();
        mouse.add_motion(vec2(-PIXELS_PER_TURN, 0.0), 1.0);
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
        mouse.add_motion(vec2(PIXELS_PER_TURN, 0.0), 1.0);
        let bound = |name: &str| map.listed_actions().find(|bound| bound.name == name);
        for other in ["left", "forward", "strafe-right"] {
            mouse.subtract_turned(bound(other), 1);
            assert_eq!(name(&map, &mouse, &[]), "right");
        }
        mouse.subtract_turned(None, 9);
        mouse.subtract_turned(bound("right"), 9);
        assert_eq!(name(&map, &mouse, &[]), "");
        mouse.add_motion(vec2(-0.9 * PIXELS_PER_TURN, 0.0), 1.0);
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
        mouse.add_motion(vec2(1e9, 0.0), 1.0);
        mouse.add_motion(vec2(f32::NAN, 0.0), 1.0);
        let frames = (0..100).take_while(|_| {
            let played = action(&map, &mouse, &[]);
            mouse.subtract_turned(played, 1);
            played.is_some()
        });
        assert_eq!(frames.count(), MAX_PENDING as usize);
    }

    #[test]
    fn position_and_motion_move_axes() {
        let info = SimulatorKind::Steer.open(0).info();
        let mut axes = info.axes;
        let map = |axes: &[driftless_data::AxisSpec]| {
            let map = KeyMap::new(&info.actions).unwrap();
            map.with_axes(axes).unwrap()
        };
        let mut mouse = Mouse::new(&map(&axes)).unwrap();
        assert_eq!(mouse.role, MouseRole::Steer);
        mouse.set_position(Some(vec2(0.25, 0.5)));
        assert_eq!(mouse.axes().1, [-0.5, 0.0]);
        assert!(mouse.keys().is_empty());
        mouse.set_position(None);
        assert_eq!(mouse.axes().1, [0.0, 0.0]);
        axes[0].inputs = vec![AxisInput::MouseX];
        let map = map(&axes);
        let mut mouse = Mouse::new(&map).unwrap();
        mouse.add_motion(vec2(1.5 * PIXELS_PER_TURN, 5.0), 1.0);
        let mut taken = Vec::new();
        for _ in 0..3 {
            let ([right, _], _) = mouse.axes();
            taken.push(right);
            mouse.subtract_moved(&map, &[right], 1);
        }
        assert_eq!(taken, [1.0, 0.5, 0.0]);
    }

    #[test]
    fn position_steers_alongside_throttle() {
        let map = keys(SimulatorKind::Drive);
        let mut mouse = Mouse::new(&map).unwrap();
        let positions = [None, Some(0.0), Some(0.3), Some(0.5), Some(0.7), Some(1.2)];
        let steered = positions.map(|position| {
            mouse.set_position(position.map(|x| vec2(x, 0.5)));
            name(&map, &mouse, &[])
        });
        assert_eq!(steered, ["", "left", "", "", "", "right"]);
        assert_eq!(name(&map, &mouse, &[Key::W]), "throttle-right");
        mouse.release();
        assert_eq!(name(&map, &mouse, &[Key::W]), "throttle");
    }
}
