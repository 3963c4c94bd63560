//! Which action the next frame takes: the held one, its repetition, or a script's.

use driftless_data::Action;
use std::time::Instant;

use driftless_engine::SamplerParams;

use super::autoplay::Autoplay;
use super::script::ActionScript;
use super::{Notice, Player};

/// The user's input. What the user should know comes back as a notice.
pub(super) struct Input {
    /// Number of actions of the world.
    actions: usize,
    /// Of each axis, the most that it moves in a frame.
    axis_steps: Vec<f32>,
    held: Action,
    /// Whether no frame has taken the held action yet.
    untaken: bool,
    /// An action that was released before any frame took it; the next one does.
    tapped: Option<Action>,
    /// The action of the last frame, which is repeated while `repeat` asks for it.
    current: Action,
    repeat: u64,
    /// Takes precedence over the held action.
    script: ActionScript,
    /// Takes precedence over both, while the world plays itself.
    autoplay: Option<Autoplay>,
    /// When the held action changed, until a frame reflects it.
    changed_at: Option<Instant>,
    /// Whether the last action was taken from a game that is played again, and the parameters that it came with.
    from_game: bool,
    changed_params: Option<SamplerParams>,
}

impl Input {
    /// No key is held. The world has so many actions, and axes that move so far in a frame.
    pub fn new(actions: usize, axis_steps: Vec<f32>) -> Self {
        Self {
            actions,
            axis_steps,
            held: Action::IDLE,
            untaken: false,
            tapped: None,
            current: Action::IDLE,
            repeat: 1,
            script: ActionScript::default(),
            autoplay: None,
            changed_at: None,
            from_game: false,
            changed_params: None,
        }
    }

    /// Holds `action`. `changed_at` is `None` if its latency is not to be measured.
    pub fn hold(&mut self, action: Action, changed_at: Option<Instant>) -> Option<Notice> {
        if let Err(what) = action.check(self.actions, self.axis_steps.len()) {
            return Some(Notice::UnknownAction(what));
        }
        if action == self.held {
            return None;
        }
        self.held = action;
        self.untaken = true;
        // The frame that takes a tap is the first to reflect it.
        if self.tapped.is_none() {
            self.changed_at = changed_at;
        }
        if action != Action::IDLE && self.autoplay.take().is_some() {
            return Some(Notice::AutoplayStopped);
        }
        if action == Action::IDLE || self.script.is_finished() {
            return None;
        }
        self.stop_script();
        Some(Notice::ScriptStopped)
    }

    /// Holds `action` after a key was released. An action that no frame has taken still counts for one.
    pub fn release(&mut self, action: Action, changed_at: Option<Instant>) -> Option<Notice> {
        if self.untaken && self.held != Action::IDLE && action != self.held {
            self.tapped.get_or_insert(self.held);
        }
        self.hold(action, changed_at)
    }

    /// Forgets an action that was released before any frame took it.
    pub fn forget_tap(&mut self) {
        self.tapped = None;
    }

    /// Plays actions before the held one, unless one of them is unknown.
    pub fn play(&mut self, script: ActionScript) -> Option<Notice> {
        if let Err(what) = script.check([self.actions, self.axis_steps.len()]) {
            return Some(Notice::ScriptRejected(what));
        }
        self.script = script;
        None
    }

    /// Begins or ends playing by itself.
    pub fn set_autoplay(&mut self, on: bool) {
        self.autoplay = on.then(Autoplay::default);
    }

    /// Whether the player plays by itself.
    pub fn plays_itself(&self) -> bool {
        self.autoplay.is_some()
    }

    /// Takes the action that follows the frame with this number: the player's own while it plays itself, or
    /// else what [`Input::next_action`] takes.
    pub fn next_action_in(
        &mut self,
        player: &mut dyn Player,
        number: u64,
    ) -> (Action, Option<Notice>) {
        match &mut self.autoplay {
            Some(autoplay) => {
                self.current = autoplay.next_action(player);
                (self.current, None)
            }
            None => self.next_action(number),
        }
    }

