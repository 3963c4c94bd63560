//! A player's game: what the player asks for goes in, frames and words come out.

mod requests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use driftless_data::Action;
use driftless_engine::SamplerParams;
use driftless_sim::{
    Command, Frame, History, HistoryLimits, InputCommand, Message, Notice, Pace, PlaybackCommand,
    PolledSim, RecordOptions, Session, SimOptions, Turn,
};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::link::Link;
use crate::metrics::{Metrics, Refusal, count};
use crate::pictures::PictureChoice;
use crate::pool::Task;
use crate::protocol::{BranchReply, Pictures, Reply, Request};
use crate::sending::{self, Outgoing};
use crate::world::ServedWorld;

/// The most requests that a turn handles.
const REQUESTS_PER_TURN: usize = 32;
/// Inputs that no frame has reflected yet.
const MOST_INPUTS: usize = 64;

/// What a game is told.
pub enum Control {
    /// By its player, at this moment.
    Request(Request, Instant),
    /// A player's link and its number, instead of any before.
    Attach(u64, mpsc::Sender<Outgoing>),
    /// The link with this number is broken.
    Detach(u64),
    /// To end.
    Finish,
}

/// How a game begins.
pub struct Start {
    /// Index of the starting clip.
    pub clip: usize,
    /// The seed; `None` draws one at every start.
    pub seed: Option<u64>,
    /// The sampler parameters.
    pub params: SamplerParams,
    /// How pictures are sent.
    pub pictures: Pictures,
    /// Whether it waits at its first frame.
    pub paused: bool,
    /// The recording, if there is one.
    pub record: Option<RecordOptions>,
}

/// What all games of a server have in common.
#[derive(Clone, Copy, Debug)]
pub struct GameLimits {
    /// How long a game is kept when its link breaks.
    pub kept: Duration,
    /// After this long without an acknowledgement, the game pauses.
    pub stalled: Duration,
    /// The most frames of a recording.
    pub recorded: usize,
    /// Memory for going back.
    pub history: HistoryLimits,
}

/// A game as a task of the pool.
pub struct Game {
    world: Arc<ServedWorld>,
    limits: GameLimits,
    metrics: Arc<Metrics>,
    controls: Receiver<Control>,
    /// Removes the game from the list of those that can be resumed.
    on_end: Box<dyn FnOnce() + Send>,
    start: Option<Start>,
    sim: Option<PolledSim>,
    out: Option<mpsc::Sender<Outgoing>>,
    /// The number of the link.
    attached: Option<u64>,
    params: SamplerParams,
    fps: f32,
    paused: bool,
    link: Link,
    choice: PictureChoice,
    /// When inputs came, and their numbers.
    inputs: VecDeque<(Instant, u32)>,
    /// The newest frame, while it waits to be sent, and the input that it reflects.
    waiting: Option<Waiting>,
    shown: Option<Frame>,
    /// As they were told last.
    branches: Vec<BranchReply>,
    broken_since: Option<Instant>,
    /// Whether the game was paused because nobody looks, and goes on when somebody does.
    resumes: bool,
    over: bool,
    /// Whether keys go up as soon as the frame that was asked for under them is made.
    releases: bool,
    /// Whether a request that costs a frame of its own is under way, and the newest that came meanwhile.
    busy: bool,
    next: Option<Request>,
}

/// A frame that waits to be sent.
struct Waiting {
    frame: Frame,
    /// The input that it, or one that it replaces, is the first to reflect.
    input: Option<(Instant, u32)>,
}

impl Game {
    /// A game that starts at its first turn.
    pub fn new(
        world: Arc<ServedWorld>,
        start: Start,
        limits: GameLimits,
        metrics: Arc<Metrics>,
        controls: Receiver<Control>,
        on_end: Box<dyn FnOnce() + Send>,
    ) -> Self {
        Self {
            limits,
            metrics,
            controls,
            on_end,
            sim: None,
            out: None,
            attached: None,
            params: start.params,
            fps: world.info().fps,
            paused: start.paused,
            link: Link::default(),
            choice: PictureChoice::new(start.pictures),
            inputs: VecDeque::new(),
            waiting: None,
            shown: None,
            branches: Vec::new(),
            broken_since: None,
            resumes: false,
            over: false,
            releases: false,
            busy: false,
            next: None,
            start: Some(start),
            world,
        }
    }

