//! Short messages over the picture that disappear by themselves.

use std::collections::VecDeque;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use eframe::egui::{Align2, Margin, Rect, Response, RichText, Sense, Stroke, Ui, vec2};

use super::theme;
use super::widgets::floating;

/// How long a message, one about a file, and an error are shown.
const INFO_TIME: Duration = Duration::from_secs(6);
const FILE_TIME: Duration = Duration::from_secs(12);
const ERROR_TIME: Duration = Duration::from_secs(20);
/// Number of notices shown at once.
const MAX_SHOWN: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Info,
    Error,
}

struct Notice {
    text: String,
    severity: Severity,
    /// The file that was written.
    file: Option<PathBuf>,
    until: Instant,
}

/// What was clicked on a notice.
enum Clicked {
    Dismiss,
    CopyPath(PathBuf),
    OpenFolder(PathBuf),
}

/// The notices, oldest first. A later one does not hide an earlier error.
#[derive(Default)]
pub(super) struct Notices {
    shown: VecDeque<Notice>,
}

impl Notices {
    /// Shows a message.
    pub fn info(&mut self, text: impl Into<String>) {
        self.post(text.into(), Severity::Info, Instant::now());
    }

    /// Says that a file was written, with buttons for its path and its folder.
    pub fn saved(&mut self, path: &Path) {
        let text = format!("Saved as {}", path.display());
        self.post(text.clone(), Severity::Info, Instant::now());
        // Without room among errors it is not shown.
        let posted = self.shown.back_mut().filter(|notice| notice.text == text);
        if let Some(notice) = posted {
            notice.file = Some(path.to_path_buf());
            notice.until += FILE_TIME - INFO_TIME;
        }
    }

    /// Shows an error, longer than a message.
    pub fn error(&mut self, error: &dyn Display) {
        self.post(error.to_string(), Severity::Error, Instant::now());
    }

    fn post(&mut self, text: String, severity: Severity, now: Instant) {
        // The same text again only stays longer.
        self.shown.retain(|notice| notice.text != text);
        if self.shown.len() == MAX_SHOWN {
            let message = |notice: &Notice| notice.severity == Severity::Info;
            match self.shown.iter().position(message) {
                Some(oldest) => self.shown.remove(oldest),
                None if severity == Severity::Info => return,
                None => self.shown.pop_front(),
            };
        }
        let time = match severity {
            Severity::Info => INFO_TIME,
            Severity::Error => ERROR_TIME,
        };
        self.shown.push_back(Notice {
            text,
            severity,
            file: None,
            until: now + time,
        });
    }

    /// What they say, oldest first.
    #[cfg(test)]
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.shown.iter().map(|notice| notice.text.as_str())
    }

    /// Removes the newest notice; returns whether there was one.
    pub fn dismiss(&mut self) -> bool {
        self.shown.pop_back().is_some()
    }

    /// Draws the notices at the bottom of `space`, the newest lowest. A click removes one; returns a folder
    /// to be opened.
    pub fn ui(&mut self, ui: &Ui, space: Rect) -> Option<PathBuf> {
        let now = Instant::now();
        self.shown.retain(|notice| notice.until > now);
        let next = self.shown.iter().map(|notice| notice.until).min()?;
        ui.ctx().request_repaint_after(next - now);
        let width = (space.width() - 60.0).max(120.0);
        let mut at = space.center_bottom() - vec2(0.0, 14.0);
        let mut clicked = None;
        for (i, notice) in self.shown.iter().enumerate().rev() {
            let name = format!("notice {i}");
            let (card, button) = floating(ui, &name, at, Align2::CENTER_BOTTOM, |ui| {
                notice.ui(ui, width)
            });
            at.y = card.rect.top() - 8.0;
            let dismissed = card.clicked().then_some(Clicked::Dismiss);
            if let Some(what) = button.or(dismissed) {
                clicked = Some((i, what));
            }
        }
        let (i, what) = clicked?;
        match what {
            Clicked::CopyPath(path) => {
                ui.copy_text(path.display().to_string());
                None
            }
            Clicked::OpenFolder(folder) => Some(folder),
            Clicked::Dismiss => {
                self.shown.remove(i);
                None
            }
        }
    }
}

impl Notice {
    /// Draws the notice as a card that can be clicked; also returns which of its buttons was.
    fn ui(&self, ui: &mut Ui, width: f32) -> (Response, Option<Clicked>) {
        let palette = theme::palette(ui);
        let mut card = theme::card(palette).inner_margin(Margin::symmetric(14, 9));
        if self.severity == Severity::Error {
            card = card.stroke(Stroke::new(1.0, palette.alert));
        }
        let mut button = None;
        let card = card.show(ui, |ui| {
            ui.set_max_width(width);
            ui.label(RichText::new(&self.text).color(palette.text));
            if let Some(path) = &self.file {
                ui.horizontal(|ui| button = file_buttons(ui, path));
            }
        });
        (card.response.interact(Sense::CLICK), button)
    }
}

fn file_buttons(ui: &mut Ui, path: &Path) -> Option<Clicked> {
    let folder = path.parent().filter(|_| ui.button("Open folder").clicked());
    let copies = ui.button("Copy path").clicked();
    match folder {
        Some(folder) => Some(Clicked::OpenFolder(folder.to_path_buf())),
        None => copies.then(|| Clicked::CopyPath(path.to_path_buf())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(notices: &Notices) -> Vec<&str> {
        notices.shown.iter().map(|n| n.text.as_str()).collect()
    }

    #[test]
    fn messages_make_room_for_errors() {
        let mut notices = Notices::default();
        notices.error(&"broken");
        for text in ["one", "two", "three"] {
            notices.info(text);
        }
        assert_eq!(texts(&notices), ["broken", "two", "three"]);
        notices.error(&"worse");
        assert_eq!(texts(&notices), ["broken", "three", "worse"]);
        notices.error(&"worst");
        notices.info("four");
        assert_eq!(texts(&notices), ["broken", "worse", "worst"]);
    }

    #[test]
    fn written_files_stay_longer() {
        let mut notices = Notices::default();
        notices.info("one");
        notices.saved(Path::new("saved/Pong.gif"));
        let [first, second] = [0, 1].map(|i| &notices.shown[i]);
        assert_eq!(second.text, "Saved as saved/Pong.gif");
        assert!(second.until >= first.until + FILE_TIME - INFO_TIME);
    }

    #[test]
    fn repeated_notice_appears_once() {
        let mut notices = Notices::default();
        for text in ["one", "two", "one"] {
            notices.info(text);
        }
        assert_eq!(texts(&notices), ["two", "one"]);
        assert!(notices.dismiss());
        assert_eq!(texts(&notices), ["two"]);
    }
}
