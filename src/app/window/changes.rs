//! What can be undone: changes of settings, and the deletion of a branch.

use std::time::{Duration, Instant};

use crate::app::config::UserConfig;
use crate::app::tuning::TuningSettings;

/// Changes of one kind closer together than this are one: a slider that is dragged.
const TOGETHER: Duration = Duration::from_secs(1);
/// Most changes that are remembered.
const MAX_CHANGES: usize = 50;

/// A change, with what was before.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    Tuning(Box<TuningSettings>),
    Config(Box<UserConfig>),
    /// A branch was deleted.
    Branch,
}

/// The changes, oldest first, each with when it was last added to.
#[derive(Debug, Default)]
pub(super) struct Changes(Vec<(Change, Instant)>);

impl Changes {
    /// Notes a change.
    pub fn note(&mut self, change: Change, now: Instant) {
        if let Some((last, at)) = self.0.last_mut() {
            let same = std::mem::discriminant(last) == std::mem::discriminant(&change);
            let together = now.saturating_duration_since(*at) < TOGETHER;
            if same && together && change != Change::Branch {
                *at = now;
                return;
            }
        }
        if change == Change::Branch {
            // Only the branch that was deleted last can be brought back.
            self.0.retain(|(earlier, _)| *earlier != Change::Branch);
        }
        if self.0.len() == MAX_CHANGES {
            self.0.remove(0);
        }
        self.0.push((change, now));
    }

    /// Takes out the last change.
    pub fn pop(&mut self) -> Option<Change> {
        self.0.pop().map(|(change, _)| change)
    }

    /// Forgets the changes that belong to a world.
    pub fn leave_world(&mut self) {
        self.0
            .retain(|(change, _)| matches!(change, Change::Config(_)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(scale: f32) -> Change {
        let mut config = UserConfig::default();
        config.scale = scale;
        Change::Config(Box::new(config))
    }

    #[test]
    fn dragged_slider_is_one_change() {
        let (mut changes, start) = (Changes::default(), Instant::now());
        for (tenths, scale) in (0..).zip([1.0, 1.1, 1.2]) {
            changes.note(config(scale), start + Duration::from_millis(100 * tenths));
        }
        changes.note(config(1.3), start + 2 * TOGETHER);
        assert_eq!(changes.pop(), Some(config(1.3)));
        assert_eq!(changes.pop(), Some(config(1.0)));
        assert_eq!(changes.pop(), None);
    }

    #[test]
    fn only_the_last_branch_comes_back() {
        let (mut changes, now) = (Changes::default(), Instant::now());
        changes.note(Change::Branch, now);
        changes.note(config(1.0), now);
        changes.note(Change::Branch, now);
        assert_eq!(changes.pop(), Some(Change::Branch));
        assert_eq!(changes.pop(), Some(config(1.0)));
        assert_eq!(changes.pop(), None);
    }

    #[test]
    fn old_changes_are_forgotten() {
        let (mut changes, start) = (Changes::default(), Instant::now());
        for i in 0..60 {
            changes.note(config(i as f32), start + i * TOGETHER);
        }
        assert_eq!(changes.0.len(), MAX_CHANGES);
        changes.note(Change::Branch, start);
        changes.leave_world();
        assert_eq!(changes.0.len(), MAX_CHANGES - 1);
    }
}
