//! A capture of a real window on an X server: one that paints the keys it sees.

#![cfg(all(unix, not(target_os = "macos")))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

#[path = "../../../tests/common/mod.rs"]
mod common;
mod painter;
#[path = "../../../tests/display/server.rs"]
mod server;

use std::time::Duration;

use driftless_capture::{
    Activity, CaptureActions, CapturePlan, CaptureReport, ChosenKey, Crop, Cut, End, Key, Marker,
    Picture, Progress, SourceOptions, SystemClock, WindowState, choose, finish, keys_of,
    learn_keys, open, record, stills, windows,
};
use driftless_data::{Dataset, Episode};
use painter::{CELL, Scene};

/// The keys that are painted, from left to right; the first two are recorded.
const PAINTED: [&str; 3] = ["Left", "space", "q"];

struct Capture {
    scene: Scene,
    folder: tempfile::TempDir,
    options: SourceOptions,
}

impl Capture {
    /// A capture of the painter's window, which has the focus. `None` if the test is skipped.
    fn start() -> Option<Self> {
        let scene = Scene::start(&PAINTED)?;
        let display = Some(scene.display());
        let windows = windows(display.as_deref()).unwrap();
        let key = |name| Some(Key::parse(name).unwrap());
        let options = SourceOptions {
            window: choose(&windows, "painter").unwrap(),
            display,
            crop: None,
            keys: keys_of(&ChosenKey::parse_list("Left,space").unwrap()),
            mouse: false,
            stop_key: key("F12"),
            pause_key: key("F11"),
        };
        let folder = tempfile::tempdir().unwrap();
        Some(Self {
            scene,
            folder,
            options,
        })
    }

    fn plan(&self, out: &str) -> CapturePlan {
        let [width, height] = self.options.window.size.map(|side| side as usize);
        CapturePlan {
            out: self.folder.path().join(out),
            journal: self.folder.path().join("unfinished"),
            name: "Painter".into(),
            window: self.options.window.title.clone(),
            fps: 10.0,
            size: [height, width],
            keys: ChosenKey::parse_list("Left,space").unwrap(),
            mouse: self.options.mouse,
            actions: CaptureActions::default(),
            length: Some(Duration::from_secs(60)),
            episode_frames: 1000,
        }
    }

    /// Captures; `act` is called with the scene and the number of calls before it, and ends the capture with `false`.
    fn run(&self, out: &str, act: &mut Act<'_>) -> (End, CaptureReport, Vec<Episode>) {
        let mut source = open(&self.options).unwrap();
        let (clock, plan) = (SystemClock::start(), self.plan(out));
        let mut calls = 0;
        let captured = record(source.as_mut(), &clock, &plan, &mut |progress| {
            calls += 1;
            act(&self.scene, calls - 1, progress)
        })
        .unwrap();
        let report = finish(captured.open().unwrap(), &plan.out, &mut |_, _| {}).unwrap();
        let episodes = Dataset::read(&plan.out).unwrap().episodes;
        (captured.end, report, episodes)
    }

    /// As [`Capture::run`], again until no frame is lost: on a machine that is too busy there are gaps.
    fn run_without_gaps(
        &self,
        mut act: impl FnMut(&Scene, u64, Progress) -> bool,
    ) -> (End, CaptureReport, Vec<Episode>) {
        let tries = (0..8).map(|n| self.run(&format!("try {n}"), &mut act));
        let whole = tries
            .into_iter()
            .find(|(_, report, _)| report.lost_frames == 0);
        whole.expect("a capture without lost frames in eight tries")
    }
}

/// What happens at a frame; `false` ends the capture.
type Act<'a> = dyn FnMut(&Scene, u64, Progress) -> bool + 'a;

/// Whether a frame shows the key in this cell as held.
fn shows(episode: &Episode, t: usize, cell: usize) -> bool {
    let middle = usize::from(CELL) / 2;
    let at = (middle * episode.width + cell * usize::from(CELL) + middle) * 3;
    episode.frame(t)[at] > 128
}

