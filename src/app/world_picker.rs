//! The worlds page: a card with a picture for each world.

use std::path::{Path, PathBuf};

use eframe::egui;
use eframe::egui::{
    Align, Align2, Color32, ColorImage, FontId, Layout, Margin, Rect, Response, RichText,
    ScrollArea, Sense, Stroke, StrokeKind, TextureHandle, TextureOptions, Ui, Vec2, pos2, vec2,
};

use driftless_worlds::SimulatorKind;

use super::goals::goal;
use super::theme;
use crate::workspace::library::{WorldEntry, WorldSource, WorldSummary, format_date};
use crate::workspace::{BackgroundTask, IncludedWorlds, Notify, library};
use crate::{Error, Result};

/// Smallest size of a card and the gap between cards, in points.
const CARD: Vec2 = vec2(216.0, 300.0);
/// Height of the smallest card that names a world and its goal only.
const PLAIN_HEIGHT: f32 = 232.0;
const GAP: f32 = 14.0;
/// Padding inside a card, in points.
const PADDING: f32 = 10.0;
/// Height of a picture by its width.
const PICTURE: f32 = 0.72;
/// Height of a shelf's headline with the space around it, in points.
const HEADLINE: f32 = 60.0;
/// How much wider cards get where there is room.
const MAX_WIDENING: f32 = 1.9;
/// How many pictures a second a card shows that is no film.
const STILL_FPS: f32 = 1.0;

/// The choice made on the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PickerChoice {
    /// The world in a checkpoint folder.
    World(PathBuf),
    /// A simulator.
    Simulator(SimulatorKind),
    /// Back to the current game.
    Back,
}

/// The game behind the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CurrentWorld {
    /// The world in a checkpoint folder.
    World(PathBuf),
    /// The simulator of this name.
    Simulator(String),
}

/// The worlds page.
pub(super) struct WorldPicker {
    home: Option<PathBuf>,
    notify: Notify,
    playing: Option<CurrentWorld>,
    /// The background task that lists the worlds.
    reading: Option<BackgroundTask<Vec<WorldCard>>>,
    cards: Vec<WorldCard>,
    /// Whether a card should take the focus.
    focus: bool,
    /// The focused card that was last scrolled into view.
    scrolled_to: Option<usize>,
    /// Whether this is the first thing that a person sees of the program.
    greets: bool,
}

struct WorldCard {
    entry: WorldEntry,
    playing: bool,
    /// Whether its picture moves.
    moves: bool,
    /// The frame of the preview that is drawn, and the texture that holds it.
    picture: Option<(usize, TextureHandle)>,
}

impl WorldPicker {
    pub fn new(home: Option<PathBuf>, notify: Notify) -> Self {
        Self {
            home,
            notify,
            playing: None,
            reading: None,
            cards: Vec::new(),
            focus: true,
            scrolled_to: None,
            greets: false,
        }
    }

    /// Says what this program is instead of where one came from.
    pub fn greet(&mut self, greets: bool) {
        self.greets = greets;
    }

