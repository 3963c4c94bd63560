//! Input besides the keyboard: gamepads, and the mouse in worlds that turn or steer.

use std::collections::BTreeMap;
use std::time::Instant;

use eframe::egui::{CursorGrab, CursorIcon, Event, Id, Rect, Sense, Ui, ViewportCommand};

use driftless_sim::Frame;

use super::Window;
use super::navigation::Screen;
use crate::app::gamepad::{Gamepad, GamepadButton, GamepadMap, GamepadWatcher};
use crate::app::keys::{InputSource, KeyMap, Shortcut};
use crate::app::mouse::{Mouse, MouseRole};

/// The state of gamepads and mouse.
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
}

impl Window {
    /// Starts or stops watching gamepads as configured, and handles their changes.
    pub(super) fn poll_gamepads(&mut self) {
        match (self.store.config.gamepad.on, &self.inputs.gamepads) {
            (true, None) => {
                let waker = self.setup.waker.clone();
                self.inputs.gamepads = Some(GamepadWatcher::watch(move || waker.wake()));
            }
            (false, Some(_)) => {
                self.inputs.gamepads = None;
                self.inputs.connected.clear();
                if self.held.set(InputSource::Gamepad, &[]) {
                    self.send_held_action(Instant::now());
                }
            }
            _ => {}
        }
        let gamepads = self.inputs.gamepads.as_ref();
        for (at, gamepads) in gamepads.map(GamepadWatcher::changes).unwrap_or_default() {
            let before = std::mem::replace(&mut self.inputs.connected, gamepads);
            let focused = self.context.input(|input| input.focused);
            let on_page = matches!(self.screen, Screen::NewWorld | Screen::Worlds { .. });
            if focused && !self.has_overlay() && !on_page && self.saving.is_none() {
                self.gamepads_changed(&before, at);
            }
        }
    }

    fn gamepads_changed(&mut self, before: &[Gamepad], at: Instant) {
        let now = &self.inputs.connected;
        let pressed = |button| Inputs::is_down(now, button) && !Inputs::is_down(before, button);
        let (start, select) = (
            pressed(GamepadButton::Start),
            pressed(GamepadButton::Select),
        );
        let (keys_before, keys) = (
            self.inputs.gamepad_map.keys(before),
            self.inputs.gamepad_map.keys(now),
        );
        let (world_keys, other_keys): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .partition(|key| self.session.keys.uses(*key));
        if !world_keys.is_empty() {
            self.dismiss_welcome();
        }
        if self.held.set(InputSource::Gamepad, &world_keys) {
            self.send_held_action(at);
        }
        for key in other_keys.iter().filter(|key| !keys_before.contains(key)) {
            if let Some(shortcut) = self.session.keys.shortcut(*key) {
                self.act(shortcut);
            }
        }
        if start && self.welcome {
            self.dismiss_welcome();
        } else if start {
            self.act(Shortcut::Pause);
        }
        if select {
            self.act(Shortcut::Reset);
        }
    }

    /// Releases every held key, for example when the window loses focus.
    pub(super) fn release_all_input(&mut self) {
        self.release_mouse();
        self.held.release_all();
        self.send_held_action(Instant::now());
    }

    pub(super) fn toggle_mouse(&mut self) {
        if self.release_mouse() {
            return;
        }
        let text = match self.inputs.role() {
            Some(MouseRole::Turn) => {
                // Each platform supports only one of the two modes with raw motion.
                let grab = if cfg!(target_os = "macos") {
                    CursorGrab::Locked
                } else {
                    CursorGrab::Confined
                };
                let command = ViewportCommand::CursorGrab(grab);
                self.context.send_viewport_cmd(command);
                "Move the mouse to turn. Esc releases it."
            }
            Some(MouseRole::Steer) => "Move the mouse left or right to steer. Esc releases it.",
            None => return,
        };
        self.inputs.captured = true;
        self.dismiss_welcome();
        self.notices.post(text.into());
    }

    /// Releases the mouse; returns whether it was captured.
    pub(super) fn release_mouse(&mut self) -> bool {
        let captured = std::mem::take(&mut self.inputs.captured);
        if captured {
            let command = ViewportCommand::CursorGrab(CursorGrab::None);
            self.context.send_viewport_cmd(command);
            self.inputs.mouse.iter_mut().for_each(Mouse::release);
            self.apply_mouse_keys();
        }
        captured
    }

    /// Handles a mouse event while captured; returns whether it is consumed.
    pub(super) fn mouse_event(&mut self, event: &Event) -> bool {
        let picture = self.inputs.picture;
        let Some(mouse) = self.inputs.captured_mouse() else {
            return false;
        };
        match (mouse.role, event) {
            (MouseRole::Turn, Event::MouseMoved(by)) if !self.paused => {
                mouse.add_motion(by.x, self.store.config.mouse.sensitivity);
            }
            (MouseRole::Turn, Event::PointerMoved(_) | Event::MouseWheel { .. })
            | (MouseRole::Turn, Event::PointerButton { pressed: true, .. }) => return true,
            (MouseRole::Steer, Event::PointerMoved(at)) => {
                let inside = picture.contains(*at);
                let fraction = (at.x - picture.left()) / picture.width();
                mouse.set_position(inside.then_some(fraction));
            }
            (MouseRole::Steer, Event::PointerGone) => mouse.set_position(None),
            _ => return false,
        }
        self.apply_mouse_keys();
        false
    }

    /// Counts arrived frames against the pending turn.
    pub(super) fn mouse_frame_arrived(&mut self, frame: &Frame) {
        let frames = frame.sequence.saturating_sub(self.inputs.sequence);
        self.inputs.sequence = frame.sequence;
        if let Some(mouse) = self.inputs.captured_mouse() {
            mouse.subtract_turned(self.session.keys.bound(frame.action), frames);
            self.apply_mouse_keys();
        }
    }

    fn apply_mouse_keys(&mut self) {
        let mouse = self.inputs.mouse.as_ref();
        let keys = mouse.map_or(&[][..], Mouse::keys);
        if self.held.set(InputSource::Mouse, keys) {
            self.send_held_action(Instant::now());
        }
    }

    /// Captures the mouse on a click on the picture, in worlds with mouse controls.
    pub(super) fn picture_clicks(&mut self, ui: &Ui, picture: Rect) {
        self.inputs.picture = picture;
        // While inspecting, a click selects a patch instead.
        if self.inputs.mouse.is_none() || self.inspect.is_some() {
            return;
        }
        // Not focusable by Tab: a shortcut key does the same.
        let click = ui.interact(picture, Id::unique("picture"), Sense::CLICK);
        if click.clicked() {
            self.toggle_mouse();
        }
        if self.inputs.captured && self.inputs.role() == Some(MouseRole::Turn) {
            ui.set_cursor_icon(CursorIcon::None);
        }
    }
}
