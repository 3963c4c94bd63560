//! Editing the user's key bindings, one key at a time.

use eframe::egui::Key;

use driftless_data::ActionSpec;

use super::{Bindings, Chord, KeyMap, chord_name};

/// Whether a key can be bound. Modifiers of system shortcuts never arrive alone, and Escape is
/// reserved.
pub fn is_bindable(key: Key) -> bool {
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

/// Adds a key to an action.
///
/// # Errors
/// Returns a message naming the other action if the key is taken.
pub fn add(
    custom: &mut Bindings,
    actions: &[ActionSpec],
    action: &str,
    key: Key,
) -> Result<(), String> {
    let Some((map, index)) = bindings_and_index(custom, actions, action) else {
        return Ok(());
    };
    if let Some(other) = map.action_of(key) {
        return if other.action == index {
            Ok(())
        } else {
            Err(format!(
                "{} already plays {}: remove it there first",
                key.name(),
                other.name
            ))
        };
    }
    let mut chords = map.chords_of(index).to_vec();
    chords.push(vec![key]);
    set_chords(custom, actions, action, &chords);
    Ok(())
}

/// Removes a chord from an action.
pub fn remove(custom: &mut Bindings, actions: &[ActionSpec], action: &str, chord: &Chord) {
    let Some((map, index)) = bindings_and_index(custom, actions, action) else {
        return;
    };
    let mut chords = map.chords_of(index).to_vec();
    chords.retain(|has| has != chord);
    set_chords(custom, actions, action, &chords);
}

/// The current bindings and the index of an action.
fn bindings_and_index(
    custom: &Bindings,
    actions: &[ActionSpec],
    action: &str,
) -> Option<(KeyMap, u32)> {
    let map = KeyMap::with(actions, custom).ok()?;
    let index = actions.iter().position(|spec| spec.name == action)?;
    Some((map, u32::try_from(index).ok()?))
}

/// Sets an action's chords; the world's defaults are not stored.
fn set_chords(custom: &mut Bindings, actions: &[ActionSpec], action: &str, chords: &[Chord]) {
    custom.remove(action);
    let defaults = bindings_and_index(custom, actions, action);
    let same = defaults.is_some_and(|(map, index)| {
        let defaults = map.chords_of(index);
        defaults.len() == chords.len() && defaults.iter().all(|chord| chords.contains(chord))
    });
    if !same {
        custom.insert(action.to_owned(), chords.iter().map(chord_name).collect());
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
    fn added_key_extends_defaults() {
        let (mut custom, actions) = (Bindings::new(), actions());
        add(&mut custom, &actions, "up", Key::I).unwrap();
        assert_eq!(custom["up"], ["Up", "W", "I"]);
        add(&mut custom, &actions, "up", Key::I).unwrap();
        add(&mut custom, &actions, "fly", Key::F).unwrap();
        assert_eq!((custom.len(), custom["up"].len()), (1, 3));
    }

    #[test]
    fn taken_key_is_refused() {
        let (mut custom, actions) = (Bindings::new(), actions());
        let why = add(&mut custom, &actions, "jump", Key::W).unwrap_err();
        assert!(why.contains("W already plays up"), "{why}");
        assert!(custom.is_empty());
        remove(&mut custom, &actions, "up", &vec![Key::W]);
        add(&mut custom, &actions, "jump", Key::W).unwrap();
        assert_eq!(custom["jump"], ["A+J", "W"]);
    }

    #[test]
    fn defaults_are_not_stored() {
        let (mut custom, actions) = (Bindings::new(), actions());
        remove(&mut custom, &actions, "up", &vec![Key::ArrowUp]);
        assert_eq!(custom["up"], ["W"]);
        remove(&mut custom, &actions, "up", &vec![Key::W]);
        assert!(custom["up"].is_empty());
        add(&mut custom, &actions, "up", Key::W).unwrap();
        add(&mut custom, &actions, "up", Key::ArrowUp).unwrap();
        assert!(custom.is_empty(), "{custom:?}");
        remove(&mut custom, &actions, "jump", &vec![Key::A, Key::J]);
        assert!(custom["jump"].is_empty());
    }
}
