//! The window's lifecycle: opening it, and reopening it when its graphics device is lost.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use eframe::egui::{RawInput, Ui, ViewportBuilder};
use eframe::{egui, egui_wgpu};

use super::adapter::{no_adapter, no_display, wgpu_setup};
use super::session::GameSession;
use super::theme;
use super::window::{Window, WindowSetup};
use crate::{Error, Result};

/// How often to reopen the window. After a panic, the event loop may end again immediately.
const MAX_REOPENS: usize = 8;

/// Holds the window's state while no window is open.
type Slot = Rc<RefCell<Option<Window>>>;

/// The app that eframe owns. The window state outlives it.
struct EframeShell {
    window: Option<Window>,
    slot: Slot,
}

impl Drop for EframeShell {
    fn drop(&mut self) {
        self.slot.replace(self.window.take());
    }
}

impl eframe::App for EframeShell {
    fn raw_input_hook(&mut self, context: &egui::Context, input: &mut RawInput) {
        if let Some(window) = &mut self.window {
            window.raw_input_hook(context, input);
        }
    }

    fn logic(&mut self, context: &egui::Context, frame: &mut eframe::Frame) {
        if let Some(window) = &mut self.window {
            window.logic(context, frame);
        }
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        if let Some(window) = &mut self.window {
            window.ui(ui, frame);
        }
    }
}

/// Runs the event loop until the window is closed. Always returns the window state, even after a panic.
pub(super) fn open(
    setup: WindowSetup,
    session: GameSession,
) -> (Option<Window>, std::thread::Result<Result<()>>) {
    let slot = Slot::default();
    let name = session.world.name.clone();
    let mailbox = Arc::clone(&setup.mailbox);
    let mut fresh = Some((setup, session));
    let mut tries = 0;
    loop {
        let native = eframe::NativeOptions {
            viewport: ViewportBuilder::default()
                .with_title(format!("Driftless – {name}"))
                .with_app_id("driftless")
                .with_icon(theme::icon())
                .with_inner_size([1080.0, 792.0])
                .with_min_inner_size([400.0, 360.0]),
            wgpu_options: egui_wgpu::WgpuConfiguration {
                surface: egui_wgpu::SurfaceConfig::LOW_LATENCY,
                wgpu_setup: wgpu_setup(Arc::clone(&mailbox)).into(),
                ..Default::default()
            },
            ..Default::default()
        };
        let make = |creation: &eframe::CreationContext<'_>| {
            let mut shell = EframeShell {
                window: slot.take(),
                slot: Rc::clone(&slot),
            };
            match (&mut shell.window, fresh.take()) {
                (Some(window), _) => window.attach(creation)?,
                (None, Some((setup, session))) => {
                    shell.window = Some(Window::new(setup, session, creation)?);
                }
                (None, None) => return Err(no_adapter("the window state was lost").into()),
            }
            Ok(Box::new(shell) as Box<dyn eframe::App>)
        };
        // The renderer panics on a lost device before it can be told not to draw.
        let run = || eframe::run_native("driftless", native, Box::new(make));
        let ended = catch_unwind(AssertUnwindSafe(run));
        let lost = slot.borrow().as_ref().is_some_and(Window::is_lost);
        if !lost || tries == MAX_REOPENS {
            let ended = ended.map(|opened| opened.map_err(explain));
            return (slot.take(), ended);
        }
        tries += 1;
        tracing::warn!("the graphics device was lost; reopening the window");
    }
}

fn explain(error: eframe::Error) -> Error {
    match error {
        eframe::Error::AppCreation(inner) => match inner.downcast::<Error>() {
            Ok(error) => *error,
            Err(inner) => Error::Display(format!("cannot open the window: {inner}")),
        },
        eframe::Error::Winit(error) => no_display(&error.to_string()),
        eframe::Error::WinitEventLoop(error) => no_display(&error.to_string()),
        eframe::Error::Wgpu(error) => no_adapter(&error.to_string()),
    }
}
