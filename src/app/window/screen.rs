//! What the window shows: the game, a page, or a game played from the "New world" page.

use std::collections::BTreeSet;

use driftless_worlds::SimulatorKind;

/// What the window currently shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Screen {
    /// The main game.
    Game,
    /// The "New world" page.
    NewWorld {
        /// Whether going back resumes the game.
        resume: bool,
    },
    /// The worlds page.
    Worlds {
        /// Whether closing the page resumes the game.
        resume: bool,
    },
    /// The page of a transport network.
    Cells {
        /// Whether closing the page resumes the game.
        resume: bool,
    },
    /// The page that makes clips from words.
    Film {
        /// Whether closing the page resumes the game.
        resume: bool,
    },
    /// The episodes of a dataset.
    Browse {
        /// Whether closing the page resumes the game.
        resume: bool,
    },
    /// A simulator whose every frame is recorded.
    Recording(SimulatorKind, Episodes),
    /// The current checkpoint of a training run.
    TryOut,
}

/// The episodes seen in a recording, by the sequence number of their first frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Episodes(BTreeSet<u64>);

impl Screen {
    /// Whether leaving the page that covers the game resumes it; `None` if there is no page.
    pub fn resume(&self) -> Option<bool> {
        match self {
            Self::NewWorld { resume }
            | Self::Worlds { resume }
            | Self::Cells { resume }
            | Self::Film { resume }
            | Self::Browse { resume } => Some(*resume),
            Self::Game | Self::Recording(..) | Self::TryOut => None,
        }
    }
}

impl Episodes {
    /// Adds the one whose first frame has this number.
    pub fn insert(&mut self, first: u64) {
        self.0.insert(first);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
