use super::*;
use crate::app::tests::world;

fn map(actions: &[(&str, &[&str])]) -> Result<KeyMap> {
    KeyMap::new(&world(actions).actions)
}

#[test]
fn first_action_keeps_duplicate_key() {
    let map = map(&[("noop", &[]), ("up", &["W", "Up"]), ("fire", &["W", "F"])]).unwrap();
    let chords: Vec<_> = map
        .listed_actions()
        .map(|bound| (bound.action, &bound.chords))
        .collect();
    let (up, fire) = (vec![vec![Key::W], vec![Key::ArrowUp]], vec![vec![Key::F]]);
    assert_eq!(chords, [(1, &up), (2, &fire)]);
}

#[test]
fn unknown_key_is_refused() {
    for name in ["Upp", "Up+", "Up+Spce", ""] {
        let error = map(&[("noop", &[]), ("up", &[name])]).unwrap_err();
        let line = error.to_string();
        assert!(matches!(error, Error::Config(_)));
        assert!(
            line.contains("`up`") && line.contains(&format!("`{name}`")),
            "{line}"
        );
        assert!(line.contains("ArrowUp") && !line.contains('\n'), "{line}");
    }
}

#[test]
fn world_keys_override_shortcuts() {
    let map = map(&[("noop", &[]), ("fire", &["Space", "R"])]).unwrap();
    assert_eq!(map.shortcut(Key::Space), None);
    assert_eq!(map.shortcut(Key::P), Some(Shortcut::Pause));
    assert_eq!(map.shortcut(Key::R), None);
    assert_eq!(map.shortcut_keys(Shortcut::Reset).count(), 0);
    assert_eq!(map.shortcut(Key::Period), Some(Shortcut::Step));
}

#[test]
fn shortcut_can_be_removed() {
    let map = map(&[("noop", &[])]).unwrap();
    assert_eq!(map.shortcut(Key::V), Some(Shortcut::Denoising));
    let map = map.without(Shortcut::Denoising);
    assert_eq!(map.shortcut(Key::V), None);
    assert_eq!(map.shortcuts().len(), Shortcut::ALL.len() - 1);
}

#[test]
fn latest_key_wins() {
    let map = map(&[("noop", &[]), ("up", &["Up"]), ("down", &["Down"])]).unwrap();
    let mut held = HeldKeys::default();
    assert_eq!(held.action(&map), 0);
    held.press(Key::ArrowUp);
    held.press(Key::ArrowDown);
    held.press(Key::ArrowUp); // a key repeat
    assert_eq!(held.action(&map), 2);
    held.release(Key::ArrowDown);
    assert_eq!(held.action(&map), 1);
    held.release_all();
    assert_eq!(held.action(&map), 0);
}

#[test]
fn longer_chord_wins() {
    let map = map(&[
        ("noop", &[]),
        ("up", &["Up"]),
        ("fire", &["Space"]),
        ("left", &["Left"]),
        ("up-fire", &["Up+Space"]),
        ("left-fire", &["Space+Left"]),
    ])
    .unwrap();
    let mut held = HeldKeys::default();
    held.press(Key::Space);
    assert_eq!(held.action(&map), 2);
    held.press(Key::ArrowUp);
    assert_eq!(held.action(&map), 4);
    held.press(Key::ArrowLeft);
    assert_eq!(held.action(&map), 5);
    held.release(Key::Space);
    assert_eq!(held.action(&map), 3);
    let shown: Vec<_> = map
        .listed_actions()
        .map(|bound| bound.name.as_str())
        .collect();
    assert_eq!(shown, ["up", "fire", "left"]);
}

#[test]
fn uncombined_chord_is_listed() {
    let map = map(&[("noop", &[]), ("up", &["Up"]), ("jump", &["Up+J"])]).unwrap();
    assert_eq!(map.listed_actions().count(), 2);
    assert!(map.uses(Key::J) && !map.uses(Key::K));
}

fn own(keys: &[(&str, &[&str])]) -> Bindings {
    let names = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    keys.iter()
        .map(|(action, keys)| ((*action).to_owned(), names(keys)))
        .collect()
}

/// A walking world with custom keys.
fn walker(keys: &[(&str, &[&str])]) -> KeyMap {
    let actions: [(&str, &[&str]); 5] = [
        ("noop", &[]),
        ("forward", &["ArrowUp", "W"]),
        ("left", &["ArrowLeft", "A"]),
        ("wait", &["Z"]),
        ("forward-left", &["ArrowUp+ArrowLeft", "W+A"]),
    ];
    KeyMap::with(&world(&actions).actions, &own(keys)).unwrap()
}

