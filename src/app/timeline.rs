//! The time line: what was played as pictures and branches, to go back to and on from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eframe::egui::{
    self, Align, ColorImage, Layout, Pos2, Rect, RichText, Sense, Stroke, TextureHandle,
    TextureOptions, Ui, pos2, vec2,
};

use super::theme;
use driftless_sim::{BranchInfo, Command, Place};

/// Width and height of a picture in points, the gap behind it included.
const PICTURE: f32 = 58.0;
const PICTURES: f32 = 54.0;
/// Height of a branch's row.
const ROW: f32 = 13.0;
/// Rows of branches that are shown at once.
const ROWS: usize = 5;

/// The panel's height for so many branches.
pub(super) fn height(branches: usize) -> f32 {
    2.0 * 10.0 + 26.0 + 8.0 + PICTURES + 8.0 + ROW * branches.clamp(1, ROWS) as f32
}

/// What a click asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    /// Something of the world-model thread.
    Command(Command),
    /// To show a branch beside the one that is played, or none any more.
    Beside(Option<u32>),
    /// To save the frames from the last start to the present one.
    Save,
}

/// The time line as the window knows it.
pub(super) struct Timeline {
    branches: Vec<BranchInfo>,
    at: Place,
    pictures: BTreeMap<(u32, usize), TextureHandle>,
    /// Pictures that were asked for.
    asked: BTreeSet<(u32, usize)>,
    /// The branch that is shown beside.
    beside: Option<u32>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            branches: vec![BranchInfo {
                branch: 0,
                parent: None,
                forked: 0,
                first: 0,
                end: 1,
            }],
            at: Place::default(),
            pictures: BTreeMap::new(),
            asked: BTreeSet::new(),
            beside: None,
        }
    }
}

impl Timeline {
    /// Branches came or went.
    pub fn tell(&mut self, branches: Vec<BranchInfo>) {
        self.branches = branches;
        let known: BTreeSet<u32> = self.branches.iter().map(|b| b.branch).collect();
        self.beside = self.beside.filter(|branch| known.contains(branch));
        self.pictures
            .retain(|(branch, _), _| known.contains(branch));
    }

    /// Where the game stands.
    #[cfg(test)]
    pub fn at(&self) -> Place {
        self.at
    }

    /// Whether every picture that was asked for is there.
    #[cfg(test)]
    pub fn is_complete(&self) -> bool {
        self.asked.iter().all(|key| self.pictures.contains_key(key))
    }

    /// How many branches there are.
    pub fn branches(&self) -> usize {
        self.branches.len()
    }

    /// A frame is shown.
    pub fn shown(&mut self, at: Place) {
        self.at = at;
        if let Some(own) = self.branches.iter_mut().find(|b| b.branch == at.branch) {
            own.end = own.end.max(at.index + 1);
        }
    }

    /// The branch that is shown beside.
    pub fn beside(&self) -> Option<u32> {
        self.beside
    }

    /// Something else is shown beside than a branch.
    pub fn forget_beside(&mut self) {
        self.beside = None;
    }

    /// Takes pictures that were asked for, of the height and width `size`.
    pub fn take(
        &mut self,
        context: &egui::Context,
        branch: u32,
        pictures: Vec<(usize, Arc<[u8]>)>,
        [height, width]: [usize; 2],
    ) {
        for (index, rgb) in pictures {
            if rgb.len() == height * width * 3 {
                let image = ColorImage::from_rgb([width, height], &rgb);
                let texture = context.load_texture("time line", image, TextureOptions::LINEAR);
                self.pictures.insert((branch, index), texture);
            }
        }
    }

    /// Pictures lie on a device that is gone.
    pub fn forget_pictures(&mut self) {
        self.pictures.clear();
        self.asked.clear();
    }

    fn branch(&self, id: u32) -> Option<&BranchInfo> {
        self.branches.iter().find(|branch| branch.branch == id)
    }

    /// The place `frames` after the present one (before it, if negative), where there is such a frame.
    pub fn away(&self, frames: isize) -> Option<Place> {
        let own = self.branch(self.at.branch)?;
        let index = self.at.index.checked_add_signed(frames)?;
        (own.first..own.end)
            .contains(&index)
            .then_some(Place { index, ..self.at })
    }

    /// Frames between two pictures: a power of two, so that those that are known stay useful.
    fn stride(&self, first: usize, end: usize, room: usize) -> usize {
        (end - first).div_ceil(room.max(1)).next_power_of_two()
    }

