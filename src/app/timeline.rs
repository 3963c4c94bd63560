//! The timeline: thumbnails and branches of what was played, to rewind to and continue from.

mod scale;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eframe::egui;
use eframe::egui::{
    Align, ColorImage, Layout, Pos2, Rect, RichText, Sense, Stroke, TextureHandle, TextureOptions,
    Ui, pos2, vec2,
};

use driftless_sim::{BranchInfo, TimelineCommand, TimelinePosition};

use self::scale::{FrameScale, Grab, range_marks};
use super::theme;
use super::theme::Palette;

/// Width of a thumbnail with its gap, and its height, in points.
const THUMBNAIL_WIDTH: f32 = 58.0;
const THUMBNAIL_HEIGHT: f32 = 54.0;
/// Height of a branch's row in points.
const ROW: f32 = 13.0;
/// Number of branch rows visible at once.
const ROWS: usize = 5;

/// The panel's height for this many branches.
pub(super) fn height(branches: usize) -> f32 {
    2.0 * 10.0 + 26.0 + 8.0 + THUMBNAIL_HEIGHT + 8.0 + ROW * branches.clamp(1, ROWS) as f32
}

/// What the user asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TimelineAction {
    /// A command for the world-model thread.
    Command(TimelineCommand),
    /// Compare with a branch, or stop comparing.
    Compare(Option<u32>),
    /// Save the frames from the last restart to the current one.
    Save,
    /// Save the selected frames as they were shown.
    SaveRange {
        /// The last of them.
        end: TimelinePosition,
        /// How many.
        frames: usize,
    },
}

/// How far the wheel turns for one step of the zoom, in points.
const SCROLL_STEP: f32 = 30.0;

/// The timeline panel.
pub(super) struct Timeline {
    branches: Vec<BranchInfo>,
    position: TimelinePosition,
    thumbnails: BTreeMap<(u32, usize), TextureHandle>,
    /// Thumbnails that have been requested.
    requested: BTreeSet<(u32, usize)>,
    /// The branch being compared with.
    compared: Option<u32>,
    /// How often the strip is halved, and the frame in its middle.
    zoom: u32,
    centre: usize,
    /// How far the wheel has turned since the last change of the zoom, in points.
    scrolled: f32,
    /// The selected frames, first and last, on the current branch.
    range: Option<(usize, usize)>,
    grabbed: Option<Grab>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            branches: vec![BranchInfo {
                branch: 0,
                parent: None,
                fork_index: 0,
                first: 0,
                end: 1,
            }],
            position: TimelinePosition::default(),
            thumbnails: BTreeMap::new(),
            requested: BTreeSet::new(),
            compared: None,
            zoom: 0,
            centre: 0,
            scrolled: 0.0,
            range: None,
            grabbed: None,
        }
    }
}

impl Timeline {
    /// Updates the list of branches.
    pub fn set_branches(&mut self, branches: Vec<BranchInfo>) {
        self.branches = branches;
        let known: BTreeSet<u32> = self.branches.iter().map(|b| b.branch).collect();
        self.compared = self.compared.filter(|branch| known.contains(branch));
        self.thumbnails
            .retain(|(branch, _), _| known.contains(branch));
    }

    /// The current position.
    pub fn position(&self) -> TimelinePosition {
        self.position
    }

    /// Whether every requested thumbnail has arrived.
    #[cfg(test)]
    pub fn is_complete(&self) -> bool {
        self.requested
            .iter()
            .all(|key| self.thumbnails.contains_key(key))
    }

    /// The number of branches.
    pub fn branch_count(&self) -> usize {
        self.branches.len()
    }

    /// Sets the current position to that of the frame shown.
    pub fn set_position(&mut self, at: TimelinePosition) {
        self.position = at;
        if let Some(current) = self.branches.iter_mut().find(|b| b.branch == at.branch) {
            current.end = current.end.max(at.index + 1);
        }
    }

    /// The branch being compared with.
    pub fn compared(&self) -> Option<u32> {
        self.compared
    }

