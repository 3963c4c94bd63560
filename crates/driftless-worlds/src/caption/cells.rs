//! What a picture of cells shows: how many cells, how strong a dose, and what the drug has done to them.

use std::path::Path;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use driftless_data::PathError as _;
use driftless_data::cells::{CellDataset, TRUTH};

use super::fact::{DoseLevel, Fact, FactKind};
use super::{CaptionPlan, Described, caption, chosen};
use crate::cells::{MECHANISMS, hill};
use crate::{Error, Result};

/// Shares of a drug's full effect: below the first the dose is low, above the second high.
const EFFECTS: [f32; 2] = [0.25, 0.75];

/// Captions the pictures of a dataset one by one. See [`super::describe`].
pub(super) fn describe(
    folder: &Path,
    plan: &CaptionPlan,
    tick: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Described> {
    if plan.lengths != [1] {
        return Err(Error::Argument(format!(
            "frames are {:?}, expected 1: pictures of cells are stills",
            plan.lengths
        )));
    }
    let data = CellDataset::read(folder)?;
    let Some(truth) = data.read_truth()? else {
        let what = format!(
            "has no {TRUTH}: captions can be told from recordings of the simulator of cells only"
        );
        return Err(Error::invalid(folder, what));
    };
    let compounds = data.info.compounds.iter();
    let mechanisms: Vec<Option<usize>> = compounds
        .map(|compound| {
            let name = compound.mechanism.as_deref()?;
            MECHANISMS.iter().position(|known| known.name == name)
        })
        .collect();
    let mut described = Described {
        captions: Vec::new(),
        clips: data.len(),
    };
    let mut first = 0;
    for (index, shard) in data.info.shards.iter().enumerate() {
        for row in 0..shard.pictures {
            let at = first + row;
            let treatment = data.compound[at].map(|compound| {
                let drug = &truth.info.drugs[compound];
                let effect = hill(data.dose[at], drug.ec50, drug.hill);
                (effect, mechanisms[compound])
            });
            let cells = truth.cells.as_ref().map(|cells| cells[at]);
            let facts = facts(cells, treatment).into_iter();
            let (of_drug, others) = facts.partition(|fact| fact.kind() != FactKind::Cells);
            let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
            rng.set_stream((index as u64) << 32 | row as u64);
            let facts = chosen(of_drug, others, &mut rng);
            let clip = row..row + 1;
            let caption = caption(&facts, &shard.file, clip, plan, &mut rng);
            described.captions.extend(caption);
        }
        first += shard.pictures;
        if !tick(shard.pictures) {
            return Err(driftless_data::Error::Interrupted.into());
        }
    }
    Ok(described)
}

/// What is clear about a picture with so many cells, of which the treated have a share of the drug's full effect
/// and the drug's main mechanism. An effect that can hardly be seen is not said.
fn facts(cells: Option<u8>, treatment: Option<(f32, Option<usize>)>) -> Vec<Fact> {
    let [low, high] = EFFECTS;
    let (dose, effect) = match treatment {
        None => (DoseLevel::None, None),
        Some((effect, _)) if effect < low => (DoseLevel::Low, None),
        Some((effect, mechanism)) if effect <= high => (DoseLevel::Medium, mechanism),
        Some((_, mechanism)) => (DoseLevel::High, mechanism),
    };
    let mut facts = vec![Fact::Dose(dose)];
    facts.extend(effect.map(Fact::Effect));
    facts.extend(cells.map(|cells| Fact::Cells(cells.into())));
    facts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::caption::Language;
    use crate::cells::{CellPlan, CellWorld, record};

    fn plan() -> CaptionPlan {
        CaptionPlan {
            lengths: vec![1],
            ..CaptionPlan::default()
        }
    }

    /// A recording of the simulator with so many controls.
    fn recorded(folder: &Path, controls: usize) {
        let plan = CellPlan {
            seed: 3,
            cells: 1,
            controls,
        };
        record(&plan, folder, &|_| true).unwrap();
    }

    fn told(cells: Option<u8>, treatment: Option<(f32, Option<usize>)>) -> Vec<String> {
        facts(cells, treatment)
            .iter()
            .map(Fact::to_string)
            .collect()
    }

    #[test]
    fn dose_is_what_it_does() {
        assert_eq!(told(Some(2), None), ["dose:none", "cells:2"]);
        assert_eq!(told(None, Some((0.1, Some(0)))), ["dose:low"]);
        let medium = ["dose:medium", "effect:DNA-damage", "cells:1"];
        assert_eq!(told(Some(1), Some((0.5, Some(3)))), medium);
        assert_eq!(told(None, Some((0.9, None))), ["dose:high"]);
    }

    #[test]
    fn pictures_are_described_from_the_truth() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("data");
        recorded(&folder, 3);
        let described = super::super::describe(&folder, &plan(), &|_| true).unwrap();
        let data = CellDataset::read(&folder).unwrap();
        assert_eq!(super::super::frames(&folder).unwrap(), data.len());
        assert_eq!(described.clips, data.len());
        assert_eq!(described.captions.len(), data.len());
        assert_eq!(described, describe(&folder, &plan(), &|_| true).unwrap());
        let world = CellWorld::new(3);
        let mut said = BTreeSet::new();
        for (at, caption) in described.captions.iter().enumerate() {
            assert_eq!(caption.texts.keys().collect::<Vec<_>>(), ["en", "ru"]);
            let facts: Vec<Fact> = caption.facts.iter().map(|f| f.parse().unwrap()).collect();
            assert!(!facts.is_empty() && facts.is_sorted());
            for fact in facts {
                let drug = data.compound[at].map(|drug| &world.drugs[drug]);
                match fact {
                    Fact::Cells(count) => {
                        assert_eq!(count, world.cell(at as u64).count());
                    }
                    Fact::Dose(level) => assert_eq!(level == DoseLevel::None, drug.is_none()),
                    Fact::Effect(which) => assert_eq!(which, drug.unwrap().main_mechanism()),
                    other => panic!("{other}"),
                }
                said.insert(fact.to_string());
            }
        }
        // Every mechanism, four doses, one to three cells.
        assert_eq!(said.len(), 8 + 4 + 3, "{said:?}");
    }

    #[test]
    fn texts_are_of_their_language() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let facts = (0..MECHANISMS.len()).map(Fact::Effect);
        let facts = facts.chain((1..=3).map(Fact::Cells));
        for fact in facts.chain(DoseLevel::ALL.map(Fact::Dose)) {
            for language in Language::ALL {
                let texts = super::super::grammar::texts(language, &[fact], 2, &mut rng);
                assert_eq!(texts.len(), 2, "{fact}");
                let is_russian = |text: &String| text.chars().any(|c| c > '\u{400}');
                let expected = language == Language::Russian;
                assert!(
                    texts.iter().all(|text| is_russian(text) == expected),
                    "{texts:?}"
                );
            }
        }
    }

    #[test]
    fn clips_and_real_pictures_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("data");
        recorded(&folder, 1);
        let refuse = |plan: &CaptionPlan| {
            let error = super::super::describe(&folder, plan, &|_| true);
            error.unwrap_err().to_string()
        };
        let error = refuse(&CaptionPlan::default());
        assert!(error.contains("[16], expected 1"), "{error}");
        std::fs::remove_file(folder.join(TRUTH)).unwrap();
        let error = refuse(&plan());
        assert!(error.contains("has no truth.json"), "{error}");
    }
}