    /// Opens the page and lists the worlds on disk in the background.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn open(&mut self, playing: CurrentWorld) -> Result<()> {
        self.playing = Some(playing.clone());
        (self.focus, self.scrolled_to, self.greets) = (true, None, false);
        let home = self.home.clone();
        let work = move |cancelled: &_| {
            let shipped = IncludedWorlds::find(home.clone());
            let entries = library::list_worlds(&shipped, home, cancelled)?;
            Ok(cards(entries, &playing))
        };
        self.reading = Some(BackgroundTask::start(self.notify.clone(), work)?);
        Ok(())
    }

    /// Takes the listed worlds; returns an error to be shown, if any.
    pub fn poll(&mut self) -> Option<Error> {
        let read = self.reading.as_ref().and_then(BackgroundTask::take)?;
        self.reading = None;
        match read {
            Ok(cards) => self.cards = cards,
            Err(error) => return Some(error),
        }
        None
    }

    /// Drops textures of a lost device.
    pub fn drop_textures(&mut self) {
        for card in &mut self.cards {
            card.picture = None;
        }
    }

    /// Moves the focus to a card, so that keys continue from there.
    pub fn take_focus(&mut self) {
        self.focus = true;
    }

    /// Draws the page; returns the choice made on it.
    pub fn ui(&mut self, ui: &mut Ui) -> Option<PickerChoice> {
        let bar = egui::Frame::new()
            .fill(theme::palette(ui).panel)
            .inner_margin(Margin::symmetric(18, 10));
        let back = egui::Panel::top("worlds-bar")
            .resizable(false)
            .frame(bar)
            .show(ui, |ui| header(ui, self.greets))
            .inner;
        let mut picked = back.then_some(PickerChoice::Back);
        let scroll = ScrollArea::vertical().id_salt("worlds");
        scroll.auto_shrink(false).show(ui, |ui| {
            if let Some(card) = self.cards_ui(ui) {
                picked = Some(card);
            }
        });
        picked
    }

    fn cards_ui(&mut self, ui: &mut Ui) -> Option<PickerChoice> {
        let mut picked = None;
        ui.add_space(14.0);
        if self.cards.is_empty() {
            let text = match self.reading {
                Some(_) => "Looking for worlds…",
                None => "No worlds found.",
            };
            ui.vertical_centered(|ui| {
                ui.label(RichText::new(text).color(theme::palette(ui).muted))
            });
        }
        let start = self.cards.iter().position(|card| card.playing);
        let start = start.unwrap_or_default();
        let shelf = |entry: &WorldEntry| match entry.source {
            WorldSource::Included(_) => "Included worlds",
            WorldSource::Saved(_) => "Saved worlds",
            WorldSource::Simulator(_) => "Simulators (ground truth)",
        };
        let together = |a: &WorldCard, b: &WorldCard| shelf(&a.entry) == shelf(&b.entry);
        let longest = self.cards.chunk_by(together).map(<[_]>::len).max();
        let height = if self.greets { PLAIN_HEIGHT } else { CARD.y };
        let smallest = vec2(CARD.x, height);
        let space = vec2(ui.available_width(), ui.clip_rect().height() - HEADLINE);
        let grid = CardGrid::new(space, longest.unwrap_or_default(), smallest);
        let mut first = 0;
        for group in self.cards.chunk_by_mut(together) {
            let name = group.first().map_or("", |card| shelf(&card.entry));
            let rects = grid.layout(ui, name, group.len());
            for (i, (card, rect)) in group.iter_mut().zip(rects).enumerate() {
                let response = card.ui(ui, rect, first + i, self.greets);
                if std::mem::take(&mut self.focus) {
                    if first + i == start {
                        response.request_focus();
                    } else {
                        self.focus = true;
                    }
                }
                if response.has_focus() && self.scrolled_to.replace(first + i) != Some(first + i) {
                    response.scroll_to_me(None);
                }
                if response.clicked() {
                    picked = card.picked();
                }
            }
            first += group.len();
        }
        picked
    }
}

/// Creates a card for each entry.
fn cards(entries: Vec<WorldEntry>, playing: &CurrentWorld) -> Vec<WorldCard> {
    // A folder may be reachable by several paths.
    let full = |folder: &Path| folder.canonicalize().unwrap_or_else(|_| folder.into());
    let is_played = |entry: &WorldEntry| match (&entry.source, playing) {
        (
            WorldSource::Included(folder) | WorldSource::Saved(folder),
            CurrentWorld::World(played),
        ) => full(folder) == full(played),
        (WorldSource::Simulator(_), CurrentWorld::Simulator(name)) => entry.name == *name,
        _ => false,
    };
    let card = |entry| WorldCard {
        playing: is_played(&entry),
        moves: true,
        entry,
        picture: None,
    };
    entries.into_iter().map(card).collect()
}

/// Draws the page's header; returns whether "Back" was clicked.
fn header(ui: &mut Ui, greets: bool) -> bool {
    let palette = theme::palette(ui);
    let (title, hint, back) = if greets {
        let hint = "A neural network predicts every frame of these games. Choose one to play.";
        ("Driftless", hint, "Play Pong")
    } else {
        let hint = "Arrow keys select  ·  Enter plays  ·  Drop a checkpoint folder to open it";
        ("Worlds", hint, "Back to the game")
    };
    let mut clicked = false;
    ui.horizontal(|ui| {
        ui.label(RichText::new(title).heading().color(palette.text));
        let right = Layout::right_to_left(Align::Center);
        ui.with_layout(right, |ui| {
            clicked = ui.button(back).on_hover_text("Esc").clicked();
        });
    });
    ui.label(RichText::new(hint).color(palette.muted));
    clicked
}

/// Where cards lie: as many beside each other as fit, and as wide as there is room for.
struct CardGrid {
    columns: usize,
    card: Vec2,
}

