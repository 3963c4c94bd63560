//! What can be said of a clip, in a form that can be checked.

use std::fmt;
use std::str::FromStr;

use crate::cells::MECHANISMS;
use crate::maze::{OBJECT_PALETTE, WALL_PALETTE};

/// The names of the maze's wall colours, in the order of [`WALL_PALETTE`].
pub const WALL_NAMES: [&str; WALL_PALETTE.len()] = ["red", "teal", "yellow", "purple", "green"];
/// The names of the maze's objects, in the order of [`OBJECT_PALETTE`].
pub const OBJECT_NAMES: [&str; OBJECT_PALETTE.len()] =
    ["red-pillar", "blue-ball", "yellow-pillar", "pink-ball"];

/// A part of the picture: a third of its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The left third.
    Left,
    /// The middle.
    Ahead,
    /// The right third.
    Right,
}

impl Side {
    /// From the left to the right.
    pub const ALL: [Self; 3] = [Self::Left, Self::Ahead, Self::Right];

    /// The side of a column in a picture of `width` columns.
    pub fn of_column(column: usize, width: usize) -> Self {
        match 3 * column / width.max(1) {
            0 => Self::Left,
            1 => Self::Ahead,
            _ => Self::Right,
        }
    }

    fn name(self) -> &'static str {
        ["left", "ahead", "right"][self as usize]
    }
}

/// How the walker moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MotionKind {
    /// Neither moves nor turns.
    Still,
    /// Straight ahead.
    Forward,
    /// Straight back.
    Back,
    /// Sideways to the left, looking ahead.
    StrafeLeft,
    /// Sideways to the right.
    StrafeRight,
    /// Turns left on the spot.
    TurnLeft,
    /// Turns right on the spot.
    TurnRight,
    /// Ahead in a curve to the left.
    ForwardLeft,
    /// Ahead in a curve to the right.
    ForwardRight,
}

impl MotionKind {
    /// Every motion.
    pub const ALL: [Self; 9] = [
        Self::Still,
        Self::Forward,
        Self::Back,
        Self::StrafeLeft,
        Self::StrafeRight,
        Self::TurnLeft,
        Self::TurnRight,
        Self::ForwardLeft,
        Self::ForwardRight,
    ];

    fn name(self) -> &'static str {
        [
            "still",
            "forward",
            "back",
            "strafe-left",
            "strafe-right",
            "turn-left",
            "turn-right",
            "forward-left",
            "forward-right",
        ][self as usize]
    }
}

/// Where an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// In one third of the picture, nearly whenever it is seen.
    At(Side),
    /// In sight, now here, now there.
    Seen,
}

/// The course of a road.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bend {
    /// No bend.
    Straight,
    /// Bends to the left.
    Left,
    /// Bends to the right.
    Right,
}

impl Bend {
    /// Every course.
    pub const ALL: [Self; 3] = [Self::Straight, Self::Left, Self::Right];

    fn name(self) -> &'static str {
        ["straight", "bend-left", "bend-right"][self as usize]
    }
}

/// How fast a car is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pace {
    /// Stands.
    Standing,
    /// Slow throughout.
    Slow,
    /// Fast throughout.
    Fast,
    /// Gains speed.
    Faster,
    /// Loses speed.
    Slower,
}

impl Pace {
    /// Every pace.
    pub const ALL: [Self; 5] = [
        Self::Standing,
        Self::Slow,
        Self::Fast,
        Self::Faster,
        Self::Slower,
    ];

    fn name(self) -> &'static str {
        ["standing", "slow", "fast", "faster", "slower"][self as usize]
    }
}

/// What a car drives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ground {
    /// The road, throughout.
    Road,
    /// The grass, throughout.
    Grass,
    /// First the road, then the grass.
    Leaving,
    /// First the grass, then the road.
    Returning,
}

impl Ground {
    /// Every ground.
    pub const ALL: [Self; 4] = [Self::Road, Self::Grass, Self::Leaving, Self::Returning];

    fn name(self) -> &'static str {
        ["road", "grass", "leaving", "returning"][self as usize]
    }
}

