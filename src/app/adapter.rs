//! The display and the graphics adapter that the window needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eframe::{egui_wgpu, wgpu};

use driftless_engine::Gpu;

use crate::{Error, Result};

/// Picks the best adapter that can draw to the window, software adapters last, and requests the
/// limits and features the engine needs.
pub(super) fn wgpu_setup(mailbox: Arc<AtomicBool>) -> egui_wgpu::WgpuSetupCreateNew {
    let mut setup = egui_wgpu::WgpuSetupCreateNew::without_display_handle();
    setup.device_descriptor = Arc::new(Gpu::descriptor);
    setup.native_adapter_selector = Some(Arc::new(move |adapters, surface| {
        let fits = |adapter: &&wgpu::Adapter| {
            surface.is_none_or(|surface| adapter.is_surface_supported(surface))
        };
        let best = adapters.iter().filter(fits);
        let best = best.min_by_key(|adapter| Gpu::preference(adapter));
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
pub(super) fn check_display() -> Result<()> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let named = ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DISPLAY"].map(set);
    if cfg!(target_os = "linux") && named == [false; 3] {
        return Err(no_display("neither WAYLAND_DISPLAY nor DISPLAY is set"));
    }
    Ok(())
}

pub(super) fn no_display(why: &str) -> Error {
    Error::Display(format!(
        "no display found ({why}); use `driftless play --headless`"
    ))
}

pub(super) fn no_adapter(why: &str) -> Error {
    Error::Display(format!(
        "no graphics adapter for the window ({why}); use `driftless play --headless`"
    ))
}
