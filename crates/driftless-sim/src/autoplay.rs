//! Lets a world play itself: a simulator under its scripted player, a learned world under its agent, or without one
//! under random held actions.

use driftless_data::Action;
use driftless_engine::rollout::random_held_actions;

use super::Player;

/// Random actions that are drawn at a time.
const FRAMES: usize = 600;

/// Chooses actions until a person takes over. Each plays differently.
#[derive(Default)]
pub(super) struct Autoplay {
    /// Random actions that are still to be played.
    random: std::vec::IntoIter<Action>,
}

impl Autoplay {
    /// The action that leads to the next frame.
    pub fn next_action(&mut self, player: &mut dyn Player) -> Action {
        if let Some(action) = player.scripted_action() {
            return action;
        }
        if self.random.len() == 0 {
            let actions =
                random_held_actions(FRAMES, player.actions(), player.axes(), rand::random());
            self.random = actions.into_iter();
        }
        self.random.next().unwrap_or_default()
    }
}
