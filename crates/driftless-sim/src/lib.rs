//! The world-model thread: commands in, frames out, nothing else shared.
//!
//! The thread owns what is played, an engine or a simulator, which a factory makes inside it, so a
//! failed thread can be started again. Commands are handled between two frames and at once while the thread waits. Frames leave
//! through a bounded channel: a slow reader loses old frames, never new ones, and never stalls the
//! model.

mod columns;
mod error;
pub mod headless;
mod history;
mod inspection;
mod making;
mod player;
mod replay;
mod script;
mod session;
mod thread;
mod travel;
mod tried;
mod truth;

#[cfg(test)]
mod tests;

pub use error::{Error, Result};

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use driftless_data::Episode;
use driftless_engine::{Outcome, Painting, SamplerParams, Seat, StageTimes};
use script::Script;

pub use columns::{OF_SESSION, recorded_seed};
pub use history::{BranchInfo, History, MAX_BRANCHES, Place};
pub use inspection::Inspection;
pub use player::{Dream, Player, Real, Saved, Truth};
pub use replay::{Difference, Made, Recording, Report};
pub use session::Session;
pub use truth::{Beside, simulator_of};

/// Frames that wait for a slow reader before the oldest is dropped.
pub const FRAMES_IN_FLIGHT: usize = 3;

/// Free seeds are drawn below this bound, short enough to be read and typed by a person.
pub const FREE_SEEDS: u64 = 1 << 24;

/// Makes what is played, on that seat; called inside the world-model thread, once for every start.
pub type PlayerFactory = dyn Fn(&Seat) -> Result<Box<dyn Player>> + Send + Sync;

/// How fast frames are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Frames a second, evenly spaced.
    Fps(f32),
    /// As fast as the engine can.
    Unlimited,
}

impl Pace {
    /// Time from one frame's start to the next; zero when unlimited or not a usable number.
    pub fn period(self) -> Duration {
        match self {
            Self::Fps(fps) if fps > 0.0 => {
                Duration::try_from_secs_f32(1.0 / fps).unwrap_or(Duration::ZERO)
            }
            Self::Fps(_) | Self::Unlimited => Duration::ZERO,
        }
    }
}

/// What the owner asks of the world-model thread.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The player now holds this action; the latest one at the start of a frame counts.
    Held {
        /// Index into the world's actions.
        action: u32,
        /// When the key went down or up, for key-to-frame latency.
        since: Instant,
    },
    /// Plays these actions in the next frames, one each, before the held one counts again. A key
    /// of the world that is pressed meanwhile ends them.
    Actions(Arc<[u32]>),
    /// Sampler parameters from the next frame on.
    Params(SamplerParams),
    /// With `true`, every reset draws a new seed; with `false`, the parameters' seed is used.
    FreeSeed(bool),
    /// Whether a predicted end of the episode starts the context again, as a real one does.
    EndsRestart(bool),
    /// For how many frames an action is held once it was taken; at least one.
    Repeat(u64),
    /// The pace from now on.
    Pace(Pace),
    /// Whether frames from the next one on show how they were denoised.
    Trace(bool),
    /// Whether frames from the next one on show what the model holds and where it looked.
    Inspect(bool),
    /// Whether frames from the next one on tell their drift, and how surprising the truth is.
    Measure(bool),
    /// Makes no frames until [`Command::Resume`] or [`Command::Step`].
    Pause,
    /// Makes frames again.
    Resume,
    /// Pauses and makes exactly one frame.
    Step,
    /// Starts the current context again.
    Reset,
    /// Starts the context with this index.
    Context(usize),
    /// Starts the next context, the first one after the last.
    NextContext,
    /// Pauses and goes to a frame that was played; who plays on from there begins a branch.
    Seek(Place),
    /// Begins a branch where the game stands.
    Branch,
    /// Forgets a branch that is not played.
    DropBranch(u32),
    /// What is shown beside the frames; a truth starts the game again, from its first frames.
    Beside(Beside),
    /// Asks for [`Message::Pictures`] of a branch's frames.
    Pictures {
        /// The branch.
        branch: u32,
        /// The frames.
        indices: Arc<[usize]>,
        /// How many frames earlier the picture may be.
        within: usize,
    },
    /// Asks for [`Message::Kept`]: the frames from the last start to this one.
    Keep(Place),
    /// Ends the thread.
    Quit,
}

/// What the world-model thread says besides frames.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The engine is ready.
    Started {
        /// The name of the engine, or of what else plays.
        engine: String,
    },
    /// Something the player should know; the thread goes on.
    Notice(String),
    /// The engine refused the new parameters; these are in force instead.
    ParamsRefused {
        /// Why, naming the parameter and what was expected.
        why: String,
        /// The last parameters that worked.
        kept: SamplerParams,
    },
    /// The branches, after one came or went.
    Branches(Vec<BranchInfo>),
    /// The pictures that there are of those asked for, u8 RGB `[H, W, 3]`, with their frames' indices.
    Pictures {
        /// The branch.
        branch: u32,
        /// The pictures.
        pictures: Vec<(usize, Arc<[u8]>)>,
    },
    /// Frames that were asked for, as a recording.
    Kept(Arc<Episode>),
    /// The thread failed and has ended; it can be started again.
    Failed {
        /// What happened.
        what: String,
        /// Whether it was the device, in whose place the processor may go on.
        device: bool,
    },
}

