//! `driftless import`, on recordings made by scripts/reference/import_fixtures.py with the formats'
//! own libraries.
//!
//! All show a bright square that an action moves by an eighth of the image, so that the frames tell
//! which action led to them. Videos need ffmpeg, which scripts/test.sh installs if it can; without it
//! those tests are skipped, or fail where `CI` is `true`.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;
#[path = "import/damaged.rs"]
mod damaged;
#[path = "import/films.rs"]
mod films;
#[path = "import/lerobot.rs"]
mod lerobot;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::skip_without;
use driftless_data::{Dataset, Episode};
use tempfile::TempDir;

/// The actions of every recording: 0 idle, 1 left, 2 right.
const ACTIONS: [u32; 12] = [0, 2, 2, 0, 1, 1, 1, 0, 2, 0, 1, 2];
/// Thresholds for the recordings with continuous actions (a speed).
const SPEED: &str = r#"
[[actions]]
name = "stay"

[[actions]]
name = "left"
keys = ["ArrowLeft"]
where = [{ axis = 0, below = -0.5 }]

[[actions]]
name = "right"
keys = ["ArrowRight"]
where = [{ axis = 0, above = 0.5 }]
"#;
/// Map for the recordings of pressed keys.
const KEYS: &str = r#"{"actions": [{"name": "stay"},
    {"name": "left", "keys": ["A"], "held": ["key.keyboard.a"]},
    {"name": "right", "keys": ["D"], "held": ["key.keyboard.d"]}]}"#;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/import")
        .join(name)
}

fn has_ffmpeg() -> bool {
    let found = Command::new("ffmpeg").arg("-version").output().is_ok();
    if !found {
        skip_without("ffmpeg");
    }
    found
}

/// A temporary folder to import into, with an optional action map.
struct Importer {
    folder: TempDir,
    map: Option<PathBuf>,
}

impl Importer {
    fn new(map: Option<(&str, &str)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let map = map.map(|(name, text)| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        });
        Self { folder, map }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn import(&self, from: &str, path: &Path, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
        command
            .args(["import", "--from", from])
            .arg(path)
            .arg("--out")
            .arg(self.out());
        if let Some(map) = &self.map {
            command.arg("--actions").arg(map);
        }
        command.args(args).output().unwrap()
    }

