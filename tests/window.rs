//! The window end to end: the program on an X server with software rendering.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

mod common;
mod display;

#[path = "window/failures.rs"]
mod failures;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{path_str, wait};
use display::Display;
use driftless_data::Episode;
use driftless_eval::objects::Game;
use driftless_model::starting_clips;
use image::RgbImage;
use image::imageops::{self, FilterType};

/// Checkpoint folder of an included world.
fn pong() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/pong")
}

/// The program's one error line, which comes last; a graphics driver may print others before it.
fn error_line(stderr: &str) -> &str {
    let own = |line: &&str| line.starts_with("driftless: ");
    assert_eq!(stderr.lines().filter(own).count(), 1, "{stderr}");
    stderr.lines().last().unwrap()
}

/// Whether a pixel has the colour of Pong's background.
fn is_background(pixel: &image::Rgb<u8>) -> bool {
    let channels = pixel.0.iter().zip([144, 72, 17]);
    channels.into_iter().all(|(a, b)| a.abs_diff(b) < 14)
}

/// The world's viewport as [left, top, width, height]: the bounding box of Pong's background.
fn viewport(screenshot: &RgbImage) -> Option<[u32; 4]> {
    let pixels = || {
        screenshot
            .enumerate_pixels()
            .filter(|(_, _, pixel)| is_background(pixel))
    };
    let (left, right) = (pixels().map(|p| p.0).min()?, pixels().map(|p| p.0).max()?);
    let (top, bottom) = (pixels().map(|p| p.1).min()?, pixels().map(|p| p.1).max()?);
    Some([left, top, right - left + 1, bottom - top + 1])
}

/// Whether the failure card is visible, by the colour of its headline.
fn shows_failure(screenshot: &RgbImage) -> bool {
    screenshot.pixels().any(|pixel| pixel.0 == [238, 126, 114])
}

/// Whether the window shows Pong itself, not only its picture on a card.
fn shows_pong(screenshot: &RgbImage) -> bool {
    let filled = screenshot.pixels().filter(|p| is_background(p)).count();
    viewport(screenshot).is_some_and(|[_, _, width, height]| {
        // Other pictures may have a few pixels of this colour.
        width > 300 && 2 * filled > (width * height) as usize
    })
}

/// Mean column of the outline of the card that has the focus, by its colour, on the page of worlds.
fn focused_card(screenshot: &RgbImage) -> Option<u64> {
    // The welcome card and the tuning panel have the outline's colour too.
    if shows_pong(screenshot) {
        return None;
    }
    let accent = |(_, _, pixel): &(u32, u32, &image::Rgb<u8>)| pixel.0 == [104, 196, 122];
    let columns = screenshot.enumerate_pixels().filter(accent).map(|p| p.0);
    let (sum, count) = columns.fold((0, 0), |(sum, count), x| (sum + u64::from(x), count + 1));
    (count > 1200).then(|| sum / count)
}

/// A frame of Pong without the rows and columns that the score covers.
fn without_score(image: &[u8], width: usize) -> Vec<u8> {
    let mut image = image.to_vec();
    for row in image.chunks_mut(width * 3).take(5) {
        for pixel in row.chunks_mut(3).skip(width / 3).take(width / 3) {
            pixel.copy_from_slice(&[144, 72, 17]);
        }
    }
    image
}

