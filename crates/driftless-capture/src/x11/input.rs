//! Which of the chosen keys are down in the chosen window. This is where the promise is kept that nothing else is
//! recorded: a key that is not chosen, or that is pressed while another window has the focus, changes nothing here.

use std::collections::{BTreeMap, BTreeSet};

use crate::KeySet;

/// Keys and mouse of a window, from the display's events in their order.
#[derive(Debug, Default)]
pub(super) struct InputTracker {
    /// The chosen keys by the display's code.
    codes: BTreeMap<u8, usize>,
    /// The chosen buttons of the mouse by number.
    buttons: BTreeMap<u32, usize>,
    focused: bool,
    pointer_inside: bool,
    /// Codes of the chosen keys that are down.
    down: BTreeSet<u8>,
    buttons_down: KeySet,
    /// What was pressed since the last [`InputTracker::take`].
    pressed: KeySet,
    motion: [f32; 2],
}

impl InputTracker {
    /// Watches the buttons in `buttons`, each with the index of its key.
    pub fn new(buttons: BTreeMap<u32, usize>) -> Self {
        Self {
            buttons,
            ..Self::default()
        }
    }

    /// The codes of the chosen keys, each with the index of its key.
    pub fn set_codes(&mut self, codes: BTreeMap<u8, usize>) {
        self.down.retain(|code| codes.contains_key(code));
        self.codes = codes;
    }

    pub fn focused(&self) -> bool {
        self.focused
    }

    /// The window has got or lost the keyboard's focus. What is down counts no longer; a keymap follows.
    pub fn focus(&mut self, focused: bool) {
        self.focused = focused;
        self.down.clear();
        self.buttons_down = KeySet::default();
        self.take();
    }

    /// The pointer has entered or left the window.
    pub fn pointer(&mut self, inside: bool) {
        self.pointer_inside = inside;
    }

    /// A key went down or up.
    pub fn key(&mut self, code: u8, is_down: bool) {
        let chosen = self.codes.get(&code).filter(|_| self.focused);
        let Some(&index) = chosen else {
            return;
        };
        if is_down {
            self.down.insert(code);
            self.pressed.set(index, true);
        } else {
            self.down.remove(&code);
        }
    }

    /// The state of all keys: bit i of byte j is the code 8 j + i.
    pub fn keymap(&mut self, bits: &[u8; 32]) {
        if self.focused {
            let is_down = |code: u8| bits[usize::from(code / 8)] >> (code % 8) & 1 == 1;
            self.down = self
                .codes
                .keys()
                .copied()
                .filter(|&code| is_down(code))
                .collect();
        }
    }

    /// A button of the mouse went down or up.
    pub fn button(&mut self, number: u32, is_down: bool) {
        let Some(&index) = self.buttons.get(&number).filter(|_| self.focused) else {
            return;
        };
        if !is_down {
            self.buttons_down.set(index, false);
        } else if self.pointer_inside {
            self.buttons_down.set(index, true);
            self.pressed.set(index, true);
        }
    }

    /// The mouse has moved.
    pub fn motion(&mut self, by: [f32; 2]) {
        if self.focused && self.pointer_inside {
            self.motion[0] += by[0];
            self.motion[1] += by[1];
        }
    }

    /// The keys that are down or were pressed since the last call, and the motion since then.
    pub fn take(&mut self) -> (KeySet, [f32; 2]) {
        let mut held = std::mem::take(&mut self.pressed).union(self.buttons_down);
        for code in &self.down {
            if let Some(&index) = self.codes.get(code) {
                held.set(index, true);
            }
        }
        (held, std::mem::take(&mut self.motion))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chosen: the codes 30 and 31, and the button 1. Focused, with the pointer inside.
    fn tracker() -> InputTracker {
        let mut tracker = InputTracker::new(BTreeMap::from([(1, 2)]));
        tracker.set_codes(BTreeMap::from([(30, 0), (31, 1)]));
        tracker.focus(true);
        tracker.pointer(true);
        tracker
    }

    fn held(tracker: &mut InputTracker) -> Vec<usize> {
        tracker.take().0.indices().collect()
    }

    #[test]
    fn held_keys_and_taps_count() {
        let mut tracker = tracker();
        tracker.key(30, true);
        tracker.key(31, true);
        tracker.key(31, false);
        assert_eq!(held(&mut tracker), [0, 1]);
        assert_eq!(held(&mut tracker), [0]);
        tracker.key(30, false);
        assert!(held(&mut tracker).is_empty());
    }

    #[test]
    fn other_keys_leave_no_trace() {
        let mut tracker = tracker();
        let before = format!("{tracker:?}");
        tracker.key(38, true);
        tracker.button(3, true);
        let mut bits = [0; 32];
        bits[38 / 8] |= 1 << (38 % 8);
        tracker.keymap(&bits);
        assert_eq!(format!("{tracker:?}"), before);
    }

    #[test]
    fn other_windows_leave_no_trace() {
        let mut tracker = tracker();
        tracker.key(30, true);
        tracker.focus(false);
        let before = format!("{tracker:?}");
        tracker.key(31, true);
        tracker.button(1, true);
        tracker.motion([1.0, 1.0]);
        tracker.keymap(&[0xff; 32]);
        assert_eq!(format!("{tracker:?}"), before);
        assert!(held(&mut tracker).is_empty());
        // Neither do clicks beside the window.
        tracker.focus(true);
        tracker.pointer(false);
        tracker.button(1, true);
        tracker.motion([1.0, 1.0]);
        assert_eq!(tracker.take(), (KeySet::default(), [0.0; 2]));
    }

    #[test]
    fn keymap_tells_what_is_still_down() {
        let mut tracker = tracker();
        tracker.key(30, true);
        tracker.focus(true);
        assert!(held(&mut tracker).is_empty());
        let mut bits = [0; 32];
        bits[31 / 8] |= 1 << (31 % 8);
        tracker.keymap(&bits);
        assert_eq!(held(&mut tracker), [1]);
    }

    #[test]
    fn motion_adds_up_between_frames() {
        let mut tracker = tracker();
        tracker.motion([2.0, -1.0]);
        tracker.motion([1.0, 0.5]);
        assert_eq!(tracker.take().1, [3.0, -0.5]);
        assert_eq!(tracker.take().1, [0.0, 0.0]);
    }
}
