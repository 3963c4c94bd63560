//! The game: a session, its world-model thread, and the newest frame.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eframe::egui::Key;

use driftless_agent::Decision;
use driftless_data::Action;
use driftless_engine::{GpuSource, SamplerParams};
use driftless_sim::{
    CaptureCommand, Command, Frame, History, InputCommand, LinkState, Message, PlaybackCommand,
    Session, SimThread, TimelineCommand, TimelinePosition,
};

use crate::Error;
use crate::app::keys::{AnalogInputs, HeldKeys, InputSource};
use crate::app::scoreboard::Scoreboard;
use crate::app::session::GameSession;
use crate::app::stats::FrameStats;
use crate::app::waker::Waker;
use crate::workspace::PlayableWorld;

/// The state of the world-model thread.
pub(super) enum WorldThread {
    /// Not started until the window has been drawn once: a surface cannot be configured while an
    /// engine submits work to its device.
    NotStarted,
    Running(SimThread),
    Failed(WorldFailure),
}

/// Why the world stopped.
pub(super) struct WorldFailure {
    pub what: String,
    /// Whether the device failed; the CPU can then take over.
    pub device: bool,
    /// The history up to the failure.
    history: Option<History>,
}

impl WorldFailure {
    fn new(what: String) -> Self {
        Self {
            what,
            device: false,
            history: None,
        }
    }
}

/// What remains of an ended world-model thread.
#[derive(Default)]
pub(super) struct EndedWorld {
    pub recording: Option<Session>,
    /// Why it had already stopped, if it had.
    pub failure: Option<String>,
    pub history: History,
}

/// The current game.
pub(super) struct GameState {
    pub session: GameSession,
    pub world: WorldThread,
    /// The recording handed over to the next world-model thread.
    recording: Option<Session>,
    /// The engine's name, once it has started.
    pub engine: String,
    /// The newest frame.
    pub frame: Option<Frame>,
    /// Counts frames, so that each is uploaded once.
    pub image_id: u64,
    paused: bool,
    /// Whether the world plays itself.
    pub autoplay: bool,
    pub stats: FrameStats,
    pub scoreboard: Scoreboard,
    /// Why the game waits for the link to its server, if it does.
    pub link: LinkState,
    pub held: HeldKeys,
    /// Where sticks and mouse are.
    pub analog: AnalogInputs,
    /// How many requests have been numbered.
    requests: u64,
    waker: Waker,
}

impl GameState {
    pub fn new(session: GameSession, waker: Waker) -> Self {
        Self {
            paused: session.sim.paused,
            autoplay: false,
            session,
            world: WorldThread::NotStarted,
            recording: None,
            engine: String::new(),
            frame: None,
            image_id: 0,
            stats: FrameStats::default(),
            scoreboard: Scoreboard::default(),
            link: LinkState::Up,
            held: HeldKeys::default(),
            analog: AnalogInputs::default(),
            requests: 0,
            waker,
        }
    }

    /// The picture of the newest frame, u8 RGB [H, W, 3]; `None` if there is none or it is on the device.
    pub fn picture(&self) -> Option<Arc<[u8]>> {
        let bytes = self.frame.as_ref()?.image.bytes()?;
        Some(bytes.into())
    }

    pub fn send(&self, command: impl Into<Command>) {
        if let WorldThread::Running(sim) = &self.world {
            sim.send(command);
        }
    }

    /// A number for the next request to the thread, never used before.
    pub fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    pub fn is_running(&self) -> bool {
        matches!(self.world, WorldThread::Running(_))
    }

    pub fn failure(&self) -> Option<&WorldFailure> {
        match &self.world {
            WorldThread::Failed(failure) => Some(failure),
            WorldThread::NotStarted | WorldThread::Running(_) => None,
        }
    }

    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Pauses; returns whether the game was playing, so that the caller can resume it later.
    pub fn pause(&mut self) -> bool {
        let was_playing = !self.paused;
        if was_playing {
            self.stop_clock();
            self.send(PlaybackCommand::Pause);
        }
        was_playing
    }

    /// What the world's agent thinks of the frame that is shown, while it plays.
    pub fn decision(&self) -> Option<&Decision> {
        self.frame.as_ref()?.diagnostics.decision.as_deref()
    }

