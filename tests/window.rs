//! End-to-end tests of the window: the real program on an X server with software rendering.

#![allow(clippy::unwrap_used, clippy::panic)]

mod display;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use display::Display;
use driftless_data::Episode;
use driftless_eval::objects::Game;
use driftless_model::contexts;
use image::RgbImage;
use image::imageops::{self, FilterType};

/// An included world.
fn pong() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/pong")
}

/// The program's single line on stderr; a graphics driver may print more before it.
fn last_word(stderr: &str) -> &str {
    let own = |line: &&str| line.starts_with("driftless: ");
    assert_eq!(stderr.lines().filter(own).count(), 1, "{stderr}");
    stderr.lines().last().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Long enough for the paddle to cross the field.
fn play_for_a_while() {
    std::thread::sleep(Duration::from_millis(2500));
}

/// Where the window shows the world: the bounding box of Pong's brown background.
fn picture(screenshot: &RgbImage) -> Option<[u32; 4]> {
    let brown = |p: &image::Rgb<u8>| {
        p.0.iter()
            .zip([144, 72, 17])
            .all(|(a, b)| a.abs_diff(b) < 14)
    };
    let places = || {
        screenshot
            .enumerate_pixels()
            .filter(|(_, _, pixel)| brown(pixel))
    };
    let (left, right) = (places().map(|p| p.0).min()?, places().map(|p| p.0).max()?);
    let (top, bottom) = (places().map(|p| p.1).min()?, places().map(|p| p.1).max()?);
    Some([left, top, right - left + 1, bottom - top + 1])
}

/// Whether the failure card is visible, by the colour of its title.
fn says_that_it_failed(screenshot: &RgbImage) -> bool {
    screenshot.pixels().any(|pixel| pixel.0 == [232, 110, 98])
}

/// Mean absolute difference over the pixels where either image is not background.
fn difference(a: &[u8], b: &[u8]) -> f64 {
    let shows = |pixel: &[u8]| {
        pixel
            .iter()
            .zip([144, 72, 17])
            .any(|(a, b)| a.abs_diff(b) > 40)
    };
    let (mut sum, mut count) = (0.0, 0.0);
    for (a, b) in a.chunks(3).zip(b.chunks(3)) {
        if shows(a) || shows(b) {
            sum += a
                .iter()
                .zip(b)
                .map(|(a, b)| f64::from(a.abs_diff(*b)))
                .sum::<f64>()
                / 3.0;
            count += 1.0;
        }
    }
    sum / f64::max(count, 1.0)
}

/// The longest run of frames with the same action.
fn longest_stretch(episode: &Episode, action: u32) -> Range<usize> {
    let mut longest = 0..0;
    let mut start = 0;
    for (t, &held) in episode.actions.iter().enumerate() {
        if held != action {
            start = t + 1;
        } else if t + 1 - start > longest.len() {
            longest = start..t + 1;
        }
    }
    longest
}

/// Mean row of the player's paddle over a few frames at the start and end of a range.
fn player_from_to(episode: &Episode, stretch: Range<usize>) -> (f32, f32) {
    let mean = |frames: Range<usize>| {
        let rows: Vec<f32> = frames
            .filter_map(|t| Game::Pong.find(episode.frame(t)).player)
            .collect();
        assert!(!rows.is_empty(), "no paddle in the picture");
        rows.iter().sum::<f32>() / rows.len() as f32
    };
    (
        mean(stretch.start..stretch.start + 2),
        mean(stretch.end - 3..stretch.end),
    )
}

#[test]
fn shows_frames_and_obeys_keys() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (record, shot) = (
        folder.path().join("played.npz"),
        folder.path().join("shot.png"),
    );
    let world = pong();
    let window = display.open(&[
        "play",
        "--checkpoint",
        text(&world),
        "--seed",
        "1",
        "--record",
        text(&record),
    ]);
    // Close the overlay and the panel, which cover the picture.
    window.press("h");
    window.press("t");
    window.down("Up");
    play_for_a_while();
    window.up("Up");
    window.down("Down");
    play_for_a_while();
    let seen = window.wait_for("the picture", &shot, |shot| {
        picture(shot).is_some_and(|[_, _, width, _]| width > 500)
    });
    window.up("Down");
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");

    let played = Episode::read(&record).unwrap();
    let [left, top, width, height] = picture(&seen).unwrap();
    assert!(width.abs_diff(height) <= width / 16, "{width}×{height}");
    let shown = imageops::crop_imm(&seen, left, top, width, height).to_image();
    let (w, h) = (played.width as u32, played.height as u32);
    let shown = imageops::resize(&shown, w, h, FilterType::Nearest).into_raw();
    let nearest = (0..played.frames()).map(|t| difference(&shown, played.frame(t)));
    let (nearest, t) = nearest.zip(0..).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    assert!(nearest < 2.0, "the nearest is frame {t} at {nearest}");
    let config = driftless_model::checkpoint::read_config(&world).unwrap();
    for other in contexts::read(&world.join("contexts.npz"), &config).unwrap() {
        let last = &other.images[other.images.len() - config.image_len()..];
        let far = difference(&shown, last);
        assert!(
            far > 10.0,
            "a frame that was not shown differs by only {far}"
        );
    }
    assert_eq!(
        played.actions[t], 2,
        "frame {t} was generated while Down was held"
    );

    let (up, down) = (longest_stretch(&played, 1), longest_stretch(&played, 2));
    assert!(
        up.len() >= 5 && down.len() >= 5 && up.end <= down.start,
        "{up:?} {down:?}"
    );
    let (from, to) = player_from_to(&played, up);
    assert!(
        to < from - 4.0 || to < 8.0,
        "up moved the paddle from row {from} to {to}"
    );
    let (from, to) = player_from_to(&played, down);
    assert!(
        to > from + 8.0,
        "down moved the paddle from row {from} to {to}"
    );
}

