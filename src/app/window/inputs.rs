//! What plays beside the keyboard: gamepads, and the mouse where a world turns or steers.

use std::collections::BTreeMap;
use std::time::Instant;

use eframe::egui::{CursorGrab, CursorIcon, Event, Id, Rect, Sense, Ui, ViewportCommand};

use super::Window;
use super::away::View;
use crate::app::keys::{KeyMap, Shortcut, Source};
use crate::app::mouse::{Mouse, Role};
use crate::app::pad::{Button, Pad, PadMap, Pads};
use driftless_sim::Frame;

/// Gamepads and mouse as the window has them.
pub(super) struct Inputs {
    /// None while they are turned off.
    pads: Option<Pads>,
    /// The pads that are there.
    pub there: Vec<Pad>,
    pub pad_map: PadMap,
    /// None in a world in which it has nothing to do.
    mouse: Option<Mouse>,
    /// Whether the mouse plays.
    caught: bool,
    /// Number of the last frame that was seen.
    sequence: u64,
    /// Where the picture is, in points.
    picture: Rect,
}

impl Default for Inputs {
    fn default() -> Self {
        Self {
            pads: None,
            there: Vec::new(),
            pad_map: PadMap::default(),
            mouse: None,
            caught: false,
            sequence: 0,
            picture: Rect::NOTHING,
        }
    }
}

impl Inputs {
    /// Sets what a world's keys decide.
    pub fn dress(&mut self, keys: &KeyMap, buttons: &BTreeMap<String, String>) {
        self.pad_map = PadMap::new(keys, buttons);
        self.mouse = Mouse::new(keys);
    }

    /// What the mouse does in this world.
    pub fn role(&self) -> Option<Role> {
        self.mouse.as_ref().map(|mouse| mouse.role)
    }

    /// The keys of a button that the pads hold down, of one that any has.
    fn is_down(pads: &[Pad], button: Button) -> bool {
        pads.iter().any(|pad| pad.buttons.contains(&button))
    }
}

impl Window {
    /// Turns pads on or off as it is set, and takes what they have done.
    pub(super) fn hear_pads(&mut self) {
        match (self.store.config.gamepad.on, &self.inputs.pads) {
            (true, None) => {
                let waker = self.parts.waker.clone();
                self.inputs.pads = Some(Pads::watch(move || waker.wake()));
            }
            (false, Some(_)) => {
                self.inputs.pads = None;
                self.inputs.there.clear();
                if self.held.set(Source::Pad, &[]) {
                    self.hold(Instant::now());
                }
            }
            _ => {}
        }
        let pads = self.inputs.pads.as_ref();
        for (at, pads) in pads.map(Pads::changes).unwrap_or_default() {
            let before = std::mem::replace(&mut self.inputs.there, pads);
            let focused = self.context.input(|input| input.focused);
            let away = matches!(self.view, View::Page | View::Worlds { .. });
            if focused && !self.is_covered() && !away && self.saving.is_none() {
                self.pads_changed(&before, at);
            }
        }
    }

    fn pads_changed(&mut self, before: &[Pad], at: Instant) {
        let now = &self.inputs.there;
        let pressed = |button| Inputs::is_down(now, button) && !Inputs::is_down(before, button);
        let (start, select) = (pressed(Button::Start), pressed(Button::Select));
        let (was, keys) = (
            self.inputs.pad_map.keys(before),
            self.inputs.pad_map.keys(now),
        );
        let (worlds, others): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .partition(|key| self.played.keys.uses(*key));
        if !worlds.is_empty() {
            self.dismiss();
        }
        if self.held.set(Source::Pad, &worlds) {
            self.hold(at);
        }
        for key in others.iter().filter(|key| !was.contains(key)) {
            if let Some(shortcut) = self.played.keys.shortcut(*key) {
                self.act(shortcut);
            }
        }
        if start && self.welcome {
            self.dismiss();
        } else if start {
            self.act(Shortcut::Pause);
        }
        if select {
            self.act(Shortcut::Reset);
        }
    }