    /// Lets the world play itself, or hands it back to the person.
    pub fn toggle_autoplay(&mut self) {
        self.autoplay = self.is_running() && !self.autoplay;
        self.send(InputCommand::Autoplay(self.autoplay));
        if self.autoplay && self.paused {
            self.resume();
        }
    }

    pub fn resume(&mut self) {
        self.paused = false;
        self.stats.reset_rate();
        self.send(PlaybackCommand::Resume);
    }

    /// Pauses or resumes, as the player asks.
    pub fn toggle_pause(&mut self) {
        if !self.pause() {
            self.resume();
        }
    }

    /// Pauses and generates one frame.
    pub fn step(&mut self) {
        self.stop_clock();
        self.send(PlaybackCommand::Step);
    }

    /// Pauses at another frame.
    pub fn seek(&mut self, place: TimelinePosition) {
        self.stop_clock();
        self.send(TimelineCommand::Seek(place));
    }

    /// The thread pauses by itself at a step or a seek.
    fn stop_clock(&mut self) {
        self.paused = true;
        self.stats.reset_rate();
    }

    /// Presses a world's key on the keyboard.
    pub fn press(&mut self, key: Key, at: Instant) {
        if self.held.press(key) {
            self.send_held_action(at);
        }
    }

    /// Releases a key on the keyboard; returns whether it was held.
    pub fn release(&mut self, key: Key, at: Instant) -> bool {
        let was_held = self.held.release(key);
        if was_held {
            self.send_release(at);
        }
        was_held
    }

    /// Sets the keys that a gamepad or the mouse holds.
    pub fn hold(&mut self, source: InputSource, keys: &[Key], at: Instant) {
        let before = self.held.clone();
        if self.held.set(source, keys) {
            // The mouse counts its own turns.
            if source == InputSource::Gamepad && before.loses_a_key_to(&self.held) {
                self.send_release(at);
            } else {
                self.send_held_action(at);
            }
        }
    }

    /// Moves sticks or the mouse.
    pub fn turn(&mut self, change: impl FnOnce(&mut AnalogInputs), at: Instant) {
        let before = self.analog;
        change(&mut self.analog);
        if self.analog != before && !self.session.keys.axes().is_empty() {
            self.send_held_action(at);
        }
    }

    /// Releases every key, for example when the window loses focus.
    pub fn release_all(&mut self) {
        self.held.release_all();
        self.analog = AnalogInputs::default();
        self.send_held_action(Instant::now());
    }

    fn held_action(&self) -> Action {
        let keys = &self.session.keys;
        Action {
            index: self.held.action(keys),
            axes: self.held.axes(keys, &self.analog),
        }
    }

    /// Tells the thread which action is currently held.
    fn send_held_action(&self, changed_at: Instant) {
        let action = self.held_action();
        self.send(InputCommand::Hold { action, changed_at });
    }

    /// Tells the thread that a key went up: an action that no frame has taken yet counts for one.
    fn send_release(&self, changed_at: Instant) {
        let action = self.held_action();
        self.send(InputCommand::Release { action, changed_at });
    }

    /// The frames and messages that have arrived.
    pub fn receive(&self) -> (Vec<Frame>, Vec<Message>) {
        match &self.world {
            WorldThread::Running(sim) => (
                sim.frames().try_iter().collect(),
                sim.messages().try_iter().collect(),
            ),
            WorldThread::NotStarted | WorldThread::Failed(_) => (Vec::new(), Vec::new()),
        }
    }

    /// The link to the game's server is broken or back.
    pub fn set_link(&mut self, state: LinkState) {
        self.link = state;
        self.stats.reset_rate();
    }

    /// Takes over the parameters that the engine uses instead of rejected ones.
    pub fn accept_params(&mut self, active: SamplerParams) {
        self.session.tuning.settings.params = active;
        self.session.sim.params = active;
    }

    /// Shows a frame. Returns the input latency if it is the first to show a key change.
    pub fn show(&mut self, frame: Frame) -> Option<Duration> {
        let now = Instant::now();
        let latency = frame.timing.input_at.map(|key| now.duration_since(key));
        self.stats.record_frame(&frame, frame.timing.input_at, now);
        if self.paused {
            self.stats.reset_rate();
        }
        self.session.sim.clip = frame.clip;
        self.image_id += 1;
        self.frame = Some(frame);
        latency
    }

