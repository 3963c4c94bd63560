//! Moves through the history: rewind, branches, comparison frames and episodes rendered again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use driftless_engine::StageTimes;

use super::comparison::{GroundTruthSource, Start};
use super::history::{FrameOrigin, HistoryEntry, Route};
use super::params_fallback::start_player;
use super::thread::{SNAPSHOT_AFTER, SNAPSHOT_EVERY, SNAPSHOT_SHARE, SimLoop};
use super::{
    ActionScript, Command, ComparisonSource, Message, Session, TimelinePosition, headless,
};
use crate::Result;

/// Rendering more frames than this takes long enough for a notice.
const NOTICE_FRAMES: usize = 200;
/// At most this many frames of another branch are rendered for a comparison.
const MAX_COMPARISON_FRAMES: usize = 2048;

impl SimLoop<'_> {
    /// Continues at the position where an earlier thread ended.
    pub fn resume_from(&mut self, position: TimelinePosition) -> Result<()> {
        let paused = self.paused;
        // The last frame is shown a second time but counted once.
        self.sequence = self.exit.history.sequence.saturating_sub(1);
        self.script = self.exit.history.script.clone();
        self.exit.history.mark_changed();
        self.send_branches();
        self.go_to(position)?;
        self.paused = paused;
        Ok(())
    }

    /// Pauses and goes to a frame of the history.
    pub fn seek(&mut self, mut position: TimelinePosition) -> Result<()> {
        self.defer_commands();
        // While the user drags along the timeline, only the last position counts.
        while let Some(Command::Seek(later)) = self.deferred_commands.front() {
            position = *later;
            self.deferred_commands.pop_front();
        }
        // Going back hands control to the user.
        self.script = ActionScript::default();
        self.go_to(position)
    }

    fn go_to(&mut self, position: TimelinePosition) -> Result<()> {
        self.paused = true;
        self.pending_steps = 0;
        self.input_at = None;
        // A frame taken from a snapshot has no passes or attention to show.
        let by_step = self.tracing || self.inspecting;
        let Some(route) = self.exit.history.route(position, by_step) else {
            self.notice("this frame is no longer in the history");
            return Ok(());
        };
        if !self.follow_route(&route)? {
            return Ok(());
        }
        self.exit.history.move_to(position);
        let target = &route.target;
        (self.number, self.context, self.score) = (target.number, target.context, target.score);
        self.random_seed = self.random_seed.map(|_| target.params.seed);
        self.current_action = target.action();
        self.truth_source = self.truth_source_at(&route)?;
        self.frames_since_snapshot = route.steps.len();
        self.time_since_snapshot = Duration::ZERO;
        if let (Some(session), Some(id)) = (&mut self.exit.session, self.exit.history.id(position))
        {
            session.continue_from(id);
        }
        self.show_entry(target, position)
    }

    /// Brings the player to the end of a route; returns false if told to quit on the way.
    fn follow_route(&mut self, route: &Route) -> Result<bool> {
        if let Some(snapshot) = &route.snapshot {
            self.player.restore(snapshot)?;
        }
        for entry in &route.steps {
            if self.quit_requested() {
                return Ok(false);
            }
            self.replay_entry(entry)?;
        }
        Ok(true)
    }

    /// Moves all received commands to the deferred ones.
    fn defer_commands(&mut self) {
        while let Ok(command) = self.ports.commands.try_recv() {
            self.deferred_commands.push_back(command);
        }
    }

    fn quit_requested(&mut self) -> bool {
        self.defer_commands();
        self.deferred_commands.contains(&Command::Quit)
    }

    /// Makes a frame again as it was made.
    fn replay_entry(&mut self, entry: &HistoryEntry) -> Result<()> {
        match &entry.origin {
            FrameOrigin::Start(start) => {
                start_player(self.player.as_mut(), start, entry.context, &entry.params)?;
            }
            FrameOrigin::Step(action) => {
                self.player.step(*action, &entry.params)?;
            }
        }
        Ok(())
    }

    /// The ground truth at the end of a route, if the comparison is still the one of its start.
    fn truth_source_at(&self, route: &Route) -> Result<Option<GroundTruthSource>> {
        let Some((start, params, actions)) = &route.since_start else {
            return Ok(None);
        };
        if *start != self.comparison.start() {
            return Ok(None);
        }
        let (context, frames) = (route.target.context, self.player.context_frames());
        let started = GroundTruthSource::start(start, params, context, frames)?;
        let Some((mut truth_source, _)) = started else {
            return Ok(None);
        };
        for action in actions {
            truth_source.step(*action)?;
        }
        Ok(Some(truth_source))
    }

    pub fn count_frame(&mut self) {
        self.sequence += 1;
        self.exit.history.sequence = self.sequence;
        self.exit.history.script.clone_from(&self.script);
    }

    /// Takes a snapshot if one is due and would not cost much of the time.
    pub fn maybe_snapshot(&mut self) -> Result<()> {
        self.frames_since_snapshot += 1;
        let due = self.frames_since_snapshot >= SNAPSHOT_EVERY
            || self.time_since_snapshot >= SNAPSHOT_AFTER;
        if due && self.time_since_snapshot >= self.snapshot_time * SNAPSHOT_SHARE {
            let started = Instant::now();
            let snapshot = self.player.snapshot()?;
            self.exit.history.store_snapshot(snapshot);
            self.snapshot_time = started.elapsed();
            self.frames_since_snapshot = 0;
            self.time_since_snapshot = Duration::ZERO;
        }
        Ok(())
    }

    /// Sends the list of branches if it has changed.
    pub fn send_branches(&mut self) {
        if let Some(branches) = self.exit.history.take_changes() {
            self.ports.send_message(Message::Branches(branches));
        }
    }

    /// Changes what is shown next to the frames; a new ground truth resets.
    pub fn set_comparison(&mut self, comparison: ComparisonSource) -> Result<()> {
        let before = std::mem::replace(&mut self.comparison, comparison);
        let keep_on_device =
            self.comparison == ComparisonSource::Off && self.exit.session.is_none();
        self.player.set_keep_on_device(keep_on_device);
        let start = self.comparison.start();
        if start == Start::Context {
            self.truth_source = None;
            if let ComparisonSource::Branch(branch) = self.comparison {
                self.render_missing_images(branch)?;
            }
            self.show_current_frame()
        } else if start != before.start() {
            self.reset()
        } else {
            Ok(())
        }
    }

    /// Shows the current frame once more.
    pub fn show_current_frame(&mut self) -> Result<()> {
        let Some(position) = self.exit.history.position() else {
            return Ok(());
        };
        let Some(route) = self.exit.history.route(position, false) else {
            return Ok(());
        };
        self.show_entry(&route.target, position)
    }

    /// Shows the player's frame, which is that of `entry`.
    fn show_entry(&mut self, entry: &HistoryEntry, position: TimelinePosition) -> Result<()> {
        self.count_frame();
        let times = StageTimes::default();
        let mut frame = self.frame(entry.action(), None, times, entry.params)?;
        self.set_position(&mut frame, position);
        self.ports.send_frame(frame);
        Ok(())
    }

    /// The comparison image for a position, u8 RGB `[H, W, 3]`.
    pub fn comparison_image(&self, position: TimelinePosition) -> Option<Arc<[u8]>> {
        match &self.comparison {
            ComparisonSource::Off => None,
            ComparisonSource::Branch(branch) => {
                let branch = *branch;
                let end = self.exit.history.end(branch)?;
                // Past its end, the branch keeps showing its last frame.
                let index = position.index.min(end.checked_sub(1)?);
                self.exit.history.image(TimelinePosition { branch, index })
            }
            ComparisonSource::Simulator(_) | ComparisonSource::Episode(_) => {
                self.truth_source.as_ref()?.image().map(Into::into)
            }
        }
    }

    /// Renders the images that are missing from a branch's last episode, then returns to the
    /// current frame.
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
        if frames.len() > MAX_COMPARISON_FRAMES {
            self.notice(&format!(
                "only the last {MAX_COMPARISON_FRAMES} frames of the other branch are shown"
            ));
        }
        let shown = &frames[frames.len().saturating_sub(MAX_COMPARISON_FRAMES)..];
        self.replay_entries(shown, |sim, position, _| {
            let image = sim.player.image()?.into();
            sim.exit.history.store_image(position, image);
            Ok(())
        })
        .map(drop)
    }

    /// Answers [`Command::StoredImages`].
    pub fn send_images(&self, branch: u32, indices: &[usize], within: usize) {
        let history = &self.exit.history;
        let found = |&index: &usize| {
            let image = history.image_near(TimelinePosition { branch, index }, within)?;
            Some((index, image))
        };
        let images = indices.iter().filter_map(found).collect();
        self.ports
            .send_message(Message::StoredImages { branch, images });
    }

    /// Answers [`Command::RenderEpisode`]: renders the frames from the last start to `position`
    /// again as a recording, then returns to the current frame.
    pub fn render_episode(&mut self, position: TimelinePosition) -> Result<()> {
        let frames = self.exit.history.episode(position);
        if frames.len() > NOTICE_FRAMES {
            self.notice(&format!("rendering {} frames again …", frames.len()));
        }
        let mut session = Session::new(PathBuf::new());
        let complete = self.replay_entries(&frames, |sim, _, entry| {
            let (action, params) = (entry.action(), &entry.params);
            let player = sim.player.as_mut();
            let frame = headless::frame(player, entry.number, entry.context, action, params)?;
            if let Some(notice) = session.append(&frame, player)? {
                sim.notice(&notice);
            }
            Ok(())
        })?;
        if complete {
            let episode = Arc::new(session.into_episode());
            self.ports.send_message(Message::RenderedEpisode(episode));
        }
        Ok(())
    }

    /// Makes consecutive frames again, calling `each` after every one, then returns to the current
    /// frame. Returns false if the first frame is no longer in the history, or if told to quit on
    /// the way.
    fn replay_entries(
        &mut self,
        frames: &[(TimelinePosition, HistoryEntry)],
        mut each: impl FnMut(&mut Self, TimelinePosition, &HistoryEntry) -> Result<()>,
    ) -> Result<bool> {
        let Some(((first, entry), rest)) = frames.split_first() else {
            return Ok(false);
        };
        let Some(route) = self.exit.history.route(*first, false) else {
            return Ok(false);
        };
        let current = self.player.snapshot()?;
        let arrived = self.follow_route(&route)?;
        if arrived {
            each(self, *first, entry)?;
            for (position, entry) in rest {
                if self.quit_requested() {
                    return Ok(false);
                }
                self.replay_entry(entry)?;
                each(self, *position, entry)?;
            }
        }
        self.player.restore(&current)?;
        Ok(arrived)
    }
}
