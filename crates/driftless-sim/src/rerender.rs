//! Makes frames of the history again, for comparisons and for saving, and comes back; and tells what they were
//! made with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use driftless_data::Episode;

use super::ground_truth::GroundTruthSource;
use super::history::{FrameOrigin, HistoryEntry, Route};
use super::ports::Outbox;
use super::sim_loop::SimLoop;
use super::{ComparisonSource, Game, Message, Notice, Session, TimelinePosition, headless};
use crate::Result;

/// Time between two reports of progress.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);
/// At most this many frames of another branch are rendered for a comparison.
const MAX_COMPARISON_FRAMES: usize = 2048;

impl SimLoop {
    /// Changes what is shown next to the frames; a new ground truth resets.
    pub fn compare(&mut self, source: ComparisonSource) -> Result<()> {
        let resets = self.comparison.set_source(source);
        let source = self.comparison.source();
        let keep_on_device = *source == ComparisonSource::Off && self.exit.session.is_none();
        if let Some(learned) = self.player.learned_mut() {
            learned.set_keep_on_device(keep_on_device);
        }
        match *self.comparison.source() {
            ComparisonSource::Off => self.show_current_frame(),
            ComparisonSource::Branch(branch) => {
                self.render_missing_images(branch)?;
                self.show_current_frame()
            }
            _ if resets => self.reset(),
            _ => Ok(()),
        }
    }

    /// Renders the images that are missing from a branch's last episode.
    fn render_missing_images(&mut self, branch: u32) -> Result<()> {
        let history = &self.exit.history;
        let last = history.end(branch).and_then(|end| end.checked_sub(1));
        let Some(index) = last else {
            return Ok(());
        };
        let frames = history.episode(TimelinePosition { branch, index });
        if frames
            .iter()
            .all(|(position, _)| history.image(*position).is_some())
        {
            return Ok(());
        }
        let first = frames.len().saturating_sub(MAX_COMPARISON_FRAMES);
        if first > 0 {
            self.outbox.notice(Notice::ComparisonShortened {
                frames: MAX_COMPARISON_FRAMES,
            });
        }
        self.replay_entries(None, &frames[first..], |sim, position, _| {
            let image = sim.player.image()?.into();
            sim.exit.history.store_image(position, image);
            Ok(())
        })
        .map(drop)
    }

    /// Answers [`super::TimelineCommand::StoredImages`].
    pub fn send_images(&self, branch: u32, indices: &[usize], within: usize) {
        let history = &self.exit.history;
        let found = |&index: &usize| {
            let image = history.image_near(TimelinePosition { branch, index }, within)?;
            Some((index, image))
        };
        let images = indices.iter().filter_map(found).collect();
        self.outbox
            .message(Message::StoredImages { branch, images });
    }

    /// Answers [`super::TimelineCommand::RenderEpisode`]: records the frames from the last start to `end`
    /// again.
    pub fn render_episode(&mut self, request: u64, end: TimelinePosition) -> Result<()> {
        let frames = self.exit.history.episode(end);
        let mut session = Session::new(PathBuf::new());
        let mut report = Report::new(request, frames.len());
        let complete = self.replay_entries(Some(request), &frames, |sim, _, entry| {
            let (action, params) = (entry.action(), &entry.params);
            let player = sim.player.as_mut();
            let frame = headless::frame(player, entry.number, entry.clip, action, params)?;
            let notice = session.append(&frame, player)?;
            sim.outbox.notice(notice);
            report.frame_made(&sim.outbox);
            Ok(())
        })?;
        self.outbox.message(if complete {
            let episode = Arc::new(session.into_episode());
            Message::RenderedEpisode { request, episode }
        } else {
            Message::RenderCancelled(request)
        });
        Ok(())
    }

