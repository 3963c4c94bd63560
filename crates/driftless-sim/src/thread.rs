//! The world-model thread: its state, its pace and the commands it handles.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError};

use driftless_engine::{GpuSource, SamplerParams};

use super::comparison::GroundTruthSource;
use super::params_fallback::draw_seed;
use super::{
    ActionScript, Command, ComparisonSource, Frame, Message, Pace, Player, Session, SimOptions,
    ThreadExit,
};
use crate::Result;

/// A snapshot is due after this many frames, or after this much time spent on frames.
pub(super) const SNAPSHOT_EVERY: usize = 32;
pub(super) const SNAPSHOT_AFTER: Duration = Duration::from_secs(1);
/// Frames since the last snapshot must take at least this many times as long as a snapshot, which
/// copies everything back from the device.
pub(super) const SNAPSHOT_SHARE: u32 = 20;

/// The thread's ends of the channels.
pub(super) struct Ports {
    pub commands: Receiver<Command>,
    pub frames: Sender<Frame>,
    /// A second reader of `frames`, to take out the oldest when the channel is full.
    pub oldest_frame: Receiver<Frame>,
    pub messages: Sender<Message>,
    pub notify: Box<dyn Fn() + Send>,
}

impl Ports {
    pub fn send_message(&self, message: Message) {
        // An error means that the owner is gone; its disconnect ends the loop.
        let _ = self.messages.send(message);
        (self.notify)();
    }

    /// Sends a frame without ever waiting: a slow reader loses the oldest one.
    pub fn send_frame(&self, mut frame: Frame) {
        while let Err(TrySendError::Full(rejected)) = self.frames.try_send(frame) {
            frame = rejected;
            if let Ok(dropped) = self.oldest_frame.try_recv() {
                // The next frame that is shown is the first to reflect the key.
                frame.input_at = dropped.input_at.or(frame.input_at);
            }
        }
        (self.notify)();
    }
}

/// Runs until told to quit or until something fails. The returned state survives both.
pub(super) fn run(options: &SimOptions, session: Option<Session>, ports: &Ports) -> ThreadExit {
    let mut exit = ThreadExit {
        session: session.or_else(|| options.record.clone().map(Session::new)),
        history: options.resume_from.as_deref().cloned().unwrap_or_default(),
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        SimLoop::start(options, &mut exit, ports)?.run()
    }));
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => ports.send_message(Message::Failed {
            reason: error.to_string(),
            device_failed: error.is_device() || is_lost(&options.gpu_source),
        }),
        Err(panic) => ports.send_message(Message::Failed {
            reason: format!(
                "the world-model thread panicked: {}",
                panic_text(panic.as_ref())
            ),
            device_failed: is_lost(&options.gpu_source),
        }),
    }
    exit
}

/// Whether the engine computes on the window's device and that device is lost.
fn is_lost(gpu_source: &GpuSource) -> bool {
    matches!(gpu_source, GpuSource::Shared(gpu) if gpu.is_lost())
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given")
}

/// What ends the wait between two frames.
enum Event {
    Command(Command),
    FrameDue,
    /// The sender of the commands was dropped.
    OwnerGone,
}

/// The state of the thread.
pub(super) struct SimLoop<'a> {
    pub ports: &'a Ports,
    /// What outlives the thread: the recording and the history.
    pub exit: &'a mut ThreadExit,
    pub player: Box<dyn Player>,
    /// Index of the starting context.
    pub context: usize,
    action_count: u32,
    /// The parameters that the user asked for.
    pub requested_params: SamplerParams,
    /// The last parameters that made a frame.
    pub working_params: SamplerParams,
    /// The seed drawn at the last reset, where seeds are random.
    pub random_seed: Option<u64>,
    pace: Pace,
    pub paused: bool,
    /// Frames to make although paused.
    pub pending_steps: usize,
    held_action: u32,
    /// The action of the last frame, which is repeated while `action_repeat` asks for it.
    pub current_action: u32,
    action_repeat: u64,
    /// Actions from a file, which take precedence over the held one.
    pub script: ActionScript,
    /// When the held action changed, until a frame reflects it.
    pub input_at: Option<Instant>,
    pub sequence: u64,
    pub number: u64,
    /// Sum of the predicted rewards since the reset.
    pub score: f32,
    /// Whether a predicted end of the episode resets.
    pub restart_at_end: bool,
    /// Whether the last frame ended its episode.
    pub ended: bool,
    /// When the last frame was due.
    last_due: Instant,
    /// Commands received while frames were replayed, to be handled afterwards.
    pub deferred_commands: VecDeque<Command>,
    /// Frames since the last snapshot.
    pub frames_since_snapshot: usize,
    /// Time spent on those frames.
    pub time_since_snapshot: Duration,
    /// Time that the last snapshot took.
    pub snapshot_time: Duration,
    /// Whether frames carry their denoising passes.
    pub tracing: bool,
    /// Whether frames carry the latent and the attention.
    pub inspecting: bool,
    /// Whether frames carry drift and surprise.
    pub measuring: bool,
    /// The surprise of the frame being made, while measuring.
    pub surprise: Option<f32>,
    pub comparison: ComparisonSource,
    /// The ground truth of `comparison`, if it has one.
    pub truth_source: Option<GroundTruthSource>,
}