impl CardGrid {
    /// A grid for shelves of up to `longest` cards that are `smallest` or larger, where one is seen whole in `space`.
    fn new(space: Vec2, longest: usize, smallest: Vec2) -> Self {
        let fit = ((space.x - GAP) / (smallest.x + GAP)).floor().max(1.0) as usize;
        let columns = fit.min(longest.max(1));
        let room = (space.x - GAP) / columns as f32 - GAP;
        let seen = smallest.x + (space.y - smallest.y) / PICTURE;
        let wide = room.min(seen).clamp(smallest.x, smallest.x * MAX_WIDENING);
        let taller = (wide - smallest.x) * PICTURE;
        Self {
            columns,
            card: vec2(wide, smallest.y + taller),
        }
    }

    /// Allocates space for a heading and cards; returns the cards' rectangles.
    fn layout(&self, ui: &mut Ui, headline: &str, cards: usize) -> Vec<Rect> {
        let (columns, step) = (self.columns, self.card + vec2(GAP, GAP));
        let wide = columns as f32 * step.x - GAP;
        let aside = ((ui.available_width() - wide) / 2.0).max(0.0);
        ui.horizontal(|ui| {
            ui.add_space(aside);
            let text = RichText::new(headline).strong().size(15.0);
            ui.label(text.color(theme::palette(ui).text));
        });
        let rows = cards.div_ceil(columns);
        let size = vec2(aside + wide, rows as f32 * step.y);
        let (space, _) = ui.allocate_exact_size(size, Sense::hover());
        let rect = |i: usize| {
            let at = vec2((i % columns) as f32, (i / columns) as f32) * step;
            Rect::from_min_size(space.min + vec2(aside, 0.0) + at, self.card)
        };
        (0..cards).map(rect).collect()
    }
}

impl WorldCard {
    fn picked(&self) -> Option<PickerChoice> {
        self.entry.summary.as_ref().ok()?;
        Some(match &self.entry.source {
            WorldSource::Included(folder) | WorldSource::Saved(folder) => {
                PickerChoice::World(folder.clone())
            }
            WorldSource::Simulator(kind) => PickerChoice::Simulator(*kind),
        })
    }

