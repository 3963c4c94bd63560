//! The state of the world-model thread: its parts, and which of them handles a command.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::comparison::ComparisonState;
use super::episode_state::EpisodeState;
use super::input::Input;
use super::pacer::Pacer;
use super::params_state::ParamsState;
use super::ports::{CommandQueue, Event, Outbox};
use super::script::ActionScript;
use super::snapshot_schedule::SnapshotSchedule;
use super::{
    CaptureCommand, Command, EpisodeCommand, InputCommand, Message, Notice, PlaybackCommand,
    Player, SimOptions, ThreadExit,
};
use crate::Result;

/// What frames carry besides the image.
#[derive(Clone, Copy, Default)]
pub(super) struct Capture {
    /// Their denoising passes.
    pub trace: bool,
    /// Latent and attention.
    pub inspect: bool,
    /// Drift and surprise.
    pub measure: bool,
}

/// The parts of the thread. Making frames is in `frame_loop`, moving through the history in
/// `rewind`, making frames of the history again in `rerender`.
pub(super) struct SimLoop {
    pub commands: CommandQueue,
    pub outbox: Outbox,
    /// What outlives the thread: the recording and the history.
    pub exit: ThreadExit,
    pub player: Box<dyn Player>,
    pub pacer: Pacer,
    pub input: Input,
    pub params: ParamsState,
    pub episode: EpisodeState,
    pub snapshots: SnapshotSchedule,
    pub comparison: ComparisonState,
    pub capture: Capture,
    /// Frames shown so far, those of earlier threads included.
    pub sequence: u64,
}

impl SimLoop {
    /// The parts, before the first frame.
    pub fn new(
        options: &SimOptions,
        mut player: Box<dyn Player>,
        exit: ThreadExit,
        commands: CommandQueue,
        outbox: Outbox,
    ) -> Self {
        // A recording needs every frame in memory.
        if let Some(learned) = player.learned_mut() {
            learned.set_keep_on_device(exit.session.is_none());
        }
        let input = Input::new(player.actions(), player.axis_steps());
        Self {
            commands,
            outbox,
            exit,
            player,
            pacer: Pacer::new(options.pace, options.paused),
            input,
            params: ParamsState::new(options.params, options.random_seed),
            episode: EpisodeState::new(options.clip, options.restart_at_end),
            snapshots: SnapshotSchedule::default(),
            comparison: ComparisonState::default(),
            capture: Capture::default(),
            sequence: 0,
        }
    }

    /// Makes the first frame, or shows the one where the history ends.
    pub fn start(&mut self, options: &SimOptions) -> Result<()> {
        self.outbox.message(Message::Started {
            engine: self.player.label().to_owned(),
        });
        match self.exit.history.position() {
            Some(position) => self.resume_from(position),
            None => {
                let script = ActionScript::new(Arc::clone(&options.actions))
                    .with_params(Arc::clone(&options.action_params));
                self.outbox.notice(self.input.play(script));
                self.reset()
            }
        }
    }

    pub fn run(&mut self) -> Result<()> {
        loop {
            let event = self.commands.next(self.pacer.next_due());
            if self.answer(event)?.is_break() {
                return Ok(());
            }
        }
    }

    /// Handles a command or makes a frame. Breaks when told to quit.
    pub fn answer(&mut self, event: Event) -> Result<ControlFlow<()>> {
        match event {
            Event::Command(Command::Quit) | Event::OwnerGone => return Ok(ControlFlow::Break(())),
            Event::Command(command) => self.handle(command)?,
            Event::FrameDue(due) => {
                self.pacer.begin_frame(due);
                self.make_frame()?;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn handle(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Input(command) => self.handle_input(command),
            Command::Sampler(command) => self.params.handle(command),
            Command::Playback(command) => {
                self.pacer.handle(command);
                if command == PlaybackCommand::Pause {
                    self.input.take_changed_at();
                    self.input.forget_tap();
                }
            }
            Command::Episode(command) => self.handle_episode(command)?,
            Command::Timeline(command) => self.handle_timeline(command)?,
            Command::Capture(command) => self.handle_capture(command),
            Command::Compare(source) => self.compare(source)?,
            Command::Quit => {}
        }
        Ok(())
    }

    fn handle_input(&mut self, command: InputCommand) {
        let notice = match command {
            InputCommand::Hold { action, changed_at } => {
                // Latency is not measured across a pause, which waits for the user and not for the
                // model.
                let measured = (!self.pacer.is_paused()).then_some(changed_at);
                self.input.hold(action, measured)
            }
            // A pause plays no taps.
            InputCommand::Release { action, .. } if self.pacer.is_paused() => {
                self.input.hold(action, None)
            }
            InputCommand::Release { action, changed_at } => {
                self.input.release(action, Some(changed_at))
            }
            InputCommand::Play(actions) => self.input.play(ActionScript::new(actions)),
            InputCommand::Autoplay(on) => {
                self.input.set_autoplay(on);
                None
            }
            InputCommand::Repeat(frames) => {
                self.input.set_repeat(frames);
                None
            }
            InputCommand::Plan(frames) => {
                if let Some(world) = self.player.learned_mut() {
                    world.set_planned_frames(frames);
                }
                None
            }
        };
        self.outbox.notice(notice);
    }

    fn handle_episode(&mut self, command: EpisodeCommand) -> Result<()> {
        let count = self.player.start_count();
        match command {
            EpisodeCommand::Reset => self.reset(),
            EpisodeCommand::SelectClip(index) => self.select_clip(index, count),
            EpisodeCommand::NextClip => {
                self.select_clip((self.episode.clip + 1) % count.max(1), count)
            }
            EpisodeCommand::RestartAtEnd(on) => {
                self.episode.restart_at_end = on;
                Ok(())
            }
        }
    }

    fn select_clip(&mut self, index: usize, count: usize) -> Result<()> {
        if index >= count {
            self.outbox.notice(Notice::UnknownClip { index, count });
            return Ok(());
        }
        self.episode.clip = index;
        self.reset()
    }

    fn handle_capture(&mut self, command: CaptureCommand) {
        let learned = self.player.learned_mut();
        match command {
            CaptureCommand::Trace(on) => {
                self.capture.trace = on;
                learned
                    .into_iter()
                    .for_each(|world| world.record_passes(on));
            }
            CaptureCommand::Inspect(on) => {
                self.capture.inspect = on;
                learned.into_iter().for_each(|world| world.inspect(on));
            }
            CaptureCommand::Measure(on) => self.capture.measure = on,
        }
    }
}
