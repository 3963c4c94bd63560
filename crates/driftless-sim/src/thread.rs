//! The loop of the world-model thread.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError};

use super::tried::draw_seed;
use super::truth::Reality;
use super::{Beside, Command, Frame, Left, Message, Options, Pace, Player, Script, Session};
use crate::Result;
use driftless_engine::{SamplerParams, Seat};

/// Frames, or time of frames, after which a new snapshot is kept, from which the game can be played again.
pub(super) const SNAPSHOT_EVERY: usize = 32;
pub(super) const SNAPSHOT_AFTER: Duration = Duration::from_secs(1);
/// Frames take at least so many times as long as snapshots, which bring everything back from a device.
pub(super) const SNAPSHOT_SHARE: u32 = 20;

/// The thread's ends of the channels.
pub(super) struct Ports {
    pub commands: Receiver<Command>,
    pub frames: Sender<Frame>,
    /// A second reader of `frames`, to take out the oldest when the channel is full.
    pub oldest: Receiver<Frame>,
    pub messages: Sender<Message>,
    pub notify: Box<dyn Fn() + Send>,
}

impl Ports {
    pub fn say(&self, message: Message) {
        // Nobody listens any more: the owner is gone and its Quit or disconnect ends the loop.
        let _ = self.messages.send(message);
        (self.notify)();
    }

    /// Hands a frame over without ever waiting: when the reader is slow, the oldest goes.
    pub fn show(&self, mut frame: Frame) {
        while let Err(TrySendError::Full(back)) = self.frames.try_send(frame) {
            frame = back;
            if let Ok(old) = self.oldest.try_recv() {
                // The key's change is first seen on the next frame that is shown.
                frame.reflects = old.reflects.or(frame.reflects);
            }
        }
        (self.notify)();
    }
}

/// Runs until it is told to quit or fails; what is left survives both.
pub(super) fn run(options: &Options, session: Option<Session>, ports: &Ports) -> Left {
    let mut left = Left {
        session: session.or_else(|| options.record.clone().map(Session::new)),
        history: options.from.as_deref().cloned().unwrap_or_default(),
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        World::start(options, &mut left, ports)?.run()
    }));
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => ports.say(Message::Failed {
            what: error.to_string(),
            device: error.is_device() || lost(&options.seat),
        }),
        Err(panic) => ports.say(Message::Failed {
            what: format!(
                "the world-model thread panicked: {}",
                panic_text(panic.as_ref())
            ),
            device: lost(&options.seat),
        }),
    }
    left
}

/// Whether the device of a window that the engine computes on is lost.
fn lost(seat: &Seat) -> bool {
    matches!(seat, Seat::Shared(gpu) if gpu.is_lost())
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given")
}

/// What the thread does next.
enum Next {
    Play,
    Quit,
}

pub(super) struct World<'a> {
    pub ports: &'a Ports,
    pub left: &'a mut Left,
    pub player: Box<dyn Player>,
    pub context: usize,
    actions: u32,
    /// The parameters that the player wants.
    pub wanted: SamplerParams,
    /// The last parameters that made a frame.
    pub kept: SamplerParams,
    pub free_seed: Option<u64>,
    pace: Pace,
    pub paused: bool,
    /// Frames to make although paused.
    pub steps: usize,
    held: u32,
    /// The action that is repeated, and for how many frames.
    pub taken: u32,
    repeat: u64,
    /// Actions from a file, which win over the held one.
    pub script: Script,
    pub key_changed: Option<Instant>,
    pub sequence: u64,
    pub number: u64,
    /// Sum of the predicted rewards since the reset.
    pub score: f32,
    /// Whether a predicted end counts.
    pub ends_restart: bool,
    /// Whether the last frame ended its episode.
    pub ended: bool,
    /// When the last frame was due.
    last: Instant,
    /// Commands that came while a game was played again.
    pub early: VecDeque<Command>,
    /// Frames since the last snapshot, the time that they took, and that the snapshot took.
    pub unsaved: usize,
    pub played: Duration,
    pub snapshot_time: Duration,
    /// Whether frames show how they were denoised.
    pub tracing: bool,
    /// Whether frames show where the model looked.
    pub inspecting: bool,
    /// Whether frames tell their drift, and how surprising the truth is.
    pub measuring: bool,
    /// Of the last frame, where it was measured.
    pub surprise: Option<f32>,
    /// What is shown beside the frames.
    pub beside: Beside,
    /// The truth of what is played, while there is one.
    pub reality: Option<Reality>,
}

