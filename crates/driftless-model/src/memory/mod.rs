//! Long-term memory: frames that left the context are kept with the pose of the camera, and those that
//! show what the coming frame will show are read again (after WorldMem, arXiv 2504.12369).
//!
//! Poses of a rollout are the sum of the motions that the dynamics reads from its own frames.
//!
//! A [`DeltaLayer`] needs no poses: a state of fixed size, which every finished frame changes.
//!
//! - [`recall`]: which of the kept frames to read.
//! - [`MemoryEncoder`] turns recalled frames into tokens, once a frame; a [`RecallLayer`] reads them
//!   after each time attention.

mod delta;
mod layers;
mod pose;
mod recall;
mod tokens;

pub use delta::{DeltaLayer, KEEP_OFFSET};
pub use layers::{MemoryEncoder, MemoryInput, MemoryTokens, RecallLayer};
pub use pose::{MEMORY_FEATURES, memory_features};
pub use recall::{Place, recall};
pub use tokens::{ALIGNMENT_FEATURES, TokenInputs};
