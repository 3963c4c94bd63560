//! Action maps, with and without a map file.

use super::*;

fn map(text: &str) -> ActionMap {
    ActionMap::built_in("map.toml", text).unwrap()
}

fn error_text(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("map.toml");
    std::fs::write(&path, text).unwrap();
    let message = ActionMap::read(&path).unwrap_err().to_string();
    assert!(
        message.contains("map.toml") && message.lines().count() == 1,
        "{message}"
    );
    message
}

fn controls(keys: &[&str], dx: f64) -> RawAction {
    RawAction::Controls {
        pressed: keys.iter().map(|&key| key.to_string()).collect(),
        axes: BTreeMap::from([("mouse.dx", dx)]),
    }
}

#[test]
fn merging_prefers_frequent_non_idle_actions() {
    assert_eq!(merge_actions(&[0, 0, 2, 0]), 2);
    assert_eq!(merge_actions(&[1, 1, 2, 0]), 1);
    assert_eq!(merge_actions(&[1, 2, 2, 1]), 1, "the latest of equals");
    assert_eq!(merge_actions(&[2, 1]), 1);
    assert_eq!(merge_actions(&[0, 0]), 0);
    assert_eq!(merge_actions(&[]), 0);
}

#[test]
fn numbered_actions_keep_their_index() {
    let mut map = ActionMap::inferred();
    assert_eq!(map.index(&RawAction::Number(3)), Ok(3));
    assert_eq!(map.index(&RawAction::Number(1)), Ok(1));
    let names: Vec<String> = map.actions().into_iter().map(|a| a.name).collect();
    assert_eq!(names, ["a0", "a1", "a2", "a3"]);
    for wrong in [-1, 256] {
        assert!(map.index(&RawAction::Number(wrong)).is_err());
    }
}

#[test]
fn names_are_numbered_by_occurrence() {
    let mut map = ActionMap::inferred();
    for (name, index) in [("Left", 1), ("NOOP", 0), ("jump", 2), ("Left", 1)] {
        assert_eq!(map.index(&RawAction::Name(name.into())), Ok(index));
    }
    let actions = map.actions();
    assert_eq!(actions[0].name, "noop");
    assert_eq!(actions[1].keys, ["ArrowLeft", "A"]);
}

#[test]
fn free_text_is_not_a_list_of_actions() {
    let mut map = ActionMap::inferred();
    let mut index = |n: usize| map.index(&RawAction::Name(format!("said {n}")));
    for n in 1..MAX_NAMES {
        assert_eq!(index(n), Ok(n as u32));
    }
    let message = index(MAX_NAMES).unwrap_err();
    assert!(
        message.contains("`said 256`") && message.contains("--actions"),
        "{message}"
    );
    assert_eq!(index(7), Ok(7), "known names still are");
}

#[test]
fn controls_need_a_map() {
    let message = ActionMap::inferred().index(&controls(&[], 0.0));
    assert!(message.unwrap_err().contains("--actions"));
}

#[test]
fn continuous_vectors_are_axes() {
    let vector = |values: &[f64]| RawAction::Vector(values.to_vec());
    // The first alone looks like the number of an action.
    let actions = [vector(&[0.0, 1.0]), vector(&[0.5, -2.0])];
    let mut map = ActionMap::inferred();
    map.look_at(&actions, None).unwrap();
    assert_eq!(map.index(&actions[0]), Ok(0));
    let read = actions
        .each_ref()
        .map(|action| map.axes_of(action).unwrap());
    assert_eq!(read, [[0.0, 1.0], [0.5, -2.0]]);
    let names: Vec<_> = map.actions().into_iter().map(|a| a.name).collect();
    assert_eq!(names, ["any"]);
    assert_eq!(map.source_axes().unwrap().specs()[1].range, [-2.0, 2.0]);
    // One-hot rows stay discrete.
    let mut map = ActionMap::inferred();
    map.look_at(&[vector(&[0.0, 1.0]), vector(&[1.0, 0.0])], None)
        .unwrap();
    assert!(map.source_axes().is_none());
    assert_eq!(map.index(&actions[0]), Ok(1));
}