/// Whether a key was recorded as held, by its column.
fn held(episode: &Episode, t: usize, key: usize) -> bool {
    let input = &episode.extras["input"];
    input.values[t * input.shape[1] + key] != 0.0
}

/// The frames at which a row of truths changes.
fn changes(frames: usize, of: impl Fn(usize) -> bool) -> Vec<usize> {
    (1..frames).filter(|&t| of(t) != of(t - 1)).collect()
}

#[test]
fn keys_and_pictures_agree_within_a_frame() {
    let Some(capture) = Capture::start() else {
        return;
    };
    let script = [
        (5, 0, true),
        (9, 0, false),
        (12, 1, true),
        (14, 0, true),
        (15, 1, false),
        (21, 0, false),
        (24, 1, true),
        (30, 1, false),
    ];
    let (end, report, episodes) = capture.run_without_gaps(|scene, call, _| {
        for (_, key, down) in script.iter().filter(|(at, ..)| *at == call) {
            scene.key(PAINTED[*key], *down);
        }
        call < 36
    });
    assert_eq!(end, End::Stopped);
    assert_eq!(episodes.len(), 1, "{report:?}");
    let episode = &episodes[0];
    for key in 0..2 {
        let recorded = changes(episode.frames(), |t| held(episode, t, key));
        let painted = changes(episode.frames(), |t| shows(episode, t, key));
        assert_eq!(recorded.len(), 4, "{recorded:?}");
        assert_eq!(recorded.len(), painted.len(), "{recorded:?} {painted:?}");
        for (recorded, painted) in recorded.iter().zip(&painted) {
            assert!(recorded.abs_diff(*painted) <= 1, "{recorded} {painted}");
        }
    }
    let names: Vec<_> = report
        .actions
        .iter()
        .map(|action| action.name.as_str())
        .collect();
    assert_eq!(names, ["noop", "Left+space", "Left", "space"]);
}

#[test]
fn other_keys_and_windows_are_not_recorded() {
    let Some(capture) = Capture::start() else {
        return;
    };
    let mut unfocused = 0;
    let (_, report, episodes) = capture.run_without_gaps(|scene, call, progress| {
        unfocused += u32::from(progress.activity == Activity::Unfocused);
        match call {
            // A key that is not chosen, in the window.
            4 => scene.key("q", true),
            7 => scene.key("q", false),
            // A chosen key, in another window, which lies over this one.
            10 => scene.focus_other(),
            12 => scene.key("space", true),
            15 => scene.key("space", false),
            17 => scene.focus_painter(),
            _ => {}
        }
        call < 24
    });
    assert!(unfocused >= 4, "{unfocused}");
    let cuts: Vec<_> = report.episodes.iter().map(|one| one.cut).collect();
    assert_eq!(cuts, [Cut::Start, Cut::Focus]);
    let seen = |episode: &Episode| (0..episode.frames()).any(|t| shows(episode, t, 2));
    assert!(seen(&episodes[0]), "the painter saw it");
    for episode in &episodes {
        assert_eq!(episode.extras["input"].shape, [episode.frames(), 2]);
        assert!(
            episode.extras["input"]
                .values
                .iter()
                .all(|&value| value == 0.0)
        );
        assert!(episode.actions.iter().all(|&action| action == 0));
        // The other window is red, and never in the picture.
        let red = |pixel: &[u8]| pixel[0] > 200 && pixel[1] < 50;
        assert!(!episode.images.chunks(3).any(red));
    }
    assert_eq!(report.actions.len(), 1);
}