impl<'a> World<'a> {
    fn start(options: &'a Options, left: &'a mut Left, ports: &'a Ports) -> Result<Self> {
        let mut player = (options.player)(&options.seat)?;
        // A recording wants every frame anyway.
        player.stay(left.session.is_none());
        let mut world = Self {
            ports,
            left,
            context: options.context,
            actions: u32::try_from(player.actions()).unwrap_or(u32::MAX),
            wanted: options.params,
            kept: options.params,
            free_seed: options.free_seed.then(draw_seed),
            pace: options.pace,
            paused: options.paused,
            steps: 0,
            held: 0,
            taken: 0,
            repeat: 1,
            script: Script::default(),
            key_changed: None,
            sequence: 0,
            number: 0,
            last: Instant::now(),
            score: 0.0,
            ends_restart: options.ends_restart,
            ended: false,
            early: VecDeque::new(),
            unsaved: 0,
            played: Duration::ZERO,
            snapshot_time: Duration::ZERO,
            tracing: false,
            inspecting: false,
            measuring: false,
            surprise: None,
            beside: Beside::Nothing,
            reality: None,
            player,
        };
        world.ports.say(Message::Started {
            engine: world.player.name().to_owned(),
        });
        match world.left.history.at() {
            Some(place) => world.go_on(place)?,
            None => {
                world.script(Arc::clone(&options.actions));
                world.reset()?;
            }
        }
        Ok(world)
    }

    fn run(mut self) -> Result<()> {
        while let Next::Play = self.wait()? {
            self.play()?;
        }
        Ok(())
    }

    /// Handles commands until a frame is due.
    fn wait(&mut self) -> Result<Next> {
        loop {
            let command = match (self.early.pop_front(), self.due()) {
                (Some(command), _) => command,
                (None, None) => match self.ports.commands.recv() {
                    Ok(command) => command,
                    Err(_) => return Ok(Next::Quit),
                },
                (None, Some(due)) if due > Instant::now() => {
                    match self.ports.commands.recv_deadline(due) {
                        Ok(command) => command,
                        Err(RecvTimeoutError::Timeout) => continue,
                        Err(RecvTimeoutError::Disconnected) => return Ok(Next::Quit),
                    }
                }
                (None, Some(due)) => match self.ports.commands.try_recv() {
                    Ok(command) => command,
                    Err(TryRecvError::Empty) => {
                        self.keep_time(due);
                        return Ok(Next::Play);
                    }
                    Err(TryRecvError::Disconnected) => return Ok(Next::Quit),
                },
            };
            if command == Command::Quit {
                return Ok(Next::Quit);
            }
            self.handle(command)?;
        }
    }

    /// When the next frame should start; never while paused.
    fn due(&self) -> Option<Instant> {
        if !self.paused {
            Some(self.last + self.pace.period())
        } else if self.steps > 0 {
            Some(Instant::now())
        } else {
            None
        }
    }

    /// Stays on the beat unless a whole period was missed, which is not caught up.
    fn keep_time(&mut self, due: Instant) {
        let now = Instant::now();
        self.last = if now.duration_since(due) < self.pace.period() {
            due
        } else {
            now
        };
    }

