//! What a player asks for.

use std::time::Instant;

use driftless_data::Action;
use driftless_sim::{
    Command, ComparisonSource, EpisodeCommand, InputCommand, Pace, PlaybackCommand, SamplerCommand,
    TimelineCommand, TimelinePosition,
};
use serde_json::{Map, Value};

use super::{Game, MOST_INPUTS};
use crate::metrics::Refusal;
use crate::protocol::{Reply, Request};

impl Game {
    /// Does what the player asks for.
    pub(super) fn request(&mut self, request: Request, at: Instant) {
        match request {
            Request::Hold {
                action,
                axes,
                input,
            } => self.hold(Action::with_axes(action, &axes), input, at),
            Request::Ack { frame } => self.acknowledge(frame, at),
            Request::Settings { values } => self.change_settings(&values),
            Request::Pace { fps } => {
                self.fps = fps;
                self.command(PlaybackCommand::Pace(Pace::Fps(fps)));
            }
            Request::Seed { seed } => self.change_seed(seed),
            Request::Repeat { frames } => self.command(InputCommand::Repeat(frames.into())),
            Request::Autoplay { on } => self.command(InputCommand::Autoplay(on)),
            Request::Ends { restart } => self.command(EpisodeCommand::RestartAtEnd(restart)),
            Request::NewBranch {} => self.command(TimelineCommand::NewBranch),
            Request::DeleteBranch { branch } => {
                self.command(TimelineCommand::DeleteBranch(branch));
            }
            Request::RestoreBranch {} => self.command(TimelineCommand::RestoreBranch),
            Request::Pause { on } => {
                (self.paused, self.resumes) = (on, false);
                self.command(if on {
                    PlaybackCommand::Pause
                } else {
                    PlaybackCommand::Resume
                });
                self.show_again();
            }
            Request::Step {}
            | Request::Reset { .. }
            | Request::Seek { .. }
            | Request::Truth { .. }
            | Request::Beside { .. } => {
                // One at a time; of those that come meanwhile, the newest.
                if self.busy {
                    self.next = Some(request);
                } else {
                    self.make(&request);
                }
            }
            Request::Pictures { pictures } => self.choice.set_wanted(pictures),
            Request::Leave {} => self.over = true,
            // The connection answers these.
            Request::Hello { .. }
            | Request::Join { .. }
            | Request::Resume { .. }
            | Request::Latency { .. } => {}
        }
    }

    /// Does what asks for a frame of its own.
    pub(super) fn make(&mut self, request: &Request) {
        self.busy = true;
        match *request {
            Request::Step {} => {
                (self.paused, self.resumes) = (true, false);
                self.command(PlaybackCommand::Step);
            }
            Request::Seek { branch, index } => {
                (self.paused, self.resumes) = (true, false);
                let index = index as usize;
                self.command(TimelineCommand::Seek(TimelinePosition { branch, index }));
            }
            Request::Reset { clip } => self.reset(clip),
            Request::Truth { on } => self.show_truth(on),
            Request::Beside { branch } => {
                self.command(Command::Compare(ComparisonSource::Branch(branch)));
            }
            _ => {}
        }
    }

    fn hold(&mut self, action: Action, input: u32, at: Instant) {
        let info = self.world.info();
        if let Err(what) = action.check(info.actions.len(), info.axes.len()) {
            return self.refuse(what);
        }
        self.releases = false;
        if self.inputs.len() == MOST_INPUTS {
            self.inputs.pop_front();
        }
        self.inputs.push_back((at, input));
        // Over a link, a key can come and go between two frames: it counts all the same.
        self.command(InputCommand::Release {
            action,
            changed_at: at,
        });
    }

    fn acknowledge(&mut self, frame: u32, at: Instant) {
        if let Some(took) = self.link.acknowledge(frame, at) {
            self.choice.acknowledged(took);
            if self.broken_since.is_none() {
                self.go_on();
            }
        }
    }

    fn change_settings(&mut self, values: &Map<String, Value>) {
        match self.world.settings().changed(self.params, values) {
            Ok(params) => {
                self.params = params;
                self.command(SamplerCommand::Params(params));
                self.say_settings(None);
            }
            Err(reason) => {
                self.metrics.refuse(Refusal::Request);
                self.say_settings(Some(reason));
            }
        }
    }

    fn change_seed(&mut self, seed: Option<u64>) {
        if let Some(seed) = seed {
            self.params.seed = seed;
            self.command(SamplerCommand::Params(self.params));
        }
        self.command(SamplerCommand::RandomSeed(seed.is_none()));
    }

    fn reset(&mut self, clip: Option<usize>) {
        let clips = self.world.info().clips;
        match clip {
            Some(clip) if clip >= clips => {
                let most = clips.saturating_sub(1);
                self.refuse(format!(
                    "starting clip {clip} does not exist, expected 0 to {most}"
                ));
            }
            Some(clip) => self.command(EpisodeCommand::SelectClip(clip)),
            None => self.command(EpisodeCommand::Reset),
        }
    }

    fn show_truth(&mut self, on: bool) {
        let source = match (on, self.world.simulator()) {
            (false, _) => ComparisonSource::Off,
            (true, Some(kind)) => ComparisonSource::Simulator(kind),
            (true, None) => {
                return self.refuse("this world has no simulator to compare with".into());
            }
        };
        self.command(Command::Compare(source));
    }

    fn refuse(&mut self, reason: String) {
        self.metrics.refuse(Refusal::Request);
        self.say(Reply::Refused { reason });
    }

    /// Says which settings are in use, and why they are not those that were asked for.
    pub(super) fn say_settings(&mut self, refused: Option<String>) {
        let values = self.world.settings().values(&self.params);
        self.say(Reply::Settings { values, refused });
    }
}
