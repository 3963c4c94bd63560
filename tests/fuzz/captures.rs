//! What a capture leaves: its journal, from which a dataset is made, and maps from keys to actions.

use std::time::Duration;

use driftless_capture::{
    CaptureActions, CapturePlan, CaptureSource, ChosenKey, Clock, EPISODE_FRAMES, KeySet, Moment,
    Picture, Result, SystemClock, TapeSummary, WindowState, finish, record,
};
use driftless_data::Dataset;
use driftless_data::journal::JournalReader;

use crate::mutate;
use crate::run::fuzz;
use crate::targets::{mutated_journal, verdict};

/// A map from keys to actions with everything that one can say.
const MAP: &str = r#"[[actions]]
name = "noop"

[[actions]]
name = "left"
keys = ["ArrowLeft"]
held = ["Left"]

[[actions]]
name = "turn"
keys = ["F"]
where = [{ axis = "mouse.dx", below = -10 }]
"#;

/// A window of 2×2 pixels in which each key is held for a while; it loses the focus once.
struct Window {
    looks: u8,
}

impl CaptureSource for Window {
    fn look(&mut self, picture: &mut Picture) -> Result<Moment> {
        self.looks += 1;
        (picture.width, picture.height) = (2, 2);
        picture.rgb = vec![self.looks; 12];
        Ok(Moment {
            state: match self.looks {
                6 => WindowState::Unfocused,
                _ => WindowState::Focused,
            },
            held: KeySet(u128::from(self.looks / 3)),
            mouse: [f32::from(self.looks), -1.0],
            stop: self.looks > 12,
            pauses: 0,
        })
    }
}

/// A clock on which every moment has come.
struct Ready(SystemClock);

impl Clock for Ready {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn wait_until(&self, _: Duration) {}
}

/// The records of the journal of a capture.
fn captured() -> Vec<(u8, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let plan = CapturePlan {
        out: folder.path().join("out"),
        journal: folder.path().to_path_buf(),
        name: "Tiny".into(),
        window: "Tiny: level 1".into(),
        fps: 20.0,
        size: [2, 2],
        keys: ChosenKey::parse_list("Left,space,Control_L=F").unwrap(),
        mouse: true,
        actions: CaptureActions::default(),
        length: None,
        episode_frames: EPISODE_FRAMES,
    };
    let clock = Ready(SystemClock::start());
    let captured = record(&mut Window { looks: 0 }, &clock, &plan, &mut |_| true).unwrap();
    let records = captured.open().unwrap();
    records
        .map(|record| (record.kind, record.payload))
        .collect()
}

#[test]
fn capture() {
    let records = captured();
    fuzz(
        "journal of a capture",
        1000,
        |place, rng| {
            let journal = place.join("a.journal");
            std::fs::write(journal, mutated_journal(&records, rng)).unwrap();
            let _ = std::fs::remove_dir_all(place.join("out"));
        },
        |place| {
            let open = || JournalReader::open(&place.join("a.journal"));
            verdict(TapeSummary::read(open().map_err(|e| e.to_string())?))?;
            let out = place.join("out");
            let report = finish(open().map_err(|e| e.to_string())?, &out, &mut |_, _| {});
            let report = report.map_err(|e| e.to_string())?;
            let dataset = Dataset::read(&out).map_err(|e| e.to_string())?;
            assert_eq!(dataset.episodes.len(), report.episodes.len());
            Ok(())
        },
    );
}

#[test]
fn capture_map() {
    fuzz(
        "map from keys to actions .toml",
        2000,
        |place, rng| std::fs::write(place.join("a.toml"), mutate::text(MAP, rng)).unwrap(),
        |place| {
            let actions = CaptureActions::read(&place.join("a.toml")).map_err(|e| e.to_string())?;
            verdict(actions.keys())
        },
    );
}
