//! Captions in English.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::clauses::{CellWords, DriveWords, Grouped, fill, in_order, listed, one, shuffled};
use super::fact::{Bend, DoseLevel, Ground, MotionKind, Pace, Place, Side};

/// The mood of a text's verbs.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    /// "walk forward".
    Order,
    /// "walking forward".
    Doing,
    /// "a walk forward".
    Noun,
}

/// The colours of walls, in the palette's order.
const WALLS: [&[&str]; 5] = [
    &["red", "red", "brick-red", "reddish"],
    &["teal", "teal", "turquoise", "blue-green"],
    &["yellow", "yellow", "ochre", "sand-coloured"],
    &["purple", "purple", "violet", "lilac"],
    &["green", "green", "grass-green"],
];
/// Adjectives and nouns of the objects, in the palette's order.
const OBJECTS: [(&[&str], &[&str]); 4] = [
    (&["red", "red", "scarlet"], &["pillar", "column", "post"]),
    (&["blue", "blue", "bright blue"], &["ball", "sphere"]),
    (
        &["yellow", "yellow", "lemon"],
        &["pillar", "column", "post"],
    ),
    (&["pink", "pink", "magenta"], &["ball", "sphere"]),
];

const TWO: [&str; 6] = [
    "{0}, then {1}",
    "{0} and then {1}",
    "first {0}, then {1}",
    "{0}, after that {1}",
    "{0}, next {1}",
    "{0}, followed by {1}",
];
/// Those of [`TWO`] that fit orders.
const TWO_ORDERS: usize = 5;
const THREE: [&str; 4] = [
    "{0}, then {1}, then {2}",
    "first {0}, then {1}, finally {2}",
    "{0}, then {1} and finally {2}",
    "{0}, after that {1}, and at the end {2}",
];

/// The text of some facts.
pub(super) fn text(facts: &Grouped, rng: &mut ChaCha8Rng) -> String {
    let motion = motion(&facts.motions, rng);
    let with = rng.random_bool(0.25);
    let mut sights: Vec<String> = Vec::new();
    sights.extend(
        facts
            .walls
            .iter()
            .map(|(sides, colour)| wall(sides, *colour, with, rng)),
    );
    sights.extend(
        facts
            .objects
            .iter()
            .map(|(place, which)| object(*place, *which, with, rng)),
    );
    let sights = listed(&shuffled(sights, rng), "and", rng);
    for whole in [DRIVE.text(facts, rng), CELLS.text(facts, rng)] {
        if !whole.is_empty() {
            return whole;
        }
    }
    match (motion.is_empty(), sights.is_empty()) {
        (false, true) => motion,
        (true, _) => sights,
        _ if with => format!("{motion}, with {sights}"),
        _ if rng.random_bool(0.35) => format!("{sights}; {motion}"),
        _ => format!("{motion}; {sights}"),
    }
}

fn motion(kinds: &[MotionKind], rng: &mut ChaCha8Rng) -> String {
    let style = match rng.random_range(0..10) {
        0..6 => Style::Order,
        6..9 => Style::Doing,
        _ => Style::Noun,
    };
    let phases: Vec<String> = kinds
        .iter()
        .map(|&kind| one(verbs(kind, style), rng).to_owned())
        .collect();
    let two = match style {
        Style::Order => &TWO[..TWO_ORDERS],
        Style::Doing | Style::Noun => &TWO[..],
    };
    in_order(&phases, two, &THREE, rng)
}