    /// Stops marking a compared branch.
    pub fn clear_compared(&mut self) {
        self.compared = None;
    }

    /// Adds requested thumbnails, u8 RGB `[height, width, 3]`.
    pub fn add_thumbnails(
        &mut self,
        context: &egui::Context,
        branch: u32,
        thumbnails: Vec<(usize, Arc<[u8]>)>,
        [height, width]: [usize; 2],
    ) {
        for (index, rgb) in thumbnails {
            if rgb.len() == height * width * 3 {
                let image = ColorImage::from_rgb([width, height], &rgb);
                let texture = context.load_texture("timeline", image, TextureOptions::LINEAR);
                self.thumbnails.insert((branch, index), texture);
            }
        }
    }

    /// Drops textures of a lost device.
    pub fn drop_textures(&mut self) {
        self.thumbnails.clear();
        self.requested.clear();
    }

    fn branch(&self, id: u32) -> Option<&BranchInfo> {
        self.branches.iter().find(|branch| branch.branch == id)
    }

    /// The position `frames` after the current one (before it if negative), if that frame exists.
    pub fn offset(&self, frames: isize) -> Option<TimelinePosition> {
        let current = self.branch(self.position.branch)?;
        let index = self.position.index.checked_add_signed(frames)?;
        (current.first..current.end)
            .contains(&index)
            .then_some(TimelinePosition {
                index,
                ..self.position
            })
    }

    /// Frames between thumbnails: a power of two, so that loaded ones stay useful.
    fn stride(&self, first: usize, end: usize, room: usize) -> usize {
        (end - first).div_ceil(room.max(1)).next_power_of_two()
    }

    /// Draws the panel.
    pub fn ui(&mut self, ui: &mut Ui) -> Vec<TimelineAction> {
        let mut actions = Vec::new();
        self.head(ui, &mut actions);
        let Some(current) = self.branch(self.position.branch).copied() else {
            return actions;
        };
        let (first, end) = self.shown();
        let width = ui.available_width();
        // Not focusable: the frame number and shortcut keys do the same.
        let mut sense = Sense::click_and_drag();
        sense.remove(Sense::FOCUSABLE);
        let (strip, strip_response) = ui.allocate_exact_size(vec2(width, THUMBNAIL_HEIGHT), sense);
        let scale = FrameScale { strip, first, end };
        self.strip(ui, &scale, &current, &mut actions);
        if let Some(pointer) = strip_response.interact_pointer_pos() {
            actions.extend(self.drag(&scale, &current, pointer.x));
        } else {
            self.grabbed = None;
        }
        if let Some(pointer) = strip_response.hover_pos() {
            self.scrolled += ui.input(|input| input.smooth_scroll_delta.y);
            if self.scrolled.abs() >= SCROLL_STEP {
                let zoom = if self.scrolled > 0.0 {
                    self.zoom + 1
                } else {
                    self.zoom.saturating_sub(1)
                };
                self.zoom_to(zoom, scale.index(pointer.x));
                self.scrolled = 0.0;
            }
        }
        strip_response.widget_info(|| {
            let value = self.position.index as f64;
            egui::WidgetInfo::slider(true, value, "Timeline")
        });
        self.rows(ui, &scale, &mut actions);
        actions
    }

    fn seek(&self, branch: u32, index: usize) -> Option<TimelineAction> {
        let place = TimelinePosition { branch, index };
        (place != self.position).then_some(TimelineAction::Command(TimelineCommand::Seek(place)))
    }