    /// Draws the card; in a `plain` one, without figures.
    fn ui(&mut self, ui: &mut Ui, rect: Rect, index: usize, plain: bool) -> Response {
        let response = ui.interact(rect, ui.scope_id().with(("world", index)), Sense::click());
        let enabled = self.entry.summary.is_ok();
        response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::Role::Button, enabled, self.accessible_name())
        });
        if ui.is_rect_visible(rect) {
            self.paint(ui, rect, &response, plain);
        }
        match &self.entry.summary {
            Ok(_) => response,
            Err(why) => response.on_hover_text(why),
        }
    }

    fn paint(&mut self, ui: &Ui, rect: Rect, response: &Response, plain: bool) {
        let lit = response.has_focus();
        let fill = if response.hovered() {
            theme::palette(ui).hovered
        } else {
            theme::palette(ui).panel
        };
        let line = if lit {
            Stroke::new(2.0, theme::palette(ui).accent)
        } else {
            Stroke::new(1.0, theme::palette(ui).line)
        };
        let painter = ui.painter();
        painter.rect(rect, 10, fill, line, StrokeKind::Inside);
        let inner = rect.shrink(PADDING);
        let frame = Rect::from_min_size(inner.min, vec2(inner.width(), inner.width() * PICTURE));
        painter.rect_filled(frame, 6, theme::palette(ui).backdrop);
        self.paint_picture(ui, frame);
        let mut tag = frame.left_top() + vec2(6.0, 6.0);
        let is_simulator = matches!(self.entry.source, WorldSource::Simulator(_));
        for (shown, text) in [
            (is_simulator, "SIMULATOR"),
            (self.playing && !plain, "PLAYING"),
        ] {
            if shown {
                tag.x = badge(ui, tag, text) + 6.0;
            }
        }
        let mut at = pos2(inner.left(), frame.bottom() + 8.0);
        let mut write = |text: &str, size: f32, colour: Color32, rows: usize| {
            let font = FontId::proportional(size);
            let mut job =
                egui::text::LayoutJob::simple(text.to_owned(), font, colour, inner.width());
            job.wrap.max_rows = rows;
            let galley = painter.layout_job(job);
            let height = galley.size().y;
            painter.galley(at, galley, colour);
            at.y += height + 3.0;
        };
        write(&self.entry.name, 15.0, theme::palette(ui).text, 1);
        match &self.entry.summary {
            Ok(summary) => {
                let about = summary.about.as_deref();
                if let Some(about) = goal(&self.entry.name).or(about) {
                    write(about, 12.5, theme::palette(ui).text, 2);
                }
                let lines = if plain { Vec::new() } else { lines(summary) };
                for line in lines {
                    write(&line, 11.5, theme::palette(ui).muted, 2);
                }
            }
            Err(why) => {
                write(
                    "This world cannot be loaded",
                    12.5,
                    theme::palette(ui).alert,
                    1,
                );
                write(why, 11.5, theme::palette(ui).muted, 5);
            }
        }
    }

    /// Draws the world's moving picture as large as fits.
    fn paint_picture(&mut self, ui: &Ui, frame: Rect) {
        let Ok(summary) = &self.entry.summary else {
            return;
        };
        let [height, width] = summary.image;
        let bytes = (height * width * 3).max(1);
        let count = summary.preview.len() / bytes;
        let fps = f64::from(summary.fps.unwrap_or(STILL_FPS).clamp(1.0, 60.0));
        let moves = count > 1 && self.moves && !theme::is_still(ui);
        let shown = if moves {
            (ui.input(|input| input.time) * fps) as usize % count
        } else {
            0
        };
        if moves {
            ui.ctx().request_repaint_after_secs((1.0 / fps) as f32);
        }
        let rgb = summary.preview.chunks_exact(bytes).nth(shown);
        let Some(rgb) = rgb.filter(|rgb| rgb.len() == height * width * 3) else {
            return;
        };
        let image = || ColorImage::from_rgb([width, height], rgb);
        let (drawn, picture) = self.picture.get_or_insert_with(|| {
            let name = format!("world-{}", self.entry.name);
            let options = TextureOptions::NEAREST;
            (shown, ui.ctx().load_texture(name, image(), options))
        });
        if *drawn != shown {
            *drawn = shown;
            picture.set(image(), TextureOptions::NEAREST);
        }
        let size = vec2(width as f32, height as f32);
        let scale = (frame.size() / size).min_elem();
        let rect = Rect::from_center_size(frame.center(), size * scale);
        let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
        ui.painter().image(picture.id(), rect, uv, Color32::WHITE);
    }

    /// The card's accessible name.
    fn accessible_name(&self) -> String {
        let kind = match self.entry.source {
            WorldSource::Included(_) => "included",
            WorldSource::Saved(_) => "saved",
            WorldSource::Simulator(_) => "simulator",
        };
        let mut words = vec![self.entry.name.clone(), kind.to_owned()];
        if self.playing {
            words.push("playing".to_owned());
        }
        match &self.entry.summary {
            Ok(summary) => {
                words.extend(summary.about.clone());
                words.extend(lines(summary));
            }
            Err(why) => words.push(format!("cannot be loaded: {why}")),
        }
        words.join(", ")
    }
}

/// A world's summary, one per line.
fn lines(summary: &WorldSummary) -> Vec<String> {
    let [height, width] = summary.image;
    let millions = |n: usize| format!("{:.2} M parameters", n as f64 / 1e6);
    let size = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let kind = match summary.fps {
        Some(fps) => format!("{fps} FPS"),
        None => "pictures of cells".to_owned(),
    };
    let shape = format!("{width}×{height}  ·  {kind}");
    let disk = summary.bytes.map(size).into_iter();
    let disk: Vec<String> = disk.chain(summary.modified.map(format_date)).collect();
    let disk = (!disk.is_empty()).then(|| disk.join("  ·  "));
    let data = summary.trained_on.as_ref();
    let data = data.map(|data| format!("trained on {data}"));
    let lines = [Some(shape), summary.parameters.map(millions), disk, data];
    lines.into_iter().flatten().collect()
}

/// Draws a badge over a picture; returns its right edge.
fn badge(ui: &Ui, at: egui::Pos2, text: &str) -> f32 {
    let font = FontId::proportional(10.5);
    let galley = ui
        .painter()
        .layout_no_wrap(text.to_owned(), font, theme::palette(ui).accent);
    let rect = Rect::from_min_size(at, galley.size() + vec2(12.0, 5.0));
    ui.painter()
        .rect_filled(rect, 8, theme::palette(ui).over_picture);
    let at = Align2::CENTER_CENTER.anchor_size(rect.center(), galley.size());
    ui.painter()
        .galley(at.min, galley, theme::palette(ui).accent);
    rect.right()
}

#[cfg(test)]
#[path = "world_picker_tests.rs"]
mod tests;
