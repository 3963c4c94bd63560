//! Which part of the frames the strip shows, and which are selected.

use eframe::egui;
use eframe::egui::Ui;

use driftless_sim::BranchInfo;

use super::scale::{FrameScale, Grab};
use super::{Timeline, TimelineAction};

/// Most often the strip can be halved, and fewest frames it shows.
const MAX_ZOOM: u32 = 12;
const MIN_SHOWN: usize = 16;
/// How close to a handle of the range a press grabs it, in points.
const GRAB: f32 = 8.0;

impl Timeline {
    /// The first frame of the strip, and one more than its last: every branch, or a part around `centre`.
    pub(super) fn shown(&mut self) -> (usize, usize) {
        let first = self.branches.iter().map(|b| b.first).min().unwrap_or(0);
        let end = self.branches.iter().map(|b| b.end).max().unwrap_or(1);
        let all = end - first;
        let count = (all >> self.zoom).max(MIN_SHOWN.min(all));
        let start = |centre: usize| centre.saturating_sub(count / 2).clamp(first, end - count);
        let inside = |start: usize| (start..start + count).contains(&self.position.index);
        // The playhead stays in sight.
        if !inside(start(self.centre)) {
            self.centre = self.position.index;
        }
        let start = start(self.centre);
        (start, start + count)
    }

    /// Shows a smaller or larger part of the frames around `centre`.
    pub(super) fn zoom_to(&mut self, zoom: u32, centre: usize) {
        self.zoom = zoom.min(MAX_ZOOM);
        self.centre = centre;
    }

    /// Moves what was grabbed to `x`: an end of the range, or the playhead.
    pub(super) fn drag(
        &mut self,
        scale: &FrameScale,
        current: &BranchInfo,
        x: f32,
    ) -> Option<TimelineAction> {
        let index = scale.index(x).clamp(current.first, current.end - 1);
        let grabbed = *self.grabbed.get_or_insert_with(|| {
            let near = |at: usize| (scale.x(at) - x).abs() <= GRAB;
            match self.range {
                Some((_, end)) if near(end) => Grab::RangeEnd,
                Some((start, _)) if near(start) => Grab::RangeStart,
                _ => Grab::Playhead,
            }
        });
        match (grabbed, &mut self.range) {
            (Grab::RangeStart, Some((start, end))) => *start = index.min(*end),
            (Grab::RangeEnd, Some((start, end))) => *end = index.max(*start),
            _ => return self.seek(current.branch, index),
        }
        None
    }

    /// The selected frames, as far as they are on `branch`.
    pub(super) fn range_on(&self, branch: &BranchInfo) -> Option<(usize, usize)> {
        let (start, end) = self.range?;
        let last = branch.end - 1;
        Some((
            start.clamp(branch.first, last),
            end.clamp(branch.first, last),
        ))
    }

    pub(super) fn zoom_buttons(&mut self, ui: &mut Ui) {
        let centre = self.position.index;
        let out = ui.add_enabled(self.zoom > 0, egui::Button::new("−"));
        if out.on_hover_text("Show more frames.").clicked() {
            self.zoom_to(self.zoom.saturating_sub(1), centre);
        }
        let closer = ui.add_enabled(self.zoom < MAX_ZOOM, egui::Button::new("+"));
        let hint = "Show fewer frames, larger; the mouse wheel does it too.";
        if closer.on_hover_text(hint).clicked() {
            self.zoom_to(self.zoom + 1, centre);
        }
    }

    /// A button that selects frames, and their numbers once they are.
    pub(super) fn range_controls(&mut self, ui: &mut Ui, current: &BranchInfo) {
        let selected = self.range.is_some();
        let button = egui::Button::selectable(selected, "Range").frame_when_inactive(true);
        let hint = "Select frames to save: drag the two handles on the strip.";
        if ui.add(button).on_hover_text(hint).clicked() {
            let (first, end) = self.shown();
            let last = self.position.index;
            let start = last.saturating_sub((end - first) / 4).max(current.first);
            self.range = (!selected).then_some((start, last));
        }
        let Some((mut start, mut end)) = self.range_on(current) else {
            return;
        };
        ui.add(egui::DragValue::new(&mut start).range(current.first..=end));
        ui.label("to");
        ui.add(egui::DragValue::new(&mut end).range(start..=current.end - 1));
        self.range = Some((start, end));
    }
}