    /// Makes the first frame.
    fn begin(&mut self, start: Start) -> driftless_sim::Result<()> {
        let options = SimOptions {
            clip: start.clip,
            params: SamplerParams {
                seed: start.seed.unwrap_or_default(),
                ..start.params
            },
            random_seed: start.seed.is_none(),
            paused: start.paused,
            pace: Pace::Fps(self.fps),
            resume_from: Some(Arc::new(History::limited(self.limits.history))),
            ..SimOptions::new(self.world.factory())
        };
        self.params = options.params;
        let session = start.record.map(Session::new);
        let session = session.map(|session| session.at_most(self.limits.recorded));
        self.sim = Some(PolledSim::start(&options, session)?);
        Ok(())
    }

    fn command(&self, command: impl Into<Command>) {
        if let Some(sim) = &self.sim {
            // The other end is in the same game.
            let _ = sim.commands().send(command.into());
        }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Request(request, at) => self.request(request, at),
            Control::Attach(link, out) => {
                (self.out, self.attached) = (Some(out), Some(link));
                // Over this link nothing is held yet; the one before may not be known to be broken.
                self.releases = true;
                self.inputs.clear();
                self.link.restart();
                self.broken_since = None;
                self.go_on();
                if !self.busy {
                    self.show_again();
                }
                self.say_settings(None);
                if !self.branches.is_empty() {
                    // They may have changed while there was no link.
                    self.say_branches();
                }
            }
            Control::Detach(link) => {
                if self.attached == Some(link) {
                    self.lose_link();
                }
            }
            Control::Finish => self.over = true,
        }
    }

    /// Sends the frame where the game stands once more, with what is true of it now.
    fn show_again(&mut self) {
        if self.waiting.is_none() {
            let shown = self.shown.clone();
            self.waiting = shown.map(|frame| Waiting { frame, input: None });
        }
    }

    /// Pauses until the player is back, or for good.
    fn lose_link(&mut self) {
        (self.out, self.attached) = (None, None);
        self.waiting = None;
        self.broken_since = Some(Instant::now());
        // Nobody holds a key any more.
        self.releases = true;
        self.inputs.clear();
        self.next = None;
        self.wait_for_player();
    }

    /// Releases what a player held whose link is broken.
    fn release(&mut self) {
        if !self.busy && std::mem::take(&mut self.releases) {
            let changed_at = Instant::now();
            self.command(InputCommand::Hold {
                action: Action::IDLE,
                changed_at,
            });
        }
    }

    fn wait_for_player(&mut self) {
        if !self.paused {
            self.command(PlaybackCommand::Pause);
            (self.paused, self.resumes) = (true, true);
        }
    }

    fn go_on(&mut self) {
        if std::mem::take(&mut self.resumes) {
            self.command(PlaybackCommand::Resume);
            self.paused = false;
        }
    }

    /// Says something to the player. One who does not read loses the link.
    #[expect(clippy::needless_pass_by_value, reason = "replies are made to be sent")]
    fn say(&mut self, reply: Reply) {
        let Some(out) = &self.out else {
            return;
        };
        if let Err(error) = out.try_send(Outgoing::Text(reply.to_json())) {
            if matches!(error, TrySendError::Full(_)) {
                self.metrics.refuse(Refusal::Silent);
            }
            self.lose_link();
        }
    }

    fn say_branches(&mut self) {
        let branches = self.branches.clone();
        self.say(Reply::Branches { branches });
    }

    /// Passes on what the game says.
    fn pass_on_messages(&mut self) {
        let Some(sim) = &self.sim else {
            return;
        };
        let messages: Vec<Message> = sim.messages().try_iter().collect();
        for message in messages {
            match message {
                Message::Notice(Notice::EpisodeEnded) => self.say(Reply::EpisodeEnded {}),
                Message::Notice(Notice::AutoplayStopped) => self.say(Reply::AutoplayStopped {}),
                Message::Notice(notice) => self.say(Reply::Notice {
                    text: notice.to_string(),
                }),
                Message::ParamsRejected { reason, active } => {
                    self.params = active;
                    self.say_settings(Some(reason));
                }
                Message::ParamsChanged(params) => {
                    self.params = params;
                    self.say_settings(None);
                }
                Message::Branches(branches) => {
                    let replies = branches.iter().map(|info| BranchReply {
                        branch: info.branch,
                        parent: info.parent,
                        fork: info.fork_index,
                        first: info.first,
                        end: info.end,
                    });
                    self.branches = replies.collect();
                    self.say_branches();
                }
                Message::Failed { reason, .. } => {
                    tracing::error!("a game of {} failed: {reason}", self.world.info().name);
                    self.say(Reply::Ended { reason });
                }
                _ => {}
            }
        }
    }

    /// Takes the newest frame, which replaces one that still waits.
    fn take_frame(&mut self) {
        let Some(frame) = self.sim.as_ref().and_then(PolledSim::take_frame) else {
            return;
        };
        count(&self.metrics.frames, 1);
        if frame.number > 0 {
            self.metrics.making.add(frame.timing.stages.total());
        }
        let mut input = None;
        if let Some(changed_at) = frame.timing.input_at {
            while let Some((at, number)) = self.inputs.pop_front() {
                if at == changed_at {
                    input = Some((at, number));
                    break;
                }
            }
        }
        self.shown = Some(frame.clone());
        if self.out.is_none() {
            return;
        }
        let before = self.waiting.take();
        if let Some(before) = before {
            count(&self.metrics.replaced, 1);
            input = before.input.or(input);
        }
        self.waiting = Some(Waiting { frame, input });
    }

    /// Sends the newest frame if the link is free.
    fn send_frame(&mut self) {
        let now = Instant::now();
        if !self.link.is_free(self.fps) {
            let since = self.link.waiting_since();
            if since.is_some_and(|since| now.duration_since(since) > self.limits.stalled) {
                self.wait_for_player();
            }
            return;
        }
        let (Some(Waiting { frame, input }), Some(out)) = (self.waiting.take(), &self.out) else {
            return;
        };
        let sent = sending::Sent {
            frame: self.link.send(now),
            input,
            format: self.choice.format(),
            paused: self.paused,
            size: self.world.info().image,
            axes: self.world.info().axes.len(),
        };
        match sending::message(&frame, &sent) {
            Ok(bytes) => {
                let length = bytes.len() as u64;
                if out.try_send(Outgoing::Frame(bytes)).is_err() {
                    return self.lose_link();
                }
                count(&self.metrics.sent, 1);
                count(&self.metrics.bytes, length);
            }
            Err(error) => {
                let reason = error.to_string();
                self.say(Reply::Ended { reason });
                self.over = true;
            }
        }
    }

    /// When a game without a link ends.
    fn expires(&self) -> Option<Instant> {
        self.broken_since.map(|since| since + self.limits.kept)
    }
}

