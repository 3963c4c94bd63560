//! What the server says and sends, as messages and frames for the owner. What cannot be is an error.

use std::sync::Arc;
use std::time::{Duration, Instant};

use driftless_engine::{Outcome, SamplerParams, StageTimes};
use driftless_serve::protocol::{BranchReply, FrameHeader, Reply, Request};
use driftless_sim::{
    BranchInfo, Frame, FrameImage, FrameTiming, Message, Notice, Prediction, TimelinePosition,
};
use serde_json::{Map, Value};

use super::RemoteGame;
use crate::pictures::decode;
use crate::socket::shown;

/// The most branches that a server may have.
const MOST_BRANCHES: usize = 256;
/// The longest latency that a server is told of, in milliseconds.
const MOST_MS: f32 = 60_000.0;

impl RemoteGame<'_> {
    /// Passes on what the server says.
    ///
    /// # Errors
    /// Returns what it should not have said.
    pub(super) fn hear(&mut self, reply: Reply) -> Result<(), String> {
        match reply {
            Reply::Settings {
                values,
                refused: Some(reason),
            } => self.settings_refused(&reason, &values),
            Reply::Branches { branches } => self.take_branches(&branches)?,
            Reply::Notice { text } => self.outbox.notice(Notice::Remote(shown(&text))),
            Reply::EpisodeEnded {} => self.outbox.notice(Notice::EpisodeEnded),
            Reply::AutoplayStopped {} => self.outbox.notice(Notice::AutoplayStopped),
            Reply::Refused { reason } => self.outbox.notice(Notice::Remote(shown(&reason))),
            // The owner has asked for these settings, and the connection hears of an end.
            Reply::Settings { refused: None, .. }
            | Reply::Welcome { .. }
            | Reply::Joined { .. }
            | Reply::Ended { .. } => {}
        }
        Ok(())
    }

    fn settings_refused(&mut self, reason: &str, values: &Map<String, Value>) {
        let active = self.world.over(self.wishes.params, values);
        self.wishes.params = active;
        self.outbox.message(Message::ParamsRejected {
            reason: shown(reason),
            active,
        });
    }

    fn take_branches(&mut self, branches: &[BranchReply]) -> Result<(), String> {
        let sound = |b: &BranchReply| b.first <= b.end && b.fork <= b.end;
        if branches.len() > MOST_BRANCHES || !branches.iter().all(sound) {
            return Err("branches that cannot be".into());
        }
        let infos = branches.iter().map(|reply| BranchInfo {
            branch: reply.branch,
            parent: reply.parent,
            fork_index: reply.fork,
            first: reply.first,
            end: reply.end,
        });
        let infos: Vec<_> = infos.collect();
        self.received.set_branches(&infos);
        self.outbox.message(Message::Branches(infos));
        Ok(())
    }

    /// Passes on a frame.
    ///
    /// # Errors
    /// Returns what is wrong with it.
    pub(super) fn take_frame(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (header, picture, truth) =
            FrameHeader::parse(bytes).ok_or("a frame that is damaged")?;
        self.world.check(&header)?;
        let size = self.world.info().image;
        let image: Arc<[u8]> = decode(header.format, picture, size)?.into();
        let comparison = match truth {
            [] => None,
            truth => Some(decode(header.format, truth, size)?.into()),
        };
        self.wishes.clip = header.clip as usize;
        let frame = Frame {
            comparison,
            ..self.frame(&header, Arc::clone(&image))
        };
        self.received.add(&frame, image);
        self.step_again();
        self.outgoing.push(Request::Ack {
            frame: header.frame,
        });
        if let Some(at) = frame.timing.input_at {
            let ms = (at.elapsed().as_secs_f32() * 1e3).min(MOST_MS);
            self.outgoing.push(Request::Latency { ms });
        }
        self.outbox.frame(frame);
        Ok(())
    }

    /// Asks once more for a step that a broken link took with it.
    fn step_again(&mut self) {
        if let Some(expected) = self.lost_step.take()
            && self.number + 1 == expected
        {
            self.stepping = Some(expected);
            self.outgoing.push(Request::Step {});
        } else if self
            .stepping
            .is_some_and(|expected| expected <= self.number)
        {
            self.stepping = None;
        }
    }

    fn frame(&mut self, header: &FrameHeader, image: Arc<[u8]>) -> Frame {
        let number = u64::from(header.number);
        // A start and a step back are one frame; a gap is of frames that the link had no room for.
        self.sequence += number.saturating_sub(self.number).max(1);
        self.number = number;
        let outcome = header.outcome.map(|[reward, end]| Outcome {
            reward,
            end,
            motion: None,
        });
        let made = Duration::try_from_secs_f32(header.made_ms / 1e3).unwrap_or_default();
        Frame {
            sequence: self.sequence,
            number,
            position: TimelinePosition {
                branch: header.branch,
                index: header.index as usize,
            },
            clip: header.clip as usize,
            action: header.action,
            params: SamplerParams {
                seed: header.seed,
                ..self.wishes.params
            },
            prediction: Prediction {
                outcome,
                score: header.score,
            },
            timing: FrameTiming {
                input_at: self.input_at(header.input),
                finished_at: Instant::now(),
                stages: StageTimes {
                    // Its stages are not told apart.
                    denoise: made,
                    ..StageTimes::default()
                },
            },
            ..Frame::new(FrameImage::Bytes(image))
        }
    }

    /// When the input that a frame is the first to reflect was made.
    fn input_at(&mut self, number: u32) -> Option<Instant> {
        let place = self.inputs.iter().position(|(known, _)| *known == number)?;
        self.inputs.drain(..=place).next_back().map(|(_, at)| at)
    }
}
