//! The list of simulators.

use driftless_data::DatasetInfo;

use crate::Simulator;
use crate::drive::Drive;
use crate::maze::Maze;

/// The simulators, as the command line names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum SimulatorKind {
    /// A maze in first person.
    Maze,
    /// A car on a track, from above.
    Drive,
    /// The same car with axes for steering and pedals instead of keys.
    Steer,
}

impl SimulatorKind {
    /// Every simulator.
    pub const ALL: [Self; 3] = [Self::Maze, Self::Drive, Self::Steer];

    /// Creates the simulator with the world of `seed`.
    pub fn open(self, seed: u64) -> Box<dyn Simulator> {
        match self {
            Self::Maze => Box::new(Maze::new(seed)),
            Self::Drive => Box::new(Drive::new(seed)),
            Self::Steer => Box::new(Drive::with_axes(seed)),
        }
    }

    /// The simulator with this name, in upper or lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut kinds = Self::ALL.into_iter();
        kinds.find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// The simulator with the same frame size, actions and axes as `world`, if there is one.
    pub fn matching(world: &DatasetInfo) -> Option<Self> {
        let names = |info: &DatasetInfo| -> Vec<String> {
            let axes = info.axes.iter().map(|axis| &axis.name);
            let names = info.actions.iter().map(|action| &action.name).chain(axes);
            names.cloned().collect()
        };
        let matches = |kind: &Self| {
            let simulator = kind.open(0).info();
            simulator.image == world.image && names(&simulator) == names(world)
        };
        Self::ALL.into_iter().find(matches)
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Maze => "maze",
            Self::Drive => "drive",
            Self::Steer => "steer",
        }
    }

    /// The name for display, which is also the world's.
    pub fn title(self) -> &'static str {
        match self {
            Self::Maze => "Maze",
            Self::Drive => "Drive",
            Self::Steer => "Steer",
        }
    }

    /// A one-sentence description.
    pub fn description(self) -> &'static str {
        match self {
            Self::Maze => "A walk among coloured walls, in first person.",
            Self::Drive => "A car on a closed track, from above.",
            Self::Steer => "The car of Drive, steered by a stick or the mouse.",
        }
    }

    /// What to do in it, in one sentence to the player.
    pub fn goal(self) -> &'static str {
        match self {
            Self::Maze => "Look round, turn away and come back: is it still the same place?",
            Self::Drive | Self::Steer => "Stay on the road, as fast as you dare.",
        }
    }
}
