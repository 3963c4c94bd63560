//! The window's display: its graphics device and egui context, their loss and recovery.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eframe::egui::{self, Ui, UserAttentionType, ViewportCommand};
use eframe::{egui_wgpu, wgpu};

use driftless_engine::{Gpu, GpuSource};

use crate::app::adapter::no_adapter;
use crate::app::present::Presenter;
use crate::app::surface_gate::SurfaceGate;
use crate::app::waker::Waker;

/// How far the first frame has come, for measuring startup time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstFrame {
    Awaited,
    Drawn,
    Logged,
}

/// Where the window is drawn.
pub(super) struct DisplayDevice {
    pub context: egui::Context,
    pub waker: Waker,
    render: egui_wgpu::RenderState,
    /// The GPU that engines may use.
    pub gpu_source: GpuSource,
    /// Whether the surface supports mailbox presentation.
    mailbox: Arc<AtomicBool>,
    /// Set from any thread to close the window.
    close: Arc<AtomicBool>,
    gate: Arc<SurfaceGate>,
    /// Whether the window has been drawn at least once.
    pub drawn: bool,
    first_frame: FirstFrame,
    /// The window's title, as last set.
    title: String,
}

impl DisplayDevice {
    /// Sets up a new window for frames of `[height, width]` `size`.
    ///
    /// # Errors
    /// Returns an error if the window has no renderer.
    pub fn new(
        creation: &eframe::CreationContext<'_>,
        waker: Waker,
        [mailbox, close]: [Arc<AtomicBool>; 2],
        gate: Arc<SurfaceGate>,
        size: [usize; 2],
    ) -> crate::Result<Self> {
        let (render, gpu_source) = renderer(creation, &gate)?;
        waker.attach(&creation.egui_ctx);
        let device = Self {
            context: creation.egui_ctx.clone(),
            waker,
            render,
            gpu_source,
            mailbox,
            close,
            gate,
            drawn: false,
            first_frame: FirstFrame::Awaited,
            title: String::new(),
        };
        device.install_presenter(size);
        Ok(device)
    }

    /// Moves to a new window with a new device.
    ///
    /// # Errors
    /// Returns an error if the window has no renderer.
    pub fn attach(
        &mut self,
        creation: &eframe::CreationContext<'_>,
        size: [usize; 2],
    ) -> crate::Result<()> {
        (self.render, self.gpu_source) = renderer(creation, &self.gate)?;
        self.context = creation.egui_ctx.clone();
        self.waker.attach(&creation.egui_ctx);
        self.install_presenter(size);
        self.drawn = false;
        self.title.clear();
        Ok(())
    }

    /// Installs a presenter for frames of `[height, width]` in egui's renderer.
    pub fn install_presenter(&self, size: [usize; 2]) {
        let presenter = Presenter::new(&self.render.device, self.render.target_format, size);
        let mut renderer = self.render.renderer.write();
        renderer.callback_resources.insert(presenter);
    }

    /// Whether the device has been lost after drawing with it.
    pub fn is_lost(&self) -> bool {
        let lost = matches!(&self.gpu_source, GpuSource::Shared(gpu) if gpu.is_lost());
        lost && self.drawn && !self.close.load(Ordering::Relaxed)
    }

    /// Chooses the presentation mode, and closes the window if it must be.
    pub fn update(&self, frame: &mut eframe::Frame) {
        if self.mailbox.swap(false, Ordering::Relaxed) {
            frame.set_wgpu_surface_config(egui_wgpu::SurfaceConfig {
                present_mode: wgpu::PresentMode::Mailbox,
                desired_maximum_frame_latency: Some(2),
            });
        }
        if self.close.load(Ordering::Relaxed) || self.is_lost() {
            self.command(ViewportCommand::Close);
        }
    }

    /// Notes that the window is being drawn, with a frame of the world if `has_frame`.
    pub fn begin_draw(&mut self, ui: &Ui, has_frame: bool) {
        if !std::mem::replace(&mut self.drawn, true) {
            ui.request_repaint();
        }
        match self.first_frame {
            FirstFrame::Awaited if has_frame => {
                self.first_frame = FirstFrame::Drawn;
                ui.request_repaint();
            }
            FirstFrame::Drawn => {
                self.first_frame = FirstFrame::Logged;
                tracing::info!("the first frame is on the screen");
            }
            FirstFrame::Awaited | FirstFrame::Logged => {}
        }
    }

    /// Sets the window's title, if it has changed.
    pub fn set_title(&mut self, title: String) {
        if title != self.title {
            self.command(ViewportCommand::Title(title.clone()));
            self.title = title;
        }
    }

    /// The window's title, as last set.
    #[cfg(test)]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Whether no control has the keyboard.
    pub fn nothing_has_focus(&self) -> bool {
        self.context.memory(|memory| memory.focused().is_none())
    }

    /// Asks the system to point the user to the window.
    pub fn request_attention(&self) {
        let attention = UserAttentionType::Informational;
        self.command(ViewportCommand::RequestUserAttention(attention));
    }

    pub fn toggle_full_screen(&self) {
        let full = self.context.input(|input| input.viewport().fullscreen);
        self.command(ViewportCommand::Fullscreen(!full.unwrap_or(false)));
    }

    pub fn command(&self, command: ViewportCommand) {
        self.context.send_viewport_cmd(command);
    }
}

/// The renderer of a new window, and its GPU for engines.
fn renderer(
    creation: &eframe::CreationContext<'_>,
    gate: &SurfaceGate,
) -> crate::Result<(egui_wgpu::RenderState, GpuSource)> {
    let Some(state) = &creation.wgpu_render_state else {
        return Err(no_adapter("the window has no renderer"));
    };
    let (device, queue) = (state.device.clone(), state.queue.clone());
    let gpu = Gpu::shared(&state.adapter, device, queue, gate.submissions());
    Ok((state.clone(), gpu.map_or(GpuSource::Own, GpuSource::Shared)))
}
