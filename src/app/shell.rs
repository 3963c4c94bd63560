//! The window's lifecycle: opening it, and reopening it when its graphics device is lost.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Once};

use eframe::egui::{RawInput, Ui, ViewportBuilder};
use eframe::{egui, egui_wgpu};

use super::adapter::{event_loop, no_adapter, no_display, wgpu_setup};
use super::config::{ConfigStore, WindowPlace};
use super::session::GameSession;
use super::theme;
use super::window::{Window, WindowSetup};
use crate::{Error, Result};

/// What is said when the display server has closed the connection.
const DISPLAY_LOST: &str =
    "the display server closed the connection to the window; what was recorded is written";
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

/// Size of a window that has never been open before, in points; larger on large screens.
pub(super) const DEFAULT_SIZE: [f32; 2] = [1080.0, 792.0];

/// The viewport of a window that opens where it was closed.
fn viewport(title: String, place: Option<WindowPlace>) -> ViewportBuilder {
    let builder = ViewportBuilder::default()
        .with_title(title)
        .with_app_id("driftless")
        .with_icon(theme::icon())
        .with_min_inner_size([400.0, 360.0]);
    let Some(place) = place else {
        return builder.with_inner_size(DEFAULT_SIZE);
    };
    let builder = builder
        .with_inner_size(place.size)
        // Part of the window stays on the screen, even if that has become smaller.
        .with_clamp_size_to_monitor_size(true)
        .with_maximized(place.maximized)
        .with_fullscreen(place.full_screen);
    match place.corner {
        Some(corner) => builder.with_position(corner),
        None => builder,
    }
}

/// Runs the event loop until the window is closed. Always returns the window state, even after a panic.
pub(super) fn open(
    mut setup: WindowSetup,
    session: GameSession,
) -> (Option<Window>, std::thread::Result<Result<()>>) {
    let slot = Slot::default();
    let name = session.world.name.clone();
    let mailbox = Arc::clone(&setup.mailbox);
    let server = setup.server;
    let (store, _) = setup.store.get_or_insert_with(ConfigStore::find);
    let mut place = store.config.window;
    let mut fresh = Some((setup, session));
    let mut tries = 0;
    loop {
        let native = eframe::NativeOptions {
            viewport: viewport(format!("{name} – Driftless"), place),
            event_loop_builder: event_loop(server),
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
        let ended = catch_display_loss(run);
        let lost = slot.borrow().as_ref().is_some_and(Window::is_lost);
        if !lost || tries == MAX_REOPENS {
            let ended = ended.map(|opened| {
                opened.map_err(|lost| match lost {
                    Lost::Display => Error::Display(DISPLAY_LOST.to_owned()),
                    Lost::Eframe(error) => explain(error),
                })
            });
            return (slot.take(), ended);
        }
        tries += 1;
        place = slot.borrow().as_ref().and_then(Window::place);
        tracing::warn!("the graphics device was lost; reopening the window");
    }
}

/// Runs the event loop. The window library panics if the display server closes the connection (as `xkill` has it do);
/// that becomes an error. Other panics are reported and returned.
fn catch_display_loss<T>(
    run: impl FnOnce() -> eframe::Result<T>,
) -> std::thread::Result<std::result::Result<T, Lost>> {
    static HOOK: Once = Once::new();
    // The hook prints before anyone can catch.
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !is_display_loss(info.payload()) {
                previous(info);
            }
        }));
    });
    match catch_unwind(AssertUnwindSafe(run)) {
        Err(panic) if is_display_loss(panic.as_ref()) => Ok(Err(Lost::Display)),
        ended => ended.map(|ended| ended.map_err(Lost::Eframe)),
    }
}

/// Why the event loop ended.
enum Lost {
    /// The display server closed the connection.
    Display,
    Eframe(eframe::Error),
}

/// Whether a panic says that the connection to an X server is gone.
fn is_display_loss(panic: &(dyn Any + Send)) -> bool {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.is_some_and(|text| text.contains("Connection(IoError"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_display_is_an_error_and_other_panics_stay() {
        let lost = "called `Result::unwrap()` on an `Err` value: Connection(IoError(Custom { kind: Other }))";
        let ended = catch_display_loss::<()>(|| std::panic::panic_any(lost.to_owned()));
        assert!(matches!(ended, Ok(Err(Lost::Display))));
        let other = catch_display_loss::<()>(|| std::panic::panic_any("something else".to_owned()));
        assert!(other.is_err());
        assert!(matches!(catch_display_loss(|| Ok(3)), Ok(Ok(3))));
    }
}
