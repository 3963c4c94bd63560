//! Undoing the last change.

use driftless_sim::TimelineCommand;

use super::Window;
use super::changes::Change;

impl Window {
    /// Undoes the last change.
    pub(super) fn undo(&mut self) {
        match self.changes.undo() {
            Some(Change::Tuning(before)) => {
                let now = self.game.session.tuning.settings;
                self.game.session.tuning.settings = *before;
                for command in before.commands_since(&now) {
                    self.game.send(command);
                }
                self.notices.info("The last change in Tuning is undone.");
            }
            Some(Change::Config(before)) => {
                let now = self.preferences.config().clone();
                let mut config = *before;
                // Not settings that anyone changes on the page.
                config.window = now.window;
                config.welcomed.clone_from(&now.welcomed);
                config.presets.clone_from(&now.presets);
                *self.preferences.config_mut() = config;
                self.preferences.apply_changes(&self.device.context, &now);
                self.apply_bindings();
                self.notices.info("The last change in Settings is undone.");
            }
            Some(Change::Branch) => {
                self.game.send(TimelineCommand::RestoreBranch);
                self.notices.info("The deleted branch is back.");
            }
            None => self.notices.info("Nothing to undo."),
        }
    }
}