/// How strongly cells are treated: the share of the drug's full effect at its dose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DoseLevel {
    /// Not at all: a control.
    None,
    /// Below a quarter.
    Low,
    /// From a quarter to three quarters.
    Medium,
    /// Above three quarters.
    High,
}

impl DoseLevel {
    /// Every level.
    pub const ALL: [Self; 4] = [Self::None, Self::Low, Self::Medium, Self::High];

    fn name(self) -> &'static str {
        ["none", "low", "medium", "high"][self as usize]
    }
}

/// The name of a mechanism, an index into [`MECHANISMS`], as one word.
fn effect_name(mechanism: usize) -> String {
    MECHANISMS[mechanism % MECHANISMS.len()]
        .name
        .replace(' ', "-")
}

/// One thing that can be said of a clip. Its text is `KIND:…`: `motion:0:forward`, `wall:right:red`,
/// `object:ahead:blue-ball`, `road:0:bend-left`, `pace:fast`, `ground:grass`, `dose:high`,
/// `effect:Eg5-inhibitor`, `cells:2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fact {
    /// The walker's motion in a phase of the clip, counted from 0.
    Motion(usize, MotionKind),
    /// The wall colour that fills a side in most frames, an index into [`WALL_NAMES`].
    Wall(Side, usize),
    /// An object in sight, an index into [`OBJECT_NAMES`].
    Object(Place, usize),
    /// The road's course in a phase of the clip.
    Road(usize, Bend),
    /// The car's pace.
    Pace(Pace),
    /// What the car drives on.
    Ground(Ground),
    /// How strongly cells are treated.
    Dose(DoseLevel),
    /// The main mechanism of their drug, an index into [`MECHANISMS`].
    Effect(usize),
    /// The number of cells in the picture.
    Cells(usize),
}

/// The kinds of facts, as their texts begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FactKind {
    /// [`Fact::Motion`].
    Motion,
    /// [`Fact::Wall`].
    Wall,
    /// [`Fact::Object`].
    Object,
    /// [`Fact::Road`].
    Road,
    /// [`Fact::Pace`].
    Pace,
    /// [`Fact::Ground`].
    Ground,
    /// [`Fact::Dose`].
    Dose,
    /// [`Fact::Effect`].
    Effect,
    /// [`Fact::Cells`].
    Cells,
}

impl FactKind {
    /// The word before the colon.
    pub fn name(self) -> &'static str {
        [
            "motion", "wall", "object", "road", "pace", "ground", "dose", "effect", "cells",
        ][self as usize]
    }
}

impl Fact {
    /// Its kind.
    pub fn kind(self) -> FactKind {
        match self {
            Self::Motion(..) => FactKind::Motion,
            Self::Wall(..) => FactKind::Wall,
            Self::Object(..) => FactKind::Object,
            Self::Road(..) => FactKind::Road,
            Self::Pace(_) => FactKind::Pace,
            Self::Ground(_) => FactKind::Ground,
            Self::Dose(_) => FactKind::Dose,
            Self::Effect(_) => FactKind::Effect,
            Self::Cells(_) => FactKind::Cells,
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind().name();
        match *self {
            Self::Motion(phase, motion) => write!(f, "{kind}:{phase}:{}", motion.name()),
            Self::Wall(side, colour) => {
                write!(
                    f,
                    "{kind}:{}:{}",
                    side.name(),
                    WALL_NAMES[colour % WALL_NAMES.len()]
                )
            }
            Self::Object(place, object) => {
                let place = match place {
                    Place::At(side) => side.name(),
                    Place::Seen => "seen",
                };
                write!(
                    f,
                    "{kind}:{place}:{}",
                    OBJECT_NAMES[object % OBJECT_NAMES.len()]
                )
            }
            Self::Road(phase, bend) => write!(f, "{kind}:{phase}:{}", bend.name()),
            Self::Pace(pace) => write!(f, "{kind}:{}", pace.name()),
            Self::Ground(ground) => write!(f, "{kind}:{}", ground.name()),
            Self::Dose(dose) => write!(f, "{kind}:{}", dose.name()),
            Self::Effect(mechanism) => write!(f, "{kind}:{}", effect_name(mechanism)),
            Self::Cells(count) => write!(f, "{kind}:{count}"),
        }
    }
}

impl FromStr for Fact {
    type Err = String;

