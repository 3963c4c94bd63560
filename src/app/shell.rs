//! The window's life: it is opened, and opened again where the device that it draws with is lost.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use eframe::egui::{self, RawInput, Ui, ViewportBuilder};
use eframe::egui_wgpu;

use super::played::Played;
use super::window::{Parts, Window};
use super::{no_adapter, no_display, setup, theme};
use crate::{Error, Result};

/// How often a window is opened again. After a panic the event loop may end once more at once.
const TRIES: usize = 8;

/// Where a window is kept while none is open.
type Slot = Rc<RefCell<Option<Window>>>;

/// What eframe owns; the window outlives it.
struct Shell {
    window: Option<Window>,
    slot: Slot,
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.slot.replace(self.window.take());
    }
}

impl eframe::App for Shell {
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

/// Runs the event loop until the window is closed. What is left of the window comes back whatever
/// happens, a panic included.
pub(super) fn open(
    parts: Parts,
    played: Played,
) -> (Option<Window>, std::thread::Result<Result<()>>) {
    let slot = Slot::default();
    let name = played.world.name.clone();
    let mailbox = Arc::clone(&parts.mailbox);
    let mut fresh = Some((parts, played));
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
                wgpu_setup: setup(Arc::clone(&mailbox)).into(),
                ..Default::default()
            },
            ..Default::default()
        };
        let make = |creation: &eframe::CreationContext<'_>| {
            let mut shell = Shell {
                window: slot.take(),
                slot: Rc::clone(&slot),
            };
            match (&mut shell.window, fresh.take()) {
                (Some(window), _) => window.attach(creation)?,
                (None, Some((parts, played))) => {
                    shell.window = Some(Window::new(parts, played, creation)?);
                }
                (None, None) => return Err(no_adapter("the window was lost").into()),
            }
            Ok(Box::new(shell) as Box<dyn eframe::App>)
        };
        // On a lost device the renderer panics, sooner than it could be told not to draw.
        let run = || eframe::run_native("driftless", native, Box::new(make));
        let ended = catch_unwind(AssertUnwindSafe(run));
        let lost = slot.borrow().as_ref().is_some_and(Window::is_lost);
        if !lost || tries == TRIES {
            let ended = ended.map(|opened| opened.map_err(explained));
            return (slot.take(), ended);
        }
        tries += 1;
        tracing::warn!("the window lost its device, and is opened again");
    }
}

fn explained(error: eframe::Error) -> Error {
    match error {
        eframe::Error::AppCreation(inner) => match inner.downcast::<Error>() {
            Ok(error) => *error,
            Err(inner) => Error::Device(format!("cannot open the window: {inner}")),
        },
        eframe::Error::Winit(error) => no_display(&error.to_string()),
        eframe::Error::WinitEventLoop(error) => no_display(&error.to_string()),
        eframe::Error::Wgpu(error) => no_adapter(&error.to_string()),
    }
}
