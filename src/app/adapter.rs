//! The display and the graphics adapter that the window needs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use eframe::{UserEvent, egui_wgpu, wgpu};
use winit::event_loop::{EventLoop, EventLoopBuilder};

use driftless_engine::Gpu;

use crate::{Error, Result};

/// What is said where there is no adapter at all.
pub(super) const NO_DRIVER: &str = "no driver offers one";

/// Picks the best adapter that can draw to the window, software adapters last, and requests the
/// limits and features the engine needs.
///
/// `refused` becomes the reason if there is none.
pub(super) fn wgpu_setup(
    mailbox: Arc<AtomicBool>,
    refused: Arc<OnceLock<String>>,
) -> egui_wgpu::WgpuSetupCreateNew {
    let mut setup = egui_wgpu::WgpuSetupCreateNew::without_display_handle();
    setup.device_descriptor = Arc::new(Gpu::descriptor);
    setup.native_adapter_selector = Some(Arc::new(move |adapters, surface| {
        let fits = |adapter: &&wgpu::Adapter| {
            surface.is_none_or(|surface| adapter.is_surface_supported(surface))
        };
        let best = adapters.iter().filter(fits);
        let best = best.min_by_key(|adapter| Gpu::preference(adapter));
        let best = best.ok_or_else(|| {
            let reason = match adapters.len() {
                0 => NO_DRIVER.to_owned(),
                found => format!("none of the {found} found can draw to this window"),
            };
            refused.get_or_init(|| reason).clone()
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

/// The window system to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DisplayServer {
    /// What the platform's library chooses.
    Default,
    /// X11: Wayland is named in the environment, but nobody answers there.
    X11,
}

/// Checks the environment for a display before opening a window.
pub(super) fn check_display() -> Result<DisplayServer> {
    if !cfg!(target_os = "linux") {
        return Ok(DisplayServer::Default);
    }
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    choose_display(
        set("WAYLAND_SOCKET").is_some(),
        set("WAYLAND_DISPLAY").map(|name| {
            let folder = set("XDG_RUNTIME_DIR").map(PathBuf::from);
            folder.unwrap_or_default().join(name)
        }),
        set("DISPLAY").is_some(),
    )
}

/// As [`check_display`], from whether a Wayland socket was inherited, the path of one, and whether there is
/// an X display.
fn choose_display(inherited: bool, wayland: Option<PathBuf>, x11: bool) -> Result<DisplayServer> {
    match wayland {
        _ if inherited => Ok(DisplayServer::Default),
        None if x11 => Ok(DisplayServer::Default),
        None => Err(no_display("neither WAYLAND_DISPLAY nor DISPLAY is set")),
        Some(socket) if answers(&socket) => Ok(DisplayServer::Default),
        Some(socket) if x11 => {
            let socket = socket.display();
            tracing::warn!("no Wayland compositor at {socket} (WAYLAND_DISPLAY); using X11");
            Ok(DisplayServer::X11)
        }
        Some(socket) => Err(no_display(&format!(
            "WAYLAND_DISPLAY names {}, where no compositor answers, and DISPLAY is not set",
            socket.display()
        ))),
    }
}

/// Whether a compositor listens at a socket.
#[cfg(unix)]
fn answers(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

#[cfg(not(unix))]
fn answers(_: &Path) -> bool {
    true
}

/// The event loop of all windows, on a window system. There can be one in a process.
///
/// # Errors
/// Returns an error if there is no display.
pub(super) fn event_loop(server: DisplayServer) -> Result<EventLoop<UserEvent>> {
    let mut builder = EventLoop::with_user_event();
    choose_server(&mut builder, server);
    builder
        .build()
        .map_err(|error| no_display(&error.to_string()))
}

#[cfg(target_os = "linux")]
fn choose_server(builder: &mut EventLoopBuilder<UserEvent>, server: DisplayServer) {
    use winit::platform::x11::EventLoopBuilderExtX11 as _;
    if server == DisplayServer::X11 {
        builder.with_x11();
    }
}

#[cfg(not(target_os = "linux"))]
fn choose_server(_: &mut EventLoopBuilder<UserEvent>, _: DisplayServer) {}

pub(super) fn no_display(why: &str) -> Error {
    Error::Display(format!(
        "no display found ({}); use `driftless play --headless`",
        without_source(why)
    ))
}

/// A reason without the source file and line that the window library puts in front of it.
fn without_source(why: &str) -> &str {
    match why.rsplit_once(".rs:") {
        Some((_, reason)) => reason
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == ':')
            .trim(),
        None => why,
    }
}

pub(super) fn no_adapter(why: &str) -> Error {
    Error::Display(format!(
        "no graphics adapter for the window ({why}); use `driftless play --headless`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_wayland_falls_back_to_x11() {
        let stale = Some(PathBuf::from("/nonexistent/wayland-9"));
        let chosen = |inherited, wayland: &Option<PathBuf>, x11| {
            choose_display(inherited, wayland.clone(), x11).ok()
        };
        assert_eq!(chosen(false, &stale, true), Some(DisplayServer::X11));
        assert_eq!(chosen(true, &stale, false), Some(DisplayServer::Default));
        assert_eq!(chosen(false, &None, true), Some(DisplayServer::Default));
        assert_eq!(chosen(false, &None, false), None);
        let error = choose_display(false, stale, false).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/wayland-9"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn answering_wayland_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("wayland-0");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let chosen = choose_display(false, Some(socket), true).unwrap();
        assert_eq!(chosen, DisplayServer::Default);
    }

    #[test]
    fn reasons_have_no_source_lines() {
        let os =
            "os error at /home/me/winit-0.30.13/src/platform_impl/linux/mod.rs:787: neither is set";
        assert_eq!(without_source(os), "neither is set");
        assert_eq!(without_source("no socket"), "no socket");
    }
}
