use std::time::Duration;

use driftless_data::layout::checkpoint::{AGENT_CONFIG, AGENT_WEIGHTS};
use driftless_model::checkpoint::{CONFIG, summarize};

use super::*;
use crate::workspace::save::save_as;

fn pong() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/pong")
}

fn save_pong_as(root: &Path, name: &str) -> PathBuf {
    let paths = UserPaths::resolve(Some(root.into())).unwrap();
    save_as(&pong(), &paths, name).unwrap()
}

fn list_all(root: &Path) -> Vec<WorldEntry> {
    let home = Some(root.to_path_buf());
    let shipped = IncludedWorlds::find(home.clone());
    list_worlds(&shipped, home, &CancelFlag::default()).unwrap()
}

#[test]
fn lists_included_saved_simulators() {
    let root = tempfile::tempdir().unwrap();
    let saved = save_pong_as(root.path(), "Mine");
    let entries = list_all(root.path());
    let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let expected = [
        "Pong",
        "Breakout",
        "Doom: take cover",
        "Maze",
        "Drive",
        "Steer",
        "Cells",
        "Mine",
        "Maze",
        "Drive",
        "Steer",
    ];
    assert_eq!(names, expected);
    assert_eq!(entries[7].source, WorldSource::Saved(saved));
    assert_eq!(
        entries[9].source,
        WorldSource::Simulator(SimulatorKind::Drive)
    );
    for entry in &entries {
        let summary = entry.summary.as_ref().unwrap();
        let frame = summary.image[0] * summary.image[1] * 3;
        let frames = summary.preview.len() / frame;
        assert_eq!(summary.preview.len() % frame, 0);
        assert!((2..=PREVIEW_FRAMES).contains(&frames), "{frames}");
        assert!(summary.about.is_some(), "{}", entry.name);
    }
}

#[test]
fn summary_equals_full_read() {
    let described = summarize(&pong()).unwrap();
    let (name, summary) = read_summary(&pong()).unwrap();
    assert_eq!(name, "Pong");
    let parameters = described.tokenizer_parameters + described.dynamics_parameters;
    assert_eq!(summary.parameters, Some(parameters));
    let besides = [CARD, AGENT_CONFIG, AGENT_WEIGHTS].map(|name| pong().join(name));
    let besides = besides.map(|path| path.metadata().unwrap().len());
    assert_eq!(
        summary.bytes,
        Some(described.bytes + besides.iter().sum::<u64>())
    );
    assert_eq!(summary.fps, Some(described.config.fps));
    let clips = starting_clips::read(&pong().join(STARTING_CLIPS), &described.config).unwrap();
    assert!(summary.preview.starts_with(&clips[0].images));
    assert!(summary.trained_on.unwrap().contains("Atari Pong"));
}

#[test]
fn broken_world_lists_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let damage: [(&str, &str, &[u8]); 4] = [
        ("a", CONFIG, b"{"),
        ("b", STARTING_CLIPS, b"no zip"),
        ("c", DYNAMICS, b"short"),
        ("d", TOKENIZER, &[255; 64]),
    ];
    for (name, file, bytes) in damage {
        std::fs::write(save_pong_as(root.path(), name).join(file), bytes).unwrap();
    }
    let entries = list_all(root.path());
    for (name, file, _) in damage {
        let entry = entries.iter().find(|entry| entry.name == name).unwrap();
        let reason = entry.summary.as_ref().unwrap_err();
        assert!(reason.contains(file), "{reason}");
    }
}

#[test]
fn card_is_optional_and_cleaned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(CARD);
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let CheckpointCard { about, trained_on } = CheckpointCard::read(folder.path());
        (about, trained_on)
    };
    let one = read(r#"{"about": " a\nb ", "trained_on": "", "else": 1}"#);
    assert_eq!(one, (Some("a b".into()), None));
    assert_eq!(read("no JSON"), (None, None));
    let long = serde_json::json!({"about": "x".repeat(10_000)});
    assert_eq!(read(&long.to_string()).0.unwrap().len(), MAX_CARD_TEXT);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        CheckpointCard::read(folder.path()),
        CheckpointCard::default()
    );
}

#[test]
fn cancelled_list_is_interrupted() {
    let root = tempfile::tempdir().unwrap();
    let cancelled = CancelFlag::default();
    cancelled.cancel();
    let shipped = IncludedWorlds::find(Some(root.path().into()));
    let result = list_worlds(&shipped, Some(root.path().into()), &cancelled);
    assert!(matches!(
        result,
        Err(Error::Data(driftless_data::Error::Interrupted))
    ));
}

#[test]
fn dates_follow_the_calendar() {
    let at = |seconds| format_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(at(0), "1970-01-01");
    assert_eq!(at(86_399), "1970-01-01");
    assert_eq!(at(951_782_400), "2000-02-29");
    assert_eq!(at(951_868_800), "2000-03-01");
    assert_eq!(at(1_767_225_599), "2025-12-31");
    assert_eq!(at(1_767_225_600), "2026-01-01");
    assert_eq!(at(4_107_542_400), "2100-03-01");
}

#[test]
fn only_saved_worlds_have_a_date() {
    let root = tempfile::tempdir().unwrap();
    save_pong_as(root.path(), "Mine");
    for entry in list_all(root.path()) {
        let is_saved = matches!(entry.source, WorldSource::Saved(_));
        let summary = entry.summary.unwrap();
        assert_eq!(summary.modified.is_some(), is_saved, "{}", entry.name);
    }
}