    /// Reads the text that [`Fact`] is displayed as.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let index = |names: &[&str], name: &str| names.iter().position(|known| *known == name);
        let side = |name: &str| Side::ALL.into_iter().find(|side| side.name() == name);
        let found = match parts[..] {
            ["motion", phase, name] => phase.parse().ok().and_then(|phase| {
                let kind = MotionKind::ALL
                    .into_iter()
                    .find(|kind| kind.name() == name)?;
                Some(Self::Motion(phase, kind))
            }),
            ["wall", at, name] => {
                side(at).and_then(|side| Some(Self::Wall(side, index(&WALL_NAMES, name)?)))
            }
            ["object", at, name] => index(&OBJECT_NAMES, name).and_then(|object| {
                let place = match at {
                    "seen" => Place::Seen,
                    at => Place::At(side(at)?),
                };
                Some(Self::Object(place, object))
            }),
            ["road", phase, name] => phase.parse().ok().and_then(|phase| {
                let bend = Bend::ALL.into_iter().find(|bend| bend.name() == name)?;
                Some(Self::Road(phase, bend))
            }),
            ["pace", name] => {
                let pace = Pace::ALL.into_iter().find(|pace| pace.name() == name);
                pace.map(Self::Pace)
            }
            ["ground", name] => {
                let ground = Ground::ALL.into_iter().find(|ground| ground.name() == name);
                ground.map(Self::Ground)
            }
            ["dose", name] => {
                let dose = DoseLevel::ALL.into_iter().find(|dose| dose.name() == name);
                dose.map(Self::Dose)
            }
            ["effect", name] => {
                let mechanism = (0..MECHANISMS.len()).find(|&i| effect_name(i) == name);
                mechanism.map(Self::Effect)
            }
            ["cells", count] => count.parse().ok().map(Self::Cells),
            _ => None,
        };
        found.ok_or_else(|| {
            format!("{text:?} is no fact, expected one such as motion:0:forward or wall:right:red")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_as_written() {
        let motions = MotionKind::ALL.map(|kind| Fact::Motion(2, kind)).to_vec();
        let walls = (0..WALL_NAMES.len()).map(|colour| Fact::Wall(Side::Right, colour));
        let objects = (0..OBJECT_NAMES.len())
            .flat_map(|i| [Place::Seen, Place::At(Side::Left)].map(|at| Fact::Object(at, i)));
        let drive = Bend::ALL.map(|bend| Fact::Road(0, bend)).into_iter();
        let paces = Pace::ALL
            .map(Fact::Pace)
            .into_iter()
            .chain(Ground::ALL.map(Fact::Ground));
        let cells = DoseLevel::ALL
            .map(Fact::Dose)
            .into_iter()
            .chain((0..MECHANISMS.len()).map(Fact::Effect))
            .chain([Fact::Cells(3)]);
        let all = motions
            .into_iter()
            .chain(walls)
            .chain(objects)
            .chain(drive)
            .chain(paces)
            .chain(cells);
        for fact in all {
            assert_eq!(fact.to_string().parse(), Ok(fact));
        }
        assert_eq!(Fact::Wall(Side::Right, 0).to_string(), "wall:right:red");
        assert_eq!(
            Fact::Object(Place::At(Side::Ahead), 1).to_string(),
            "object:ahead:blue-ball"
        );
        for wrong in [
            "",
            "wall",
            "wall:up:red",
            "motion:x:still",
            "object:left:cat",
            "pace:fast:x",
            "effect:sleep",
            "cells:many",
        ] {
            assert!(wrong.parse::<Fact>().unwrap_err().contains(wrong));
        }
    }

    #[test]
    fn sides_are_thirds() {
        let sides: Vec<Side> = (0..64).map(|column| Side::of_column(column, 64)).collect();
        let count = |side| sides.iter().filter(|&&found| found == side).count();
        assert_eq!(Side::ALL.map(count), [22, 21, 21]);
        assert!(sides.is_sorted());
    }
}