#[test]
fn thresholds_map_vectors() {
    let mut map = map(r#"actions = [{ name = "noop" },
                { name = "left", where = [{ axis = 0, below = -0.3 }] },
                { name = "right", where = [{ axis = 0, above = 0.3 }, { axis = 1, above = -0.5, below = 0.5 }] }]"#);
    for (vector, index) in [
        ([-0.31, 0.0], 1),
        ([-0.3, 0.0], 0),
        ([0.4, 0.0], 2),
        ([0.4, 0.5], 0),
    ] {
        assert_eq!(map.index(&RawAction::Vector(vector.to_vec())), Ok(index));
    }
    let message = map.index(&RawAction::Vector(vec![1.0])).unwrap_err();
    assert!(
        message.contains("`right`: no axis 1 in a vector of 1 numbers"),
        "{message}"
    );
}

#[test]
fn first_matching_rule_applies() {
    let mut map = map(r#"actions = [{ name = "noop" },
                { name = "both", held = ["w", "space"] },
                { name = "turn", where = [{ axis = "mouse.dx", above = 5 }] },
                { name = "forward", held = ["w"] }]"#);
    assert_eq!(map.index(&controls(&["w", "space", "q"], 9.0)), Ok(1));
    assert_eq!(map.index(&controls(&["w"], 9.0)), Ok(2));
    assert_eq!(map.index(&controls(&["w"], 5.0)), Ok(3));
    assert_eq!(map.index(&controls(&["space"], 0.0)), Ok(0));
}

#[test]
fn unmapped_discrete_action_is_an_error() {
    let mut map =
        map(r#"actions = [{ name = "noop", is = [0] }, { name = "go", is = [2, "walk"] }]"#);
    assert_eq!(map.index(&RawAction::Number(0)), Ok(0));
    assert_eq!(map.index(&RawAction::Number(2)), Ok(1));
    assert_eq!(map.index(&RawAction::Name("walk".into())), Ok(1));
    let message = map.index(&RawAction::Number(1)).unwrap_err();
    assert!(
        message.contains("action 1 is in no rule's `is`"),
        "{message}"
    );
}

#[test]
fn invalid_maps_are_reported() {
    for (text, expected) in [
        ("actions = []", "actions is empty"),
        (
            "actions = [{ name = \"a\" }, { name = \"b\" }]",
            "`b` has no condition",
        ),
        (
            "actions = [{ name = \"a\" }, { name = \"a\", is = [1] }]",
            "duplicate name `a`",
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
        let message = error_text(text);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn one_hot_vectors_and_whole_decimals_are_numbers() {
    let mut numbers = ActionMap::inferred();
    let vector = |values: &[f64]| RawAction::Vector(values.to_vec());
    assert_eq!(numbers.index(&vector(&[0.0, 0.0, 1.0])), Ok(2));
    assert!(!numbers.reads_decimals());
    assert_eq!(numbers.index(&vector(&[3.0])), Ok(3));
    assert!(numbers.reads_decimals());
    for wrong in [&[0.5][..], &[-1.0], &[f64::NAN], &[1.0, 1.0], &[0.0, 2.0]] {
        assert!(numbers.index(&vector(wrong)).is_err(), "{wrong:?}");
        assert!(ActionMap::inferred().index(&vector(wrong)).is_err());
    }
    let mut mapped = map(
        r#"actions = [{ name = "noop" }, { name = "go", is = [1] }, { name = "far", where = [{ axis = 0, above = 1.5 }] }]"#,
    );
    assert_eq!(mapped.index(&vector(&[1.0])), Ok(1));
    assert_eq!(mapped.index(&vector(&[0.0, 1.0])), Ok(1));
    assert_eq!(mapped.index(&vector(&[2.0])), Ok(2));
}