#[test]
fn plays_on_the_windows_device() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let shot = folder.path().join("shot.png");
    let window = display.open(&["play", "--checkpoint", text(&pong()), "--device", "wgpu"]);
    for key in ["Escape", "h", "t"] {
        window.press(key);
    }
    let shown = |shot: &RgbImage| picture(shot).is_some_and(|[_, _, width, _]| width > 500);
    let first = window.wait_for("the picture", &shot, shown);
    let [left, top, width, height] = picture(&first).unwrap();
    let inside = |shot: &RgbImage| imageops::crop_imm(shot, left, top, width, height).to_image();
    let moved = |shot: &RgbImage| shown(shot) && difference(&inside(shot), &inside(&first)) > 10.0;
    window.wait_for("another picture", &shot, moved);
    assert!(!says_that_it_failed(&first));
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
}

#[test]
fn pause_step_restart_next_scene() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("played.npz");
    let world = pong();
    let window = display.open(&[
        "play",
        "--checkpoint",
        text(&world),
        "--record",
        text(&record),
    ]);
    for key in ["Escape", "p", "r", "c", "n", "n"] {
        window.press(key);
    }
    play_for_a_while();
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    let played = Episode::read(&record).unwrap();
    let tail = |name: &str| {
        let values = &played.extras[name].values;
        values[values.len() - 4..].to_vec()
    };
    assert_eq!(tail("number"), [0.0, 0.0, 1.0, 2.0]);
    assert_eq!(tail("context"), [0.0, 1.0, 1.0, 1.0]);
}

#[test]
fn worlds_page_switches_world() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (record, shot) = (
        folder.path().join("played.npz"),
        folder.path().join("shot.png"),
    );
    let window = display.open(&["play", "--record", text(&record)]);
    window.press("Escape");
    // Close the Tuning panel: its selected buttons are as green as the focused card.
    window.press("t");
    window.press("o");
    // The frame around the focused card.
    let lit = |shot: &RgbImage| {
        let accent = |pixel: &&image::Rgb<u8>| pixel.0 == [104, 196, 122];
        shot.pixels().filter(accent).count() > 1200
    };
    window.wait_for("the cards", &shot, lit);
    window.press("Escape");
    assert_eq!(window.title(), "Driftless – Pong");
    window.wait_for("the picture", &shot, |shot| picture(shot).is_some());
    window.press("o");
    window.wait_for("the cards", &shot, lit);
    window.press("Right");
    // Until the focus has moved.
    play_for_a_while();
    window.press("Return");
    display::wait("the other world", || {
        (window.title() == "Driftless – Breakout").then_some(())
    });
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    // The previous world's recording is written.
    assert!(Episode::read(&record).unwrap().frames() > 0);
}

