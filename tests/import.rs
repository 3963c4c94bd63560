//! `driftless import`, on recordings that scripts/reference/import_fixtures.py made with the formats'
//! own libraries. All show a bright square that a step moves by an eighth of the picture, so that a
//! picture tells which action led to it. Videos need ffmpeg, which scripts/test.sh installs where it
//! may; without it those tests say so and are skipped.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use driftless_data::{Dataset, Episode};
use tempfile::TempDir;

/// The steps that every recording took: 0 idle, 1 left, 2 right.
const STEPS: [u32; 12] = [0, 2, 2, 0, 1, 1, 1, 0, 2, 0, 1, 2];
/// Thresholds for the recordings whose action is a speed.
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
/// Keys for the recordings that hold keys.
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
        eprintln!("skipped: no ffmpeg");
    }
    found
}

/// A folder to import into, with a map file in it where one is given.
struct Desk {
    folder: TempDir,
    map: Option<PathBuf>,
}

impl Desk {
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
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        Dataset::read(&self.out()).unwrap()
    }

    /// The one line that a failed import says; it leaves no folder behind.
    fn complaint(&self, from: &str, path: &Path, args: &[&str]) -> String {
        let output = self.import(from, path, args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        let hidden = |name: &str| name.ends_with(".partial");
        let left = self.folder.path().read_dir().unwrap();
        assert!(
            !left
                .into_iter()
                .any(|e| hidden(&e.unwrap().file_name().to_string_lossy()))
        );
        assert!(!self.out().exists());
        said
    }
}

/// Middle of the columns that are bright, in pixels of a frame that is 16 wide.
fn square(episode: &Episode, t: usize) -> f32 {
    let row = &episode.frame(t)[6 * 16 * 3..7 * 16 * 3];
    let bright = |x: &usize| row[x * 3] > 128;
    let columns: Vec<f32> = (0..16).filter(bright).map(|x| x as f32).collect();
    assert_eq!(columns.len(), 4, "frame {t}: {columns:?}");
    columns.iter().sum::<f32>() / 4.0
}

