//! Commands of the owner, as requests to the server; or answered here.

use std::sync::Arc;
use std::time::Instant;

use driftless_data::Action;
use driftless_engine::SamplerParams;
use driftless_serve::protocol::{MAX_REPEAT, PACES, Request};
use driftless_sim::{
    CaptureCommand, Command, ComparisonSource, EpisodeCommand, InputCommand, Message, Notice, Pace,
    PlaybackCommand, SamplerCommand, TimelineCommand,
};

use super::RemoteGame;
use crate::received::Found;

/// Inputs that no frame has reflected yet.
const MOST_INPUTS: usize = 64;

impl RemoteGame<'_> {
    /// The request that begins the game. What it cannot hold follows.
    pub(super) fn join(&mut self) -> Request {
        let wishes = &self.wishes;
        let info = self.world.info();
        let (pace, restart) = (wishes.pace, wishes.restart_at_end);
        let join = Request::Join {
            world: info.name.clone(),
            clip: wishes.clip.min(info.clips.saturating_sub(1)),
            seed: (!wishes.random_seed).then_some(wishes.params.seed),
            settings: self.world.changes(&self.world.params(), &wishes.params),
            pictures: wishes.pictures,
            paused: wishes.paused,
        };
        if fps(pace) != info.fps {
            self.outgoing.push(Request::Pace { fps: fps(pace) });
        }
        if !restart {
            self.outgoing.push(Request::Ends { restart });
        }
        join
    }

    /// Does what a command asks for.
    pub(super) fn ask(&mut self, command: Command) {
        match command {
            Command::Input(command) => self.ask_input(&command),
            Command::Sampler(SamplerCommand::Params(params)) => self.ask_params(params),
            Command::Sampler(SamplerCommand::RandomSeed(random)) => {
                self.wishes.random_seed = random;
                self.ask_seed();
            }
            Command::Playback(command) => self.ask_playback(command),
            Command::Episode(command) => self.ask_episode(command),
            Command::Timeline(command) => self.ask_timeline(command),
            Command::Capture(CaptureCommand::Measure(true)) => {
                self.say("A server measures neither drift nor surprise: their plots stay empty.");
            }
            Command::Capture(CaptureCommand::Trace(true) | CaptureCommand::Inspect(true)) => {
                self.say("A server sends no denoising steps, latents or attention.");
            }
            Command::Compare(source) => self.ask_comparison(&source),
            Command::Capture(_) | Command::Quit => {}
        }
    }

    fn say(&self, what: &str) {
        self.outbox.notice(Notice::Remote(what.to_owned()));
    }

    fn ask_input(&mut self, command: &InputCommand) {
        match *command {
            InputCommand::Hold { action, changed_at }
            | InputCommand::Release { action, changed_at } => {
                if action != self.held {
                    self.held = action;
                    let request = self.hold(changed_at);
                    self.outgoing.push(request);
                }
            }
            InputCommand::Autoplay(on) => self.outgoing.push(Request::Autoplay { on }),
            InputCommand::Repeat(frames) => {
                let frames = u32::try_from(frames).unwrap_or(MAX_REPEAT);
                let frames = frames.clamp(1, MAX_REPEAT);
                self.outgoing.push(Request::Repeat { frames });
            }
            InputCommand::Plan(0) => {}
            InputCommand::Plan(_) => self.say("An agent on a server does not plan."),
            InputCommand::Play(_) => self.say("A server takes no actions from a file."),
        }
    }

    /// The request that tells the server what is held.
    fn hold(&mut self, changed_at: Instant) -> Request {
        self.last_input = self.last_input.wrapping_add(1).max(1);
        if self.inputs.len() == MOST_INPUTS {
            self.inputs.pop_front();
        }
        self.inputs.push_back((self.last_input, changed_at));
        Request::hold(&self.held, self.last_input)
    }

    /// Tells the server what is held, which it has forgotten with the link.
    pub(super) fn hold_again(&mut self) {
        self.inputs.clear();
        if self.held != Action::IDLE {
            let request = self.hold(Instant::now());
            self.outgoing.push_first(request);
        }
    }

    fn ask_params(&mut self, params: SamplerParams) {
        let before = std::mem::replace(&mut self.wishes.params, params);
        let values = self.world.changes(&before, &params);
        if !values.is_empty() {
            self.outgoing.push(Request::Settings { values });
        }
        if params.seed != before.seed {
            self.ask_seed();
        }
    }

    fn ask_seed(&mut self) {
        let seed = (!self.wishes.random_seed).then_some(self.wishes.params.seed);
        self.outgoing.push(Request::Seed { seed });
    }

    fn ask_playback(&mut self, command: PlaybackCommand) {
        match command {
            PlaybackCommand::Step => {
                let last = self.stepping.unwrap_or(self.number);
                self.stepping = Some(last + 1);
            }
            PlaybackCommand::Resume => self.stepping = None,
            PlaybackCommand::Pause | PlaybackCommand::Pace(_) => {}
        }
        self.outgoing.push(match command {
            PlaybackCommand::Pause => Request::Pause { on: true },
            PlaybackCommand::Resume => Request::Pause { on: false },
            PlaybackCommand::Step => Request::Step {},
            PlaybackCommand::Pace(pace) => Request::Pace { fps: fps(pace) },
        });
    }

    fn ask_episode(&mut self, command: EpisodeCommand) {
        let clips = self.world.info().clips.max(1);
        let clip = match command {
            EpisodeCommand::Reset => None,
            EpisodeCommand::SelectClip(index) => Some(index),
            EpisodeCommand::NextClip => Some((self.wishes.clip + 1) % clips),
            EpisodeCommand::RestartAtEnd(restart) => {
                return self.outgoing.push(Request::Ends { restart });
            }
        };
        self.stepping = None;
        self.outgoing.push(Request::Reset { clip });
    }

    fn ask_timeline(&mut self, command: TimelineCommand) {
        let size = self.world.info().image;
        let axes = self.world.info().axes.len();
        match command {
            TimelineCommand::Seek(place) => {
                self.stepping = None;
                self.outgoing.push(Request::Seek {
                    branch: place.branch,
                    index: u32::try_from(place.index).unwrap_or(u32::MAX),
                });
            }
            TimelineCommand::NewBranch => self.outgoing.push(Request::NewBranch {}),
            TimelineCommand::DeleteBranch(branch) => {
                self.outgoing.push(Request::DeleteBranch { branch });
            }
            TimelineCommand::RestoreBranch => self.outgoing.push(Request::RestoreBranch {}),
            TimelineCommand::StoredImages {
                branch,
                indices,
                within,
            } => {
                let images = self.received.images(branch, &indices, within);
                self.outbox
                    .message(Message::StoredImages { branch, images });
            }
            // Without what a replay needs: that is with the server.
            TimelineCommand::RenderEpisode { request, end } => {
                self.answer(request, self.received.since_start(end, size, axes));
            }
            TimelineCommand::RecentFrames {
                request,
                end,
                frames,
            } => self.answer(request, self.received.recent(end, frames, size, axes)),
            TimelineCommand::Game { request, .. } => {
                self.outbox.message(Message::Game {
                    request,
                    game: None,
                });
            }
            TimelineCommand::CancelRender(_) => {}
        }
    }

    /// Gives the frames that were asked for, as far as they have come.
    fn answer(&self, request: u64, found: Found) {
        let Found { episode, missing } = found;
        if episode.frames() == 0 {
            self.say("None of these frames has come over the link.");
            return self.outbox.message(Message::RenderCancelled(request));
        }
        if missing > 0 {
            let all = missing + episode.frames();
            self.say(&format!(
                "{missing} of {all} frames did not come over the link and are left out."
            ));
        }
        let episode = Arc::new(episode);
        self.outbox
            .message(Message::RecentFrames { request, episode });
    }

    fn ask_comparison(&mut self, source: &ComparisonSource) {
        let request = match source {
            ComparisonSource::Off => Request::Truth { on: false },
            ComparisonSource::Simulator(_) => Request::Truth { on: true },
            ComparisonSource::Branch(branch) => Request::Beside { branch: *branch },
            ComparisonSource::Episode(_) => {
                return self.say("A server compares with no recorded episode.");
            }
        };
        self.outgoing.push(request);
    }
}

/// Frames per second within what servers allow.
fn fps(pace: Pace) -> f32 {
    match pace {
        Pace::Fps(fps) if fps.is_finite() => fps.clamp(*PACES.start(), *PACES.end()),
        Pace::Fps(_) | Pace::Unlimited => *PACES.end(),
    }
}