impl<'a> SimLoop<'a> {
    fn start(options: &'a SimOptions, exit: &'a mut ThreadExit, ports: &'a Ports) -> Result<Self> {
        let mut player = (options.player)(&options.gpu_source)?;
        // A recording needs every frame in memory.
        player.set_keep_on_device(exit.session.is_none());
        let mut sim = Self {
            ports,
            exit,
            context: options.context,
            action_count: u32::try_from(player.actions()).unwrap_or(u32::MAX),
            requested_params: options.params,
            working_params: options.params,
            random_seed: options.random_seed.then(draw_seed),
            pace: options.pace,
            paused: options.paused,
            pending_steps: 0,
            held_action: 0,
            current_action: 0,
            action_repeat: 1,
            script: ActionScript::default(),
            input_at: None,
            sequence: 0,
            number: 0,
            last_due: Instant::now(),
            score: 0.0,
            restart_at_end: options.restart_at_end,
            ended: false,
            deferred_commands: VecDeque::new(),
            frames_since_snapshot: 0,
            time_since_snapshot: Duration::ZERO,
            snapshot_time: Duration::ZERO,
            tracing: false,
            inspecting: false,
            measuring: false,
            surprise: None,
            comparison: ComparisonSource::Off,
            truth_source: None,
            player,
        };
        sim.ports.send_message(Message::Started {
            engine: sim.player.name().to_owned(),
        });
        match sim.exit.history.position() {
            Some(position) => sim.resume_from(position)?,
            None => {
                sim.set_script(Arc::clone(&options.actions));
                sim.reset()?;
            }
        }
        Ok(sim)
    }

    fn run(mut self) -> Result<()> {
        loop {
            match self.next_event() {
                Event::Command(Command::Quit) | Event::OwnerGone => return Ok(()),
                Event::Command(command) => self.handle(command)?,
                Event::FrameDue => self.make_frame()?,
            }
        }
    }

