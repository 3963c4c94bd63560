//! Prompt following: what of their prompts clips show.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use driftless_data::{Action, Clip, ClipCaption, Dataset, Episode};
use driftless_worlds::caption::{Fact, FactKind};

use super::reader::ClipReader;
use crate::options::EvalProgress;
use crate::{Error, Result};

/// A text that a clip is asked for by.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// Where a real clip of this kind is, and all its texts.
    pub caption: ClipCaption,
    /// The language.
    pub language: String,
    /// The text.
    pub text: String,
    /// What it says.
    pub facts: Vec<Fact>,
    /// Whether no caption of the training says just these facts.
    pub unseen: bool,
}

/// Chooses `count` prompts among captions, spread evenly, the languages in turn. A combination of facts is
/// unseen if none of the captions in `training` has it.
///
/// # Errors
/// Returns an error if no caption has facts, or one is not read as a fact.
pub fn prompts(
    captions: &[ClipCaption],
    training: &[ClipCaption],
    count: usize,
    seed: u64,
) -> Result<Vec<Prompt>> {
    let combination = |facts: &[String]| facts.iter().cloned().collect::<BTreeSet<String>>();
    let seen: BTreeSet<_> = training
        .iter()
        .map(|caption| combination(&caption.facts))
        .collect();
    let with_facts: Vec<&ClipCaption> = captions.iter().filter(|c| !c.facts.is_empty()).collect();
    if with_facts.is_empty() {
        let what = "prompt following needs captions with facts, as `driftless caption` writes them";
        return Err(Error::Argument(what.to_owned()));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = count.min(with_facts.len());
    let chosen = (0..count).map(|i| {
        let caption = with_facts[i * with_facts.len() / count];
        let languages: Vec<_> = caption.texts.iter().collect();
        let (language, texts) = languages[i % languages.len()];
        let facts = caption.facts.iter().map(|fact| fact.parse());
        Ok(Prompt {
            caption: caption.clone(),
            language: language.clone(),
            text: texts[rng.random_range(0..texts.len())].clone(),
            facts: facts
                .collect::<std::result::Result<_, _>>()
                .map_err(Error::Argument)?,
            unseen: !seen.contains(&combination(&caption.facts)),
        })
    });
    chosen.collect()
}

/// The real clip of a caption, u8 RGB [T, H, W, 3].
///
/// # Errors
/// Returns an error if the dataset does not have it.
pub fn real_clip(data: &Dataset, caption: &ClipCaption) -> Result<Vec<u8>> {
    let range = caption.start..caption.start + caption.frames;
    let episode = episode_of(data, caption, range.end)?;
    Ok(episode.clip(range).images)
}

/// What a world needs to predict the real clip of a caption: up to `context` frames before it, and the
/// actions that led through it. Of a clip at the start of its episode the first frame is given, and the
/// clip begins with the second.
///
/// # Errors
/// Returns an error if the dataset does not have the clip.
pub fn clip_before(
    data: &Dataset,
    caption: &ClipCaption,
    context: usize,
) -> Result<(Clip, Vec<Action>)> {
    let first = caption.start.max(1);
    let end = first + caption.frames;
    let episode = episode_of(data, caption, end)?;
    let clip = episode.clip(first.saturating_sub(context)..first);
    Ok((clip, episode.clip(first..end).actions))
}

/// The episode of a caption, which has at least `end` frames.
fn episode_of<'a>(data: &'a Dataset, caption: &ClipCaption, end: usize) -> Result<&'a Episode> {
    let is_it = |path: &Path| path.file_name().is_some_and(|name| *name == *caption.file);
    let episode = data.files.iter().position(|file| is_it(file));
    let episode = episode.and_then(|at| data.episodes.get(at));
    episode
        .filter(|episode| end <= episode.frames())
        .ok_or_else(|| Error::Episodes(format!("{} has no frame {}", caption.file, end.max(1) - 1)))
}

/// Some of the prompts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptGroup {
    /// All of them.
    All,
    /// Those whose combination of facts training has not seen.
    Unseen,
    /// Those in a language.
    Language(String),
}

/// How often statements of one kind hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FollowingScore {
    /// The prompts.
    pub group: PromptGroup,
    /// The kind: `motion`, `wall`, `object`; `whole motion` and `whole prompt`, where all the facts must hold
    /// together; or one statement, such as `motion forward`.
    pub kind: String,
    /// Number of statements.
    pub statements: usize,
    /// Share of them that holds in the clips that were made for them.
    pub share: f64,
    /// Number of statements of other prompts that were asked of the same clips.
    pub swapped_statements: usize,
    /// Share of those that holds: what a model reaches that does not read its prompt.
    pub swapped: Option<f64>,
}

