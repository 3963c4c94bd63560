//! A player's choice of keys, one at a time.

use eframe::egui::Key;

use super::{Bindings, Chord, KeyMap, chord_name};
use driftless_data::ActionSpec;

/// What a key can be used for in a binding. Those held for shortcuts of the system never arrive
/// alone, and Escape is the way out of everything.
pub fn can_be_chosen(key: Key) -> bool {
    !matches!(
        key,
        Key::Escape
            | Key::ControlLeft
            | Key::ControlRight
            | Key::AltLeft
            | Key::AltRight
            | Key::SuperLeft
            | Key::SuperRight
    )
}

/// Gives an action one more key.
///
/// # Errors
/// Says who has the key.
pub fn add(
    own: &mut Bindings,
    actions: &[ActionSpec],
    action: &str,
    key: Key,
) -> Result<(), String> {
    let Some((map, index)) = known(own, actions, action) else {
        return Ok(());
    };
    if let Some(other) = map.action_of(key) {
        return match other.action == index {
            true => Ok(()),
            false => Err(format!(
                "{} plays {} already: remove it there first",
                key.name(),
                other.name
            )),
        };
    }
    let mut chords = map.chords_of(index).to_vec();
    chords.push(vec![key]);
    put(own, actions, action, &chords);
    Ok(())
}

/// Takes keys from an action.
pub fn remove(own: &mut Bindings, actions: &[ActionSpec], action: &str, chord: &Chord) {
    let Some((map, index)) = known(own, actions, action) else {
        return;
    };
    let mut chords = map.chords_of(index).to_vec();
    chords.retain(|has| has != chord);
    put(own, actions, action, &chords);
}

/// The bindings as they are, and the number of an action.
fn known(own: &Bindings, actions: &[ActionSpec], action: &str) -> Option<(KeyMap, u32)> {
    let map = KeyMap::with(actions, own).ok()?;
    let index = actions.iter().position(|spec| spec.name == action)?;
    Some((map, u32::try_from(index).ok()?))
}

/// Sets an action's keys; those of the world itself are not a choice.
fn put(own: &mut Bindings, actions: &[ActionSpec], action: &str, chords: &[Chord]) {
    own.remove(action);
    let worlds = known(own, actions, action);
    let same = worlds.is_some_and(|(map, index)| {
        let worlds = map.chords_of(index);
        worlds.len() == chords.len() && worlds.iter().all(|chord| chords.contains(chord))
    });
    if !same {
        own.insert(action.to_owned(), chords.iter().map(chord_name).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::world;

    fn actions() -> Vec<ActionSpec> {
        world(&[("noop", &[]), ("up", &["ArrowUp", "W"]), ("jump", &["A+J"])]).actions
    }

    #[test]
    fn a_key_is_added_to_those_that_are_there() {
        let (mut own, actions) = (Bindings::new(), actions());
        add(&mut own, &actions, "up", Key::I).unwrap();
        assert_eq!(own["up"], ["Up", "W", "I"]);
        add(&mut own, &actions, "up", Key::I).unwrap();
        add(&mut own, &actions, "fly", Key::F).unwrap();
        assert_eq!((own.len(), own["up"].len()), (1, 3));
    }

    #[test]
    fn a_key_of_another_action_is_refused_and_its_owner_named() {
        let (mut own, actions) = (Bindings::new(), actions());
        let why = add(&mut own, &actions, "jump", Key::W).unwrap_err();
        assert!(why.contains("W plays up"), "{why}");
        assert!(own.is_empty());
        remove(&mut own, &actions, "up", &vec![Key::W]);
        add(&mut own, &actions, "jump", Key::W).unwrap();
        assert_eq!(own["jump"], ["A+J", "W"]);
    }

    #[test]
    fn keys_are_removed_one_by_one_and_the_worlds_own_are_no_choice() {
        let (mut own, actions) = (Bindings::new(), actions());
        remove(&mut own, &actions, "up", &vec![Key::ArrowUp]);
        assert_eq!(own["up"], ["W"]);
        remove(&mut own, &actions, "up", &vec![Key::W]);
        assert!(own["up"].is_empty());
        add(&mut own, &actions, "up", Key::W).unwrap();
        add(&mut own, &actions, "up", Key::ArrowUp).unwrap();
        assert!(own.is_empty(), "{own:?}");
        remove(&mut own, &actions, "jump", &vec![Key::A, Key::J]);
        assert!(own["jump"].is_empty());
    }
}