    /// The thread has failed: ends it and keeps what can be restored.
    pub fn fail(&mut self, what: String, device: bool) {
        let mut failure = WorldFailure::new(what);
        let stopped = WorldThread::Failed(WorldFailure::new(String::new()));
        if let WorldThread::Running(sim) = std::mem::replace(&mut self.world, stopped) {
            let exit = sim.finish();
            self.recording = exit.session;
            failure.device = device;
            failure.history = Some(exit.history);
        }
        self.link = LinkState::Up;
        self.world = WorldThread::Failed(failure);
    }

    /// Prepares to continue on the CPU; returns the history from where the device failed.
    pub fn leave_device(&mut self) -> Option<Arc<History>> {
        let WorldThread::Failed(failure) = &mut self.world else {
            return None;
        };
        self.session.sim.gpu_source = GpuSource::Unavailable;
        failure.history.take().map(Arc::new)
    }

    /// Starts a world-model thread, from `history` if given, and sends it `commands` first.
    pub fn start(&mut self, history: Option<Arc<History>>, commands: [CaptureCommand; 3]) {
        let settings = &self.session.tuning.settings;
        let sim = &mut self.session.sim;
        sim.resume_from = history;
        if settings.params.check().is_ok() {
            sim.params = settings.params;
        }
        sim.random_seed = settings.free_seed;
        sim.restart_at_end = settings.ends_restart;
        sim.pace = settings.pace();
        sim.paused = self.paused;
        self.autoplay = false;
        self.link = LinkState::Up;
        self.stats.reset();
        let waker = self.waker.clone();
        let notify = move || waker.wake();
        let started = match &self.session.remote {
            Some(remote) => remote.spawn(sim, notify).map_err(Error::from),
            None => {
                let recording = self.recording.take();
                SimThread::spawn(sim.clone(), recording, notify).map_err(Error::from)
            }
        };
        self.world = match started {
            Ok(sim) => WorldThread::Running(sim),
            Err(error) => WorldThread::Failed(WorldFailure::new(error.to_string())),
        };
        for command in commands {
            self.send(command);
        }
        self.send(InputCommand::Repeat(self.session.tuning.settings.repeat));
        let planned = self.session.tuning.settings.planned_frames;
        self.send(InputCommand::Plan(planned));
        self.send_held_action(Instant::now());
    }

    /// Replaces the session, to be started with `recording`. Returns the previous session and what
    /// remains of its thread.
    pub fn replace(
        &mut self,
        session: GameSession,
        recording: Option<Session>,
        paused: bool,
    ) -> (GameSession, EndedWorld) {
        let ended = self.end();
        let mut before = std::mem::replace(&mut self.session, session);
        before.forget_actions();
        self.recording = recording;
        self.paused = paused;
        self.frame = None;
        self.engine.clear();
        self.stats = FrameStats::default();
        self.scoreboard = Scoreboard::default();
        (before, ended)
    }

    /// Ends the thread and takes the starting scene of `game`, keeping settings and recording.
    pub fn replace_scene(&mut self, game: PlayableWorld) {
        self.recording = self.end().recording;
        self.session.forget_actions();
        self.session.sim.player = game.player;
        self.session.sim.clip = game.first_clip;
        self.frame = None;
        self.paused = false;
    }

    /// Ends the world-model thread.
    pub fn end(&mut self) -> EndedWorld {
        let closed = WorldThread::Failed(WorldFailure::new("the window is closed".into()));
        match std::mem::replace(&mut self.world, closed) {
            WorldThread::Running(sim) => {
                let exit = sim.finish();
                EndedWorld {
                    recording: exit.session,
                    failure: None,
                    history: exit.history,
                }
            }
            WorldThread::NotStarted => EndedWorld {
                recording: self.recording.take(),
                ..EndedWorld::default()
            },
            WorldThread::Failed(failure) => EndedWorld {
                recording: self.recording.take(),
                failure: Some(failure.what),
                history: failure.history.unwrap_or_default(),
            },
        }
    }

    /// Drops a frame that lies on a lost device.
    pub fn drop_textures(&mut self) {
        let frame = self.frame.take();
        self.frame = frame.filter(|frame| frame.image.bytes().is_some());
    }
}
