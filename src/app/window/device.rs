//! The window's device: taken from eframe, lost, and taken anew.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use eframe::egui_wgpu;

use super::{Window, World};
use crate::app::denoising::Denoising;
use crate::app::inspect::Inspect;
use crate::app::picker::Picker;
use crate::app::present::Presenter;
use crate::app::{Waker, no_adapter};
use driftless_engine::{Gpu, Seat};

impl Window {
    /// Moves into a new window, with a device of its own.
    ///
    /// # Errors
    /// The window has no renderer.
    pub fn attach(&mut self, creation: &eframe::CreationContext<'_>) -> crate::Result<()> {
        let size = self.played.world.image;
        (self.render, self.seat) = prepare(creation, &self.parts.waker, size)?;
        self.context = creation.egui_ctx.clone();
        if let Seat::Shared(_) = self.played.sim.seat {
            self.played.sim.seat = self.seat.clone();
        }
        // Pictures that lie on the old device are lost with it.
        let frame = self.frame.take();
        self.frame = frame.filter(|frame| frame.image.bytes().is_some());
        self.denoising = self.denoising.is_some().then(Denoising::default);
        self.inspect = self.inspect.is_some().then(Inspect::default);
        self.study.forget_pictures();
        if let Some(page) = &mut self.page {
            page.forget_pictures();
        }
        self.let_all_go();
        self.put_on();
        self.worlds.iter_mut().for_each(Picker::forget_pictures);
        self.drawn = false;
        self.name();
        Ok(())
    }

    /// Whether the window had been drawn with a device that is lost.
    pub fn is_lost(&self) -> bool {
        let lost = matches!(&self.seat, Seat::Shared(gpu) if gpu.is_lost());
        lost && self.drawn && !self.parts.close.load(Ordering::Relaxed)
    }

    /// Goes on from where the device failed.
    pub(super) fn go_on(&mut self) {
        let World::Failed(failure) = &mut self.world else {
            return;
        };
        let from = failure.history.take().map(Arc::new);
        self.played.sim.seat = Seat::Processor;
        self.restart_from(from);
    }
}

/// Puts what draws frames of this height and width into egui's renderer.
pub(super) fn put_presenter(render: &egui_wgpu::RenderState, size: [usize; 2]) {
    let presenter = Presenter::new(&render.device, render.target_format, size);
    let mut renderer = render.renderer.write();
    renderer.callback_resources.insert(presenter);
}

/// Sets a new window up for frames of this height and width: who wakes it, and its device.
pub(super) fn prepare(
    creation: &eframe::CreationContext<'_>,
    waker: &Waker,
    size: [usize; 2],
) -> crate::Result<(egui_wgpu::RenderState, Seat)> {
    let Some(state) = &creation.wgpu_render_state else {
        return Err(no_adapter("the window has no renderer"));
    };
    put_presenter(state, size);
    waker.attach(&creation.egui_ctx);
    let gpu = Gpu::shared(&state.adapter, state.device.clone(), state.queue.clone());
    Ok((state.clone(), gpu.map_or(Seat::Own, Seat::Shared)))
}
