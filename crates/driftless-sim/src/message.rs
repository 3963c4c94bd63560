//! Answers and notices of the world-model thread.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use driftless_data::Episode;
use driftless_engine::SamplerParams;

use super::{BranchInfo, Game};

/// A message from the world-model thread, other than a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The player is ready.
    Started {
        /// [`super::Player::label`].
        engine: String,
    },
    /// Something the user should know; the thread continues.
    Notice(Notice),
    /// The engine rejected the requested parameters and uses others.
    ParamsRejected {
        /// The reason, naming the parameter and what was expected.
        reason: String,
        /// The parameters in use: the last ones that worked.
        active: SamplerParams,
    },
    /// The actions that are played have brought other parameters, which the next frames use.
    ParamsChanged(SamplerParams),
    /// All branches, after their list changed.
    Branches(Vec<BranchInfo>),
    /// Answers [`super::TimelineCommand::StoredImages`] with the images that are stored.
    StoredImages {
        /// The branch.
        branch: u32,
        /// Requested frame indices and images, u8 RGB `[H, W, 3]`.
        images: Vec<(usize, Arc<[u8]>)>,
    },
    /// How far the frames of [`super::TimelineCommand::RenderEpisode`] or
    /// [`super::TimelineCommand::RecentFrames`] are made again.
    RenderProgress {
        /// The request's number.
        request: u64,
        /// Frames made.
        done: usize,
        /// Frames to make.
        total: usize,
    },
    /// Answers [`super::TimelineCommand::RenderEpisode`].
    RenderedEpisode {
        /// The request's number.
        request: u64,
        /// The frames.
        episode: Arc<Episode>,
    },
    /// Answers [`super::TimelineCommand::RecentFrames`]: images, actions and rewards, without what a replay
    /// needs.
    RecentFrames {
        /// The request's number.
        request: u64,
        /// The frames.
        episode: Arc<Episode>,
    },
    /// Answers [`super::TimelineCommand::Game`].
    Game {
        /// The request's number.
        request: u64,
        /// The game; `None` if its start is no longer in the history, or if a simulator is played.
        game: Option<Arc<Game>>,
    },
    /// The frames of the request with this number are not made again:
    /// [`super::TimelineCommand::CancelRender`], or the first of them is no longer in the history.
    RenderCancelled(u64),
    /// The link to the program that makes the frames, where that is another one, is broken or back.
    Link(LinkState),
    /// The thread failed and has ended; it can be started again.
    Failed {
        /// The error.
        reason: String,
        /// Whether the device failed, so that the CPU may take over.
        device_failed: bool,
    },
}

/// The state of the link to the program that makes the frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Frames come.
    Up,
    /// The game waits.
    Lost {
        /// Why.
        reason: String,
        /// When the next attempt begins.
        again_at: Instant,
        /// Until when the game is kept, as far as is known.
        kept_until: Instant,
    },
}

/// Something the user should know. `Display` says it in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An action that the world does not have was held, and what is wrong with it.
    UnknownAction(String),
    /// The actions of [`super::InputCommand::Play`] are not played: what is wrong with the first that the
    /// world does not have.
    ScriptRejected(String),
    /// A key stopped the actions of [`super::InputCommand::Play`].
    ScriptStopped,
    /// All actions of [`super::InputCommand::Play`] are played.
    ScriptFinished,
    /// A key ended [`super::InputCommand::Autoplay`].
    AutoplayStopped,
    /// A starting clip that the world does not have was selected.
    UnknownClip {
        /// Its index.
        index: usize,
        /// Number of starting clips.
        count: usize,
    },
    /// The episode ended; the thread resets.
    EpisodeEnded,
    /// The frame to go to is no longer in the history.
    FrameForgotten,
    /// The branch to delete is the current one.
    CurrentBranch,
    /// Only the last frames of the branch to compare with are shown.
    ComparisonShortened {
        /// Their number.
        frames: usize,
    },
    /// The recording is full.
    RecordingFull {
        /// The number of frames it holds.
        frames: usize,
    },
    /// The recording is in memory only: its journal cannot be written, and why.
    RecordingUnsaved(String),
    /// The denoising passes could not be decoded.
    PassesFailed(String),
    /// What the program that makes the frames says, where that is another one.
    Remote(String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAction(what) => f.write_str(what),
            Self::ScriptRejected(what) => {
                write!(f, "the actions from the file are not played: {what}")
            }
            Self::ScriptStopped => {
                f.write_str("a key stops the actions from the file; you are in control")
            }
            Self::ScriptFinished => {
                f.write_str("all actions from the file are played; you are in control")
            }
            Self::AutoplayStopped => f.write_str("you are in control"),
            Self::UnknownClip { index, count } => write!(
                f,
                "starting clip {index} does not exist, expected 0 to {}",
                count.saturating_sub(1)
            ),
            Self::EpisodeEnded => f.write_str("the episode ended and starts again"),
            Self::FrameForgotten => f.write_str("this frame is no longer in the history"),
            Self::CurrentBranch => f.write_str("the branch that is being played cannot be deleted"),
            Self::ComparisonShortened { frames } => write!(
                f,
                "only the last {frames} frames of the other branch are shown"
            ),
            Self::RecordingFull { frames } => {
                write!(f, "recording stopped after {frames} frames; play continues")
            }
            Self::RecordingUnsaved(reason) => write!(
                f,
                "the recording is in memory only until the window closes: {reason}"
            ),
            Self::PassesFailed(text) | Self::Remote(text) => f.write_str(text),
        }
    }
}