    /// Repeats each action for this many frames.
    pub fn set_repeat(&mut self, frames: u64) {
        self.repeat = frames.max(1);
    }

    /// Whether the frame with this number takes the held action instead of repeating the last one.
    pub fn takes_held(&self, number: u64) -> bool {
        number.is_multiple_of(self.repeat)
    }

    /// Takes the action that follows the frame with this number: the script's, or else the held one.
    pub fn next_action(&mut self, number: u64) -> (Action, Option<Notice>) {
        self.from_game = false;
        let Some(action) = self.script.next() else {
            if self.takes_held(number) {
                let wanted = self.tapped.take().unwrap_or_else(|| {
                    self.untaken = false;
                    self.held
                });
                self.current = self.towards(wanted);
            }
            return (self.current, None);
        };
        self.current = action;
        self.from_game = self.script.is_game();
        self.changed_params = self.script.changed_params();
        let finished = self.script.is_finished();
        (action, finished.then_some(Notice::ScriptFinished))
    }

    /// This action with its axes only as far from the last ones as they move in a frame.
    fn towards(&self, mut action: Action) -> Action {
        let steps = self.axis_steps.iter();
        for ((axis, last), step) in action.axes.iter_mut().zip(self.current.axes).zip(steps) {
            // What is near enough is reached exactly.
            if (*axis - last).abs() > *step {
                *axis = last + step.copysign(*axis - last);
            }
        }
        action
    }

    /// Whether the last action was taken from a game that is played again.
    pub fn is_from_game(&self) -> bool {
        self.from_game
    }

    /// The parameters that came with the last action.
    pub fn take_changed_params(&mut self) -> Option<SamplerParams> {
        self.changed_params.take()
    }

    /// When the held action changed, if no frame reflects it yet; from now on, one does.
    pub fn take_changed_at(&mut self) -> Option<Instant> {
        self.changed_at.take()
    }

    /// Goes on after a frame that `action` led to.
    pub fn continue_after(&mut self, action: Action) {
        self.tapped = None;
        self.current = action;
    }

    pub fn script(&self) -> &ActionScript {
        &self.script
    }

    /// Continues a script of an earlier thread.
    pub fn continue_script(&mut self, script: ActionScript) {
        self.script = script;
    }