/// Mean absolute difference over the pixels where either image differs from the background.
fn difference(a: &[u8], b: &[u8]) -> f64 {
    let is_object = |pixel: &[u8]| {
        pixel
            .iter()
            .zip([144, 72, 17])
            .any(|(a, b)| a.abs_diff(b) > 40)
    };
    let (mut sum, mut count) = (0.0, 0.0);
    for (a, b) in a.chunks(3).zip(b.chunks(3)) {
        if is_object(a) || is_object(b) {
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
fn longest_run(episode: &Episode, action: u32) -> Range<usize> {
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

/// Row of the player's paddle at the start and at the end of a run of frames, each the mean of a few
/// frames.
fn paddle_rows(episode: &Episode, run: Range<usize>) -> (f32, f32) {
    let mean = |frames: Range<usize>| {
        let rows: Vec<f32> = frames
            .filter_map(|t| Game::Pong.find(episode.frame(t)).player)
            .collect();
        assert!(!rows.is_empty(), "no paddle in the frames");
        rows.iter().sum::<f32>() / rows.len() as f32
    };
    (mean(run.start..run.start + 2), mean(run.end - 3..run.end))
}

#[test]
fn window_shows_frames_and_obeys_keys() {
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
        path_str(&world),
        "--seed",
        "1",
        "--record",
        path_str(&record),
    ]);
    // Enough frames for the paddle to cross the field.
    window.down("Up");
    window.wait_for_changes(20, &shot);
    window.up("Up");
    window.down("Down");
    window.wait_for_changes(20, &shot);
    let screenshot = window.wait_for("the viewport", &shot, |shot| {
        viewport(shot).is_some_and(|[_, _, width, _]| width > 500)
    });
    window.up("Down");
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");

    let played = Episode::read(&record).unwrap();
    let [left, top, width, height] = viewport(&screenshot).unwrap();
    assert!(width.abs_diff(height) <= width / 16, "{width}×{height}");
    let shown = imageops::crop_imm(&screenshot, left, top, width, height).to_image();
    let (w, h) = (played.width as u32, played.height as u32);
    let shown = imageops::resize(&shown, w, h, FilterType::Nearest).into_raw();
    let shown = without_score(&shown, played.width);
    let frame = |t| without_score(played.frame(t), played.width);
    let nearest = (0..played.frames()).map(|t| difference(&shown, &frame(t)));
    let (nearest, t) = nearest.zip(0..).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    assert!(nearest < 2.0, "the nearest is frame {t} at {nearest}");
    let config = driftless_model::checkpoint::read_config(&world).unwrap();
    for other in starting_clips::read(&world.join("contexts.npz"), &config).unwrap() {
        let last = &other.images[other.images.len() - config.image_len()..];
        let distance = difference(&shown, &without_score(last, played.width));
        assert!(
            distance > 10.0,
            "a frame that was not shown has a distance of only {distance}"
        );
    }
    assert_eq!(
        played.actions[t], 2,
        "frame {t} was generated while Down was held"
    );

    let (up, down) = (longest_run(&played, 1), longest_run(&played, 2));
    assert!(
        up.len() >= 5 && down.len() >= 5 && up.end <= down.start,
        "{up:?} {down:?}"
    );
    let (from, to) = paddle_rows(&played, up);
    assert!(
        to < from - 4.0 || to < 8.0,
        "up moved the paddle from row {from} to {to}"
    );
    let (from, to) = paddle_rows(&played, down);
    assert!(
        to > from + 8.0,
        "down moved the paddle from row {from} to {to}"
    );
}

#[test]
fn world_on_the_windows_gpu_moves() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let shot = folder.path().join("shot.png");
    let window = display.open(&[
        "play",
        "--checkpoint",
        path_str(&pong()),
        "--device",
        "wgpu",
    ]);
    for key in ["Escape", "h", "t"] {
        window.press(key);
    }
    let shown = |shot: &RgbImage| viewport(shot).is_some_and(|[_, _, width, _]| width > 500);
    let first = window.wait_for("the viewport", &shot, shown);
    let [left, top, width, height] = viewport(&first).unwrap();
    let inside = |shot: &RgbImage| imageops::crop_imm(shot, left, top, width, height).to_image();
    let moved = |shot: &RgbImage| shown(shot) && difference(&inside(shot), &inside(&first)) > 10.0;
    window.wait_for("another frame", &shot, moved);
    assert!(!shows_failure(&first));
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
}

#[test]
fn pause_step_reset_and_next_clip() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("played.npz");
    let shot = folder.path().join("shot.png");
    let world = pong();
    let window = display.open(&[
        "play",
        "--checkpoint",
        path_str(&world),
        "--record",
        path_str(&record),
    ]);
    window.press("Escape");
    // A reset must change the viewport, so that it can be waited for.
    window.wait_for_changes(3, &shot);
    window.press("p");
    window.wait_until_still(&shot);
    for key in ["r", "c", "n", "n"] {
        window.press_and_wait(key, &shot);
    }
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
fn another_world_is_chosen() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (record, shot) = (
        folder.path().join("played.npz"),
        folder.path().join("shot.png"),
    );
    let window = display.open(&["play", "--record", path_str(&record)]);
    window.press("Escape");
    window.press("o");
    window.wait_for("the cards", &shot, |shot| focused_card(shot).is_some());
    window.press("Escape");
    window.wait_for("the game", &shot, shows_pong);
    wait("the title", || {
        (window.title() == "● Recording Pong – Driftless").then_some(())
    });
    window.press("o");
    let cards = window.wait_for("the cards", &shot, |shot| focused_card(shot).is_some());
    let first = focused_card(&cards).unwrap();
    window.press("Right");
    window.wait_for("the next card", &shot, |shot| {
        focused_card(shot).is_some_and(|column| column > first + 50)
    });
    window.press("Return");
    wait("the other world", || {
        (window.title() == "Breakout – Driftless").then_some(())
    });
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    // The session of the first world is still saved.
    assert!(Episode::read(&record).unwrap().frames() > 0);
}

