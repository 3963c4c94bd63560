//! The window: the picture, its controls, and the panels around it.
//!
//! It sends commands to the world-model thread ([`driftless_sim`]) and draws the frames that come
//! back; it never runs the model itself.

mod cards;
mod comparison;
mod config;
mod controls;
mod denoising;
mod gamepad;
mod help;
mod hud;
mod inspect;
pub mod keys;
mod mouse;
mod new_world;
mod plots;
mod present;
mod presets;
mod save_dialog;
mod session;
mod settings_page;
mod shell;
mod stats;
mod theme;
mod timeline;
mod tuning;
mod window;
mod world_picker;

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eframe::egui::{Context, ViewportId};
use eframe::{egui_wgpu, wgpu};

use driftless_engine::{Gpu, SamplerParams};
use driftless_sim::Session;
use driftless_worlds::SimulatorKind;

use self::session::GameSession;
use self::window::WindowSetup;
use crate::workspace::{BackgroundRun, PlayableWorld, recording};
use crate::{Error, Result};

pub use self::present::drawing_times;

/// Requests a repaint of the currently open window from any thread.
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

/// How long closing the window waits for the trainer to save.
const TRAINER_SAVE_TIMEOUT: Duration = Duration::from_secs(120);

/// How the window opens.
pub struct WindowOptions {
    /// The game to play.
    pub game: PlayableWorld,
    /// Target frame rate; `None` uses the world's own.
    pub fps: Option<f32>,
    /// Actions played before the player takes over.
    pub actions: Arc<[u32]>,
    /// Initial sampler parameters.
    pub params: SamplerParams,
    /// Where to write the played frames as an episode when the window closes.
    pub record: Option<PathBuf>,
    /// Opens the "New world" page at this step.
    pub new_world: Option<NewWorldOptions>,
    /// Where worlds, data and runs are stored; `None` uses the platform's folder.
    pub home: Option<PathBuf>,
}

/// How the "New world" page opens.
#[derive(Clone, Debug, Default)]
pub struct NewWorldOptions {
    /// The step shown first.
    pub first: FirstStep,
    /// Training settings (TOML) offered by default.
    pub settings: Option<PathBuf>,
}

/// The step of the "New world" page shown first.
#[derive(Clone, Debug, Default)]
pub enum FirstStep {
    /// Choosing a source.
    #[default]
    Source,
    /// Playing and recording this simulator.
    Record(SimulatorKind),
    /// Training settings for this dataset.
    Data(PathBuf),
    /// An existing training run.
    Run(PathBuf),
}

/// What remains to be finished after the window has closed.
#[derive(Default)]
struct AppExit {
    /// The recording of the game.
    recording: Option<Session>,
    /// A recording to be written as a dataset.
    dataset_recording: Option<(Session, SimulatorKind)>,
    /// A training run in the background.
    training: Option<BackgroundRun>,
    /// Why the world stopped, if it was not restarted.
    failure: Option<String>,
}

/// Opens the window and blocks until it is closed.
///
/// # Errors
/// Returns an error if a key binding is invalid, there is no display or graphics adapter, the
/// recording cannot be written, or the window was closed while its world had failed.
pub fn run(options: WindowOptions) -> Result<()> {
    let mut session = GameSession::new(options.game, options.fps, options.params, options.record)?;
    session.sim.actions = options.actions;
    check_display()?;
    let setup = WindowSetup {
        new_world: options.new_world,
        home: options.home,
        store: None,
        mailbox: Arc::default(),
        close: Arc::default(),
        waker: Waker::default(),
    };
    close_on_interrupt(&setup.close, &setup.waker);
    let (window, opened) = shell::open(setup, session);
    let exit = window.map(|mut window| window.leave()).unwrap_or_default();
    if let Some(training) = exit.training {
        training.shut_down(TRAINER_SAVE_TIMEOUT);
    }
    let written = exit.recording.map_or(Ok(()), Session::write);
    if let Some((recording, world)) = exit.dataset_recording {
        let folder = recording.path().to_path_buf();
        recording::write_dataset(recording, world, &folder)?;
    }
    written?;
    opened.unwrap_or_else(|panic| resume_unwind(panic))?;
    exit.failure.map_or(Ok(()), |what| Err(Error::World(what)))
}

/// Makes Ctrl-C close the window normally, so that recordings are written.
fn close_on_interrupt(close: &Arc<AtomicBool>, waker: &Waker) {
    let (close, waker) = (Arc::clone(close), waker.clone());
    let set = ctrlc::set_handler(move || {
        close.store(true, Ordering::Relaxed);
        waker.wake();
    });
    if let Err(error) = set {
        tracing::warn!("cannot handle Ctrl-C, it will end the program at once: {error}");
    }
}

/// Picks the best adapter that can draw to the window, software adapters last, and requests the
/// limits and features the engine needs.
fn wgpu_setup(mailbox: Arc<AtomicBool>) -> egui_wgpu::WgpuSetupCreateNew {
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

/// Checks the environment for a display before opening a window.
fn check_display() -> Result<()> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let named = ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DISPLAY"].map(set);
    if cfg!(target_os = "linux") && named == [false; 3] {
        return Err(no_display("neither WAYLAND_DISPLAY nor DISPLAY is set"));
    }
    Ok(())
}

fn no_display(why: &str) -> Error {
    Error::Display(format!(
        "no display found ({why}); use `driftless play --headless`"
    ))
}

fn no_adapter(why: &str) -> Error {
    Error::Display(format!(
        "no graphics adapter for the window ({why}); use `driftless play --headless`"
    ))
}

#[cfg(test)]
mod tests;