    /// Waits for a command or until a frame is due. Commands come first.
    fn next_event(&mut self) -> Event {
        if let Some(command) = self.deferred_commands.pop_front() {
            return Event::Command(command);
        }
        let Some(due) = self.next_due() else {
            return match self.ports.commands.recv() {
                Ok(command) => Event::Command(command),
                Err(_) => Event::OwnerGone,
            };
        };
        if due > Instant::now() {
            match self.ports.commands.recv_deadline(due) {
                Ok(command) => return Event::Command(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Event::OwnerGone,
            }
        }
        match self.ports.commands.try_recv() {
            Ok(command) => Event::Command(command),
            Err(TryRecvError::Empty) => {
                self.keep_pace(due);
                Event::FrameDue
            }
            Err(TryRecvError::Disconnected) => Event::OwnerGone,
        }
    }

    /// When the next frame is due; `None` while paused.
    fn next_due(&self) -> Option<Instant> {
        if !self.paused {
            Some(self.last_due + self.pace.period())
        } else if self.pending_steps > 0 {
            Some(Instant::now())
        } else {
            None
        }
    }

    /// Keeps to the beat. A delay of a whole period or more is not caught up.
    fn keep_pace(&mut self, due: Instant) {
        let now = Instant::now();
        self.last_due = if now.duration_since(due) < self.pace.period() {
            due
        } else {
            now
        };
    }

    fn handle(&mut self, command: Command) -> Result<()> {
        match command {
            Command::HoldAction { action, changed_at } => self.hold_action(action, changed_at),
            Command::PlayActions(actions) => self.set_script(actions),
            Command::Params(params) => self.requested_params = params,
            Command::RandomSeed(random) => self.random_seed = random.then(draw_seed),
            Command::RestartAtEnd(on) => self.restart_at_end = on,
            Command::ActionRepeat(frames) => self.action_repeat = frames.max(1),
            Command::Pace(pace) => self.pace = pace,
            Command::Trace(on) => {
                self.tracing = on;
                self.player.record_passes(on);
            }
            Command::Inspect(on) => {
                self.inspecting = on;
                self.player.inspect(on);
            }
            Command::Measure(on) => self.measuring = on,
            Command::Pause => {
                self.paused = true;
                self.input_at = None;
            }
            Command::Resume => {
                self.paused = false;
                self.pending_steps = 0;
            }
            Command::Step => {
                self.paused = true;
                self.pending_steps += 1;
            }
            Command::Reset => self.reset()?,
            Command::SelectContext(index) => self.select_context(index)?,
            Command::NextContext => {
                self.select_context((self.context + 1) % self.player.start_count().max(1))?;
            }
            Command::Seek(position) => self.seek(position)?,
            Command::NewBranch => self.new_branch()?,
            Command::DeleteBranch(branch) => self.drop_branch(branch),
            Command::Compare(comparison) => self.set_comparison(comparison)?,
            Command::StoredImages {
                branch,
                indices,
                within,
            } => self.send_images(branch, &indices, within),
            Command::RenderEpisode(position) => self.render_episode(position)?,
            Command::Quit => {}
        }
        Ok(())
    }

    pub fn notice(&self, text: &str) {
        self.ports.send_message(Message::Notice(text.to_owned()));
    }

    fn hold_action(&mut self, action: u32, changed_at: Instant) {
        if action >= self.action_count {
            self.notice(&format!(
                "action {action} is unknown, expected 0 to {}",
                self.action_count.saturating_sub(1)
            ));
            return;
        }
        if action == self.held_action {
            return;
        }
        self.held_action = action;
        if action != 0 && !self.script.is_finished() {
            self.script = ActionScript::default();
            self.notice("a key stops the actions from the file; you are in control");
        }
        // Latency is not measured across a pause, which waits for the user and not for the model.
        self.input_at = (!self.paused).then_some(changed_at);
    }

    /// Plays `actions` before the held one, unless one of them is unknown.
    fn set_script(&mut self, actions: Arc<[u32]>) {
        let script = ActionScript::new(actions);
        match script.first_unknown(self.action_count) {
            Some(action) => self.notice(&format!(
                "the actions from the file are not played: {action} is unknown, expected 0 to {}",
                self.action_count.saturating_sub(1)
            )),
            None => self.script = script,
        }
    }

    /// Whether the next frame takes the held action instead of repeating the last one.
    pub fn takes_action(&self) -> bool {
        self.number.is_multiple_of(self.action_repeat)
    }

    /// Takes the action of the next frame: the script's, or else the held one.
    pub fn next_action(&mut self) -> u32 {
        let Some(action) = self.script.next() else {
            if self.takes_action() {
                self.current_action = self.held_action;
            }
            return self.current_action;
        };
        self.current_action = action;
        if self.script.is_finished() {
            self.notice("all actions from the file are played; you are in control");
        }
        action
    }

    fn select_context(&mut self, index: usize) -> Result<()> {
        let count = self.player.start_count();
        if index >= count {
            self.notice(&format!(
                "starting context {index} does not exist, expected 0 to {}",
                count.saturating_sub(1)
            ));
            return Ok(());
        }
        self.context = index;
        self.reset()
    }

    /// Starts the current context again, with a new seed where seeds are random.
    pub fn reset(&mut self) -> Result<()> {
        self.random_seed = self.random_seed.map(|_| draw_seed());
        self.reset_with_seed()
    }

    fn new_branch(&mut self) -> Result<()> {
        self.exit.history.fork();
        self.send_branches();
        self.show_current_frame()
    }

    fn drop_branch(&mut self, branch: u32) {
        if !self.exit.history.drop_branch(branch) {
            self.notice("the branch that is being played cannot be deleted");
        }
        self.send_branches();
    }
}