#[test]
fn plays_a_simulator() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("played.npz");
    let window = display.open(&[
        "play",
        "--world",
        "maze",
        "--seed",
        "5",
        "--record",
        text(&record),
    ]);
    window.press("Escape");
    window.down("Left");
    play_for_a_while();
    window.up("Left");
    window.press("c");
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");

    let played = Episode::read(&record).unwrap();
    let left = longest_stretch(&played, 3);
    assert!(left.len() >= 5, "{left:?}");
    // Every frame of the first maze equals the simulator's.
    let numbers = &played.extras["number"].values;
    let starts: Vec<usize> = (0..played.frames())
        .filter(|&t| numbers[t] == 0.0)
        .collect();
    assert_eq!(starts.len(), 2, "{starts:?}");
    let mut world = driftless_worlds::Kind::Maze.open(5);
    for t in 0..starts[1] {
        if t > 0 {
            world.step(played.actions[t]).unwrap();
        }
        assert!(played.frame(t) == world.image(), "frame {t}");
    }
    world.reset(6);
    assert!(played.frame(starts[1]) == world.image());
}

#[test]
fn custom_keys_and_mouse() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("played.npz");
    let own = "look = \"light\"\n[keys.Maze]\nforward = [\"I\"]\n";
    std::fs::write(display.settings(), own).unwrap();
    let window = display.open(&["play", "--world", "maze", "--record", text(&record)]);
    window.press("Escape");
    // First the world's default key, then the custom one.
    for key in ["w", "i"] {
        window.down(key);
        play_for_a_while();
        window.up(key);
    }
    window.press("F4");
    window.move_right(100, 6);
    window.press("Escape");
    // The Help page pauses the world.
    window.press("F1");
    window.down("Left");
    play_for_a_while();
    window.up("Left");
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");

    let played = Episode::read(&record).unwrap();
    let [forward, left, right] = [1, 3, 4].map(|action| longest_stretch(&played, action));
    assert!(forward.len() >= 5, "{forward:?}");
    assert!(
        played.actions[..forward.start]
            .iter()
            .all(|action| *action == 0)
    );
    assert!(right.len() >= 2 && right.start >= forward.end, "{right:?}");
    assert!(left.is_empty(), "{left:?}");
    let kept = std::fs::read_to_string(display.settings()).unwrap();
    for part in [
        "look = \"light\"",
        "welcomed = [\"Maze\"]",
        "forward = [\"I\"]",
    ] {
        assert!(kept.contains(part), "{kept}");
    }
}

#[test]
fn failed_world_restarts_or_reports() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (world, record) = (
        folder.path().join("world"),
        folder.path().join("played.npz"),
    );
    let shot = folder.path().join("shot.png");
    std::fs::create_dir(&world).unwrap();
    for file in std::fs::read_dir(pong()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), world.join(file.file_name())).unwrap();
    }
    let weights = world.join("dynamics.safetensors");
    let whole = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    let args = [
        "play",
        "--checkpoint",
        text(&world),
        "--record",
        text(&record),
    ];

    let window = display.open(&args);
    window.wait_for("the failure", &shot, says_that_it_failed);
    let (status, stderr) = window.close();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(
        last_word(&stderr).contains("dynamics.safetensors"),
        "{stderr}"
    );
    assert!(!record.exists());

    let window = display.open(&args);
    window.wait_for("the failure", &shot, says_that_it_failed);
    std::fs::write(&weights, &whole).unwrap();
    window.press("Return");
    window.wait_for("the picture", &shot, |shot| picture(shot).is_some());
    play_for_a_while();
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    assert!(Episode::read(&record).unwrap().frames() > 1);
}

#[test]
fn missing_adapter_suggests_headless() {
    let Some(display) = Display::start() else {
        return;
    };
    let world = pong();
    // No Vulkan driver is listed, and OpenGL is not tried.
    let nothing = [
        ("VK_DRIVER_FILES", "/nonexistent.json"),
        ("VK_ICD_FILENAMES", "/nonexistent.json"),
        ("WGPU_BACKEND", "vulkan"),
    ];
    let (status, stderr) = display.refuse(&["play", "--checkpoint", text(&world)], &nothing);
    assert_eq!(status.code(), Some(1), "{stderr}");
    let said = last_word(&stderr);
    assert!(
        said.contains("no graphics adapter") && said.contains("--headless"),
        "{stderr}"
    );
}

#[test]
fn missing_display_suggests_headless() {
    for display in [None, Some(":64999")] {
        let world = pong();
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
        command.args(["play", "--checkpoint", text(&world)]);
        for variable in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"] {
            command.env_remove(variable);
        }
        command.envs(display.map(|name| ("DISPLAY", name)));
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{display:?}: {stderr}");
        assert!(
            stderr.contains("no display") && stderr.contains("--headless"),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}