    /// Draws the panel.
    pub fn ui(&mut self, ui: &mut Ui) -> Vec<Asked> {
        let mut asked = Vec::new();
        self.head(ui, &mut asked);
        let Some(own) = self.branch(self.at.branch).copied() else {
            return asked;
        };
        let first = self.branches.iter().map(|b| b.first).min().unwrap_or(0);
        let end = self.branches.iter().map(|b| b.end).max().unwrap_or(1);
        let width = ui.available_width();
        // Its number above and the keys go to a frame without a pointer.
        let mut sense = Sense::click_and_drag();
        sense.remove(Sense::FOCUSABLE);
        let (strip, strip_response) = ui.allocate_exact_size(vec2(width, PICTURES), sense);
        let scale = Scale { strip, first, end };
        self.strip(ui, &scale, &own, &mut asked);
        if let Some(pointer) = strip_response.interact_pointer_pos() {
            let index = scale.index(pointer.x).clamp(own.first, own.end - 1);
            asked.extend(self.seek(own.branch, index));
        }
        strip_response.widget_info(|| {
            let value = self.at.index as f64;
            egui::WidgetInfo::slider(true, value, "time line")
        });
        self.rows(ui, &scale, &mut asked);
        asked
    }

    fn seek(&self, branch: u32, index: usize) -> Option<Asked> {
        let place = Place { branch, index };
        (place != self.at).then_some(Asked::Command(Command::Seek(place)))
    }

    /// The line of controls.
    fn head(&self, ui: &mut Ui, asked: &mut Vec<Asked>) {
        let Some(own) = self.branch(self.at.branch).copied() else {
            return;
        };
        ui.horizontal(|ui| {
            ui.label(RichText::new("Time line").color(theme::text()).strong());
            let mut index = self.at.index;
            let number = egui::DragValue::new(&mut index)
                .range(own.first..=own.end - 1)
                .prefix("frame ");
            let hint = "Drag, or click to type: goes to this frame, restored exactly.";
            if ui.add(number).on_hover_text(hint).changed() {
                asked.extend(self.seek(own.branch, index));
            }
            ui.label(RichText::new(format!("of {}", own.end - 1)).color(theme::muted()));
            ui.add_space(8.0);
            self.menu(ui, asked);
            let branch = ui.button("Branch here");
            if branch
                .on_hover_text("Leaves this branch as it is; what you play now is a new one.")
                .clicked()
            {
                asked.push(Asked::Command(Command::Branch));
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let save = ui
                    .button("Save…")
                    .on_hover_text("The frames from the last start to this one, as a file.");
                if save.clicked() {
                    asked.push(Asked::Save);
                }
            });
        });
    }

    /// The menu of branches.
    fn menu(&self, ui: &mut Ui, asked: &mut Vec<Asked>) {
        let own = self.at.branch;
        let text = format!("Branch {} of {}", self.position(own), self.branches.len());
        let menu = ui.menu_button(text, |ui| {
            for branch in &self.branches {
                ui.horizontal(|ui| {
                    let played = branch.branch == own;
                    let name = format!("Branch {}", self.position(branch.branch));
                    if ui.selectable_label(played, name).clicked() && !played {
                        asked.extend(self.seek(branch.branch, branch.end - 1));
                        ui.close();
                    }
                    let beside = self.beside == Some(branch.branch);
                    let show = ui.add_enabled(!played, egui::Button::selectable(beside, "beside"));
                    let hint = "Shows it beside the branch that is played, frame for frame.";
                    if show.on_hover_text(hint).clicked() {
                        asked.push(Asked::Beside((!beside).then_some(branch.branch)));
                    }
                    let forget = ui.add_enabled(!played, egui::Button::new("forget"));
                    if forget.clicked() {
                        let command = Command::DropBranch(branch.branch);
                        asked.push(Asked::Command(command));
                    }
                });
            }
        });
        menu.response
            .on_hover_text("Goes to another branch, shows one beside, or forgets one.");
    }

    /// The number of a branch for people: from one, in the order of the rows.
    pub fn position(&self, branch: u32) -> usize {
        let place = self.branches.iter().position(|b| b.branch == branch);
        place.unwrap_or(0) + 1
    }

    /// Sets which branch is shown beside.
    pub fn put_beside(&mut self, branch: Option<u32>) {
        self.beside = branch;
    }

    /// The pictures along the branch that is played; asks for those that are missing.
    fn strip(&mut self, ui: &Ui, scale: &Scale, own: &BranchInfo, asked: &mut Vec<Asked>) {
        let painter = ui.painter().with_clip_rect(scale.strip);
        painter.rect_filled(scale.strip, 4, theme::backdrop());
        let room = (scale.strip.width() / PICTURE) as usize;
        let stride = self.stride(scale.first, scale.end, room);
        let marks = (own.first.next_multiple_of(stride)..own.end).step_by(stride);
        let mut missing = Vec::new();
        for index in marks {
            let key = (own.branch, index);
            let left = scale.x(index);
            let rect = Rect::from_min_size(
                pos2(left, scale.strip.top()),
                vec2(PICTURES - 2.0, PICTURES),
            );
            match self.pictures.get(&key) {
                Some(texture) => {
                    let whole = Rect::from_min_max(Pos2::ZERO, pos2(1.0, 1.0));
                    let size = texture.size_vec2();
                    let wide = (PICTURES * size.x / size.y.max(1.0)).min(PICTURE - 2.0);
                    let rect = Rect::from_min_size(rect.min, vec2(wide, PICTURES));
                    painter.image(texture.id(), rect, whole, egui::Color32::WHITE);
                }
                None if self.asked.insert(key) => missing.push(index),
                None => {}
            }
        }
        if !missing.is_empty() {
            asked.push(Asked::Command(Command::Pictures {
                branch: own.branch,
                indices: missing.into(),
                within: stride - 1,
            }));
        }
        // What another stride needed is let go of.
        let useful = |(_, index): &(u32, usize)| index.is_multiple_of(stride);
        self.pictures.retain(|key, _| useful(key));
        self.asked.retain(|key| useful(key));
        self.playhead(&painter, scale, scale.strip);
    }

    fn playhead(&self, painter: &egui::Painter, scale: &Scale, rect: Rect) {
        let x = scale.x(self.at.index);
        let stroke = Stroke::new(2.0, theme::accent());
        painter.vline(x, rect.y_range(), stroke);
    }

    /// The branches as lines; a click goes to the frame under the pointer.
    fn rows(&self, ui: &mut Ui, scale: &Scale, asked: &mut Vec<Asked>) {
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
                        asked.extend(self.seek(branch.branch, index));
                    } else if response.clicked() {
                        // By a key, or a screen reader.
                        asked.extend(self.seek(branch.branch, branch.end - 1));
                    }
                    let name = format!("branch {}", self.position(branch.branch));
                    let played = branch.branch == self.at.branch;
                    response.widget_info(|| {
                        egui::WidgetInfo::selected(egui::Role::Button, true, played, &name)
                    });
                }
            });
    }

    fn row(&self, ui: &Ui, scale: &Scale, branch: &BranchInfo, rect: Rect, hovered: bool) {
        let painter = ui.painter_at(rect);
        let played = branch.branch == self.at.branch;
        let colour = match (played, self.beside == Some(branch.branch), hovered) {
            (true, ..) => theme::accent(),
            (_, true, _) => theme::text(),
            (_, _, true) => theme::muted(),
            _ => theme::line(),
        };
        let y = rect.center().y;
        let own = scale.x(branch.forked.max(branch.first))..=scale.x(branch.end - 1);
        let shared = scale.x(branch.first)..=*own.start();
        painter.hline(shared, y, Stroke::new(1.0, theme::line()));
        painter.hline(own.clone(), y, Stroke::new(4.0, colour));
        painter.circle_filled(pos2(*own.end(), y), 4.0, colour);
        if played {
            self.playhead(&painter, scale, rect);
        }
    }
}

