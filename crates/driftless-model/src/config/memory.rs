//! The shape of a world's long-term memory.

use serde::{Deserialize, Serialize};

use super::{WorldConfig, fail};
use crate::Result;

/// Long-term memory of a world whose camera moves in a plane: frames that left the context are kept
/// with the camera's pose, and read again where they show what comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig {
    /// Frames that are recalled for each predicted frame, M.
    #[serde(default = "default_frames")]
    pub frames: usize,
    /// Horizontal angle of view of the camera in degrees.
    pub field_of_view: f32,
    /// How far the camera sees, in the units of the poses in the training data.
    pub reach: f32,
    /// The most frames that are kept; the oldest predicted ones give way.
    #[serde(default = "default_capacity")]
    pub capacity: usize,
}

fn default_frames() -> usize {
    4
}

fn default_capacity() -> usize {
    4096
}

impl MemoryConfig {
    /// The most bytes of latents that a memory may keep: 64 MiB.
    pub const MAX_BYTES: usize = 64 << 20;

    /// Bytes of the latents, kept as f16, of a full memory.
    pub fn bytes(&self, latent_len: usize) -> usize {
        self.capacity
            .saturating_mul(latent_len)
            .saturating_mul(size_of::<u16>())
    }

    /// Checks the values against each other and the world's.
    ///
    /// # Errors
    /// Returns an error that names the first invalid key and what was expected.
    pub(super) fn check(&self, world: &WorldConfig) -> Result<()> {
        if !(1..=16).contains(&self.frames) {
            return fail(format!(
                "dynamics.memory.frames is {}, expected 1 to 16",
                self.frames
            ));
        }
        if !(1.0..180.0).contains(&self.field_of_view) {
            return fail(format!(
                "dynamics.memory.field_of_view is {}, expected degrees from 1 to below 180",
                self.field_of_view
            ));
        }
        if !(self.reach > 0.0 && self.reach.is_finite()) {
            return fail(format!(
                "dynamics.memory.reach is {}, expected above 0",
                self.reach
            ));
        }
        let bytes = self.bytes(world.latent_len());
        if self.capacity == 0 || bytes > Self::MAX_BYTES {
            return fail(format!(
                "dynamics.memory.capacity is {}, which takes {} MiB, expected 1 or more frames in at most {} MiB",
                self.capacity,
                bytes >> 20,
                Self::MAX_BYTES >> 20
            ));
        }
        if world.dynamics.outcome == 0 {
            return fail(
                "dynamics.outcome is 0, expected above 0: the outcome head tells a memory how the camera moves"
                    .into(),
            );
        }
        if world.dynamics.last_time_layer().is_none() {
            return fail(
                "dynamics.time_every is more than dynamics.depth, expected a layer with time attention, \
                 after which memory is read"
                    .into(),
            );
        }
        Ok(())
    }
}