/// What of their prompts clips show.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FollowingReport {
    /// Number of clips.
    pub clips: usize,
    /// Of them, those with an unseen combination of facts.
    pub unseen: usize,
    /// By group and kind.
    pub scores: Vec<FollowingScore>,
    /// By single statement, over all prompts.
    pub statements: Vec<FollowingScore>,
}

impl FollowingReport {
    /// The score of a kind in a group.
    pub fn score(&self, group: &PromptGroup, kind: &str) -> Option<&FollowingScore> {
        let mut scores = self.scores.iter().chain(&self.statements);
        scores.find(|score| score.group == *group && score.kind == kind)
    }
}

/// Statements counted, and those that hold: of the own prompt, and of another one.
#[derive(Default)]
struct Count {
    own: [usize; 2],
    swapped: [usize; 2],
}

type Counts = BTreeMap<(PromptGroup, String), Count>;

/// Has clips made for prompts and counts which of the prompts' facts they show. `clips` gives the frames for a
/// text, u8 RGB [T, 64, 64, 3]; the caption says how many and, for a first frame, where a real clip is.
///
/// # Errors
/// Returns an error if there are fewer than two prompts, `clips` fails, or its frames have another size.
pub fn prompt_following(
    clips: &mut dyn FnMut(&ClipCaption, &str) -> Result<Vec<u8>>,
    prompts: &[Prompt],
    reader: &ClipReader,
    progress: &mut EvalProgress,
) -> Result<FollowingReport> {
    if prompts.len() < 2 {
        return Err(Error::Argument(format!(
            "{} prompts cannot be swapped, expected 2 or more",
            prompts.len()
        )));
    }
    progress.start(prompts.len());
    let others = others(prompts);
    let (mut counts, mut statements) = (Counts::new(), Counts::new());
    for (prompt, other) in prompts.iter().zip(others) {
        let reading = reader.read(&clips(&prompt.caption, &prompt.text)?)?;
        let groups = [
            Some(PromptGroup::All),
            prompt.unseen.then_some(PromptGroup::Unseen),
            Some(PromptGroup::Language(prompt.language.clone())),
        ];
        for (facts, swapped) in [(&prompt.facts, false), (&prompts[other].facts, true)] {
            let held = reading.holds(facts)?;
            for group in groups.iter().flatten() {
                for (kind, holds) in by_kind(facts, &held) {
                    add(&mut counts, group, kind, holds, swapped);
                }
            }
            for (fact, holds) in facts.iter().zip(held) {
                add(
                    &mut statements,
                    &PromptGroup::All,
                    statement(*fact),
                    holds,
                    swapped,
                );
            }
        }
        progress.advance(1);
    }
    Ok(FollowingReport {
        clips: prompts.len(),
        unseen: prompts.iter().filter(|prompt| prompt.unseen).count(),
        scores: scores(counts),
        statements: scores(statements),
    })
}

/// For each prompt another one, each exactly once.
fn others(prompts: &[Prompt]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..prompts.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(0));
    let mut others = vec![0; order.len()];
    for (i, &at) in order.iter().enumerate() {
        others[at] = order[(i + 1) % order.len()];
    }
    others
}

/// The statements of a prompt by kind, and those that hold only together.
fn by_kind(facts: &[Fact], held: &[bool]) -> Vec<(String, bool)> {
    let pairs = || facts.iter().zip(held);
    let mut all: Vec<(String, bool)> = pairs()
        .map(|(fact, &holds)| (fact.kind().name().to_owned(), holds))
        .collect();
    let motions = || pairs().filter(|(fact, _)| fact.kind() == FactKind::Motion);
    if motions().next().is_some() {
        all.push((
            "whole motion".to_owned(),
            motions().all(|(_, &holds)| holds),
        ));
    }
    all.push(("whole prompt".to_owned(), held.iter().all(|&holds| holds)));
    all
}

/// What a fact says, without phase and side.
fn statement(fact: Fact) -> String {
    let kind = fact.kind().name();
    let text = fact.to_string();
    let what = text.rsplit(':').next().unwrap_or_default();
    format!("{kind} {what}")
}

fn add(counts: &mut Counts, group: &PromptGroup, kind: String, holds: bool, swapped: bool) {
    let count = counts.entry((group.clone(), kind)).or_default();
    let which = if swapped {
        &mut count.swapped
    } else {
        &mut count.own
    };
    which[0] += 1;
    which[1] += usize::from(holds);
}

/// The scores of what at least one own prompt says.
fn scores(counts: Counts) -> Vec<FollowingScore> {
    let share = |[all, held]: [usize; 2]| held as f64 / all as f64;
    let said = counts.into_iter().filter(|(_, count)| count.own[0] > 0);
    said.map(|((group, kind), count)| FollowingScore {
        group,
        kind,
        statements: count.own[0],
        share: share(count.own),
        swapped_statements: count.swapped[0],
        swapped: (count.swapped[0] > 0).then(|| share(count.swapped)),
    })
    .collect()
}
