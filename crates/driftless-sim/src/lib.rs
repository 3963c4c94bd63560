//! The world-model thread: commands in, frames and messages out.
//!
//! The thread owns a [`Player`], an engine or a simulator. A factory makes it inside the thread, so
//! a failed thread can be started again. Commands are handled between two frames, or at once while
//! the thread waits. Frames leave through a bounded channel: a slow reader loses old frames, never
//! new ones, and never stalls the model. Only a GPU shared with the window, and frames that stay on
//! it, bypass the channels.

mod columns;
mod comparison;
mod error;
mod frame_loop;
pub mod headless;
mod history;
mod inspection;
mod params_fallback;
mod player;
mod replay;
mod rewind;
mod script;
mod session;
mod thread;

#[cfg(test)]
mod tests;

pub use error::{Error, Result};

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use script::ActionScript;

use driftless_data::Episode;
use driftless_engine::{FrameTexture, GpuSource, Outcome, SamplerParams, StageTimes};

pub use columns::{SESSION_ARRAYS, recorded_seed};
pub use comparison::{ComparisonSource, matching_simulator};
pub use history::{BranchInfo, History, MAX_BRANCHES, TimelinePosition};
pub use inspection::Inspection;
pub use player::{GroundTruth, LearnedWorld, Player, PlayerSnapshot, SimulatedWorld};
pub use replay::{FrameDifference, Provenance, RecordedSession, ReplayReport};
pub use session::Session;

/// Capacity of the frame channel. When it is full, the oldest frame is dropped.
pub const FRAMES_IN_FLIGHT: usize = 3;

/// Random seeds are drawn below this bound, so that they are short enough to read and type.
pub const RANDOM_SEED_LIMIT: u64 = 1 << 24;

/// Makes the player, on the given device. Called once for each thread, inside it.
pub type PlayerFactory = dyn Fn(&GpuSource) -> Result<Box<dyn Player>> + Send + Sync;

/// How fast frames are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Frames per second, evenly spaced.
    Fps(f32),
    /// As fast as the player can.
    Unlimited,
}

impl Pace {
    /// Time from the start of one frame to the next. Zero if unlimited, or if the rate is not a
    /// positive number.
    pub fn period(self) -> Duration {
        match self {
            Self::Fps(fps) if fps > 0.0 => {
                Duration::try_from_secs_f32(1.0 / fps).unwrap_or(Duration::ZERO)
            }
            Self::Fps(_) | Self::Unlimited => Duration::ZERO,
        }
    }
}

/// A request to the world-model thread.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Holds this action. Each frame takes the action that is held when it starts.
    HoldAction {
        /// Index into the world's actions.
        action: u32,
        /// When the key went down or up, for measuring latency.
        changed_at: Instant,
    },
    /// Plays these actions in the next frames, one each, before the held one counts again. Pressing
    /// a key of an action stops them.
    PlayActions(Arc<[u32]>),
    /// Sampler parameters from the next frame on.
    Params(SamplerParams),
    /// With `true`, every reset draws a new seed; with `false`, the parameters' seed is used.
    RandomSeed(bool),
    /// Whether a predicted end of the episode resets, as a simulator's does.
    RestartAtEnd(bool),
    /// Number of frames for which an action is repeated, at least 1.
    ActionRepeat(u64),
    /// Sets the pace.
    Pace(Pace),
    /// Whether frames carry their denoising passes, from the next one on.
    Trace(bool),
    /// Whether frames carry latent and attention, from the next one on.
    Inspect(bool),
    /// Whether frames carry drift and, next to ground truth, surprise, from the next one on.
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
    SelectContext(usize),
    /// Starts the next context, the first one after the last.
    NextContext,
    /// Pauses and goes to a frame of the history. Playing on from there begins a branch, unless it
    /// is the last frame of one.
    Seek(TimelinePosition),
    /// Begins a branch at the current frame.
    NewBranch,
    /// Deletes a branch other than the current one.
    DeleteBranch(u32),
    /// Sets what is shown next to the frames. Ground truth resets to its first frames.
    Compare(ComparisonSource),
    /// Requests [`Message::StoredImages`] of a branch's frames.
    StoredImages {
        /// The branch.
        branch: u32,
        /// The frames.
        indices: Arc<[usize]>,
        /// How many frames earlier than requested an image may be.
        within: usize,
    },
    /// Requests [`Message::RenderedEpisode`]: the frames from the last start up to this position.
    RenderEpisode(TimelinePosition),
    /// Ends the thread.
    Quit,
}

/// A message from the world-model thread, other than a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The player is ready.
    Started {
        /// [`Player::name`].
        engine: String,
    },
    /// Something the user should know; the thread continues.
    Notice(String),
    /// The engine rejected the requested parameters and uses others.
    ParamsRejected {
        /// The reason, naming the parameter and what was expected.
        reason: String,
        /// The parameters in use: the last ones that worked.
        active: SamplerParams,
    },
    /// All branches, after their list changed.
    Branches(Vec<BranchInfo>),
    /// Answers [`Command::StoredImages`] with the images that are stored.
    StoredImages {
        /// The branch.
        branch: u32,
        /// Requested frame indices and images, u8 RGB `[H, W, 3]`.
        images: Vec<(usize, Arc<[u8]>)>,
    },
    /// Answers [`Command::RenderEpisode`].
    RenderedEpisode(Arc<Episode>),
    /// The thread failed and has ended; it can be started again.
    Failed {
        /// The error.
        reason: String,
        /// Whether the device failed, so that the CPU may take over.
        device_failed: bool,
    },
}

