//! Keeps the engine from submitting while the window sets up its surface.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use driftless_engine::SubmissionGate;
use eframe::wgpu::CurrentSurfaceTexture;
use eframe::{UserEvent, egui_wgpu};
use winit::application::ApplicationHandler;
use winit::event::{DeviceEvent, DeviceId, StartCause, WindowEvent};
use winit::event_loop::ActiveEventLoop;
use winit::window::WindowId;

/// How many times the window is painted with a closed gate after its surface has changed: a surface that is not
/// quite right is set up again while the next picture is painted, which nobody is told.
const GATED_PAINTS: u32 = 3;

/// Closes the gate when the surface is set up: on resizing, while painting soon after, and at the end. The program's
/// own code, which may wait for the engine, always runs with an open gate.
#[derive(Debug)]
pub(super) struct SurfaceGate {
    gate: Arc<SubmissionGate>,
    gated_paints: AtomicU32,
}

impl SurfaceGate {
    /// The gate of a new window.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            gate: Arc::default(),
            gated_paints: AtomicU32::new(GATED_PAINTS),
        })
    }

    /// What the engine waits for.
    pub fn submissions(&self) -> Arc<SubmissionGate> {
        Arc::clone(&self.gate)
    }

    /// The program's own code begins.
    pub fn open(&self) {
        self.gate.open();
    }

    /// The program's own code has ended; painting begins.
    pub fn painting(&self) {
        let left = self.gated_paints.load(Ordering::Relaxed);
        if left > 0 {
            self.gated_paints.store(left - 1, Ordering::Relaxed);
            self.gate.close();
        }
    }

    /// The surface is about to be set up, or dropped.
    pub fn surface_changes(&self) {
        self.gated_paints.store(GATED_PAINTS, Ordering::Relaxed);
        self.gate.close();
    }

    /// What egui's renderer does about a surface that gives no picture to paint on.
    pub fn on_surface_status(
        self: &Arc<Self>,
    ) -> Arc<dyn Fn(&CurrentSurfaceTexture) -> egui_wgpu::SurfaceErrorAction + Send + Sync> {
        let usual = egui_wgpu::WgpuConfiguration::default().on_surface_status;
        let gate = Arc::clone(self);
        Arc::new(move |status| {
            let action = usual(status);
            if !matches!(action, egui_wgpu::SurfaceErrorAction::SkipFrame) {
                gate.surface_changes();
            }
            action
        })
    }
}

/// Passes every event on to eframe's window. A resized one sets up its surface at once.
pub(super) struct GatedWindow<'a> {
    pub window: eframe::EframeWinitApplication<'a>,
    pub gate: Arc<SurfaceGate>,
}

impl ApplicationHandler<UserEvent> for GatedWindow<'_> {
    fn window_event(&mut self, events: &ActiveEventLoop, id: WindowId, event: WindowEvent) {
        if let WindowEvent::Resized(_) = event {
            self.gate.surface_changes();
        }
        self.window.window_event(events, id, event);
        self.gate.open();
    }

    fn exiting(&mut self, events: &ActiveEventLoop) {
        self.window.exiting(events);
        self.gate.open();
    }

    fn resumed(&mut self, events: &ActiveEventLoop) {
        self.window.resumed(events);
        self.gate.open();
    }

    fn suspended(&mut self, events: &ActiveEventLoop) {
        self.window.suspended(events);
        self.gate.open();
    }

    fn new_events(&mut self, events: &ActiveEventLoop, cause: StartCause) {
        self.window.new_events(events, cause);
        self.gate.open();
    }

    fn user_event(&mut self, events: &ActiveEventLoop, event: UserEvent) {
        self.window.user_event(events, event);
        self.gate.open();
    }

    fn device_event(&mut self, events: &ActiveEventLoop, id: DeviceId, event: DeviceEvent) {
        self.window.device_event(events, id, event);
    }

    fn about_to_wait(&mut self, events: &ActiveEventLoop) {
        self.window.about_to_wait(events);
    }

    fn memory_warning(&mut self, events: &ActiveEventLoop) {
        self.window.memory_warning(events);
    }
}
