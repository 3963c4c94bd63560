//! Input besides typing: gamepads, the mouse in worlds that turn or steer, and held shortcut keys.

use std::collections::BTreeMap;
use std::time::Instant;

use eframe::egui::{
    Context, CursorGrab, CursorIcon, Event, Id, Key, Rect, Sense, Ui, ViewportCommand,
};

use driftless_sim::Frame;

use super::game::GameState;
use crate::app::gamepad::{Gamepad, GamepadButton, GamepadMap, GamepadWatcher};
use crate::app::keys::{InputSource, KeyMap, KeyPlaces, Shortcut};
use crate::app::mouse::{Mouse, MouseRole};
use crate::app::waker::Waker;

/// The sticks and triggers of all gamepads together.
fn combined(gamepads: &[Gamepad]) -> ([[f32; 2]; 2], f32) {
    let sum = |value: &dyn Fn(&Gamepad) -> f32| {
        let all: f32 = gamepads.iter().map(value).sum();
        all.clamp(-1.0, 1.0)
    };
    let sticks = [
        [
            sum(&|gamepad| gamepad.left[0]),
            sum(&|gamepad| gamepad.left[1]),
        ],
        [
            sum(&|gamepad| gamepad.right[0]),
            sum(&|gamepad| gamepad.right[1]),
        ],
    ];
    (sticks, sum(&|gamepad| gamepad.triggers))
}

/// The modifiers that a key is pressed with.
#[derive(Clone, Copy)]
pub(super) struct Modifiers {
    /// None but Shift.
    pub plain: bool,
    /// Ctrl, on macOS Command.
    pub control: bool,
}

/// The connected gamepads after a change, and when it happened.
pub(super) type GamepadChange = (Instant, Vec<Gamepad>);

/// What a change of the gamepads means.
pub(super) struct GamepadPress {
    /// Whether a key of the world is held.
    pub plays: bool,
    /// Shortcuts of newly pressed buttons.
    pub shortcuts: Vec<Shortcut>,
    /// Whether Start and Select were pressed.
    pub start: bool,
    pub select: bool,
}

/// The state of gamepads, mouse and shortcut keys.
pub(super) struct Inputs {
    /// `None` while gamepads are disabled.
    gamepads: Option<GamepadWatcher>,
    /// The connected gamepads.
    pub connected: Vec<Gamepad>,
    pub gamepad_map: GamepadMap,
    /// `None` in a world without mouse controls.
    mouse: Option<Mouse>,
    /// Whether the mouse is captured by the game.
    captured: bool,
    /// Sequence number of the last frame seen.
    sequence: u64,
    /// Where the picture is drawn, in points.
    picture: Rect,
    /// Keys that are held down.
    keys_down: Vec<Key>,
    /// The places of the keyboard that are held down.
    pub places: KeyPlaces,
}

impl Default for Inputs {
    fn default() -> Self {
        Self {
            gamepads: None,
            connected: Vec::new(),
            gamepad_map: GamepadMap::default(),
            mouse: None,
            captured: false,
            sequence: 0,
            picture: Rect::NOTHING,
            keys_down: Vec::new(),
            places: KeyPlaces::default(),
        }
    }
}

impl Inputs {
    /// Rebuilds the mappings for a world's keys.
    pub fn apply_bindings(&mut self, keys: &KeyMap, buttons: &BTreeMap<String, String>) {
        self.gamepad_map = GamepadMap::new(keys, buttons);
        self.mouse = Mouse::new(keys);
    }

    /// What the mouse does in this world.
    pub fn role(&self) -> Option<MouseRole> {
        self.mouse.as_ref().map(|mouse| mouse.role)
    }

    /// The mouse, while captured.
    fn captured_mouse(&mut self) -> Option<&mut Mouse> {
        self.mouse.as_mut().filter(|_| self.captured)
    }

    /// Whether any gamepad holds `button` down.
    fn is_down(gamepads: &[Gamepad], button: GamepadButton) -> bool {
        gamepads
            .iter()
            .any(|gamepad| gamepad.buttons.contains(&button))
    }

    /// Presses a key; returns whether it was down before, which is the keyboard's repetition.
    pub fn press_key(&mut self, key: Key) -> bool {
        let repeated = self.keys_down.contains(&key);
        if !repeated {
            self.keys_down.push(key);
        }
        repeated
    }

    pub fn release_key(&mut self, key: Key) {
        self.keys_down.retain(|down| *down != key);
    }

    /// Forgets which keys are down: without the focus, the window sees no releases.
    pub fn forget_keys(&mut self) {
        self.keys_down.clear();
        self.places.forget();
    }

    /// Starts or stops watching gamepads as configured; returns their changes.
    pub fn poll_gamepads(
        &mut self,
        on: bool,
        waker: &Waker,
        game: &mut GameState,
    ) -> Vec<GamepadChange> {
        match (on, &self.gamepads) {
            (true, None) => {
                let waker = waker.clone();
                self.gamepads = Some(GamepadWatcher::watch(move || waker.wake()));
            }
            (false, Some(_)) => {
                self.gamepads = None;
                self.connected.clear();
                game.hold(InputSource::Gamepad, &[], Instant::now());
                let at_rest = combined(&[]);
                game.turn(
                    |analog| (analog.sticks, analog.triggers) = at_rest,
                    Instant::now(),
                );
            }
            _ => {}
        }
        let gamepads = self.gamepads.as_ref();
        gamepads.map(GamepadWatcher::changes).unwrap_or_default()
    }

