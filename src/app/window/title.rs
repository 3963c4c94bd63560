//! The window's title: what is on the screen, and what runs in the background.

use super::Window;
use super::navigation::Screen;

impl Window {
    /// Updates the title: `Pong – Driftless`, `New world, training maze 12 % – Driftless`.
    pub(super) fn update_title(&mut self) {
        let world = self.navigation.title(&self.game.session);
        let screen = match &self.navigation.screen {
            Screen::NewWorld { .. } => "New world".to_owned(),
            Screen::Worlds { .. } => "Worlds".to_owned(),
            Screen::Cells { .. } => self.navigation.cells_name(),
            Screen::Recording(..) | Screen::Game if self.game.session.sim.record.is_some() => {
                format!("● Recording {}", self.game.session.world.name)
            }
            Screen::Recording(kind, _) => format!("Recording {}", kind.title()),
            Screen::TryOut => format!("Trying {}", self.game.session.world.name),
            Screen::Game if self.game.failure().is_some() => format!("{world} (stopped)"),
            // A world that waits behind its card is not paused by anyone.
            Screen::Game if self.game.is_paused() && !self.preferences.welcome => {
                format!("{world} (paused)")
            }
            Screen::Game => world.to_owned(),
        };
        let training = self.navigation.training_state();
        let training = training.map(|(name, percent)| format!("training {name} {percent} %"));
        let saving = self.saving.percent();
        let saving = saving.map(|percent| format!("saving {percent} %"));
        let parts: Vec<_> = [Some(screen), training, saving]
            .into_iter()
            .flatten()
            .collect();
        self.device
            .set_title(format!("{} – Driftless", parts.join(", ")));
    }
}