    /// Answers [`super::TimelineCommand::RecentFrames`], from the stored images as far as there are any.
    pub fn recent_frames(
        &mut self,
        request: u64,
        end: TimelinePosition,
        count: usize,
    ) -> Result<()> {
        let frames = self.exit.history.recent(end, count);
        let stored = |position| self.exit.history.image(position);
        let mut images: Vec<_> = frames.iter().map(|(at, _)| stored(*at)).collect();
        if images.iter().any(Option::is_none) {
            let mut report = Report::new(request, frames.len());
            let mut made = images.iter_mut();
            let complete = self.replay_entries(Some(request), &frames, |sim, _, _| {
                if let Some(image) = made.next().filter(|image| image.is_none()) {
                    *image = Some(sim.player.image()?.into());
                }
                report.frame_made(&sim.outbox);
                Ok(())
            })?;
            if !complete {
                self.outbox.message(Message::RenderCancelled(request));
                return Ok(());
            }
        }
        let [height, width] = self.player.image_size();
        // A start, or the first frame, has no reward.
        let mut rewards = vec![0.0; frames.len()];
        for (reward, pair) in rewards.iter_mut().skip(1).zip(frames.windows(2)) {
            let [(_, before), (_, entry)] = pair else {
                continue;
            };
            if entry.number > 0 {
                *reward = entry.score - before.score;
            }
        }
        let mut episode = Episode {
            height,
            width,
            images: images
                .iter()
                .flatten()
                .flat_map(|image| image.iter().copied())
                .collect(),
            actions: Vec::new(),
            rewards,
            extras: BTreeMap::new(),
        };
        let played: Vec<_> = frames.iter().map(|(_, entry)| entry.action()).collect();
        episode.set_played(&played, self.player.axes());
        let episode = Arc::new(episode);
        self.outbox
            .message(Message::RecentFrames { request, episode });
        Ok(())
    }

    /// Answers [`super::TimelineCommand::Game`].
    pub fn send_game(&self, request: u64, end: TimelinePosition) -> Result<()> {
        let game = self.game(&self.exit.history.episode(end))?.map(Arc::new);
        self.outbox.message(Message::Game { request, game });
        Ok(())
    }

    /// What these frames were made with, if the first is a learned world's start.
    fn game(&self, frames: &[(TimelinePosition, HistoryEntry)]) -> Result<Option<Game>> {
        let (Some(learned), Some(((_, first), rest))) =
            (self.player.learned(), frames.split_first())
        else {
            return Ok(None);
        };
        let FrameOrigin::Start(start) = &first.origin else {
            return Ok(None);
        };
        let (index, length) = (first.clip, learned.context_frames());
        let clip = match GroundTruthSource::start(start, &first.params, index, length)? {
            Some((_, clip)) => Some(clip),
            None => learned.clip(index).cloned(),
        };
        let made = rest.iter().map(|(_, entry)| (entry.action(), entry.params));
        Ok(clip.map(|clip| Game::new(clip, first.params, made)))
    }

    /// Makes consecutive frames again, calling `each` after every one, then returns to the current
    /// frame. Returns false if the first frame is no longer in the history, or if told to quit or to
    /// cancel `request` on the way.
    fn replay_entries(
        &mut self,
        request: Option<u64>,
        frames: &[(TimelinePosition, HistoryEntry)],
        each: impl FnMut(&mut Self, TimelinePosition, &HistoryEntry) -> Result<()>,
    ) -> Result<bool> {
        let Some((first, _)) = frames.first() else {
            return Ok(false);
        };
        let Some(route) = self.exit.history.route(*first, false) else {
            return Ok(false);
        };
        let current = self.player.snapshot()?;
        let complete = self.replay_along(request, &route, frames, each)?;
        self.player.restore(&current)?;
        Ok(complete)
    }

    /// As [`SimLoop::replay_entries`], with the route to the first frame; stays where it ends.
    fn replay_along(
        &mut self,
        request: Option<u64>,
        route: &Route,
        frames: &[(TimelinePosition, HistoryEntry)],
        mut each: impl FnMut(&mut Self, TimelinePosition, &HistoryEntry) -> Result<()>,
    ) -> Result<bool> {
        if !self.follow_route(route)? {
            return Ok(false);
        }
        for (i, (position, entry)) in frames.iter().enumerate() {
            // The route has made the first frame.
            if i > 0 {
                let commands = &mut self.commands;
                let cancelled = request.is_some_and(|request| commands.cancel_requested(request));
                if cancelled || commands.quit_requested() {
                    return Ok(false);
                }
                self.replay_entry(entry)?;
            }
            each(self, *position, entry)?;
        }
        Ok(true)
    }
}

/// Reports how far the making of frames is, not too often.
struct Report {
    request: u64,
    done: usize,
    total: usize,
    /// When the last report was made; the first frame is always reported.
    last: Option<Instant>,
}

impl Report {
    fn new(request: u64, total: usize) -> Self {
        Self {
            request,
            done: 0,
            total,
            last: None,
        }
    }

    fn frame_made(&mut self, outbox: &Outbox) {
        self.done += 1;
        if self
            .last
            .is_none_or(|last| last.elapsed() >= REPORT_INTERVAL)
        {
            self.last = Some(Instant::now());
            outbox.message(Message::RenderProgress {
                request: self.request,
                done: self.done,
                total: self.total,
            });
        }
    }
}
