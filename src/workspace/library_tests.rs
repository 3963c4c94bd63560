use std::time::Duration;

use super::*;
use crate::workspace::save::save_as;
use driftless_model::checkpoint::{CONFIG, describe};

fn pong() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/pong")
}

fn copied(root: &Path, name: &str) -> PathBuf {
    let places = Places::find(Some(root.into())).unwrap();
    save_as(&pong(), &places, name).unwrap()
}

fn listed(root: &Path) -> Vec<Entry> {
    let home = Some(root.to_path_buf());
    let shipped = Shipped::find(home.clone());
    list(&shipped, home, &Cancelled::default()).unwrap()
}

#[test]
fn shipped_worlds_come_first_then_saved_ones_and_the_simulators() {
    let root = tempfile::tempdir().unwrap();
    let saved = copied(root.path(), "Mine");
    let entries = listed(root.path());
    let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let expected = [
        "Pong",
        "Breakout",
        "Doom: take cover",
        "Maze",
        "Mine",
        "Maze",
        "Drive",
    ];
    assert_eq!(names, expected);
    assert_eq!(entries[4].source, Source::Saved(saved));
    assert_eq!(entries[6].source, Source::Simulator(Kind::Drive));
    for entry in &entries {
        let facts = entry.facts.as_ref().unwrap();
        assert_eq!(facts.picture.len(), facts.image[0] * facts.image[1] * 3);
        assert!(facts.about.is_some(), "{}", entry.name);
    }
}

#[test]
fn the_facts_are_those_that_a_complete_reading_finds() {
    let summary = describe(&pong()).unwrap();
    let (name, facts) = facts(&pong()).unwrap();
    assert_eq!(name, "Pong");
    let parameters = summary.tokenizer_parameters + summary.dynamics_parameters;
    assert_eq!(facts.parameters, Some(parameters));
    let card = pong().join(CARD).metadata().unwrap().len();
    assert_eq!(facts.bytes, Some(summary.bytes + card));
    assert_eq!(facts.fps, summary.config.fps);
    let clips = contexts::read(&pong().join(CONTEXTS), &summary.config).unwrap();
    assert!(clips[0].images.ends_with(&facts.picture));
    assert!(facts.trained_on.unwrap().contains("Atari Pong"));
}

#[test]
fn a_world_that_is_broken_is_listed_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let damages: [(&str, &str, &[u8]); 4] = [
        ("a", CONFIG, b"{"),
        ("b", CONTEXTS, b"no zip"),
        ("c", DYNAMICS, b"short"),
        ("d", TOKENIZER, &[255; 64]),
    ];
    for (name, file, bytes) in damages {
        std::fs::write(copied(root.path(), name).join(file), bytes).unwrap();
    }
    let entries = listed(root.path());
    for (name, file, _) in damages {
        let entry = entries.iter().find(|entry| entry.name == name).unwrap();
        let why = entry.facts.as_ref().unwrap_err();
        assert!(why.contains(file), "{why}");
    }
}

#[test]
fn a_card_says_what_it_can_and_is_no_condition() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(CARD);
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let Card { about, trained_on } = Card::of(folder.path());
        (about, trained_on)
    };
    let one = read(r#"{"about": " a\nb ", "trained_on": "", "else": 1}"#);
    assert_eq!(one, (Some("a b".into()), None));
    assert_eq!(read("no JSON"), (None, None));
    let long = serde_json::json!({"about": "x".repeat(10_000)});
    assert_eq!(read(&long.to_string()).0.unwrap().len(), TEXT);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(Card::of(folder.path()), Card::default());
}

#[test]
fn a_list_that_nobody_waits_for_is_given_up() {
    let root = tempfile::tempdir().unwrap();
    let cancelled = Cancelled::default();
    cancelled.set();
    let shipped = Shipped::find(Some(root.path().into()));
    let given_up = list(&shipped, Some(root.path().into()), &cancelled);
    assert!(matches!(
        given_up,
        Err(Error::Data(driftless_data::Error::Interrupted))
    ));
}

#[test]
fn days_are_those_of_the_calendar() {
    let at = |seconds| day(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(at(0), "1970-01-01");
    assert_eq!(at(86_399), "1970-01-01");
    assert_eq!(at(951_782_400), "2000-02-29");
    assert_eq!(at(951_868_800), "2000-03-01");
    assert_eq!(at(1_767_225_599), "2025-12-31");
    assert_eq!(at(1_767_225_600), "2026-01-01");
    assert_eq!(at(4_107_542_400), "2100-03-01");
}