fn action(map: &KeyMap, keys: &[Key]) -> u32 {
    let mut held = HeldKeys::default();
    for key in keys {
        held.press(*key);
    }
    held.action(map)
}

#[test]
fn custom_keys_replace_defaults() {
    let map = walker(&[("forward", &["I"]), ("wait", &[])]);
    assert_eq!(map.chords_of(1), [vec![Key::I]]);
    assert_eq!(action(&map, &[Key::I]), 1);
    for key in [Key::W, Key::Z] {
        assert!(!map.uses(key), "{key:?}");
        assert_eq!(action(&map, &[key]), 0);
    }
}

#[test]
fn combined_actions_follow_their_parts() {
    let map = walker(&[("forward", &["I"])]);
    assert_eq!(action(&map, &[Key::I, Key::A]), 4);
    assert_eq!(action(&map, &[Key::ArrowLeft, Key::I]), 4);
    // The world binds W+A but not W+ArrowLeft; both combine the same two actions.
    assert_eq!(action(&walker(&[]), &[Key::W, Key::ArrowLeft]), 4);
    let without = walker(&[("left", &[])]);
    assert!(without.chords_of(4).is_empty());
}

#[test]
fn custom_key_is_taken_from_others() {
    let map = walker(&[("wait", &["W"])]);
    assert_eq!(map.chords_of(1), [vec![Key::ArrowUp]]);
    assert_eq!(action(&map, &[Key::W]), 3);
}

#[test]
fn unknown_custom_keys_are_ignored() {
    let map = walker(&[
        ("forward", &["Upp", "I"]),
        ("fly", &["F"]),
        ("forward-left", &["Q"]),
    ]);
    assert_eq!(map.chords_of(1), [vec![Key::I]]);
    assert!(!map.uses(Key::F) && !map.uses(Key::Q));
}

#[test]
fn custom_key_overrides_shortcut() {
    let map = walker(&[("wait", &["P"])]);
    assert_eq!(map.shortcut(Key::P), None);
    assert_eq!(map.shortcut(Key::Space), Some(Shortcut::Pause));
    assert_eq!(walker(&[]).shortcut(Key::P), Some(Shortcut::Pause));
}

#[test]
fn idle_and_combined_cannot_be_rebound() {
    let world = world(&[
        ("noop", &[]),
        ("up", &["Up"]),
        ("nameless", &[]),
        ("fire", &["Space"]),
        ("up-fire", &["Up+Space"]),
    ]);
    let map = KeyMap::new(&world.actions).unwrap();
    let names: Vec<_> = map
        .rebindable(&world.actions)
        .map(|(spec, _)| spec.name.as_str())
        .collect();
    assert_eq!(names, ["up", "nameless", "fire"]);
}

#[test]
fn shortcuts_have_unique_keys() {
    let map = KeyMap::new(&[]).unwrap();
    for shortcut in Shortcut::ALL {
        let keys: Vec<_> = map.shortcut_keys(shortcut).collect();
        let together = shortcut.control_key();
        // The menu and the list of commands have the others.
        let has_none = matches!(
            shortcut,
            Shortcut::Share | Shortcut::ShareGame | Shortcut::OpenFolder | Shortcut::About
        );
        let has_keys = !keys.is_empty() || together.is_some();
        assert_ne!(has_keys, has_none, "{shortcut:?}");
        if let Some(key) = together {
            assert_eq!(map.control_shortcut(key), Some(shortcut), "{key:?}");
        }
        for key in keys {
            assert_eq!(map.shortcut(key), Some(shortcut), "{key:?}");
        }
        assert!(!shortcut.label().is_empty() && shortcut.hint().ends_with('.'));
    }
}

#[test]
fn key_is_held_until_all_release() {
    let mut held = HeldKeys::default();
    assert!(held.press(Key::W));
    assert!(!held.press(Key::W));
    assert!(held.set(InputSource::Gamepad, &[Key::W, Key::A]));
    assert!(!held.set(InputSource::Gamepad, &[Key::A, Key::W]));
    assert!(held.release(Key::W) && !held.release(Key::W));
    assert!(held.is_down(Key::W));
    assert!(held.set(InputSource::Gamepad, &[]));
    assert!(!held.is_down(Key::W) && !held.is_down(Key::A));
}

#[test]
fn simulators_bind_at_least_four_keys() {
    for kind in driftless_worlds::SimulatorKind::ALL {
        let info = kind.open(0).info();
        let keys = KeyMap::new(&info.actions).unwrap();
        let keys = keys.with_axes(&info.axes).unwrap();
        let of_axes = keys.axes().iter().map(|axis| axis.listed.chords.len());
        let count = keys.listed_actions().count() + of_axes.sum::<usize>();
        assert!(count >= 4, "{kind:?}");
    }
}
