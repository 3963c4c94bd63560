//! Makes frames: resets or steps the player, then stores, records and shows the result.

use std::sync::Arc;
use std::time::Instant;

use driftless_engine::{Outcome, SamplerParams, StageTimes};

use super::comparison::GroundTruthSource;
use super::history::{FrameOrigin, HistoryEntry};
use super::params_fallback::{start_player, with_fallback};
use super::thread::SimLoop;
use super::{Frame, FrameImage, TimelinePosition, TracedPass};
use crate::Result;

impl SimLoop<'_> {
    /// Resets to the starting context, or to the ground truth's first frames, and shows the last
    /// starting frame as frame 0. Keeps the current random seed.
    pub fn reset_with_seed(&mut self) -> Result<()> {
        let start = self.comparison.start();
        let (player, context) = (&mut self.player, self.context);
        let truth_source = &mut self.truth_source;
        let (params, ()) = with_fallback(
            self.ports,
            &mut self.requested_params,
            &mut self.working_params,
            self.random_seed,
            |params| {
                *truth_source = start_player(player.as_mut(), &start, context, params)?;
                Ok(())
            },
        )?;
        self.number = 0;
        self.score = 0.0;
        let origin = FrameOrigin::Start(start);
        self.finish_frame(origin, None, StageTimes::default(), params)
    }

    /// Makes one frame under the current action, or resets if the episode has ended.
    pub fn make_frame(&mut self) -> Result<()> {
        self.pending_steps = self.pending_steps.saturating_sub(1);
        let (takes_action, started) = (self.takes_action(), Instant::now());
        // An action that meets the end of an episode is lost, as in headless play.
        let own_action = self.next_action();
        let recorded_action = self
            .truth_source
            .as_ref()
            .and_then(GroundTruthSource::action);
        let action = recorded_action.unwrap_or(own_action);
        if self.ended {
            self.notice("the episode ended and starts again");
            return self.reset();
        }
        if let Some(truth_source) = &mut self.truth_source {
            truth_source.step(action)?;
        }
        let (params, times) = self.step_player(action)?;
        self.number += 1;
        let input_at = if takes_action {
            self.input_at.take()
        } else {
            None
        };
        self.finish_frame(FrameOrigin::Step(action), input_at, times, params)?;
        self.time_since_snapshot += started.elapsed();
        self.maybe_snapshot()
    }

    /// Steps the player; while measuring, also rates how surprising the true frame would be.
    fn step_player(&mut self, action: u32) -> Result<(SamplerParams, StageTimes)> {
        let (player, surprise) = (&mut self.player, &mut self.surprise);
        let true_image = self
            .truth_source
            .as_ref()
            .and_then(GroundTruthSource::image)
            .filter(|_| self.measuring);
        with_fallback(
            self.ports,
            &mut self.requested_params,
            &mut self.working_params,
            self.random_seed,
            |params| {
                *surprise = match true_image {
                    Some(image) => player.surprise(image, action, params)?,
                    None => None,
                };
                player.step(action, params)
            },
        )
    }

    /// The last frame's denoising passes as images; a failure is only a notice.
    fn traced_passes(&mut self) -> Arc<[TracedPass]> {
        let passes = self.player.passes().unwrap_or_else(|error| {
            self.notice(&error.to_string());
            Vec::new()
        });
        passes.into()
    }

    /// Counts, stores, records and shows the frame that the player has made.
    fn finish_frame(
        &mut self,
        origin: FrameOrigin,
        input_at: Option<Instant>,
        times: StageTimes,
        params: SamplerParams,
    ) -> Result<()> {
        let outcome = self.player.outcome().filter(|_| self.number > 0);
        self.score += outcome.map_or(0.0, |outcome| outcome.reward);
        let entry = HistoryEntry::new(origin, params, self.number, self.context, self.score);
        let action = entry.action();
        // A device fails here, before the history, the recording or the count know the frame.
        let mut frame = self.frame(action, input_at, times, params)?;
        let mut notice = None;
        if let Some(session) = &mut self.exit.session {
            notice = session.append(&frame, self.player.as_mut())?;
        }
        let position = self.exit.history.push(entry);
        self.count_frame();
        self.send_branches();
        frame.sequence = self.sequence;
        self.set_position(&mut frame, position);
        if let FrameImage::Bytes(bytes) = &frame.image {
            self.exit.history.store_image(position, Arc::clone(bytes));
        }
        if let (Some(session), Some(id)) = (&mut self.exit.session, self.exit.history.id(position))
        {
            session.set_last_id(id);
        }
        if let Some(notice) = notice {
            self.notice(&notice);
        }
        self.ports.send_frame(frame);
        Ok(())
    }

    /// Sets where a frame lies in the history, and its comparison frame.
    pub fn set_position(&self, frame: &mut Frame, position: TimelinePosition) {
        frame.position = position;
        frame.comparison = self.comparison_image(position);
    }

    /// The frame that the player has made, not yet at a position in the history.
    pub fn frame(
        &mut self,
        action: u32,
        input_at: Option<Instant>,
        times: StageTimes,
        params: SamplerParams,
    ) -> Result<Frame> {
        let truth = self.player.ground_truth();
        let outcome = self.player.outcome().filter(|_| self.number > 0);
        self.ended = match (&truth, &self.truth_source) {
            (Some(truth), _) => truth.ended,
            // Next to ground truth, its end counts and not the predicted one.
            (None, Some(truth_source)) => truth_source.ended(),
            (None, None) => outcome.is_some_and(Outcome::ends) && self.restart_at_end,
        };
        let image = match self.player.frame_texture() {
            Some(painting) => FrameImage::Texture(painting),
            None => FrameImage::Bytes(self.player.image()?.into()),
        };
        Ok(Frame {
            sequence: self.sequence,
            number: self.number,
            image,
            action,
            input_at,
            finished_at: Instant::now(),
            stage_times: times,
            params,
            context: self.context,
            trace: self.traced_passes(),
            inspection: self.player.inspection()?.map(Arc::new),
            ground_truth: truth,
            outcome,
            score: self.score,
            position: TimelinePosition::default(),
            comparison: None,
            drift: if self.measuring && self.number > 0 {
                self.player.drift()?
            } else {
                None
            },
            surprise: self.surprise.take(),
        })
    }
}
