//! The inspection panel: the latent and the attention of a selected patch, and a world's long-term
//! memory, while playing.
//!
//! A patch is a cell of the latent grid. The network attends with tokens, each of which holds
//! `merge`² cells. All data comes with the frame, so the selection can change while the game is
//! paused.

mod draw;
mod images;
mod memory;
mod state;

use eframe::egui;
use eframe::egui::{
    Align2, ColorImage, EventFilter, Key, Rect, RichText, ScrollArea, Sense, Stroke, StrokeKind,
    Ui, WidgetInfo, pos2, vec2,
};

use driftless_engine::Attention;
use driftless_sim::{Frame, Inspection};

use self::draw::{CachedTexture, GAP, LEGEND, PICTURE, legend, name, outline, title, write};
use self::images::{MAX_ABS, cell_at, cell_rect, largest, neighbour};
use self::memory::MemoryPart;
use super::theme;

/// Width of the attention shares.
const SHARES_WIDTH: f32 = 100.0;
/// Width of all channel tiles together.
const LATENT_WIDTH: f32 = 224.0;
/// Maximum width of the map over time and of its columns; maximum height of a row.
const MAP_WIDTH: f32 = 192.0;
const MAX_COLUMN_WIDTH: f32 = 18.0;
const MAX_ROW_HEIGHT: f32 = 14.0;
/// Width of the map's row labels.
const LABELS_WIDTH: f32 = 48.0;
/// Space between the parts.
const SPACE: f32 = 15.0;

/// The panel's height: a title and the parts below it.
pub(super) const HEIGHT: f32 = PICTURE + 46.0;

/// The keys that move the selection while the small frame has the focus.
const ARROWS: [Key; 4] = [
    Key::ArrowUp,
    Key::ArrowDown,
    Key::ArrowLeft,
    Key::ArrowRight,
];

/// The panel, with one frame's images as textures.
#[derive(Default)]
pub(super) struct InspectPanel {
    /// The selected cell; `None` means the middle one.
    selected: Option<usize>,
    /// The layer whose attention is drawn over the small frame.
    layer: usize,
    /// Whether the small frame has the focus.
    focused: bool,
    shown: Option<TextureKey>,
    picture: CachedTexture,
    channels: CachedTexture,
    attention_overlay: CachedTexture,
    map: CachedTexture,
    memory: MemoryPart,
    /// The rows of the map over time.
    rows: Vec<Vec<f32>>,
    /// Attention shares within the frame, by kind of token.
    attention_shares: Vec<(&'static str, f32)>,
}

/// What the uploaded textures show.
#[derive(Clone, Copy, PartialEq, Eq)]
struct TextureKey {
    sequence: u64,
    cell: usize,
    layer: usize,
    dark: bool,
}

impl InspectPanel {
    /// Whether a key currently moves the selection instead of going to the world.
    pub fn captures_key(&self, key: Key) -> bool {
        self.focused && ARROWS.contains(&key)
    }