    /// Everything that is held goes up, as when the window loses the focus.
    pub(super) fn let_all_go(&mut self) {
        self.free_mouse();
        self.held.release_all();
        self.hold(Instant::now());
    }

    pub(super) fn toggle_mouse(&mut self) {
        if self.free_mouse() {
            return;
        }
        let text = match self.inputs.role() {
            Some(Role::Turn) => {
                // Each system knows one of the two, and takes motion from it.
                let grab = match cfg!(target_os = "macos") {
                    true => CursorGrab::Locked,
                    false => CursorGrab::Confined,
                };
                let command = ViewportCommand::CursorGrab(grab);
                self.context.send_viewport_cmd(command);
                "The mouse turns you. Esc lets it go."
            }
            Some(Role::Steer) => "The mouse steers, by its place. Esc lets it go.",
            None => return,
        };
        self.inputs.caught = true;
        self.dismiss();
        self.notices.say(text.into());
    }

    /// The mouse plays no longer; whether it did.
    pub(super) fn free_mouse(&mut self) -> bool {
        let caught = std::mem::take(&mut self.inputs.caught);
        if caught {
            let command = ViewportCommand::CursorGrab(CursorGrab::None);
            self.context.send_viewport_cmd(command);
            self.inputs.mouse.iter_mut().for_each(Mouse::rest);
            self.hold_mouse();
        }
        caught
    }

    /// What the mouse does while it plays; whether that is all that the event is for.
    pub(super) fn mouse_event(&mut self, event: &Event) -> bool {
        let (true, Some(mouse)) = (self.inputs.caught, &mut self.inputs.mouse) else {
            return false;
        };
        let picture = self.inputs.picture;
        match (mouse.role, event) {
            (Role::Turn, Event::MouseMoved(by)) if !self.paused => {
                mouse.moved(by.x, self.store.config.mouse.sensitivity);
            }
            (Role::Turn, Event::PointerMoved(_) | Event::MouseWheel { .. })
            | (Role::Turn, Event::PointerButton { pressed: true, .. }) => return true,
            (Role::Steer, Event::PointerMoved(at)) => {
                let inside = picture.contains(*at);
                let share = (at.x - picture.left()) / picture.width();
                mouse.placed(inside.then_some(share));
            }
            (Role::Steer, Event::PointerGone) => mouse.placed(None),
            _ => return false,
        }
        self.hold_mouse();
        false
    }

    /// Counts a frame that has arrived.
    pub(super) fn mouse_saw(&mut self, frame: &Frame) {
        let frames = frame.sequence.saturating_sub(self.inputs.sequence);
        self.inputs.sequence = frame.sequence;
        if let (true, Some(mouse)) = (self.inputs.caught, &mut self.inputs.mouse) {
            mouse.turned(self.played.keys.bound(frame.action), frames);
            self.hold_mouse();
        }
    }

    fn hold_mouse(&mut self) {
        let mouse = self.inputs.mouse.as_ref();
        let keys = mouse.map_or(&[][..], Mouse::keys);
        if self.held.set(Source::Mouse, keys) {
            self.hold(Instant::now());
        }
    }

    /// A click on the picture catches the mouse where it has something to do.
    pub(super) fn picture_mouse(&mut self, ui: &Ui, picture: Rect) {
        self.inputs.picture = picture;
        // A click chooses a patch while the model is looked into.
        if self.inputs.mouse.is_none() || self.inspect.is_some() {
            return;
        }
        // Not to be reached by Tab: there is a key for it.
        let click = ui.interact(picture, Id::unique("picture"), Sense::CLICK);
        if click.clicked() {
            self.toggle_mouse();
        }
        if self.inputs.caught && self.inputs.role() == Some(Role::Turn) {
            ui.set_cursor_icon(CursorIcon::None);
        }
    }
}