#[test]
fn windows_over_the_game_are_not_in_its_picture() {
    let Some(capture) = Capture::start() else {
        return;
    };
    let (.., episodes) = capture.run_without_gaps(|scene, call, _| {
        match call {
            1 => scene.key("Left", true),
            3 => scene.cover(),
            _ => {}
        }
        call < 10
    });
    let episode = &episodes[0];
    assert!(shows(episode, episode.frames() - 1, 0), "what is below");
    let red = |pixel: &[u8]| pixel[0] > 200 && pixel[1] < 50;
    assert!(!episode.images.chunks(3).any(red));
}

#[test]
fn a_closed_window_keeps_its_frames() {
    let Some(capture) = Capture::start() else {
        return;
    };
    let (end, _, episodes) = capture.run("closed", &mut |scene, call, _| {
        match call {
            3 => scene.key("Left", true),
            9 => scene.close_painter(),
            _ => {}
        }
        true
    });
    assert_eq!(end, End::WindowClosed);
    let last = episodes.last().unwrap();
    assert!(held(last, last.frames() - 1, 0));
    let frames: usize = episodes.iter().map(Episode::frames).sum();
    assert!((4..=10).contains(&frames), "{frames}");
}

#[test]
fn a_resized_window_keeps_its_frames() {
    let Some(capture) = Capture::start() else {
        return;
    };
    let (end, _, episodes) = capture.run("resized", &mut |scene, call, _| {
        if call == 9 {
            scene.resize_painter(300, 70);
        }
        true
    });
    assert_eq!(end, End::WindowResized([300, 70]));
    let frames: usize = episodes.iter().map(Episode::frames).sum();
    assert!((4..=10).contains(&frames), "{frames}");
}

#[test]
fn hotkeys_pause_and_stop() {
    let Some(capture) = Capture::start() else {
        return;
    };
    let mut paused = 0;
    let (end, report, episodes) = capture.run_without_gaps(|scene, call, progress| {
        paused += u32::from(progress.activity == Activity::Paused);
        match call {
            2 => scene.key("Left", true),
            4 | 9 => scene.tap("F11"),
            16 => scene.tap("F12"),
            _ => {}
        }
        true
    });
    assert_eq!(end, End::Stopped);
    assert!(paused >= 4, "{paused}");
    let cuts: Vec<_> = report.episodes.iter().map(|one| one.cut).collect();
    assert_eq!(cuts, [Cut::Start, Cut::Pause]);
    // It is still down after the pause.
    assert!((0..episodes[1].frames()).all(|t| held(&episodes[1], t, 0)));
}

#[test]
fn the_mouse_counts_inside_the_window() {
    let Some(mut capture) = Capture::start() else {
        return;
    };
    capture.options.mouse = true;
    let (.., episodes) = capture.run_without_gaps(|scene, call, _| {
        match call {
            0 => scene.point_at_painter(),
            3 => scene.move_mouse(7, -2),
            6 => scene.point_beside(),
            8 => scene.move_mouse(9, 9),
            _ => {}
        }
        call < 11
    });
    let input = &episodes[0].extras["input"];
    assert_eq!(input.shape[1], 4);
    let motion: Vec<_> = input.values.chunks(4).map(|row| (row[2], row[3])).collect();
    assert_eq!(motion[4], (7.0, -2.0), "{motion:?}");
    assert!(motion[8..].iter().all(|by| *by == (0.0, 0.0)), "{motion:?}");
}

#[test]
fn a_crop_is_a_part_of_the_window() {
    let Some(mut capture) = Capture::start() else {
        return;
    };
    capture.options.crop = Some(Crop {
        x: CELL.into(),
        y: 0,
        width: CELL.into(),
        height: CELL.into(),
    });
    let mut source = open(&capture.options).unwrap();
    let mut picture = Picture::default();
    capture.scene.key("space", true);
    let middle = (usize::from(CELL) / 2 * usize::from(CELL) + usize::from(CELL) / 2) * 3;
    common::wait("the painted key", || {
        let moment = source.look(&mut picture).unwrap();
        assert_eq!(moment.state, WindowState::Focused);
        (picture.rgb[middle] > 128).then_some(())
    });
    assert_eq!([picture.width, picture.height], [usize::from(CELL); 2]);
}

