//! What the world-model thread makes: frames, and what they carry.

use std::sync::Arc;
use std::time::Instant;

use driftless_agent::Decision;
use driftless_data::Action;
use driftless_engine::{FrameTexture, Outcome, SamplerParams, StageTimes};

use super::{GroundTruth, Inspection, TimelinePosition, TracedPass};

/// One frame of the world.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Frames since the thread started, across resets. A gap is the number of frames dropped.
    pub sequence: u64,
    /// Frames since the reset; 0 is the last frame of the starting clip.
    pub number: u64,
    /// Where the frame lies in the history.
    pub position: TimelinePosition,
    /// Index of the starting clip.
    pub clip: usize,
    /// The action that led to this frame.
    pub action: Action,
    /// The sampler parameters used, with the actual seed.
    pub params: SamplerParams,
    /// The image.
    pub image: FrameImage,
    /// Reward and end.
    pub prediction: Prediction,
    /// Reward, end and state; `None` for a predicted frame.
    pub ground_truth: Option<GroundTruth>,
    /// The frame of [`super::Command::Compare`], u8 RGB `[H, W, 3]`, if there is one.
    pub comparison: Option<Arc<[u8]>>,
    /// When the frame was made, and how long that took.
    pub timing: FrameTiming,
    /// What [`super::CaptureCommand`] asks for.
    pub diagnostics: Diagnostics,
}

impl Frame {
    /// A frame of this image; it has just been finished, and everything else is 0, off or default.
    pub fn new(image: FrameImage) -> Self {
        Self {
            sequence: 0,
            number: 0,
            position: TimelinePosition::default(),
            clip: 0,
            action: Action::IDLE,
            params: SamplerParams::default(),
            image,
            prediction: Prediction::default(),
            ground_truth: None,
            comparison: None,
            timing: FrameTiming {
                input_at: None,
                finished_at: Instant::now(),
                stages: StageTimes::default(),
            },
            diagnostics: Diagnostics::default(),
        }
    }
}

/// The reward and end that a learned world predicts with a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prediction {
    /// Predicted reward and end; `None` for a starting frame, and for a world that predicts none.
    pub outcome: Option<Outcome>,
    /// Sum of the predicted rewards since the reset.
    pub score: f32,
}

/// When a frame was made, and how long that took.
#[derive(Clone, Copy, Debug)]
pub struct FrameTiming {
    /// When the held action changed, if this frame is the first to reflect the change.
    pub input_at: Option<Instant>,
    /// When the frame was finished.
    pub finished_at: Instant,
    /// Time spent in each stage; zero for frame 0.
    pub stages: StageTimes,
}

/// How a frame came about inside the model, and how far it can be trusted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnostics {
    /// The denoising passes; empty without [`super::CaptureCommand::Trace`].
    pub trace: Arc<[TracedPass]>,
    /// Latent and attention of the frame; `None` without [`super::CaptureCommand::Inspect`].
    pub inspection: Option<Arc<Inspection>>,
    /// The re-encoding error ([`driftless_engine::reencoding_error`]); `None` without
    /// [`super::CaptureCommand::Measure`].
    pub drift: Option<f32>,
    /// The surprise of the true frame ([`driftless_engine::Sampler::surprise`]); `None` without
    /// [`super::CaptureCommand::Measure`] or without ground truth.
    pub surprise: Option<f32>,
    /// What the world's agent thinks of the frame; `None` without an agent, and while a person plays.
    pub decision: Option<Arc<Decision>>,
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
