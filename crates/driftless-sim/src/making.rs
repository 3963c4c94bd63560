//! One frame after another: started, made, counted, kept and shown.

use std::sync::Arc;
use std::time::Instant;

use super::history::{Entry, Made};
use super::thread::World;
use super::tried::{begin, tried};
use super::truth::Reality;
use super::{Frame, Message, Picture, Place, TracedPass};
use crate::Result;
use driftless_engine::{Outcome, SamplerParams, StageTimes};

impl World<'_> {
    /// Starts the context, or what the truth starts from, and shows its last frame as frame 0.
    pub fn reset_with_seed(&mut self) -> Result<()> {
        let start = self.beside.start();
        let (player, reality, context) = (&mut self.player, &mut self.reality, self.context);
        let params = tried(
            self.ports,
            &mut self.wanted,
            &mut self.kept,
            self.free_seed,
            |params| {
                *reality = begin(player.as_mut(), &start, context, params)?;
                Ok(())
            },
        )?
        .0;
        self.number = 0;
        self.score = 0.0;
        self.finish(Made::Start(start), None, StageTimes::default(), params)
    }

    /// Makes one frame under the action held right now, or starts again after an episode's end.
    pub fn play(&mut self) -> Result<()> {
        self.steps = self.steps.saturating_sub(1);
        // An action that meets an episode's end is lost, as it is headless.
        let (takes, started) = (self.takes_action(), Instant::now());
        let own = self.action();
        let given = self.reality.as_ref().and_then(Reality::action);
        let action = given.unwrap_or(own);
        if self.ended {
            self.notice("the episode ended; it starts again");
            return self.reset();
        }
        let (player, surprise) = (&mut self.player, &mut self.surprise);
        if let Some(reality) = &mut self.reality {
            reality.step(action)?;
        }
        let truth = self.reality.as_ref().and_then(Reality::image);
        let truth = truth.filter(|_| self.measuring);
        let (params, times) = tried(
            self.ports,
            &mut self.wanted,
            &mut self.kept,
            self.free_seed,
            |params| {
                *surprise = match truth {
                    Some(image) => player.surprise(image, action, params)?,
                    None => None,
                };
                player.step(action, params)
            },
        )?;
        self.number += 1;
        let reflects = match takes {
            true => self.key_changed.take(),
            false => None,
        };
        self.finish(Made::Step(action), reflects, times, params)?;
        self.played += started.elapsed();
        self.save()
    }

    /// The passes of the last frame as pictures.
    fn trace(&mut self) -> Arc<[TracedPass]> {
        let passes = self.player.passes().unwrap_or_else(|error| {
            self.ports.say(Message::Notice(error.to_string()));
            Vec::new()
        });
        passes.into()
    }

    /// Counts, keeps, records and shows the frame that the player has made.
    fn finish(
        &mut self,
        made: Made,
        reflects: Option<Instant>,
        times: StageTimes,
        params: SamplerParams,
    ) -> Result<()> {
        let outcome = self.player.outcome().filter(|_| self.number > 0);
        self.score += outcome.map_or(0.0, |outcome| outcome.reward);
        let entry = Entry::new(made, params, self.number, self.context, self.score);
        let action = entry.action();
        // What fails on a device fails here, before anything counts the frame.
        let mut frame = self.frame(action, reflects, times, params)?;
        let mut notice = None;
        if let Some(session) = &mut self.left.session {
            notice = session.append(&frame, self.player.as_mut())?;
        }
        let place = self.left.history.push(entry);
        self.count();
        self.tell_branches();
        frame.sequence = self.sequence;
        self.put_at(&mut frame, place);
        if let Picture::Bytes(bytes) = &frame.image {
            self.left.history.keep_picture(place, Arc::clone(bytes));
        }
        if let (Some(session), Some(id)) = (&mut self.left.session, self.left.history.id(place)) {
            session.name_last(id);
        }
        if let Some(notice) = notice {
            self.ports.say(Message::Notice(notice));
        }
        self.ports.show(frame);
        Ok(())
    }

    /// Tells where a frame lies, and what is beside it there.
    pub fn put_at(&self, frame: &mut Frame, place: Place) {
        frame.place = place;
        frame.beside = self.beside_frame(place);
    }

    /// The frame that the player has made, at no place yet.
    pub fn frame(
        &mut self,
        action: u32,
        reflects: Option<Instant>,
        times: StageTimes,
        params: SamplerParams,
    ) -> Result<Frame> {
        let truth = self.player.truth();
        let outcome = self.player.outcome().filter(|_| self.number > 0);
        let foreseen = outcome.is_some_and(Outcome::ends);
        let over = match (&truth, &self.reality) {
            (Some(truth), _) => truth.ended,
            // Beside the truth, what it does counts and not what is foreseen.
            (None, Some(reality)) => reality.ended(),
            (None, None) => foreseen && self.ends_restart,
        };
        self.ended = over;
        let image = match self.player.painting() {
            Some(painting) => Picture::Painting(painting),
            None => Picture::Bytes(self.player.image()?.into()),
        };
        Ok(Frame {
            sequence: self.sequence,
            number: self.number,
            image,
            action,
            reflects,
            made: Instant::now(),
            times,
            params,
            context: self.context,
            trace: self.trace(),
            inspect: self.player.inspection()?.map(Arc::new),
            truth,
            outcome,
            score: self.score,
            place: Place::default(),
            beside: None,
            drift: match self.measuring && self.number > 0 {
                true => self.player.drift()?,
                false => None,
            },
            surprise: self.surprise.take(),
        })
    }
}