#[test]
fn window_plays_a_simulator() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("played.npz");
    let shot = folder.path().join("shot.png");
    let window = display.open(&[
        "play",
        "--world",
        "maze",
        "--seed",
        "5",
        "--record",
        path_str(&record),
    ]);
    window.press("Escape");
    window.down("Left");
    window.wait_for_changes(10, &shot);
    window.up("Left");
    window.wait_until_still(&shot);
    window.press_and_wait("c", &shot);
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");

    let played = Episode::read(&record).unwrap();
    let left = longest_run(&played, 3);
    assert!(left.len() >= 5, "{left:?}");
    // Every frame of the first maze is bit-identical to the simulator's.
    let numbers = &played.extras["number"].values;
    let starts: Vec<usize> = (0..played.frames())
        .filter(|&t| numbers[t] == 0.0)
        .collect();
    assert_eq!(starts.len(), 2, "{starts:?}");
    let mut world = driftless_worlds::SimulatorKind::Maze.open(5);
    for t in 0..starts[1] {
        if t > 0 {
            world.step(played.action(t)).unwrap();
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
    let shot = folder.path().join("shot.png");
    // The overlay's frame number changes in front of a wall, too.
    let settings = "look = \"light\"\nhud = true\n[keys.Maze]\nforward = [\"I\"]\n";
    std::fs::write(display.settings(), settings).unwrap();
    let window = display.open(&["play", "--world", "maze", "--record", path_str(&record)]);
    window.press("Escape");
    // The world's own key, which is no longer bound, then the custom one.
    for key in ["w", "i"] {
        window.down(key);
        window.wait_for_changes(10, &shot);
        window.up(key);
    }
    window.press("F4");
    window.move_right(100, 6);
    window.press("Escape");
    // The world is paused behind the help page.
    window.press("F1");
    window.down("Left");
    window.wait_until_still(&shot);
    window.up("Left");
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");

    let played = Episode::read(&record).unwrap();
    let [forward, left, right] = [1, 3, 4].map(|action| longest_run(&played, action));
    assert!(forward.len() >= 5, "{forward:?}");
    assert!(
        played.actions[..forward.start]
            .iter()
            .all(|action| *action == 0)
    );
    assert!(right.len() >= 2 && right.start >= forward.end, "{right:?}");
    assert!(left.is_empty(), "{left:?}");
    let saved = std::fs::read_to_string(display.settings()).unwrap();
    for part in [
        "look = \"light\"",
        "welcomed = [\"Maze\"]",
        "forward = [\"I\"]",
    ] {
        assert!(saved.contains(part), "{saved}");
    }
}
