//! Moves through the history: rewind, branches, resuming after a failure.

use super::frame_loop::StepDetails;
use super::ground_truth::start_player;
use super::history::{FrameOrigin, HistoryEntry, Route};
use super::sim_loop::SimLoop;
use super::{LearnedWorld, Message, Notice, TimelineCommand, TimelinePosition};
use crate::Result;

impl SimLoop {
    pub fn handle_timeline(&mut self, command: TimelineCommand) -> Result<()> {
        match command {
            TimelineCommand::Seek(position) => self.seek(position)?,
            TimelineCommand::NewBranch => {
                self.exit.history.fork();
                self.send_branches();
                self.show_current_frame()?;
            }
            TimelineCommand::DeleteBranch(branch) => {
                if !self.exit.history.drop_branch(branch) {
                    self.outbox.notice(Notice::CurrentBranch);
                }
                self.send_branches();
            }
            TimelineCommand::StoredImages {
                branch,
                indices,
                within,
            } => self.send_images(branch, &indices, within),
            TimelineCommand::RestoreBranch => {
                self.exit.history.restore_branch();
                self.send_branches();
            }
            TimelineCommand::RenderEpisode { request, end } => self.render_episode(request, end)?,
            TimelineCommand::RecentFrames {
                request,
                end,
                frames,
            } => self.recent_frames(request, end, frames)?,
            TimelineCommand::Game { request, end } => self.send_game(request, end)?,
            // That request is answered.
            TimelineCommand::CancelRender(_) => {}
        }
        Ok(())
    }

    /// Continues at the position where an earlier thread ended.
    pub fn resume_from(&mut self, position: TimelinePosition) -> Result<()> {
        let paused = self.pacer.is_paused();
        // The last frame is shown a second time but counted once.
        self.sequence = self.exit.history.sequence.saturating_sub(1);
        self.input.continue_script(self.exit.history.script.clone());
        self.exit.history.mark_changed();
        self.send_branches();
        self.go_to(position)?;
        self.pacer.set_paused(paused);
        Ok(())
    }

    /// Pauses and goes to a frame of the history.
    fn seek(&mut self, position: TimelinePosition) -> Result<()> {
        // While the user drags along the timeline, only the last position counts.
        let position = self.commands.last_seek(position);
        // Going back hands control to the user.
        self.input.stop_script();
        self.go_to(position)
    }

    fn go_to(&mut self, position: TimelinePosition) -> Result<()> {
        self.pacer.halt();
        self.input.take_changed_at();
        // A frame taken from a snapshot has no passes or attention to show.
        let by_step = self.capture.trace || self.capture.inspect;
        let Some(route) = self.exit.history.route(position, by_step) else {
            self.outbox.notice(Notice::FrameForgotten);
            return Ok(());
        };
        if !self.follow_route(&route)? {
            return Ok(());
        }
        self.exit.history.move_to(position);
        let target = &route.target;
        self.episode.go_to(target);
        self.params.continue_seed(target.params.seed);
        self.input.continue_after(target.action());
        let frames = self
            .player
            .learned()
            .map_or(0, LearnedWorld::context_frames);
        self.comparison.follow(&route, frames)?;
        self.snapshots.restart(route.steps.len());
        if let (Some(session), Some(id)) = (&mut self.exit.session, self.exit.history.id(position))
        {
            session.continue_from(id);
        }
        self.show_entry(target, position)
    }

    /// Brings the player to the end of a route; returns false if told to quit on the way.
    pub fn follow_route(&mut self, route: &Route) -> Result<bool> {
        if let Some(snapshot) = &route.snapshot {
            self.player.restore(snapshot)?;
        }
        for entry in &route.steps {
            if self.commands.quit_requested() {
                return Ok(false);
            }
            self.replay_entry(entry)?;
        }
        Ok(true)
    }

    /// Makes a frame again as it was made.
    pub fn replay_entry(&mut self, entry: &HistoryEntry) -> Result<()> {
        match &entry.origin {
            FrameOrigin::Start(start) => {
                start_player(self.player.as_mut(), start, entry.clip, &entry.params)?;
            }
            FrameOrigin::Step(action) => {
                self.player.step(*action, &entry.params)?;
            }
        }
        Ok(())
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
        let details = StepDetails::without_step(entry.params);
        let mut frame = self.frame(entry.action(), &details)?;
        self.place_frame(&mut frame, position);
        self.outbox.frame(frame);
        Ok(())
    }

    /// Sends the list of branches if it has changed.
    pub fn send_branches(&mut self) {
        if let Some(branches) = self.exit.history.take_changes() {
            self.outbox.message(Message::Branches(branches));
        }
    }
}
