//! Makes frames of the history again, for comparisons and for saving, and comes back.

use std::path::PathBuf;
use std::sync::Arc;

use super::history::{HistoryEntry, Route};
use super::sim_loop::SimLoop;
use super::{ComparisonSource, Message, Notice, Session, TimelinePosition, headless};
use crate::Result;

/// Rendering more frames than this takes long enough for a notice.
const NOTICE_FRAMES: usize = 200;
/// At most this many frames of another branch are rendered for a comparison.
const MAX_COMPARISON_FRAMES: usize = 2048;

impl SimLoop<'_> {
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
        self.replay_entries(&frames[first..], |sim, position, _| {
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

    /// Answers [`super::TimelineCommand::RenderEpisode`]: records the frames from the last start to
    /// `position` again.
    pub fn render_episode(&mut self, position: TimelinePosition) -> Result<()> {
        let frames = self.exit.history.episode(position);
        if frames.len() > NOTICE_FRAMES {
            let frames = frames.len();
            self.outbox.notice(Notice::Rendering { frames });
        }
        let mut session = Session::new(PathBuf::new());
        let complete = self.replay_entries(&frames, |sim, _, entry| {
            let (action, params) = (entry.action(), &entry.params);
            let player = sim.player.as_mut();
            let frame = headless::frame(player, entry.number, entry.context, action, params)?;
            let notice = session.append(&frame, player)?;
            sim.outbox.notice(notice);
            Ok(())
        })?;
        if complete {
            let episode = Arc::new(session.into_episode());
            self.outbox.message(Message::RenderedEpisode(episode));
        }
        Ok(())
    }

    /// Makes consecutive frames again, calling `each` after every one, then returns to the current
    /// frame. Returns false if the first frame is no longer in the history, or if told to quit on
    /// the way.
    fn replay_entries(
        &mut self,
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
        let complete = self.replay_along(&route, frames, each)?;
        self.player.restore(&current)?;
        Ok(complete)
    }

    /// As [`SimLoop::replay_entries`], with the route to the first frame; stays where it ends.
    fn replay_along(
        &mut self,
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
                if self.commands.quit_requested() {
                    return Ok(false);
                }
                self.replay_entry(entry)?;
            }
            each(self, *position, entry)?;
        }
        Ok(true)
    }
}
