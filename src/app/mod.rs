//! The window: the picture, its controls, and the panels around it.
//!
//! It sends commands to the world-model thread ([`driftless_sim`]) and draws the frames that come
//! back; it never runs the model itself.

mod about;
mod adapter;
mod agent_view;
mod browse;
mod cards;
mod commands_page;
mod comparison;
mod config;
mod controls;
mod denoising;
mod desktop;
mod film;
mod gamepad;
mod goals;
mod help;
mod hud;
mod inspect;
pub mod keys;
mod menu;
mod mouse;
mod new_world;
mod notices;
mod open_page;
mod options;
mod path_field;
mod plots;
mod present;
mod presets;
mod recovery;
mod save_dialog;
mod scoreboard;
mod screenshot;
mod session;
mod settings_merge;
mod settings_page;
mod shell;
mod stats;
mod surface_gate;
mod text;
mod theme;
mod timeline;
mod transport;
mod tuning;
mod waker;
mod widgets;
mod window;
mod world_picker;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use driftless_data::PathError as _;
use driftless_sim::{RecordOptions, Session};

use self::adapter::check_display;
use self::session::GameSession;
use self::surface_gate::SurfaceGate;
use self::waker::Waker;
use self::window::WindowSetup;
use crate::workspace::{UserPaths, recording};
use crate::{Error, Result};

pub use self::config::check_settings;
pub use self::options::{FirstPage, FirstStep, NewWorldOptions, WindowOptions};
pub use self::present::drawing_times;

/// How long closing the window waits for the trainer to save.
const TRAINER_SAVE_TIMEOUT: Duration = Duration::from_secs(120);

/// Opens the window and blocks until it is closed.
///
/// # Errors
/// Returns an error if a key binding is invalid, there is no display or graphics adapter, the
/// recording cannot be written, or the window was closed while its world had failed.
pub fn run(options: WindowOptions) -> Result<()> {
    let record = options.record.map(|record| RecordOptions {
        // Without a data folder the recording is in memory only.
        journal: UserPaths::resolve(options.home.clone())
            .map(|paths| paths.unfinished())
            .ok(),
        ..record
    });
    let mut session = GameSession::new(options.game, options.fps, options.params, record)?;
    if !options.actions.is_empty() {
        session.sim.actions = options.actions;
        session.sim.action_params = Arc::default();
    }
    let server = check_display()?;
    let setup = WindowSetup {
        first: options.first,
        home: options.home,
        store: None,
        mailbox: Arc::default(),
        close: Arc::default(),
        server,
        gate: SurfaceGate::new(),
        waker: Waker::default(),
    };
    close_on_interrupt(&setup.close, &setup.waker);
    let (window, opened) = shell::open(setup, session);
    let exit = window.map(|mut window| window.leave()).unwrap_or_default();
    if let Some(training) = exit.training {
        training.shut_down(TRAINER_SAVE_TIMEOUT);
    }
    let written = exit.recording.map(write_recording).transpose();
    if let Some((recording, world)) = exit.dataset_recording {
        let folder = recording.path().to_path_buf();
        recording::write_dataset(recording, world, &folder)?;
    }
    written?;
    opened.unwrap_or_else(|panic| resume_unwind(panic))?;
    exit.failure.map_or(Ok(()), |what| Err(Error::World(what)))
}

/// Writes a recording when the window has closed. Says where it is if something else has appeared in its place.
fn write_recording(session: Session) -> Result<()> {
    let asked = session.path().to_path_buf();
    match session.write()? {
        Some(path) if path != asked => {
            let what = format!("exists by now; the recording is in {}", path.display());
            Err(Error::invalid(asked, what))
        }
        _ => Ok(()),
    }
}

/// Makes Ctrl-C close the window normally, so that recordings are written.
fn close_on_interrupt(close: &Arc<AtomicBool>, waker: &Waker) {
    let (close, waker) = (Arc::clone(close), waker.clone());
    let set = ctrlc::set_handler(move || {
        close.store(true, Ordering::Relaxed);
        waker.wake();
    });
    if let Err(error) = set {
        tracing::warn!("cannot handle Ctrl-C, it will end the program at once: {error}");
    }
}

#[cfg(test)]
mod tests;