    /// Takes the connected gamepads after a change; holds the world's keys if the game takes input,
    /// and returns what else was pressed.
    pub fn take_gamepads(
        &mut self,
        (at, gamepads): GamepadChange,
        game: &mut GameState,
        takes_input: bool,
    ) -> Option<GamepadPress> {
        let before = std::mem::replace(&mut self.connected, gamepads);
        if !takes_input {
            return None;
        }
        let (before, now) = (&before, &self.connected);
        let pressed = |button| Self::is_down(now, button) && !Self::is_down(before, button);
        let keys_before = self.gamepad_map.keys(before);
        let keys = self.gamepad_map.keys(now).into_iter();
        let (world_keys, other_keys): (Vec<_>, Vec<_>) =
            keys.partition(|key| game.session.keys.uses(*key));
        game.hold(InputSource::Gamepad, &world_keys, at);
        let positions = combined(now);
        game.turn(|analog| (analog.sticks, analog.triggers) = positions, at);
        let new_keys = other_keys.iter().filter(|key| !keys_before.contains(key));
        Some(GamepadPress {
            plays: !world_keys.is_empty(),
            shortcuts: new_keys
                .filter_map(|key| game.session.keys.shortcut(*key))
                .collect(),
            start: pressed(GamepadButton::Start),
            select: pressed(GamepadButton::Select),
        })
    }

    /// Releases every held key and the mouse, for example when the window loses focus.
    pub fn release_all(&mut self, context: &Context, game: &mut GameState) {
        self.release_mouse(context, game);
        game.release_all();
    }

    /// Captures or releases the mouse; returns how to use it once captured.
    pub fn toggle_mouse(
        &mut self,
        context: &Context,
        game: &mut GameState,
    ) -> Option<&'static str> {
        if self.release_mouse(context, game) {
            return None;
        }
        let hint = match self.role()? {
            MouseRole::Turn => {
                // Each platform supports only one of the two modes with raw motion.
                let grab = if cfg!(target_os = "macos") {
                    CursorGrab::Locked
                } else {
                    CursorGrab::Confined
                };
                context.send_viewport_cmd(ViewportCommand::CursorGrab(grab));
                "Move the mouse to turn. Esc releases it."
            }
            MouseRole::Steer => "Move the mouse left or right to steer. Esc releases it.",
        };
        self.captured = true;
        Some(hint)
    }

    /// Releases the mouse; returns whether it was captured.
    pub fn release_mouse(&mut self, context: &Context, game: &mut GameState) -> bool {
        let captured = std::mem::take(&mut self.captured);
        if captured {
            context.send_viewport_cmd(ViewportCommand::CursorGrab(CursorGrab::None));
            self.mouse.iter_mut().for_each(Mouse::release);
            self.hold_mouse_keys(game);
        }
        captured
    }

    /// Handles a mouse event while captured; returns whether it is consumed.
    pub fn mouse_event(&mut self, event: &Event, sensitivity: f32, game: &mut GameState) -> bool {
        let picture = self.picture;
        let Some(mouse) = self.captured_mouse() else {
            return false;
        };
        match (mouse.role, event) {
            (MouseRole::Turn, Event::MouseMoved(by)) if !game.is_paused() => {
                mouse.add_motion(*by, sensitivity);
            }
            (MouseRole::Turn, Event::PointerMoved(_) | Event::MouseWheel { .. })
            | (MouseRole::Turn, Event::PointerButton { pressed: true, .. }) => return true,
            (MouseRole::Steer, Event::PointerMoved(at)) => {
                let inside = picture.contains(*at);
                let fraction = (*at - picture.min) / picture.size();
                mouse.set_position(inside.then_some(fraction));
            }
            (MouseRole::Steer, Event::PointerGone) => mouse.set_position(None),
            _ => return false,
        }
        self.hold_mouse_keys(game);
        false
    }

    /// Where the picture is drawn, in points.
    #[cfg(test)]
    pub fn picture(&self) -> Rect {
        self.picture
    }

    /// Counts arrived frames against the pending turn.
    pub fn frame_arrived(&mut self, frame: &Frame, game: &mut GameState) {
        let frames = frame.sequence.saturating_sub(self.sequence);
        self.sequence = frame.sequence;
        if let Some(mouse) = self.captured_mouse() {
            let keys = &game.session.keys;
            mouse.subtract_turned(keys.bound(frame.action.index), frames);
            mouse.subtract_moved(keys, &frame.action.axes, frames);
            self.hold_mouse_keys(game);
        }
    }

    fn hold_mouse_keys(&self, game: &mut GameState) {
        let mouse = self.mouse.as_ref();
        let keys = mouse.map_or(&[][..], Mouse::keys);
        game.hold(InputSource::Mouse, keys, Instant::now());
        let (motion, pointer) = mouse.map_or_else(Default::default, Mouse::axes);
        game.turn(
            |analog| (analog.motion, analog.pointer) = (motion, pointer),
            Instant::now(),
        );
    }

    /// Lets the mouse control the world over the picture; returns whether a click toggles that.
    pub fn over_picture(&mut self, ui: &Ui, picture: Rect, inspecting: bool) -> bool {
        self.picture = picture;
        // While inspecting, a click selects a patch instead.
        if self.mouse.is_none() || inspecting {
            return false;
        }
        // Not focusable by Tab: a shortcut key does the same.
        let click = ui.interact(picture, Id::unique("picture"), Sense::CLICK);
        let will_be_captured = self.captured != click.clicked();
        if will_be_captured && self.role() == Some(MouseRole::Turn) {
            ui.set_cursor_icon(CursorIcon::None);
        }
        click.clicked()
    }
}
