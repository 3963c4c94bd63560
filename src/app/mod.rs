//! The window in which a person plays: picture, keys, numbers, tuning panel.
//!
//! It sends commands to the world-model thread ([`crate::sim`]) and draws the frames that come
//! back; it knows nothing of the engine.

mod cards;
mod controls;
mod denoising;
mod hud;
pub mod keys;
mod present;
mod stats;
mod theme;
mod tuning;
mod window;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use eframe::egui::ViewportBuilder;
use eframe::{egui_wgpu, wgpu};

use self::keys::{KeyMap, Shortcut};
use self::present::Scaling;
use self::tuning::{Settings, Tuning};
use self::window::{Parts, Window};
use crate::data::DatasetInfo;
use crate::engine::SamplerParams;
use crate::model::config::DynamicsConfig;
use crate::sim::{self, PlayerFactory, Session};
use crate::{Error, Result};

/// What the window plays.
pub struct Options {
    /// Name, pace, frame size, actions and keys.
    pub world: DatasetInfo,
    /// What the sampler's panel turns; none of a simulator, which samples nothing.
    pub dynamics: Option<DynamicsConfig>,
    /// Index of the first context.
    pub first_context: usize,
    /// Target frames a second; the world's own without one.
    pub fps: Option<f32>,
    /// Sampler parameters to start with.
    pub params: SamplerParams,
    /// Where the played frames are written as an episode when the window closes.
    pub record: Option<PathBuf>,
    /// Makes what is played inside the world-model thread, again after each failure.
    pub player: Box<PlayerFactory>,
}

/// What is left once the window has closed.
#[derive(Default)]
struct Left {
    /// The recording.
    session: Option<Session>,
    /// Why the world had stopped, if it was not started again.
    failure: Option<String>,
}

type Ended = Arc<Mutex<Left>>;

/// Opens the window and returns when it is closed.
///
/// # Errors
/// A key binding is wrong, there is no display or no graphics
/// adapter, the recording cannot be written, or the window was closed over a world that failed.
pub fn run(options: Options) -> Result<()> {
    let mut keys = KeyMap::new(&options.world.actions)?;
    if options.dynamics.is_none() {
        keys = keys.without(Shortcut::Denoising);
    }
    check_display()?;
    let ended = Ended::default();
    let parts = parts(options, keys, Arc::clone(&ended));
    let opened = open(parts);
    let left = ended
        .lock()
        .map(|mut left| std::mem::take(&mut *left))
        .unwrap_or_default();
    left.session.map_or(Ok(()), Session::write)?;
    opened?;
    left.failure.map_or(Ok(()), |what| Err(Error::Device(what)))
}

fn parts(options: Options, keys: KeyMap, ended: Ended) -> Parts {
    let settings = Settings {
        params: options.params,
        free_seed: false,
        ends_restart: true,
        fps: options.fps.unwrap_or(options.world.fps),
        unlimited: false,
        scaling: Scaling::default(),
    };
    let tuning = Tuning::new(settings, options.dynamics.as_ref());
    let sim = sim::Options {
        player: Arc::from(options.player),
        context: options.first_context,
        params: tuning.settings.params,
        free_seed: settings.free_seed,
        pace: settings.pace(),
        paused: false,
        record: options.record,
    };
    Parts {
        world: options.world,
        sampled: options.dynamics.is_some(),
        keys,
        sim,
        tuning,
        mailbox: Arc::default(),
        close: Arc::default(),
        ended,
    }
}

/// Runs the event loop until the window is closed.
fn open(parts: Parts) -> Result<()> {
    let native = eframe::NativeOptions {
        viewport: ViewportBuilder::default()
            .with_title(format!("Driftless – {}", parts.world.name))
            .with_app_id("driftless")
            .with_icon(theme::icon())
            .with_inner_size([1010.0, 792.0])
            .with_min_inner_size([400.0, 360.0]),
        wgpu_options: egui_wgpu::WgpuConfiguration {
            surface: egui_wgpu::SurfaceConfig::LOW_LATENCY,
            wgpu_setup: setup(Arc::clone(&parts.mailbox)).into(),
            ..Default::default()
        },
        ..Default::default()
    };
    let opened = eframe::run_native(
        "driftless",
        native,
        Box::new(|creation| {
            close_on_interrupt(&parts.close, &creation.egui_ctx);
            Ok(Box::new(Window::new(parts, creation)?))
        }),
    );
    opened.map_err(|error| match error {
        eframe::Error::AppCreation(inner) => match inner.downcast::<Error>() {
            Ok(error) => *error,
            Err(inner) => Error::Device(format!("cannot open the window: {inner}")),
        },
        eframe::Error::Winit(error) => no_display(&error.to_string()),
        eframe::Error::WinitEventLoop(error) => no_display(&error.to_string()),
        eframe::Error::Wgpu(error) => no_adapter(&error.to_string()),
    })
}

/// Ctrl-C closes the window as its button does, so that a recording is written.
fn close_on_interrupt(close: &Arc<AtomicBool>, context: &eframe::egui::Context) {
    let (close, context) = (Arc::clone(close), context.clone());
    let set = ctrlc::set_handler(move || {
        close.store(true, Ordering::Relaxed);
        context.request_repaint_of(eframe::egui::ViewportId::ROOT);
    });
    if let Err(error) = set {
        tracing::warn!("Ctrl-C ends the program at once: {error}");
    }
}

/// Takes any adapter that can draw to the window, software ones last, and asks for no feature.
fn setup(mailbox: Arc<AtomicBool>) -> egui_wgpu::WgpuSetupCreateNew {
    let mut setup = egui_wgpu::WgpuSetupCreateNew::without_display_handle();
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
