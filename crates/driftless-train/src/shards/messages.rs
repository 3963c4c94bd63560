//! What ranks send each other of their shards, as protocol buffers.

use prost::Message;

/// What a rank has drawn in one round.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RankDraw {
    #[prost(message, repeated, tag = "1")]
    pub lanes: Vec<LaneDraw>,
    /// Why it has drawn nothing; empty if it has.
    #[prost(string, tag = "2")]
    pub error: String,
    /// Whether its user has asked to stop.
    #[prost(bool, tag = "3")]
    pub interrupted: bool,
}

/// What was drawn from a lane.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LaneDraw {
    #[prost(uint32, tag = "1")]
    pub lane: u32,
    /// How many items of the shard were drawn in their order, with these.
    #[prost(uint64, tag = "2")]
    pub drawn: u64,
    /// Whether those were the last.
    #[prost(bool, tag = "3")]
    pub used_up: bool,
    #[prost(message, repeated, tag = "4")]
    pub items: Vec<DrawnItem>,
}

/// A frame, or a sequence of frames.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DrawnItem {
    /// The first frame among all frames of the dataset.
    #[prost(uint64, tag = "1")]
    pub frame: u64,
    /// Pixels u8 `[H, W, 3]`, perhaps with those of the frame before, or latents f32 `[T, gh, gw, c]` in native
    /// byte order.
    #[prost(bytes = "vec", tag = "2")]
    pub data: Vec<u8>,
    /// Index of the action that led to each frame of a sequence, `[T]`.
    #[prost(uint32, repeated, tag = "3")]
    pub actions: Vec<u32>,
    /// Where the axes were, `[T, MAX_AXES]`; empty in a world without axes.
    #[prost(float, repeated, tag = "4")]
    pub axes: Vec<f32>,
    /// `[T]`.
    #[prost(float, repeated, tag = "5")]
    pub rewards: Vec<f32>,
    /// `[T]`.
    #[prost(float, repeated, tag = "6")]
    pub ends: Vec<f32>,
    /// What the sequence recalls, in a world with a memory.
    #[prost(message, optional, tag = "7")]
    pub recalled: Option<RecallParts>,
    /// Whether all its frames recall what a memory recalls.
    #[prost(bool, tag = "8")]
    pub by_pose: bool,
}

/// What sequences recall, and how the camera moves in them.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RecallParts {
    /// Latents of the recalled frames, f32 in native byte order.
    #[prost(bytes = "vec", tag = "1")]
    pub latents: Vec<u8>,
    #[prost(float, repeated, tag = "2")]
    pub features: Vec<f32>,
    #[prost(float, repeated, tag = "3")]
    pub filled: Vec<f32>,
    #[prost(float, repeated, tag = "4")]
    pub motion: Vec<f32>,
    #[prost(float, repeated, tag = "5")]
    pub motion_known: Vec<f32>,
}

impl RecallParts {
    /// Adds what further sequences recall.
    pub fn append(&mut self, other: &Self) {
        self.latents.extend_from_slice(&other.latents);
        self.features.extend_from_slice(&other.features);
        self.filled.extend_from_slice(&other.filled);
        self.motion.extend_from_slice(&other.motion);
        self.motion_known.extend_from_slice(&other.motion_known);
    }
}
