//! Clauses: how facts are grouped, and how words are put together, in any language.

use rand::Rng;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::cells::MECHANISMS;

use super::fact::{Bend, DoseLevel, Fact, Ground, MotionKind, Pace, Place, Side};

/// Facts by what is said in one clause.
#[derive(Debug, Default)]
pub(super) struct Grouped {
    pub motions: Vec<MotionKind>,
    /// The sides that walls of one colour fill, and the colour.
    pub walls: Vec<(Vec<Side>, usize)>,
    pub objects: Vec<(Place, usize)>,
    pub road: Vec<Bend>,
    pub pace: Option<Pace>,
    pub ground: Option<Ground>,
    pub dose: Option<DoseLevel>,
    pub effect: Option<usize>,
    pub cells: Option<usize>,
}

impl Grouped {
    pub fn of(facts: &[Fact]) -> Self {
        let mut grouped = Self::default();
        for fact in facts {
            match *fact {
                Fact::Motion(_, kind) => grouped.motions.push(kind),
                Fact::Wall(side, colour) => {
                    let same = grouped.walls.iter_mut().find(|(_, known)| *known == colour);
                    match same {
                        Some((sides, _)) => sides.push(side),
                        None => grouped.walls.push((vec![side], colour)),
                    }
                }
                Fact::Object(place, object) => grouped.objects.push((place, object)),
                Fact::Road(_, bend) => grouped.road.push(bend),
                Fact::Pace(pace) => grouped.pace = Some(pace),
                Fact::Ground(ground) => grouped.ground = Some(ground),
                Fact::Dose(dose) => grouped.dose = Some(dose),
                Fact::Effect(mechanism) => grouped.effect = Some(mechanism),
                Fact::Cells(count) => grouped.cells = Some(count),
            }
        }
        grouped
    }
}

/// How a language speaks of a drive.
pub(super) struct DriveWords {
    /// Templates of two and three phases, as of [`in_order`].
    pub two: &'static [&'static str],
    pub three: &'static [&'static str],
    pub course: fn(Bend) -> &'static [&'static str],
    pub speed: fn(Pace) -> &'static [&'static str],
    pub surface: fn(Ground) -> &'static [&'static str],
}

impl DriveWords {
    /// What is said of a drive, or nothing.
    pub fn text(&self, facts: &Grouped, rng: &mut ChaCha8Rng) -> String {
        let bends = facts.road.iter();
        let bends = bends.map(|bend| one((self.course)(*bend), rng).to_owned());
        let bends: Vec<String> = bends.collect();
        let road = in_order(&bends, self.two, self.three, rng);
        let pace = facts
            .pace
            .map(|pace| one((self.speed)(pace), rng).to_owned());
        let ground = facts
            .ground
            .map(|ground| one((self.surface)(ground), rng).to_owned());
        let clauses = Some(road).filter(|road| !road.is_empty()).into_iter();
        shuffled(clauses.chain(pace).chain(ground).collect(), rng).join(", ")
    }
}

/// How a language speaks of cells.
pub(super) struct CellWords {
    pub dose: fn(DoseLevel) -> &'static [&'static str],
    /// What each mechanism does, in the order of [`crate::cells::MECHANISMS`].
    pub effects: [&'static [&'static str]; MECHANISMS.len()],
    /// One cell, two, and three or more.
    pub counts: [&'static [&'static str]; 3],
}

impl CellWords {
    /// What is said of a picture of cells, or nothing.
    pub fn text(&self, facts: &Grouped, rng: &mut ChaCha8Rng) -> String {
        let dose = facts.dose.map(|dose| (self.dose)(dose));
        let effect = facts.effect.map(|i| self.effects[i % self.effects.len()]);
        let count = facts.cells.map(|count| self.counts[count.clamp(1, 3) - 1]);
        let clauses = [dose, effect, count].into_iter().flatten();
        let clauses = clauses.map(|choices| one(choices, rng).to_owned());
        shuffled(clauses.collect(), rng).join(", ")
    }
}

/// One of several.
pub(super) fn one<'a>(choices: &[&'a str], rng: &mut ChaCha8Rng) -> &'a str {
    choices.choose(rng).copied().unwrap_or_default()
}

/// A template with words put in for `{a}`, `{n}` and `{p}`.
pub(super) fn fill(template: &str, adjective: &str, noun: &str, place: &str) -> String {
    template
        .replace("{a}", adjective)
        .replace("{n}", noun)
        .replace("{p}", place)
}

/// Clauses in any order, one after the other.
pub(super) fn shuffled(mut clauses: Vec<String>, rng: &mut ChaCha8Rng) -> Vec<String> {
    for i in (1..clauses.len()).rev() {
        clauses.swap(i, rng.random_range(0..=i));
    }
    clauses
}

/// "A", "A, B" or "A, B and C" with the word for "and"; now and then commas alone.
pub(super) fn listed(items: &[String], and: &str, rng: &mut ChaCha8Rng) -> String {
    match items {
        [rest @ .., last] if !rest.is_empty() && rng.random_bool(0.5) => {
            format!("{} {and} {last}", rest.join(", "))
        }
        _ => items.join(", "),
    }
}

/// Phases in order, with words such as "first", "then" and "finally" between them. Each row of `two` and
/// `three` has places `{0}`, `{1}` and `{2}`.
pub(super) fn in_order(
    phases: &[String],
    two: &[&str],
    three: &[&str],
    rng: &mut ChaCha8Rng,
) -> String {
    let template = match phases {
        [] => return String::new(),
        [only] => return only.clone(),
        [_, _] => one(two, rng),
        [_, _, _] => one(three, rng),
        [first, rest @ ..] => {
            // "First" is said once.
            let rest = in_order(rest, &going_on(two), &going_on(three), rng);
            let pair = [first.clone(), rest];
            return in_order(&pair, two, three, rng);
        }
    };
    let mut text = template.to_owned();
    for (i, phase) in phases.iter().enumerate() {
        text = text.replace(&format!("{{{i}}}"), phase);
    }
    text
}

/// The templates that can follow another phase.
fn going_on<'a>(templates: &[&'a str]) -> Vec<&'a str> {
    let templates = templates.iter().copied();
    templates.filter(|text| text.starts_with("{0}")).collect()
}
