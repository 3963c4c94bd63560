//! The card of a world: its picture, name, goal and figures.

use std::path::{Path, PathBuf};

use eframe::egui;
use eframe::egui::{
    Align2, Color32, ColorImage, FontId, Rect, Response, Sense, Stroke, StrokeKind, TextureHandle,
    TextureOptions, Ui, pos2, vec2,
};

use driftless_worlds::SimulatorKind;

use super::grid::PICTURE;
use crate::app::goals::goal;
use crate::app::theme;
use crate::workspace::library::{WorldEntry, WorldSource, WorldSummary, format_date};

/// Padding inside a card, in points.
const PADDING: f32 = 10.0;
/// How many pictures a second a card shows that is no film.
const STILL_FPS: f32 = 1.0;

/// The choice made on the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum PickerChoice {
    /// The world in a checkpoint folder.
    World(PathBuf),
    /// A simulator.
    Simulator(SimulatorKind),
    /// Back to the current game.
    Back,
}

/// The game behind the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum CurrentWorld {
    /// The world in a checkpoint folder.
    World(PathBuf),
    /// The simulator of this name.
    Simulator(String),
    /// Nobody plays: the program shows cells.
    Nothing,
}

/// A world on the page.
pub(super) struct WorldCard {
    pub entry: WorldEntry,
    pub playing: bool,
    /// Whether its picture moves.
    pub moves: bool,
    /// The frame of the preview that is drawn, and the texture that holds it.
    pub picture: Option<(usize, TextureHandle)>,
}

/// Creates a card for each entry.
pub(super) fn cards(entries: Vec<WorldEntry>, playing: &CurrentWorld) -> Vec<WorldCard> {
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

impl WorldCard {
    pub fn picked(&self) -> Option<PickerChoice> {
        self.entry.summary.as_ref().ok()?;
        Some(match &self.entry.source {
            WorldSource::Included(folder) | WorldSource::Saved(folder) => {
                PickerChoice::World(folder.clone())
            }
            WorldSource::Simulator(kind) => PickerChoice::Simulator(*kind),
        })
    }

    /// Draws the card; in a `plain` one, without figures.
    pub fn ui(&mut self, ui: &mut Ui, rect: Rect, index: usize, plain: bool) -> Response {
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
        let below = Rect::from_min_max(pos2(inner.left(), frame.bottom() + 8.0), inner.max);
        self.paint_text(ui, below, plain);
    }

    /// Writes what the world is below its picture.
    fn paint_text(&self, ui: &Ui, space: Rect, plain: bool) {
        let painter = ui.painter();
        let mut at = space.min;
        let mut write = |text: &str, size: f32, colour: Color32, rows: usize| {
            let font = FontId::proportional(size);
            let mut job =
                egui::text::LayoutJob::simple(text.to_owned(), font, colour, space.width());
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
