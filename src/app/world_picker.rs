//! The worlds page: a card with a picture for each world.

mod card;
mod grid;

use std::path::PathBuf;

use eframe::egui;
use eframe::egui::{Align, Layout, Margin, RichText, ScrollArea, Ui, vec2};

use self::card::{WorldCard, cards};
use self::grid::{CARD, CardGrid};
use super::theme;
use crate::workspace::library::{WorldEntry, WorldSource};
use crate::workspace::{BackgroundTask, IncludedWorlds, Notify, library};
use crate::{Error, Result};

pub(super) use self::card::{CurrentWorld, PickerChoice};

/// Height of the smallest card that names a world and its goal only, in points.
const PLAIN_HEIGHT: f32 = 232.0;
/// Height of a shelf's headline with the space around it, in points.
const HEADLINE: f32 = 60.0;

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
            .show(ui, |ui| header(ui, self.greets, self.playing.as_ref()))
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

/// Draws the page's header; returns whether "Back" was clicked.
fn header(ui: &mut Ui, greets: bool, playing: Option<&CurrentWorld>) -> bool {
    let palette = theme::palette(ui);
    let (title, hint, back) = if greets {
        let hint = "A neural network predicts every frame of these games. Choose one to play.";
        ("Driftless", hint, "Play Pong")
    } else {
        let hint = "Arrow keys select  ·  Enter plays  ·  Drop a checkpoint folder to open it";
        let back = match playing {
            Some(CurrentWorld::Nothing) => "Back to the cells",
            _ => "Back to the game",
        };
        ("Worlds", hint, back)
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

#[cfg(test)]
#[path = "world_picker_tests.rs"]
mod tests;
