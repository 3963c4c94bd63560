//! What is looked at, and the keys that change it.

use std::sync::Arc;

use eframe::egui::Key;

use driftless_transport::TransportConfig;

use super::look::{Look, between};
use super::picture::Pictures;
use super::wish::Wish;
use super::worker::{Bench, Morph};

/// Seconds that the film takes from τ = 0 to 1.
const FILM_SECONDS: f32 = 2.5;
/// How far an arrow key moves τ.
const TAU_STEP: f32 = 0.05;

/// What is looked at.
pub(super) struct View {
    pub bench: Arc<Bench>,
    pub wish: Wish,
    /// The wish that the thread was last told.
    pub asked: Option<Wish>,
    pub morph: Option<Morph>,
    /// The transport time that is shown, and which way it moves.
    pub tau: f32,
    pub plays: Option<Direction>,
    pub look: Look,
    /// What is typed to find a drug.
    pub search: String,
    /// The file that is being prepared.
    pub recorded: Option<FileKind>,
    pub pictures: Pictures,
}

/// Which way the film runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Back,
}

/// What is written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Gif,
    Mp4,
    Sheet,
}

impl FileKind {
    pub fn extension(self) -> &'static str {
        match self {
            Self::Gif => "gif",
            Self::Mp4 => "mp4",
            Self::Sheet => "png",
        }
    }
}

impl View {
    pub fn new(bench: Arc<Bench>) -> Self {
        let config = bench.config();
        Self {
            wish: Wish::first(config),
            look: Look::new(config.channels.len()),
            bench,
            asked: None,
            morph: None,
            tau: 1.0,
            plays: None,
            search: String::new(),
            recorded: None,
            pictures: Pictures::default(),
        }
    }

    pub fn config(&self) -> &TransportConfig {
        self.bench.config()
    }

    /// Turns the treated cell back, or forward again, and shows the end of that way.
    pub fn turn(&mut self) {
        self.wish.reverse = !self.wish.reverse;
        self.plays = None;
        self.tau = if self.wish.reverse { 0.0 } else { 1.0 };
    }

    /// The picture at τ.
    pub fn shown(&self) -> Option<Vec<u8>> {
        let morph = self.morph.as_ref()?;
        Some(between(&morph.states, self.tau))
    }

    /// Starts or stops the film; at the end of the way it starts anew.
    pub fn toggle_film(&mut self) {
        self.plays = match self.plays {
            Some(_) => None,
            None if self.tau >= 1.0 => Some(Direction::Back),
            None => Some(Direction::Forward),
        };
    }

    /// Moves τ while the film plays.
    pub fn advance(&mut self, seconds: f32) {
        let Some(direction) = self.plays else {
            return;
        };
        let by = seconds / FILM_SECONDS;
        match direction {
            Direction::Forward => self.tau += by,
            Direction::Back => self.tau -= by,
        }
        if self.tau >= 1.0 {
            self.plays = Some(Direction::Back);
        } else if self.tau <= 0.0 {
            self.plays = Some(Direction::Forward);
        }
        self.tau = self.tau.clamp(0.0, 1.0);
    }

    pub fn key(&mut self, key: Key) -> bool {
        let channels = [
            Key::Num1,
            Key::Num2,
            Key::Num3,
            Key::Num4,
            Key::Num5,
            Key::Num6,
        ];
        match key {
            Key::Space => self.toggle_film(),
            Key::R => self.turn(),
            Key::N => self.wish.cell += 1,
            Key::G => self.look.greys = !self.look.greys,
            Key::ArrowLeft => self.tau = (self.tau - TAU_STEP).max(0.0),
            Key::ArrowRight => self.tau = (self.tau + TAU_STEP).min(1.0),
            _ => {
                let channel = channels.iter().position(|of| *of == key);
                let shown = channel.and_then(|i| self.look.shown.get_mut(i));
                let Some(shown) = shown else {
                    return false;
                };
                *shown = !*shown;
            }
        }
        true
    }
}
