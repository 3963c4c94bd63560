//! Looking into the model while playing: what its latent holds, and where the chosen patch looked.
//!
//! A patch is a cell of the latent; the network looks with tokens, which hold some cells each. All that is
//! drawn comes with the frame, so another patch can be chosen while the game is paused.

mod draw;
mod sheets;

use eframe::egui::{
    self, Align2, ColorImage, EventFilter, Key, Rect, RichText, ScrollArea, Sense, Stroke,
    StrokeKind, Ui, WidgetInfo, pos2, vec2,
};

use self::draw::{Sheet, legend, name, outline, title, write};
use self::sheets::{MOST, cell_at, largest, neighbour, place};
use super::theme;
use driftless_engine::Attention;
use driftless_sim::{Frame, Inspection};

/// Most height and width of the small frame, and height of the parts beside it below their titles.
const PICTURE: f32 = 128.0;
/// Width of the shares of what is looked at.
const SHARES: f32 = 100.0;
/// Width of the channels' tiles together.
const LATENT: f32 = 224.0;
/// Most widths of the map over time and of a column in it; most height of a row.
const MAP: f32 = 192.0;
const COLUMN: f32 = 18.0;
const ROW: f32 = 14.0;
/// Width of the names of its rows.
const NAMES: f32 = 48.0;
/// Space between the parts, and between rows.
const SPACE: f32 = 17.0;
const GAP: f32 = 4.0;
/// Height of a legend.
const LEGEND: f32 = 18.0;

/// The panel's height: a title, and what is below it.
pub(super) const HEIGHT: f32 = PICTURE + 46.0;

/// The keys that choose another patch while the small frame has the focus.
const ARROWS: [Key; 4] = [
    Key::ArrowUp,
    Key::ArrowDown,
    Key::ArrowLeft,
    Key::ArrowRight,
];

/// The panel, with the pictures of one frame as textures.
#[derive(Default)]
pub(super) struct Inspect {
    /// The chosen cell; the middle one until somebody chooses.
    chosen: Option<usize>,
    /// The layer whose attention lies over the small frame.
    layer: usize,
    /// Whether the small frame has the focus.
    focused: bool,
    shown: Option<Shown>,
    picture: Sheet,
    channels: Sheet,
    veil: Sheet,
    map: Sheet,
    /// The rows of the map.
    rows: Vec<Vec<f32>>,
    /// Shares of the tokens of the frame, by kind.
    others: Vec<(&'static str, f32)>,
}

/// What the textures show.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shown {
    sequence: u64,
    cell: usize,
    layer: usize,
    dark: bool,
}

impl Inspect {
    /// Whether a key chooses a patch now, and is not the world's.
    pub fn takes(&self, key: Key) -> bool {
        self.focused && ARROWS.contains(&key)
    }

