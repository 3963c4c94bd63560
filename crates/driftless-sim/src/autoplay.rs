//! Lets a world play itself: a simulator under its scripted player, a learned world under random held actions.

use driftless_engine::rollout::random_held_actions;

use super::Player;

/// Random actions that are drawn at a time.
const FRAMES: usize = 600;

/// Chooses actions until a person takes over. Each plays differently.
#[derive(Default)]
pub(super) struct Autoplay {
    /// Random actions that are still to be played.
    random: std::vec::IntoIter<u32>,
}

impl Autoplay {
    /// The action that leads to the next frame.
    pub fn next_action(&mut self, player: &mut dyn Player) -> u32 {
        if let Some(action) = player.scripted_action() {
            return action;
        }
        if self.random.len() == 0 {
            let actions = random_held_actions(FRAMES, player.actions(), rand::random());
            self.random = actions.into_iter();
        }
        self.random.next().unwrap_or(0)
    }
}