/// Frames to points across the panel.
struct Scale {
    strip: Rect,
    first: usize,
    end: usize,
}

impl Scale {
    fn frames(&self) -> f32 {
        (self.end - self.first).max(2) as f32 - 1.0
    }

    fn x(&self, index: usize) -> f32 {
        let room = self.strip.width() - 8.0;
        let share = index.saturating_sub(self.first) as f32 / self.frames();
        self.strip.left() + 2.0 + room * share
    }

    fn index(&self, x: f32) -> usize {
        let room = self.strip.width() - 8.0;
        let share = ((x - self.strip.left() - 2.0) / room).clamp(0.0, 1.0);
        self.first + (share * self.frames()).round() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(branch: u32, forked: usize, end: usize) -> BranchInfo {
        BranchInfo {
            branch,
            parent: branch.checked_sub(1),
            forked,
            first: 0,
            end,
        }
    }

    #[test]
    fn one_frame_back_or_ahead_is_a_place_where_there_is_such_a_frame() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.away(-1), None);
        for index in 0..4 {
            timeline.shown(Place { branch: 0, index });
        }
        assert_eq!(timeline.away(1), None);
        let back = timeline.away(-1).unwrap();
        assert_eq!(back.index, 2);
        timeline.shown(back);
        assert_eq!(timeline.away(1).unwrap().index, 3);
    }

    #[test]
    fn a_branch_that_is_gone_is_not_beside_any_more() {
        let mut timeline = Timeline::default();
        timeline.tell(vec![branch(0, 0, 5), branch(1, 3, 9), branch(4, 2, 3)]);
        timeline.put_beside(Some(1));
        timeline.tell(vec![branch(0, 0, 5), branch(4, 2, 3)]);
        assert_eq!(timeline.beside, None);
        assert_eq!(timeline.position(4), 2);
    }

    #[test]
    fn a_point_of_the_strip_is_the_frame_that_is_drawn_there() {
        let strip = Rect::from_min_size(pos2(10.0, 0.0), vec2(508.0, 50.0));
        let scale = Scale {
            strip,
            first: 100,
            end: 351,
        };
        for index in [100, 101, 225, 350] {
            assert_eq!(scale.index(scale.x(index)), index);
        }
        assert_eq!((scale.index(-50.0), scale.index(900.0)), (100, 350));
    }

    #[test]
    fn strides_are_powers_of_two_that_leave_room_for_every_picture() {
        let timeline = Timeline::default();
        assert_eq!(timeline.stride(0, 10, 16), 1);
        assert_eq!(timeline.stride(0, 17, 16), 2);
        assert_eq!(timeline.stride(100, 1100, 16), 64);
    }
}