/// One frame of the world.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Frames since the thread started, across resets. A gap is the number of frames dropped.
    pub sequence: u64,
    /// Frames since the reset; 0 is the last frame of the starting context.
    pub number: u64,
    /// The image.
    pub image: FrameImage,
    /// The action that led to this frame.
    pub action: u32,
    /// When the held action changed, if this frame is the first to reflect the change.
    pub input_at: Option<Instant>,
    /// When the frame was finished.
    pub finished_at: Instant,
    /// Time spent in each stage; zero for frame 0.
    pub stage_times: StageTimes,
    /// The sampler parameters used, with the actual seed.
    pub params: SamplerParams,
    /// Index of the starting context.
    pub context: usize,
    /// The denoising passes; empty without [`Command::Trace`].
    pub trace: Arc<[TracedPass]>,
    /// Latent and attention of the frame; `None` without [`Command::Inspect`].
    pub inspection: Option<Arc<Inspection>>,
    /// Reward, end and state; `None` for a predicted frame.
    pub ground_truth: Option<GroundTruth>,
    /// Predicted reward and end; `None` for a starting frame, and for a world that predicts none.
    pub outcome: Option<Outcome>,
    /// Sum of the predicted rewards since the reset.
    pub score: f32,
    /// Where the frame lies in the history.
    pub position: TimelinePosition,
    /// The re-encoding error ([`driftless_engine::reencoding_error`]); `None` without
    /// [`Command::Measure`].
    pub drift: Option<f32>,
    /// The surprise of the true frame ([`driftless_engine::Engine::surprise`]); `None` without
    /// [`Command::Measure`] or without ground truth.
    pub surprise: Option<f32>,
    /// The frame of [`Command::Compare`], u8 RGB `[H, W, 3]`, if there is one.
    pub comparison: Option<Arc<[u8]>>,
}

/// The image of a frame, in memory or on the window's device.
#[derive(Clone, Debug)]
pub enum FrameImage {
    /// u8 RGB `[H, W, 3]`.
    Bytes(Arc<[u8]>),
    /// A texture on the device that the window draws with.
    Texture(Arc<FrameTexture>),
}

impl FrameImage {
    /// u8 RGB `[H, W, 3]`; `None` if the image stayed on the device.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Texture(_) => None,
        }
    }
}

/// One denoising pass as decoded images.
#[derive(Clone, Debug, PartialEq)]
pub struct TracedPass {
    /// Signal level τ of the network's input.
    pub tau: f32,
    /// The input z_τ through the decoder, u8 RGB `[H, W, 3]`.
    pub noisy: Vec<u8>,
    /// The prediction x̂ through the decoder, u8 RGB `[H, W, 3]`.
    pub clean: Vec<u8>,
}

/// How a world-model thread starts.
#[derive(Clone)]
pub struct SimOptions {
    /// Makes the player inside the thread.
    pub player: Arc<PlayerFactory>,
    /// The device to compute on.
    pub gpu_source: GpuSource,
    /// The history of an earlier thread, to continue from its current frame.
    pub resume_from: Option<Arc<History>>,
    /// Index of the first starting context.
    pub context: usize,
    /// Actions of the first frames, as in [`Command::PlayActions`]; may be empty.
    pub actions: Arc<[u32]>,
    /// Sampler parameters of the first frame.
    pub params: SamplerParams,
    /// Whether every reset draws a new seed.
    pub random_seed: bool,
    /// Whether a predicted end of the episode resets.
    pub restart_at_end: bool,
    /// The pace.
    pub pace: Pace,
    /// Whether the thread starts paused.
    pub paused: bool,
    /// Path of the recording, if there is one. The owner writes it when the thread has ended.
    pub record: Option<PathBuf>,
}

/// What remains of a world-model thread that has ended.
#[derive(Debug, Default)]
pub struct ThreadExit {
    /// The recording, if there is one.
    pub session: Option<Session>,
    /// The history, from which another thread can continue.
    pub history: History,
}

/// A running world-model thread.
pub struct SimThread {
    commands: Sender<Command>,
    frames: Receiver<Frame>,
    messages: Receiver<Message>,
    thread: JoinHandle<ThreadExit>,
}

impl SimThread {
    /// Starts the thread. It calls `notify` after each frame and message. A `session` continues the
    /// recording of an earlier thread.
    ///
    /// # Errors
    /// Returns an error if the operating system cannot start a thread. A failing player arrives as
    /// [`Message::Failed`].
    pub fn spawn(
        options: SimOptions,
        session: Option<Session>,
        notify: impl Fn() + Send + 'static,
    ) -> Result<Self> {
        let (commands, inbox) = unbounded();
        let (outbox, frames) = bounded(FRAMES_IN_FLIGHT);
        let (message_outbox, messages) = unbounded();
        let ports = thread::Ports {
            commands: inbox,
            frames: outbox,
            oldest_frame: frames.clone(),
            messages: message_outbox,
            notify: Box::new(notify),
        };
        let thread = std::thread::Builder::new()
            .name("world-model".into())
            .spawn(move || thread::run(&options, session, &ports))
            .map_err(|e| Error::Thread(format!("cannot start the world-model thread: {e}")))?;
        Ok(Self {
            commands,
            frames,
            messages,
            thread,
        })
    }

    /// Sends a command. It is lost if the thread has ended, which [`Message::Failed`] announces.
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

    /// Ends the thread after its current frame.
    pub fn finish(self) -> ThreadExit {
        self.send(Command::Quit);
        // The thread catches its own panics, so a join error is not expected.
        self.thread.join().unwrap_or_default()
    }
}
