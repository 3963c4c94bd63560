use super::*;
use crate::app::tests::world;

fn map(actions: &[(&str, &[&str])]) -> Result<KeyMap> {
    KeyMap::new(&world(actions).actions)
}

#[test]
fn the_first_action_keeps_a_key_that_is_bound_twice() {
    let map = map(&[("noop", &[]), ("up", &["W", "Up"]), ("fire", &["W", "F"])]).unwrap();
    let chords: Vec<_> = map
        .shown()
        .map(|bound| (bound.action, &bound.chords))
        .collect();
    let (up, fire) = (vec![vec![Key::W], vec![Key::ArrowUp]], vec![vec![Key::F]]);
    assert_eq!(chords, [(1, &up), (2, &fire)]);
}

#[test]
fn an_unknown_key_is_refused_with_the_action_the_key_and_what_was_expected() {
    for name in ["Upp", "Up+", "Up+Spce", ""] {
        let error = map(&[("noop", &[]), ("up", &[name])]).unwrap_err();
        let line = error.to_string();
        assert!(matches!(error, Error::Argument(_)));
        assert!(
            line.contains("`up`") && line.contains(&format!("`{name}`")),
            "{line}"
        );
        assert!(line.contains("ArrowUp") && !line.contains('\n'), "{line}");
    }
}

#[test]
fn the_world_takes_a_shortcut_key_and_leaves_the_other() {
    let map = map(&[("noop", &[]), ("fire", &["Space", "R"])]).unwrap();
    assert_eq!(map.shortcut(Key::Space), None);
    assert_eq!(map.shortcut(Key::P), Some(Shortcut::Pause));
    assert_eq!(map.shortcut(Key::R), None);
    assert_eq!(map.shortcut_keys(Shortcut::Reset).count(), 0);
    assert_eq!(map.shortcut(Key::Period), Some(Shortcut::Step));
}

#[test]
fn a_shortcut_with_nothing_to_do_is_left_out() {
    let map = map(&[("noop", &[])]).unwrap();
    assert_eq!(map.shortcut(Key::V), Some(Shortcut::Denoising));
    let map = map.without(Shortcut::Denoising);
    assert_eq!(map.shortcut(Key::V), None);
    assert_eq!(map.shortcuts().len(), Shortcut::ALL.len() - 1);
}

#[test]
fn the_latest_pressed_key_wins_and_the_earlier_one_comes_back() {
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
fn keys_held_together_win_over_each_alone() {
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
    let shown: Vec<_> = map.shown().map(|bound| bound.name.as_str()).collect();
    assert_eq!(shown, ["up", "fire", "left"]);
}

#[test]
fn a_chord_is_shown_when_its_keys_are_no_actions_of_their_own() {
    let map = map(&[("noop", &[]), ("up", &["Up"]), ("jump", &["Up+J"])]).unwrap();
    assert_eq!(map.shown().count(), 2);
    assert!(map.uses(Key::J) && !map.uses(Key::K));
}

fn own(keys: &[(&str, &[&str])]) -> Bindings {
    let names = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    keys.iter()
        .map(|(action, keys)| ((*action).to_owned(), names(keys)))
        .collect()
}

/// A world of a walker, and a player's own keys for it.
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
fn a_players_own_keys_stand_in_the_place_of_the_worlds() {
    let map = walker(&[("forward", &["I"]), ("wait", &[])]);
    assert_eq!(map.chords_of(1), [vec![Key::I]]);
    assert_eq!(action(&map, &[Key::I]), 1);
    for key in [Key::W, Key::Z] {
        assert!(!map.uses(key), "{key:?}");
        assert_eq!(action(&map, &[key]), 0);
    }
}

#[test]
fn actions_of_several_keys_follow_the_keys_of_their_parts() {
    let map = walker(&[("forward", &["I"])]);
    assert_eq!(action(&map, &[Key::I, Key::A]), 4);
    assert_eq!(action(&map, &[Key::ArrowLeft, Key::I]), 4);
    // The world names W+A and not W+ArrowLeft, and both are the same two actions.
    assert_eq!(action(&walker(&[]), &[Key::W, Key::ArrowLeft]), 4);
    let without = walker(&[("left", &[])]);
    assert!(without.chords_of(4).is_empty());
}

#[test]
fn a_key_that_a_player_gives_to_another_action_is_taken_from_the_first() {
    let map = walker(&[("wait", &["W"])]);
    assert_eq!(map.chords_of(1), [vec![Key::ArrowUp]]);
    assert_eq!(action(&map, &[Key::W]), 3);
}

#[test]
fn own_keys_that_nobody_knows_are_passed_over() {
    let map = walker(&[
        ("forward", &["Upp", "I"]),
        ("fly", &["F"]),
        ("forward-left", &["Q"]),
    ]);
    assert_eq!(map.chords_of(1), [vec![Key::I]]);
    assert!(!map.uses(Key::F) && !map.uses(Key::Q));
}

#[test]
fn a_shortcut_gives_way_to_a_players_own_key_and_comes_back_without_it() {
    let map = walker(&[("wait", &["P"])]);
    assert_eq!(map.shortcut(Key::P), None);
    assert_eq!(map.shortcut(Key::Space), Some(Shortcut::Pause));
    assert_eq!(walker(&[]).shortcut(Key::P), Some(Shortcut::Pause));
}

#[test]
fn what_can_be_chosen_is_every_action_but_the_idle_and_the_composed() {
    let world = world(&[
        ("noop", &[]),
        ("up", &["Up"]),
        ("nameless", &[]),
        ("fire", &["Space"]),
        ("up-fire", &["Up+Space"]),
    ]);
    let map = KeyMap::new(&world.actions).unwrap();
    let names: Vec<_> = map
        .choosable(&world.actions)
        .map(|(spec, _)| spec.name.as_str())
        .collect();
    assert_eq!(names, ["up", "nameless", "fire"]);
}

#[test]
fn every_shortcut_has_a_key_of_its_own_and_says_what_it_does() {
    let map = KeyMap::new(&[]).unwrap();
    for shortcut in Shortcut::ALL {
        let keys: Vec<_> = map.shortcut_keys(shortcut).collect();
        assert!(!keys.is_empty(), "{shortcut:?}");
        for key in keys {
            assert_eq!(map.shortcut(key), Some(shortcut), "{key:?}");
        }
        assert!(!shortcut.label().is_empty() && shortcut.hint().ends_with('.'));
    }
}

#[test]
fn a_key_stays_down_until_everybody_lets_it_go() {
    let mut held = HeldKeys::default();
    assert!(held.press(Key::W));
    assert!(!held.press(Key::W));
    assert!(held.set(Source::Pad, &[Key::W, Key::A]));
    assert!(!held.set(Source::Pad, &[Key::A, Key::W]));
    assert!(held.release(Key::W) && !held.release(Key::W));
    assert!(held.is_down(Key::W));
    assert!(held.set(Source::Pad, &[]));
    assert!(!held.is_down(Key::W) && !held.is_down(Key::A));
}

#[test]
fn simulators_bind_at_least_four_keys() {
    for kind in driftless_worlds::Kind::ALL {
        let keys = KeyMap::new(&kind.open(0).info().actions).unwrap();
        assert!(keys.shown().count() >= 4, "{kind:?}");
    }
}
