//! Tests of the whole window with a real world-model thread, through simulated input. Snapshots are
//! in `tests/snapshots`; `UPDATE_SNAPSHOTS=true` rewrites them.

mod browse;
mod cells;
mod commands;
mod film;
mod first_run;
mod playing;
mod remote;
mod robust;
mod snapshots;
mod transport;
mod tuning;

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::Duration;

use eframe::App as _;
use eframe::egui::{Event, Key, Modifiers, RawInput, Theme, Vec2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;

use driftless_engine::{DeviceChoice, SamplerParams};
use driftless_sim::{Command, Frame, PlaybackCommand, SamplerCommand, TimelineCommand};

use driftless_worlds::SimulatorKind;

use super::analysis::Analysis;
use super::game::{GameState, WorldThread};
use super::save::PictureUse;
use super::saver::Saver;
use super::*;
use crate::app::config::{ConfigStore, UserConfig};
use crate::app::tests::has_adapter;
use crate::app::theme::Appearance;
use crate::workspace::PlayableWorld;

/// Timeout of every wait.
const TIMEOUT: Duration = Duration::from_secs(60);
const SIZE: Vec2 = vec2(1050.0, 792.0);

/// A window under test. Dropping it ends its world: a thread that still held the device at exit
/// would crash in the driver.
struct TestWindow(Harness<'static, Window>);

impl Deref for TestWindow {
    type Target = Harness<'static, Window>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for TestWindow {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Drop for TestWindow {
    fn drop(&mut self) {
        self.0.state_mut().leave();
    }
}

impl Window {
    fn game(&self) -> &GameState {
        &self.stage.play.game
    }

    fn analysis(&self) -> &Analysis {
        &self.stage.play.analysis
    }
}

/// What most requests of the tests need.
fn parts(window: &mut TestWindow) -> (&mut Stage, &mut Environment) {
    let Window { stage, env, .. } = window.state_mut();
    (stage, env)
}

fn checkpoint(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("checkpoints")
        .join(name)
}

/// An included world on the CPU.
fn learned(name: &str) -> PlayableWorld {
    PlayableWorld::learned(&checkpoint(name), DeviceChoice::Cpu, None).unwrap()
}

/// Opens a window on a paused game, unless there is no graphics adapter.
fn open(game: PlayableWorld, home: &Path) -> Option<TestWindow> {
    let mut config = UserConfig::default();
    config.lab = true;
    open_with(game, home, config, SIZE)
}

fn open_with(
    game: PlayableWorld,
    home: &Path,
    config: UserConfig,
    size: Vec2,
) -> Option<TestWindow> {
    open_window(game, home, config, size, FirstPage::Game)
}

/// As [`open_with`], with this page in front.
fn open_window(
    game: PlayableWorld,
    home: &Path,
    config: UserConfig,
    size: Vec2,
    first: FirstPage,
) -> Option<TestWindow> {
    if !has_adapter() {
        return None;
    }
    let mut session = GameSession::new(game, None, SamplerParams::default(), None).unwrap();
    session.sim.paused = !matches!(first, FirstPage::Worlds);
    let setup = WindowSetup {
        first,
        home: Some(home.to_path_buf()),
        store: None,
        mailbox: Arc::default(),
        close: Arc::default(),
        server: DisplayServer::Default,
        gate: SurfaceGate::new(),
        waker: Waker::default(),
    };
    // The harness has a theme of its own.
    let theme = match config.appearance {
        Appearance::Light => Theme::Light,
        Appearance::System | Appearance::Dark => Theme::Dark,
    };
    let setup = WindowSetup {
        store: Some((ConfigStore::new(config, None), None)),
        ..setup
    };
    let harness = Harness::builder()
        .with_size(size)
        .with_theme(theme)
        .with_max_steps(64)
        .wgpu()
        .build_eframe(|creation| Window::new(setup, session, creation).unwrap());
    let mut harness = TestWindow(harness);
    wait(&mut harness, "the first frame", |window| {
        window.game().frame.is_some() || matches!(window.game().world, WorldThread::Failed(_))
    });
    Some(harness)
}

/// Draws until a condition holds.
fn wait(harness: &mut TestWindow, what: &str, condition: impl Fn(&Window) -> bool) {
    let since = Instant::now();
    loop {
        harness.step();
        if condition(harness.state()) {
            // Draw the new state.
            harness.step();
            return;
        }
        assert!(since.elapsed() < TIMEOUT, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Draws until something whose label contains a text is there.
fn wait_for(window: &mut TestWindow, text: &str) {
    let since = Instant::now();
    while window.query_all_by_label_contains(text).next().is_none() {
        window.step();
        assert!(since.elapsed() < TIMEOUT, "no {text}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Presses or releases a key, through the window's input hook.
fn key(harness: &mut TestWindow, key: Key, pressed: bool) {
    key_with(harness, key, pressed, Modifiers::default());
}

fn key_with(harness: &mut TestWindow, key: Key, pressed: bool, modifiers: Modifiers) {
    let mut input = RawInput {
        events: vec![Event::Key {
            key,
            physical_key: None,
            pressed,
            repeat: false,
            modifiers,
        }],
        ..RawInput::default()
    };
    let context = harness.ctx.clone();
    harness.state_mut().raw_input_hook(&context, &mut input);
    for event in input.events {
        harness.event(event);
    }
    harness.step();
}

/// Presses and releases a key together with Ctrl.
fn press_control(harness: &mut TestWindow, which: Key) {
    for pressed in [true, false] {
        key_with(
            harness,
            which,
            pressed,
            Modifiers::CTRL | Modifiers::COMMAND,
        );
    }
}

fn press(harness: &mut TestWindow, which: Key) {
    key(harness, which, true);
    key(harness, which, false);
}

fn click(harness: &mut TestWindow, label: &str) {
    harness.get_by_label(label).click();
    harness.run_ok();
}

/// The current frame.
fn shown(harness: &TestWindow) -> &Frame {
    harness.state().game().frame.as_ref().unwrap()
}

fn rgb(frame: &Frame) -> Vec<u8> {
    frame.image.bytes().unwrap().to_vec()
}

/// Generates one frame and waits until it is shown.
fn step(harness: &mut TestWindow) -> Frame {
    let before = shown(harness).sequence;
    press(harness, Key::N);
    wait(harness, "a frame", |window| {
        window
            .game()
            .frame
            .as_ref()
            .is_some_and(|f| f.sequence > before)
    });
    shown(harness).clone()
}

fn steps(harness: &mut TestWindow, count: usize) -> Vec<Frame> {
    (0..count).map(|_| step(harness)).collect()
}

/// Waits until the frame at `index` is shown.
fn arrive(harness: &mut TestWindow, index: usize) {
    wait(harness, "another frame", |window| {
        window
            .game()
            .frame
            .as_ref()
            .is_some_and(|f| f.position.index == index)
            && window.analysis().timeline.position().index == index
    });
}