    /// Draws the panel for a frame of `[height, width]` `size`.
    pub fn ui(&mut self, ui: &mut Ui, frame: Option<&Frame>, size: [usize; 2]) {
        self.focused = false;
        let Some((frame, inspection)) = inspected(frame) else {
            ui.centered_and_justified(|ui| {
                let text = "The next generated frame will show its latent and attention here.";
                ui.label(RichText::new(text).color(theme::palette(ui).muted));
            });
            return;
        };
        let cell = self.cell(inspection);
        let layers = inspection.attention.as_ref().map_or(0, Attention::layers);
        self.layer = self.layer.min(layers.saturating_sub(1));
        let now = TextureKey {
            sequence: frame.sequence,
            cell,
            layer: self.layer,
            dark: ui.visuals().dark_mode,
        };
        if self.shown != Some(now) {
            self.shown = Some(now);
            self.upload(ui, inspection, cell, size);
        }
        ScrollArea::horizontal().show(ui, |ui| {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing = vec2(SPACE, GAP);
                ui.vertical(|ui| self.small_frame(ui, inspection, cell, size));
                if let Some(view) = &inspection.memory {
                    self.memory.ui(ui, view, size);
                }
                if let Some(norms) = &inspection.state_norms {
                    ui.vertical(|ui| state::ui(ui, norms));
                }
                if layers > 0 {
                    ui.vertical(|ui| self.layer_attention(ui, layers));
                }
                ui.vertical(|ui| self.latent(ui, inspection, cell));
                ui.vertical(|ui| self.over_time(ui, inspection.attention.as_ref()));
            });
        });
    }

    /// Selects patches by clicks on the large picture, and outlines the selection there.
    pub fn over_picture(&mut self, ui: &Ui, picture: Rect, frame: Option<&Frame>) {
        let Some((_, inspection)) = inspected(frame) else {
            return;
        };
        let response = ui.interact(picture, ui.scope_id().with("patches"), Sense::click());
        name(&response, "Picture: select a patch");
        if response.clicked()
            && let Some(at) = response.interact_pointer_pos()
        {
            self.select(ui, cell_at(picture, inspection.grid, at));
        }
        outline(ui, picture, inspection, self.cell(inspection));
    }

    /// Selects a cell and repaints even if no new frame arrives.
    fn select(&mut self, ui: &Ui, cell: Option<usize>) {
        if cell.is_some() {
            self.selected = cell;
            ui.ctx().request_repaint();
        }
    }

    /// The selected cell, or the middle one.
    fn cell(&self, inspection: &Inspection) -> usize {
        let [height, width] = inspection.grid;
        let middle = height / 2 * width + width / 2;
        self.selected
            .filter(|cell| *cell < height * width)
            .unwrap_or(middle)
    }

    /// Uploads everything into textures that are reused from frame to frame.
    fn upload(&mut self, ui: &Ui, inspection: &Inspection, cell: usize, size: [usize; 2]) {
        let (context, palette) = (ui.ctx(), theme::palette(ui));
        let [height, width] = size;
        let whole = inspection.image.len() == height * width * 3;
        let picture = whole.then(|| ColorImage::from_rgb([width, height], &inspection.image));
        self.picture.put(context, "inspected frame", picture);
        self.channels
            .put(context, "latent", images::channels(palette, inspection));
        if let Some(view) = &inspection.memory {
            self.memory.upload(context, view, size);
        }
        let token = inspection.token(cell);
        let attention = inspection.attention.as_ref();
        self.rows = attention.map_or_else(Vec::new, |a| images::over_time(a, token));
        self.map.put(
            context,
            "attention over time",
            images::heat_map(palette, &self.rows),
        );
        let weights = attention.and_then(|a| images::over_space(a, self.layer, token));
        let attention_overlay = weights
            .as_ref()
            .and_then(|w| images::attention_overlay(palette, w, inspection.tokens()));
        self.attention_overlay
            .put(context, "attention over space", attention_overlay);
        let latent = inspection.tokens().iter().product();
        self.attention_shares =
            weights.map_or_else(Vec::new, |w| images::attention_shares(&w, latent));
    }

    /// Draws the frame with the selected patch and its attention.
    fn small_frame(&mut self, ui: &mut Ui, inspection: &Inspection, cell: usize, size: [usize; 2]) {
        let width = inspection.grid[1].max(1);
        let position = format!("Row {}, column {}", cell / width + 1, cell % width + 1);
        title(ui, &position);
        let [height, width] = size.map(|side| side.max(1) as f32);
        let drawn = vec2(width, height) * (PICTURE / height.max(width));
        let (rect, response) = ui.allocate_exact_size(drawn, Sense::click());
        name(&response, &format!("Selected patch: {position}"));
        if response.clicked()
            && let Some(at) = response.interact_pointer_pos()
        {
            self.select(ui, cell_at(rect, inspection.grid, at));
            response.request_focus();
        }
        self.focused = response.has_focus();
        if self.focused {
            let arrows = EventFilter {
                horizontal_arrows: true,
                vertical_arrows: true,
                ..EventFilter::default()
            };
            ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
            let pressed = ui.input(|input| ARROWS.into_iter().find(|key| input.key_pressed(*key)));
            let next = pressed.and_then(|key| neighbour(inspection.grid, cell, key));
            self.select(ui, next);
        }
        self.picture.paint(ui, rect, 0.0..1.0);
        self.attention_overlay.paint(ui, rect, 0.0..1.0);
        outline(ui, rect, inspection, cell);
        if self.focused {
            let ring = Stroke::new(2.0, theme::palette(ui).accent);
            ui.painter().rect_stroke(rect, 2, ring, StrokeKind::Outside);
        }
        response.on_hover_text(
            "Click here or on the large picture to select a patch. After a click here, arrow keys move \
             the selection; Esc returns them to the game. The thin square is the token that holds the \
             patch; green shows its attention.",
        );
    }

    /// Draws the layer selection and the layer's attention shares.
    fn layer_attention(&mut self, ui: &mut Ui, layers: usize) {
        ui.set_width(SHARES_WIDTH);
        title(ui, "Layer attention");
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(2.0, 2.0);
            ui.spacing_mut().button_padding = vec2(7.0, 2.0);
            for layer in 0..layers {
                let on = self.layer == layer;
                let button = ui.selectable_label(on, (layer + 1).to_string());
                let info = || {
                    let name = format!("Space attention of layer {}", layer + 1);
                    WidgetInfo::selected(egui::Role::RadioButton, true, on, name)
                };
                button.widget_info(info);
                if button.clicked() {
                    self.layer = layer;
                    ui.ctx().request_repaint();
                }
            }
        });
        ui.add_space(4.0);
        for (kind, fraction) in &self.attention_shares {
            let (rect, response) = ui.allocate_exact_size(vec2(SHARES_WIDTH, 17.0), Sense::hover());
            let percent = format!("{:.0} %", 100.0 * fraction);
            name(&response, &format!("{kind}: {percent}"));
            let bar = Rect::from_min_max(rect.left_bottom() - vec2(0.0, 3.0), rect.right_bottom());
            ui.painter()
                .rect_filled(bar, 1, images::heat(theme::palette(ui), 0.0));
            let filled = bar.with_max_x(bar.left() + bar.width() * fraction.clamp(0.0, 1.0));
            ui.painter()
                .rect_filled(filled, 1, theme::palette(ui).accent);
            let line = bar.center().y - 4.0;
            write(ui, pos2(rect.left(), line), Align2::LEFT_BOTTOM, kind);
            write(ui, pos2(rect.right(), line), Align2::RIGHT_BOTTOM, &percent);
            response.on_hover_text(match *kind {
                "patches" => "Attention to patch tokens: green in the picture.",
                "action" => "Attention to the token of the action that led to the frame.",
                "signal" => "Attention to the token of the signal level τ and step size d.",
                _ => "Attention to the register tokens.",
            });
        }
    }

    /// Draws every channel of the latent as a tile.
    fn latent(&self, ui: &mut Ui, inspection: &Inspection, cell: usize) {
        title(ui, "Latent channels");
        let count = inspection.channels.max(1);
        let room = vec2(LATENT_WIDTH, PICTURE - LEGEND);
        let (columns, tile) = images::tiles(count, inspection.grid, room, GAP);
        let gaps = vec2(GAP, GAP);
        let table = vec2(columns as f32, count.div_ceil(columns) as f32);
        let (area, _) = ui.allocate_exact_size(table * (tile + gaps) - gaps, Sense::hover());
        for channel in 0..inspection.channels {
            let at = vec2((channel % columns) as f32, (channel / columns) as f32);
            let rect = Rect::from_min_size(area.min + at * (tile + gaps), tile);
            let part = |c: usize| c as f32 / count as f32;
            self.channels
                .paint(ui, rect, part(channel)..part(channel + 1));
            let line = Stroke::new(1.0, theme::palette(ui).text);
            let outline = cell_rect(rect, inspection.grid, cell, 1);
            ui.painter()
                .rect_stroke(outline, 0, line, StrokeKind::Middle);
            let response = ui.interact(
                rect,
                ui.scope_id().with(("channel", channel)),
                Sense::hover(),
            );
            let [min, max] = images::range(inspection, channel);
            let own = inspection.latent.get(cell * count + channel).copied();
            let text = format!(
                "Channel {}: {min:+.2} to {max:+.2}; selected patch {:+.2}",
                channel + 1,
                own.unwrap_or_default()
            );
            name(&response, &text);
            response.on_hover_text(text);
        }
        let palette = theme::palette(ui);
        let ends = [format!("−{MAX_ABS}"), format!("+{MAX_ABS}")];
        legend(ui, ends, |fraction| {
            images::diverging(palette, MAX_ABS * (2.0 * fraction - 1.0))
        });
    }

    /// Draws the attention weights over past frames.
    fn over_time(&self, ui: &mut Ui, attention: Option<&Attention>) {
        title(ui, "Attention over past frames");
        let columns = self.rows.first().map_or(0, Vec::len);
        let Some(attention) = attention.filter(|_| columns > 0) else {
            let text = match attention {
                None => {
                    "This engine does not report attention; the CPU engine does (--device cpu)."
                }
                Some(_) => "This world has no time-attention layers.",
            };
            ui.set_width(LABELS_WIDTH + MAP_WIDTH);
            ui.label(RichText::new(text).color(theme::palette(ui).muted));
            return;
        };
        let heads = self.rows.len() - 1;
        let column = (MAP_WIDTH / columns as f32).min(MAX_COLUMN_WIDTH);
        let row = ((PICTURE - 2.0 * LEGEND - GAP) / (heads + 1) as f32).min(MAX_ROW_HEIGHT);
        let size = vec2(
            LABELS_WIDTH + column * columns as f32,
            row * (heads + 1) as f32 + GAP,
        );
        let (area, response) = ui.allocate_exact_size(size, Sense::hover());
        name(&response, "Attention over past frames, heat map");
        let places = self.map_places(area, row);
        self.attention_map(ui, &attention.time_layers, places);
        let (ends, _) = ui.allocate_exact_size(vec2(size.x, 12.0), Sense::hover());
        let oldest = format!("{} frames back", columns - 1);
        let left = ends.left_center() + vec2(LABELS_WIDTH, 0.0);
        write(ui, left, Align2::LEFT_CENTER, &oldest);
        write(ui, ends.right_center(), Align2::RIGHT_CENTER, "current");
        let palette = theme::palette(ui);
        let max = largest(self.rows.iter().flatten());
        legend(
            ui,
            ["0 %".to_owned(), format!("{:.0} %", 100.0 * max)],
            |fraction| images::heat(palette, fraction),
        );
        if let Some(text) = self.weight_tooltip(attention, places, response.hover_pos()) {
            response.on_hover_text_at_pointer(text);
        }
    }

    /// Draws the map with its labels: the mean of all rows above, the rows of each layer below.
    fn attention_map(&self, ui: &Ui, layers: &[usize], [mean_row, head_rows]: [Rect; 2]) {
        let first = 1.0 / self.rows.len() as f32;
        self.map.paint(ui, mean_row, 0.0..first);
        self.map.paint(ui, head_rows, first..1.0);
        let label = |at: egui::Pos2, text: &str| {
            write(ui, at - vec2(6.0, 0.0), Align2::RIGHT_CENTER, text);
        };
        label(mean_row.left_center(), "mean");
        let tall = head_rows.height() / layers.len() as f32;
        for (i, layer) in layers.iter().enumerate() {
            let top = head_rows.top() + tall * i as f32;
            let middle = pos2(head_rows.left(), top + tall / 2.0);
            label(middle, &format!("layer {}", layer + 1));
            if i > 0 {
                let line = Stroke::new(1.0, theme::palette(ui).panel);
                ui.painter().hline(head_rows.x_range(), top, line);
            }
        }
    }

    /// The rectangles of the map's mean row and its other rows.
    fn map_places(&self, area: Rect, row: f32) -> [Rect; 2] {
        let map = area.with_min_x(area.left() + LABELS_WIDTH);
        let (top, bottom) = (map.top() + row, map.top() + row + GAP);
        [map.with_max_y(top), map.with_min_y(bottom)]
    }

    /// The tooltip for the weight under the pointer.
    fn weight_tooltip(
        &self,
        attention: &Attention,
        [mean_row, head_rows]: [Rect; 2],
        at: Option<egui::Pos2>,
    ) -> Option<String> {
        let at = at?;
        let columns = self.rows.first()?.len();
        let heads = attention.heads.max(1);
        let (row, column, which) = match cell_at(mean_row, [1, columns], at) {
            Some(column) => (0, column, "all layers and heads".to_owned()),
            None => {
                let cell = cell_at(head_rows, [self.rows.len() - 1, columns], at)?;
                let row = cell / columns;
                let layer = attention.time_layers.get(row / heads)? + 1;
                let which = format!("layer {layer}, head {}", row % heads + 1);
                (row + 1, cell % columns, which)
            }
        };
        let weight = 100.0 * self.rows.get(row)?.get(column)?;
        let frame = match columns - 1 - column {
            0 => "current frame".to_owned(),
            back => format!("{back} frames back"),
        };
        Some(format!("{which}, {frame}: {weight:.1} %"))
    }
}

/// The frame and its inspection data, if any.
fn inspected(frame: Option<&Frame>) -> Option<(&Frame, &Inspection)> {
    frame.and_then(|frame| Some((frame, frame.diagnostics.inspection.as_deref()?)))
}

#[cfg(test)]
mod tests;