fn verbs(kind: MotionKind, style: Style) -> &'static [&'static str] {
    use MotionKind::*;
    use Style::*;
    match (kind, style) {
        (Still, Order) => &[
            "stand still",
            "stay where you are",
            "wait",
            "do not move",
            "stop",
            "pause",
        ],
        (Still, Doing) => &["standing still", "waiting", "not moving", "staying put"],
        (Still, Noun) => &["a pause", "a moment of standing still"],
        (Forward, Order) => &[
            "walk forward",
            "go forward",
            "go ahead",
            "walk ahead",
            "move straight on",
            "walk straight ahead",
            "head forward",
            "advance",
        ],
        (Forward, Doing) => &[
            "walking forward",
            "going ahead",
            "moving straight on",
            "walking straight ahead",
            "heading forward",
        ],
        (Forward, Noun) => &["a walk ahead", "a few steps forward", "a walk straight on"],
        (Back, Order) => &[
            "walk backwards",
            "go back",
            "back up",
            "step back",
            "move backwards",
            "retreat",
        ],
        (Back, Doing) => &[
            "walking backwards",
            "backing up",
            "moving back",
            "stepping backwards",
        ],
        (Back, Noun) => &["a few steps back", "a retreat"],
        (StrafeLeft, Order) => &[
            "step to the left",
            "sidestep left",
            "move sideways to the left",
            "strafe left",
        ],
        (StrafeLeft, Doing) => &[
            "stepping to the left",
            "moving sideways to the left",
            "strafing left",
        ],
        (StrafeLeft, Noun) => &["a few steps to the left", "a sidestep to the left"],
        (StrafeRight, Order) => &[
            "step to the right",
            "sidestep right",
            "move sideways to the right",
            "strafe right",
        ],
        (StrafeRight, Doing) => &[
            "stepping to the right",
            "moving sideways to the right",
            "strafing right",
        ],
        (StrafeRight, Noun) => &["a few steps to the right", "a sidestep to the right"],
        (TurnLeft, Order) => &[
            "turn left",
            "turn to the left",
            "rotate left",
            "look round to the left",
            "turn left on the spot",
        ],
        (TurnLeft, Doing) => &[
            "turning left",
            "turning to the left",
            "rotating to the left",
            "looking round to the left",
        ],
        (TurnLeft, Noun) => &["a turn to the left", "a left turn"],
        (TurnRight, Order) => &[
            "turn right",
            "turn to the right",
            "rotate right",
            "look round to the right",
            "turn right on the spot",
        ],
        (TurnRight, Doing) => &[
            "turning right",
            "turning to the right",
            "rotating to the right",
            "looking round to the right",
        ],
        (TurnRight, Noun) => &["a turn to the right", "a right turn"],
        (ForwardLeft, Order) => &[
            "walk forward in a curve to the left",
            "bear left",
            "walk in an arc to the left",
            "veer left",
        ],
        (ForwardLeft, Doing) => &[
            "curving left while walking",
            "bearing left",
            "walking in an arc to the left",
        ],
        (ForwardLeft, Noun) => &["a curve to the left", "an arc to the left"],
        (ForwardRight, Order) => &[
            "walk forward in a curve to the right",
            "bear right",
            "walk in an arc to the right",
            "veer right",
        ],
        (ForwardRight, Doing) => &[
            "curving right while walking",
            "bearing right",
            "walking in an arc to the right",
        ],
        (ForwardRight, Noun) => &["a curve to the right", "an arc to the right"],
    }
}

fn side(side: Side) -> &'static [&'static str] {
    match side {
        Side::Left => &[
            "on the left",
            "on the left",
            "to the left",
            "on the left side",
        ],
        Side::Ahead => &[
            "ahead",
            "ahead",
            "straight ahead",
            "in front",
            "in the middle",
        ],
        Side::Right => &[
            "on the right",
            "on the right",
            "to the right",
            "on the right side",
        ],
    }
}

/// "a" or "an" before a word.
fn with_article(words: &str) -> String {
    let vowel = words.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {words}", if vowel { "an" } else { "a" })
}

/// Walls of a colour; as a noun phrase if it follows "with".
fn wall(sides: &[Side], colour: usize, noun: bool, rng: &mut ChaCha8Rng) -> String {
    let colour = one(WALLS[colour % WALLS.len()], rng);
    let templates: &[&str] = match sides {
        [only] => {
            let place = one(side(*only), rng);
            let named = with_article(colour);
            let templates = [
                "{n} wall {p}",
                "{n} wall {p}",
                "{p} {n} wall",
                "the wall {p} is {a}",
                "there is {n} wall {p}",
            ];
            let fitting = if noun {
                &templates[..1]
            } else {
                &templates[..]
            };
            return fill(one(fitting, rng), colour, &named, place);
        }
        [Side::Left, Side::Right] => &["{a} walls on both sides", "{a} walls left and right"],
        [Side::Left, Side::Ahead] => &[
            "{a} walls ahead and on the left",
            "{a} walls in front and to the left",
        ],
        [Side::Ahead, Side::Right] => &[
            "{a} walls ahead and on the right",
            "{a} walls in front and to the right",
        ],
        _ => &[
            "{a} walls everywhere",
            "only {a} walls",
            "nothing but {a} walls",
        ],
    };
    fill(one(templates, rng), colour, "", "")
}

