//! Maps of actions, and what happens without one.

use super::*;

fn map(text: &str) -> ActionMap {
    ActionMap::built_in(text).unwrap()
}

fn complaint(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("map.toml");
    std::fs::write(&path, text).unwrap();
    let said = ActionMap::read(&path).unwrap_err().to_string();
    assert!(
        said.contains("map.toml") && said.lines().count() == 1,
        "{said}"
    );
    said
}

fn held(keys: &[&str], dx: f64) -> Taken {
    Taken::Held {
        down: keys.iter().map(|&key| key.to_string()).collect(),
        moved: BTreeMap::from([("mouse.dx", dx)]),
    }
}

#[test]
fn the_action_of_several_frames_is_the_most_frequent_that_is_not_idle() {
    assert_eq!(merged(&[0, 0, 2, 0]), 2);
    assert_eq!(merged(&[1, 1, 2, 0]), 1);
    assert_eq!(merged(&[1, 2, 2, 1]), 1, "the latest of equals");
    assert_eq!(merged(&[2, 1]), 1);
    assert_eq!(merged(&[0, 0]), 0);
    assert_eq!(merged(&[]), 0);
}

#[test]
fn numbers_keep_their_place_and_are_named_after_it() {
    let mut plain = ActionMap::plain();
    assert_eq!(plain.index(&Taken::Number(3)), Ok(3));
    assert_eq!(plain.index(&Taken::Number(1)), Ok(1));
    let names: Vec<String> = plain.actions().into_iter().map(|a| a.name).collect();
    assert_eq!(names, ["a0", "a1", "a2", "a3"]);
    for wrong in [-1, 256] {
        assert!(plain.index(&Taken::Number(wrong)).is_err());
    }
}

#[test]
fn names_follow_the_idle_one_in_the_order_in_which_they_occur() {
    let mut plain = ActionMap::plain();
    for (name, index) in [("Left", 1), ("NOOP", 0), ("jump", 2), ("Left", 1)] {
        assert_eq!(plain.index(&Taken::Name(name.into())), Ok(index));
    }
    let actions = plain.actions();
    assert_eq!(actions[0].name, "noop");
    assert_eq!(actions[1].keys, ["ArrowLeft", "A"]);
}

#[test]
fn vectors_and_keys_need_a_map() {
    for taken in [Taken::Vector(vec![0.0; 7]), held(&[], 0.0)] {
        let said = ActionMap::plain().index(&taken).unwrap_err();
        assert!(said.contains("--actions"), "{said}");
    }
}

#[test]
fn thresholds_make_actions_of_a_vector() {
    let mut map = map(r#"actions = [{ name = "noop" },
                { name = "left", where = [{ axis = 0, below = -0.3 }] },
                { name = "right", where = [{ axis = 0, above = 0.3 }, { axis = 1, above = -0.5, below = 0.5 }] }]"#);
    for (vector, index) in [
        ([-0.31, 0.0], 1),
        ([-0.3, 0.0], 0),
        ([0.4, 0.0], 2),
        ([0.4, 0.5], 0),
    ] {
        assert_eq!(map.index(&Taken::Vector(vector.to_vec())), Ok(index));
    }
    let said = map.index(&Taken::Vector(vec![1.0])).unwrap_err();
    assert!(
        said.contains("`right`: no axis 1 in a vector of 1 numbers"),
        "{said}"
    );
}

#[test]
fn the_first_entry_whose_keys_are_all_held_counts() {
    let mut map = map(r#"actions = [{ name = "noop" },
                { name = "both", held = ["w", "space"] },
                { name = "turn", where = [{ axis = "mouse.dx", above = 5 }] },
                { name = "forward", held = ["w"] }]"#);
    assert_eq!(map.index(&held(&["w", "space", "q"], 9.0)), Ok(1));
    assert_eq!(map.index(&held(&["w"], 9.0)), Ok(2));
    assert_eq!(map.index(&held(&["w"], 5.0)), Ok(3));
    assert_eq!(map.index(&held(&["space"], 0.0)), Ok(0));
}

#[test]
fn a_discrete_action_that_no_entry_names_is_an_error() {
    let mut map =
        map(r#"actions = [{ name = "noop", is = [0] }, { name = "go", is = [2, "walk"] }]"#);
    assert_eq!(map.index(&Taken::Number(0)), Ok(0));
    assert_eq!(map.index(&Taken::Number(2)), Ok(1));
    assert_eq!(map.index(&Taken::Name("walk".into())), Ok(1));
    let said = map.index(&Taken::Number(1)).unwrap_err();
    assert!(said.contains("action 1 is in no entry's `is`"), "{said}");
}

#[test]
fn maps_that_are_none_are_named() {
    for (text, expected) in [
        ("actions = []", "actions is empty"),
        (
            "actions = [{ name = \"a\" }, { name = \"b\" }]",
            "`b` has no condition",
        ),
        (
            "actions = [{ name = \"a\" }, { name = \"a\", is = [1] }]",
            "`a` occurs twice",
        ),
        (
            "actions = [{ name = \"a\", where = [{ axis = 0 }] }]",
            "neither `below` nor `above`",
        ),
        (
            "actions = [{ name = \"a\", when = 1 }]",
            "unknown field `when`",
        ),
    ] {
        let said = complaint(text);
        assert!(said.contains(expected), "{said}");
    }
}
