//! What is said of a capture once it is over: why it is, and what looks wrong in it.

use eframe::egui::{Label, RichText, Ui};
use serde::Deserialize;

use driftless_data::text::{counted, printable};

use super::widgets::{card, title};
use crate::app::theme;

/// The result of `driftless capture --json`.
#[derive(Deserialize)]
struct Outcome {
    end: String,
    frames: usize,
    lost_frames: usize,
    episodes: Vec<serde::de::IgnoredAny>,
    remarks: Vec<String>,
}

/// A capture that is over.
pub(super) struct CaptureNote {
    headline: String,
    remarks: Vec<String>,
}

impl CaptureNote {
    /// What the command has printed; `None` if it is something else.
    pub fn read(json: &str) -> Option<Self> {
        let outcome: Outcome = serde_json::from_str(json).ok()?;
        let headline = format!(
            "{}: {} in {}, {} lost",
            outcome.end,
            counted(outcome.frames, "frame"),
            counted(outcome.episodes.len(), "episode"),
            outcome.lost_frames
        );
        Some(Self {
            headline: sentence(&headline),
            remarks: outcome.remarks.iter().map(|text| sentence(text)).collect(),
        })
    }

    /// Draws the note; returns whether it was dismissed.
    pub fn ui(&self, ui: &mut Ui) -> bool {
        card(ui, |ui| {
            title(ui, "The capture is over", "");
            let palette = theme::palette(ui);
            ui.label(RichText::new(&self.headline).color(palette.text));
            for remark in &self.remarks {
                ui.add(Label::new(RichText::new(remark).color(palette.alert)).wrap());
            }
            ui.button("Dismiss").clicked()
        })
    }
}

/// A line of the command line as a sentence.
pub(super) fn sentence(line: &str) -> String {
    let line = printable(line);
    let mut letters = line.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    let mut text: String = first.chain(letters).collect();
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_of_the_command_is_said() {
        let json = r#"{"end": "the window was closed", "version": 1, "frames": 45, "lost_frames": 1,
            "episodes": [{"file": "a", "frames": 45, "cut": "start"}], "remarks": ["never pressed: Left"]}"#;
        let note = CaptureNote::read(json).unwrap();
        assert_eq!(
            note.headline,
            "The window was closed: 45 frames in 1 episode, 1 lost."
        );
        assert_eq!(note.remarks, ["Never pressed: Left."]);
        assert!(CaptureNote::read("").is_none());
    }
}