fn object(place: Place, object: usize, noun: bool, rng: &mut ChaCha8Rng) -> String {
    let (colours, names) = OBJECTS[object % OBJECTS.len()];
    let (colour, name) = (one(colours, rng), one(names, rng));
    let named = format!("{} {name}", with_article(colour));
    let (place, templates): (&str, &[&str]) = match (place, noun) {
        (Place::At(at), true) => (one(side(at), rng), &["{n} {p}"]),
        (Place::At(at), false) => (
            one(side(at), rng),
            &[
                "{n} {p}",
                "{n} {p}",
                "{p} {n}",
                "there is {n} {p}",
                "{n} can be seen {p}",
            ],
        ),
        (Place::Seen, true) => ("", &["{n} in view", "{n} in sight"]),
        (Place::Seen, false) => (
            "",
            &[
                "{n} in view",
                "{n} in sight",
                "{n} can be seen",
                "there is {n}",
            ],
        ),
    };
    fill(one(templates, rng), colour, &named, place)
}

const DRIVE: DriveWords = DriveWords {
    two: TWO.split_at(TWO_ORDERS).0,
    three: &THREE,
    course,
    speed,
    surface,
};

fn course(bend: Bend) -> &'static [&'static str] {
    match bend {
        Bend::Straight => &[
            "a straight road",
            "the road runs straight",
            "a straight stretch",
            "a straight",
        ],
        Bend::Left => &[
            "a left bend",
            "the road bends to the left",
            "a left-hand corner",
            "a bend to the left",
        ],
        Bend::Right => &[
            "a right bend",
            "the road bends to the right",
            "a right-hand corner",
            "a bend to the right",
        ],
    }
}

fn speed(pace: Pace) -> &'static [&'static str] {
    match pace {
        Pace::Standing => &["standing still", "the car stands still", "parked"],
        Pace::Slow => &["slowly", "at low speed", "a slow drive", "the car crawls"],
        Pace::Fast => &[
            "fast",
            "at high speed",
            "a fast drive",
            "the car races along",
        ],
        Pace::Faster => &[
            "speeding up",
            "accelerating",
            "the car gathers speed",
            "faster and faster",
        ],
        Pace::Slower => &[
            "slowing down",
            "braking",
            "the car loses speed",
            "slower and slower",
        ],
    }
}

fn surface(ground: Ground) -> &'static [&'static str] {
    match ground {
        Ground::Road => &["on the road", "on the track", "the car stays on the road"],
        Ground::Grass => &[
            "off the road",
            "on the grass",
            "through the grass",
            "beside the road",
        ],
        Ground::Leaving => &[
            "leaving the road",
            "running off the road",
            "from the road onto the grass",
        ],
        Ground::Returning => &[
            "returning to the road",
            "coming back onto the road",
            "from the grass onto the road",
        ],
    }
}

const CELLS: CellWords = CellWords {
    dose,
    effects: [
        &[
            "microtubules dissolved",
            "hardly any microtubules left",
            "the microtubule network has fallen apart",
            "diffuse tubulin",
        ],
        &[
            "thick bundles of microtubules",
            "bundled microtubules",
            "microtubules in strong bundles",
        ],
        &[
            "actin destroyed",
            "no stress fibres, ragged outlines",
            "the actin skeleton has collapsed",
        ],
        &[
            "large nuclei with bright foci",
            "swollen nuclei full of foci",
            "damaged DNA, bright spots in the nucleus",
        ],
        &[
            "faint actin and tubulin, small nuclei",
            "pale cells with small nuclei",
            "little protein, smooth small nuclei",
        ],
        &[
            "lobed nuclei",
            "nuclei in several lobes",
            "large nuclei that fall into lobes",
        ],
        &[
            "many vesicles",
            "full of vesicles",
            "bright vesicles all over",
        ],
        &[
            "widely spread, many stress fibres",
            "large flat cells with stress fibres",
            "spread out flat, thick cortex",
        ],
    ],
    counts: [
        &["one cell", "a single cell", "a cell alone"],
        &["two cells", "a pair of cells", "a cell with a neighbour"],
        &[
            "three cells",
            "a group of three cells",
            "a cell with two neighbours",
        ],
    ],
};

fn dose(dose: DoseLevel) -> &'static [&'static str] {
    match dose {
        DoseLevel::None => &["untreated", "a control", "without a drug", "not treated"],
        DoseLevel::Low => &["a low dose", "a small dose", "hardly treated"],
        DoseLevel::Medium => &["a medium dose", "a moderate dose", "treated moderately"],
        DoseLevel::High => &["a high dose", "a large dose", "strongly treated"],
    }
}