/// One frame of the world.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Frames since the thread started, resets included; a gap tells how many were dropped.
    pub sequence: u64,
    /// Predicted frames since the reset; 0 is the last frame of the starting context.
    pub number: u64,
    /// The picture.
    pub image: Picture,
    /// The action that led to this frame.
    pub action: u32,
    /// When the key changed that this frame is the first to show, if one did.
    pub reflects: Option<Instant>,
    /// When the frame was finished.
    pub made: Instant,
    /// Time spent in each stage; zero for frame 0.
    pub times: StageTimes,
    /// The parameters used, the seed among them.
    pub params: SamplerParams,
    /// Index of the starting context.
    pub context: usize,
    /// How the frame was denoised, pass by pass; empty unless asked for with [`Command::Trace`].
    pub trace: Arc<[TracedPass]>,
    /// What the model holds of the frame; none unless asked for with [`Command::Inspect`].
    pub inspect: Option<Arc<Inspection>>,
    /// What a simulator knows of the frame; none of a predicted one.
    pub truth: Option<Truth>,
    /// Reward and end that the world model predicts of the frame, where it does; none of a starting
    /// frame.
    pub outcome: Option<Outcome>,
    /// Sum of the predicted rewards since the reset.
    pub score: f32,
    /// Where it lies in what was played.
    pub place: Place,
    /// The re-encoding error ([`driftless_engine::reencoding_error`]), where it was asked for.
    pub drift: Option<f32>,
    /// How much the true frame surprises ([`driftless_engine::Engine::surprise`]), where it was asked for.
    pub surprise: Option<f32>,
    /// What [`Command::Beside`] asked for, u8 RGB `[H, W, 3]`, where there is such a frame.
    pub beside: Option<Arc<[u8]>>,
}

/// A frame's picture.
#[derive(Clone, Debug)]
pub enum Picture {
    /// u8 RGB `[H, W, 3]`.
    Bytes(Arc<[u8]>),
    /// A texture of the device that the window draws with.
    Painting(Arc<Painting>),
}

impl Picture {
    /// u8 RGB `[H, W, 3]`, unless it stayed on the device.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Painting(_) => None,
        }
    }
}

/// One pass of a frame's denoising as pictures, u8 RGB `[H, W, 3]`.
#[derive(Clone, Debug, PartialEq)]
pub struct TracedPass {
    /// Signal level τ at which the network was asked.
    pub tau: f32,
    /// z_τ through the decoder.
    pub noisy: Vec<u8>,
    /// x̂ through the decoder.
    pub clean: Vec<u8>,
}

/// How a world-model thread starts.
#[derive(Clone)]
pub struct Options {
    /// Makes the engine or the simulator inside the thread.
    pub player: Arc<PlayerFactory>,
    /// What there is to compute on.
    pub seat: Seat,
    /// Where an earlier thread stopped, to go on from there.
    pub from: Option<Arc<History>>,
    /// Index of the first starting context.
    pub context: usize,
    /// Actions of the first frames, as [`Command::Actions`]; empty where a person plays at once.
    pub actions: Arc<[u32]>,
    /// Sampler parameters of the first frame.
    pub params: SamplerParams,
    /// Whether every reset draws a new seed.
    pub free_seed: bool,
    /// Whether a predicted end of the episode starts the context again.
    pub ends_restart: bool,
    /// The pace.
    pub pace: Pace,
    /// Whether the thread starts paused.
    pub paused: bool,
    /// Where the played frames are written at the end, if anywhere.
    pub record: Option<PathBuf>,
}

/// What a world-model thread leaves.
#[derive(Debug, Default)]
pub struct Left {
    /// What it recorded.
    pub session: Option<Session>,
    /// What it played, to go on from.
    pub history: History,
}

/// A running world-model thread.
pub struct Sim {
    commands: Sender<Command>,
    frames: Receiver<Frame>,
    messages: Receiver<Message>,
    thread: JoinHandle<Left>,
}

impl Sim {
    /// Starts the thread; `notify` is called inside it after each frame and message.
    ///
    /// `session` continues the recording of an earlier thread that failed.
    ///
    /// # Errors
    /// The operating system gives no thread. A failing engine arrives as [`Message::Failed`].
    pub fn spawn(
        options: Options,
        session: Option<Session>,
        notify: impl Fn() + Send + 'static,
    ) -> Result<Self> {
        let (commands, inbox) = unbounded();
        let (outbox, frames) = bounded(FRAMES_IN_FLIGHT);
        let (words, messages) = unbounded();
        let ports = thread::Ports {
            commands: inbox,
            frames: outbox,
            oldest: frames.clone(),
            messages: words,
            notify: Box::new(notify),
        };
        let thread = std::thread::Builder::new()
            .name("world-model".into())
            .spawn(move || thread::run(&options, session, &ports))
            .map_err(|e| Error::Device(format!("cannot start the world-model thread: {e}")))?;
        Ok(Self {
            commands,
            frames,
            messages,
            thread,
        })
    }

    /// Sends a command; one that arrives after the thread has ended is lost, which
    /// [`Message::Failed`] has announced.
    pub fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Finished frames, oldest first.
    pub fn frames(&self) -> &Receiver<Frame> {
        &self.frames
    }

    /// Messages, oldest first.
    pub fn messages(&self) -> &Receiver<Message> {
        &self.messages
    }

    /// Ends the thread after its current frame and returns what is left of it.
    pub fn finish(self) -> Left {
        self.send(Command::Quit);
        // The thread catches its own panics, so a join error has nothing to lose.
        self.thread.join().unwrap_or_default()
    }
}