    /// Hands control to the user.
    pub fn stop_script(&mut self) {
        self.script = ActionScript::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(actions: &[u32]) -> ActionScript {
        let actions = actions.iter().copied().map(Action::from);
        ActionScript::new(actions.collect())
    }

    /// Of a world with so many actions and one axis.
    fn input(actions: usize) -> Input {
        Input::new(actions, vec![f32::INFINITY])
    }

    #[test]
    fn held_action_is_repeated() {
        let mut input = input(3);
        input.set_repeat(2);
        let mut actions = Vec::new();
        for (number, held) in [1, 2, 2, 0, 1].into_iter().enumerate() {
            input.hold(held.into(), None);
            actions.push(input.next_action(number as u64));
        }
        assert_eq!(actions, [1, 1, 2, 2, 1].map(|action| (action.into(), None)));
        input.set_repeat(0);
        assert!(input.takes_held(3));
    }

    #[test]
    fn taps_count_for_one_frame() {
        let mut input = input(5);
        let mut play = |changes: &[(bool, u32)]| {
            for &(pressed, action) in changes {
                if pressed {
                    input.hold(action.into(), None);
                } else {
                    input.release(action.into(), None);
                }
            }
            input.next_action(0).0
        };
        // A press and its release between two frames, then nothing.
        assert_eq!([play(&[(true, 1), (false, 0)]), play(&[])], [1, 0]);
        // A tap while another key is held.
        assert_eq!(play(&[(true, 2)]), 2);
        assert_eq!([play(&[(true, 1), (false, 2)]), play(&[])], [1, 2]);
        // A key that a frame has taken is not played again.
        assert_eq!(play(&[(false, 0)]), 0);
        // Two keys pressed one after the other and released in any order: both together count.
        let chord = [(true, 1), (true, 3), (false, 1), (false, 0)];
        assert_eq!([play(&chord), play(&[])], [3, 0]);
    }

    #[test]
    fn axes_are_held_and_tapped() {
        let mut input = input(2);
        let left = Action::with_axes(0, &[-1.0]);
        let half = Action::with_axes(0, &[0.5]);
        input.hold(left, None);
        input.release(Action::IDLE, None);
        let played = [0, 1].map(|number| input.next_action(number).0);
        assert_eq!(played, [left, Action::IDLE]);
        input.hold(left, None);
        input.hold(half, None);
        assert_eq!(input.next_action(2).0, half);
    }

    #[test]
    fn slow_axes_reach_their_ends_in_time() {
        let mut input = Input::new(1, vec![0.25, f32::INFINITY]);
        let mut number = 0;
        let mut play = |axes: [f32; 2]| {
            input.hold(Action::with_axes(0, &axes), None);
            number += 1;
            let [slow, fast, ..] = input.next_action(number).0.axes;
            [slow, fast]
        };
        let held = [0, 1, 2, 3, 4].map(|_| play([1.0, -1.0]));
        assert_eq!(held.map(|[slow, _]| slow), [0.25, 0.5, 0.75, 1.0, 1.0]);
        assert_eq!(held[0][1], -1.0);
        assert_eq!(play([0.9, 0.0]), [0.9, 0.0]);
        assert!((play([-1.0, 0.0])[0] - 0.65).abs() < 1e-6);
    }

    #[test]
    fn taps_are_measured_from_the_press() {
        let (mut input, pressed) = (input(3), Instant::now());
        input.hold(1.into(), Some(pressed));
        input.release(
            0.into(),
            Some(pressed + std::time::Duration::from_millis(5)),
        );
        assert_eq!(input.next_action(0).0, 1);
        assert_eq!(input.take_changed_at(), Some(pressed));
    }

    #[test]
    fn pauses_forget_taps() {
        let mut input = input(3);
        input.hold(1.into(), None);
        input.release(0.into(), None);
        input.forget_tap();
        assert_eq!(input.next_action(0).0, 0);
    }

    #[test]
    fn unknown_actions_change_nothing() {
        let mut input = input(3);
        let what = "unknown action 3, expected 0 to 2".to_owned();
        assert_eq!(
            input.hold(3.into(), Some(Instant::now())),
            Some(Notice::UnknownAction(what.clone()))
        );
        assert_eq!(
            input.play(script(&[1, 3])),
            Some(Notice::ScriptRejected(what))
        );
        let turned = Action::with_axes(0, &[2.0]);
        assert!(input.hold(turned, None).is_some());
        assert_eq!(input.next_action(0), (0.into(), None));
        assert_eq!(input.take_changed_at(), None);
    }

    #[test]
    fn keys_stop_the_script() {
        let mut input = input(3);
        assert_eq!(input.play(script(&[1, 2, 1])), None);
        assert_eq!(input.next_action(0), (1.into(), None));
        assert_eq!(input.hold(0.into(), None), None);
        assert_eq!(input.hold(2.into(), None), Some(Notice::ScriptStopped));
        assert_eq!(input.next_action(1), (2.into(), None));
        assert_eq!(*input.script(), ActionScript::default());
    }

    #[test]
    fn script_announces_its_end() {
        let mut input = input(3);
        input.play(script(&[1, 2]));
        assert_eq!(input.next_action(0), (1.into(), None));
        assert_eq!(
            input.next_action(1),
            (2.into(), Some(Notice::ScriptFinished))
        );
        assert_eq!(input.next_action(2), (0.into(), None));
    }

    #[test]
    fn change_is_measured_once() {
        let (mut input, now) = (input(3), Instant::now());
        input.hold(1.into(), Some(now));
        // The same action again is no change.
        input.hold(1.into(), None);
        assert_eq!(input.take_changed_at(), Some(now));
        assert_eq!(input.take_changed_at(), None);
    }
}