    /// The row of controls.
    fn head(&mut self, ui: &mut Ui, actions: &mut Vec<TimelineAction>) {
        let Some(current) = self.branch(self.position.branch).copied() else {
            return;
        };
        ui.horizontal(|ui| {
            ui.label(
                RichText::new("Timeline")
                    .color(theme::palette(ui).text)
                    .strong(),
            );
            let mut index = self.position.index;
            let number = egui::DragValue::new(&mut index)
                .range(current.first..=current.end - 1)
                .prefix("Frame ");
            let hint = "Drag, or click to type: go to this frame, restored exactly.";
            if ui.add(number).on_hover_text(hint).changed() {
                actions.extend(self.seek(current.branch, index));
            }
            ui.label(
                RichText::new(format!("of {}", current.end - 1)).color(theme::palette(ui).muted),
            );
            ui.add_space(8.0);
            self.menu(ui, actions);
            let branch = ui.button("New branch");
            if branch
                .on_hover_text("Keep this branch as it is and continue on a new one.")
                .clicked()
            {
                actions.push(TimelineAction::Command(TimelineCommand::NewBranch));
            }
            self.zoom_buttons(ui);
            self.range_controls(ui, &current);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let range = self.range_on(&current);
                let (label, hint) = match range {
                    Some(_) => (
                        "Save range…",
                        "Save the selected frames as they were shown.",
                    ),
                    None => (
                        "Save…",
                        "Save the frames from the last restart to this one.",
                    ),
                };
                if ui.button(label).on_hover_text(hint).clicked() {
                    actions.push(match range {
                        Some((start, end)) => TimelineAction::SaveRange {
                            end: TimelinePosition {
                                branch: current.branch,
                                index: end,
                            },
                            frames: end - start + 1,
                        },
                        None => TimelineAction::Save,
                    });
                }
            });
        });
    }

    /// The branch menu.
    fn menu(&self, ui: &mut Ui, actions: &mut Vec<TimelineAction>) {
        let current = self.position.branch;
        let text = format!(
            "Branch {} of {}",
            self.branch_number(current),
            self.branches.len()
        );
        let menu = ui.menu_button(text, |ui| {
            for branch in &self.branches {
                ui.horizontal(|ui| {
                    let is_current = branch.branch == current;
                    let name = format!("Branch {}", self.branch_number(branch.branch));
                    if ui.selectable_label(is_current, name).clicked() && !is_current {
                        actions.extend(self.seek(branch.branch, branch.end - 1));
                        ui.close();
                    }
                    let compared = self.compared == Some(branch.branch);
                    let show =
                        ui.add_enabled(!is_current, egui::Button::selectable(compared, "Compare"));
                    let hint = "Show it next to the current branch, frame by frame.";
                    if show.on_hover_text(hint).clicked() {
                        actions.push(TimelineAction::Compare(
                            (!compared).then_some(branch.branch),
                        ));
                    }
                    let delete = ui.add_enabled(!is_current, egui::Button::new("Delete"));
                    if delete.clicked() {
                        let command = TimelineCommand::DeleteBranch(branch.branch);
                        actions.push(TimelineAction::Command(command));
                    }
                });
            }
        });
        menu.response
            .on_hover_text("Switch to, compare with, or delete a branch.");
    }

    /// A branch's displayed number: its row, counted from one.
    pub fn branch_number(&self, branch: u32) -> usize {
        let place = self.branches.iter().position(|b| b.branch == branch);
        place.unwrap_or(0) + 1
    }

    /// Sets the branch being compared with.
    pub fn set_compared(&mut self, branch: Option<u32>) {
        self.compared = branch;
    }

    /// Draws the current branch's thumbnails and requests missing ones.
    fn strip(
        &mut self,
        ui: &Ui,
        scale: &FrameScale,
        current: &BranchInfo,
        actions: &mut Vec<TimelineAction>,
    ) {
        let painter = ui.painter().with_clip_rect(scale.strip);
        painter.rect_filled(scale.strip, 4, theme::palette(ui).backdrop);
        let room = (scale.strip.width() / THUMBNAIL_WIDTH) as usize;
        let stride = self.stride(scale.first, scale.end, room);
        let from = current.first.max(scale.first);
        let marks = (from.next_multiple_of(stride)..current.end.min(scale.end)).step_by(stride);
        let mut missing = Vec::new();
        for index in marks {
            let key = (current.branch, index);
            let left = scale.x(index);
            let rect = Rect::from_min_size(
                pos2(left, scale.strip.top()),
                vec2(THUMBNAIL_HEIGHT - 2.0, THUMBNAIL_HEIGHT),
            );
            match self.thumbnails.get(&key) {
                Some(texture) => {
                    let uv = Rect::from_min_max(Pos2::ZERO, pos2(1.0, 1.0));
                    let size = texture.size_vec2();
                    let wide =
                        (THUMBNAIL_HEIGHT * size.x / size.y.max(1.0)).min(THUMBNAIL_WIDTH - 2.0);
                    let rect = Rect::from_min_size(rect.min, vec2(wide, THUMBNAIL_HEIGHT));
                    painter.image(texture.id(), rect, uv, egui::Color32::WHITE);
                }
                None if self.requested.insert(key) => missing.push(index),
                None => {}
            }
        }
        if !missing.is_empty() {
            actions.push(TimelineAction::Command(TimelineCommand::StoredImages {
                branch: current.branch,
                indices: missing.into(),
                within: stride - 1,
            }));
        }
        // Drop thumbnails that only another stride needs.
        let useful = |(_, index): &(u32, usize)| index.is_multiple_of(stride);
        self.thumbnails.retain(|key, _| useful(key));
        self.requested.retain(|key| useful(key));
        let palette = theme::palette(ui);
        if let Some((start, end)) = self.range_on(current) {
            range_marks(&painter, palette, scale, start, end);
        }
        self.playhead(palette, &painter, scale, scale.strip);
    }

    fn playhead(&self, palette: &Palette, painter: &egui::Painter, scale: &FrameScale, rect: Rect) {
        let x = scale.x(self.position.index);
        let stroke = Stroke::new(2.0, palette.accent);
        painter.vline(x, rect.y_range(), stroke);
    }

    /// Draws the branches as lines; a click seeks to the frame under the pointer.
    fn rows(&self, ui: &mut Ui, scale: &FrameScale, actions: &mut Vec<TimelineAction>) {
        egui::ScrollArea::vertical()
            .max_height(ROW * ROWS as f32)
            .show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = 0.0;
                for branch in &self.branches {
                    let size = vec2(scale.strip.width(), ROW);
                    let (rect, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
                    self.row(ui, scale, branch, rect, response.hovered());
                    if let Some(pointer) = response.interact_pointer_pos() {
                        let index = scale.index(pointer.x).clamp(branch.first, branch.end - 1);
                        actions.extend(self.seek(branch.branch, index));
                    } else if response.clicked() {
                        // Activated by a key or a screen reader.
                        actions.extend(self.seek(branch.branch, branch.end - 1));
                    }
                    let name = format!("Go to branch {}", self.branch_number(branch.branch));
                    let is_current = branch.branch == self.position.branch;
                    response.widget_info(|| {
                        egui::WidgetInfo::selected(egui::Role::Button, true, is_current, &name)
                    });
                }
            });
    }

    fn row(&self, ui: &Ui, scale: &FrameScale, branch: &BranchInfo, rect: Rect, hovered: bool) {
        let painter = ui.painter_at(rect);
        let is_current = branch.branch == self.position.branch;
        let colour = match (is_current, self.compared == Some(branch.branch), hovered) {
            (true, ..) => theme::palette(ui).accent,
            (_, true, _) => theme::palette(ui).text,
            (_, _, true) => theme::palette(ui).muted,
            _ => theme::palette(ui).line,
        };
        let y = rect.center().y;
        let own_part = scale.x(branch.fork_index.max(branch.first))..=scale.x(branch.end - 1);
        let shared = scale.x(branch.first)..=*own_part.start();
        painter.hline(shared, y, Stroke::new(1.0, theme::palette(ui).line));
        painter.hline(own_part.clone(), y, Stroke::new(4.0, colour));
        painter.circle_filled(pos2(*own_part.end(), y), 4.0, colour);
        if is_current {
            self.playhead(theme::palette(ui), &painter, scale, rect);
        }
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
