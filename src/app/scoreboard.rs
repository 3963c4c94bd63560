//! The score of the game, from predicted rewards, and a card at the end of an episode.

use std::time::{Duration, Instant};

use eframe::egui::{Align2, Label, Rect, RichText, Ui, vec2};

use driftless_sim::Frame;

use super::theme;
use super::widgets::floating;
use crate::workspace::progress::format_duration;

/// How long the card at the end of an episode is shown.
const CARD_TIME: Duration = Duration::from_secs(5);

/// How far an episode has got.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tally {
    score: f32,
    frames: u64,
}

/// An episode that has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ended {
    tally: Tally,
    /// Whether it is the best so far, of several.
    best: bool,
    until: Instant,
}

/// The score of the current episode, and the last one's.
#[derive(Default)]
pub(super) struct Scoreboard {
    current: Tally,
    /// The episode before a restart that has just been seen.
    before: Option<Tally>,
    /// Whether the world predicts rewards.
    counts: bool,
    best: Option<f32>,
    ended: Option<Ended>,
}

impl Scoreboard {
    /// Takes new frames, oldest first.
    pub fn take(&mut self, frames: &[Frame]) {
        self.before = None;
        for frame in frames {
            if frame.number == 0 && self.current.frames > 0 {
                self.before = Some(self.current);
            }
            self.counts |= frame.prediction.outcome.is_some();
            self.current = Tally {
                score: frame.prediction.score,
                frames: frame.number,
            };
        }
    }

    /// The episode has ended, by itself and not because the player restarted it. Comes with the frames that
    /// were taken last.
    pub fn episode_ended(&mut self, now: Instant) {
        let tally = self.before.take().unwrap_or(self.current);
        let best = self.best.is_some_and(|best| tally.score > best);
        let highest = self.best.map_or(tally.score, |best| best.max(tally.score));
        self.best = Some(highest);
        self.ended = Some(Ended {
            tally,
            best,
            until: now + CARD_TIME,
        });
    }

    /// Draws the score at the top of `space`, and the card of an ended episode below it.
    pub fn ui(&mut self, ui: &Ui, space: Rect, fps: f32) {
        let now = Instant::now();
        self.ended = self.ended.filter(|ended| ended.until > now);
        if let Some(ended) = self.ended {
            ui.ctx().request_repaint_after(ended.until - now);
            self.card(ui, space, &ended, fps);
        }
        if self.counts && self.current.frames > 0 {
            let at = space.center_top() + vec2(0.0, 12.0);
            floating(ui, "score", at, Align2::CENTER_TOP, |ui| {
                let palette = theme::palette(ui);
                let text = RichText::new(self.score_line()).strong();
                theme::badge(palette).show(ui, |ui| {
                    ui.add(Label::new(text.color(palette.text)).extend());
                });
            });
        }
    }

    fn score_line(&self) -> String {
        let score = points(self.current.score);
        match self.best {
            Some(best) => format!("Score {score}   Best {}", points(best)),
            None => format!("Score {score}"),
        }
    }

    fn card(&self, ui: &Ui, space: Rect, ended: &Ended, fps: f32) {
        let at = space.center_top() + vec2(0.0, 0.16 * space.height());
        floating(ui, "ended", at, Align2::CENTER_TOP, |ui| {
            let palette = theme::palette(ui);
            theme::card(palette).show(ui, |ui| {
                ui.set_max_width((space.width() - 70.0).clamp(150.0, 320.0));
                ui.vertical_centered(|ui| {
                    ui.label(RichText::new("Game over").heading().color(palette.text));
                    let line = self.end_line(ended, fps);
                    ui.label(RichText::new(line).strong().color(palette.accent));
                    let next = "A new episode has begun.";
                    ui.label(RichText::new(next).color(palette.muted));
                });
            });
        });
    }

    fn end_line(&self, ended: &Ended, fps: f32) -> String {
        let seconds = ended.tally.frames as f32 / fps.max(1.0);
        let time = format_duration(Duration::from_secs_f32(seconds));
        match (self.counts, ended.best) {
            (false, _) => time,
            (true, false) => format!("{} points in {time}", points(ended.tally.score)),
            (true, true) => format!("{} points in {time}, your best", points(ended.tally.score)),
        }
    }
}

/// A score as a whole number, without a negative zero.
fn points(score: f32) -> String {
    let rounded = score.round() as i64;
    rounded.to_string()
}

#[cfg(test)]
mod tests {
    use driftless_engine::Outcome;
    use driftless_sim::FrameImage;

    use super::*;

    fn frame(number: u64, score: f32) -> Frame {
        let mut frame = Frame::new(FrameImage::Bytes([0_u8; 3].as_slice().into()));
        frame.number = number;
        frame.prediction.score = score;
        frame.prediction.outcome = Some(Outcome {
            motion: None,
            reward: 1.0,
            end: 0.0,
        });
        frame
    }

    #[test]
    fn card_shows_the_episode_that_ended() {
        let (mut board, now) = (Scoreboard::default(), Instant::now());
        board.take(&[frame(1, 1.0), frame(30, 11.6)]);
        assert_eq!(board.score_line(), "Score 12");
        // The notice may come before the restart is seen, or with it.
        board.episode_ended(now);
        let line = |board: &Scoreboard| board.end_line(&board.ended.unwrap(), 15.0);
        assert_eq!(line(&board), "12 points in 2 s");
        board.take(&[frame(60, 20.0), frame(0, 0.0), frame(1, 1.0)]);
        board.episode_ended(now);
        assert_eq!(line(&board), "20 points in 4 s, your best");
        assert_eq!(board.score_line(), "Score 1   Best 20");
    }

    #[test]
    fn restart_is_no_end() {
        let (mut board, now) = (Scoreboard::default(), Instant::now());
        board.take(&[frame(60, 20.0), frame(0, 0.0)]);
        board.take(&[frame(1, -0.2)]);
        assert_eq!((board.ended, board.score_line()), (None, "Score 0".into()));
        board.episode_ended(now);
        assert_eq!(board.ended.unwrap().tally.frames, 1);
    }

    #[test]
    fn worlds_without_rewards_show_time() {
        let (mut board, now) = (Scoreboard::default(), Instant::now());
        let mut silent = frame(150, 0.0);
        silent.prediction.outcome = None;
        board.take(&[silent]);
        board.episode_ended(now);
        assert_eq!(board.end_line(&board.ended.unwrap(), 15.0), "10 s");
    }
}
