//! Requests to the world-model thread, grouped by the part of it that handles them.

use driftless_data::Action;
use std::sync::Arc;
use std::time::{Duration, Instant};

use driftless_engine::SamplerParams;

use super::{ComparisonSource, TimelinePosition};

/// A request to the world-model thread.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Which actions the next frames take.
    Input(InputCommand),
    /// How frames are sampled.
    Sampler(SamplerCommand),
    /// When frames are made.
    Playback(PlaybackCommand),
    /// Where an episode starts and when it ends.
    Episode(EpisodeCommand),
    /// Moves through the history and questions about it.
    Timeline(TimelineCommand),
    /// What frames carry besides the image.
    Capture(CaptureCommand),
    /// Sets what is shown next to the frames. Ground truth resets to its first frames.
    Compare(ComparisonSource),
    /// Ends the thread. It may interrupt the replay of frames, which then leaves no trace.
    Quit,
}

/// Which actions the next frames take.
#[derive(Clone, Debug, PartialEq)]
pub enum InputCommand {
    /// Holds this action. Each frame takes the action that is held when it starts.
    Hold {
        /// The discrete action, and where the axes are.
        action: Action,
        /// When the key went down or up, for measuring latency.
        changed_at: Instant,
    },
    /// A key went up, and this action is held now. If the one before was too short for any frame to take,
    /// the next frame takes it all the same.
    Release {
        /// The discrete action, and where the axes are.
        action: Action,
        /// When the key went up, for measuring latency.
        changed_at: Instant,
    },
    /// Plays these actions in the next frames, one each, before the held one counts again. Pressing
    /// a key of an action stops them.
    Play(Arc<[Action]>),
    /// Whether the world plays itself: a simulator under its scripted player, a learned world under its agent,
    /// or without one under random held actions. Pressing a key of an action ends it.
    Autoplay(bool),
    /// Number of frames for which an action is repeated, at least 1.
    Repeat(u64),
    /// Frames that an agent dreams before each of its moves; without any, it does not plan.
    Plan(usize),
}

/// How frames are sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SamplerCommand {
    /// Sampler parameters from the next frame on.
    Params(SamplerParams),
    /// With `true`, every reset draws a new seed; with `false`, the parameters' seed is used.
    RandomSeed(bool),
}

/// When frames are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlaybackCommand {
    /// Makes no frames until [`PlaybackCommand::Resume`] or [`PlaybackCommand::Step`].
    Pause,
    /// Makes frames again.
    Resume,
    /// Pauses and makes exactly one frame.
    Step,
    /// Sets the pace.
    Pace(Pace),
}

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

/// Where an episode starts and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpisodeCommand {
    /// Starts from the current starting clip again.
    Reset,
    /// Starts from the clip with this index.
    SelectClip(usize),
    /// Starts from the next clip, the first one after the last.
    NextClip,
    /// Whether a predicted end of the episode resets, as a simulator's does.
    RestartAtEnd(bool),
}

/// Moves through the history and questions about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimelineCommand {
    /// Pauses and goes to a frame of the history. Playing on from there begins a branch, unless it
    /// is the last frame of one.
    Seek(TimelinePosition),
    /// Begins a branch at the current frame.
    NewBranch,
    /// Deletes a branch other than the current one.
    DeleteBranch(u32),
    /// Brings back the branch that was deleted last.
    RestoreBranch,
    /// Requests [`super::Message::StoredImages`] of a branch's frames.
    StoredImages {
        /// The branch.
        branch: u32,
        /// The frames.
        indices: Arc<[usize]>,
        /// How many frames earlier than requested an image may be.
        within: usize,
    },
    /// Requests [`super::Message::RenderedEpisode`]: the frames from the last start up to a position.
    /// [`super::Message::RenderProgress`] says how far it is.
    RenderEpisode {
        /// A number of the sender's, repeated in the answers: one that comes late belongs to no later request.
        request: u64,
        /// The last frame.
        end: TimelinePosition,
    },
    /// Requests [`super::Message::RecentFrames`]: consecutive frames, restarts included. What is kept in
    /// memory is not made again.
    RecentFrames {
        /// As in [`TimelineCommand::RenderEpisode`].
        request: u64,
        /// The last frame.
        end: TimelinePosition,
        /// How many; fewer if the branch is shorter.
        frames: usize,
    },
    /// Requests [`super::Message::Game`]: what the frames from the last start up to a position were made with.
    Game {
        /// As in [`TimelineCommand::RenderEpisode`].
        request: u64,
        /// The last frame.
        end: TimelinePosition,
    },
    /// Stops making frames for the request of this number, which then has no answer but
    /// [`super::Message::RenderCancelled`]. Without effect once it is answered.
    CancelRender(u64),
}

/// What frames carry besides the image, from the next one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureCommand {
    /// Whether frames carry their denoising passes.
    Trace(bool),
    /// Whether frames carry latent and attention.
    Inspect(bool),
    /// Whether frames carry drift and, next to ground truth, surprise.
    Measure(bool),
}

macro_rules! wrap_in_command {
    ($($group:ident($inner:ident)),*) => {$(
        impl From<$inner> for Command {
            fn from(command: $inner) -> Self {
                Self::$group(command)
            }
        }
    )*};
}

wrap_in_command!(
    Input(InputCommand),
    Sampler(SamplerCommand),
    Playback(PlaybackCommand),
    Episode(EpisodeCommand),
    Timeline(TimelineCommand),
    Capture(CaptureCommand)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_pace_is_unlimited() {
        assert_eq!(Pace::Fps(8.0).period(), Duration::from_millis(125));
        for pace in [
            Pace::Fps(0.0),
            Pace::Fps(-1.0),
            Pace::Fps(f32::NAN),
            Pace::Unlimited,
        ] {
            assert_eq!(pace.period(), Duration::ZERO, "{pace:?}");
        }
    }
}
