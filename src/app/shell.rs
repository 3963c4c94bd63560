//! The window's lifecycle: opening it, and reopening it when its graphics device is lost.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Once, OnceLock};

use eframe::egui::{RawInput, Ui, ViewportBuilder};
use eframe::{egui, egui_wgpu};
use winit::error::EventLoopError;
use winit::platform::run_on_demand::EventLoopExtRunOnDemand as _;

use super::adapter::{NO_DRIVER, event_loop, no_adapter, no_display, wgpu_setup};
use super::config::{ConfigStore, DEFAULT_SIZE, WindowPlace};
use super::session::GameSession;
use super::surface_gate::{GatedWindow, SurfaceGate};
use super::theme;
use super::window::{Window, WindowSetup};
use crate::{Error, Result};

/// What is said when the display server has closed the connection.
const DISPLAY_LOST: &str = "the display server has closed the window; what was recorded is written";
/// What is said when a window does not open and eframe alone knows why.
const NOT_SAID: &str = "the reason is in the log with DRIFTLESS_LOG=eframe=error";
/// How often to reopen the window. After a panic, the event loop may end again immediately.
const MAX_REOPENS: usize = 8;

/// Holds the window's state while no window is open.
type Slot = Rc<RefCell<Option<Window>>>;

/// The app that eframe owns. The window state outlives it.
struct EframeShell {
    window: Option<Window>,
    slot: Slot,
    gate: Arc<SurfaceGate>,
}

impl Drop for EframeShell {
    fn drop(&mut self) {
        self.slot.replace(self.window.take());
    }
}

impl eframe::App for EframeShell {
    fn raw_input_hook(&mut self, context: &egui::Context, input: &mut RawInput) {
        self.gate.open();
        if let Some(window) = &mut self.window {
            window.raw_input_hook(context, input);
        }
    }

    fn logic(&mut self, context: &egui::Context, frame: &mut eframe::Frame) {
        self.gate.open();
        if let Some(window) = &mut self.window {
            window.logic(context, frame);
        }
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        self.gate.open();
        if let Some(window) = &mut self.window {
            window.ui(ui, frame);
        }
        self.gate.painting();
    }

    fn on_exit(&mut self) {
        self.gate.surface_changes();
    }
}

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
    let (mailbox, gate) = (Arc::clone(&setup.mailbox), Arc::clone(&setup.gate));
    let mut events = match event_loop(setup.server) {
        Ok(events) => events,
        Err(error) => return (None, Ok(Err(error))),
    };
    let (store, _) = setup.store.get_or_insert_with(ConfigStore::find);
    let mut place = store.config.window;
    let mut fresh = Some((setup, session));
    let mut tries = 0;
    loop {
        let refused = Arc::new(OnceLock::new());
        let native = eframe::NativeOptions {
            viewport: viewport(format!("{name} – Driftless"), place),
            wgpu_options: egui_wgpu::WgpuConfiguration {
                surface: egui_wgpu::SurfaceConfig::LOW_LATENCY,
                wgpu_setup: wgpu_setup(Arc::clone(&mailbox), Arc::clone(&refused)).into(),
                on_surface_status: gate.on_surface_status(),
            },
            ..Default::default()
        };
        let creation_error = RefCell::new(None);
        let opened = Cell::new(false);
        let make = |creation: &eframe::CreationContext<'_>| {
            let made = make_shell(creation, &slot, fresh.take(), &gate);
            opened.set(made.is_ok());
            let shell = made.map_err(|error| {
                let text = error.to_string();
                creation_error.replace(Some(error));
                text
            })?;
            Ok(Box::new(shell) as Box<dyn eframe::App>)
        };
        let run = || {
            let window = eframe::create_native("driftless", native, Box::new(make), &events);
            let gate = Arc::clone(&gate);
            events.run_app_on_demand(&mut GatedWindow { window, gate })
        };
        // The renderer panics on a lost device before it can be told not to draw.
        let ended = catch_display_loss(run);
        gate.open();
        let lost = slot.borrow().as_ref().is_some_and(Window::is_lost);
        if !lost || tries == MAX_REOPENS {
            let ended = ended.map(|ended| {
                ended.map_err(explain)?;
                match creation_error.take() {
                    Some(error) => Err(error),
                    None if opened.get() => Ok(()),
                    None => Err(no_adapter(reason(&refused))),
                }
            });
            return (slot.take(), ended);
        }
        tries += 1;
        place = slot.borrow().as_ref().and_then(Window::place);
        tracing::warn!("the graphics device was lost; reopening the window");
    }
}

/// Why a window did not open.
fn reason(refused: &OnceLock<String>) -> &str {
    match refused.get() {
        Some(reason) => reason,
        // eframe gives up before it asks for an adapter.
        None if driftless_engine::adapters().is_empty() => NO_DRIVER,
        None => NOT_SAID,
    }
}

/// The app of a new window, from what remains of the window before or from a `fresh` setup.
fn make_shell(
    creation: &eframe::CreationContext<'_>,
    slot: &Slot,
    fresh: Option<(WindowSetup, GameSession)>,
    gate: &Arc<SurfaceGate>,
) -> Result<EframeShell> {
    let mut shell = EframeShell {
        window: slot.take(),
        slot: Rc::clone(slot),
        gate: Arc::clone(gate),
    };
    match (&mut shell.window, fresh) {
        (Some(window), _) => window.attach(creation)?,
        (None, Some((setup, session))) => {
            shell.window = Some(Window::new(setup, session, creation)?);
        }
        (None, None) => return Err(no_adapter("the window state was lost")),
    }
    Ok(shell)
}

/// Runs the event loop. The window library panics if the display server closes the connection (as `xkill` has it do);
/// that becomes an error. Other panics are reported and returned.
fn catch_display_loss<T>(
    run: impl FnOnce() -> std::result::Result<T, EventLoopError>,
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
        ended => ended.map(|ended| ended.map_err(Lost::Events)),
    }
}

/// Why the event loop ended.
enum Lost {
    /// The display server closed the connection.
    Display,
    Events(EventLoopError),
}

/// Whether a panic says that the connection to an X server is gone, or the window on it.
fn is_display_loss(panic: &(dyn Any + Send)) -> bool {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let signs = [
        "Connection(IoError",
        "X11Error { error_kind: Drawable",
        "X11Error { error_kind: Window",
    ];
    text.is_some_and(|text| signs.iter().any(|sign| text.contains(sign)))
}

fn explain(lost: Lost) -> Error {
    match lost {
        Lost::Display => Error::Display(DISPLAY_LOST.to_owned()),
        Lost::Events(error) => no_display(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_display_is_an_error_and_other_panics_stay() {
        for lost in [
            "called `Result::unwrap()` on an `Err` value: Connection(IoError(Custom { kind: Other }))",
            "called `Result::unwrap()` on an `Err` value: X11(X11Error { error_kind: Drawable, error_code: 9 })",
        ] {
            let ended = catch_display_loss::<()>(|| std::panic::panic_any(lost.to_owned()));
            assert!(matches!(ended, Ok(Err(Lost::Display))), "{lost}");
        }
        let other = catch_display_loss::<()>(|| std::panic::panic_any("something else".to_owned()));
        assert!(other.is_err());
        assert!(matches!(catch_display_loss(|| Ok(3)), Ok(Ok(3))));
    }
}