    /// Draws the panel about a frame, whose picture has the height and width `size`.
    pub fn ui(&mut self, ui: &mut Ui, frame: Option<&Frame>, size: [usize; 2]) {
        self.focused = false;
        let Some((frame, seen)) = inspected(frame) else {
            ui.centered_and_justified(|ui| {
                let text =
                    "The next predicted frame shows here what the model holds and where it looked.";
                ui.label(RichText::new(text).color(theme::muted()));
            });
            return;
        };
        let cell = self.cell(seen);
        let layers = seen.attention.as_ref().map_or(0, Attention::layers);
        self.layer = self.layer.min(layers.saturating_sub(1));
        let now = Shown {
            sequence: frame.sequence,
            cell,
            layer: self.layer,
            dark: ui.visuals().dark_mode,
        };
        if self.shown != Some(now) {
            self.shown = Some(now);
            self.upload(ui.ctx(), seen, cell, size);
        }
        ScrollArea::horizontal().show(ui, |ui| {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing = vec2(SPACE, GAP);
                ui.vertical(|ui| self.small_frame(ui, seen, cell, size));
                if layers > 0 {
                    ui.vertical(|ui| self.looks(ui, layers));
                }
                ui.vertical(|ui| self.latent(ui, seen, cell));
                ui.vertical(|ui| self.over_time(ui, seen.attention.as_ref()));
            });
        });
    }

    /// Takes clicks on the large picture, and outlines the chosen patch there.
    pub fn over_picture(&mut self, ui: &Ui, picture: Rect, frame: Option<&Frame>) {
        let Some((_, seen)) = inspected(frame) else {
            return;
        };
        let response = ui.interact(picture, ui.scope_id().with("patches"), Sense::click());
        name(&response, "picture: choose a patch");
        if response.clicked()
            && let Some(at) = response.interact_pointer_pos()
        {
            self.choose(ui, cell_at(picture, seen.grid, at));
        }
        outline(ui, picture, seen, self.cell(seen));
    }

    /// Chooses a cell, which is drawn even if no other frame comes.
    fn choose(&mut self, ui: &Ui, cell: Option<usize>) {
        if cell.is_some() {
            self.chosen = cell;
            ui.ctx().request_repaint();
        }
    }

    /// The chosen cell, or the middle one.
    fn cell(&self, seen: &Inspection) -> usize {
        let [height, width] = seen.grid;
        let middle = height / 2 * width + width / 2;
        self.chosen
            .filter(|cell| *cell < height * width)
            .unwrap_or(middle)
    }

    /// Puts everything into textures, which are kept from frame to frame.
    fn upload(
        &mut self,
        context: &egui::Context,
        seen: &Inspection,
        cell: usize,
        size: [usize; 2],
    ) {
        let [height, width] = size;
        let whole = seen.image.len() == height * width * 3;
        let picture = whole.then(|| ColorImage::from_rgb([width, height], &seen.image));
        self.picture.put(context, "inspected frame", picture);
        self.channels.put(context, "latent", sheets::channels(seen));
        let token = seen.token(cell);
        let attention = seen.attention.as_ref();
        self.rows = attention.map_or_else(Vec::new, |a| sheets::over_time(a, token));
        self.map
            .put(context, "attention over time", sheets::heat_map(&self.rows));
        let weights = attention.and_then(|a| sheets::over_space(a, self.layer, token));
        let veil = weights
            .as_ref()
            .and_then(|w| sheets::veil(w, seen.tokens()));
        self.veil.put(context, "attention over space", veil);
        let latent = seen.tokens().iter().product();
        self.others = weights.map_or_else(Vec::new, |w| sheets::others(&w, latent));
    }

    /// The frame with the chosen patch and where it looked.
    fn small_frame(&mut self, ui: &mut Ui, seen: &Inspection, cell: usize, size: [usize; 2]) {
        let width = seen.grid[1].max(1);
        let place = format!("row {}, column {}", cell / width + 1, cell % width + 1);
        title(ui, &place);
        let [height, width] = size.map(|side| side.max(1) as f32);
        let drawn = vec2(width, height) * (PICTURE / height.max(width));
        let (rect, response) = ui.allocate_exact_size(drawn, Sense::click());
        name(&response, &format!("chosen patch: {place}"));
        if response.clicked()
            && let Some(at) = response.interact_pointer_pos()
        {
            self.choose(ui, cell_at(rect, seen.grid, at));
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
            let next = pressed.and_then(|key| neighbour(seen.grid, cell, key));
            self.choose(ui, next);
        }
        self.picture.paint(ui, rect, 0.0..1.0);
        self.veil.paint(ui, rect, 0.0..1.0);
        outline(ui, rect, seen, cell);
        if self.focused {
            let ring = Stroke::new(2.0, theme::accent());
            ui.painter().rect_stroke(rect, 2, ring, StrokeKind::Outside);
        }
        response.on_hover_text(
            "Click here or on the large picture to choose a patch; after a click here, arrow keys do \
             (Escape gives them back to the game). The thin square is the token that holds the patch; \
             green is where it looked.",
        );
    }

    /// The choice of a layer, and what its attention went to.
    fn looks(&mut self, ui: &mut Ui, layers: usize) {
        ui.set_width(SHARES);
        title(ui, "looks at, in layer");
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(2.0, 2.0);
            ui.spacing_mut().button_padding = vec2(7.0, 2.0);
            for layer in 0..layers {
                let on = self.layer == layer;
                let button = ui.selectable_label(on, (layer + 1).to_string());
                let info = || {
                    let name = format!("space attention of layer {}", layer + 1);
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
        for (kind, share) in &self.others {
            let (rect, response) = ui.allocate_exact_size(vec2(SHARES, 17.0), Sense::hover());
            let percent = format!("{:.0} %", 100.0 * share);
            name(&response, &format!("{kind}: {percent}"));
            let bar = Rect::from_min_max(rect.left_bottom() - vec2(0.0, 3.0), rect.right_bottom());
            ui.painter().rect_filled(bar, 1, sheets::heat(0.0));
            let filled = bar.with_max_x(bar.left() + bar.width() * share.clamp(0.0, 1.0));
            ui.painter().rect_filled(filled, 1, theme::accent());
            let line = bar.center().y - 4.0;
            write(ui, pos2(rect.left(), line), Align2::LEFT_BOTTOM, kind);
            write(ui, pos2(rect.right(), line), Align2::RIGHT_BOTTOM, &percent);
            response.on_hover_text(match *kind {
                "patches" => "To tokens that hold patches: the green in the picture.",
                "action" => "To the token of the action that led to the frame.",
                "signal" => "To the token of the signal level and the step size.",
                _ => "To tokens that hold nothing of their own.",
            });
        }
    }

    /// Every channel of the latent as a tile.
    fn latent(&self, ui: &mut Ui, seen: &Inspection, cell: usize) {
        title(ui, "latent, by channel");
        let count = seen.channels.max(1);
        let room = vec2(LATENT, PICTURE - LEGEND);
        let (columns, tile) = sheets::tiles(count, seen.grid, room, GAP);
        let gaps = vec2(GAP, GAP);
        let table = vec2(columns as f32, count.div_ceil(columns) as f32);
        let (area, _) = ui.allocate_exact_size(table * (tile + gaps) - gaps, Sense::hover());
        for channel in 0..seen.channels {
            let at = vec2((channel % columns) as f32, (channel / columns) as f32);
            let rect = Rect::from_min_size(area.min + at * (tile + gaps), tile);
            let part = |c: usize| c as f32 / count as f32;
            self.channels
                .paint(ui, rect, part(channel)..part(channel + 1));
            let line = Stroke::new(1.0, theme::text());
            let place = place(rect, seen.grid, cell, 1);
            ui.painter().rect_stroke(place, 0, line, StrokeKind::Middle);
            let response = ui.interact(
                rect,
                ui.scope_id().with(("channel", channel)),
                Sense::hover(),
            );
            let [least, most] = sheets::range(seen, channel);
            let own = seen.latent.get(cell * count + channel).copied();
            let text = format!(
                "channel {}: {least:+.2} to {most:+.2}; the chosen patch {:+.2}",
                channel + 1,
                own.unwrap_or_default()
            );
            name(&response, &text);
            response.on_hover_text(text);
        }
        let ends = [format!("−{MOST}"), format!("+{MOST}")];
        legend(ui, ends, |share| {
            sheets::diverging(MOST * (2.0 * share - 1.0))
        });
    }

    /// The map of weights over frames.
    fn over_time(&self, ui: &mut Ui, attention: Option<&Attention>) {
        title(ui, "frames that it looked back at");
        let columns = self.rows.first().map_or(0, Vec::len);
        let Some(attention) = attention.filter(|_| columns > 0) else {
            let text = match attention {
                None => {
                    "This engine does not tell where it looks; the one on the processor does (--device cpu)."
                }
                Some(_) => "No layer of this world attends over time.",
            };
            ui.set_width(NAMES + MAP);
            ui.label(RichText::new(text).color(theme::muted()));
            return;
        };
        let heads = self.rows.len() - 1;
        let column = (MAP / columns as f32).min(COLUMN);
        let row = ((PICTURE - 2.0 * LEGEND - GAP) / (heads + 1) as f32).min(ROW);
        let size = vec2(
            NAMES + column * columns as f32,
            row * (heads + 1) as f32 + GAP,
        );
        let (area, response) = ui.allocate_exact_size(size, Sense::hover());
        name(&response, "attention over past frames");
        let [mean, rest] = self.map_places(area, row);
        let first = 1.0 / self.rows.len() as f32;
        self.map.paint(ui, mean, 0.0..first);
        self.map.paint(ui, rest, first..1.0);
        write(
            ui,
            mean.left_center() - vec2(6.0, 0.0),
            Align2::RIGHT_CENTER,
            "mean",
        );
        let layers = attention.time_layers.len();
        for (i, layer) in attention.time_layers.iter().enumerate() {
            let tall = rest.height() / layers as f32;
            let top = rest.top() + tall * i as f32;
            let text = format!("layer {}", layer + 1);
            write(
                ui,
                pos2(rest.left() - 6.0, top + tall / 2.0),
                Align2::RIGHT_CENTER,
                &text,
            );
            if i > 0 {
                let line = Stroke::new(1.0, theme::panel());
                ui.painter().hline(rest.x_range(), top, line);
            }
        }
        let (ends, _) = ui.allocate_exact_size(vec2(size.x, 12.0), Sense::hover());
        let oldest = format!("{} back", columns - 1);
        write(
            ui,
            ends.left_center() + vec2(NAMES, 0.0),
            Align2::LEFT_CENTER,
            &oldest,
        );
        write(ui, ends.right_center(), Align2::RIGHT_CENTER, "itself");
        let most = largest(self.rows.iter().flatten());
        legend(
            ui,
            ["0 %".to_owned(), format!("{:.0} %", 100.0 * most)],
            sheets::heat,
        );
        if let Some(text) = self.told(attention, [mean, rest], response.hover_pos()) {
            response.on_hover_text_at_pointer(text);
        }
    }

    /// Where the map's mean and its other rows lie.
    fn map_places(&self, area: Rect, row: f32) -> [Rect; 2] {
        let map = area.with_min_x(area.left() + NAMES);
        let (top, bottom) = (map.top() + row, map.top() + row + GAP);
        [map.with_max_y(top), map.with_min_y(bottom)]
    }

    /// What the map shows under the pointer.
    fn told(
        &self,
        attention: &Attention,
        [mean, rest]: [Rect; 2],
        at: Option<egui::Pos2>,
    ) -> Option<String> {
        let at = at?;
        let columns = self.rows.first()?.len();
        let heads = attention.heads.max(1);
        let (row, column, which) = match cell_at(mean, [1, columns], at) {
            Some(column) => (0, column, "all layers and heads".to_owned()),
            None => {
                let cell = cell_at(rest, [self.rows.len() - 1, columns], at)?;
                let row = cell / columns;
                let layer = attention.time_layers.get(row / heads)? + 1;
                let which = format!("layer {layer}, head {}", row % heads + 1);
                (row + 1, cell % columns, which)
            }
        };
        let weight = 100.0 * self.rows.get(row)?.get(column)?;
        let frame = match columns - 1 - column {
            0 => "itself".to_owned(),
            back => format!("{back} back"),
        };
        Some(format!("{which}, {frame}: {weight:.1} %"))
    }
}

/// A frame and what the model holds of it.
fn inspected(frame: Option<&Frame>) -> Option<(&Frame, &Inspection)> {
    frame.and_then(|frame| Some((frame, frame.inspect.as_deref()?)))
}

#[cfg(test)]
mod tests;
