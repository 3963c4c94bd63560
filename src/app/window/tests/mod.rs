//! The whole window, driven as a person drives it, with the world-model thread behind it. What is shown
//! is compared with the pictures in `tests/snapshots` (`UPDATE_SNAPSHOTS=true` writes them anew).

mod pictures;
mod robust;
mod transport;
mod tuned;

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use eframe::App as _;
use eframe::egui::{Event, Key, Modifiers, RawInput, Vec2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;

use super::*;
use crate::app::config::{Config, Store};
use crate::workspace::Game;
use driftless_engine::{DeviceChoice, SamplerParams};
use driftless_sim::Command;

/// Time after which a test has failed.
const HANGS: Duration = Duration::from_secs(60);
const SIZE: Vec2 = vec2(1050.0, 792.0);

/// A window under a person's hands. Its world ends with it: a thread that still held the device at the
/// program's end would be torn from its driver.
struct Driven(Harness<'static, Window>);

impl Deref for Driven {
    type Target = Harness<'static, Window>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Driven {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.state_mut().leave();
    }
}

fn checkpoint(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("checkpoints")
        .join(name)
}

/// A shipped world on the processor.
fn learned(name: &str) -> Game {
    Game::learned(&checkpoint(name), DeviceChoice::Cpu, None).unwrap()
}

/// A window that has just been opened on a game, which waits for steps. None where there is no graphics
/// adapter to draw with, but on CI.
fn open(game: Game, home: &Path) -> Option<Driven> {
    open_with(game, home, Config::default(), SIZE)
}

fn open_with(game: Game, home: &Path, config: Config, size: Vec2) -> Option<Driven> {
    if driftless_engine::adapters().is_empty() {
        assert!(std::env::var_os("CI").is_none(), "no graphics adapter");
        return None;
    }
    let mut played = Played::new(game, None, SamplerParams::default(), None).unwrap();
    played.sim.paused = true;
    let parts = Parts {
        new_world: None,
        home: Some(home.to_path_buf()),
        store: Some((Store::new(config, None), None)),
        mailbox: Arc::default(),
        close: Arc::default(),
        waker: Waker::default(),
    };
    let harness = Harness::builder()
        .with_size(size)
        .with_max_steps(64)
        .wgpu()
        .build_eframe(|creation| Window::new(parts, played, creation).unwrap());
    let mut harness = Driven(harness);
    wait(&mut harness, "the first frame", |window| {
        window.frame.is_some() || matches!(window.world, World::Failed(_))
    });
    Some(harness)
}

/// Draws until something is so.
fn wait(harness: &mut Driven, what: &str, so: impl Fn(&Window) -> bool) {
    let since = Instant::now();
    loop {
        harness.step();
        if so(harness.state()) {
            // What has come is drawn.
            harness.step();
            return;
        }
        assert!(since.elapsed() < HANGS, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A key goes down or up, on the way that it takes through the window.
fn key(harness: &mut Driven, key: Key, pressed: bool) {
    let mut input = RawInput {
        events: vec![Event::Key {
            key,
            physical_key: None,
            pressed,
            repeat: false,
            modifiers: Modifiers::default(),
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

fn press(harness: &mut Driven, which: Key) {
    key(harness, which, true);
    key(harness, which, false);
}

fn click(harness: &mut Driven, label: &str) {
    harness.get_by_label(label).click();
    harness.run_ok();
}

/// The frame on show.
fn shown(harness: &Driven) -> &Frame {
    harness.state().frame.as_ref().unwrap()
}

fn rgb(frame: &Frame) -> Vec<u8> {
    frame.image.bytes().unwrap().to_vec()
}

/// Makes a frame and waits until it is shown.
fn step(harness: &mut Driven) -> Frame {
    let before = shown(harness).sequence;
    press(harness, Key::N);
    wait(harness, "a frame", |window| {
        window.frame.as_ref().is_some_and(|f| f.sequence > before)
    });
    shown(harness).clone()
}

fn steps(harness: &mut Driven, count: usize) -> Vec<Frame> {
    (0..count).map(|_| step(harness)).collect()
}

/// Waits until the frame of another place is shown.
fn arrive(harness: &mut Driven, index: usize) {
    wait(harness, "another frame", |window| {
        window
            .frame
            .as_ref()
            .is_some_and(|f| f.place.index == index)
            && window.study.timeline.at().index == index
    });
}
