//! The window in which a person plays: picture, keys, numbers, tuning panel.
//!
//! It sends commands to the world-model thread ([`driftless_sim`]) and draws the frames that come
//! back; it knows nothing of the engine.

mod beside;
mod cards;
mod config;
mod controls;
mod denoising;
mod help;
mod hud;
mod inspect;
pub mod keys;
mod mouse;
mod new_world;
mod pad;
mod picker;
mod played;
mod plots;
mod preferences;
mod present;
mod presets;
mod saving;
mod shell;
mod stats;
mod theme;
mod timeline;
mod tuning;
mod window;

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eframe::egui::{Context, ViewportId};
use eframe::{egui_wgpu, wgpu};

pub use self::present::time as drawing_times;

use self::played::Played;
use self::window::Parts;
use crate::workspace::{Game, Training, recording};
use crate::{Error, Result};
use driftless_engine::{Gpu, SamplerParams};
use driftless_sim::Session;
use driftless_worlds::Kind;

/// Has the window drawn again, from any thread; the one that is open now.
#[derive(Clone, Default)]
struct Waker(Arc<Mutex<Context>>);

impl Waker {
    fn wake(&self) {
        let context = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        context.request_repaint_of(ViewportId::ROOT);
    }

    fn attach(&self, to: &Context) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = to.clone();
    }
}

/// How long a closed window waits for the trainer's save.
const SAVE_TIME: Duration = Duration::from_secs(120);

/// What the window plays.
pub struct Options {
    /// The world.
    pub game: Game,
    /// Target frames a second; the world's own without one.
    pub fps: Option<f32>,
    /// Actions that are played before the person's.
    pub actions: Arc<[u32]>,
    /// Sampler parameters to start with.
    pub params: SamplerParams,
    /// Where the played frames are written as an episode when the window closes.
    pub record: Option<PathBuf>,
    /// Whether the window opens on its "New world" page, and where on it.
    pub new_world: Option<NewWorld>,
    /// Where worlds, data and runs are kept, instead of the platform's folder.
    pub home: Option<PathBuf>,
}

/// How the "New world" page opens.
#[derive(Clone, Debug, Default)]
pub struct NewWorld {
    /// Its first step.
    pub first: FirstStep,
    /// Settings (TOML) that it proposes for training.
    pub settings: Option<PathBuf>,
}

/// A step of the "New world" page to begin with.
#[derive(Clone, Debug, Default)]
pub enum FirstStep {
    /// The choice of a source.
    #[default]
    Source,
    /// Playing and recording a simulator.
    Record(Kind),
    /// The settings for training from a dataset.
    Data(PathBuf),
    /// A run that has begun.
    Run(PathBuf),
}

/// What is left once the window has closed.
#[derive(Default)]
struct Left {
    /// The recording.
    session: Option<Session>,
    /// A recording on the way to a dataset.
    recording: Option<(Session, Kind)>,
    /// A run in the background.
    training: Option<Training>,
    /// Why the world had stopped, if it was not started again.
    failure: Option<String>,
}

/// Opens the window and returns when it is closed.
///
/// # Errors
/// A key binding is wrong, there is no display or no graphics
/// adapter, the recording cannot be written, or the window was closed over a world that failed.
pub fn run(options: Options) -> Result<()> {
    let mut played = Played::new(options.game, options.fps, options.params, options.record)?;
    played.sim.actions = options.actions;
    check_display()?;
    let parts = Parts {
        new_world: options.new_world,
        home: options.home,
        store: None,
        mailbox: Arc::default(),
        close: Arc::default(),
        waker: Waker::default(),
    };
    close_on_interrupt(&parts.close, &parts.waker);
    let (window, opened) = shell::open(parts, played);
    let left = window.map(|mut window| window.leave()).unwrap_or_default();
    if let Some(training) = left.training {
        training.finish(SAVE_TIME);
    }
    let written = left.session.map_or(Ok(()), Session::write);
    if let Some((session, world)) = left.recording {
        let folder = session.path().to_path_buf();
        recording::write(session, world, &folder)?;
    }
    written?;
    opened.unwrap_or_else(|panic| resume_unwind(panic))?;
    left.failure.map_or(Ok(()), |what| Err(Error::Device(what)))
}

/// Ctrl-C closes the window as its button does, so that a recording is written.
fn close_on_interrupt(close: &Arc<AtomicBool>, waker: &Waker) {
    let (close, waker) = (Arc::clone(close), waker.clone());
    let set = ctrlc::set_handler(move || {
        close.store(true, Ordering::Relaxed);
        waker.wake();
    });
    if let Err(error) = set {
        tracing::warn!("Ctrl-C ends the program at once: {error}");
    }
}

/// Takes any adapter that can draw to the window, software ones last, and asks of its device what the
/// engine needs, too.
fn setup(mailbox: Arc<AtomicBool>) -> egui_wgpu::WgpuSetupCreateNew {
    let mut setup = egui_wgpu::WgpuSetupCreateNew::without_display_handle();
    setup.device_descriptor = Arc::new(Gpu::descriptor);
    setup.native_adapter_selector = Some(Arc::new(move |adapters, surface| {
        let rank = |adapter: &&wgpu::Adapter| {
            let info = adapter.get_info();
            let kind = match info.device_type {
                wgpu::DeviceType::DiscreteGpu => 0,
                wgpu::DeviceType::IntegratedGpu => 1,
                wgpu::DeviceType::VirtualGpu => 2,
                wgpu::DeviceType::Other => 3,
                wgpu::DeviceType::Cpu => 4,
            };
            (kind, info.backend == wgpu::Backend::Gl)
        };
        let fits = |adapter: &&wgpu::Adapter| {
            surface.is_none_or(|surface| adapter.is_surface_supported(surface))
        };
        let best = adapters.iter().filter(fits).min_by_key(rank);
        let best = best.ok_or_else(|| match adapters.len() {
            0 => "no driver offers one".to_owned(),
            found => format!("none of the {found} found can draw to this window"),
        })?;
        let modes = surface.map(|surface| surface.get_capabilities(best).present_modes);
        let newest_wins = modes.is_some_and(|modes| modes.contains(&wgpu::PresentMode::Mailbox));
        mailbox.store(newest_wins, Ordering::Relaxed);
        tracing::info!(
            "drawing with {}",
            egui_wgpu::adapter_info_summary(&best.get_info())
        );
        Ok(best.clone())
    }));
    setup
}

/// Whether there is a display to open a window on, as far as the environment tells.
fn check_display() -> Result<()> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let named = ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DISPLAY"].map(set);
    if cfg!(target_os = "linux") && named == [false; 3] {
        return Err(no_display("neither WAYLAND_DISPLAY nor DISPLAY is set"));
    }
    Ok(())
}

fn no_display(why: &str) -> Error {
    Error::Device(format!(
        "no display found ({why}); use `driftless play --headless`"
    ))
}

fn no_adapter(why: &str) -> Error {
    Error::Device(format!(
        "no graphics adapter for the window ({why}); use `driftless play --headless`"
    ))
}

#[cfg(test)]
mod tests;