/// Every action is the one that moved the square.
fn assert_actions_led_to_their_frames(episode: &Episode) {
    assert_eq!(episode.frames(), STEPS.len() + 1);
    assert_eq!(episode.actions[0], 0);
    assert_eq!(episode.actions[1..], STEPS);
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
fn keys_of_a_vpt_line_led_to_the_frame_after_it() {
    if !has_ffmpeg() {
        return;
    }
    let desk = Desk::new(Some(("map.json", KEYS)));
    let dataset = desk.dataset("vpt", &fixture("vpt"), &["--name", "Square"]);
    assert_actions_led_to_their_frames(&dataset.episodes[0]);
    assert_eq!(dataset.info.name, "Square");
    assert_eq!(dataset.info.fps, 20.0);
    assert_eq!(dataset.info.actions[1].keys, ["A"]);
}

#[test]
fn a_video_alone_becomes_frames_of_unknown_actions() {
    let folder = fixture("vpt");
    let missing = Desk::new(None).complaint("video", &folder, &[]);
    assert!(missing.contains("--source-fps"), "{missing}");
    if !has_ffmpeg() {
        return;
    }
    for path in [folder.clone(), folder.join("square-0.mp4")] {
        let dataset = Desk::new(None).dataset("video", &path, &["--source-fps", "20"]);
        let episode = &dataset.episodes[0];
        assert_eq!(dataset.info.actions[0].name, "unknown");
        assert_eq!(episode.actions, [0; STEPS.len() + 1]);
        assert_eq!(square(episode, 1), square(episode, 0));
        assert_eq!(square(episode, 2), square(episode, 1) + 2.0);
    }
    let empty = tempfile::tempdir().unwrap();
    let said = Desk::new(None).complaint("video", empty.path(), &[]);
    assert!(said.contains("holds no video"), "{said}");
}

#[test]
fn vpt_recordings_have_a_map_of_their_own() {
    if !has_ffmpeg() {
        return;
    }
    let dataset = Desk::new(None).dataset("vpt", &fixture("vpt"), &[]);
    let names: Vec<&str> = dataset.episodes[0]
        .actions
        .iter()
        .map(|&action| dataset.info.actions[action as usize].name.as_str())
        .collect();
    assert_eq!(names[..4], ["noop", "noop", "right", "right"]);
}

#[test]
fn half_the_frames_keep_their_actions() {
    if !has_ffmpeg() {
        return;
    }
    let desk = Desk::new(Some(("map.json", KEYS)));
    let dataset = desk.dataset("vpt", &fixture("vpt"), &["--fps", "10"]);
    let episode = &dataset.episodes[0];
    assert_eq!(dataset.info.fps, 10.0);
    assert_eq!(episode.actions, [0, 2, 2, 1, 1, 2, 2]);
    let columns: Vec<f32> = (0..7)
        .map(|t| square(episode, t) - square(episode, 0))
        .collect();
    assert_eq!(columns, [0.0, 2.0, 4.0, 0.0, -2.0, 0.0, 0.0]);
}

#[test]
fn a_lerobot_row_s_action_led_to_the_next_frame_of_its_video() {
    if !has_ffmpeg() {
        return;
    }
    let desk = Desk::new(Some(("map.toml", SPEED)));
    let dataset = desk.dataset("lerobot", &fixture("lerobot"), &[]);
    assert_actions_led_to_their_frames(&dataset.episodes[0]);
    assert_eq!(dataset.info.fps, 10.0);
    assert_eq!(dataset.episodes[0].rewards[..3], [0.0, 0.0, 1.0]);
}

#[test]
fn pictures_inside_a_parquet_file_are_read_without_ffmpeg() {
    let desk = Desk::new(Some(("map.toml", SPEED)));
    let dataset = desk.dataset("lerobot", &fixture("lerobot-images"), &[]);
    assert_actions_led_to_their_frames(&dataset.episodes[0]);
}

#[test]
fn minari_s_hdf5_is_read_as_jpeg_plain_and_compressed() {
    for name in ["minari", "minari-plain", "minari-gzip"] {
        let desk = Desk::new(None);
        let dataset = desk.dataset("minari", &fixture(name), &["--source-fps", "15"]);
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

/// Pictures of the square with a CSV file, PNG and JPEG in turn; the action is in the row of the
/// picture to which it led.
fn pictures(folder: &Path) {
    let mut x = 12;
    let mut rows = vec!["episode, file, action".to_string()];
    for (t, step) in [0].iter().chain(&STEPS).enumerate() {
        x = [x, x - 4, x + 4][*step as usize];
        let picture = image::RgbImage::from_fn(32, 24, |column, row| {
            let inside = (x..x + 8).contains(&(column as i32)) && (8..16).contains(&row);
            image::Rgb(if inside {
                [230, 220, 210]
            } else {
                [20, 40, 60]
            })
        });
        let name = format!("{t}.{}", ["png", "jpg"][t % 2]);
        picture.save(folder.join(&name)).unwrap();
        let action = ["noop", "left", "right"][*step as usize];
        rows.push(format!("one, {name}, {action}"));
    }
    std::fs::write(folder.join("actions.csv"), rows.join("\n")).unwrap();
}

#[test]
fn a_picture_s_row_holds_the_action_that_led_to_it() {
    let source = tempfile::tempdir().unwrap();
    pictures(source.path());
    let map = r#"actions = [{ name = "stay", is = ["noop"] },
        { name = "left", is = ["left"] }, { name = "right", is = ["right"] }]"#;
    let desk = Desk::new(Some(("map.toml", map)));
    let dataset = desk.dataset("images", source.path(), &["--source-fps", "15"]);
    assert_actions_led_to_their_frames(&dataset.episodes[0]);
    let manifest = std::fs::read_to_string(desk.out().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["pairing"], "led-to");
    assert_eq!(manifest["episodes"][0]["source"], "one");
    let counts = manifest["actions"].as_array().unwrap();
    assert_eq!(counts[1], serde_json::json!({"name": "left", "frames": 4}));
}

#[test]
fn a_bad_episode_stops_the_import_or_is_left_out() {
    let source = tempfile::tempdir().unwrap();
    pictures(source.path());
    let csv = source.path().join("actions.csv");
    let rows = std::fs::read_to_string(&csv).unwrap();
    std::fs::write(
        &csv,
        format!("{rows}\ntwo, 0.png, noop\ntwo, missing.png, jump"),
    )
    .unwrap();
    let desk = Desk::new(None);
    let said = desk.complaint("images", source.path(), &["--source-fps", "15"]);
    assert!(said.contains("missing.png"), "{said}");

    let args = ["--source-fps", "15", "--skip-bad"];
    let output = desk.import("images", source.path(), &args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && said.lines().count() == 1,
        "{said}"
    );
    assert!(
        said.contains("left out: ") && said.contains("missing.png"),
        "{said}"
    );
    let dataset = Dataset::read(&desk.out()).unwrap();
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
        "nothing of the episode left out"
    );
}

#[test]
fn a_folder_that_holds_something_is_left_alone() {
    let source = tempfile::tempdir().unwrap();
    pictures(source.path());
    let desk = Desk::new(None);
    std::fs::create_dir(desk.out()).unwrap();
    std::fs::write(desk.out().join("mine"), "mine").unwrap();
    let output = desk.import("images", source.path(), &["--source-fps", "15"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is not empty"), "{said}");
    assert_eq!(desk.out().read_dir().unwrap().count(), 1);
}

#[test]
fn what_is_missing_is_said_with_what_was_expected() {
    let empty = tempfile::tempdir().unwrap();
    let minari = fixture("minari");
    let lerobot = fixture("lerobot-images");
    let wide = ["--source-fps", "15", "--image-key", "x"];
    let cases: [(&str, &Path, &[&str], &str); 8] = [
        ("images", empty.path(), &[], "holds 0 .csv files"),
        ("vpt", empty.path(), &[], "holds no .mp4 file"),
        ("minari", empty.path(), &[], "main_data.hdf5"),
        ("lerobot", empty.path(), &[], "info.json"),
        ("minari", &minari, &[], "give --source-fps"),
        (
            "minari",
            &minari,
            &wide,
            "`episode_0/observations/x`: shape [13, 1]",
        ),
        (
            "lerobot",
            &lerobot,
            &["--image-key", "top"],
            "observation.images.top",
        ),
        (
            "lerobot",
            &lerobot,
            &[],
            "vectors of 2 numbers: map them with --actions FILE",
        ),
    ];
    for (from, path, args, expected) in cases {
        let said = Desk::new(None).complaint(from, path, args);
        assert!(said.contains(expected), "{from}: {said}");
    }
}

#[test]
fn recordings_that_are_cut_off_are_errors_unless_nothing_of_them_is_lost() {
    let parquet = "data/chunk-000/episode_000000.parquet";
    let cases = [
        ("minari", "minari", "data/main_data.hdf5", None),
        ("minari-plain", "minari", "data/main_data.hdf5", None),
        ("minari-gzip", "minari", "data/main_data.hdf5", None),
        (
            "lerobot-images",
            "lerobot",
            parquet,
            Some(("map.toml", SPEED)),
        ),
    ];
    for (name, from, file, map) in cases {
        let source = tempfile::tempdir().unwrap();
        let files = [file, "meta/info.json", "meta/episodes.jsonl"];
        for file in files
            .iter()
            .filter(|file| fixture(name).join(file).exists())
        {
            let to = source.path().join(file);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(fixture(name).join(file), to).unwrap();
        }
        let fps = ["--source-fps", "15"];
        let whole = Desk::new(map).dataset(from, &fixture(name), &fps);
        let bytes = std::fs::read(fixture(name).join(file)).unwrap();
        let mut errors = 0;
        for part in 0..16 {
            let cut = &bytes[..bytes.len() * part / 16];
            std::fs::write(source.path().join(file), cut).unwrap();
            let desk = Desk::new(map);
            let output = desk.import(
                from,
                source.path(),
                &[&fps[..], &["--size", "12x16"]].concat(),
            );
            if output.status.success() {
                assert_eq!(
                    Dataset::read(&desk.out()).unwrap().episodes,
                    whole.episodes,
                    "{name}, {part}/16"
                );
            } else {
                let said = String::from_utf8(output.stderr).unwrap();
                assert!(
                    said.lines().count() == 1 && said.contains(file),
                    "{name}, {part}/16: {said}"
                );
                errors += 1;
            }
        }
        assert!(errors >= 8, "{name}: {errors} errors");
    }
}

#[test]
fn a_video_that_is_broken_or_of_another_length_is_an_error() {
    if !has_ffmpeg() {
        return;
    }
    let source = tempfile::tempdir().unwrap();
    let video = source.path().join("a.mp4");
    let lines = source.path().join("a.jsonl");
    let text = std::fs::read_to_string(fixture("vpt/square-0.jsonl")).unwrap();
    std::fs::copy(fixture("vpt/square-0.mp4"), &video).unwrap();
    let said = Desk::new(None).complaint("vpt", source.path(), &[]);
    assert!(said.contains("a.jsonl"), "{said}");

    let fewer: Vec<&str> = text.lines().take(9).collect();
    std::fs::write(&lines, fewer.join("\n")).unwrap();
    let said = Desk::new(None).complaint("vpt", source.path(), &[]);
    assert!(said.contains("a.mp4: 13 frames, but 9 lines"), "{said}");

    std::fs::write(&lines, text).unwrap();
    std::fs::write(&video, "no video").unwrap();
    let said = Desk::new(None).complaint("vpt", source.path(), &[]);
    assert!(said.contains("a.mp4: ffmpeg failed"), "{said}");
}

#[test]
fn without_ffmpeg_a_video_says_what_it_needs() {
    let output = Command::new(env!("CARGO_BIN_EXE_driftless"))
        .args(["import", "--from", "vpt"])
        .arg(fixture("vpt"))
        .arg("--out")
        .arg(tempfile::tempdir().unwrap().path().join("out"))
        .env("PATH", "")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("square-0.mp4: this needs ffmpeg"), "{said}");
}