    fn handle(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Held { action, since } if action < self.actions => {
                if action != self.held {
                    self.held = action;
                    if action != 0 && !self.script.is_over() {
                        self.script = Script::default();
                        self.notice("a key ends the actions from the file: now you play");
                    }
                    // A key pressed in a pause waits for the player, not for the model.
                    self.key_changed = (!self.paused).then_some(since);
                }
            }
            Command::Held { action, .. } => self.ports.say(Message::Notice(format!(
                "action {action} is unknown, expected 0 to {}",
                self.actions.saturating_sub(1)
            ))),
            Command::Actions(actions) => self.script(actions),
            Command::Params(params) => self.wanted = params,
            Command::FreeSeed(free) => self.free_seed = free.then(draw_seed),
            Command::EndsRestart(on) => self.ends_restart = on,
            Command::Repeat(frames) => self.repeat = frames.max(1),
            Command::Pace(pace) => self.pace = pace,
            Command::Trace(on) => {
                self.tracing = on;
                self.player.trace(on);
            }
            Command::Inspect(on) => {
                self.inspecting = on;
                self.player.inspect(on);
            }
            Command::Measure(on) => self.measuring = on,
            Command::Pause => {
                self.paused = true;
                self.key_changed = None;
            }
            Command::Resume => {
                self.paused = false;
                self.steps = 0;
            }
            Command::Step => {
                self.paused = true;
                self.steps += 1;
            }
            Command::Reset => self.reset()?,
            Command::Context(index) => self.choose(index)?,
            Command::NextContext => {
                self.choose((self.context + 1) % self.player.starts().max(1))?;
            }
            Command::Seek(place) => self.seek(place)?,
            Command::Branch => {
                self.left.history.fork();
                self.tell_branches();
                self.show_again()?;
            }
            Command::DropBranch(branch) => {
                if !self.left.history.drop_branch(branch) {
                    let why = "the branch that is played cannot be forgotten".to_owned();
                    self.ports.say(Message::Notice(why));
                }
                self.tell_branches();
            }
            Command::Beside(beside) => self.put_beside(beside)?,
            Command::Pictures {
                branch,
                indices,
                within,
            } => self.send_pictures(branch, &indices, within),
            Command::Keep(place) => self.keep(place)?,
            Command::Quit => {}
        }
        Ok(())
    }

    pub fn notice(&self, text: &str) {
        self.ports.say(Message::Notice(text.to_owned()));
    }

    /// Takes actions to play before the held one counts.
    fn script(&mut self, actions: Arc<[u32]>) {
        let script = Script::new(actions);
        match script.unknown(self.actions) {
            Some(action) => self.notice(&format!(
                "the actions from the file are not played: {action} is unknown, expected 0 to {}",
                self.actions.saturating_sub(1)
            )),
            None => self.script = script,
        }
    }

    /// Whether the next frame takes the action that is held, and does not repeat the one before.
    pub fn takes_action(&self) -> bool {
        self.number.is_multiple_of(self.repeat)
    }

    /// The action of the next frame: the file's, else the held one.
    pub fn action(&mut self) -> u32 {
        let Some(action) = self.script.next() else {
            if self.takes_action() {
                self.taken = self.held;
            }
            return self.taken;
        };
        self.taken = action;
        if self.script.is_over() {
            self.notice("the actions from the file are over: now you play");
        }
        action
    }

    fn choose(&mut self, index: usize) -> Result<()> {
        let starts = self.player.starts();
        if index >= starts {
            self.ports.say(Message::Notice(format!(
                "starting context {index} does not exist, expected 0 to {}",
                starts.saturating_sub(1)
            )));
            return Ok(());
        }
        self.context = index;
        self.free_seed = self.free_seed.map(|_| draw_seed());
        self.reset_with_seed()
    }

    pub fn reset(&mut self) -> Result<()> {
        self.free_seed = self.free_seed.map(|_| draw_seed());
        self.reset_with_seed()
    }
}
