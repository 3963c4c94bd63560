//! Opening a file or a world by its path.

use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui::{Button, Context, Key, RichText, TextEdit, vec2};

use super::path_field::{PathKind, browse_for};
use super::theme;
use super::widgets::{modal, title};
use crate::workspace::BackgroundTask;

const WIDTH: f32 = 440.0;

/// The page: a field for the path.
#[derive(Default)]
pub(super) struct OpenPage {
    path: String,
    /// Why the last path was not opened.
    refused: Option<String>,
    /// The system's file dialog.
    dialog: Option<BackgroundTask<Option<PathBuf>>>,
}

/// How the page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OpenChoice {
    Open(PathBuf),
    Close,
}

impl OpenPage {
    /// Draws the modal page. `fresh` is true on the first draw.
    pub fn ui(&mut self, context: &Context, fresh: bool) -> Option<OpenChoice> {
        let chosen = self.dialog.as_ref().and_then(BackgroundTask::take);
        if let Some(chosen) = chosen {
            self.dialog = None;
            match chosen {
                Ok(Some(path)) => return Some(OpenChoice::Open(path)),
                Ok(None) => {}
                Err(error) => self.refused = Some(error.to_string()),
            }
        }
        let space = context.content_rect().size() - vec2(60.0, 0.0);
        let response = modal(context, "open").show(context, |ui| {
            ui.set_width(WIDTH.min(space.x));
            let palette = theme::palette(ui);
            let (mut closed, mut entered) = (false, false);
            title(ui, "Open", false, &mut closed);
            let hint = "A world (a .driftless file, or a folder with config.json), an episode (.npz), actions (.txt), or an image, GIF or video to start from. You can also drop it on the window.";
            ui.label(RichText::new(hint).color(palette.muted));
            ui.horizontal(|ui| {
                let name = ui.label("Path");
                let width = ui.available_width() - 76.0;
                let field = TextEdit::singleline(&mut self.path).desired_width(width);
                let field = ui.add(field).labelled_by(name.id);
                if fresh {
                    field.request_focus();
                }
                entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
                entered |= ui.button("Open").clicked();
            });
            ui.horizontal(|ui| {
                for (kind, label) in [
                    (PathKind::File, "Choose a file…"),
                    (PathKind::Folder, "Choose a folder…"),
                ] {
                    let button = Button::new(label);
                    if ui.add_enabled(self.dialog.is_none(), button).clicked() {
                        self.browse(context, kind);
                    }
                }
            });
            if let Some(why) = &self.refused {
                ui.label(RichText::new(why).color(palette.alert));
            }
            if closed {
                return Some(OpenChoice::Close);
            }
            entered.then(|| self.enter()).flatten()
        });
        let left = response.should_close().then_some(OpenChoice::Close);
        response.inner.or(left)
    }

    fn browse(&mut self, context: &Context, kind: PathKind) {
        let context = context.clone();
        match browse_for(kind, Arc::new(move || context.request_repaint())) {
            Ok(dialog) => self.dialog = Some(dialog),
            Err(error) => self.refused = Some(error.to_string()),
        }
    }

    fn enter(&mut self) -> Option<OpenChoice> {
        let path = expanded(self.path.trim());
        if path.exists() {
            return Some(OpenChoice::Open(path));
        }
        self.refused = Some(format!("{}: no such file or folder", path.display()));
        None
    }
}

/// A typed path, with `~` for the user's own folder.
fn expanded(typed: &str) -> PathBuf {
    let own = || directories::UserDirs::new().map(|user| user.home_dir().to_path_buf());
    match typed
        .strip_prefix("~/")
        .and_then(|rest| Some(own()?.join(rest)))
    {
        Some(path) => path,
        None => PathBuf::from(typed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_path_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut page = OpenPage {
            path: folder.path().join("nothing").display().to_string(),
            ..OpenPage::default()
        };
        assert_eq!(page.enter(), None);
        assert!(page.refused.as_deref().unwrap().contains("nothing"));
        page.path = format!(" {} ", folder.path().display());
        assert_eq!(page.enter(), Some(OpenChoice::Open(folder.path().into())));
    }

    #[test]
    fn tilde_is_the_users_folder() {
        if let Some(user) = directories::UserDirs::new() {
            assert_eq!(expanded("~/a/b"), user.home_dir().join("a/b"));
        }
        assert_eq!(expanded("~a"), PathBuf::from("~a"));
    }
}