impl Task for Game {
    fn turn(&mut self) -> Turn {
        if let Some(start) = self.start.take()
            && let Err(error) = self.begin(start)
        {
            let reason = error.to_string();
            // The link comes as the first control.
            while let Ok(control) = self.controls.try_recv() {
                self.control(control);
            }
            self.say(Reply::Ended { reason });
            return Turn::Ended;
        }
        let mut more = true;
        for _ in 0..REQUESTS_PER_TURN {
            let Ok(control) = self.controls.try_recv() else {
                more = false;
                break;
            };
            self.control(control);
        }
        self.release();
        let turn = self.sim.as_mut().map_or(Turn::Ended, PolledSim::turn);
        self.busy &= turn == Turn::Again;
        more |= self.releases;
        if let Some(next) = self.next.take_if(|_| !self.busy) {
            self.make(&next);
            more = true;
        }
        self.take_frame();
        self.pass_on_messages();
        self.send_frame();
        let expires = self.expires();
        let expired = expires.is_some_and(|at| at <= Instant::now());
        match turn {
            _ if self.over || expired => Turn::Ended,
            Turn::Ended => Turn::Ended,
            _ if more => Turn::Again,
            Turn::Idle => expires.map_or(Turn::Idle, Turn::Due),
            turn => turn,
        }
    }

    fn end(self: Box<Self>) {
        let session = self.sim.and_then(|sim| sim.finish().session);
        // A game that was only looked at is no recording.
        if let Some(session) = session {
            if session.frames() > 1 {
                match session.write() {
                    Ok(Some(path)) => {
                        count(&self.metrics.recordings, 1);
                        tracing::info!("wrote {}", path.display());
                    }
                    Ok(None) => {}
                    Err(error) => tracing::error!("{error}"),
                }
            } else {
                session.discard();
            }
        }
        (self.on_end)();
    }
}
