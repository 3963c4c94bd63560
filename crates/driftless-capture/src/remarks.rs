//! What looks wrong in a capture, one sentence each.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use driftless_data::text::counted;

use crate::KeySet;
use crate::tape::TapeKey;

/// Combinations of keys, with their numbers of frames.
type Combinations = BTreeMap<KeySet, usize>;

/// What is said of the keys that led to frames.
pub(crate) fn of_keys(keys: &[TapeKey], occurred: &Combinations) -> Vec<String> {
    let mut remarks = Vec::new();
    let all = occurred.keys();
    let held = all.fold(KeySet::default(), |all, set| all.union(*set));
    let never = keys.iter().enumerate().filter(|(i, _)| !held.contains(*i));
    let never: Vec<&str> = never.map(|(_, key)| key.name.as_str()).collect();
    if !never.is_empty() {
        remarks.push(format!("never pressed: {}", never.join(", ")));
    }
    if !occurred.contains_key(&KeySet::default()) {
        remarks.push(
            "there is no frame without a key, so the world will not know what idling does".into(),
        );
    }
    remarks
}

/// What is said of keys that were held and have no action; they are under the one called `idle`.
pub(crate) fn of_unknown(unknown: &Combinations, keys: &[TapeKey], idle: &str) -> Option<String> {
    /// Combinations that are named, the most frequent ones.
    const NAMED: usize = 4;
    let mut sets: Vec<(KeySet, usize)> = unknown.iter().map(|(set, n)| (*set, *n)).collect();
    sets.sort_by_key(|&(set, frames)| (Reverse(frames), set));
    let names = |set: KeySet| {
        let held = set.indices().filter_map(|i| keys.get(i));
        held.map(|key| key.name.as_str())
            .collect::<Vec<_>>()
            .join("+")
    };
    let (first, others) = sets.split_first()?;
    let mut text = format!("{} held `{}`", counted(first.1, "frame"), names(first.0));
    for &(set, frames) in others.iter().take(NAMED - 1) {
        text += &format!(", {frames} `{}`", names(set));
    }
    if sets.len() > NAMED {
        let more = counted(sets.len() - NAMED, "more combination");
        text += &format!(" and {more}");
    }
    Some(format!(
        "{text}, for which the action map has no action: recorded as `{idle}`"
    ))
}

/// What is said of frames that were lost.
pub(crate) fn of_lost(lost: usize) -> Option<String> {
    let frames = match lost {
        0 => return None,
        1 => "1 frame was".to_owned(),
        lost => format!("{lost} frames were"),
    };
    Some(format!(
        "{frames} not taken in time, and each gap begins a new episode: a lower frame rate or a smaller crop helps"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_combinations_are_named() {
        let keys = ["Left", "space", "x"].map(|name| TapeKey {
            name: name.into(),
            play: name.into(),
        });
        let of = |sets: &[(u128, usize)]| {
            let sets = sets.iter().map(|&(set, frames)| (KeySet(set), frames));
            of_unknown(&sets.collect(), &keys, "noop")
        };
        assert_eq!(of(&[]), None);
        let text = of(&[(2, 5), (3, 1), (4, 9)]).unwrap();
        assert!(
            text.starts_with("9 frames held `x`, 5 `space`, 1 `Left+space`, for which"),
            "{text}"
        );
        let text = of(&[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]).unwrap();
        assert!(text.contains("`x` and 1 more combination, for"), "{text}");
    }
}
