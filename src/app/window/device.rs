//! The window's graphics device: setup, loss, and recovery.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use eframe::egui_wgpu;

use driftless_engine::{Gpu, GpuSource};

use super::{Window, WorldThread};
use crate::app::denoising::DenoisingStrip;
use crate::app::inspect::InspectPanel;
use crate::app::present::Presenter;
use crate::app::world_picker::WorldPicker;
use crate::app::{Waker, no_adapter};

impl Window {
    /// Moves the state into a new window with a new device.
    /// # Errors
    /// Returns an error if the window has no renderer.
    pub fn attach(&mut self, creation: &eframe::CreationContext<'_>) -> crate::Result<()> {
        let size = self.session.world.image;
        (self.render, self.gpu_source) = prepare_window(creation, &self.setup.waker, size)?;
        self.context = creation.egui_ctx.clone();
        if let GpuSource::Shared(_) = self.session.sim.gpu_source {
            self.session.sim.gpu_source = self.gpu_source.clone();
        }
        // Textures on the old device are lost.
        let frame = self.frame.take();
        self.frame = frame.filter(|frame| frame.image.bytes().is_some());
        self.denoising = self.denoising.is_some().then(DenoisingStrip::default);
        self.inspect = self.inspect.is_some().then(InspectPanel::default);
        self.analysis.drop_textures();
        if let Some(page) = &mut self.page {
            page.drop_textures();
        }
        self.release_all_input();
        self.apply_theme();
        self.worlds.iter_mut().for_each(WorldPicker::drop_textures);
        self.drawn = false;
        self.update_title();
        Ok(())
    }

    /// Whether the window's device has been lost after drawing with it.
    pub fn is_lost(&self) -> bool {
        let lost = matches!(&self.gpu_source, GpuSource::Shared(gpu) if gpu.is_lost());
        lost && self.drawn && !self.setup.close.load(Ordering::Relaxed)
    }

    /// Continues on the CPU from where the device failed.
    pub(super) fn continue_on_cpu(&mut self) {
        let WorldThread::Failed(failure) = &mut self.world else {
            return;
        };
        let from = failure.history.take().map(Arc::new);
        self.session.sim.gpu_source = GpuSource::Unavailable;
        self.restart_from(from);
    }
}

/// Installs a presenter for frames of `[height, width]` in egui's renderer.
pub(super) fn install_presenter(render: &egui_wgpu::RenderState, size: [usize; 2]) {
    let presenter = Presenter::new(&render.device, render.target_format, size);
    let mut renderer = render.renderer.write();
    renderer.callback_resources.insert(presenter);
}

/// Sets up a new window for frames of `[height, width]`: presenter, waker and device.
pub(super) fn prepare_window(
    creation: &eframe::CreationContext<'_>,
    waker: &Waker,
    size: [usize; 2],
) -> crate::Result<(egui_wgpu::RenderState, GpuSource)> {
    let Some(state) = &creation.wgpu_render_state else {
        return Err(no_adapter("the window has no renderer"));
    };
    install_presenter(state, size);
    waker.attach(&creation.egui_ctx);
    let gpu = Gpu::shared(&state.adapter, state.device.clone(), state.queue.clone());
    Ok((state.clone(), gpu.map_or(GpuSource::Own, GpuSource::Shared)))
}
