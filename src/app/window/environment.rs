//! What every part of the window uses: the display, the user's settings, and messages to the user.

use std::path::PathBuf;

use eframe::egui::{ColorImage, Rect, Ui, ViewportCommand};

use super::device::DisplayDevice;
use super::preferences::UserPreferences;
use crate::Result;
use crate::app::desktop::open_folder;
use crate::app::notices::Notices;
use crate::app::present::Scaling;
use crate::app::screenshot;
use crate::workspace::{Notify, UserPaths};

/// The display, the settings and the messages.
pub(super) struct Environment {
    pub device: DisplayDevice,
    pub preferences: UserPreferences,
    pub notices: Notices,
    /// Where worlds, data and runs are stored; `None` uses the platform's folder.
    home: Option<PathBuf>,
}

impl Environment {
    pub fn new(device: DisplayDevice, preferences: UserPreferences, home: Option<PathBuf>) -> Self {
        Self {
            device,
            preferences,
            notices: Notices::default(),
            home,
        }
    }

    /// Wakes the window from another thread.
    pub fn notify(&self) -> Notify {
        self.device.waker.notify()
    }

    /// Shows an error.
    pub fn report(&mut self, done: Result<()>) {
        if let Err(error) = done {
            self.notices.error(&error);
        }
    }

    /// Says where something was saved, or why not.
    pub fn report_saved(&mut self, saved: Option<Result<PathBuf>>) {
        match saved {
            Some(Ok(path)) => self.notices.saved(&path),
            Some(Err(error)) => self.notices.error(&error),
            None => {}
        }
    }

    /// The folder for saved clips, plots and tables.
    ///
    /// # Errors
    /// Returns an error if the platform has no data folder.
    pub fn saved_folder(&self) -> Result<PathBuf> {
        Ok(UserPaths::resolve(self.home.clone())?.saved())
    }

    /// Where worlds, data and saved files are, in words.
    pub fn files(&self) -> String {
        match UserPaths::resolve(self.home.clone()) {
            Ok(paths) => paths.root().display().to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Shows the folder for saved clips in the platform's file manager.
    pub fn open_saved_folder(&mut self) {
        let opened = self.saved_folder().and_then(|folder| open_folder(&folder));
        self.report(opened);
    }

    /// Copies a picture to the clipboard.
    pub fn copy(&mut self, picture: &ColorImage) {
        let enlarged = screenshot::enlarged(picture);
        self.device.context.copy_image(enlarged);
        self.notices.info("The picture is copied.");
    }

    /// Collects the settings that have changed and writes them now and then; sizes the first window.
    pub fn poll_preferences(&mut self, scaling: Scaling) {
        let context = &self.device.context;
        if let Err(error) = self.preferences.autosave(context, scaling) {
            self.notices
                .error(&format!("Cannot save settings: {error}"));
        }
        if let Some(size) = self.preferences.size_for_screen(context) {
            self.device.command(ViewportCommand::InnerSize(size));
        }
        self.preferences.note_place(context);
    }

    /// Draws the notices, and opens a folder that is asked for.
    pub fn notices_ui(&mut self, ui: &Ui, space: Rect) {
        if let Some(folder) = self.notices.ui(ui, space) {
            self.report(open_folder(&folder));
        }
    }
}