    /// Imports at 12×16 pixels.
    fn dataset(&self, from: &str, path: &Path, args: &[&str]) -> Dataset {
        let args = [&["--size", "12x16"], args].concat();
        let output = self.import(from, path, &args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        Dataset::read(&self.out()).unwrap()
    }

    /// The one line on stderr of an import that must fail and leave no folder behind.
    fn error(&self, from: &str, path: &Path, args: &[&str]) -> String {
        let output = self.import(from, path, args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        let is_staging = |name: &str| name.ends_with(".partial");
        let left = self.folder.path().read_dir().unwrap();
        assert!(
            !left
                .into_iter()
                .any(|e| is_staging(&e.unwrap().file_name().to_string_lossy()))
        );
        assert!(!self.out().exists());
        error
    }
}

/// Centre column of the bright square, in pixels, in a frame 16 pixels wide.
fn square(episode: &Episode, t: usize) -> f32 {
    let row = &episode.frame(t)[6 * 16 * 3..7 * 16 * 3];
    let bright = |x: &usize| row[x * 3] > 128;
    let columns: Vec<f32> = (0..16).filter(bright).map(|x| x as f32).collect();
    assert_eq!(columns.len(), 4, "frame {t}: {columns:?}");
    columns.iter().sum::<f32>() / 4.0
}

/// Asserts that every action is the one that moved the square.
fn assert_actions_led_to_their_frames(episode: &Episode) {
    assert_eq!(episode.frames(), ACTIONS.len() + 1);
    assert_eq!(episode.actions[0], 0);
    assert_eq!(episode.actions[1..], ACTIONS);
    for t in 1..episode.frames() {
        let moved = [0.0, -2.0, 2.0][episode.actions[t] as usize];
        assert_eq!(
            square(episode, t) - square(episode, t - 1),
            moved,
            "frame {t}"
        );
    }
}

#[test]
fn vpt_keys_led_to_the_next_frame() {
    if !has_ffmpeg() {
        return;
    }
    let importer = Importer::new(Some(("map.json", KEYS)));
    let dataset = importer.dataset("vpt", &fixture("vpt"), &["--name", "Square"]);
    assert_actions_led_to_their_frames(&dataset.episodes[0]);
    assert_eq!(dataset.info.name, "Square");
    assert_eq!(dataset.info.fps, 20.0);
    assert_eq!(dataset.info.actions[1].keys, ["A"]);
}

#[test]
fn plain_video_has_unknown_actions() {
    let folder = fixture("vpt");
    let missing = Importer::new(None).error("video", &folder, &[]);
    assert!(missing.contains("--source-fps"), "{missing}");
    if !has_ffmpeg() {
        return;
    }
    for path in [folder.clone(), folder.join("square-0.mp4")] {
        let dataset = Importer::new(None).dataset("video", &path, &["--source-fps", "20"]);
        let episode = &dataset.episodes[0];
        assert_eq!(dataset.info.actions[0].name, "unknown");
        assert_eq!(episode.actions, [0; ACTIONS.len() + 1]);
        assert_eq!(square(episode, 1), square(episode, 0));
        assert_eq!(square(episode, 2), square(episode, 1) + 2.0);
    }
    let empty = tempfile::tempdir().unwrap();
    let error = Importer::new(None).error("video", empty.path(), &[]);
    assert!(error.contains("holds no video"), "{error}");
}

#[test]
fn vpt_has_a_default_map() {
    if !has_ffmpeg() {
        return;
    }
    let dataset = Importer::new(None).dataset("vpt", &fixture("vpt"), &[]);
    let names: Vec<&str> = dataset.episodes[0]
        .actions
        .iter()
        .map(|&action| dataset.info.actions[action as usize].name.as_str())
        .collect();
    assert_eq!(names[..4], ["noop", "noop", "right", "right"]);
}

#[test]
fn half_frame_rate_keeps_actions() {
    if !has_ffmpeg() {
        return;
    }
    let importer = Importer::new(Some(("map.json", KEYS)));
    let dataset = importer.dataset("vpt", &fixture("vpt"), &["--fps", "10"]);
    let episode = &dataset.episodes[0];
    assert_eq!(dataset.info.fps, 10.0);
    assert_eq!(episode.actions, [0, 2, 2, 1, 1, 2, 2]);
    let columns: Vec<f32> = (0..7)
        .map(|t| square(episode, t) - square(episode, 0))
        .collect();
    assert_eq!(columns, [0.0, 2.0, 4.0, 0.0, -2.0, 0.0, 0.0]);
}

/// A copy of a fixture that a test may change.
#[cfg(feature = "parquet")]
fn copied(name: &str) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in from.read_dir().unwrap() {
            let from = entry.unwrap().path();
            let to = to.join(from.file_name().unwrap());
            if from.is_dir() {
                copy(&from, &to);
            } else {
                std::fs::copy(&from, &to).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture(name), folder.path());
    folder
}

#[test]
#[cfg(feature = "hdf5")]
fn minari_reads_all_hdf5_layouts() {
    for name in ["minari", "minari-plain", "minari-gzip"] {
        let importer = Importer::new(None);
        let dataset = importer.dataset("minari", &fixture(name), &["--source-fps", "15"]);
        let episode = &dataset.episodes[0];
        assert_actions_led_to_their_frames(episode);
        assert_eq!(episode.rewards[..3], [0.0, 1.0, 2.0], "{name}");
        assert_eq!(episode.extras["is_terminal"].values[12], 1.0, "{name}");
        let names: Vec<&str> = dataset
            .info
            .actions
            .iter()
            .map(|a| a.name.as_str())
            .collect();
        assert_eq!(names, ["a0", "a1", "a2"]);
    }
}

/// Writes images of the square, PNG and JPEG alternating, with a CSV file. A row holds an image and
/// the action that led to it.
fn write_images(folder: &Path) {
    let mut x = 12;
    let mut rows = vec!["episode, file, action".to_string()];
    for (t, step) in [0].iter().chain(&ACTIONS).enumerate() {
        x = [x, x - 4, x + 4][*step as usize];
        let image = image::RgbImage::from_fn(32, 24, |column, row| {
            let inside = (x..x + 8).contains(&(column as i32)) && (8..16).contains(&row);
            image::Rgb(if inside {
                [230, 220, 210]
            } else {
                [20, 40, 60]
            })
        });
        let name = format!("{t}.{}", ["png", "jpg"][t % 2]);
        image.save(folder.join(&name)).unwrap();
        let action = ["noop", "left", "right"][*step as usize];
        rows.push(format!("one, {name}, {action}"));
    }
    std::fs::write(folder.join("actions.csv"), rows.join("\n")).unwrap();
}

#[test]
fn csv_action_led_to_its_image() {
    let source = tempfile::tempdir().unwrap();
    write_images(source.path());
    let map = r#"actions = [{ name = "stay", is = ["noop"] },
        { name = "left", is = ["left"] }, { name = "right", is = ["right"] }]"#;
    let importer = Importer::new(Some(("map.toml", map)));
    let dataset = importer.dataset("images", source.path(), &["--source-fps", "15"]);
    assert_actions_led_to_their_frames(&dataset.episodes[0]);
    let manifest = std::fs::read_to_string(importer.out().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["pairing"], "led-to");
    assert_eq!(manifest["episodes"][0]["source"], "one");
    let counts = manifest["actions"].as_array().unwrap();
    assert_eq!(counts[1], serde_json::json!({"name": "left", "frames": 4}));
}

#[test]
fn bad_episode_fails_or_is_skipped() {
    let source = tempfile::tempdir().unwrap();
    write_images(source.path());
    let csv = source.path().join("actions.csv");
    let rows = std::fs::read_to_string(&csv).unwrap();
    std::fs::write(
        &csv,
        format!("{rows}\ntwo, 0.png, noop\ntwo, missing.png, jump"),
    )
    .unwrap();
    let importer = Importer::new(None);
    let error = importer.error("images", source.path(), &["--source-fps", "15"]);
    assert!(error.contains("missing.png"), "{error}");

    let args = ["--source-fps", "15", "--skip-bad"];
    let output = importer.import("images", source.path(), &args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && error.lines().count() == 1,
        "{error}"
    );
    assert!(
        error.contains("skipped: ") && error.contains("missing.png"),
        "{error}"
    );
    let dataset = Dataset::read(&importer.out()).unwrap();
    assert_eq!(dataset.episodes.len(), 1);
    let names: Vec<&str> = dataset
        .info
        .actions
        .iter()
        .map(|a| a.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["noop", "right", "left"],
        "the skipped episode adds no actions"
    );
}

/// What an import says on stdout.
fn summary(from: &str, path: &Path, args: &[&str]) -> String {
    let output = Importer::new(None).import(from, path, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn remarks_tell_what_was_guessed() {
    let source = tempfile::tempdir().unwrap();
    let dark = image::RgbImage::from_pixel(4, 4, image::Rgb([9; 3]));
    for name in ["a.png", "b.png"] {
        dark.save(source.path().join(name)).unwrap();
    }
    let rows = "file;action;episode\na.png;;x\nb.png;1.0;x\na.png;;y\n";
    std::fs::write(source.path().join("a.csv"), rows).unwrap();
    let text = summary("images", source.path(), &["--source-fps", "15"]);
    for remark in [
        "remark: y: it has one frame only",
        "remark: actions are whole numbers written as decimals",
        "remark: `a0` is taken for the idle action, which is played while no key is held, and never occurs",
        "remark: no value of any pixel is above 9 of 255",
    ] {
        assert!(text.contains(remark), "{text}");
    }
    let bright = image::RgbImage::from_pixel(4, 4, image::Rgb([200; 3]));
    bright.save(source.path().join("a.png")).unwrap();
    let rows = "file\taction\na.png\tnoop\na.png\tduck\na.png\tnoop\n";
    std::fs::write(source.path().join("a.csv"), rows).unwrap();
    let text = summary("images", source.path(), &["--source-fps", "15"]);
    assert!(
        text.contains("remark: no key plays the actions `duck`"),
        "{text}"
    );
    assert_eq!(text.matches("remark:").count(), 1, "{text}");
}

#[test]
fn npz_replay_chunks_become_episodes() {
    let source = tempfile::tempdir().unwrap();
    let mut file = driftless_data::npz::NpzWriter::new(&source.path().join("chunk.npz"));
    let images: Vec<u8> = (0..6 * 4 * 4 * 3).map(|i| (i / 48 * 40) as u8).collect();
    file.add("image", &[6, 4, 4, 3], &images).unwrap();
    // One-hot, blank at the start of an episode, as Dreamer writes it.
    let rows: [[f32; 3]; 6] = [
        [0.0; 3],
        [0.0, 1.0, 0.0],
        [0.0, 0.0, 1.0],
        [0.0; 3],
        [0.0, 0.0, 1.0],
        [1.0, 0.0, 0.0],
    ];
    file.add("action", &[6, 3], &rows.concat()).unwrap();
    file.add("reward", &[6], &[f32::NAN, 1.0, 2.0, f32::NAN, 4.0, 5.0])
        .unwrap();
    let first = [true, false, false, true, false, false];
    file.add("is_first", &[6], &first).unwrap();
    file.save().unwrap();
    let fps = ["--source-fps", "15"];
    let dataset = Importer::new(None).dataset("npz", source.path(), &fps);
    assert_eq!(dataset.episodes.len(), 2);
    assert_eq!(dataset.episodes[0].actions, [0, 1, 2]);
    assert_eq!(dataset.episodes[1].actions, [0, 2, 0]);
    assert_eq!(dataset.episodes[1].rewards, [0.0, 4.0, 5.0]);
    assert_eq!(dataset.episodes[1].frame(0)[0], 120);
    // DreamerV3's actions are those taken at the frame of their row.
    let taken_at = [&fps[..], &["--pairing", "taken-at"]].concat();
    let error = Importer::new(None).error("npz", source.path(), &taken_at);
    assert!(
        error.contains("chunk.npz, episode 0: after frame 0"),
        "{error}"
    );
}
