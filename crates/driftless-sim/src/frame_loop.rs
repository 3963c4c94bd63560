//! Makes frames: resets or steps the player, then stores, records and shows the result.

use driftless_data::Action;
use std::sync::Arc;
use std::time::Instant;

use driftless_engine::{Outcome, SamplerParams, StageTimes};

use super::history::FrameOrigin;
use super::sim_loop::SimLoop;
use super::{
    Diagnostics, Frame, FrameImage, FrameTiming, LearnedWorld, Message, Notice, SamplerCommand,
    TimelinePosition,
};
use crate::Result;

/// Parameters and measurements of the step that made a frame.
pub(super) struct StepDetails {
    pub params: SamplerParams,
    pub stages: StageTimes,
    /// The surprise of the true frame, while measuring.
    pub surprise: Option<f32>,
    /// When the held action changed, if this frame is the first to reflect the change.
    pub input_at: Option<Instant>,
}

impl StepDetails {
    /// For a frame that was not made by a step.
    pub fn without_step(params: SamplerParams) -> Self {
        Self {
            params,
            stages: StageTimes::default(),
            surprise: None,
            input_at: None,
        }
    }
}

impl SimLoop {
    /// Starts from the current clip again, or the ground truth's first frames, with a new seed where
    /// seeds are random. Shows the last starting frame as frame 0.
    pub fn reset(&mut self) -> Result<()> {
        self.params.redraw_seed();
        let origin = FrameOrigin::Start(self.comparison.start());
        let Self {
            comparison,
            episode,
            outbox,
            player,
            ..
        } = self;
        let (params, ()) = self.params.apply(
            |rejected| outbox.message(rejected),
            |params| comparison.start_player(player.as_mut(), episode.clip, params),
        )?;
        self.episode.restart();
        self.finish_frame(origin, &StepDetails::without_step(params))
    }

    /// Makes one frame under the current action, or resets if the episode has ended.
    pub fn make_frame(&mut self) -> Result<()> {
        let (started, number) = (Instant::now(), self.episode.number);
        let takes_held = self.input.takes_held(number);
        // An action that meets the end of an episode is lost, as in headless play.
        let (own_action, notice) = self.input.next_action_in(self.player.as_mut(), number);
        self.outbox.notice(notice);
        let action = self.comparison.recorded_action().unwrap_or(own_action);
        if let Some(params) = self.input.take_changed_params() {
            self.params.handle(SamplerCommand::Params(params));
            self.outbox.message(Message::ParamsChanged(params));
        }
        // A game that is played again went on.
        if self.episode.ended && !self.input.is_from_game() {
            self.outbox.notice(Notice::EpisodeEnded);
            return self.reset();
        }
        self.comparison.step(action)?;
        let mut details = self.step_player(action)?;
        self.episode.number += 1;
        if takes_held {
            details.input_at = self.input.take_changed_at();
        }
        self.finish_frame(FrameOrigin::Step(action), &details)?;
        if self.snapshots.frame_made(started.elapsed()) {
            self.take_snapshot()?;
        }
        Ok(())
    }

    /// Steps the player; while measuring, also rates how surprising the true frame would be.
    fn step_player(&mut self, action: Action) -> Result<StepDetails> {
        let Self { outbox, player, .. } = self;
        let true_image = self.comparison.true_image();
        let true_image = true_image.filter(|_| self.capture.measure);
        let (params, (stages, surprise)) = self.params.apply(
            |rejected| outbox.message(rejected),
            |params| {
                let surprise = match (true_image, player.learned_mut()) {
                    (Some(image), Some(world)) => Some(world.surprise(image, action, params)?),
                    _ => None,
                };
                Ok((player.step(action, params)?, surprise))
            },
        )?;
        Ok(StepDetails {
            params,
            stages,
            surprise,
            input_at: None,
        })
    }

    fn take_snapshot(&mut self) -> Result<()> {
        let started = Instant::now();
        let snapshot = self.player.snapshot()?;
        self.exit.history.store_snapshot(snapshot);
        self.snapshots.snapshot_taken(started.elapsed());
        Ok(())
    }

    /// Counts, stores, records and shows the frame that the player has made.
    fn finish_frame(&mut self, origin: FrameOrigin, details: &StepDetails) -> Result<()> {
        self.episode.add_reward(self.outcome());
        let entry = self.episode.entry(origin, details.params);
        // A device fails here, before the history, the recording or the count know the frame.
        let mut frame = self.frame(entry.action(), details)?;
        let mut notice = None;
        if let Some(session) = &mut self.exit.session {
            notice = session.append(&frame, self.player.as_mut())?;
        }
        let position = self.exit.history.push(entry);
        self.count_frame();
        self.send_branches();
        self.place_frame(&mut frame, position);
        if let FrameImage::Bytes(bytes) = &frame.image {
            self.exit.history.store_image(position, Arc::clone(bytes));
        }
        if let (Some(session), Some(id)) = (&mut self.exit.session, self.exit.history.id(position))
        {
            session.set_last_id(id);
        }
        self.outbox.notice(notice);
        self.outbox.frame(frame);
        Ok(())
    }

    pub fn count_frame(&mut self) {
        self.sequence += 1;
        self.exit.history.sequence = self.sequence;
        self.exit.history.script.clone_from(self.input.script());
    }

    /// Sets the number of a frame that has been counted, where it lies in the history, and what is
    /// shown next to it.
    pub fn place_frame(&self, frame: &mut Frame, position: TimelinePosition) {
        frame.sequence = self.sequence;
        frame.position = position;
        frame.comparison = self.comparison.image(&self.exit.history, position);
    }

    /// The frame that the player has made, not yet at a position in the history.
    pub fn frame(&mut self, action: Action, details: &StepDetails) -> Result<Frame> {
        let truth = self.player.ground_truth();
        let prediction = self.episode.prediction(self.outcome());
        let truth_ended = self.comparison.truth_ended();
        self.episode
            .note_end(truth.as_ref(), truth_ended, prediction.outcome);
        let learned = self.player.learned();
        let image = match learned.and_then(LearnedWorld::frame_texture) {
            Some(texture) => FrameImage::Texture(texture),
            None => FrameImage::Bytes(self.player.image()?.into()),
        };
        Ok(Frame {
            number: self.episode.number,
            clip: self.episode.clip,
            action,
            params: details.params,
            prediction,
            ground_truth: truth,
            timing: FrameTiming {
                input_at: details.input_at,
                finished_at: Instant::now(),
                stages: details.stages,
            },
            diagnostics: self.diagnostics(details.surprise)?,
            ..Frame::new(image)
        })
    }

    fn diagnostics(&mut self, surprise: Option<f32>) -> Result<Diagnostics> {
        let Some(world) = self.player.learned_mut() else {
            return Ok(Diagnostics::default());
        };
        // A failure is only a notice.
        let passes = world.passes().unwrap_or_else(|error| {
            self.outbox.notice(Notice::PassesFailed(error.to_string()));
            Vec::new()
        });
        let measured = self.capture.measure && self.episode.number > 0;
        let plays = self.input.plays_itself();
        let decision = plays.then(|| world.decide()).transpose()?.flatten();
        Ok(Diagnostics {
            trace: passes.into(),
            inspection: world.inspection()?.map(Arc::new),
            drift: measured.then(|| world.drift()).transpose()?,
            surprise,
            decision: decision.map(Arc::new),
        })
    }

    /// What the player predicts besides the last frame.
    fn outcome(&self) -> Option<Outcome> {
        self.player.outcome()
    }
}