#[test]
fn pressed_keys_are_learned() {
    let Some(mut capture) = Capture::start() else {
        return;
    };
    capture.options.keys = Key::all().collect();
    capture
        .options
        .keys
        .retain(|key| !["F11", "F12"].contains(&key.name()));
    let mut source = open(&capture.options).unwrap();
    let clock = SystemClock::start();
    let mut calls = 0;
    let pressed = learn_keys(source.as_mut(), &clock, Duration::from_secs(1), &mut |_| {
        calls += 1;
        match calls {
            3 => capture.scene.tap("q"),
            5 => capture.scene.tap("space"),
            _ => {}
        }
        true
    });
    let pressed = pressed.unwrap();
    let mut names: Vec<_> = pressed
        .indices()
        .map(|i| capture.options.keys[i].name())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["q", "space"]);
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let Some(capture) = Capture::start() else {
        return;
    };
    let refused = |change: fn(&mut SourceOptions), expected: &str| {
        let mut options = capture.options.clone();
        change(&mut options);
        let error = open(&options).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(|options| options.window.id = 9, "there is no window 0x9");
    refused(|options| options.display = Some(":987".into()), "display");
    let x = 1000;
    let crop = Crop {
        x,
        y: 0,
        width: 1,
        height: 1,
    };
    let mut options = capture.options.clone();
    options.crop = Some(crop);
    let error = open(&options).err().unwrap().to_string();
    assert!(error.contains("not inside the window"), "{error}");
    // Two captures cannot have the same stop key.
    let _first = open(&capture.options).unwrap();
    refused(|_| {}, "F12 is taken by another program");
}

#[test]
fn frame_is_shown_but_not_recorded() {
    let Some(capture) = Capture::start() else {
        return;
    };
    let display = capture.options.display.as_deref();
    let window = capture.options.window.id;
    let still = || stills(display, &[window]).unwrap().remove(0).unwrap();
    let before = still();
    assert_eq!(
        [before.width, before.height],
        [3 * usize::from(CELL), usize::from(CELL)]
    );
    let marker = Marker::new(display, window).unwrap();
    // The painter's content begins at 101, behind a border of one pixel.
    let screen = |at| capture.scene.screen(at);
    let (side, inside) = ([99, 110], [103, 103]);
    let seen = |colour: u32| {
        common::wait("the frame", || (screen(side) == colour).then_some(()));
    };
    assert_eq!(screen(side), 0);
    marker.show(Activity::Recording, "12 frames").unwrap();
    seen(0x00d8_2f2f);
    marker.show(Activity::Paused, "paused").unwrap();
    seen(0x00d8_962f);
    assert_eq!(screen(inside), 0);
    capture.scene.key("Left", true);
    common::wait("the painted key", || {
        (screen(inside) == 0x00ff_ffff).then_some(())
    });
    capture.scene.key("Left", false);
    common::wait("the painted key", || (screen(inside) == 0).then_some(()));
    assert_eq!(still(), before);
    assert_eq!(stills(display, &[1]).unwrap(), [None], "no such window");
    drop(marker);
    seen(0);
}

#[test]
fn line_of_text_takes_no_room_of_pictures() {
    let Some(capture) = Capture::start() else {
        return;
    };
    // At the top of the screen the text lies over the window.
    capture.scene.move_painter([0, 0]);
    let display = capture.options.display.as_deref();
    let window = capture.options.window.id;
    let marker = Marker::new(display, window).unwrap();
    let inside = [2, 2];
    marker.show(Activity::Recording, "recording").unwrap();
    common::wait("the text", || {
        (capture.scene.screen(inside) == 0x00d8_2f2f).then_some(())
    });
    let picture = stills(display, &[window]).unwrap().remove(0).unwrap();
    assert!(picture.rgb.iter().all(|&value| value == 0));
}
